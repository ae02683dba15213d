//! Hooks: called once, told what is restarted, failing as they are asked to, and gone with the run.
//!
//! **Invariant:** what a hook did is judged by the receiver or the cluster, what became of the run by its status.

pub mod ended;
pub mod http;
pub mod job;
pub mod killed;
pub mod refused;

use crate::support::app::{App, Content, Workload};
use crate::support::{Result, ensure};
use std::collections::BTreeMap;

/// What a hook that fails before the restart must leave as it was.
struct Before {
    starts: BTreeMap<String, Vec<String>>,
    content: Content,
    workload: Workload,
}

impl Before {
    async fn look(app: &App<'_>) -> Result<Self> {
        Ok(Self { starts: app.starts().await?, content: app.content().await?, workload: app.workload().await? })
    }

    async fn same(self, app: &App<'_>) -> Result {
        let after = Self::look(app).await?;
        ensure!(self.starts == after.starts, "pods: before {:?}, after {:?}", self.starts, after.starts);
        ensure!(self.content == after.content, "content: before {:?}, after {:?}", self.content, after.content);
        ensure!(self.workload == after.workload, "workload: before {:?}, after {:?}", self.workload, after.workload);
        Ok(())
    }
}
