//! Traces of real runs at a real receiver: an HTTP server that takes what OTLP sends and decodes it.
//!
//! **Invariant:** what is expected of a trace stands in the status that the API server has.

use super::requests::{create, raw};
use super::running::Running;
use super::{clients, namespace, until};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, PostParams};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// What was received.
#[derive(Clone, Default)]
struct Receiver {
    exports: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    /// How many requests are answered with 503 first.
    away: Arc<Mutex<u32>>,
}

impl Receiver {
    /// Listens; returns its address.
    async fn begin(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let receiver = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let receiver = receiver.clone();
                let service = service_fn(move |request| receiver.clone().take(request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        address
    }

    async fn take(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/v1/traces"));
        let body = request.into_body().collect().await?.to_bytes();
        let mut answer = Response::new(Full::default());
        let mut away = self.away.lock().unwrap();
        if *away > 0 {
            *away -= 1;
            *answer.status_mut() = hyper::StatusCode::SERVICE_UNAVAILABLE;
        } else {
            self.exports.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
        }
        Ok(answer)
    }

    /// The spans of a request, and the service that sent them.
    fn spans(&self, name: &str) -> Vec<Span> {
        let exports = self.exports.lock().unwrap();
        let resources = exports.iter().flat_map(|export| &export.resource_spans);
        let mut found = vec![];
        for resource in resources {
            let service = &resource.resource.as_ref().unwrap().attributes;
            let service = service.iter().find(|attribute| attribute.key == "service.name").unwrap();
            assert_eq!(text(service.value.as_ref().unwrap().value.as_ref()), "restart-controller");
            found.extend(resource.scope_spans.iter().flat_map(|scope| scope.spans.clone()));
        }
        found.retain(|span| attribute(span, "restart.name") == name);
        found
    }
}

fn text(value: Option<&Any>) -> String {
    match value {
        Some(Any::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}

fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    found.map(|found| text(found.value.as_ref().unwrap().value.as_ref())).unwrap_or_default()
}

/// A workload whose restart needs no node: it has no pods.
async fn deployment(client: &Client, namespace: &str) {
    let deployment = json!({"metadata": {"name": "web"}, "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}}}});
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    api.create(&PostParams::default(), &serde_json::from_value(deployment).unwrap()).await.unwrap();
    until("the deployment is seen", || async {
        let status = api.get("web").await.unwrap().status.unwrap_or_default();
        status.observed_generation == Some(1)
    })
    .await;
}

async fn status(client: &Client, namespace: &str, name: &str) -> Value {
    raw(client, namespace).get(name).await.unwrap().data["status"].clone()
}

async fn ended(client: &Client, namespace: &str, name: &str) -> Value {
    until("the run has ended", || async { status(client, namespace, name).await["step"] == "Finished" }).await;
    status(client, namespace, name).await
}

fn nanos(time: &Value) -> u64 {
    let time: Timestamp = time.as_str().unwrap().parse().unwrap();
    u64::try_from(time.as_nanosecond()).unwrap()
}

/// One trace: the run, and as its children the phases of the history before the end, in their order and with their times.
fn is_the_trace_of(spans: &[Span], namespace: &str, status: &Value) {
    let entries: Vec<&Value> = status["history"].as_array().unwrap().iter().collect();
    let (end, phases) = entries.split_last().unwrap();
    assert_eq!(spans.len(), 1 + phases.len(), "{spans:#?}");
    let run = &spans[0];
    assert_eq!((run.name.as_str(), run.trace_id.len(), run.parent_span_id.len()), ("restart", 16, 0));
    assert_eq!(run.start_time_unix_nano, nanos(&entries[0]["startedAt"]));
    assert_eq!(run.end_time_unix_nano, nanos(&status["finishedAt"]));
    assert_eq!(attribute(run, "restart.result"), end["phase"].as_str().unwrap());
    for (span, entry) in spans[1..].iter().zip(phases) {
        assert_eq!(span.name, entry["phase"].as_str().unwrap());
        assert_eq!((&span.trace_id, &span.parent_span_id), (&run.trace_id, &run.span_id));
        assert_eq!(span.start_time_unix_nano, nanos(&entry["startedAt"]), "{entry}");
        assert_eq!(span.end_time_unix_nano, nanos(&entry["finishedAt"]), "{entry}");
    }
    for span in spans {
        assert_eq!(attribute(span, "k8s.namespace.name"), namespace);
        assert_eq!(attribute(span, "restart.target"), "Deployment/web");
    }
}

fn request(name: &str, more: &Value) -> Value {
    let mut request = super::requests::minimal(name);
    for (key, value) in more.as_object().unwrap() {
        request["spec"][key] = value.clone();
    }
    request
}

#[tokio::test]
async fn each_run_is_one_trace_with_the_times_of_its_history_also_across_a_crash() {
    let (_, client) = clients().await;
    let namespace = namespace(&client, "traces").await;
    deployment(&client, &namespace).await;
    let receiver = Receiver::default();
    let address = receiver.begin().await;
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", address.as_str())];
    let alone = ["--leader-elect=false"];
    let one = Running::start_in(&namespace, &alone, &environment).await;
    create(&client, &namespace, request("web", &json!({"verify": {"soakSeconds": 3}}))).await.unwrap();
    until("the pods are verified", || async { status(&client, &namespace, "web").await["step"] == "Verifying" }).await;
    one.signal("KILL").await;
    assert!(receiver.spans("web").is_empty(), "sent before the end");
    // The receiver is away when the run ends.
    *receiver.away.lock().unwrap() = 1;
    let other = Running::start_in(&namespace, &alone, &environment).await;
    let recorded = ended(&client, &namespace, "web").await;
    until("the trace has come", || async { !receiver.spans("web").is_empty() }).await;
    assert_eq!(recorded["phase"], "Completed", "{recorded}");
    let spans = receiver.spans("web");
    is_the_trace_of(&spans, &namespace, &recorded);
    assert_eq!(spans[0].status.as_ref().unwrap().code(), StatusCode::Ok);
    // Refused, and so a run without a phase but its end.
    create(&client, &namespace, request("bad", &json!({"timeoutSeconds": 301}))).await.unwrap();
    let recorded = ended(&client, &namespace, "bad").await;
    until("its trace has come", || async { !receiver.spans("bad").is_empty() }).await;
    let spans = receiver.spans("bad");
    is_the_trace_of(&spans, &namespace, &recorded);
    assert_eq!(attribute(&spans[0], "restart.code"), "RESTART_017");
    assert_eq!(spans[0].status.as_ref().unwrap().code(), StatusCode::Error);
    other.stop().await;
    assert_eq!(
        receiver.spans("web").len() + receiver.spans("bad").len(),
        receiver
            .exports
            .lock()
            .unwrap()
            .iter()
            .flat_map(|export| &export.resource_spans)
            .flat_map(|resource| &resource.scope_spans)
            .map(|scope| scope.spans.len())
            .sum::<usize>()
    );
    let all = receiver.spans("web");
    is_the_trace_of(&all, &namespace, &status(&client, &namespace, "web").await);
}
