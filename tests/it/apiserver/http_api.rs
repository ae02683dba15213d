//! The HTTP API of the program before a real API server: whose rights count, the answers to the letter, the limits.
//!
//! **Invariant:** callers are service accounts with tokens that the API server made, and the controller runs beside them
//! with all rights: what a caller gets from those would be seen here.

use super::policies::{bind, settled};
use super::requests::raw;
use super::running::Running;
use super::{PATIENCE, clients, namespace};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// A controller with the API, and a Deployment without pods, so that a restart of it is over at once.
struct Stage {
    admin: Client,
    space: String,
    address: String,
    running: Running,
}

/// What was answered.
struct Answer {
    status: u16,
    head: hyper::HeaderMap,
    text: String,
}

impl Answer {
    fn code(&self) -> Value {
        let body: Value = serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{} {}", self.status, self.text));
        assert_eq!(body["success"], false, "{body}");
        assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
        body["code"].clone()
    }
}

impl Stage {
    async fn new(base: &str, rate: &str) -> Self {
        let (_, admin) = clients().await;
        let space = namespace(&admin, base).await;
        let target = format!("{space}/Deployment/web");
        let arguments = ["--http-api", "127.0.0.1:0", "--http-api-default-target", &target, "--http-api-rate", rate];
        let running = Running::start_with(&space, &arguments).await;
        let mut lines = running.seen.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let address = lines.find_map(|line| line["http_api"].as_str().map(str::to_owned)).unwrap();
        let container = json!([{"name": "app", "image": "localhost/none:1"}]);
        let deployment: Deployment =
            serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": {"replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": container}}}}))
            .unwrap();
        Api::<Deployment>::namespaced(admin.clone(), &space).create(&PostParams::default(), &deployment).await.unwrap();
        Self { admin, space, address, running }
    }

    /// A service account with that role here, and its token.
    async fn caller(&self, name: &str, role: Option<&str>) -> String {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin.clone(), &self.space);
        let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        accounts.create(&PostParams::default(), &account).await.unwrap();
        if let Some(role) = role {
            let user = format!("system:serviceaccount:{}:{name}", self.space);
            let role = json!({"kind": "ClusterRole", "metadata": {"name": role}});
            let binding: RoleBinding = serde_json::from_value(json!({"metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role["metadata"]["name"]},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]}))
            .unwrap();
            let bindings: Api<RoleBinding> = Api::namespaced(self.admin.clone(), &self.space);
            bindings.create(&PostParams::default(), &binding).await.unwrap();
        }
        let asked: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": []}})).unwrap();
        let made = accounts.create_token_request(name, &PostParams::default(), &asked).await.unwrap();
        made.status.unwrap().token
    }

    async fn send(&self, token: Option<&str>, method: &str, path: &str, body: &str) -> Response<hyper::body::Incoming> {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header("host", &self.address);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.header("content-type", "application/json").body(Full::new(Bytes::from(body.to_owned())));
        sender.send_request(request.unwrap()).await.unwrap()
    }

    async fn ask(&self, token: Option<&str>, method: &str, path: &str, body: &str) -> Answer {
        let (head, body) = self.send(token, method, path, body).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status.as_u16(), head: head.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    async fn get(&self, token: &str, path: &str) -> Answer {
        self.ask(Some(token), "GET", path, "").await
    }

    /// A role that was just bound is in force a moment later.
    async fn in_force(&self, token: &str) {
        settled("the role is in force", async || {
            let answer = self.get(token, "/api/restart/status").await;
            if answer.status == 200 { Ok(()) } else { Err(answer.text) }
        })
        .await;
    }

    async fn until_it_says(&self, token: &str, word: &str) -> String {
        let mut text = String::new();
        settled(word, async || {
            text = self.get(token, "/api/restart/status").await.text;
            if text.contains(&format!("\"{word}\"")) { Ok(()) } else { Err(text.clone()) }
        })
        .await;
        text
    }
}

/// The seed's body, as it is.
const BODY: &str =
    r#"{"user": "admin", "reason": "new price table", "force": false, "config_reload": true, "timeout": 30}"#;
const CALLS: [(&str, &str, &str); 6] = [
    ("GET", "/api/restart/status", ""),
    ("POST", "/api/restart/request", BODY),
    ("POST", "/api/restart/cancel", r#"{"user": "admin"}"#),
    ("GET", "/api/restart/history?limit=10", ""),
    ("GET", "/api/restart/events", ""),
    ("GET", "/api/restart/runs", ""),
];

#[tokio::test]
async fn a_caller_of_the_http_api_has_the_rights_of_the_token_and_not_the_controllers() {
    let stage = Stage::new("http-rights", "1000").await;
    let nobody = stage.caller("nobody", None).await;
    let restarter = stage.caller("restarter", Some("restart-controller-restarter")).await;
    stage.in_force(&restarter).await;
    for (method, path, body) in CALLS {
        for token in [None, Some("no-token-of-this-cluster"), Some("")] {
            let answer = stage.ask(token, method, path, body).await;
            assert_eq!(
                (answer.status, answer.code()),
                (401, json!("RESTART_011")),
                "{path} {token:?}: {}",
                answer.text
            );
            assert_eq!(answer.head["www-authenticate"], "Bearer");
        }
        let answer = stage.ask(Some(&nobody), method, path, body).await;
        assert_eq!((answer.status, answer.code()), (403, json!("RESTART_011")), "{path}: {}", answer.text);
        assert!(answer.text.contains(&format!("system:serviceaccount:{}:nobody", stage.space)), "{}", answer.text);
    }
    let accepted = stage.ask(Some(&restarter), "POST", "/api/restart/request", BODY).await;
    assert_eq!(accepted.status, 200, "{}", accepted.text);
    let name = serde_json::from_str::<Value>(&accepted.text).unwrap()["request_id"].as_str().unwrap().replace('_', "-");
    let object = raw(&stage.admin, &stage.space).get(&name).await.unwrap();
    assert_eq!(object.data["spec"]["requestedBy"], format!("system:serviceaccount:{}:restarter", stage.space));
    assert_eq!(object.metadata.annotations.unwrap()["restart-controller.dev/user"], "admin");
    stage.until_it_says(&restarter, "completed").await;
    let history = stage.get(&restarter, "/api/restart/history").await;
    assert!(history.status == 200 && history.text.contains("new price table"), "{}", history.text);
    // It is found by its id alone, and has ended; another namespace is another matter.
    let cancel =
        stage.ask(Some(&restarter), "POST", "/api/restart/cancel", &format!(r#"{{"request_id": "{name}"}}"#)).await;
    assert_eq!((cancel.status, cancel.code()), (409, json!("RESTART_002")), "{}", cancel.text);
    assert_eq!(stage.get(&restarter, "/api/restart/status?namespace=default&name=web").await.status, 403);
    let (_, log) = stage.running.stop().await;
    assert!(!log.contains(&restarter) && !log.contains(&nobody), "a token is in the log");
}

#[tokio::test]
async fn the_http_api_answers_as_the_seeds_manual_has_it_field_by_field() {
    let stage = Stage::new("http-words", "1000").await;
    bind(&stage.admin, &stage.space, "unused", json!({"kind": "ClusterRole", "metadata": {"name": "edit"}})).await;
    let token = stage.caller("editor", Some("edit")).await;
    stage.in_force(&token).await;
    let fixed = |text: &str| {
        let (head, tail) = text.split_once("\"timestamp\":\"").unwrap();
        let (time, rest) = tail.split_once('"').unwrap();
        assert!(time.len() == 20 && time.ends_with('Z'), "{time}");
        format!("{head}\"timestamp\":\"T\"{rest}")
    };
    let idle = stage.get(&token, "/api/restart/status").await.text;
    assert_eq!(
        fixed(&idle),
        r#"{"success":true,"data":{"status":"idle","is_restarting":false,"active_requests_count":0,"timestamp":"T"}}"#
    );
    let mut events = stage.send(Some(&token), "GET", "/api/restart/events", "").await.into_body();
    let accepted = stage.ask(Some(&token), "POST", "/api/restart/request", BODY).await;
    let body: Value = serde_json::from_str(&accepted.text).unwrap();
    let id = body["request_id"].as_str().unwrap();
    let digits = id.strip_prefix("restart_").unwrap();
    assert!(digits.bytes().all(|byte| byte.is_ascii_digit()), "{id}");
    let message = body["message"].as_str().unwrap();
    assert_eq!(
        accepted.text,
        format!(
            r#"{{"success":true,"message":"{message}","request_id":"{id}","status":"preparing","estimated_time":40}}"#
        )
    );
    let ended = stage.until_it_says(&token, "completed").await;
    assert_eq!(
        fixed(&ended),
        r#"{"success":true,"data":{"status":"completed","is_restarting":false,"active_requests_count":0,"timestamp":"T"}}"#
    );
    let history = stage.get(&token, "/api/restart/history?limit=10").await.text;
    assert_eq!(
        fixed(&history),
        r#"{"success":true,"data":[{"timestamp":"T","reason":"new price table","success":true}]}"#
    );
    let late = stage.ask(Some(&token), "POST", "/api/restart/cancel", r#"{"user": "admin"}"#).await;
    assert_eq!((late.status, late.code()), (409, json!("RESTART_002")));
    let missing =
        stage.ask(Some(&token), "POST", "/api/restart/request", r#"{"reason": "x", "name": "nothing"}"#).await;
    assert_eq!((missing.status, missing.code()), (404, json!("RESTART_007")));
    let mut told = String::new();
    while !told.contains("\"status\":\"completed\"") {
        let frame = tokio::time::timeout(PATIENCE, events.frame()).await.unwrap().unwrap().unwrap();
        told.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
    let at = |text: &str| told.find(text).unwrap_or_else(|| panic!("no {text:?} in {told}"));
    let first = at("event: status\ndata: {\"status\":\"idle\"");
    assert!(at("event: listed\ndata: {\"count\":0}") < first && first < at("event: run\n"), "{told}");
    // The request goes, what it did stays: in the status, and on the stream.
    raw(&stage.admin, &stage.space).delete(&id.replace('_', "-"), &DeleteParams::default()).await.unwrap();
    while !told.contains("event: gone\n") {
        let frame = tokio::time::timeout(PATIENCE, events.frame()).await.unwrap().unwrap().unwrap();
        told.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
    assert!(!told[told.find("event: gone\n").unwrap()..].contains("\"idle\""), "{told}");
    let gone = stage.get(&token, "/api/restart/status").await.text;
    assert_eq!(fixed(&gone), fixed(&ended));
}

#[tokio::test]
async fn the_http_api_refuses_what_is_too_large_too_often_or_not_understood() {
    let stage = Stage::new("http-limits", "40").await;
    let token = stage.caller("editor", Some("edit")).await;
    stage.in_force(&token).await;
    let post = async |body: &str| stage.ask(Some(&token), "POST", "/api/restart/request", body).await;
    let large = format!(r#"{{"reason": "{}"}}"#, "x".repeat(65 * 1024));
    let answers = [
        (post(&large).await, 413, "RESTART_017"),
        (post("{").await, 400, "RESTART_017"),
        (post(r#"{"reason": 3}"#).await, 400, "RESTART_017"),
        (post(r#"{"reason": "x", "timout": 3}"#).await, 400, "RESTART_017"),
        (post(r#"{"reason": ""}"#).await, 422, "RESTART_017"),
        (post(r#"{"reason": "x", "timeout": 0}"#).await, 422, "RESTART_017"),
        (post(r#"{"reason": "x", "timeout": 301}"#).await, 422, "RESTART_017"),
        (post(r#"{"reason": "x", "namespace": "../../default"}"#).await, 400, "RESTART_017"),
        (stage.get(&token, "/api/restart/history?limit=0").await, 400, "RESTART_017"),
        (stage.get(&token, "/api/restart/nothing").await, 404, "RESTART_017"),
        (stage.get(&token, "/api/restart/runs/%ff/web").await, 400, "RESTART_017"),
        (stage.get(&token, "/api/restart/runs/shop/..%2fweb").await, 400, "RESTART_017"),
        (stage.ask(Some(&token), "DELETE", "/api/restart/status", "").await, 405, "RESTART_017"),
    ];
    for (at, (answer, status, code)) in answers.iter().enumerate() {
        assert_eq!((answer.status, answer.code()), (*status, json!(code)), "{at}: {}", answer.text);
    }
    assert_eq!(answers.last().unwrap().0.head["allow"], "GET,HEAD");
    let mut refused = None;
    for _ in 0..400 {
        // No API server is asked by whoever sends no token, so that this is quick enough.
        let answer = stage.ask(None, "GET", "/api/restart/status", "").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("nobody was refused for asking too often");
    assert_eq!((refused.code(), &refused.head["retry-after"]), (json!("RESTART_017"), &"1".parse().unwrap()));
}
