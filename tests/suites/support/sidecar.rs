//! The sidecar's own program, with what a person could measure of it from outside.

use super::{admin, becomes, soon};
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

static STARTED: AtomicU64 = AtomicU64::new(0);

/// A running sidecar. At its end the test fails if it has panicked.
pub struct Sidecar {
    child: Child,
    pub traffic: SocketAddr,
    pub admin: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Sidecar {
    pub async fn start(app: SocketAddr, arguments: &[&str]) -> Self {
        Self::with_files(app, arguments, None).await
    }

    /// With at most `files` open files.
    pub async fn with_files(app: SocketAddr, arguments: &[&str], files: Option<u32>) -> Self {
        let limit = files.map(|files| format!("ulimit -n {files}"));
        Self::with_shell(app, arguments, limit.as_deref()).await
    }

    /// After a shell has done `before`.
    pub async fn with_shell(app: SocketAddr, arguments: &[&str], before: Option<&str>) -> Self {
        let program = std::env::var("SUITES_SIDECAR").unwrap_or_else(|_| env!("CARGO_BIN_EXE_restart-sidecar").into());
        let mut command = match before {
            None => Command::new(&program),
            Some(before) => {
                let mut shell = Command::new("bash");
                shell.args(["-c", &format!("{before}; exec \"$0\" \"$@\""), &program]);
                shell
            }
        };
        let socket = format!("suites-{}-{}", std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed));
        let any = "127.0.0.1:0";
        command.args(["run", "--listen", any, "--admin", "127.0.0.2:0", "--control-socket", &socket, "--upstream"]);
        command.arg(app.to_string()).args(arguments).kill_on_drop(true).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let started = soon("the start", lines.next_line()).await.unwrap().expect("a sidecar that starts");
        let after = |word: &str| started.split_once(word).unwrap_or_else(|| panic!("{started}")).1.split(' ').next();
        let address = |word| after(word).unwrap().parse().unwrap();
        let (traffic, admin) = (address("listen="), address("admin="));
        let log = Arc::new(Mutex::new(vec![started.clone()]));
        let kept = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                kept.lock().unwrap().push(line);
            }
        });
        Self { child, traffic, admin, log }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.traffic)
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        soon("the admin port answers", admin::get(self.admin, path)).await
    }

    /// A number of the metrics page.
    pub async fn metric(&self, name: &str) -> u64 {
        let page = self.get("/metrics").await.1;
        let line = page.lines().find_map(|line| line.strip_prefix(&format!("restart_sidecar_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
    }

    /// Waits until nothing is in flight any more.
    pub async fn is_idle(&self) {
        becomes("nothing is in flight", async || self.metric("in_flight").await == 0).await;
    }

    /// Waits until no client connection is open any more.
    pub async fn is_empty(&self) {
        becomes("no connection is open", async || self.metric("connections").await == 0).await;
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id().unwrap())).unwrap()
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most that has been resident, in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, name: &str) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Processor time used, in clock ticks (a hundredth of a second).
    pub fn ticks(&self) -> u64 {
        let stat = self.proc("stat");
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Lines of its log so far.
    pub fn log_lines(&self) -> usize {
        self.log.lock().unwrap().len()
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let log = self.log.lock().unwrap();
        let panicked = log.iter().find(|line| line.contains("panicked"));
        if let (Some(line), false) = (panicked, std::thread::panicking()) {
            panic!("the sidecar panicked: {line}");
        }
        if std::thread::panicking() {
            eprintln!("the sidecar's log:\n{}", log.join("\n"));
        }
    }
}
