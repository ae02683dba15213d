//! restart-controller: restarts a Kubernetes workload without losing one request.
//!
//! This file is the map. Three programs share it: the controller, the sidecar in each pod, and (for people) kubectl.
//!
//! | module | what it is | may use |
//! |---|---|---|
//! | [`api`] | what users write and read: `RestartRequest`, `RestartHistory`, phases, codes, names | nothing of ours |
//! | [`machine`] | pure: `plan(&Observed) -> Decision`, one file per phase | `api` |
//! | [`wire`] | the protocol between controller and sidecar | nothing of ours |
//! | `controller` | the shell: observe → plan → act or record; feature `controller` | all of the above |
//! | `client` | asking for restarts and looking at them, for programs; feature `client` | `api` |
//! | `cli` | `kubectl restart`, one verb per file; feature `cli` | `client`, `controller::preview` |
//! | `http_api` | `/api/restart/*` and the page, with each caller's own rights; feature `http-api` | `api`, `client` |
//! | `sockets` | listeners for IPv6 and IPv4 | nothing of ours |
//! | `sidecar` | the proxy in the pod: count, drain lease, termination; feature `sidecar` | `wire`, `sockets` |
//!
//! # The road
//! `kubectl apply` → the CRD's rules → watch → `controller::reconcile`:
//! **observe** (all reads, live; every doubt becomes a value such as [`machine::Drain::Unknown`]) →
//! **plan** (pure) → either **record** (one compare-and-swap write of the status, then an Event) or **act** (idempotent
//! effects, together) → the next pass. A step is entered in the status first, its effects follow, and it is left only
//! when observation shows them done: a crash anywhere is resumed from the cluster alone.
//!
//! Beside the road, `controller::baseline` keeps last-known-good for workloads that nobody restarts, and
//! `controller::orphans` sends runs whose request is gone down the same road, from what their history holds.
//!
//! # Architecture invariants
//! - `observe`, `act` and `record` never import one another; only `act` and `record` write (`tests/it/walls.rs`).
//! - The machine has no client, clock, randomness or `async`; without features no kube `Client` exists to give it one.
//! - The workload, its `ReplicaSets`, Services and slices are never written. Of a pod only the hash label, three
//!   annotations and the controller reference are.
//! - One replica acts. Every write of the controller passes `controller::leader::fence`, which asks this machine's clock.
//! - No clock is compared with another machine's. What outlives the controller's process is counted in the sidecar.
//!
//! # Decisions
//! - 2026-11-22: the list of pods is written before a promotion, not after: whoever is on no list has started on the
//!   promoted configuration, so that recovery knows whom to replace once more. Pods born in between are listed as late.
//! - 2026-11-22: a promoted ConfigMap goes back to what it held when the run began; last-known-good is for ConfigMaps
//!   that were edited in place. Undoing exactly what the run did never overwrites somebody else's edit (I9).
//! - 2026-11-22: `managedFields` times say when a content came to be only if they have moved: an update that only takes
//!   keys away leaves none (tried on 1.36). So they are held against the last content known (`controller::baseline`).
//! - 2026-11-22: the clock of `timeoutSeconds` is the sidecar's: it goes on while the controller is restarted.
//! - 2026-11-22: reads are live, not cached: eight lists a pass cost little beside a pod removed on stale knowledge.
//! - 2026-11-22: an HTTP hook is a task of the process, since a pass waits for nobody's server; after a crash it is sent
//!   again with the same key. Its name is resolved and judged once, and that address is connected to.
//! - 2026-11-23: of the requests that wait, `controller::turns` lets few be looked at, and counts and orders them from the watch:
//!   ten thousand in one namespace made each of their passes list all of them, and every other restart wait for that.
//! - 2026-11-29: pods that are not Ready when the list is written go first, without a replacement and without asking a budget:
//!   they serve no Service. They are deleted, since the eviction of a pod that is not Ready is refused while its budget lacks
//!   healthy pods. What cannot be replaced is listed as passed over, once and for all of the run (`machine::passed_over`).
//! - 2026-11-29: what kept effects from being carried out is an observation (`Observed::trouble`), so that the deadline and the
//!   deletion are judged whatever errs. A sidecar that refuses is as one that does not answer.
//! - 2026-11-29: a run whose surroundings may not be read ends by its deadline without its lock (`machine::blind`); the lock's
//!   record puts the pods back when they can be read again.

#[cfg(feature = "api")]
pub mod api;
#[cfg(feature = "api")]
pub mod machine;
pub mod wire;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "controller")]
pub mod controller;
#[cfg(feature = "http-api")]
pub mod http_api;
#[cfg(feature = "sidecar")]
pub mod sidecar;
#[cfg(any(feature = "http-api", feature = "sidecar"))]
pub mod sockets;
