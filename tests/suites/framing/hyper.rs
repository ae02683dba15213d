//! The proxy that the sidecar would be if its HTTP/1.1 were hyper's: hyper's server, its pooled client, and nothing between.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};

type Body = BoxBody<Bytes, hyper::Error>;

/// Starts one before `app` that keeps `idle` connections to it; it lives as long as the test's runtime.
pub async fn start(app: SocketAddr, idle: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(idle).set_host(false).build_http();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, app, client.clone()));
        }
    });
    address
}

/// What its clients do wrong, hyper answers.
async fn serve(stream: TcpStream, app: SocketAddr, client: Client<HttpConnector, Incoming>) {
    let service = service_fn(|request| {
        let client = client.clone();
        async move { Ok::<_, Infallible>(forward(request, app, &client).await) }
    });
    let server = hyper::server::conn::http1::Builder::new();
    let _ = server.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}

async fn forward(
    mut request: Request<Incoming>,
    app: SocketAddr,
    client: &Client<HttpConnector, Incoming>,
) -> Response<Body> {
    let from_client = hyper::upgrade::on(&mut request);
    let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    let target = if request.method() == Method::CONNECT { app.to_string() } else { format!("http://{app}{path}") };
    let Ok(target) = target.parse::<Uri>() else { return bad_gateway() };
    *request.uri_mut() = target;
    let Ok(mut answer) = client.request(request).await else { return bad_gateway() };
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let from_app = hyper::upgrade::on(&mut answer);
        tokio::spawn(async move {
            if let (Ok(client), Ok(app)) = tokio::join!(from_client, from_app) {
                let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(app)).await;
            }
        });
    }
    answer.map(BodyExt::boxed)
}

fn bad_gateway() -> Response<Body> {
    let nothing = Empty::new().map_err(|never| match never {}).boxed();
    let mut answer = Response::new(nothing);
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    answer
}
