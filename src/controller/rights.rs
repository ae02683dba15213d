//! What the controller may do: the one list from which the chart's rules, `deploy/` and `docs/security.md` are made
//! (`make golden`), and to which the end-to-end suite holds what the API server saw it do, by its audit log.
//!
//! **Invariant:** nothing here that no scenario uses, and nothing used that is not here. Absent on purpose: Secrets but its
//! own key, exec, impersonation, tokens, webhooks, and any write to a workload.

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Right {
    /// Where it is given.
    pub place: Place,
    /// The API group; empty: the core.
    pub group: &'static str,
    /// Plural names; a subresource stands behind a slash.
    pub resources: &'static [&'static str],
    /// Which objects.
    pub names: Names,
    /// What may be done with them.
    pub verbs: &'static [&'static str],
    /// What for: sentences for those who are to grant it.
    pub why: &'static str,
}

/// Where a right is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Wherever workloads are restarted: in the `ClusterRole`, or in a Role in each of `watchNamespaces`.
    Workloads,
    /// In the `ClusterRole` alone: what has no namespace is not to be had by a Role.
    Cluster,
    /// In the controller's own namespace.
    Own,
    /// In a `ClusterRole` of its own, where `admission.require` asks for it.
    Policies,
}

/// Which objects a right is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// All of them.
    Any,
    /// This one.
    One(&'static str),
    /// The policies that the chart installs and requires.
    Required,
}

const fn workloads(group: &'static str, resources: Words, verbs: Words, why: &'static str) -> Right {
    Right { place: Place::Workloads, group, resources, names: Names::Any, verbs, why }
}

const fn own(group: &'static str, resources: Words, names: Names, verbs: Words, why: &'static str) -> Right {
    Right { place: Place::Own, group, resources, names, verbs, why }
}

type Words = &'static [&'static str];

/// All rights.
pub const RIGHTS: &[Right] = &[
    workloads(
        "restart-controller.dev",
        &["restartrequests"],
        &["get", "list", "watch", "patch", "delete"],
        "Requests are read, written only for the finalizer that holds a deleted one until all is back, and deleted when their ttlSecondsAfterFinished is over.",
    ),
    workloads(
        "restart-controller.dev",
        &["restarthistories"],
        &["get", "list", "watch", "create", "update"],
        "The history of each workload is the controller's own: lock, results, last-known-good. It goes when the workload goes.",
    ),
    workloads(
        "restart-controller.dev",
        &["restartrequests/status", "restarthistories/status"],
        &["update"],
        "Progress and result.",
    ),
    workloads(
        "apps",
        &["deployments", "statefulsets", "daemonsets"],
        &["get", "list", "watch"],
        "The workload is only read: what its pods are made of, whether a rollout of its own is under way. DaemonSets also: whether one would adopt a pod that has left its ReplicaSet.",
    ),
    workloads(
        "apps",
        &["replicasets"],
        &["get", "list"],
        "Which pods belong to a Deployment, and whether another ReplicaSet would adopt a pod that has left its own.",
    ),
    workloads("apps", &["controllerrevisions"], &["list"], "Which template a DaemonSet's pods have."),
    workloads(
        "",
        &["pods"],
        &["list", "watch", "patch", "delete"],
        "Patch detaches a pod from its ReplicaSet and puts it back; delete takes a replacement that never became Ready.",
    ),
    workloads(
        "",
        &["pods/eviction"],
        &["create"],
        "How a drained pod goes: the one way that asks the PodDisruptionBudget.",
    ),
    workloads(
        "",
        &["configmaps"],
        &["get", "list", "watch", "create", "update", "delete"],
        "Copies of configuration and plans are made and deleted; update promotes a candidate and restores a copy. Watched is metadata alone: when a new content came to be.",
    ),
    workloads("", &["services"], &["list"], "Whether a pod is still in a Service."),
    workloads(
        "discovery.k8s.io",
        &["endpointslices"],
        &["list", "watch"],
        "Whether a Service still sends requests to a pod, and which endpoints are left to it.",
    ),
    workloads("policy", &["poddisruptionbudgets"], &["list", "watch"], "Whether the budget permits the next pod."),
    workloads(
        "networking.k8s.io",
        &["networkpolicies"],
        &["list"],
        "Whether a policy selects pods by the label that Surge takes off.",
    ),
    workloads(
        "",
        &["persistentvolumeclaims"],
        &["list"],
        "Whether a claim can be mounted by the old pod and its replacement at once.",
    ),
    Right {
        place: Place::Cluster,
        group: "",
        resources: &["nodes"],
        names: Names::Any,
        verbs: &["get", "list"],
        why: "Which nodes take no new pods: their pods are restarted first. Whether the node of a pod is lost: the pod is then replaced elsewhere or passed over.",
    },
    workloads(
        "batch",
        &["jobs"],
        &["get", "list", "create", "delete"],
        "A hook that is a Job is made once and looked at; delete takes one whose restart has ended without it.",
    ),
    workloads("", &["namespaces"], &["get"], "Whether the namespace is going away: then nothing is held up."),
    workloads("events.k8s.io", &["events"], &["create", "patch"], "Every decision is an event."),
    own(
        "",
        &["secrets"],
        Names::Any,
        &["create"],
        "The signing key: made once, then read. A right to create cannot be bound to a name.",
    ),
    own("", &["secrets"], Names::One("restart-controller-keys"), &["get"], "The signing key."),
    own(
        "",
        &["configmaps"],
        Names::Any,
        &["create"],
        "An apply of the ConfigMap with its public half needs it where there is none yet. A right to create cannot be bound to a name.",
    ),
    own(
        "",
        &["configmaps"],
        Names::One("restart-controller-keys"),
        &["patch"],
        "Its public half is published for sidecars.",
    ),
    own(
        "coordination.k8s.io",
        &["leases"],
        Names::Any,
        &["create"],
        "Which replica acts. A right to create cannot be bound to a name.",
    ),
    own(
        "coordination.k8s.io",
        &["leases"],
        Names::One("restart-controller"),
        &["get", "list", "watch", "update"],
        "The Lease is taken, renewed and given back by whoever acts, and watched by the others.",
    ),
    Right {
        place: Place::Policies,
        group: "admissionregistration.k8s.io",
        resources: &[
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
        ],
        names: Names::Required,
        verbs: &["get"],
        why: "Whether the policies are there without which no restart begins.",
    },
];
