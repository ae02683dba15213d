//! The controllers of one plan: processes of the real program, each with a door of its own in the proxy, started again when
//! they end as the kubelet does.
//!
//! **Invariant:** no process outlives the plan.

use super::lane::Lane;
use crate::proxy::{Door, Order, Proxy};
use crate::support::Result;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

const CONFIGURATION: &str = "restart: {quietSeconds: 1, defaultTimeoutSeconds: 30}\n";
/// As short as a busy machine bears.
const ELECTION: [&str; 6] = [
    "--leader-elect-lease-duration",
    "4s",
    "--leader-elect-renew-deadline",
    "3s",
    "--leader-elect-retry-period",
    "500ms",
];
const POLICIES: &str = "ValidatingAdmissionPolicy/restartrequests.restart-controller.dev,MutatingAdmissionPolicy/requester.restart-controller.dev,\
ValidatingAdmissionPolicy/restart-controller-pods,ValidatingAdmissionPolicy/restart-controller-configmaps,\
ValidatingAdmissionPolicy/restart-controller-jobs,ValidatingAdmissionPolicy/restart-controller-secrets";
/// Sets the clock of one process (Debian's package `faketime`); of a program that is linked dynamically.
const CLOCK_LIBRARY: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";
/// From an end to the next start.
const PAUSE: Duration = Duration::from_millis(300);

/// The processes; they end with this value.
pub struct Crew {
    task: JoinHandle<()>,
    log: PathBuf,
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Crew {
    /// One process that looks after `namespace`, and others as the plan orders them.
    pub fn start(
        lane: &Lane,
        namespace: &str,
        proxy: &Arc<Proxy>,
        orders: mpsc::UnboundedReceiver<Order>,
    ) -> Result<Self> {
        let files = lane.world.directory.path().join(namespace);
        std::fs::create_dir_all(&files)?;
        let configuration = files.join("config.yaml");
        std::fs::write(&configuration, CONFIGURATION)?;
        let log = files.join("log");
        let start = Start {
            programs: lane.world.programs.clone(),
            clocks: lane.world.clocks.clone(),
            token: lane.world.token.clone(),
            own: lane.name.clone(),
            namespace: namespace.to_owned(),
            user: lane.user,
            configuration,
            files,
            proxy: proxy.clone(),
        };
        Ok(Self { task: tokio::spawn(watch(start, orders)), log })
    }

    /// What they have logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

struct Start {
    programs: Vec<PathBuf>,
    clocks: Vec<String>,
    token: String,
    own: String,
    namespace: String,
    user: u32,
    configuration: PathBuf,
    files: PathBuf,
    proxy: Arc<Proxy>,
}

async fn watch(start: Start, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut running = JoinSet::new();
    let mut number = 0;
    let mut wanted = 1;
    loop {
        while running.len() < wanted {
            number += 1;
            match start.process(number).await {
                Ok((mut child, door)) => {
                    running.spawn(async move {
                        let _door = door;
                        // How it ended stands in its log.
                        let _ = child.wait().await;
                    });
                }
                Err(error) => eprintln!("faults: a controller was not started: {error}"),
            }
        }
        tokio::select! {
            _ = running.join_next() => tokio::time::sleep(PAUSE).await,
            order = orders.recv() => match order {
                Some(Order::Another) => wanted = 2,
                None => return,
            },
        }
    }
}

impl Start {
    async fn process(&self, number: usize) -> Result<(Child, Door)> {
        let door = Door::open(&self.proxy, number).await?;
        let kubeconfig = self.files.join(format!("kubeconfig-{number}"));
        std::fs::write(&kubeconfig, self.kubeconfig(door.port))?;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.files.join("log"))?;
        let mut command = Command::new(&self.programs[(number - 1) % self.programs.len()]);
        command.args([
            "run",
            "--admin",
            "127.0.0.1:0",
            "--log",
            "info",
            "--namespace",
            &self.namespace,
            "--own-namespace",
            &self.own,
        ]);
        command.arg("--config").arg(&self.configuration).args(["--require-admission", POLICIES]).args(ELECTION);
        if let Some(clock) = self.clock(number) {
            // The controller counts deadlines by the monotonic clock, which is left as it is.
            command.env("LD_PRELOAD", CLOCK_LIBRARY).env("FAKETIME", clock).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        command.args(["--pod-name", &format!("controller-{number}")]);
        command.env("KUBECONFIG", kubeconfig).uid(self.user).stdin(std::process::Stdio::null());
        command.stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let child = command.spawn()?;
        let pid = i32::try_from(child.id().unwrap_or_default())?;
        self.proxy.is_behind(number, pid);
        Ok((child, door))
    }

    /// How wrong the clock of this process is: the first one of `CLOCKS` for the first process, and so on in turn.
    fn clock(&self, number: usize) -> Option<&str> {
        let clocks = &self.clocks;
        clocks.get((number - 1) % clocks.len().max(1)).map(String::as_str)
    }

    fn kubeconfig(&self, port: u16) -> String {
        serde_json::json!({"apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
            "users": [{"name": "controller", "user": {"token": self.token}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "controller"}}]})
        .to_string()
    }
}
