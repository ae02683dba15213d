//! Two replicas: one acts, the other takes over, and never both.
//!
//! **Invariant:** every test is about two processes and the Lease of its own namespace; nothing here looks inside.

use super::own_rights::{allow, kubeconfig};
use super::requests::{create, minimal, raw};
use super::running::Running;
use super::{clients, namespace, until};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::api::{Api, DeleteParams, ListParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A lease that runs out soon, and outlasts a busy machine.
const SHORT: [&str; 6] =
    ["--leader-elect-lease-duration", "8s", "--leader-elect-renew-deadline", "6s", "--leader-elect-retry-period", "1s"];
const LEASE: Duration = Duration::from_secs(8);

fn leads(line: &Value) -> bool {
    line["message"] == "leading"
}

/// The first leads, the second stands by.
async fn pair(base: &str, arguments: &[&str]) -> (Client, String, Running, Running) {
    let (_, writer) = clients().await;
    let namespace = namespace(&writer, base).await;
    let mut one = Running::start_with(&namespace, arguments).await;
    if !one.seen.iter().any(|line| line.contains("\"leading\"")) {
        one.line(leads).await;
    }
    let other = Running::start_with(&namespace, arguments).await;
    (writer, namespace, one, other)
}

async fn lease(client: &Client, namespace: &str) -> LeaseSpec {
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    leases.get("restart-controller").await.unwrap().spec.unwrap()
}

/// A request for a workload that is not there ends at once: whoever leads has acted.
async fn is_handled(client: &Client, namespace: &str, name: &str) {
    create(client, namespace, minimal(name)).await.unwrap();
    until("the request is handled", || async {
        raw(client, namespace).get(name).await.unwrap().data["status"]["phase"] == "Failed"
    })
    .await;
}

#[tokio::test]
async fn of_two_replicas_both_are_ready_and_one_leads_and_says_so() {
    let (client, namespace, one, other) = pair("pair", &[]).await;
    for (running, value) in [(&one, 1), (&other, 0)] {
        assert!(running.get("/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(running.get("/livez").await.starts_with("HTTP/1.1 200"));
        let gauge = format!("leader_election_master_status{{name=\"restart-controller\"}} {value}\n");
        let metrics = running.get("/metrics").await;
        assert!(metrics.contains(&gauge), "{metrics}");
    }
    is_handled(&client, &namespace, "web").await;
    let (_, log) = other.stop().await;
    assert!(!log.contains("\"audit\""), "the standby has acted: {log}");
    assert_eq!(lease(&client, &namespace).await.lease_transitions, Some(0));
    one.stop().await;
    assert_eq!(lease(&client, &namespace).await.holder_identity.as_deref(), Some(""));
}

#[tokio::test]
async fn a_standby_takes_over_within_two_seconds_of_a_graceful_stop() {
    let (client, namespace, one, mut other) = pair("graceful", &[]).await;
    let told = Instant::now();
    let (ended, led) = tokio::join!(one.stop(), async {
        other.line(leads).await;
        told.elapsed()
    });
    eprintln!("stopped after {:?}, taken over after {led:?}", ended.0);
    assert!(led < Duration::from_secs(2), "{led:?}");
    assert_eq!(lease(&client, &namespace).await.lease_transitions, Some(1));
    is_handled(&client, &namespace, "web").await;
}

#[tokio::test]
async fn a_standby_takes_over_within_the_lease_and_a_second_of_a_crash() {
    let (client, namespace, one, mut other) = pair("crash", &SHORT).await;
    one.signal("KILL").await;
    let killed = Instant::now();
    other.line(leads).await;
    let led = killed.elapsed();
    eprintln!("taken over {led:?} after kill -9, the lease lasts {LEASE:?}");
    assert!(led < LEASE + Duration::from_secs(1), "{led:?}");
    is_handled(&client, &namespace, "web").await;
}

/// The resourceVersions of all requests, once all have ended.
async fn all_handled(client: &Client, namespace: &str, count: usize) -> Vec<Option<String>> {
    let list = || async { raw(client, namespace).list(&ListParams::default()).await.unwrap().items };
    until("all requests are handled", || async {
        let items = list().await;
        items.len() == count && items.iter().all(|request| request.data["status"]["step"] == "Finished")
    })
    .await;
    list().await.iter().map(ResourceExt::resource_version).collect()
}

#[tokio::test]
async fn a_leader_stopped_past_its_lease_writes_nothing_when_it_wakes_and_ends() {
    let (client, namespace, mut one, mut other) = pair("stopped", &SHORT).await;
    for index in 0..20 {
        create(&client, &namespace, minimal(&format!("web-{index}"))).await.unwrap();
    }
    // In the middle of its passes.
    one.line(|line| line["target"] == "audit").await;
    one.signal("STOP").await;
    other.line(leads).await;
    let handled = all_handled(&client, &namespace, 20).await;
    let holder = lease(&client, &namespace).await.holder_identity;
    one.signal("CONT").await;
    let woken = Instant::now();
    let (status, _, last) = one.ended().await;
    eprintln!("ended {:?} after it woke: {last}", woken.elapsed());
    assert_eq!(status.code(), Some(1), "{last}");
    assert!(last.contains("leadership lost"), "{last}");
    assert_eq!(all_handled(&client, &namespace, 20).await, handled);
    let lease = lease(&client, &namespace).await;
    assert_eq!((lease.holder_identity, lease.lease_transitions), (holder, Some(1)));
    is_handled(&client, &namespace, "after").await;
}

#[tokio::test]
async fn a_lease_deleted_by_hand_is_made_anew_by_its_holder() {
    let (client, namespace, one, other) = pair("deleted", &[]).await;
    let leases: Api<Lease> = Api::namespaced(client.clone(), &namespace);
    let holder = lease(&client, &namespace).await.holder_identity;
    leases.delete("restart-controller", &DeleteParams::default()).await.unwrap();
    until("the lease is there again", || async {
        let lease = leases.get_opt("restart-controller").await.unwrap();
        lease.is_some_and(|lease| lease.spec.unwrap().holder_identity == holder)
    })
    .await;
    is_handled(&client, &namespace, "web").await;
    let (_, log) = other.stop().await;
    assert!(!log.contains("\"leading\""), "{log}");
    one.stop().await;
}

/// A kubeconfig for a service account that may do everything in its namespace but use Leases.
async fn without_leases(client: &Client, namespace: &str, directory: &Path) -> PathBuf {
    let rules = json!([{"apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": ["*"]}]);
    allow(client, namespace, "most", rules, namespace).await;
    kubeconfig(client, namespace, directory).await
}

#[tokio::test]
async fn without_rights_to_the_lease_it_does_not_start_and_says_what_it_needs() {
    let (_, client) = clients().await;
    let namespace = namespace(&client, "rights").await;
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = without_leases(&client, &namespace, directory.path()).await;
    let (status, _, last) = Running::spawn(&namespace, &[], Some(&kubeconfig)).ended().await;
    assert_eq!(status.code(), Some(1), "{last}");
    let sentence = format!("read Lease {namespace}/restart-controller");
    assert!(last.contains(&sentence) && last.contains("needs the verbs create, get, update and watch"), "{last}");
    let mut alone = Running::spawn(&namespace, &["--leader-elect=false"], Some(&kubeconfig));
    alone.line(|line| line["message"] == "signing key loaded").await;
}
