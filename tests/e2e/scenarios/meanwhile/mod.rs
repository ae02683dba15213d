//! The world moves while a restart is under way: people, autoscalers and other controllers do not wait for it.
//!
//! **Invariant:** everything happens while pods are cordoned or detached, which is seen before it is done.

pub mod configuration;
pub mod controller_configured;
pub mod definition;
pub mod namespace;
pub mod node;
pub mod pods_deleted;
pub mod rollout;
pub mod scaled;
pub mod service;

use crate::support::Result;
use crate::support::app::{App, Template};
use crate::support::figures::Figures;
use crate::support::load::{Load, Report};
use crate::support::request::Request;
use crate::support::space::Space;
use restart_controller::api::Step;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The sample under load, and a restart of it that has come as far as a drain.
struct Scene<'a> {
    app: App<'a>,
    load: Load<'a>,
    old: BTreeSet<String>,
    request: Request<'a>,
}

impl<'a> Scene<'a> {
    async fn draining(space: &'a Space, replicas: i32, more: Value) -> Result<Self> {
        let app = Template::web()?.replicas(replicas).deploy_with_load(space).await?;
        let load = Load::start(space, "meanwhile", &app.address().await?, 50, json!({})).await?;
        load.sent(50).await?;
        let old = app.uids().await?;
        let request = Request::apply(space, "web", app.name, more).await?;
        request.entered(Step::Draining).await?;
        Ok(Self { app, load, old, request })
    }

    /// Everything is whole, and nothing was lost.
    async fn end(self) -> Result<(Report, Figures)> {
        self.app.whole().await?;
        let report = self.load.stop().await?;
        report.nothing_lost()?;
        let left = self.app.uids().await?;
        let figures = Figures::default().load(&report).replaced(self.old.difference(&left).count());
        Ok((report, figures))
    }
}
