//! The controller's program as a process: started, read, asked, told, ended.
//!
//! **Invariant:** every line that it writes is JSON and is kept.

use super::PATIENCE;
use serde_json::Value;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// A controller that looks after one namespace and keeps its key and its Lease there.
pub struct Running {
    process: Child,
    lines: mpsc::UnboundedReceiver<String>,
    admin: String,
    pub seen: Vec<String>,
}

impl Running {
    /// Started, and ready.
    pub async fn start(namespace: &str) -> Self {
        Self::start_with(namespace, &[]).await
    }

    pub async fn start_with(namespace: &str, arguments: &[&str]) -> Self {
        Self::ready(Self::spawn(namespace, arguments, None)).await
    }

    /// One that looks after all namespaces; a test with it runs alone. Thousands of decisions are not logged.
    pub async fn everywhere(own: &str) -> Self {
        Self::ready(Self::begin(own, &["--log", "info,audit=off"], None, &[])).await
    }

    /// One that looks after several namespaces.
    pub async fn over(own: &str, namespaces: &str) -> Self {
        Self::ready(Self::begin(own, &["--log", "info,audit=off", "--namespace", namespaces], None, &[])).await
    }

    async fn ready(mut running: Self) -> Self {
        let serving = running.line(|line| line["address"].is_string()).await;
        running.admin = serving["address"].as_str().unwrap().to_owned();
        running.line(|line| line["message"] == "ready").await;
        running
    }

    /// Only begun, with another kubeconfig if one is named.
    pub fn spawn(namespace: &str, arguments: &[&str], kubeconfig: Option<&std::path::Path>) -> Self {
        Self::begin(namespace, &[&["--namespace", namespace], arguments].concat(), kubeconfig, &[])
    }

    /// Started and ready, with more in its environment.
    #[cfg(feature = "otel")]
    pub async fn start_in(namespace: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let arguments = [&["--namespace", namespace], arguments].concat();
        Self::ready(Self::begin(namespace, &arguments, None, environment)).await
    }

    /// Only begun; it lives in one namespace and restarts in another.
    pub fn spawn_in(own: &str, namespace: &str, kubeconfig: Option<&std::path::Path>) -> Self {
        Self::begin(own, &["--namespace", namespace], kubeconfig, &[])
    }

    fn begin(
        own: &str,
        arguments: &[&str],
        kubeconfig: Option<&std::path::Path>,
        environment: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_restart-controller"));
        command.args(["run", "--admin", "127.0.0.1:0"]).env("RUST_LOG", "info");
        command.args(["--own-namespace", own]).args(arguments);
        command.envs(environment.iter().copied());
        if let Some(file) = kubeconfig {
            command.env("KUBECONFIG", file);
        }
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap()).lines();
        let (sender, lines) = mpsc::unbounded_channel();
        // Always read, or a full pipe would hold up the controller.
        tokio::spawn(async move {
            while let Ok(Some(line)) = stdout.next_line().await {
                let _ = sender.send(line);
            }
        });
        Self { process, lines, admin: String::new(), seen: vec![] }
    }

    /// The next log line of that kind.
    pub async fn line(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = async {
            while let Some(line) = self.lines.recv().await {
                let parsed: Value = serde_json::from_str(&line).unwrap();
                self.seen.push(line);
                if wanted(&parsed) {
                    return Some(parsed);
                }
            }
            None
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.ok().flatten().unwrap_or_else(|| panic!("no such line in {:#?}", self.seen))
    }

    pub async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.admin).await.unwrap();
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// The most memory that it has had.
    pub fn most_memory_mib(&self) -> u64 {
        let file = format!("/proc/{}/status", self.process.id().unwrap());
        let text = std::fs::read_to_string(file).unwrap();
        let line = text.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    /// Sends a signal, by its name without SIG.
    pub async fn signal(&self, name: &str) {
        let id = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().await.unwrap().success());
    }

    /// Waits for its end; returns how it ended, the lines that it had not been asked for, and what it said at last.
    pub async fn ended(mut self) -> (ExitStatus, Vec<String>, String) {
        let status = tokio::time::timeout(PATIENCE, self.process.wait()).await.unwrap().unwrap();
        let mut rest = vec![];
        while let Some(line) = self.lines.recv().await {
            rest.push(line);
        }
        let mut last = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut last).await.unwrap();
        (status, rest, last)
    }

    /// Asks it to stop as Kubernetes does; returns how long it took and all that it logged.
    pub async fn stop(mut self) -> (Duration, String) {
        let begun = Instant::now();
        self.signal("TERM").await;
        let seen = std::mem::take(&mut self.seen);
        let (status, rest, last) = self.ended().await;
        let took = begun.elapsed();
        assert!(status.success(), "{status}: {last}");
        (took, [seen, rest].concat().join("\n"))
    }
}
