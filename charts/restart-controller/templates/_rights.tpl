{{- /* Generated from src/controller/rights.rs by `make golden`; do not edit. */}}
{{- define "restart-controller.rights" -}}
rules:
  # Requests are read, written only for the finalizer that holds a deleted one until all is back, and deleted when their
  # ttlSecondsAfterFinished is over.
  - apiGroups: [restart-controller.dev]
    resources: [restartrequests]
    verbs: [get, list, watch, patch, delete]
  # The history of each workload is the controller's own: lock, results, last-known-good. It goes when the workload
  # goes.
  - apiGroups: [restart-controller.dev]
    resources: [restarthistories]
    verbs: [get, list, watch, create, update]
  # Progress and result.
  - apiGroups: [restart-controller.dev]
    resources: [restartrequests/status, restarthistories/status]
    verbs: [update]
  # The workload is only read: what its pods are made of, whether a rollout of its own is under way. DaemonSets also:
  # whether one would adopt a pod that has left its ReplicaSet.
  - apiGroups: [apps]
    resources: [deployments, statefulsets, daemonsets]
    verbs: [get, list, watch]
  # Which pods belong to a Deployment, and whether another ReplicaSet would adopt a pod that has left its own.
  - apiGroups: [apps]
    resources: [replicasets]
    verbs: [get, list]
  # Which template a DaemonSet's pods have.
  - apiGroups: [apps]
    resources: [controllerrevisions]
    verbs: [list]
  # Patch detaches a pod from its ReplicaSet and puts it back; delete takes a replacement that never became Ready.
  - apiGroups: [""]
    resources: [pods]
    verbs: [list, watch, patch, delete]
  # How a drained pod goes: the one way that asks the PodDisruptionBudget.
  - apiGroups: [""]
    resources: [pods/eviction]
    verbs: [create]
  # Copies of configuration and plans are made and deleted; update promotes a candidate and restores a copy. Watched is
  # metadata alone: when a new content came to be.
  - apiGroups: [""]
    resources: [configmaps]
    verbs: [get, list, watch, create, update, delete]
  # Whether a pod is still in a Service.
  - apiGroups: [""]
    resources: [services]
    verbs: [list]
  # Whether a Service still sends requests to a pod, and which endpoints are left to it.
  - apiGroups: [discovery.k8s.io]
    resources: [endpointslices]
    verbs: [list, watch]
  # Whether the budget permits the next pod.
  - apiGroups: [policy]
    resources: [poddisruptionbudgets]
    verbs: [list, watch]
  # Whether a policy selects pods by the label that Surge takes off.
  - apiGroups: [networking.k8s.io]
    resources: [networkpolicies]
    verbs: [list]
  # Whether a claim can be mounted by the old pod and its replacement at once.
  - apiGroups: [""]
    resources: [persistentvolumeclaims]
    verbs: [list]
  {{- if not .Values.watchNamespaces }}
  # Which nodes take no new pods: their pods are restarted first. Whether the node of a pod is lost: the pod is then
  # replaced elsewhere or passed over.
  - apiGroups: [""]
    resources: [nodes]
    verbs: [get, list]
  {{- end }}
  # A hook that is a Job is made once and looked at; delete takes one whose restart has ended without it.
  - apiGroups: [batch]
    resources: [jobs]
    verbs: [get, list, create, delete]
  # Whether the namespace is going away: then nothing is held up.
  - apiGroups: [""]
    resources: [namespaces]
    verbs: [get]
  # Every decision is an event.
  - apiGroups: [events.k8s.io]
    resources: [events]
    verbs: [create, patch]
{{- end }}
{{- define "restart-controller.rights-own" -}}
rules:
  # The signing key: made once, then read. A right to create cannot be bound to a name.
  - apiGroups: [""]
    resources: [secrets]
    verbs: [create]
  # The signing key.
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [restart-controller-keys]
    verbs: [get]
  # An apply of the ConfigMap with its public half needs it where there is none yet. A right to create cannot be bound
  # to a name.
  - apiGroups: [""]
    resources: [configmaps]
    verbs: [create]
  # Its public half is published for sidecars.
  - apiGroups: [""]
    resources: [configmaps]
    resourceNames: [restart-controller-keys]
    verbs: [patch]
  # Which replica acts. A right to create cannot be bound to a name.
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    verbs: [create]
  # The Lease is taken, renewed and given back by whoever acts, and watched by the others.
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    resourceNames: [restart-controller]
    verbs: [get, list, watch, update]
{{- end }}
{{- define "restart-controller.rights-policies" -}}
rules:
  # Whether the policies are there without which no restart begins.
  - apiGroups: [admissionregistration.k8s.io]
    resources: [validatingadmissionpolicies, validatingadmissionpolicybindings, mutatingadmissionpolicies, mutatingadmissionpolicybindings]
    resourceNames:
      {{- range include "restart-controller.policies" . | splitList "," }}
      - {{ splitList "/" . | last }}
      {{- end }}
    verbs: [get]
{{- end }}
