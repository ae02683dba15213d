//! Empty lines before a request: a few are passed over, no more, and they buy no time.

use super::harness::{GET, OK, World};

#[tokio::test]
async fn a_few_empty_lines_before_a_request_are_passed_over() {
    let world = World::start().await;
    let mut client = world.client().await;
    client.send(&format!("\r\n\r\n{GET}")).await;
    let mut app = world.app().await;
    app.expect(GET).await;
    app.send(OK).await;
    client.expect(OK).await;
    client.send("\r").await;
    client.send(&format!("\n{GET}")).await;
    app.expect(GET).await;
    app.send(OK).await;
    client.expect(OK).await;
}

#[tokio::test]
async fn many_empty_lines_are_answered_400_however_they_arrive() {
    let world = World::start().await;
    let mut client = world.client().await;
    client.send(&"\r\n".repeat(40)).await;
    assert_eq!(client.own_answer().await, 400);
    let mut client = world.client().await;
    for _ in 0..33 {
        client.send("\r\n").await;
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert_eq!(client.own_answer().await, 400);
    // Behind a request that is being served their turn comes after its answer.
    let (mut client, mut app) = world.exchange().await;
    client.send(&"\r\n".repeat(40)).await;
    app.send(OK).await;
    client.expect(OK).await;
    assert_eq!(client.own_answer().await, 400);
    assert_eq!(world.in_flight(), 0);
}

#[tokio::test]
async fn a_client_that_sends_an_empty_line_and_nothing_else_is_closed_in_time() {
    let world = World::with(&["--head-timeout-seconds", "1"]).await;
    for before in ["\r\n", "\r", "\r\n\r"] {
        let mut client = world.client().await;
        client.send(before).await;
        client.closes().await;
    }
    let (mut client, mut app) = world.exchange().await;
    client.send("\r\n").await;
    app.send(OK).await;
    client.expect(OK).await;
    client.closes().await;
    assert_eq!(world.in_flight(), 0);
}
