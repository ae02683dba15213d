//! Addresses that the node asked for on its bridge and that answered nothing, which a client sees as "No route to host".
//!
//! **Invariant:** this explains a lost request and excuses none.

use crate::support::Result;
use crate::world::pods::Pods;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
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
    seen: Instant,
    /// When the kernel gave up, as `ip` writes it.
    at: String,
    address: String,
    device: String,
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

    /// The addresses that have not answered since `begin`, each with the time and with what it is to the plan; empty where
    /// there are none.
    pub fn unanswered(&self, begin: Instant, pods: &Pods) -> String {
        let lives = pods.lives();
        let what = |failed: &Failed| match lives.values().find(|life| life.address == failed.address) {
            Some(life) => format!("{}, now {:?}, ready {}", life.name, life.stage, life.ready),
            None => "no pod of this plan".to_owned(),
        };
        let told =
            |failed: &Failed| format!("{} on {} at {} ({})", failed.address, failed.device, failed.at, what(failed));
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.iter().filter(|failed| failed.seen >= begin).map(told).collect::<Vec<_>>().join(", ")
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
    let mut words = rest.split_whitespace();
    let (address, device) = (words.next()?, words.nth(1)?);
    let [at, address, device] = [at, address, device].map(str::to_owned);
    words.any(|word| word == "FAILED").then(|| Failed { seen: Instant::now(), at, address, device })
}
