//! What ConfigMaps hold, as digests: a version is read once, one ConfigMap at a time, and asked for by its metadata afterwards.
//!
//! UID and resourceVersion are proof: another content has another resourceVersion, and an immutable copy that somebody
//! deleted and made anew has another UID. So a pass knows all of its ConfigMaps and holds the data of none; who writes reads
//! the data then, and holds it against the digest first.
//!
//! **Invariant:** no data outlives the call that read them, and no error and no log line quotes them.

use super::context::call;
use super::error::Error;
use super::gitops::applied_by;
use super::shares::{Place, Shares};
use super::validate::{self, Broken};
use futures::{AsyncBufRead, AsyncBufReadExt as _};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::api::GetParams;
use kube::core::Request;
use kube::{Client, Resource as _};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

mod hashing;
pub use hashing::digest;

/// ConfigMaps whose data are read at one time for one namespace, and for all.
const READING: (usize, usize) = (1, 4);
/// ConfigMaps whose metadata are read at one time for one namespace, and for all.
const LOOKING: (usize, usize) = (4, 64);
/// The longest answer that is read: a ConfigMap has at most 1 MiB of values, each byte of them at most six in JSON.
const LONGEST_ANSWER: usize = 8 << 20;
/// By so many bytes the place for an answer grows.
const STEP: usize = 256 << 10;
/// Digests kept of one namespace, and of all; a few hundred bytes each. Of more all are forgotten, which costs reading again.
const KEPT: (usize, usize) = (1_024, 16_384);

/// What one version of a ConfigMap holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion.
    pub version: String,
    /// [`digest`] of it.
    pub sha256: String,
    /// Length of its keys and values.
    pub bytes: usize,
    /// Its field `immutable`.
    pub immutable: Option<bool>,
    /// The tool that applies it from Git.
    pub applied_by: Option<&'static str>,
    /// What in it does not parse.
    pub broken: Option<Broken>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// The times of its writers; absent if it does not tell of every one of them.
    pub written: Option<Vec<Timestamp>>,
}

impl Seen {
    /// Of an object that is held anyway.
    #[must_use]
    pub fn of(map: &ConfigMap) -> Self {
        let mut hashing = hashing::Hashing::default();
        hashing.whole(map.data.as_ref(), map.binary_data.as_ref());
        Self { immutable: map.immutable, ..Self::from(&map.metadata).holding(hashing) }
    }

    fn holding(self, hashing: hashing::Hashing) -> Self {
        let (bytes, broken) = (hashing.bytes, hashing.broken.clone());
        Self { sha256: hashing.finished(), bytes, broken, ..self }
    }
}

impl From<&ObjectMeta> for Seen {
    fn from(metadata: &ObjectMeta) -> Self {
        let writers = metadata.managed_fields.as_ref().filter(|writers| !writers.is_empty());
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            version: metadata.resource_version.clone().unwrap_or_default(),
            applied_by: applied_by(metadata),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            written: writers
                .and_then(|writers| writers.iter().map(|writer| writer.time.as_ref().map(|time| time.0)).collect()),
            ..Self::default()
        }
    }
}

/// The data of a ConfigMap, and the place that they take as long as they are held.
#[derive(Debug)]
pub struct Data {
    /// `data`.
    pub data: Option<BTreeMap<String, String>>,
    /// `binaryData`.
    pub binary_data: Option<BTreeMap<String, ByteString>>,
    _place: Place,
}

/// What is known; clones share it.
#[derive(Clone, Debug)]
pub struct Contents {
    known: Arc<Mutex<Known>>,
    reading: Shares,
    looking: Shares,
}

type Known = BTreeMap<String, BTreeMap<String, Arc<Seen>>>;

impl Default for Contents {
    fn default() -> Self {
        let shares = |(each, all)| Shares::new(each, all);
        Self { known: Arc::default(), reading: shares(READING), looking: shares(LOOKING) }
    }
}

impl Contents {
    /// What a ConfigMap holds now; absent if it does not exist.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn look(&self, client: &Client, namespace: &str, name: &str) -> Result<Option<Arc<Seen>>, Error> {
        if let Some(known) = self.known(namespace, name) {
            let version = self.version(client, namespace, name).await?;
            match version {
                Some(version) if version == (known.uid.as_str(), known.version.as_str()) => return Ok(Some(known)),
                Some(_) => {}
                None => return Ok(self.forget(namespace, name)),
            }
        }
        let _place = place(&self.reading, namespace).await?;
        let Some(body) = read(client, namespace, name, false).await? else { return Ok(self.forget(namespace, name)) };
        let seen = hashing::seen(&body).map_err(|at| unreadable(namespace, name, &at))?;
        Ok(Some(self.keep(namespace, name, seen)))
    }

    /// The data whose digest is `sha256`; absent if the ConfigMap is gone or holds something else.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn data(
        &self,
        client: &Client,
        namespace: &str,
        name: &str,
        sha256: &str,
    ) -> Result<Option<Data>, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Whole {
            data: Option<BTreeMap<String, String>>,
            binary_data: Option<BTreeMap<String, ByteString>>,
        }
        let place = place(&self.reading, namespace).await?;
        let Some(body) = read(client, namespace, name, false).await? else { return Ok(None) };
        let whole: Whole =
            serde_json::from_slice(&body).map_err(|error| unreadable(namespace, name, &hashing::at(&error)))?;
        drop(body);
        let Whole { data, binary_data } = whole;
        let held = hashing::of(data.as_ref(), binary_data.as_ref()) == sha256;
        Ok(held.then_some(Data { data, binary_data, _place: place }))
    }

    /// UID and resourceVersion.
    async fn version(&self, client: &Client, namespace: &str, name: &str) -> Result<Option<Version>, Error> {
        #[derive(Deserialize)]
        struct Partial {
            metadata: Version,
        }
        let _place = place(&self.looking, namespace).await?;
        let Some(body) = read(client, namespace, name, true).await? else { return Ok(None) };
        let partial: Partial =
            serde_json::from_slice(&body).map_err(|error| unreadable(namespace, name, &hashing::at(&error)))?;
        Ok(Some(partial.metadata))
    }

    fn known(&self, namespace: &str, name: &str) -> Option<Arc<Seen>> {
        self.lock().get(namespace)?.get(name).cloned()
    }

    fn keep(&self, namespace: &str, name: &str, seen: Seen) -> Arc<Seen> {
        let (seen, mut known) = (Arc::new(seen), self.lock());
        if known.values().map(BTreeMap::len).sum::<usize>() >= KEPT.1 {
            known.clear();
        }
        let of = known.entry(namespace.to_owned()).or_default();
        if of.len() >= KEPT.0 {
            of.clear();
        }
        of.insert(name.to_owned(), seen.clone());
        seen
    }

    fn forget(&self, namespace: &str, name: &str) -> Option<Arc<Seen>> {
        let mut known = self.lock();
        let of = known.get_mut(namespace)?;
        of.remove(name);
        if of.is_empty() {
            known.remove(namespace);
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What tells one content from another.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    uid: String,
    resource_version: String,
}

impl PartialEq<(&str, &str)> for Version {
    fn eq(&self, other: &(&str, &str)) -> bool {
        (self.uid.as_str(), self.resource_version.as_str()) == *other
    }
}

async fn place(shares: &Shares, namespace: &str) -> Result<Place, Error> {
    shares.place(namespace).await.map_err(|error| Error::Internal(error.to_string()))
}

/// The answer as it comes: kube's own way would hold it three times, and log it where it does not parse.
async fn read(client: &Client, namespace: &str, name: &str, metadata: bool) -> Result<Option<Vec<u8>>, Error> {
    let request = Request::new(ConfigMap::url_path(&(), Some(namespace)));
    let params = GetParams::default();
    let request = if metadata { request.get_metadata(name, &params) } else { request.get(name, &params) };
    let what = format!("read ConfigMap {namespace}/{name}");
    let request =
        request.map_err(|error| Error::Kube { what: what.clone(), source: kube::Error::BuildRequest(error) })?;
    let body = call(what, async {
        let stream = match client.request_stream(request).await {
            Ok(stream) => stream,
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        collected(stream).await.map(Some).map_err(|error| kube::Error::Service(Box::new(error)))
    });
    body.await
}

/// In steps, since a vector that doubles would take twice what it holds.
async fn collected(stream: impl AsyncBufRead) -> io::Result<Vec<u8>> {
    let (mut stream, mut body) = (std::pin::pin!(stream), vec![]);
    loop {
        let piece = stream.fill_buf().await?;
        let length = piece.len();
        if length == 0 {
            return Ok(body);
        }
        if body.len() + length > LONGEST_ANSWER {
            return Err(io::Error::other(format!("the answer is longer than {LONGEST_ANSWER} bytes")));
        }
        if body.capacity() - body.len() < length {
            body.reserve_exact(length.max(STEP));
        }
        body.extend_from_slice(piece);
        stream.consume_unpin(length);
    }
}

fn unreadable(namespace: &str, name: &str, at: &str) -> Error {
    Error::Internal(format!("what the API server answered for ConfigMap {namespace}/{name} cannot be read: {at}"))
}

#[cfg(test)]
#[path = "contents/tests.rs"]
mod tests;
