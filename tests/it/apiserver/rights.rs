//! Who may do what: the table of `docs/security.md`, cell by cell.
//!
//! **Invariant:** the table stands in the documentation alone; a row or column that is not known here is a failure, and so
//! is one that is missing there.

use super::policies::{any, bind, said, settled, someone, try_create};
use super::requests::{self, minimal, raw};
use super::restraint::label;
use super::{clients, namespace};
use kube::Client;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use restart_controller::api::names;
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../../docs/security.md");
/// The ConfigMap that is promoted, and the name of the request that is there already.
const CONFIG: &str = "web-config";
const EXISTING: &str = "existing";

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Yes,
    No,
    NoEffect,
}

/// One row: an action, tried without effect.
type Action = &'static str;
const ACTIONS: [Action; 17] = [
    "read requests",
    "read histories",
    "restart Deployment web",
    "restart it with force",
    "restart Deployment db",
    "name a ConfigMap",
    "promote a ConfigMap",
    "have a hook that is a Job",
    "have a hook that is a Job where the namespace permits none",
    "have a hook that is a Job of another service account",
    "cancel a request",
    "arm a request again by a new trigger",
    "change requestedBy",
    "delete a request",
    "write a request's status",
    "write a history",
    "restart in another namespace",
];

/// One column: what the user is given in the namespace.
fn role(column: &str) -> Option<Value> {
    let cluster_role = |name: &str| json!({"kind": "ClusterRole", "metadata": {"name": name}});
    let rule = |group: &str, resource: &str, verbs: &[&str]| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
    let own = |name: &str, rules: Vec<Value>| json!({"kind": "Role", "metadata": {"name": name}, "rules": rules});
    Some(match column {
        "nothing" => return None,
        "view" | "edit" | "admin" => cluster_role(column),
        "restarter" => cluster_role("restart-controller-restarter"),
        "requests only" => own("requests", vec![rule("restart-controller.dev", "restartrequests", &["*"])]),
        "restarter of web" => {
            let mut restart = rule("apps", "deployments", &["restart"]);
            restart["resourceNames"] = json!(["web"]);
            let requests = rule("restart-controller.dev", "restartrequests", &["create", "get", "list", "watch"]);
            let histories = rule("restart-controller.dev", "restarthistories", &["get", "list", "watch"]);
            own("restart-web", vec![requests, histories, restart])
        }
        other => panic!("the table has a column {other:?} that this test does not know"),
    })
}

async fn act(user: &Client, [space, closed, elsewhere]: [&str; 3], action: Action) -> kube::Result<Outcome> {
    let with = |name: &str, changes: Value| {
        let mut object = minimal(name);
        object["spec"].as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        object
    };
    let job = |pod: Value| json!({"hooks": {"pre": [{"name": "check", "job": {"template": {"spec": {"template": {"spec": pod}}}}}]}});
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    let patch = async |spec: Value| raw(user, space).patch(EXISTING, &dry, &Patch::Merge(json!({"spec": spec}))).await;
    let history = json!({"apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartHistory"});
    match action {
        "read requests" => raw(user, space).list(&ListParams::default()).await.map(drop)?,
        "read histories" => any(user, Some(space), &history).list(&ListParams::default()).await.map(drop)?,
        "restart Deployment web" => try_create(user, space, minimal("new")).await.map(drop)?,
        "restart it with force" => try_create(user, space, with("new", json!({"force": true}))).await.map(drop)?,
        "restart Deployment db" => {
            let other = json!({"targetRef": {"kind": "Deployment", "name": "db"}});
            try_create(user, space, with("new", other)).await.map(drop)?;
        }
        "name a ConfigMap" => {
            let named = json!({"config": {"configMaps": [{"name": CONFIG}]}});
            try_create(user, space, with("new", named)).await.map(drop)?;
        }
        "promote a ConfigMap" => {
            let promotion = json!({"config": {"configMaps": [{"name": CONFIG, "from": "candidate"}]}});
            try_create(user, space, with("new", promotion)).await.map(drop)?;
        }
        "have a hook that is a Job" => {
            let pod = json!({"serviceAccountName": "default", "containers": []});
            try_create(user, space, with("new", job(pod))).await.map(drop)?;
        }
        "have a hook that is a Job where the namespace permits none" => {
            let pod = json!({"containers": []});
            try_create(user, closed, with("new", job(pod))).await.map(drop)?;
        }
        "have a hook that is a Job of another service account" => {
            let old = try_create(user, space, with("new", job(json!({"serviceAccount": "builder"})))).await;
            assert!(old.is_err(), "the old name of the field is let through");
            try_create(user, space, with("new", job(json!({"serviceAccountName": "builder"})))).await.map(drop)?;
        }
        "cancel a request" => patch(json!({"cancel": true})).await.map(drop)?,
        "arm a request again by a new trigger" => patch(json!({"trigger": "two"})).await.map(drop)?,
        "change requestedBy" => {
            let name = patch(json!({"requestedBy": "mallory"})).await?.data["spec"]["requestedBy"].clone();
            return Ok(if name == "mallory" { Outcome::Yes } else { Outcome::NoEffect });
        }
        "delete a request" => {
            let dry = DeleteParams { dry_run: true, ..DeleteParams::default() };
            raw(user, space).delete(EXISTING, &dry).await.map(drop)?;
        }
        "write a request's status" => {
            let status = Patch::Merge(json!({"status": {"phase": "Completed"}}));
            raw(user, space).patch_status(EXISTING, &dry, &status).await.map(drop)?;
        }
        "write a history" => {
            let status = Patch::Merge(json!({"status": {"state": "Idle"}}));
            any(user, Some(space), &history).patch_status("any", &dry, &status).await.map(drop)?;
        }
        "restart in another namespace" => try_create(user, elsewhere, minimal("new")).await.map(drop)?,
        other => panic!("the table has a row {other:?} that this test does not know"),
    }
    Ok(Outcome::Yes)
}

/// The rows of the table, the heading first.
fn table() -> Vec<Vec<&'static str>> {
    let (_, rest) = PAGE.split_once("<!-- rights -->").unwrap();
    let (text, _) = rest.split_once("<!-- /rights -->").unwrap();
    let rows = text.trim().lines().filter(|line| !line.starts_with("|---"));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn outcome(cell: &str) -> Outcome {
    match cell {
        "yes" => Outcome::Yes,
        "no" => Outcome::No,
        "no effect" => Outcome::NoEffect,
        other => panic!("a cell says {other:?}"),
    }
}

#[test]
fn the_table_has_every_action_once() {
    let rows: Vec<&str> = table()[1..].iter().map(|row| row[0]).collect();
    assert_eq!(rows, ACTIONS);
}

#[tokio::test]
async fn every_cell_of_the_table_is_true() {
    let (_, admin) = clients().await;
    let [space, closed, elsewhere] =
        [namespace(&admin, "rights").await, namespace(&admin, "closed").await, namespace(&admin, "elsewhere").await];
    label(&admin, &space, names::JOB_HOOKS).await;
    let mut object = minimal(EXISTING);
    object["spec"]["trigger"] = json!("one");
    requests::create(&admin, &space, object).await.unwrap();
    let table = table();
    for (at, column) in table[0].iter().enumerate().skip(1) {
        let user = format!("user with {column}");
        if let Some(role) = role(column) {
            for space in [&space, &closed] {
                bind(&admin, space, &user, role.clone()).await;
            }
        }
        let client = someone(&user).await;
        for row in &table[1..] {
            let action = ACTIONS.into_iter().find(|action| *action == row[0]).unwrap_or_else(|| panic!("{}", row[0]));
            // A role that was just bound or aggregated is in force a moment later.
            settled("the table of docs/security.md", async || {
                let met = act(&client, [&space, &closed, &elsewhere], action).await;
                let met = met.unwrap_or_else(|error| {
                    said(&error);
                    Outcome::No
                });
                let told = outcome(row[at]);
                if met == told { Ok(()) } else { Err(format!("{user}, {action}: {met:?}, the table says {told:?}")) }
            })
            .await;
        }
    }
}

#[tokio::test]
async fn who_may_restart_and_write_that_config_map_may_promote_and_the_most_that_a_request_holds_is_checked_in_time() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "promotes").await;
    label(&admin, &space, names::JOB_HOOKS).await;
    let names: Vec<String> = (0..8).map(|at| format!("live-{at}")).collect();
    let candidates: Vec<String> = (0..8).map(|at| format!("next-{at}")).collect();
    let maps = |names: &[String], verb: &str| json!({"apiGroups": [""], "resources": ["configmaps"], "resourceNames": names, "verbs": [verb]});
    // Through patch, the second thing that is asked for: the most checks that one request can cost.
    let rules = json!([
        {"apiGroups": ["restart-controller.dev"], "resources": ["restartrequests"], "verbs": ["create"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["web"], "verbs": ["patch"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]},
        maps(&names, "update"), maps(&names, "get"), maps(&candidates[..7], "get"),
    ]);
    let role = json!({"kind": "Role", "metadata": {"name": "promoter"}, "rules": rules});
    bind(&admin, &space, "pia", role).await;
    let pia = someone("pia").await;
    let request = |count: usize| {
        let maps: Vec<Value> = (0..count).map(|at| json!({"name": names[at], "from": candidates[at]})).collect();
        let hooks: Vec<Value> =
            (0..8).map(|at| json!({"name": format!("hook-{at}"), "job": {"template": {}}})).collect();
        let mut object = minimal("most");
        object["spec"]["config"] = json!({"configMaps": maps});
        object["spec"]["hooks"] = json!({"pre": hooks, "post": hooks});
        object
    };
    settled("seven promotions and sixteen hooks", async || {
        try_create(&pia, &space, request(7)).await.map(drop).map_err(|error| said(&error))
    })
    .await;
    let refused = said(&try_create(&pia, &space, request(8)).await.unwrap_err());
    assert!(refused.contains("pia may not promote ConfigMap next-7 to live-7"), "{refused}");
    let mut naming = minimal("naming");
    naming["spec"]["config"] = json!({"configMaps": [{"name": "live-0"}, {"name": "next-0"}]});
    let refused = said(&try_create(&pia, &space, naming).await.unwrap_err());
    assert!(refused.contains("pia may not name ConfigMap next-0: needs get and update"), "{refused}");
}
