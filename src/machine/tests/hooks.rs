//! Hooks: before the pods and after them.

use super::world::{Row, check, pod, run};
use crate::api::HookState::{Ignored, Running, Succeeded};
use crate::api::HookTime::{Post, Pre};
use crate::api::{HookState, Step};
use crate::machine::{Decision, HookRun, List, Lock, Observed, RefusedEffect, Role, Soak, Target, plan};

fn failed() -> HookRun {
    HookRun::Failed("exit code 1".into())
}

/// The copies are recorded, nothing else is done.
fn copied() -> Observed {
    run(Step::Preparing, &[], vec![pod("a", Role::New)])
        .content(crate::machine::Content::Snapshot)
        .cursor_but(|cursor| cursor.plan = None)
        .but(|observed| observed.plan.list = List::Absent)
}

fn before(seen: HookRun, noted: Option<HookState>) -> Observed {
    copied().cursor_but(|cursor| cursor.step = Step::PreHooks).hook(Pre, "warm", seen, noted)
}

fn verified() -> Observed {
    run(Step::Verifying, &[], vec![pod("c", Role::New)]).but(|observed| observed.soak = Soak::Over)
}

fn after(seen: HookRun, noted: Option<HookState>) -> Observed {
    verified().cursor_but(|cursor| cursor.step = Step::PostHooks).hook(Post, "probe", seen, noted)
}

fn ignoring(observed: Observed) -> Observed {
    observed.but(|observed| observed.hooks[0].ignore = true)
}

#[test]
fn hooks_run_once_before_any_pod_is_touched() {
    let absent = HookRun::Absent;
    let rows: Vec<Row> = vec![
        (
            "they have a step of their own, after the copies",
            copied().hook(Pre, "warm", absent.clone(), None),
            "record Preparing/PreHooks PreHooks",
        ),
        ("those for later do not", copied().hook(Post, "probe", absent.clone(), None), "write plan a"),
        (
            "each is recorded before it is started",
            before(absent.clone(), None),
            "record Preparing/PreHooks HookStarted warm:Running",
        ),
        ("then it is started", before(absent.clone(), Some(Running)), "run Pre hook warm"),
        ("it is waited for", before(HookRun::Running, Some(Running)), "wait"),
        (
            "its success is recorded",
            before(HookRun::Succeeded, Some(Running)),
            "record Preparing/PreHooks HookSucceeded warm:Succeeded",
        ),
        (
            "the next one comes after it",
            before(HookRun::Succeeded, Some(Succeeded)).hook(Pre, "check", absent.clone(), None),
            "record Preparing/PreHooks HookStarted warm:Succeeded check:Running",
        ),
        (
            "what is over is not run again, even if nobody remembers it",
            before(absent.clone(), Some(Succeeded)),
            "record Preparing/Preparing HooksOver",
        ),
        ("nor after the step", copied().hook(Pre, "warm", absent, Some(Succeeded)), "write plan a"),
    ];
    check(rows);
}

#[test]
fn a_hook_that_fails_before_the_pods_ends_the_run_unless_it_may() {
    let rows: Vec<Row> = vec![
        ("it fails", before(failed(), Some(Running)), "record Preparing/Finishing HookFailed warm:Failed"),
        (
            "it is refused",
            before(HookRun::Absent, Some(Running)).refused(RefusedEffect::Hook),
            "record Preparing/Finishing HookFailed warm:Failed",
        ),
        (
            "it may fail",
            ignoring(before(failed(), Some(Running))),
            "record Preparing/PreHooks HookIgnored warm:Ignored",
        ),
        (
            "it may be refused",
            ignoring(before(HookRun::Absent, Some(Running))).refused(RefusedEffect::Hook),
            "record Preparing/PreHooks HookIgnored warm:Ignored",
        ),
        ("which is over", before(failed(), Some(Ignored)), "record Preparing/Preparing HooksOver"),
    ];
    check(rows);
}

#[test]
fn what_happens_while_hooks_run_before_the_pods() {
    let running = || before(HookRun::Running, Some(Running));
    let rows: Vec<Row> = vec![
        ("a cancel", running().but(|o| o.asked.cancel = true), "record Preparing/Finishing Cancelled"),
        ("a deletion", running().but(|o| o.asked.deleting = true), "record Preparing/Finishing Cancelled"),
        (
            "a check that fails",
            running().judged(crate::api::Code::TargetInvalid),
            "record Preparing/Finishing TargetInvalid",
        ),
        (
            "another run that has the lock",
            running().held_by(Lock::Other("first".into())),
            "record Preparing/Finishing AlreadyRestarting",
        ),
        ("nobody has the lock: it is taken again", running().held_by(Lock::Free), "take lock"),
        ("the namespace is deleted", running().but(|o| o.asked.namespace_terminating = true), "remove finalizer"),
        ("another trigger waits for the end", running().but(|o| o.asked.triggered = true), "wait"),
    ];
    check(rows);
}

#[test]
fn hooks_after_the_soak_judge_the_run() {
    let absent = HookRun::Absent;
    let rows: Vec<Row> = vec![
        (
            "first the soak",
            verified().hook(Post, "probe", absent.clone(), None).but(|o| o.soak = Soak::Running),
            "wait",
        ),
        (
            "then the hooks",
            verified().hook(Post, "probe", absent.clone(), None),
            "record Restarting/PostHooks PostHooks",
        ),
        ("recorded", after(absent.clone(), None), "record Restarting/PostHooks HookStarted probe:Running"),
        ("started", after(absent.clone(), Some(Running)), "run Post hook probe"),
        ("again after a crash, as long as it is not over", after(absent, Some(Running)), "run Post hook probe"),
        (
            "success",
            after(HookRun::Succeeded, Some(Running)),
            "record Restarting/PostHooks HookSucceeded probe:Succeeded",
        ),
        ("the end", after(HookRun::Succeeded, Some(Succeeded)), "record Restarting/Finishing Verified"),
        (
            "pods that fail meanwhile are watched once more",
            after(HookRun::Succeeded, Some(Succeeded)).waiting(),
            "record Restarting/Verifying Verifying",
        ),
        (
            "without the hooks",
            verified().hook(Post, "probe", HookRun::Succeeded, Some(Succeeded)),
            "record Restarting/Finishing Verified",
        ),
        ("failure", after(failed(), Some(Running)), "record Recovering/Restoring HookFailed probe:Failed"),
        (
            "a failure that may be",
            ignoring(after(failed(), Some(Running))),
            "record Restarting/PostHooks HookIgnored probe:Ignored",
        ),
        (
            "a deletion",
            after(HookRun::Running, Some(Running)).but(|o| o.asked.deleting = true),
            "record Recovering/Restoring Deleted",
        ),
        (
            "a cancel is too late",
            after(HookRun::Running, Some(Running)).but(|o| o.asked.cancel = true),
            "record Restarting/PostHooks CancelRejected",
        ),
        (
            "a foreign rollout",
            after(HookRun::Running, Some(Running)).target(Target::RollingOut),
            "record Recovering/Restoring RolloutConflict",
        ),
    ];
    check(rows);
}

#[test]
fn a_hook_after_the_pods_that_fails_blames_what_they_run_on() {
    let Decision::Record(change) = plan(&after(failed(), Some(Running))) else { panic!("no record") };
    assert!(change.outcome.expect("an outcome").suspect_configuration);
    let Decision::Record(change) = plan(&before(failed(), Some(Running))) else { panic!("no record") };
    assert!(!change.outcome.expect("an outcome").suspect_configuration);
}
