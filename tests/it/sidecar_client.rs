//! The controller's client and a real sidecar, over an address that is not loopback: what one signs the other obeys.

#![allow(clippy::unwrap_used, reason = "a test ends where it finds what it does not expect, helpers included")]

use clap::Parser as _;
use restart_controller::controller::keys::Keys;
use restart_controller::controller::leader::Leader;
use restart_controller::controller::sidecars::{SidecarError, Sidecars};
use restart_controller::sidecar::cli::{Cli, Verb};
use restart_controller::sidecar::{self, Sidecar};
use restart_controller::wire::{DrainAction, DrainCommand, InFlightReport, NewRequests, random_id};
use std::net::UdpSocket;

const POD: &str = "5f0c2d5e-pod";

/// This machine's address in this network; nothing is sent to find it.
fn own_address() -> String {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").expect("a network beside loopback: run by `make it`");
    socket.local_addr().unwrap().ip().to_string()
}

/// A sidecar that trusts `keys`.
async fn started(ip: &str, keys: &Keys) -> Sidecar {
    let (any, socket, key) = (format!("{ip}:0"), format!("test-{}", random_id()), keys.public_text());
    let arguments = ["restart-sidecar", "run", "--listen", &any, "--admin", &any, "--upstream", "127.0.0.1:9"];
    let arguments = arguments.into_iter().chain(["--control-socket", &socket, "--pod-uid", POD, "--trusted-key", &key]);
    let Verb::Run(run) = Cli::try_parse_from(arguments).unwrap().verb else { unreachable!() };
    sidecar::start(*run).await.unwrap()
}

fn command(report: &InFlightReport, action: DrainAction) -> DrainCommand {
    DrainCommand {
        pod_uid: report.pod_uid.clone(),
        boot: report.boot.clone(),
        challenge: report.challenge.clone(),
        action,
        ttl_seconds: 30,
        new_requests: NewRequests::Serve,
        key_id: String::new(),
        signature: String::new(),
    }
}

fn reason(refused: Result<InFlightReport, SidecarError>) -> String {
    match refused {
        Err(SidecarError::Refused { reason, .. }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_sidecar_obeys_its_controller_once_per_command_and_nobody_else() {
    let (ip, keys, client) = (own_address(), Keys::from_seed(&[1; 32]), Sidecars::new(Leader::always()));
    let sidecar = started(&ip, &keys).await;
    let port = sidecar.admin.port();
    let idle = client.report("shop", &ip, port, POD).await.unwrap();
    assert_eq!(
        (idle.in_flight, idle.lease.is_none(), idle.trusted_keys.as_slice()),
        (0, true, &[keys.id().to_owned()][..])
    );

    let drain = keys.sign(command(&idle, DrainAction::Drain), &[]);
    let draining = client.command("shop", &ip, port, &drain).await.unwrap();
    assert!(draining.lease.is_some_and(|lease| lease.remaining_millis > 25_000 && lease.remaining_millis <= 30_000));
    assert_ne!(draining.challenge, idle.challenge);

    assert_eq!(reason(client.command("shop", &ip, port, &drain).await), "WrongChallenge", "the same command again");
    let draining = client.report("shop", &ip, port, POD).await.unwrap();
    let stranger = Keys::from_seed(&[2; 32]).sign(command(&draining, DrainAction::Release), &[]);
    assert_eq!(reason(client.command("shop", &ip, port, &stranger).await), "UnknownKey");
    let changed = DrainCommand { ttl_seconds: 300, ..keys.sign(command(&draining, DrainAction::Drain), &[]) };
    assert_eq!(reason(client.command("shop", &ip, port, &changed).await), "BadSignature");

    let released =
        client.command("shop", &ip, port, &keys.sign(command(&draining, DrainAction::Release), &[])).await.unwrap();
    assert!(released.lease.is_none());
}

#[tokio::test]
async fn a_sidecar_of_another_pod_at_the_same_address_is_not_believed() {
    let (ip, keys) = (own_address(), Keys::from_seed(&[1; 32]));
    let sidecar = started(&ip, &keys).await;
    let answered = Sidecars::new(Leader::always()).report("shop", &ip, sidecar.admin.port(), "another-pod").await;
    assert!(matches!(answered, Err(SidecarError::WrongPod { found, .. }) if found == POD));
}
