//! Recovering: configuration, leases, detached pods, pods on the bad configuration.

use super::world::{Row, check, outcome, pod, run, unhealthy};
use crate::api::PodState::{Chosen, Draining, Expendable, Terminating};
use crate::api::{Code, PodState, SnapshotSource, Step};
use crate::machine::{Content, List, Observed, Pod, RefusedEffect, Role, Target};

fn old() -> Pod {
    pod("a", Role::Planned)
}

fn replacement() -> Pod {
    pod("c", Role::New)
}

/// The configuration is back; one pod was detached.
fn restoring(state: PodState, first: Pod, second: Pod) -> Observed {
    let pods = vec![first, pod("b", Role::Planned), second];
    run(Step::Restoring, &[("a", state)], pods).ending(unhealthy()).content(Content::Snapshot)
}

/// The replacement was chosen to go.
fn putting_back(first: Pod, second: Pod) -> Observed {
    restoring(Chosen, first, second).cursor_but(|cursor| {
        let entry = crate::api::PodProgress { name: "c".into(), uid: "c".into(), state: Expendable, unready: false };
        cursor.batch.push(entry);
    })
}

#[test]
fn configuration_goes_back_first_if_it_is_ours_to_put_back() {
    let bad = || restoring(Chosen, old().detached(), replacement().exited());
    let kept = |observed: Observed| observed.but(|o| o.config[0].entry.promoted = false).content(Content::Candidate);
    let rows: Vec<Row> = vec![
        ("a promoted map is restored", bad().content(Content::Candidate), "restore web"),
        (
            "after a drain that failed too",
            bad().ending(outcome(Code::DrainTimeout, false)).content(Content::Candidate),
            "restore web",
        ),
        ("one that pods failed on is restored", kept(bad()), "restore web"),
        (
            "one that no pod failed on is not",
            kept(bad()).ending(outcome(Code::DrainTimeout, false)),
            "record Recovering/Restoring PuttingBack c Expendable",
        ),
        (
            "somebody's edit stays",
            bad().content(Content::Other),
            "record Recovering/Restoring RestoreConflict a Chosen",
        ),
        (
            "that it is back is recorded",
            bad().but(|o| o.config[0].entry.restored = false),
            "record Recovering/Restoring ConfigurationRestored a Chosen",
        ),
        (
            "somebody writes the failed content back: it stays",
            bad().content(Content::Candidate).but(|o| o.config[0].entry.restored = true),
            "record Recovering/Restoring RestoreConflict a Chosen",
        ),
        (
            "a GitOps tool does",
            bad().content(Content::Candidate).but(|o| {
                o.config[0].entry.restored = true;
                o.config[0].applied_by = Some("Argo CD".into());
            }),
            "record Recovering/Restoring RevertedByGitOps a Chosen",
        ),
        (
            "what another workload runs on by now stays",
            bad().content(Content::Candidate).but(|o| o.config[0].shared_with = Some("Deployment api".into())),
            "record Recovering/Restoring RestoreConflict a Chosen",
        ),
        ("a deletion too", bad().content(Content::Missing), "record Recovering/Restoring RestoreConflict a Chosen"),
        (
            "without a baseline it stays",
            kept(bad()).but(|o| {
                let entry = &mut o.config[0].entry;
                (entry.source, entry.candidate_sha256) = (SnapshotSource::AtRequest, entry.sha256.clone());
            }),
            "record Recovering/Restoring NoBaseline a Chosen",
        ),
        (
            "but no pod has failed on a ConfigMap that none of them uses",
            kept(bad()).but(|o| {
                o.config[0].referred = false;
                let entry = &mut o.config[0].entry;
                (entry.source, entry.candidate_sha256) = (SnapshotSource::AtRequest, entry.sha256.clone());
            }),
            "record Recovering/Restoring PuttingBack c Expendable",
        ),
        (
            "a refusal is said and the rest goes on",
            bad().content(Content::Candidate).refused(RefusedEffect::Restore),
            "record Recovering/Restoring RestoreRefused a Chosen",
        ),
    ];
    check(rows);
}

#[test]
fn detached_pods_go_back_in_the_measured_order() {
    let rows: Vec<Row> = vec![
        ("first the lease ends", restoring(Draining, old().detached().draining(1), replacement()), "release a"),
        ("then it is Ready again", restoring(Draining, old().detached().unready(), replacement()), "wait"),
        ("in the slices too", restoring(Draining, Pod { in_slices: false, ..old().detached() }, replacement()), "wait"),
        (
            "a lease that has just ended may yet take it out of the slices",
            restoring(Draining, Pod { told_unready: true, ..old().detached() }, replacement()),
            "wait",
        ),
        (
            "a silent sidecar may hold a lease yet",
            restoring(Draining, old().detached().silent(false), replacement()),
            "wait",
        ),
        (
            "then a replacement is chosen",
            restoring(Chosen, old().detached(), replacement()),
            "record Recovering/Restoring PuttingBack c Expendable",
        ),
        ("ranked first", putting_back(old().detached(), replacement()), "mark c"),
        (
            "not one that the workload needs since it was scaled up",
            putting_back(old().detached(), replacement().draining(1)).target(Target::Same { replicas: 3 }),
            "release c",
        ),
        (
            "not drained while one that is back may yet go out of the slices",
            putting_back(Pod { told_unready: true, ..old().detached() }, Pod { expendable: true, ..replacement() }),
            "wait",
        ),
        (
            "not drained while too few others serve",
            putting_back(old().detached(), replacement().marked()).but(|o| o.pods[1].ready = false),
            "reattach a",
        ),
        ("drained", putting_back(old().detached(), replacement().marked()), "cordon c"),
        ("to its last request", putting_back(old().detached(), replacement().marked().draining(1)), "wait"),
        ("or the timeout", putting_back(old().detached(), replacement().marked().overdue_with(1)), "reattach a"),
        ("then the pod goes back", putting_back(old().detached(), replacement().marked().draining(0)), "reattach a"),
        (
            "a broken replacement needs no drain",
            putting_back(old().detached(), replacement().exited().marked()),
            "reattach a",
        ),
        (
            "the last endpoint is not cordoned",
            putting_back(old().detached(), replacement().marked().last()),
            "reattach a",
        ),
        ("the ReplicaSet deletes the replacement", putting_back(old(), replacement().marked().draining(0)), "wait"),
        (
            "without a replacement the pod just goes back",
            restoring(Chosen, old().detached(), replacement()).but(|o| drop(o.pods.remove(2))),
            "reattach a",
        ),
    ];
    check(rows);
    let ours =
        |pods: Vec<Pod>| run(Step::Restoring, &[("a", Chosen)], pods).ending(unhealthy()).content(Content::Snapshot);
    let two = vec![old().detached(), pod("b", Role::New), pod("c", Role::New)];
    let broken = vec![old().detached(), pod("b", Role::New).exited(), pod("c", Role::New)];
    check(vec![
        ("the newest replacement goes", ours(two), "record Recovering/Restoring PuttingBack c Expendable"),
        ("before it one that is not Ready", ours(broken), "record Recovering/Restoring PuttingBack b Expendable"),
    ]);
}

#[test]
fn pods_on_the_bad_configuration_are_replaced_once_more() {
    let back = |second: Pod| restoring(Chosen, old(), second);
    let again = |second: Pod| {
        back(second)
            .cursor_but(|cursor| {
                cursor.again = true;
                cursor.plan.as_mut().expect("a plan").again = Some("again".into());
            })
            .but(|o| o.plan.again = List::Written)
    };
    let bad = || pod("c", Role::Again);
    let rows: Vec<Row> = vec![
        ("they are listed", back(replacement()), "write plan again c"),
        (
            "a container that restarted meanwhile counts",
            back(replacement()).but(|o| o.pods[0].restarted = true),
            "write plan again a+c",
        ),
        (
            "the list is recorded",
            back(replacement()).but(|o| o.plan.again = List::Written),
            "record Recovering/Restoring ReplacingAgain a Chosen",
        ),
        (
            "a list that somebody deletes is written again",
            again(replacement()).but(|o| o.plan.again = List::Absent),
            "write plan again c",
        ),
        ("they get their turn", again(bad()), "record Recovering/Surging Surging c Chosen"),
        (
            "not when the configuration could not be restored",
            back(replacement()).ending(crate::api::Outcome { not_restored: Some("edited".into()), ..unhealthy() }),
            "record Recovering/Finishing Restored a Chosen",
        ),
        ("all are back", again(replacement()), "record Recovering/Finishing Restored a Chosen"),
        ("or are waited for", again(replacement()).waiting(), "wait"),
        ("until the deadline", again(replacement()).waiting().late(), "record Recovering/Finishing Restored a Chosen"),
    ];
    check(rows);
    let turn = |second: Pod| {
        let pods = vec![old(), pod("b", Role::Planned), second];
        run(Step::Surging, &[("c", Chosen)], pods).ending(unhealthy()).cursor_but(|cursor| cursor.again = true)
    };
    check(vec![
        ("one that is not Ready is deleted", turn(bad().exited()), "delete c"),
        ("not while our lease makes it so", turn(bad().draining(1)), "detach c"),
        ("not while nobody knows", turn(bad().unready().silent(false)).waiting(), "wait"),
        ("one that serves is detached", turn(bad()), "detach c"),
        (
            "a workload that is rolled out meanwhile is left alone",
            turn(bad()).target(Target::RollingOut),
            "record Recovering/Restoring Restoring c Chosen",
        ),
        ("so is one that is gone", turn(bad()).target(Target::Gone), "record Recovering/Restoring Restoring c Chosen"),
        (
            "a failure here gives up",
            turn(bad().detached()).failing(),
            "record Recovering/Restoring PodsNotReplaced c Chosen",
        ),
    ]);
}

#[test]
fn after_a_foreign_rollout_detached_pods_are_evicted_while_they_serve() {
    let left = |state: PodState, first: Pod| {
        let observed = restoring(state, first.detached(), replacement().foreign());
        observed.ending(outcome(Code::RolloutConflict, false)).target(Target::RollingOut)
    };
    let rows: Vec<Row> = vec![
        (
            "configuration that their pods started on stays",
            left(Chosen, old()).content(Content::Candidate),
            "record Recovering/Restoring RestoreConflict a Chosen",
        ),
        ("leases end", left(Draining, old().draining(1)), "release a"),
        ("it is recorded", left(Chosen, old()), "record Recovering/Restoring Dismissing a Terminating"),
        ("they go", left(Terminating, old()), "evict a"),
        ("the last ready endpoint awaits the rollout", left(Terminating, old().last()), "wait"),
        ("but not a workload that is gone", left(Terminating, old().last()).target(Target::Gone), "evict a"),
        (
            "what cannot go is said",
            left(Terminating, old()).late(),
            "record Recovering/Restoring PodsNotEvicted a Terminating",
        ),
        (
            "nothing is left",
            left(Terminating, old()).but(|o| drop(o.pods.remove(0))),
            "record Recovering/Finishing Restored a Terminating",
        ),
    ];
    check(rows);
}
