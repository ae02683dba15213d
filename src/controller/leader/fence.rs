//! The fence: whether this process may act, asked before every pass and every write.
//!
//! **Invariant:** the answer is by the clock at the moment of asking and needs nobody's help: a process that was stopped
//! past its lease is told no by its first question after it wakes. What it had sent before, it has sent.

use hyper::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tower_service::Service;

/// A write was not sent, because this process does not lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not sent: this process does not hold the Lease any more")]
pub struct NotLeading;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    /// Not yet, or no more.
    None,
    /// Without a Lease, for as long as the process lives.
    Always,
    /// Until the local clock says so.
    Until(Instant),
}

/// Whether this process leads; clones ask the same.
#[derive(Clone, Debug)]
pub struct Leader {
    term: Arc<watch::Sender<Term>>,
    /// Writes that were sent and not answered.
    writes: Arc<watch::Sender<usize>>,
}

impl Default for Leader {
    /// Does not lead.
    fn default() -> Self {
        Self::with(Term::None)
    }
}

impl Leader {
    fn with(term: Term) -> Self {
        Self { term: Arc::new(watch::Sender::new(term)), writes: Arc::new(watch::Sender::new(0)) }
    }

    /// Leads without a Lease: there is no other replica.
    #[must_use]
    pub fn always() -> Self {
        Self::with(Term::Always)
    }

    /// Whether this process leads now. Ask before anything that acts.
    #[must_use]
    pub fn leading(&self) -> bool {
        match *self.term.borrow() {
            Term::None => false,
            Term::Always => true,
            Term::Until(until) => Instant::now() < until,
        }
    }

    /// Comes when this process leads, and never if it never does.
    pub async fn won(&self) {
        // The sender lives as long as we do.
        let _ = self.term.subscribe().wait_for(|term| *term != Term::None).await;
    }

    /// Leads until `until`.
    pub(super) fn extend(&self, until: Instant) {
        self.term.send_replace(Term::Until(until));
    }

    /// No write is sent from now on.
    pub fn close(&self) {
        self.term.send_replace(Term::None);
    }

    /// Whether all writes that were sent are answered, within `limit`.
    pub async fn settled(&self, limit: Duration) -> bool {
        let mut writes = self.writes.subscribe();
        tokio::time::timeout(limit, writes.wait_for(|writes| *writes == 0)).await.is_ok_and(|done| done.is_ok())
    }

    /// `client`, which sends what changes something only while this process leads.
    #[must_use]
    pub fn fenced(&self, client: Client) -> Client {
        let namespace = client.default_namespace().to_owned();
        Client::new(Fenced { client, leader: self.clone() }, namespace)
    }
}

struct Fenced {
    client: Client,
    leader: Leader,
}

/// One write between its sending and its answer.
struct Write(Arc<watch::Sender<usize>>);

impl Write {
    fn begin(leader: &Leader) -> Self {
        leader.writes.send_modify(|writes| *writes += 1);
        Self(leader.writes.clone())
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        self.0.send_modify(|writes| *writes -= 1);
    }
}

type Refused = Box<dyn std::error::Error + Send + Sync>;

impl Service<Request<Body>> for Fenced {
    type Response = Response<Body>;
    type Error = Refused;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Refused>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Refused>> {
        // The client has a queue of its own.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (client, leader) = (self.client.clone(), self.leader.clone());
        Box::pin(async move {
            let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
            if writes && !leader.leading() {
                return Err(NotLeading.into());
            }
            let _write = writes.then(|| Write::begin(&leader));
            Ok(client.send(request).await?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::StatusCode;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::{Api, PostParams};

    /// An API server that answers everything after `after` with what was asked.
    struct Echo {
        after: Duration,
    }

    impl Service<Request<Body>> for Echo {
        type Response = Response<Body>;
        type Error = Refused;
        type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Refused>> + Send>>;

        fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Refused>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            let after = self.after;
            Box::pin(async move {
                tokio::time::sleep(after).await;
                let map = serde_json::to_vec(&ConfigMap::default())?;
                Ok(Response::builder().status(StatusCode::OK).body(Body::from(map))?)
            })
        }
    }

    fn maps(leader: &Leader, after: Duration) -> Api<ConfigMap> {
        Api::default_namespaced(leader.fenced(Client::new(Echo { after }, "shop")))
    }

    #[tokio::test]
    async fn who_does_not_lead_reads_and_does_not_write() {
        let leader = Leader::default();
        let maps = maps(&leader, Duration::ZERO);
        assert!(maps.get("web").await.is_ok());
        let refused = maps.create(&PostParams::default(), &ConfigMap::default()).await.unwrap_err();
        assert!(matches!(&refused, kube::Error::Service(why) if why.is::<NotLeading>()), "{refused:?}");
        leader.extend(Instant::now() + Duration::from_secs(60));
        assert!(maps.create(&PostParams::default(), &ConfigMap::default()).await.is_ok());
    }

    #[tokio::test]
    async fn a_term_ends_by_the_clock_alone_and_a_closed_fence_stays_closed() {
        let leader = Leader::default();
        leader.extend(Instant::now());
        assert!(!leader.leading());
        leader.extend(Instant::now() + Duration::from_secs(60));
        assert!(leader.leading());
        leader.close();
        assert!(!leader.leading());
        assert!(Leader::always().leading());
    }

    #[tokio::test]
    async fn the_end_of_writes_under_way_can_be_waited_for() {
        let leader = Leader::always();
        let maps = maps(&leader, Duration::from_millis(200));
        assert!(leader.settled(Duration::ZERO).await);
        let writing = tokio::spawn(async move { maps.create(&PostParams::default(), &ConfigMap::default()).await });
        leader.writes.subscribe().wait_for(|writes| *writes == 1).await.unwrap();
        leader.close();
        assert!(!leader.settled(Duration::from_millis(10)).await);
        assert!(leader.settled(Duration::from_secs(10)).await);
        assert!(writing.await.unwrap().is_ok());
    }
}
