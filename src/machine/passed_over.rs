//! The pods that a run lists: all that are to be replaced, and those that cannot be, so that nothing waits for them.
//!
//! **Invariant:** which pods are passed over is decided once, when the list is written; the list says it ever after.

use super::batch::names;
use super::decision::PlannedPod;
use super::observed::{Attachment, Observed, Pod, Replacement, Role};

/// The entries of the list.
#[must_use]
pub fn listed(observed: &Observed) -> Vec<PlannedPod> {
    // A detached pod was left behind by a run that could not finish it. One that is terminating has its replacement already
    // where replacements start anywhere.
    let stays = |pod: &Pod| pod.alive() || observed.replacement != Replacement::Anywhere;
    let ours = |pod: &&Pod| pod.attachment != Attachment::Foreign && stays(pod);
    let entry = |pod: &Pod| PlannedPod { passed_over: is_irreplaceable(observed, pod), ..pod.into() };
    observed.pods.iter().filter(ours).map(entry).collect()
}

/// The pods whose places are empty for a moment: each is filled anew when its pod is gone.
pub fn stopping(observed: &Observed) -> Vec<&Pod> {
    let stops = |pod: &&Pod| is_own(pod) && pod.terminating && !pod.unreachable;
    match observed.replacement {
        Replacement::Anywhere => vec![],
        Replacement::InPlace | Replacement::InOrder => observed.pods.iter().filter(stops).collect(),
    }
}

/// Whether a restart of the pod would achieve nothing, or would leave its place empty for as long as another pod is ill.
fn is_irreplaceable(observed: &Observed, pod: &Pod) -> bool {
    let alone = is_beyond_help(observed, pod);
    match observed.replacement {
        Replacement::Anywhere | Replacement::InPlace => alone,
        // The highest comes first in the list of pods: those that follow stand below.
        Replacement::InOrder => {
            let below = observed.pods.iter().skip_while(|other| other.uid != pod.uid).skip(1);
            alone || below.into_iter().any(|other| is_own(other) && is_beyond_help(observed, other))
        }
    }
}

fn is_own(pod: &Pod) -> bool {
    pod.attachment == Attachment::Attached
}

/// It is on its way out, has no node yet, or is on a node that would not tell when it is gone.
fn is_beyond_help(observed: &Observed, pod: &Pod) -> bool {
    let place_stays_empty = match observed.replacement {
        Replacement::Anywhere => false,
        Replacement::InPlace | Replacement::InOrder => pod.unreachable && !pod.ready,
    };
    pod.terminating || !pod.scheduled || place_stays_empty
}

/// What is said of the pods that were passed over; nothing when there are none.
pub fn passed_over(observed: &Observed) -> String {
    let pods: Vec<&Pod> = observed.pods.iter().filter(|pod| pod.role == Role::PassedOver).collect();
    if pods.is_empty() {
        return String::new();
    }
    let reasons = pods.iter().take(3).filter_map(|pod| Some(format!("{}: {}", pod.name, pod.ailment.as_ref()?)));
    let reasons: Vec<String> = reasons.collect();
    let why = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
    let order = match observed.replacement {
        Replacement::InOrder => ", with those above them, which their StatefulSet would not start again meanwhile",
        Replacement::Anywhere | Replacement::InPlace => "",
    };
    format!("; passed over, as they cannot be replaced now{order}: {}{why}", names(&pods))
}
