//! Putting back: detached pods go back to their `ReplicaSet`, and replacements go in their place.
//!
//! The order is measured: any other had the `ReplicaSet` delete an old, serving pod (notes on putting back, DESIGN 3).
//!
//! **Invariant:** a replacement is cordoned only while as many others serve as the workload wants.

use super::batch::{change, names, progress, state};
use super::decision::{Change, Decision, Effect};
use super::observed::{Attachment, Cursor, Deadline, Drain, Observed, Pod, Role, Target};
use super::recovering::detached;
use crate::api::{Phase, PodProgress, PodState, Step};

/// Detached pods go back once the replacements that must go for them are ranked first and drained.
pub fn put_back(observed: &Observed, cursor: &Cursor) -> Option<Decision> {
    let detached = detached(observed);
    let mut going: Vec<&Pod> =
        observed.pods.iter().filter(|pod| pod.alive() && state(cursor, pod) == PodState::Expendable).collect();
    going.sort_by_key(|pod| (!pod.cordoned(), !pod.expendable));
    if detached.is_empty() {
        return spare(observed, &going);
    }
    let (candidates, surplus) = (candidates(observed, cursor), surplus(observed, detached.len()));
    let missing = surplus.saturating_sub(going.len()).min(candidates.len());
    if missing > 0 {
        return Some(Decision::Record(choose(cursor, &candidates[..missing])));
    }
    // Scaled up meanwhile, the workload needs some of them: those serve on.
    let (going, staying) = going.split_at(surplus.min(going.len()));
    let kept = staying.iter().filter(|pod| pod.cordoned()).map(|pod| Effect::Release((*pod).into()));
    let enough = enough(observed, cursor);
    let effects: Vec<Effect> = going.iter().filter_map(|pod| expend(pod, enough)).chain(kept).collect();
    if !effects.is_empty() {
        return Some(Decision::Act(effects));
    }
    let busy: Vec<&Pod> = going.iter().copied().filter(|pod| busy(pod)).collect();
    if !busy.is_empty() && observed.deadline == Deadline::Ahead {
        return Some(Decision::Wait(format!(
            "waiting for the requests of {}, which goes so that {} can come back",
            names(&busy),
            names(&detached)
        )));
    }
    Some(Decision::Act(detached.into_iter().map(|pod| Effect::Reattach(pod.into())).collect()))
}

/// How many of the workload's own pods will be too many once the detached ones are back.
fn surplus(observed: &Observed, detached: usize) -> usize {
    let Target::Same { replicas } = observed.target else { return 0 };
    let own = observed.pods.iter().filter(|pod| pod.alive() && pod.attachment == Attachment::Attached).count();
    (own + detached).saturating_sub(replicas)
}

/// New pods, one that is not Ready first, then the newest.
fn candidates<'a>(observed: &'a Observed, cursor: &Cursor) -> Vec<&'a Pod> {
    let new = |pod: &&Pod| {
        pod.alive()
            && pod.attachment == Attachment::Attached
            && pod.role == Role::New
            && state(cursor, pod) != PodState::Expendable
    };
    let mut pods: Vec<&Pod> = observed.pods.iter().filter(new).collect();
    pods.reverse();
    pods.sort_by_key(|pod| pod.ready);
    pods
}

fn choose(cursor: &Cursor, pods: &[&Pod]) -> Change {
    let message = format!("{} goes so that the old pods can come back", names(pods));
    let change = change(cursor, Phase::Recovering, Step::Restoring, "PuttingBack", message);
    // The old pods serve again: they are the endpoints that are left when these go.
    let mut batch: Vec<PodProgress> =
        cursor.batch.iter().filter(|entry| entry.state == PodState::Expendable).cloned().collect();
    batch.extend(pods.iter().map(|pod| progress(pod, PodState::Expendable)));
    Change { batch, ..change }
}

/// As many others serve as the workload wants: a cordon takes no budget below what it asks for.
fn enough(observed: &Observed, cursor: &Cursor) -> bool {
    let Target::Same { replicas } = observed.target else { return false };
    let serves = |pod: &&Pod| {
        let stays = pod.attachment != Attachment::Foreign && state(cursor, pod) != PodState::Expendable;
        pod.alive() && pod.ready && !pod.told_unready && !pod.cordoned() && stays
    };
    observed.pods.iter().filter(serves).count() >= replicas
}

fn expend(pod: &Pod, enough: bool) -> Option<Effect> {
    if !pod.expendable {
        return Some(Effect::MarkExpendable(pod.into()));
    }
    let wanted = match pod.drain {
        Drain::Open => pod.ready && enough && !pod.last_endpoint,
        Drain::Cordoned { stale, .. } => stale,
        Drain::Unknown { .. } => false,
    };
    wanted.then(|| Effect::Cordon(pod.into()))
}

/// Its preStop chain drains what is left when the wait is over or nothing can be known.
fn busy(pod: &Pod) -> bool {
    pod.cordoned() && !pod.drained() && !pod.overdue()
}

/// Everybody is back: a chosen replacement that turns out to be needed serves again, one too many is awaited.
fn spare(observed: &Observed, going: &[&Pod]) -> Option<Decision> {
    if surplus(observed, 0) > 0 && !going.is_empty() && observed.deadline == Deadline::Ahead {
        return Some(Decision::Wait(format!("waiting for the ReplicaSet to delete {}", names(going))));
    }
    let effects: Vec<Effect> =
        going.iter().filter(|pod| pod.cordoned()).map(|pod| Effect::Release((*pod).into())).collect();
    (!effects.is_empty()).then_some(Decision::Act(effects))
}
