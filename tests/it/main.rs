//! Integration: what needs more than one module. `make it` runs it with a real kube-apiserver at hand.

mod apiserver;
mod sidecar;
mod sidecar_client;
mod walls;
