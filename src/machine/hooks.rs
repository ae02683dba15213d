//! Hooks: one after the other, each recorded before it is started and once more when it is over.
//!
//! **Invariant:** a hook that the status calls over is never started again.

use super::batch::change;
use super::decision::{Change, Decision, Effect};
use super::observed::{Cursor, HookRun, HookView, Observed, RefusedEffect};
use super::preparing::phase_of;
use crate::api::{HookProgress, HookState, HookTime};

/// What a time's hooks come to.
#[allow(clippy::large_enum_variant)] // one exists per pass
pub enum Hooks {
    /// They go on.
    Decided(Decision),
    /// One failed and its failure counts; what it said.
    Failed(String),
    /// All are over.
    Over,
}

/// Whether a hook of this time is not over.
pub fn left(observed: &Observed, cursor: &Cursor, time: HookTime) -> bool {
    next(observed, cursor, time).is_some()
}

/// The next thing about the hooks of this time.
pub fn run(observed: &Observed, cursor: &Cursor, time: HookTime) -> Hooks {
    let Some(hook) = next(observed, cursor, time) else { return Hooks::Over };
    if progress(cursor, hook).is_none() {
        let message = format!("running hook {}", hook.name);
        return record(cursor, hook, HookState::Running, "HookStarted", message);
    }
    let refused = observed.refusal.as_ref().filter(|refusal| refusal.effect == RefusedEffect::Hook);
    match (refused, &hook.run) {
        (Some(refusal), _) => failed(cursor, hook, &refusal.message),
        (None, HookRun::Failed(message)) => failed(cursor, hook, message),
        (None, HookRun::Absent) => Hooks::Decided(Decision::Act(vec![Effect::RunHook(hook.time, hook.name.clone())])),
        (None, HookRun::Running) => Hooks::Decided(Decision::Wait(format!("waiting for hook {}", hook.name))),
        (None, HookRun::Succeeded) => {
            let message = format!("hook {} succeeded", hook.name);
            record(cursor, hook, HookState::Succeeded, "HookSucceeded", message)
        }
    }
}

fn next<'a>(observed: &'a Observed, cursor: &Cursor, time: HookTime) -> Option<&'a HookView> {
    observed.hooks.iter().filter(|hook| hook.time == time).find(|hook| {
        progress(cursor, hook).is_none_or(|progress| match progress.state {
            HookState::Running => true,
            HookState::Succeeded | HookState::Failed | HookState::Ignored => false,
        })
    })
}

fn progress<'a>(cursor: &'a Cursor, hook: &HookView) -> Option<&'a HookProgress> {
    cursor.hooks.iter().find(|progress| progress.time == hook.time && progress.name == hook.name)
}

fn failed(cursor: &Cursor, hook: &HookView, why: &str) -> Hooks {
    let message = format!("hook {} failed: {why}", hook.name);
    if hook.ignore {
        return record(cursor, hook, HookState::Ignored, "HookIgnored", message);
    }
    Hooks::Failed(message)
}

fn record(cursor: &Cursor, hook: &HookView, state: HookState, reason: &'static str, message: String) -> Hooks {
    let change = change(cursor, phase_of(cursor.step), cursor.step, reason, message.clone());
    Hooks::Decided(Decision::Record(Change { hooks: Some(with(cursor, hook, state, message)), ..change }))
}

fn with(cursor: &Cursor, hook: &HookView, state: HookState, message: String) -> Vec<HookProgress> {
    let message = match state {
        HookState::Running | HookState::Succeeded => String::new(),
        HookState::Failed | HookState::Ignored => message,
    };
    let entry = HookProgress { time: hook.time, name: hook.name.clone(), state, message };
    let others = cursor.hooks.iter().filter(|other| other.time != hook.time || other.name != hook.name);
    others.cloned().chain([entry]).collect()
}

/// The hooks with the running one marked as failed.
pub fn all_failed(cursor: &Cursor, message: &str) -> Vec<HookProgress> {
    let end = |progress: &HookProgress| match progress.state {
        HookState::Running => {
            HookProgress { state: HookState::Failed, message: message.to_owned(), ..progress.clone() }
        }
        HookState::Succeeded | HookState::Failed | HookState::Ignored => progress.clone(),
    };
    cursor.hooks.iter().map(end).collect()
}
