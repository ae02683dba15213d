//! The digest of a ConfigMap, taken while its JSON is read: key after key, with one value in hand.
//!
//! **Invariant:** the digest is that of `[data, binaryData]` as compact JSON with sorted keys, absent and empty being the
//! same; digests in statuses and histories of earlier versions were taken so.

use super::{Seen, validate};
use crate::controller::validate::Broken;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, Time};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io;

/// sha256 of a ConfigMap's data and binaryData and of nothing else; absent and empty are the same.
#[must_use]
pub fn digest(map: &ConfigMap) -> String {
    of(map.data.as_ref(), map.binary_data.as_ref())
}

/// The same of data without their object.
pub fn of(data: Option<&BTreeMap<String, String>>, binary: Option<&BTreeMap<String, ByteString>>) -> String {
    let mut hashing = Hashing { parse: false, ..Hashing::default() };
    hashing.whole(data, binary);
    hashing.finished()
}

/// Where an answer does not parse; serde's own words may quote it.
pub fn at(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

/// What the JSON of a ConfigMap says.
pub fn seen(json: &[u8]) -> Result<Seen, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Unsorted {
        data: Option<BTreeMap<String, String>>,
        binary_data: Option<BTreeMap<String, ByteString>>,
    }
    let streamed = serde_json::from_slice::<Streamed>(json).map_err(|error| at(&error))?;
    let Streamed { seen, mut hashing } = streamed;
    if hashing.disorder {
        // Go sorts; another API server need not.
        let map: Unsorted = serde_json::from_slice(json).map_err(|error| at(&error))?;
        hashing = Hashing::default();
        hashing.whole(map.data.as_ref(), map.binary_data.as_ref());
    }
    Ok(seen.holding(hashing))
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    #[default]
    None,
    Data,
    Binary,
}

/// A digest under way.
#[derive(Debug)]
pub struct Hashing {
    sha: Sha256,
    done: Part,
    parse: bool,
    disorder: bool,
    pub bytes: usize,
    pub broken: Option<Broken>,
}

impl Default for Hashing {
    fn default() -> Self {
        Self { sha: Sha256::default(), done: Part::None, parse: true, disorder: false, bytes: 0, broken: None }
    }
}

struct Sink<'a>(&'a mut Sha256);

impl io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Hashing {
    pub fn whole(&mut self, data: Option<&BTreeMap<String, String>>, binary: Option<&BTreeMap<String, ByteString>>) {
        self.open(Part::Data);
        for (number, (key, value)) in data.into_iter().flatten().enumerate() {
            self.entry(Part::Data, number == 0, key, value);
        }
        self.sha.update(b"}");
        self.open(Part::Binary);
        for (number, (key, value)) in binary.into_iter().flatten().enumerate() {
            self.entry(Part::Binary, number == 0, key, value);
        }
        self.sha.update(b"}");
    }

    /// Lower-case hexadecimal.
    pub fn finished(mut self) -> String {
        self.fill(Part::Binary);
        if self.done < Part::Binary {
            self.sha.update(b",{}");
        }
        self.sha.update(b"]");
        self.sha.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// An absent part before this one is an empty one.
    fn fill(&mut self, part: Part) {
        if self.done == Part::None {
            self.sha.update(if part == Part::Data { &b"["[..] } else { &b"[{}"[..] });
            self.done = Part::Data;
        }
    }

    fn open(&mut self, part: Part) {
        self.disorder |= part <= self.done;
        self.fill(part);
        self.sha.update(if part == Part::Data { &b"{"[..] } else { &b",{"[..] });
        self.done = part;
    }

    fn entry(&mut self, part: Part, first: bool, key: &str, value: &(impl Serialize + Length + ?Sized)) {
        if !first {
            self.sha.update(b",");
        }
        self.json(key);
        self.sha.update(b":");
        self.json(value);
        self.bytes += key.len() + value.length();
        if let (Part::Data, true, true, Some(text)) = (part, self.parse, self.broken.is_none(), value.text()) {
            self.broken = validate::broken(key, text);
        }
    }

    /// Strings and base64 always serialize, and a hash takes every byte.
    fn json(&mut self, value: &(impl Serialize + ?Sized)) {
        self.disorder |= serde_json::to_writer(Sink(&mut self.sha), value).is_err();
    }
}

/// A value's own length, and its text if it is one.
trait Length {
    fn length(&self) -> usize;
    fn text(&self) -> Option<&str>;
}

impl Length for str {
    fn length(&self) -> usize {
        self.len()
    }
    fn text(&self) -> Option<&str> {
        Some(self)
    }
}

impl Length for String {
    fn length(&self) -> usize {
        self.len()
    }
    fn text(&self) -> Option<&str> {
        Some(self)
    }
}

impl Length for ByteString {
    fn length(&self) -> usize {
        self.0.len()
    }
    fn text(&self) -> Option<&str> {
        None
    }
}

/// A ConfigMap whose data have gone through the hash.
struct Streamed {
    seen: Seen,
    hashing: Hashing,
}

impl<'de> Deserialize<'de> for Streamed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Streamed;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a ConfigMap")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Streamed, A::Error> {
        let (mut metadata, mut immutable, mut hashing) = (None, None, Hashing::default());
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match &*key {
                "metadata" => metadata = Some(ObjectMeta::from(map.next_value::<Meta>()?)),
                "immutable" => immutable = map.next_value()?,
                "data" => map.next_value_seed(Section(Part::Data, &mut hashing))?,
                "binaryData" => map.next_value_seed(Section(Part::Binary, &mut hashing))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let metadata = metadata.ok_or_else(|| A::Error::missing_field("metadata"))?;
        Ok(Streamed { seen: Seen { immutable, ..Seen::from(&metadata) }, hashing })
    }
}

/// `data` or `binaryData`, whose values are strings both: base64 is hashed as it stands.
struct Section<'a>(Part, &'a mut Hashing);

impl<'de> DeserializeSeed<'de> for Section<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Section<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("keys and values")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(part, hashing) = self;
        hashing.open(part);
        let mut last: Option<Cow<'de, str>> = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let Text(value) = map.next_value()?;
            hashing.disorder |= last.as_ref().is_some_and(|last| *last >= key);
            hashing.entry(part, last.is_none(), &key, &*value);
            last = Some(key);
        }
        hashing.sha.update(b"}");
        Ok(())
    }
}

/// A string that stays where it is unless it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The metadata without the fields of its writers, which may be as large as the data.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    creation_timestamp: Option<Time>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    managed_fields: Option<Vec<Writer>>,
}

#[derive(Deserialize)]
struct Writer {
    time: Option<Time>,
}

impl From<Meta> for ObjectMeta {
    fn from(meta: Meta) -> Self {
        let entry = |writer: Writer| ManagedFieldsEntry { time: writer.time, ..ManagedFieldsEntry::default() };
        Self {
            name: meta.name,
            uid: meta.uid,
            resource_version: meta.resource_version,
            creation_timestamp: meta.creation_timestamp,
            labels: meta.labels,
            annotations: meta.annotations,
            managed_fields: meta.managed_fields.map(|writers| writers.into_iter().map(entry).collect()),
            ..Self::default()
        }
    }
}
