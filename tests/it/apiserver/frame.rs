//! The controller's program against a real API server: start, keys, readiness, a request that cannot be read, the end.

use super::{PATIENCE, UNREADABLE, clients, namespace};
use crate::apiserver::requests::{create, minimal, raw};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use restart_controller::wire::parse_public_key;
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

/// A controller that looks after one namespace and keeps its key there.
struct Running {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    admin: String,
    seen: Vec<String>,
}

impl Running {
    async fn start(namespace: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_restart-controller"));
        command.args([
            "run",
            "--admin",
            "127.0.0.1:0",
            "--log",
            "info",
            "--namespace",
            namespace,
            "--own-namespace",
            namespace,
        ]);
        let mut process = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut running = Self { process, lines, admin: String::new(), seen: vec![] };
        let serving = running.line(|line| line["address"].is_string()).await;
        running.admin = serving["address"].as_str().unwrap().to_owned();
        running.line(|line| line["message"] == "ready").await;
        running
    }

    /// The next log line of that kind.
    async fn line(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
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

    async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.admin).await.unwrap();
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Asks it to stop as Kubernetes does; returns how long it took and all that it logged.
    async fn stop(mut self) -> (Duration, String) {
        let begun = Instant::now();
        let id = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        let status = tokio::time::timeout(PATIENCE, self.process.wait()).await.unwrap().unwrap();
        let took = begun.elapsed();
        assert!(status.success(), "{status}");
        while let Some(line) = self.lines.next_line().await.unwrap() {
            self.seen.push(line);
        }
        (took, self.seen.join("\n"))
    }
}

#[tokio::test]
async fn it_makes_its_key_once_publishes_one_half_and_logs_nothing_of_the_other() {
    let (reader, writer) = clients().await;
    let namespace = namespace(&writer, "keys").await;
    let (_, log) = Running::start(&namespace).await.stop().await;
    let maps: Api<ConfigMap> = Api::namespaced(reader.clone(), &namespace);
    let public = |map: ConfigMap| map.data.unwrap()["public"].clone();
    let first = public(maps.get("restart-controller-keys").await.unwrap());
    parse_public_key(&first).unwrap();
    let secrets: Api<Secret> = Api::namespaced(reader, &namespace);
    let secret = serde_json::to_value(secrets.get("restart-controller-keys").await.unwrap()).unwrap();
    assert!(!log.contains(secret["data"]["ed25519-seed"].as_str().unwrap()));
    let forged = json!({"data": {"public": "k=forged", "note": "kept"}});
    maps.patch("restart-controller-keys", &PatchParams::default(), &Patch::Merge(forged)).await.unwrap();
    Running::start(&namespace).await.stop().await;
    let map = maps.get("restart-controller-keys").await.unwrap();
    assert_eq!(map.data.as_ref().unwrap()["note"], "kept");
    assert_eq!(public(map), first, "the key stays and what is published is corrected");
}

#[tokio::test]
async fn two_that_start_together_agree_on_one_key() {
    let (_, writer) = clients().await;
    let namespace = namespace(&writer, "race").await;
    let (mut one, mut other) = tokio::join!(Running::start(&namespace), Running::start(&namespace));
    let key = |running: &mut Running| {
        let lines: Vec<Value> = running.seen.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.iter().find_map(|line| line["key"].as_str().map(str::to_owned)).unwrap()
    };
    assert_eq!(key(&mut one), key(&mut other));
}

#[tokio::test]
async fn it_is_ready_when_its_requests_are_listed_and_ends_within_two_seconds_of_sigterm() {
    let (_, writer) = clients().await;
    let namespace = namespace(&writer, "ends").await;
    let running = Running::start(&namespace).await;
    assert!(running.get("/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(running.get("/livez").await.starts_with("HTTP/1.1 200"));
    assert!(running.get("/metrics").await.contains("restart_controller_build_info{"));
    let (took, log) = running.stop().await;
    assert!(took < Duration::from_secs(2), "{took:?}: {log}");
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_told_and_stops_nobody_else() {
    let (reader, writer) = clients().await;
    let mut running = Running::start(UNREADABLE).await;
    let told = running.line(|line| line["name"] == UNREADABLE && line["level"] == "ERROR").await;
    assert!(told["message"].as_str().unwrap().contains("cannot be read"), "{told}");
    let name = format!("good-{}", std::process::id());
    create(&writer, UNREADABLE, minimal(&name)).await.unwrap();
    let seen = |request: Option<&DynamicObject>| {
        request.is_some_and(|request| request.data["status"]["observedGeneration"] == 1)
    };
    let good = await_condition(raw(&reader, UNREADABLE), &name, seen);
    tokio::time::timeout(PATIENCE, good).await.expect("the good request is taken up").unwrap();
    assert!(running.get("/metrics").await.contains("restart_controller_undecodable_objects_total 1"));
    let left_alone = raw(&writer, UNREADABLE).get(UNREADABLE).await.unwrap();
    assert_eq!(left_alone.data["status"]["estimatedSeconds"], "many");
}
