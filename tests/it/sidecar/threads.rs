//! Several threads that serve connections: one count, one drain, and an even share of the connections.

use super::harness::{GET, OK, World};
use std::time::{Duration, Instant};

async fn world() -> World {
    World::with(&["--threads", "2", "--quiet-millis", "100"]).await
}

fn shares(world: &World) -> Vec<u64> {
    world.sidecar.shared.threads.iter().map(|open| open.now()).collect()
}

#[tokio::test]
async fn each_thread_serves_as_many_connections_as_the_others() {
    let world = world().await;
    let mut open = vec![];
    for _ in 0..6 {
        open.push(world.exchange().await);
    }
    assert_eq!(shares(&world), [3, 3]);
    // The first, the third and the fifth are on one thread: their places are given to those who come next.
    for number in [4, 2, 0] {
        open.remove(number);
    }
    world.becomes("three have closed", || world.sidecar.shared.connections.now() == 3).await;
    assert_eq!(shares(&world), [0, 3]);
    for _ in 0..3 {
        open.push(world.exchange().await);
    }
    assert_eq!(shares(&world), [3, 3]);
    let (_, page) = world.get("/metrics").await;
    for line in ["thread_connections{thread=\"0\"} 3", "thread_connections{thread=\"1\"} 3", "connections 6"] {
        assert!(page.contains(&format!("restart_sidecar_{line}\n")), "{line} is not in {page}");
    }
}

#[tokio::test]
async fn what_is_in_flight_on_any_thread_counts_and_wakes_whoever_waits() {
    let world = world().await;
    let mut pairs = [world.exchange().await, world.exchange().await];
    assert_eq!((world.in_flight(), shares(&world)), (2, vec![1, 1]));
    for left in [1, 0] {
        let (client, app) = &mut pairs[left];
        let waiting = world.sidecar.shared.in_flight.below(u64::try_from(left).unwrap() + 1);
        let answering = async {
            app.send(OK).await;
            client.expect(OK).await;
        };
        tokio::join!(waiting, answering);
    }
    assert_eq!((world.in_flight(), world.sidecar.shared.in_flight.total()), (0, 2));
}

#[tokio::test]
async fn each_thread_keeps_its_connections_to_the_app() {
    let world = world().await;
    let mut pairs = [world.exchange().await, world.exchange().await];
    for _ in 0..3 {
        for (client, app) in &mut pairs {
            app.send(OK).await;
            client.expect(OK).await;
            client.send(GET).await;
            app.expect(GET).await;
        }
    }
    assert_eq!(world.in_flight(), 2);
}

#[tokio::test]
async fn a_termination_waits_for_requests_on_every_thread_and_then_closes_all_connections() {
    let world = world().await;
    for _ in 0..50 {
        world.one_request().await;
    }
    world.becomes("all have closed", || shares(&world) == [0, 0]).await;
    let mut pairs = [world.exchange().await, world.exchange().await];
    assert_eq!(shares(&world), [1, 1]);
    world.sidecar.shared.terminate();
    let waiting = async {
        let answer = world.get("/wait-drained").await;
        (answer, Instant::now())
    };
    let answering = async {
        let mut last = Instant::now();
        for (client, app) in &mut pairs {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            last = Instant::now();
            app.send(OK).await;
            assert!(client.head().await.contains("Connection: close"));
            client.expect("ok").await;
            client.closes().await;
        }
        last
    };
    let ((answer, drained), last) = tokio::join!(waiting, answering);
    assert_eq!(answer, (200, "drained\n".into()));
    assert!(drained >= last, "the last answer came after the end of the wait");
    assert!(tokio::net::TcpStream::connect(world.sidecar.listen).await.is_err(), "the listener is open");
}

#[tokio::test]
async fn the_limit_of_connections_holds_across_threads() {
    let world = World::with(&["--threads", "2", "--max-connections", "2", "--upstream-idle-millis", "60000"]).await;
    let mut pairs = [world.exchange().await, world.exchange().await];
    let mut third = world.client().await;
    third.send(GET).await;
    let (client, app) = &mut pairs[1];
    app.send(OK).await;
    client.expect(OK).await;
    // Idle now on its thread, it makes room for the third, which goes to the same thread and so to the app as well.
    client.closes().await;
    app.expect(GET).await;
    app.send(OK).await;
    third.expect(OK).await;
}
