//! `tcp` mode: a relay of anything, that counts connections.
//!
//! **Invariant:** nothing is parsed, and a connection is in flight from its acceptance until both sides have closed: what
//! an idle one waits for nobody here knows.

use super::app::App;
use super::count::Share;
use super::http::buffer::Buffer;
use super::http::connection::End;
use super::http::{socket, tunnel};
use super::state::Shared;
use std::sync::Arc;
use tokio::net::TcpStream;

/// Where connections go.
pub struct Relay {
    /// Counts and drain.
    pub shared: Arc<Shared>,
    /// The app.
    pub app: App,
}

/// Relays `client` until both sides have closed. A client whom nobody can serve sees a reset, as it would of a closed port.
pub async fn serve(client: TcpStream, relay: &Relay) {
    let (in_flight, bytes) = (Share::new(&relay.shared.in_flight), Share::new(&relay.shared.tcp));
    relay.shared.arrived(in_flight.raise_to(1));
    bytes.raise_to(1);
    socket::prepare(&client);
    if relay.shared.rejects() {
        return socket::reset(client);
    }
    let Ok(app) = relay.app.on_behalf_of(&client).connect().await else {
        return socket::reset(client);
    };
    socket::prepare(&app);
    let (mut inbound, mut outbound) = (Buffer::new(&relay.shared.quota), Buffer::new(&relay.shared.quota));
    match tunnel::run(&client, &app, &mut inbound, &mut outbound, None).await {
        End::CutShort => {
            socket::reset(client);
            socket::reset(app);
        }
        // What the app said last may still be on its way to the client, which may still send.
        End::Answered => socket::close_after_answer(client).await,
        End::Gone | End::Refused | End::Http2 => drop((client, app)),
    }
}
