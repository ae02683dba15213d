//! One scenario as a trial of the test runner: its namespace, its time limit, its line of figures, its diagnosis.
//!
//! **Invariant:** a scenario that fails, hangs or panics takes nothing down with it, and its namespace goes all the same.

use crate::support::Result;
use crate::support::cluster::Cluster;
use crate::support::figures::Figures;
use crate::support::nodes;
use crate::support::space::Space;
use futures::future::LocalBoxFuture;
use libtest_mimic::{Failed, Trial};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// No scenario takes longer on a machine that can run them at all.
const LIMIT: Duration = Duration::from_secs(420);

/// What a scenario does in its namespace.
pub type Act = for<'a> fn(&'a Space) -> LocalBoxFuture<'a, Result<Figures>>;

/// A sentence and what shows it.
pub struct Scenario {
    /// What is shown.
    pub sentence: &'static str,
    /// Its namespace.
    pub namespace: &'static str,
    /// How.
    pub act: Act,
}

/// What all scenarios share.
#[derive(Clone)]
pub struct Bench {
    runtime: Arc<Runtime>,
    cluster: Arc<OnceCell<Arc<Cluster>>>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    /// A runtime; the cluster is touched by the first scenario that runs.
    pub fn new() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        Ok(Self { runtime: Arc::new(runtime), cluster: Arc::default(), lines: Arc::default() })
    }

    /// The lines of all scenarios that ran.
    pub fn figures(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    async fn cluster(&self) -> Result<Arc<Cluster>> {
        let install = async || {
            let several = nodes::are_several();
            let cluster = Cluster::with_operator();
            Ok(Arc::new(if several { nodes::on_the_first(cluster).await? } else { cluster.await? }))
        };
        self.cluster.get_or_try_init(install).await.cloned()
    }

    fn keep(&self, line: String) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

impl Scenario {
    /// As the test runner takes it.
    pub fn trial(self, bench: &Bench) -> Trial {
        let bench = bench.clone();
        Trial::test(self.sentence, move || {
            let runtime = Arc::clone(&bench.runtime);
            runtime.block_on(self.run(&bench)).map_err(|error| Failed::from(error.to_string()))
        })
    }

    async fn run(&self, bench: &Bench) -> Result {
        let space = self.space(bench).await.inspect_err(|error| bench.keep(self.failed(0, &error.to_string())))?;
        let began = Instant::now();
        let result = timeout(LIMIT, (self.act)(&space)).await;
        let result = result.unwrap_or_else(|_| Err(format!("not over after {} s", LIMIT.as_secs()).into()));
        let outcome = self.conclude(bench, &space, result, began.elapsed().as_secs()).await;
        // A namespace that stays costs the next scenario nothing but room.
        if let Err(error) = space.delete().await {
            eprintln!("e2e: namespace {}: {error}", space.name);
        }
        outcome
    }

    async fn space(&self, bench: &Bench) -> Result<Space> {
        Space::create(bench.cluster().await?, &format!("e2e-{}", self.namespace)).await
    }

    fn failed(&self, seconds: u64, error: &str) -> String {
        format!("FAILED {:<76} {seconds:>4} s  {error}", self.sentence)
    }

    async fn conclude(&self, bench: &Bench, space: &Space, result: Result<Figures>, seconds: u64) -> Result {
        match result {
            Ok(figures) => {
                bench.keep(format!("ok     {:<76} {}", self.sentence, figures.line(seconds)));
                Ok(())
            }
            Err(error) => {
                bench.keep(self.failed(seconds, &error.to_string()));
                Err(format!("{error}\n{}", space.diagnosis().await).into())
            }
        }
    }
}
