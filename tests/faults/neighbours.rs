//! Addresses that the node asked for on its bridge and that answered nothing, which a client sees as "No route to host".
//!
//! **Invariant:** this explains a lost request and excuses none.

use crate::support::Result;
use crate::world::pods::Pods;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

/// Follows the kernel's table of neighbours from the start on, because the kernel forgets a failed address in some seconds.
pub struct Neighbours {
    failed: Arc<Mutex<Vec<Failed>>>,
    /// `ip monitor`, which ends with this value.
    _monitor: Child,
}

/// One address that did not answer.
struct Failed {
    /// When the kernel gave up, as `ip` writes it.
    at: String,
    address: String,
}

impl Neighbours {
    /// Begins to follow.
    pub fn follow() -> Result<Self> {
        let mut monitor = Command::new("ip");
        monitor.args(["-ts", "monitor", "neigh"]).stdout(Stdio::piped()).kill_on_drop(true);
        let mut monitor = monitor.spawn()?;
        let output = monitor.stdout.take().ok_or("ip monitor has no output")?;
        let failed = Arc::default();
        tokio::spawn(read(output, Arc::clone(&failed)));
        Ok(Self { failed, _monitor: monitor })
    }

    /// The pods of the plan that did not answer, each with the time; empty where there are none.
    pub fn unanswered(&self, pods: &Pods) -> String {
        let lives = pods.lives();
        let of = |failed: &Failed| {
            let life = lives.values().find(|life| life.address == failed.address)?;
            let Failed { at, address } = failed;
            Some(format!("{address} at {at} ({}, now {:?}, ready {})", life.name, life.stage, life.ready))
        };
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.iter().filter_map(of).collect::<Vec<_>>().join(", ")
    }
}

async fn read(output: ChildStdout, failed: Arc<Mutex<Vec<Failed>>>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        failed.lock().unwrap_or_else(PoisonError::into_inner).extend(parse(&line));
    }
}

/// A line such as `[2026-11-30T07:04:27.588062] 10.9.0.7 dev br0 FAILED `.
fn parse(line: &str) -> Option<Failed> {
    let (at, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let (address, state) = rest.trim_end().split_once(' ')?;
    state.ends_with("FAILED").then(|| Failed { at: at.to_owned(), address: address.to_owned() })
}
