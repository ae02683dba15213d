//! What every scenario stands on: the cluster, a namespace of its own, the sample, its load, and what is watched meanwhile.
//!
//! **Invariant:** nothing here judges; it deploys, asks, waits for conditions and records. Scenarios judge.

pub mod app;
pub mod budget;
pub mod cluster;
pub mod controller;
pub mod figures;
pub mod load;
pub mod nodes;
pub mod pods;
pub mod processes;
pub mod receiver;
pub mod request;
pub mod space;
pub mod wait;

/// A failure is a sentence.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// What a step of a scenario comes to.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// Ends the scenario with a sentence unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+).into());
        }
    };
}
pub(crate) use ensure;
