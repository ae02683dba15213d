//! The key that signs commands to sidecars: made once, kept in a Secret of the controller's own namespace. While it is being
//! rotated (docs/keys.md) there is a second one, for pods whose sidecars do not know the new one yet.
//!
//! **Invariant:** the private half leaves this module in no log, error, event or debug output; the only Secret that the
//! controller ever reads is its own.

use super::context::call;
use super::error::Error;
use crate::api::names::{FIELD_MANAGER, sha256_hex};
use crate::wire::{DrainCommand, format_public_key};
use ed25519_dalek::SigningKey;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use std::collections::BTreeMap;

/// The Secret with the seed, and the ConfigMap with the public key, in the controller's namespace.
pub const OBJECT: &str = "restart-controller-keys";
/// Key of the Secret: 32 random bytes.
const SEED: &str = "ed25519-seed";
/// Key of the Secret while the key is being rotated: the seed that was there before. Never published.
const PREVIOUS_SEED: &str = "ed25519-seed-previous";
/// Key of the ConfigMap: `ID=BASE64`, as sidecars take it as an argument.
pub const PUBLIC: &str = "public";

/// The controller's signing keys: the present one, and during a rotation the one before it.
#[derive(Clone)]
pub struct Keys {
    present: Key,
    previous: Option<Key>,
}

/// Ids of the controller's keys, the present one first: what is known of them without the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    ids: Vec<String>,
}

impl Trusted {
    /// Of the published key, `ID=BASE64`.
    #[must_use]
    pub fn published(text: &str) -> Option<Self> {
        let (id, _) = text.split_once('=')?;
        Some(Self { ids: vec![id.to_owned()] })
    }

    /// The present key's id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.ids.first().map_or("", String::as_str)
    }

    /// Whether a sidecar with these `trustedKeys` obeys.
    #[must_use]
    pub fn obeyed(&self, trusted: &[String]) -> bool {
        self.ids.iter().any(|id| trusted.contains(id))
    }
}

#[derive(Clone)]
struct Key {
    id: String,
    key: SigningKey,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let previous = self.previous.as_ref().map(|key| &key.id);
        formatter
            .debug_struct("Keys")
            .field("id", &self.present.id)
            .field("previous", &previous)
            .finish_non_exhaustive()
    }
}

impl Key {
    fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let id = sha256_hex(key.verifying_key().as_bytes())[..8].to_owned();
        Self { id, key }
    }

    fn sign(&self, command: DrainCommand) -> DrainCommand {
        DrainCommand { key_id: self.id.clone(), ..command }.signed(&self.key)
    }
}

impl Keys {
    /// The key with this seed; its id is the first 8 hex digits of the sha256 of the public key.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self { present: Key::from_seed(seed), previous: None }
    }

    /// The same in mid-rotation: sidecars that do not know it yet are commanded with the key of `seed`.
    #[must_use]
    pub fn before(self, seed: &[u8; 32]) -> Self {
        Self { previous: Some(Key::from_seed(seed)), ..self }
    }

    /// The present key's id, as it stands in `trustedKeys` of reports.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.present.id
    }

    /// The present key's public half, `ID=BASE64`.
    #[must_use]
    pub fn public_text(&self) -> String {
        format_public_key(&self.present.id, &self.present.key.verifying_key())
    }

    /// The ids by which sidecars say whom they obey.
    #[must_use]
    pub fn trusted(&self) -> Trusted {
        Trusted { ids: std::iter::once(&self.present).chain(&self.previous).map(|key| key.id.clone()).collect() }
    }

    /// `command` with the id and the signature of the first key that is among `trusted`; of the present one if none is.
    #[must_use]
    pub fn sign(&self, command: DrainCommand, trusted: &[String]) -> DrainCommand {
        self.known_to(trusted).unwrap_or(&self.present).sign(command)
    }

    fn known_to(&self, trusted: &[String]) -> Option<&Key> {
        std::iter::once(&self.present).chain(&self.previous).find(|key| trusted.contains(&key.id))
    }
}

/// The key of this installation, made if there is none yet, and its public half published.
///
/// # Errors
/// When the Secret or the ConfigMap can be neither read nor made, or the Secret holds no key.
pub async fn load(reader: &kube::Client, writer: &kube::Client, namespace: &str) -> Result<Keys, Error> {
    let what = format!("read Secret {namespace}/{OBJECT}");
    let secrets: Api<Secret> = Api::namespaced(reader.clone(), namespace);
    let secret = match call(what.as_str(), secrets.get_opt(OBJECT)).await? {
        Some(secret) => secret,
        None => match create(writer, namespace).await {
            // Another replica was faster: its key is everybody's.
            Err(error) if error.is_already_exists() => call(what, secrets.get(OBJECT)).await?,
            created => created?,
        },
    };
    let keys = read(&secret, namespace)?;
    publish(writer, namespace, &keys).await?;
    tracing::info!(key = keys.id(), previous = keys.previous.as_ref().map(|key| key.id.as_str()), "signing key loaded");
    Ok(keys)
}

async fn create(writer: &kube::Client, namespace: &str) -> Result<Secret, Error> {
    let mut seed = [0u8; 32];
    getrandom::fill(&mut seed).map_err(|error| Error::Startup(format!("no randomness for a signing key: {error}")))?;
    let secret = Secret {
        metadata: ObjectMeta { name: Some(OBJECT.to_owned()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([(SEED.to_owned(), ByteString(seed.to_vec()))])),
        ..Secret::default()
    };
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let secrets: Api<Secret> = Api::namespaced(writer.clone(), namespace);
    call(format!("create Secret {namespace}/{OBJECT}"), secrets.create(&parameters, &secret)).await
}

fn read(secret: &Secret, namespace: &str) -> Result<Keys, Error> {
    let keys = match seed(secret, SEED, namespace)? {
        Some(seed) => Keys::from_seed(seed),
        None => return Err(unusable(SEED, namespace)),
    };
    Ok(match seed(secret, PREVIOUS_SEED, namespace)? {
        Some(seed) => keys.before(seed),
        None => keys,
    })
}

fn seed<'a>(secret: &'a Secret, key: &str, namespace: &str) -> Result<Option<&'a [u8; 32]>, Error> {
    let bytes = secret.data.as_ref().and_then(|data| data.get(key));
    bytes.map(|bytes| bytes.0.as_slice().try_into().map_err(|_| unusable(key, namespace))).transpose()
}

fn unusable(key: &str, namespace: &str) -> Error {
    Error::Startup(format!(
        "Secret {namespace}/{OBJECT} has no {key} of 32 bytes: see docs/keys.md, or delete the Secret to have a new key made; \
         sidecars then need the new public key"
    ))
}

/// Server-side apply: made when absent, corrected when different, and people's other keys stay.
async fn publish(writer: &kube::Client, namespace: &str, keys: &Keys) -> Result<(), Error> {
    let public = ConfigMap {
        metadata: ObjectMeta { name: Some(OBJECT.to_owned()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([(PUBLIC.to_owned(), keys.public_text())])),
        ..ConfigMap::default()
    };
    let maps: Api<ConfigMap> = Api::namespaced(writer.clone(), namespace);
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let apply = Patch::Apply(&public);
    let applied = maps.patch(OBJECT, &parameters, &apply);
    call(format!("publish the public key in ConfigMap {namespace}/{OBJECT}"), applied).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{DrainAction, NewRequests, parse_public_key};

    fn command() -> DrainCommand {
        DrainCommand {
            pod_uid: "uid".into(),
            boot: "boot".into(),
            challenge: "challenge".into(),
            action: DrainAction::Drain,
            ttl_seconds: 30,
            new_requests: NewRequests::Serve,
            key_id: String::new(),
            signature: String::new(),
        }
    }

    #[test]
    fn what_is_signed_is_accepted_by_the_published_key() {
        let keys = Keys::from_seed(&[7; 32]);
        let command = keys.sign(command(), &[]);
        let (id, public) = parse_public_key(&keys.public_text()).unwrap();
        assert!(command.is_signed_by(&public));
        assert_eq!((id.as_str(), id.len()), (command.key_id.as_str(), 8));
    }

    #[test]
    fn debug_output_holds_no_byte_of_the_key() {
        let text = format!("{:?}", Keys::from_seed(&[7; 32]));
        assert!(text.starts_with("Keys { id: ") && !text.contains('7') || !text.contains("7, 7"), "{text}");
    }

    #[test]
    fn in_mid_rotation_each_sidecar_is_commanded_with_the_newest_key_that_it_knows() {
        let (new, old) = (Keys::from_seed(&[1; 32]), Keys::from_seed(&[2; 32]));
        let rotating = new.clone().before(&[2; 32]);
        let signer = |trusted: &[&str]| {
            let trusted: Vec<String> = trusted.iter().map(|&id| id.to_owned()).collect();
            (rotating.trusted().obeyed(&trusted), rotating.sign(command(), &trusted).key_id)
        };
        assert_eq!(signer(&[old.id()]), (true, old.id().to_owned()));
        assert_eq!(signer(&[new.id()]), (true, new.id().to_owned()));
        assert_eq!(signer(&[old.id(), new.id()]), (true, new.id().to_owned()));
        assert_eq!(signer(&["another"]), (false, new.id().to_owned()));
        assert_eq!(rotating.public_text(), new.public_text());
        assert!(!new.trusted().obeyed(&[old.id().to_owned()]));
    }

    #[test]
    fn a_secret_holds_one_seed_or_two_and_nothing_of_another_length() {
        let with = |entries: &[(&str, usize)]| {
            let data = entries.iter().map(|&(key, length)| (key.to_owned(), ByteString(vec![7; length])));
            read(&Secret { data: Some(data.collect()), ..Secret::default() }, "system")
        };
        assert!(with(&[(SEED, 32)]).unwrap().previous.is_none());
        assert!(with(&[(SEED, 32), (PREVIOUS_SEED, 32)]).unwrap().previous.is_some());
        for wrong in [&[(SEED, 31)][..], &[(PREVIOUS_SEED, 32)], &[(SEED, 32), (PREVIOUS_SEED, 33)]] {
            assert!(with(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_secret_without_a_seed_says_what_to_do() {
        let error = read(&Secret::default(), "system").unwrap_err();
        assert!(error.to_string().contains("delete the Secret"), "{error}");
    }
}
