//! Waits at the sidecars of draining pods until no request is in flight there, and wakes the restart at that moment.
//!
//! **Invariant:** it only decides when a pass happens, as `wake` does: the pass reads the count itself, and a wait that
//! fails costs no more than the delay until the pass that the restart has asked for anyway.

use super::facts::{Facts, PodFacts};
use super::sidecars::Sidecars;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};

/// The longest wait of one call: half of a drain lease, so that a restart that ended does not leave a call for long.
const WAIT: Duration = Duration::from_secs(15);
/// Pods that are waited for at any time; those beyond are asked by the passes alone.
const MOST: usize = 256;
/// The same of one namespace, whose sidecars may answer as slowly as they like.
const MOST_OF_ONE_NAMESPACE: usize = 32;
/// Edges on their way to the loops; one that is lost is found by the next pass.
const ON_THE_WAY: usize = 64;

/// A restart, by namespace and name.
type Place = (String, String);

/// The waits under way; clones share them.
#[derive(Clone, Debug)]
pub struct Edges {
    /// UIDs of the pods, and the namespace of each.
    waited_for: Arc<Mutex<BTreeMap<String, String>>>,
    reached: broadcast::Sender<Place>,
}

impl Default for Edges {
    fn default() -> Self {
        Self { waited_for: Arc::default(), reached: broadcast::Sender::new(ON_THE_WAY) }
    }
}

impl Edges {
    /// Begins a wait for each pod of the batch that still answers requests.
    pub fn wait(&self, sidecars: &Sidecars, facts: &Facts) {
        let place = (facts.namespace.clone(), facts.name().to_owned());
        for pod in facts.pods.iter().filter(|pod| busy(pod)) {
            let Some(ip) = pod.ip() else { continue };
            self.begin(sidecars, (ip.to_owned(), Sidecars::PORT), pod.uid().to_owned(), place.clone());
        }
    }

    /// The restarts that reached the edge, for one watched scope.
    pub fn wakes(&self, scope: Option<&str>) -> BoxStream<'static, Place> {
        let scope = scope.map(str::to_owned);
        let ours = move |place: &Place| scope.as_ref().is_none_or(|scope| *scope == place.0);
        let reached = stream::unfold(self.reached.subscribe(), |mut reached| async {
            loop {
                match reached.recv().await {
                    Ok(place) => return Some((place, reached)),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        });
        reached.filter(move |place| std::future::ready(ours(place))).boxed()
    }

    fn begin(&self, sidecars: &Sidecars, (ip, port): (String, u16), uid: String, place: Place) {
        let mut waited_for = self.lock();
        let of_this_namespace = waited_for.values().filter(|namespace| **namespace == place.0).count();
        if waited_for.len() >= MOST || of_this_namespace >= MOST_OF_ONE_NAMESPACE || waited_for.contains_key(&uid) {
            return;
        }
        waited_for.insert(uid.clone(), place.0.clone());
        drop(waited_for);
        let (edges, sidecars) = (self.clone(), sidecars.clone());
        tokio::spawn(async move {
            let report = sidecars.at_zero(&ip, port, &uid, WAIT).await;
            edges.lock().remove(&uid);
            if report.is_ok_and(|report| report.in_flight == 0) {
                // Without a loop there is nobody to wake.
                let _ = edges.reached.send(place);
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.waited_for.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asked in this pass, draining, and not at zero.
fn busy(pod: &PodFacts) -> bool {
    pod.report.as_ref().is_some_and(|report| report.lease.is_some() && report.in_flight > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{IN_FLIGHT_PATH, InFlightReport};
    use futures::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    fn shop() -> Place {
        ("shop".to_owned(), "web".to_owned())
    }

    fn answer(in_flight: u64) -> String {
        let report = InFlightReport {
            version: crate::wire::VERSION,
            pod_uid: "uid".to_owned(),
            boot: String::new(),
            challenge: String::new(),
            trusted_keys: vec![],
            mode: crate::wire::Mode::Http,
            in_flight,
            last_arrival_ago_millis: None,
            mean_gap_millis: None,
            lease: None,
            terminating: false,
            last_probe: None,
        };
        let body = serde_json::to_string(&report).unwrap();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    /// A sidecar that is asked; what it answers is the test's.
    async fn asked(listener: &TcpListener) -> TcpStream {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 1024];
        let length = stream.read(&mut head).await.unwrap();
        let expected = format!("GET {IN_FLIGHT_PATH}?below=1&waitSeconds=15 ");
        assert!(head[..length].starts_with(expected.as_bytes()), "{}", String::from_utf8_lossy(&head[..length]));
        stream
    }

    fn begin(edges: &Edges, listener: &TcpListener) {
        let at = listener.local_addr().unwrap();
        edges.begin(&Sidecars::on_loopback(), ("127.0.0.1".to_owned(), at.port()), "uid".to_owned(), shop());
    }

    #[tokio::test]
    async fn the_restart_is_woken_when_the_sidecar_answers_and_a_pod_is_waited_for_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let edges = Edges::default();
        let (mut ours, mut others) = (edges.wakes(Some("shop")), edges.wakes(Some("elsewhere")));
        begin(&edges, &listener);
        begin(&edges, &listener);
        let mut stream = asked(&listener).await;
        assert_eq!(edges.lock().len(), 1);
        assert!(ours.next().now_or_never().is_none(), "requests are still in flight");
        stream.write_all(answer(0).as_bytes()).await.unwrap();
        assert_eq!(ours.next().await, Some(shop()));
        assert!(others.next().now_or_never().is_none(), "another scope's loop");
        assert!(edges.lock().is_empty());
    }

    #[tokio::test]
    async fn a_wait_that_ran_out_or_broke_wakes_nobody_and_can_begin_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let edges = Edges::default();
        let mut wakes = edges.wakes(None);
        begin(&edges, &listener);
        asked(&listener).await.write_all(answer(2).as_bytes()).await.unwrap();
        while !edges.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        begin(&edges, &listener);
        drop(asked(&listener).await);
        while !edges.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(wakes.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_namespace_whose_sidecars_keep_us_waiting_leaves_waits_to_others() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (edges, at) = (Edges::default(), listener.local_addr().unwrap());
        let sidecars = Sidecars::on_loopback();
        let begin = |namespace: &str, pod: usize| {
            let (at, place) = (("127.0.0.1".to_owned(), at.port()), (namespace.to_owned(), "web".to_owned()));
            edges.begin(&sidecars, at, format!("{namespace}-{pod}"), place);
        };
        (0..MOST).for_each(|pod| begin("dark", pod));
        assert_eq!(edges.lock().len(), MOST_OF_ONE_NAMESPACE);
        begin("shop", 0);
        assert!(edges.lock().contains_key("shop-0"));
    }
}
