//! The certificate of the HTTP API: `tls.crt` and `tls.key` of a directory, as a Secret of that type is mounted.
//!
//! **Invariant:** what cannot be used replaces nothing: each connection gets the last pair that belonged together.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{Error, ServerConfig};

/// When each of the two files was written last, and how long it is.
type Written = [Option<(SystemTime, u64)>; 2];

/// A certificate that is read again when one of its files changes.
pub struct Certificate {
    directory: PathBuf,
    written: Written,
    acceptor: TlsAcceptor,
}

impl Certificate {
    /// As the directory holds it now; else a sentence with the flag and the file.
    pub fn read(directory: PathBuf) -> Result<Self, String> {
        // Before the files are read: what is written meanwhile is seen as a change afterwards.
        let written = written(&directory);
        let acceptor = acceptor(&directory)?;
        Ok(Self { directory, written, acceptor })
    }

    /// As it is now, for a connection that begins. Two files that are written one after the other do not belong together
    /// for a moment: the second one is a change again.
    pub fn current(&mut self) -> TlsAcceptor {
        let written = written(&self.directory);
        if written != self.written {
            self.written = written;
            match acceptor(&self.directory) {
                Ok(acceptor) => {
                    self.acceptor = acceptor;
                    tracing::info!(directory = %self.directory.display(), "the HTTP API has a new certificate");
                }
                Err(why) => tracing::error!(why, "the HTTP API keeps its old certificate: the new one cannot be used"),
            }
        }
        self.acceptor.clone()
    }
}

fn files(directory: &Path) -> [PathBuf; 2] {
    ["tls.crt", "tls.key"].map(|name| directory.join(name))
}

fn written(directory: &Path) -> Written {
    let of = |file: PathBuf| std::fs::metadata(file).and_then(|found| Ok((found.modified()?, found.len()))).ok();
    files(directory).map(of)
}

fn acceptor(directory: &Path) -> Result<TlsAcceptor, String> {
    let [certificates, key] = files(directory);
    let of = |file: &Path, why: String| format!("--http-api-tls: {}: {why}", file.display());
    let chain = CertificateDer::pem_file_iter(&certificates).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) });
    let chain = chain.map_err(|error| of(&certificates, unread(&error, "certificate")))?;
    let private = PrivateKeyDer::from_pem_file(&key);
    let private = private.map_err(|error| of(&key, unread(&error, "unencrypted private key")))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private));
    match config {
        Ok(mut config) => {
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Ok(TlsAcceptor::from(Arc::new(config)))
        }
        Err(Error::InconsistentKeys(_)) => Err(of(&key, format!("it is not the key of {}", certificates.display()))),
        Err(error @ Error::InvalidCertificate(_)) => Err(of(&certificates, error.to_string())),
        Err(error) => Err(of(&key, error.to_string())),
    }
}

fn unread(error: &pem::Error, wanted: &str) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => format!("it holds no {wanted} in PEM"),
        error => error.to_string(),
    }
}
