//! Integration: what needs more than one module. `make it` runs it with a real kube-apiserver at hand.

#![allow(clippy::unwrap_used)] // a test that meets nothing fails

mod apiserver;
mod hooks;
mod sidecar;
mod sidecar_client;
mod walls;
