//! What a look at ConfigMaps takes of the controller's memory, counted by the allocator: as much as one of them, however many
//! there are and whatever they hold.
//!
//! **Invariant:** one test, since the count is the process' own.

#![allow(clippy::unwrap_used, reason = "a test ends where it finds what it does not expect")]

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::{Request, Response};
use kube::Client;
use kube::client::Body;
use restart_controller::controller::contents::Contents;
use serde_json::json;
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator is")]
// SAFETY: everything is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), SeqCst) + layout.size();
        MOST.fetch_max(held, SeqCst);
        // SAFETY: as asked of us.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let held = HELD.fetch_add(size, SeqCst) + size - layout.size();
        HELD.fetch_sub(layout.size(), SeqCst);
        MOST.fetch_max(held, SeqCst);
        // SAFETY: as asked of us.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), SeqCst);
        // SAFETY: as asked of us.
        unsafe { System.dealloc(pointer, layout) }
    }
}

const MAPS: usize = 64;
const MIB: usize = 1 << 20;

type Pieces = UnsyncBoxBody<Bytes, Infallible>;

/// An API server whose ConfigMaps all hold the same, sent in the pieces in which they come over a connection.
#[derive(Clone)]
struct Server {
    whole: Bytes,
    metadata: Bytes,
}

impl Server {
    fn of(data: &serde_json::Value) -> Self {
        let metadata = json!({"name": "map", "uid": "u", "resourceVersion": "1"});
        Self {
            whole: Bytes::from(json!({"metadata": metadata, "data": data}).to_string()),
            metadata: Bytes::from(json!({"metadata": metadata}).to_string()),
        }
    }
}

impl tower_service::Service<Request<Body>> for Server {
    type Response = Response<Pieces>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Pieces>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let accepts = request.headers().get("accept").and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let mut body = if accepts.contains("PartialObjectMetadata") { &self.metadata } else { &self.whole }.clone();
        let pieces = futures::stream::iter(std::iter::from_fn(move || {
            let piece = body.split_to(body.len().min(16 * 1024));
            (!piece.is_empty()).then(|| Ok::<_, Infallible>(Frame::data(piece)))
        }));
        std::future::ready(Ok(Response::new(StreamBody::new(pieces).boxed_unsync())))
    }
}

/// The most that was held beyond what was held before, while all are looked at, for the first time and again.
async fn most(maps: usize, client: &Client) -> (usize, usize) {
    let contents = Contents::default();
    let mut mosts = [0; 2];
    for most in &mut mosts {
        let before = HELD.load(SeqCst);
        MOST.store(before, SeqCst);
        let looks = (0..maps).map(|number| {
            let (client, contents) = (client.clone(), contents.clone());
            tokio::spawn(async move {
                let seen = contents.look(&client, "shop", &format!("map-{number}")).await.unwrap().unwrap();
                assert_eq!(seen.sha256.len(), 64);
            })
        });
        for look in looks.collect::<Vec<_>>() {
            look.await.unwrap();
        }
        *most = MOST.load(SeqCst) - before;
    }
    (mosts[0], mosts[1])
}

#[tokio::test]
async fn sixty_four_config_maps_of_a_mebibyte_take_the_memory_of_one() {
    let many: BTreeMap<String, String> = (0..100_000).map(|key| (format!("k{key}"), String::new())).collect();
    let yaml = |length: usize| json!({"a.yaml": "- a\n".repeat(length / 4)});
    // What is parsed as a whole takes more, one file at a time; beyond 128 KiB it is not parsed.
    let cases = [
        ("text", json!({"text": "x".repeat(MIB)}), 2),
        ("100,000 keys", json!(many), 2),
        ("JSON", json!({"a.json": format!("[{}1]", "1,".repeat(MIB / 2 - 2))}), 2),
        // Escapes of its lines make a second text of it, whose place doubles as it grows.
        ("YAML", yaml(MIB), 4),
        ("YAML that is parsed", yaml(MIB / 8), 12),
        ("TOML that is parsed", json!({"a.toml": lines(MIB / 8 / 14)}), 12),
    ];
    let (mut far, mut clients) = (vec![], vec![]);
    for (what, data, bound) in cases {
        // Parsing takes its time in a program that is not optimised.
        let maps = if what == "text" { MAPS } else { 8 };
        // What a client lets go later would count against what the next one takes.
        clients.push(Client::new(Server::of(&data), "shop"));
        let (first, again) = most(maps, &clients[clients.len() - 1]).await;
        let mib = |bytes: usize| f64::from(u32::try_from(bytes).unwrap()) / f64::from(1 << 20);
        println!(
            "{maps} ConfigMaps of {what}: {:.2} MiB at the first look, {:.2} MiB at the next",
            mib(first),
            mib(again)
        );
        if first > bound * MIB || again > MIB {
            far.push(what);
        }
    }
    assert!(far.is_empty(), "more than they may: {far:?}");
}

/// So many settings, each on its line.
fn lines(count: usize) -> String {
    let settings: Vec<String> = (0..count).map(|key| format!("k{key} = 1")).collect();
    settings.join("\n")
}
