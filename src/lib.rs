//! restart-controller: restarts a Kubernetes workload without losing one request.
//!
//! This file is the map. A request travels one road:
//! YAML → the CRD's rules → watch → [`controller`] *observe* (all reads) → [`machine`] *plan* (pure) →
//! either *record* (one status write) or *act* (idempotent effects) → the next pass.

pub mod api;
pub mod machine;
pub mod wire;

#[cfg(feature = "controller")]
pub mod controller;
#[cfg(feature = "sidecar")]
pub mod sidecar;
