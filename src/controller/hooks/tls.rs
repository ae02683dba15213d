//! TLS for hooks, with the provider of cryptography that the connection to the API server uses.
//!
//! **Invariant:** every certificate is verified; there is no switch against it.

use super::url::Host;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Speaks TLS to `host` over `stream`.
///
/// # Errors
/// The host is not who it says it is, or speaks no TLS.
pub async fn connect(host: &Host, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
    let name = match host {
        Host::Address(address) => ServerName::from(*address),
        Host::Name(name) => ServerName::try_from(name.trim_end_matches('.').to_owned())
            .map_err(|error| format!("{name} is no name for TLS: {error}"))?,
    };
    let connector = TlsConnector::from(Arc::new(config()?));
    connector.connect(name, stream).await.map_err(|error| {
        let hint = "; a private CA is trusted when the controller's SSL_CERT_FILE names its certificate";
        let hint = if error.to_string().contains("UnknownIssuer") { hint } else { "" };
        format!("TLS: {error}{hint}")
    })
}

/// Mozilla's authorities, and those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
///
/// # Errors
/// When the cryptography that TLS needs is not there.
pub fn config() -> Result<ClientConfig, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let (_, unusable) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if unusable > 0 {
        tracing::warn!(unusable, "certificates of SSL_CERT_FILE or SSL_CERT_DIR cannot be used");
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| format!("TLS: {error}"))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
