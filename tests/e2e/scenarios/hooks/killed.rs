//! The controller killed while hooks run.
//!
//! **Invariant:** every kill comes after the receiver has the call on record.

use crate::support::app::Template;
use crate::support::controller::{self, Election};
use crate::support::figures::Figures;
use crate::support::receiver::{Receiver, http, job};
use crate::support::request::Request;
use crate::support::space::Space;
use crate::support::{Result, ensure};
use serde_json::json;
use std::collections::BTreeSet;

/// Killed while a Job runs and while a request is under way: the Job ran once, the request was sent with one key.
pub async fn job_and_request(space: &Space) -> Result<Figures> {
    let client = &space.cluster.client;
    controller::bring_back(client, Election::Short).await?;
    Template::web()?.replicas(1).deploy(space).await?;
    let receiver = Receiver::deploy(space).await?;
    let address = "http://$(RECEIVER_SERVICE_HOST):80/hook?by=job&millis=5000";
    let pre = [
        job("slow", &["ask", "POST", address], json!({})),
        http("tell", "by=request&millis=5000", json!({"timeoutSeconds": 60})),
    ];
    let request = Request::apply(space, "web", "web", json!({"hooks": {"pre": pre}})).await?;
    for word in ["by=job", "by=request"] {
        let victim = controller::aim(client).await?;
        receiver.awaited(word).await?;
        victim.kill(client).await;
        controller::ready(client).await?;
    }
    request.completed(120).await?;
    let (by_job, sent) = (receiver.with("by=job").await?.len(), receiver.with("by=request").await?);
    ensure!(by_job == 1, "the Job ran {by_job} times");
    let keys: BTreeSet<&str> = sent.iter().map(|one| one.idempotency_key.as_str()).collect();
    ensure!(keys.len() == 1, "there were several keys: {keys:?}");
    let bodies: BTreeSet<&str> = sent.iter().map(|one| one.body.as_str()).collect();
    ensure!(bodies.len() == 1, "the bodies differ: {bodies:?}");
    Ok(Figures::note(format!("the Job ran once; {} requests with one key", sent.len())).replaced(1))
}
