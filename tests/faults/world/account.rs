//! The controller's own account: its token, the rights that it has where a lane's controllers live, and a copy of the program that
//! another user of this machine may run.
//!
//! **Invariant:** the controller has no right that the chart does not give it.

use super::SEED;
use crate::support::Result;
use crate::support::cluster::SYSTEM;
use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Client;
use kube::api::{Api, PostParams};
use restart_controller::controller::keys::{Keys, OBJECT, PUBLIC};
use restart_controller::controller::rights::{Names, Place, RIGHTS};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

const ACCOUNT: &str = "restart-controller";

/// A token for a day.
pub async fn token(client: &Client) -> Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), SYSTEM);
    let asked: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": [], "expirationSeconds": 86_400}}))?;
    let made = accounts.create_token_request(ACCOUNT, &PostParams::default(), &asked).await?;
    Ok(made.status.ok_or("the API server gave no token")?.token)
}

/// A directory that everybody may enter.
pub fn open_directory() -> Result<tempfile::TempDir> {
    let directory = tempfile::tempdir()?;
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(directory)
}

/// Copies of the program and, if one is named, of the version before it: a build in the middle of a sweep does not change them.
pub fn programs(directory: &Path) -> Result<Vec<PathBuf>> {
    let ours =
        std::env::var_os("CONTROLLER_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_restart-controller").into());
    let built =
        [("restart-controller", Some(ours)), ("restart-controller-before", std::env::var_os("CONTROLLER_BEFORE"))];
    let named = built.into_iter().filter_map(|(name, built)| Some((directory.join(name), PathBuf::from(built?))));
    named.map(|(copy, built)| copied(&built, copy)).collect()
}

fn copied(built: &Path, copy: PathBuf) -> Result<PathBuf> {
    std::fs::copy(built, &copy).map_err(|error| format!("{}: {error}", built.display()))?;
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755))?;
    Ok(copy)
}

/// What stands in the namespace in which a lane's controllers live: their rights there, their key and its public half.
pub fn home(namespace: &str) -> Vec<Value> {
    let rules: Vec<Value> = RIGHTS
        .iter()
        .filter(|right| right.place == Place::Own)
        .map(|right| {
            let mut rule = json!({"apiGroups": [right.group], "resources": right.resources, "verbs": right.verbs});
            if let Names::One(name) = right.names {
                rule["resourceNames"] = json!([name]);
            }
            rule
        })
        .collect();
    let api = "rbac.authorization.k8s.io";
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": OBJECT, "namespace": namespace},
            "data": {"ed25519-seed": ByteString(SEED.to_vec())}}),
        keys(namespace),
        json!({"apiVersion": format!("{api}/v1"), "kind": "Role", "metadata": {"name": ACCOUNT, "namespace": namespace}, "rules": rules}),
        json!({"apiVersion": format!("{api}/v1"), "kind": "RoleBinding", "metadata": {"name": ACCOUNT, "namespace": namespace},
            "roleRef": {"apiGroup": api, "kind": "Role", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": SYSTEM}]}),
    ]
}

/// The public key, as sidecars read it.
pub fn keys(namespace: &str) -> Value {
    let public = Keys::from_seed(&SEED).public_text();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": OBJECT, "namespace": namespace}, "data": {PUBLIC: public}})
}
