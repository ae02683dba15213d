//! A Postgres as its image sets it up: who comes from a loopback address needs no password, and everybody else does.

use crate::support::{Sidecar, becomes, free_address, run};
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// The user that the server runs as, since it refuses to run as root: `nobody`.
const USER: u32 = 65_534;
const PASSWORD: &str = "correct horse";
/// What the official image writes.
const RULES: &str = "local all all trust\nhost all all 127.0.0.1/32 trust\nhost all all ::1/128 trust\nhost all all all scram-sha-256\n";

/// A server; it ends with this value.
struct Postgres {
    address: SocketAddr,
    directory: TempDir,
    _server: Child,
}

fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("is postgresql installed? make setup");
    versions.last().expect("a version of postgresql").unwrap().path().join("bin").join(name)
}

impl Postgres {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (data, password) = (directory.path().join("data"), directory.path().join("password"));
        std::fs::write(&password, PASSWORD).unwrap();
        chown(directory.path(), Some(USER), None).unwrap();
        chown(&password, Some(USER), None).unwrap();
        let mut initialise = Command::new(program("initdb"));
        initialise.args(["--no-sync", "--auth=scram-sha-256", "--username=postgres", "--pwfile"]).arg(&password);
        let (code, output) = run(initialise.arg("--pgdata").arg(&data).uid(USER)).await;
        assert_eq!(code, 0, "{output}");
        std::fs::write(data.join("pg_hba.conf"), RULES).unwrap();
        let address = free_address();
        let mut server = Command::new(program("postgres"));
        server.arg("-D").arg(&data).arg("-k").arg(directory.path()).args(["-c", "fsync=off", "-h", "127.0.0.1", "-p"]);
        server.arg(address.port().to_string()).uid(USER).kill_on_drop(true).stdout(Stdio::null()).stderr(Stdio::null());
        let postgres = Self { address, directory, _server: server.spawn().unwrap() };
        becomes("Postgres answers", async || postgres.ask(address, None).await.0 == 0).await;
        postgres
    }

    /// Exit code and output of a query over TCP.
    async fn ask(&self, address: SocketAddr, password: Option<&str>) -> (i32, String) {
        let mut query = Command::new(program("psql"));
        query.args(["--no-psqlrc", "--no-password", "--tuples-only", "--username=postgres", "--command=select 6 * 7"]);
        query.args(["--host", &address.ip().to_string(), "--port", &address.port().to_string()]);
        query.env_clear().env("PGCONNECT_TIMEOUT", "10").env("HOME", self.directory.path());
        run(query.envs(password.map(|password| ("PGPASSWORD", password)))).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_trusts_local_connections_demands_a_password_of_what_comes_through_the_sidecar() {
    let postgres = Postgres::start().await;
    assert_eq!(postgres.ask(postgres.address, None).await.0, 0, "a local connection is trusted");

    let sidecar = Sidecar::start(postgres.address, &["--mode", "tcp"]).await;
    let (code, output) = postgres.ask(sidecar.traffic, None).await;
    assert!(code != 0 && output.contains("no password supplied"), "{code}: {output}");
    let (code, output) = postgres.ask(sidecar.traffic, Some("a guess")).await;
    assert!(code != 0 && output.contains("password authentication failed"), "{code}: {output}");
    assert_eq!(postgres.ask(sidecar.traffic, Some(PASSWORD)).await, (0, "       42\n\n".to_owned()));

    // The control: what the default protects from.
    let trusted = Sidecar::start(postgres.address, &["--mode", "tcp", "--app-source", "loopback"]).await;
    assert_eq!(postgres.ask(trusted.traffic, None).await.0, 0, "--app-source loopback opens it");
}
