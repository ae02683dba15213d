//! Every name that this project puts on or beside other people's objects, once.
//!
//! **Invariant:** no other module spells a label, annotation, finalizer, field manager or generated name.

use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// API group of both kinds.
pub const GROUP: &str = "restart-controller.dev";
/// Field manager of every write; does not begin with `kubectl`, whose fields Flux strips (DESIGN 5).
pub const FIELD_MANAGER: &str = "restart-controller";
/// On a request or a history exactly while something is outstanding (I10).
pub const FINALIZER: &str = "restart-controller.dev/recovery";
/// On a detached pod: the `pod-template-hash` that was taken off it.
pub const DETACHED_HASH: &str = "restart-controller.dev/detached-pod-template-hash";
/// On a detached pod: the UID of the run that detached it.
pub const DETACHED_BY: &str = "restart-controller.dev/detached-by";
/// On copies and plans: the UID of the workload they belong to.
pub const WORKLOAD_UID: &str = "restart-controller.dev/workload-uid";
/// On copies and plans, annotation: the full name of what they belong to.
pub const WORKLOAD_NAME: &str = "restart-controller.dev/workload";
/// On a copy: the sha256 of the data it holds.
pub const CONTENT_SHA256: &str = "restart-controller.dev/sha256";
/// On what a run makes: what it is for, `snapshot`, `plan`, `pre-hook` or `post-hook`.
pub const ROLE: &str = "restart-controller.dev/role";
/// On a hook's Job: the run it belongs to, UID of the request and generation of its spec.
pub const RUN: &str = "restart-controller.dev/run";
/// On a hook's Job: the hook's name.
pub const HOOK: &str = "restart-controller.dev/hook";
/// The label by which a Deployment tells the pods of its `ReplicaSets` apart.
pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";
/// The label by which a StatefulSet and a DaemonSet tell pods of different templates apart.
pub const CONTROLLER_REVISION_HASH: &str = "controller-revision-hash";
/// Kubernetes' annotation that ranks pods for scale-down.
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// The lowest [`DELETION_COST`]: this pod goes first.
pub const LOWEST_COST: &str = "-2147483648";
/// On a pod template: its pods carry the sidecar, and what they run well with is kept as last-known-good.
pub const SIDECAR_LABEL: &str = "restart-controller.dev/sidecar";
/// On a namespace: `true` where hooks may be Jobs. The policies of the chart ask for it; the controller itself does not.
pub const JOB_HOOKS: &str = "restart-controller.dev/job-hooks";
/// On a namespace: `true` where those Jobs may use Secrets.
pub const JOB_HOOK_SECRETS: &str = "restart-controller.dev/job-hook-secrets";
/// On a pod, annotation: ports of the app, separated by commas, whose requests are not counted and may be cut off, such as that
/// of its metrics.
pub const UNCOUNTED_PORTS: &str = "restart-controller.dev/uncounted-ports";
/// Name of the sidecar's container.
pub const SIDECAR_CONTAINER: &str = "restart-sidecar";

/// The name of a namespace, as a regular expression.
pub const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// The name of a workload, a ConfigMap and most other objects, as a regular expression.
pub const SUBDOMAIN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// Whether `text` is the name of a namespace: [`LABEL`], at most 63 characters.
#[must_use]
pub fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

/// Whether `text` is the name of a workload or a ConfigMap: [`SUBDOMAIN`], at most 253 characters. What is no name must
/// not become part of a path: kube puts it there as it is.
#[must_use]
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_part)
}

fn is_part(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [text.bytes().next(), text.bytes().last()];
    text.bytes().all(|byte| plain(byte) || byte == b'-') && ends.into_iter().all(|byte| byte.is_some_and(plain))
}

/// A name for an object made for `base`: at most 211 characters, unlike any other (DESIGN 1).
#[must_use]
pub fn generated(base: &str, kind: &str, name: &str, uid: &str) -> String {
    generated_within(200, base, kind, name, uid)
}

/// The same of at most 63 characters, for what becomes the value of a label: a Job's name does.
#[must_use]
pub fn generated_label(base: &str, kind: &str, name: &str, uid: &str) -> String {
    generated_within(52, base, kind, name, uid)
}

fn generated_within(most: usize, base: &str, kind: &str, name: &str, uid: &str) -> String {
    let digest = sha256_hex(format!("{kind}/{name}/{uid}").as_bytes());
    let end = base.char_indices().nth(most).map_or(base.len(), |(at, _)| at);
    format!("{}-{}", base[..end].trim_end_matches(['-', '.']), &digest[..10])
}

/// Lower-case hexadecimal sha256.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_fit_kubernetes_and_differ_by_uid() {
        let long = "a".repeat(253);
        let name = generated(&long, "Deployment", &long, "1");
        assert_eq!(name.len(), 211);
        assert_ne!(name, generated(&long, "Deployment", &long, "2"));
        assert_eq!(generated_label(&long, "Deployment", &long, "1").len(), 63);
    }

    #[test]
    fn what_would_be_a_path_or_a_query_is_no_name() {
        for bad in
            ["", ".", "..", "a/b", "../secrets", "a%2fb", "A", "a b", "a\n", "a?x", "a#x", "-a", "a-", "a..b", "ä"]
        {
            assert!(!is_subdomain(bad) && !is_label(bad), "{bad:?}");
        }
        assert!(is_subdomain("web.v2") && !is_label("web.v2"));
        assert!(is_subdomain(&"a".repeat(253)) && !is_subdomain(&"a".repeat(254)));
        assert!(is_label(&"a".repeat(63)) && !is_label(&"a".repeat(64)));
    }

    #[test]
    fn a_cut_never_leaves_two_separators() {
        let base = format!("{}-.{}", "a".repeat(198), "b".repeat(20));
        assert!(!generated(&base, "Deployment", &base, "1").contains(".-"));
    }
}
