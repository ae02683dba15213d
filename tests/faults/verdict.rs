//! What came of a plan, and what there is to see when something does not hold.
//!
//! **Invariant:** a diagnosis is made while the namespace is still there.

use crate::judge::oracle::Undisturbed;
use crate::plan::Injection;
use crate::proxy::{Proxy, Seen};
use crate::support::cluster::kubectl;
use crate::world::crew::Crew;
use crate::world::space::Space;
use std::time::Duration;

/// What came of a plan.
#[derive(Default)]
pub struct Verdict {
    /// What does not hold.
    pub wrong: Vec<String>,
    /// Requests sent meanwhile.
    pub sent: u64,
    /// Of them, those that were lost.
    pub failed: u64,
    /// Faults whose point did not come.
    pub left: Vec<Injection>,
    /// What the run did.
    pub did: Option<Undisturbed>,
    /// What there is to see when something does not hold.
    pub diagnosis: String,
    /// From the request to its end.
    pub took: Duration,
    /// Why what does not hold may be the machine's fault: it had no time for its own timers.
    pub excuse: Option<String>,
    /// Reads of the controllers.
    pub reads: u64,
    /// It could not be judged: the machine or the cluster did not do its part.
    pub void: bool,
}

/// Everything that there is to see.
pub async fn diagnosis(space: &Space, proxy: &Proxy, crew: &Crew) -> String {
    let ask = async |arguments: &[&str]| {
        let all = [&["--namespace", &space.name], arguments].concat();
        kubectl(&all, "").await.unwrap_or_else(|error| error.to_string())
    };
    let objects = ask(&["get", "restartrequests,restarthistories", "-o", "yaml"]).await;
    let rest =
        ask(&["get", "deployments,replicasets,pods,configmaps,endpointslices", "-o", "wide", "--show-labels"]).await;
    let events = ask(&["get", "events", "--sort-by=.metadata.creationTimestamp"]).await;
    let writes: Vec<String> = proxy.seen().iter().map(line).collect();
    format!("{objects}\n{rest}\n{events}\n--- writes\n{}\n--- log\n{}", writes.join("\n"), crew.log())
}

fn line(seen: &Seen) -> String {
    let nth = seen.nth.map_or_else(|| "-".to_owned(), |nth| nth.to_string());
    let fault = seen.fault.map(|fault| fault.to_string()).unwrap_or_default();
    let answer = seen.answer.map_or_else(|| "none".to_owned(), |answer| answer.to_string());
    format!(
        "{:?} {} {}#{nth} {} {answer} {fault} uid {:?}",
        seen.at,
        seen.from,
        seen.kind.name(),
        seen.call.line,
        seen.call.uid
    )
}
