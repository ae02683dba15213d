//! The HTTP API in TLS: a certificate that openssl made, another one in its place, and files that are good for nothing.
//!
//! **Invariant:** the files lie as a kubelet mounts a Secret: behind a link that changes for all of them at once.

use super::running::Running;
use super::{clients, namespace};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Makes `NAME.crt` and `NAME.key` for localhost.
fn certificate(directory: &Path, name: &str) {
    fs::write(directory.join("openssl.cnf"), "[req]\ndistinguished_name=name\n[name]\n").unwrap();
    let files = ["-keyout", &format!("{name}.key"), "-out", &format!("{name}.crt")].map(str::to_owned);
    let made = Command::new("openssl")
        .current_dir(directory)
        .args("req -x509 -config openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost".split(' '))
        .args("-addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE".split(' '))
        .args(files)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Mounts a pair of files, as a kubelet does it: into a folder of their own, then one link is moved.
fn mount(from: &Path, certificate: &str, key: &str, into: &Path) {
    let version = format!("..{certificate}-{key}");
    fs::create_dir_all(into.join(&version)).unwrap();
    fs::copy(from.join(certificate), into.join(&version).join("tls.crt")).unwrap();
    fs::copy(from.join(key), into.join(&version).join("tls.key")).unwrap();
    symlink(&version, into.join("..data_tmp")).unwrap();
    fs::rename(into.join("..data_tmp"), into.join("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        let _ = symlink(format!("..data/{name}"), into.join(name)); // there already
    }
}

/// The HTTP status, of a server that this certificate is trusted of, or what is wrong.
async fn ask(address: &str, trusted: &Path) -> Result<u16, String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await;
    let stream = TokioIo::new(stream.map_err(|error| error.to_string())?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/api/restart/status").header("host", "localhost").body(Empty::<Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"{\"success\":false,\"code\":\"RESTART_011\""), "{body:?}");
    Ok(status)
}

#[tokio::test]
async fn the_http_api_speaks_tls_and_takes_a_new_certificate_into_use_without_a_restart() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "http-tls").await;
    let (made, mounted) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (made, mounted) = (made.path(), mounted.path());
    for name in ["first", "second"] {
        certificate(made, name);
    }
    let [first, second] = ["first.crt", "second.crt"].map(|name| made.join(name));
    mount(made, "first.crt", "first.key", mounted);
    let tls = mounted.to_str().unwrap();
    let mut running = Running::start_with(&space, &["--http-api", "127.0.0.1:0", "--http-api-tls", tls]).await;
    let mut lines = running.seen.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let address = lines.find_map(|line| line["http_api"].as_str().map(str::to_owned)).unwrap();

    assert_eq!(ask(&address, &first).await, Ok(401));
    assert!(ask(&address, &second).await.unwrap_err().contains("certificate"));
    let plain = TokioIo::new(TcpStream::connect(&address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(plain).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/").header("host", "localhost").body(Empty::<Bytes>::new()).unwrap();
    assert!(sender.send_request(request).await.is_err(), "it answers in clear text");

    mount(made, "second.crt", "second.key", mounted);
    assert_eq!(ask(&address, &second).await, Ok(401));
    assert!(ask(&address, &first).await.is_err(), "the old certificate is still in use");

    mount(made, "first.crt", "second.key", mounted);
    assert_eq!(ask(&address, &second).await, Ok(401), "a pair that does not fit was used");
    let kept = running.line(|line| line["level"] == "ERROR").await;
    let why = kept["why"].as_str().unwrap();
    assert!(why.contains("tls.key: it is not the key of") && why.contains("--http-api-tls"), "{kept}");
    mount(made, "first.crt", "first.key", mounted);
    assert_eq!(ask(&address, &first).await, Ok(401), "it was not read again after a pair that does not fit");
    running.stop().await;
}

#[tokio::test]
async fn a_certificate_that_is_no_good_ends_the_program_with_a_sentence_that_names_flag_and_file() {
    let (_, admin) = clients().await;
    let space = namespace(&admin, "http-no-tls").await;
    let made = TempDir::new().unwrap();
    let made = made.path();
    for name in ["first", "second"] {
        certificate(made, name);
    }
    fs::write(made.join("empty"), "").unwrap();
    fs::write(made.join("broken"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let cases = [
        ("first.crt", "second.key", "tls.key: it is not the key of"),
        ("empty", "first.key", "tls.crt: it holds no certificate in PEM"),
        ("first.crt", "first.crt", "tls.key: it holds no unencrypted private key in PEM"),
        ("broken", "first.key", "tls.crt: invalid peer certificate: BadEncoding"),
    ];
    let said = async |directory: &Path| {
        let directory = directory.to_str().unwrap();
        let arguments = ["--http-api", "127.0.0.1:0", "--http-api-tls", directory];
        let (status, lines, last) = Running::spawn(&space, &arguments, None).ended().await;
        assert!(!status.success(), "{directory}: {lines:?}");
        lines.join("\n") + &last
    };
    let mut attempts = vec![];
    for (certificate, key, sentence) in cases {
        let mounted = made.join(format!("{certificate}-{key}"));
        fs::create_dir(&mounted).unwrap();
        mount(made, certificate, key, &mounted);
        attempts.push((mounted, sentence));
    }
    attempts.push((made.join("nowhere"), "tls.crt: No such file or directory"));
    let all = futures::future::join_all(attempts.iter().map(|(directory, _)| said(directory))).await;
    for (text, (directory, sentence)) in all.iter().zip(&attempts) {
        let whole = format!("--http-api-tls: {}/{sentence}", directory.display());
        assert!(text.contains(&whole), "not {whole}, but {text}");
    }
    let unused = Running::spawn(&space, &["--http-api-tls", "/nowhere"], None).ended().await;
    assert!(unused.2.contains("--http-api <ADDRESS>"), "a flag that has no effect is accepted: {}", unused.2);
}
