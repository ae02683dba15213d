//! Starts hooks.
//!
//! **Invariant:** starting a hook twice is starting it once: a Job has one name per run, an HTTP request one key.

use super::Done;
use crate::api::HookTime;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::facts::Facts;

/// Starts the hook, unless it has been.
pub async fn run(_ctx: &Context, facts: &Facts, _time: HookTime, name: &str) -> Result<Done, Error> {
    Err(Error::Internal(format!("hook {name} of RestartRequest {}: hooks come with the next commit", facts.name())))
}
