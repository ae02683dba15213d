//! A node is lost before restarts begin: one outage, four workloads, each restarted as its kind allows.
//!
//! **Invariant:** the node stays lost until all restarts have ended, so that none of them can have waited for it.

use super::{node_of, pod_on, spread_over_nodes};
use crate::scenarios::workloads::order;
use crate::support::app::{App, Template};
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::nodes::{Closed, Stalled, load_on_the_first};
use crate::support::request::took;
use crate::support::space::Space;
use crate::support::wait::{until, when};
use crate::support::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use restart_controller::api::RestartRequestStatus;
use serde_json::{Value, json};
use tokio::try_join;

const LOST: &str = "node2";
const FIX: &str = "greeting: the fix\ndelayMillis: 200\n";

/// The four, each with a pod on the node that is lost.
struct Four<'a> {
    web: App<'a>,
    /// Its middle pod is there.
    ordered: App<'a>,
    parallel: App<'a>,
    agent: App<'a>,
}

/// Before the outage four workloads; during it five restarts; after it everything is whole.
pub async fn before_the_run(space: &Space) -> Result<Figures> {
    load_on_the_first(space).await?;
    let four = Box::pin(Four::deploy(space)).await?;
    let lost = Stalled::lose(space, LOST).await?;
    let gone = pod_on(&four.web, LOST).await?;
    four.web.edit_config(FIX).await?;
    let fixed = four.web.content().await?;
    let loads = four.loads(space).await?;
    let (web, ordered, parallel, agent) = Box::pin(four.restarted()).await?;
    let web_again = four.with_stuck_pods().await?;
    let mut figures = Figures::default();
    for load in loads {
        let report = load.stop().await?;
        report.nothing_lost()?;
        figures = figures.load(&report);
    }
    ensure!(fixed == four.web.content().await?, "the edit was taken back");
    lost.come_back(space).await?;
    four.whole(&gone).await?;
    let times = [("web", &web), ("ordered", &ordered), ("parallel", &parallel), ("agent", &agent)];
    let times: Vec<String> = times.map(|(name, status)| format!("{name} in {}", took(status))).to_vec();
    Ok(figures.and(times.join(", ")).and(format!("web again in {}", took(&web_again))).and(ordered.message))
}

impl<'a> Four<'a> {
    /// A StatefulSet starts its pods in order: the first node is open for its first pod, the third for the next.
    async fn deploy(space: &'a Space) -> Result<Self> {
        let spread = |template: Template, name: &'static str, more: Value| {
            template.renamed(name).edit_pod(move |pod| spread_over_nodes(pod, name, more.clone()))
        };
        let closed = Closed::to_new_pods(&["node1", LOST]).await?;
        let ordered = spread(Template::stateful_set()?, "ordered", json!({})).replicas(1).deploy(space).await?;
        closed.open().await?;
        let closed = Closed::to_new_pods(&["node1"]).await?;
        space.kubectl(&["scale", "statefulset", "ordered", "--replicas=3"]).await?;
        until("the second pod to have a node", 60, async || {
            let pod = space.api::<Pod>().get_opt("ordered-1").await?;
            let placed = pod.as_ref().is_some_and(|pod| node_of(pod) == LOST);
            Ok(when(placed, || format!("it has {:?}", pod.as_ref().map(node_of))))
        })
        .await?;
        closed.open().await?;
        // A node that is lost takes no pod: it is not one of those that the spread counts.
        let web = spread(Template::web()?, "web", json!({"nodeTaintsPolicy": "Honor"}));
        let parallel = spread(Template::stateful_set()?, "parallel", json!({}));
        let parallel = parallel.edit("StatefulSet", |set| set["spec"]["podManagementPolicy"] = json!("Parallel"));
        let agent = Template::daemon_set()?.renamed("agent");
        let (web, parallel, agent, ()) =
            try_join!(web.deploy(space), parallel.deploy(space), agent.deploy(space), ordered.settled())?;
        Ok(Self { web, ordered, parallel, agent })
    }

    fn all(&self) -> [&App<'a>; 4] {
        [&self.web, &self.ordered, &self.parallel, &self.agent]
    }

    async fn loads(&self, space: &'a Space) -> Result<Vec<Load<'a>>> {
        let mut loads = vec![];
        for app in self.all() {
            loads.push(Load::start(space, app.name, &app.address().await?, 10, json!({})).await?);
        }
        Ok(loads)
    }

    async fn restarted(
        &self,
    ) -> Result<(RestartRequestStatus, RestartRequestStatus, RestartRequestStatus, RestartRequestStatus)> {
        try_join!(self.web_restarted(), self.ordered_restarted(), self.parallel_restarted(), self.agent_restarted())
    }

    /// The lost pod goes first, its replacement starts elsewhere, and the end of the lost one is not awaited.
    async fn web_restarted(&self) -> Result<RestartRequestStatus> {
        let (lost, old) = (pod_on(&self.web, LOST).await?, self.web.uids().await?);
        let all_at_once = json!({"strategy": {"maxParallel": "100%"}});
        let status = self.web.restart("web", all_at_once).await?.completed(240).await?;
        ensure!(order(&status).first() == Some(&lost.name_any()), "{} did not go first: {status:?}", lost.name_any());
        let new = self.web.pods().await?;
        let elsewhere = new.iter().all(|pod| node_of(pod) != LOST && !old.contains(&pod.uid().unwrap_or_default()));
        ensure!(elsewhere && new.len() == 3, "not every pod is a new one on another node");
        let left = self.web.space.api::<Pod>().get_opt(&lost.name_any()).await?;
        ensure!(left.is_some(), "{} is gone: its node was not lost", lost.name_any());
        Ok(status)
    }

    /// What a StatefulSet would not start again stays: the lost pod, and the one above it.
    async fn ordered_restarted(&self) -> Result<RestartRequestStatus> {
        let old = self.ordered.starts().await?;
        let status = self.ordered.restart("ordered", json!({})).await?.completed(240).await?;
        ensure!(order(&status) == ["ordered-0"], "restarted: {:?}", order(&status));
        says(&status, &["ordered-2, ordered-1", "ordered-1: its node node2 is not Ready", "those above them"])?;
        let left = self.ordered.starts().await?.keys().filter(|uid| old.contains_key(*uid)).count();
        ensure!(left == 2, "{left} pods are as they were, not 2");
        Ok(status)
    }

    async fn parallel_restarted(&self) -> Result<RestartRequestStatus> {
        let lost = pod_on(&self.parallel, LOST).await?.name_any();
        let status = self.parallel.restart("parallel", json!({})).await?.completed(240).await?;
        let restarted = order(&status);
        ensure!(restarted.len() == 2 && !restarted.contains(&lost), "restarted: {restarted:?}");
        says(&status, &["2 pods restarted", &format!("{lost}: its node node2 is not Ready")])?;
        Ok(status)
    }

    async fn agent_restarted(&self) -> Result<RestartRequestStatus> {
        let lost = pod_on(&self.agent, LOST).await?.name_any();
        let status = self.agent.restart("agent", json!({})).await?.completed(240).await?;
        let restarted = order(&status);
        ensure!(restarted.len() == 2 && !restarted.contains(&lost), "restarted: {restarted:?}");
        says(&status, &["2 pods restarted", &format!("{lost}: its node node2 is not Ready")])?;
        Ok(status)
    }

    /// Pods that are told to go and cannot: that of a StatefulSet is passed over, that of a Deployment is no matter.
    async fn with_stuck_pods(&self) -> Result<RestartRequestStatus> {
        let stuck = pod_on(&self.parallel, LOST).await?.name_any();
        self.parallel.space.kubectl(&["delete", "pod", &stuck, "--wait=false"]).await?;
        let parallel = async {
            let status = self.parallel.restart("parallel-again", json!({})).await?.completed(240).await?;
            says(
                &status,
                &["2 pods restarted", &format!("{stuck}: it is terminating on node node2, which is not Ready")],
            )
        };
        let web = async {
            let all_at_once = json!({"strategy": {"maxParallel": "100%"}});
            let status = self.web.restart("web-again", all_at_once).await?.completed(240).await?;
            ensure!(status.message == "3 pods restarted", "the end says {:?}", status.message);
            Ok(status)
        };
        let ((), web) = try_join!(parallel, web)?;
        Ok(web)
    }

    /// Nothing is detached, every place is filled, and what was told to go is gone.
    async fn whole(&self, gone: &Pod) -> Result {
        for app in self.all() {
            app.whole().await?;
        }
        let (pods, name) = (self.web.space.api::<Pod>(), gone.name_any());
        until(&format!("{name} to be gone"), 90, async || {
            Ok(when(pods.get_opt(&name).await?.is_none(), || "it is there".into()))
        })
        .await
    }
}

fn says(status: &RestartRequestStatus, words: &[&str]) -> Result {
    let missing: Vec<&&str> = words.iter().filter(|words| !status.message.contains(**words)).collect();
    ensure!(missing.is_empty(), "the end does not say {missing:?}: {}", status.message);
    Ok(())
}
