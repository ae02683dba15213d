//! The preStop chain: what holds the app, and what is closed before it goes.

use super::harness::{GET, OK, World, soon};
use std::time::{Duration, Instant};

const QUICK: [&str; 2] = ["--quiet-millis", "100"];

/// Enough requests at once that the quiet window is the shortest allowed, not that of a silent service.
async fn busy_world() -> World {
    let world = World::with(&QUICK).await;
    for _ in 0..50 {
        world.one_request().await;
    }
    world
}

#[tokio::test]
async fn the_app_is_held_at_least_two_seconds_and_then_everything_is_closed() {
    let world = busy_world().await;
    let (mut idle, mut app) = world.exchange().await;
    app.send(OK).await;
    idle.expect(OK).await;
    let began = Instant::now();
    world.sidecar.shared.terminate();
    let (status, body) = world.get("/wait-drained").await;
    assert_eq!((status, body.as_str()), (200, "drained\n"));
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    idle.closes().await;
    let refused = tokio::net::TcpStream::connect(world.sidecar.listen).await;
    assert!(refused.is_err(), "the listener is closed");
}

#[tokio::test]
async fn the_app_is_held_while_a_request_is_in_flight_and_its_answer_arrives() {
    let world = busy_world().await;
    let (mut client, mut app) = world.exchange().await;
    world.sidecar.shared.terminate();
    let waiting = world.get("/wait-drained");
    let answering = async {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        app.send(OK).await;
        assert!(client.head().await.contains("Connection: close"));
        client.expect("ok").await;
        client.closes().await;
        Instant::now()
    };
    let ((status, _), answered) = tokio::join!(waiting, answering);
    assert_eq!(status, 200);
    assert!(answered.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn late_requests_are_served_while_the_app_is_held() {
    let world = busy_world().await;
    world.sidecar.shared.terminate();
    let waiting = world.get("/wait-drained");
    let late = async {
        for _ in 0..5 {
            let (mut client, mut app) = world.exchange().await;
            app.send(OK).await;
            assert!(client.head().await.contains("Connection: close"));
            client.expect("ok").await;
        }
    };
    let ((_, body), ()) = tokio::join!(waiting, late);
    assert_eq!(body, "drained\n");
}

#[tokio::test]
async fn a_terminating_pod_is_ready_even_under_a_lease_that_it_had() {
    let world = busy_world().await;
    world.sidecar.shared.terminate();
    assert_eq!(world.get("/readyz").await.0, 200);
    assert!(world.report().await.terminating);
    let world = world.without_app().await;
    world.last_look_is_old().await;
    assert_eq!(world.get("/readyz").await.0, 503, "but not without its app");
}

#[tokio::test]
async fn an_idle_connection_with_unread_bytes_is_served_before_it_closes() {
    let world = World::start().await;
    let (mut client, mut app) = world.exchange().await;
    app.send(OK).await;
    client.expect(OK).await;
    drop(app);
    let mut fresh = world.client().await;
    world.one_request().await;
    // In one thread the relay has read neither request when it is told to close.
    client.stream.try_write(GET.as_bytes()).unwrap();
    fresh.stream.try_write(GET.as_bytes()).unwrap();
    world.sidecar.shared.close();
    let serving = async {
        for _ in 0..2 {
            let mut app = world.app().await;
            app.expect(GET).await;
            app.send(OK).await;
        }
    };
    let both = async {
        client.expect(OK).await;
        fresh.expect(OK).await;
        client.closes().await;
        fresh.closes().await;
    };
    tokio::join!(serving, both);
}

#[tokio::test]
async fn connections_that_the_kernel_has_accepted_are_served_when_the_listener_closes() {
    let world = World::start().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        // Blocking, so that the relay in this thread accepts none of them meanwhile.
        let stream = std::net::TcpStream::connect(world.sidecar.listen).unwrap();
        std::io::Write::write_all(&mut &stream, GET.as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        clients.push(super::harness::Peer::new(tokio::net::TcpStream::from_std(stream).unwrap()));
    }
    world.sidecar.shared.close();
    let serving = async {
        for _ in 0..20 {
            let mut app = world.app().await;
            app.expect(GET).await;
            app.send(OK).await;
            drop(app);
        }
    };
    let asking = async {
        for client in &mut clients {
            client.expect(OK).await;
        }
    };
    tokio::join!(serving, asking);
}

#[tokio::test]
async fn the_grace_period_ends_the_wait_five_seconds_early() {
    let world = World::with(&["--grace-seconds", "7"]).await;
    let (mut client, mut app) = world.exchange().await;
    let began = Instant::now();
    world.sidecar.shared.terminate();
    let (_, body) = world.get("/wait-drained").await;
    assert_eq!(body, "the grace period is nearly over\n");
    let waited = began.elapsed();
    assert!(waited >= Duration::from_secs(2) && waited < Duration::from_secs(4), "{waited:?}");
    app.send(OK).await;
    client.head().await;
}

#[tokio::test]
async fn a_wait_without_termination_changes_nothing() {
    let world = World::with(&["--grace-seconds", "8"]).await;
    let (_, body) = world.get("/wait-drained").await;
    assert_eq!(body, "not terminating: nothing was closed\n");
    assert!(!world.report().await.terminating);
    world.one_request().await;
}

#[tokio::test]
async fn the_termination_is_announced_over_the_control_socket_alone() {
    let world = World::start().await;
    for (method, path) in
        [("POST", "/wait-drained"), ("POST", "/terminating"), ("GET", "/terminating"), ("POST", "/quitquitquit")]
    {
        assert!(world.admin(method, path, b"").await.0 >= 400);
    }
    assert!(!world.report().await.terminating);
    let announced = restart_controller::sidecar::termination::announce(&world.control_socket);
    soon("the announcement", announced).await.unwrap();
    assert!(world.report().await.terminating);
    let error = restart_controller::sidecar::termination::announce("nobody-listens-here").await.unwrap_err();
    assert!(error.contains("nobody-listens-here"), "{error}");
}
