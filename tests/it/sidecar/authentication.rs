//! Authentication that belongs to a connection (NTLM, Negotiate): no other client's request may go on that connection.

use super::harness::{GET, OK, World};

const SIGNED_IN: &str = "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Negotiate YII=\r\n\r\n";
const CHALLENGE: &str = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic, NTLM\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn a_connection_that_a_client_has_signed_in_on_serves_that_client_alone() {
    let world = World::start().await;
    let mut first = world.client().await;
    first.send(SIGNED_IN).await;
    let mut app_of_first = world.app().await;
    app_of_first.expect(SIGNED_IN).await;
    app_of_first.send(OK).await;
    first.expect(OK).await;

    let mut second = world.client().await;
    second.send(GET).await;
    let mut app_of_second = world.app().await;
    app_of_second.expect(GET).await;
    app_of_second.send(OK).await;
    second.expect(OK).await;

    first.send(GET).await;
    app_of_first.expect(GET).await;
    app_of_first.send(OK).await;
    first.expect(OK).await;
}

#[tokio::test]
async fn a_challenge_binds_the_connection_before_its_answer_has_come() {
    let world = World::start().await;
    let (mut first, mut app) = world.exchange().await;
    app.send(CHALLENGE).await;
    first.expect(CHALLENGE).await;

    let mut second = world.client().await;
    second.send(GET).await;
    world.app().await.expect(GET).await;

    first.send(SIGNED_IN).await;
    app.expect(SIGNED_IN).await;
}

#[tokio::test]
async fn a_bound_connection_that_the_app_closes_is_replaced_by_a_new_one() {
    let world = World::start().await;
    let (mut client, mut app) = world.exchange().await;
    app.send(CHALLENGE).await;
    client.expect(CHALLENGE).await;
    drop(app);
    client.send(GET).await;
    let mut fresh = world.app().await;
    fresh.expect(GET).await;
    fresh.send(OK).await;
    client.expect(OK).await;
}
