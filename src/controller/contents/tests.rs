//! An API server that holds ConfigMaps and counts what is asked of it.

use super::*;
use hyper::body::Bytes;
use kube::client::Body;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};

type Answer = Result<hyper::Response<Body>, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Clone, Default)]
struct Server(Arc<State>);

#[derive(Default)]
struct State {
    maps: Mutex<BTreeMap<String, Value>>,
    whole: AtomicUsize,
    metadata: AtomicUsize,
}

impl Server {
    fn put(&self, name: &str, uid: &str, version: &str, data: &Value) {
        let metadata = json!({"name": name, "uid": uid, "resourceVersion": version});
        let map = json!({"kind": "ConfigMap", "metadata": metadata, "data": data});
        self.0.maps.lock().unwrap().insert(name.to_owned(), map);
    }

    fn asked(&self) -> (usize, usize) {
        (self.0.whole.load(SeqCst), self.0.metadata.load(SeqCst))
    }

    fn client(&self) -> Client {
        Client::new(self.clone(), "shop")
    }
}

impl tower_service::Service<hyper::Request<Body>> for Server {
    type Response = hyper::Response<Body>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = std::future::Ready<Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: hyper::Request<Body>) -> Self::Future {
        let accepts = request.headers().get("accept").and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let name = request.uri().path().rsplit('/').next().unwrap_or_default();
        let map = self.0.maps.lock().unwrap().get(name).cloned();
        let (code, body) = match map {
            Some(map) if accepts.contains("PartialObjectMetadata") => {
                self.0.metadata.fetch_add(1, SeqCst);
                (200, json!({"metadata": map["metadata"]}))
            }
            Some(map) => {
                self.0.whole.fetch_add(1, SeqCst);
                (200, map)
            }
            None => (404, json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404})),
        };
        let body = Body::from(Bytes::from(body.to_string()).to_vec());
        std::future::ready(Ok(hyper::Response::builder().status(code).body(body).unwrap()))
    }
}

#[tokio::test]
async fn a_version_is_read_once_and_asked_for_by_its_metadata_afterwards() {
    let (server, contents) = (Server::default(), Contents::default());
    server.put("web", "1", "10", &json!({"key": "a"}));
    let client = server.client();
    let look = async || contents.look(&client, "shop", "web").await.unwrap();
    let first = look().await.unwrap();
    assert_eq!((look().await.unwrap(), server.asked()), (first.clone(), (1, 1)));
    server.put("web", "1", "11", &json!({"key": "b"}));
    let edited = look().await.unwrap();
    assert_ne!(edited.sha256, first.sha256);
    assert_eq!(server.asked(), (2, 2));
    // Deleted and made anew by somebody who knows the number: the UID is another one.
    server.put("web", "2", "11", &json!({"key": "forged"}));
    assert_ne!(look().await.unwrap().sha256, edited.sha256);
    server.0.maps.lock().unwrap().clear();
    assert_eq!(look().await, None);
    assert!(contents.lock().is_empty());
}

#[tokio::test]
async fn data_are_handed_out_only_if_they_are_those_that_were_meant() {
    let (server, contents) = (Server::default(), Contents::default());
    server.put("copy", "1", "1", &json!({"key": "a"}));
    let (client, meant) = (server.client(), contents.look(&server.client(), "shop", "copy").await.unwrap().unwrap());
    let data = contents.data(&client, "shop", "copy", &meant.sha256).await.unwrap().unwrap();
    assert_eq!(data.data.as_ref().unwrap()["key"], "a");
    drop(data);
    server.put("copy", "1", "1", &json!({"key": "swapped"}));
    assert!(contents.data(&client, "shop", "copy", &meant.sha256).await.unwrap().is_none());
    assert!(contents.data(&client, "shop", "gone", &meant.sha256).await.unwrap().is_none());
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_not_quoted() {
    let (server, contents) = (Server::default(), Contents::default());
    server.put("web", "1", "1", &json!({"key": ["a secret"]}));
    let error = contents.look(&server.client(), "shop", "web").await.unwrap_err().to_string();
    assert!(error.contains("shop/web") && error.contains("line 1") && !error.contains("secret"), "{error}");
}

#[tokio::test]
async fn what_is_kept_of_a_namespace_has_an_end() {
    let (server, contents) = (Server::default(), Contents::default());
    for number in 0..=KEPT.0 {
        server.put(&format!("map-{number}"), "1", "1", &json!({}));
        contents.look(&server.client(), "shop", &format!("map-{number}")).await.unwrap();
    }
    assert_eq!(contents.lock()["shop"].len(), 1);
}

/// As it was taken before: by a copy of everything, written out as one text.
fn slowly(map: &Value) -> String {
    let map: ConfigMap = serde_json::from_value(map.clone()).unwrap();
    let (data, binary) = (map.data.unwrap_or_default(), map.binary_data.unwrap_or_default());
    crate::api::names::sha256_hex(json!([data, binary]).to_string().as_bytes())
}

#[test]
fn the_digest_is_what_it_always_was_however_it_is_taken() {
    let metadata = json!({"name": "web", "managedFields": [{"fieldsV1": {"f:data": {"f:a": {}}}, "time": "2026-11-22T10:00:00Z"}]});
    for (data, binary) in [
        (json!(null), json!(null)),
        (json!({}), json!({})),
        (json!({"a": "1"}), json!(null)),
        (json!(null), json!({"a": "eA=="})),
        (json!({"a": "quotes \" and \u{0} and é\n", "b": "", "c.json": "{"}), json!({"x": "AAEC", "y": ""})),
    ] {
        let mut map = json!({"metadata": metadata});
        for (key, value) in [("data", &data), ("binaryData", &binary)] {
            if !value.is_null() {
                map[key] = value.clone();
            }
        }
        let (seen, object) = (hashing::seen(map.to_string().as_bytes()).unwrap(), serde_json::from_value(map.clone()));
        let object: ConfigMap = object.unwrap();
        assert_eq!(seen.sha256, slowly(&map), "{map}");
        assert_eq!((Seen::of(&object).sha256, digest(&object)), (slowly(&map), slowly(&map)), "{map}");
        assert_eq!(seen.written.map(|times| times.len()), Some(1));
        assert_eq!(seen.broken.map(|broken| broken.key), data.get("c.json").map(|_| "c.json".to_owned()));
    }
}

#[test]
fn the_order_in_which_an_api_server_writes_does_not_matter() {
    let sorted = r#"{"metadata":{},"data":{"a":"1","b":"2"},"binaryData":{"c":"eA=="}}"#;
    let expected = hashing::seen(sorted.as_bytes()).unwrap().sha256;
    for text in [
        r#"{"binaryData":{"c":"eA=="},"data":{"a":"1","b":"2"},"metadata":{}}"#,
        r#"{"metadata":{},"data":{"b":"2","a":"1"},"binaryData":{"c":"eA=="}}"#,
    ] {
        assert_eq!(hashing::seen(text.as_bytes()).unwrap().sha256, expected, "{text}");
    }
}

#[test]
fn the_digest_covers_data_and_binary_data_and_nothing_else() {
    let map = |value: Value| -> ConfigMap { serde_json::from_value(value).unwrap() };
    let one = map(json!({"data": {"key": "x"}}));
    assert_eq!(digest(&one), digest(&map(json!({"metadata": {"labels": {"a": "b"}}, "data": {"key": "x"}}))));
    assert_ne!(digest(&one), digest(&map(json!({"data": {"key": "y"}}))));
    assert_ne!(digest(&one), digest(&map(json!({"binaryData": {"key": "eA=="}}))));
}
