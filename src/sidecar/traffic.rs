//! What serves the connections of each route.
//!
//! **Invariant:** all that relays on several threads share is counted or limited for the whole process; connections to the app
//! are each thread's own.

use super::app::App;
use super::cli::Run;
use super::descriptors::Room;
use super::route::{Relayed, Route};
use super::state::Shared;
use super::{forwarded, http, http2, ignored, millis, tcp};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// Serves the connections of one route on one thread.
#[derive(Clone)]
pub enum Relay {
    /// Requests are counted.
    Http(Arc<http::connection::Relay>),
    /// Connections are counted.
    Tcp(Arc<tcp::Relay>),
}

impl Relay {
    /// Serves `client` to its end.
    pub async fn serve(self, client: TcpStream) {
        match self {
            Self::Http(relay) => http::connection::serve(client, &relay).await,
            Self::Tcp(relay) => tcp::serve(client, &relay).await,
        }
    }
}

/// What relays are made of.
pub struct Traffic {
    /// Counts and drain.
    pub shared: Arc<Shared>,
    arguments: Run,
    routes: Vec<(Route, App)>,
    tunnels: Room,
}

impl Traffic {
    /// The traffic of these routes, of which at most so many connections are `tunnels`.
    #[must_use]
    pub fn new(arguments: Run, routes: &[Route], tunnels: Room, shared: Arc<Shared>) -> Self {
        let patience = Duration::from_secs(arguments.connect_timeout_seconds.into());
        let app = |route: &Route| App::new(route.upstream.clone(), arguments.app_source, patience);
        let app = |route: &Route| app(route).with_proxy_header(arguments.proxy_protocol);
        let routes = routes.iter().map(|route| (route.clone(), app(route))).collect();
        Self { shared, arguments, routes, tunnels }
    }

    /// A relay for each route, to serve on this thread.
    #[must_use]
    pub fn relays(&self) -> Vec<Relay> {
        self.routes.iter().map(|(route, app)| self.relay(route, app.clone())).collect()
    }

    fn relay(&self, route: &Route, app: App) -> Relay {
        match route.relayed {
            Relayed::Tcp => Relay::Tcp(Arc::new(tcp::Relay { shared: Arc::clone(&self.shared), app })),
            Relayed::Http => {
                let relay = Arc::new(self.http(app));
                let expiring = Arc::clone(&relay);
                tokio::spawn(async move { expiring.pool.expire().await });
                Relay::Http(relay)
            }
        }
    }

    fn http(&self, app: App) -> http::connection::Relay {
        let (arguments, shared) = (&self.arguments, Arc::clone(&self.shared));
        let stall = Duration::from_secs(arguments.stall_timeout_seconds.into());
        let window = arguments.http2_window_kib.map_or(shared.quota.window(), |kib| kib * 1024);
        http::connection::Relay {
            shared,
            pool: http::pool::Pool::new(app, millis(arguments.upstream_idle_millis)),
            forwarding: forwarded::Forwarding::new(arguments.forwarded, arguments.trusted_proxy.clone()),
            ignored: ignored::Ignored::new(arguments.ignore_path.clone(), arguments.ignore_user_agent.clone()),
            tunnels: self.tunnels.clone(),
            head_timeout: Duration::from_secs(arguments.head_timeout_seconds.into()),
            stall,
            http2: http2::Limits { streams: arguments.http2_max_streams, window, stall },
        }
    }
}
