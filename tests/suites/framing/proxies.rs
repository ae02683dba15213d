//! The proxies, each before two apps of its own: one for what clients send, one for what apps answer.

use super::recorder::Recorder;
use crate::support::{Sidecar, free_address, soon};
use std::net::SocketAddr;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A proxy before an app.
pub struct Side {
    pub address: SocketAddr,
    pub app: Recorder,
}

/// What runs, to end with the test.
#[expect(dead_code, clippy::large_enum_variant, reason = "held, not looked at; there are four")]
pub enum Running {
    Sidecars(Sidecar, Sidecar),
    Other(Child, TempDir),
    Here,
}

/// One of them.
pub struct Proxy {
    /// Never uses a connection to the app for two clients.
    pub requests: Side,
    /// Does, where it does so by default.
    pub answers: Side,
    _running: Running,
}

pub async fn ours() -> Proxy {
    let (first, second) = (Recorder::start().await, Recorder::start().await);
    let for_requests = Sidecar::start(first.address, &["--upstream-idle-millis", "0"]).await;
    let for_answers = Sidecar::start(second.address, &[]).await;
    Proxy {
        requests: Side { address: for_requests.traffic, app: first },
        answers: Side { address: for_answers.traffic, app: second },
        _running: Running::Sidecars(for_requests, for_answers),
    }
}

pub async fn hyper() -> Proxy {
    let (first, second) = (Recorder::start().await, Recorder::start().await);
    let (for_requests, for_answers) =
        (super::hyper::start(first.address, 0).await, super::hyper::start(second.address, 16).await);
    Proxy {
        requests: Side { address: for_requests, app: first },
        answers: Side { address: for_answers, app: second },
        _running: Running::Here,
    }
}

pub async fn haproxy() -> Proxy {
    other("haproxy", |sides, _| {
        let [(listen, app), (listen_too, app_too)] = sides;
        format!(
            "defaults\n mode http\n timeout connect 30s\n timeout client 30s\n timeout server 30s\n\
             listen requests\n bind {listen}\n http-reuse never\n server app {app}\n\
             listen answers\n bind {listen_too}\n server app {app_too}\n"
        )
    })
    .await
}

pub async fn nginx() -> Proxy {
    other("nginx", |sides, folder| {
        let [(listen, app), (listen_too, app_too)] = sides;
        let mut temporary = String::new();
        for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            temporary += &[" ", name, "_temp_path ", folder, "/", name, ";\n"].concat();
        }
        format!(
            "daemon off;\nworker_processes 1;\npid {folder}/pid;\nerror_log {folder}/error.log;\n{}events {{}}\nhttp {{\n access_log off;\n{temporary}\
             \x20upstream answers {{ server {app_too}; keepalive 16; }}\n\
             \x20server {{ listen {listen}; location / {{ proxy_pass http://{app}; proxy_http_version 1.1; }} }}\n\
             \x20server {{ listen {listen_too}; location / {{ proxy_pass http://answers; proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }}\n}}\n",
            // As root it would give its workers to a user who may not write to the folder.
            if is_root() { "user root;\n" } else { "" }
        )
    })
    .await
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

async fn other(name: &'static str, configuration: impl Fn([(SocketAddr, SocketAddr); 2], &str) -> String) -> Proxy {
    let (first, second) = (Recorder::start().await, Recorder::start().await);
    let (listen, listen_too) = (free_address(), free_address());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("configuration");
    let sides = [(listen, first.address), (listen_too, second.address)];
    std::fs::write(&path, configuration(sides, folder.path().to_str().unwrap())).unwrap();
    // Neither Debian package puts its program where every user's PATH looks.
    let mut command = Command::new(format!("/usr/sbin/{name}"));
    let flag = if name == "nginx" { "-c" } else { "-f" };
    let log = std::fs::File::create(folder.path().join("stderr")).unwrap();
    command.arg(flag).arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error} (is it installed? make setup)"));
    let listens = async {
        while TcpStream::connect(listen).await.is_err() || TcpStream::connect(listen_too).await.is_err() {
            let said = std::fs::read_to_string(folder.path().join("stderr")).unwrap();
            assert!(child.try_wait().unwrap().is_none(), "{name} ended: {said}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    soon(name, listens).await;
    Proxy {
        requests: Side { address: listen, app: first },
        answers: Side { address: listen_too, app: second },
        _running: Running::Other(child, folder),
    }
}
