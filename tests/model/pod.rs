//! One pod of the small Kubernetes, its sidecar included.
//!
//! **Invariant:** no name and no age: pods that look alike are alike.

use crate::world::Data;
use restart_controller::api::PodState;

/// Whose a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    Attached,
    Detached,
    Foreign,
}

/// A drain lease in a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lease {
    None,
    Fresh,
    Stale,
}

/// What a list says of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Listed {
    Well,
    Unready,
    PassedOver,
}

/// What is wrong with a pod from the start, or from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Illness {
    None,
    /// It runs and is never Ready again; its sidecar answers.
    Hung,
    /// Its node is not Ready: nothing that is asked of it happens.
    Lost,
}

/// An effect on a pod that was decided earlier and is carried out later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Asleep {
    Nothing,
    Listed(Listed),
    Batch(Option<PodState>, bool, bool),
    Detach,
    Reattach,
    Cordon,
    Release,
    MarkExpendable,
    Evict,
    Delete,
}

/// One pod.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pod {
    /// Its place in a StatefulSet; 0 in any other workload.
    pub ordinal: u8,
    /// In the list of pods to replace.
    pub planned: bool,
    /// The list says that it was not Ready, or that it is passed over.
    pub noted: bool,
    pub passed: bool,
    /// Recorded as born between the list and the promotion.
    pub late: bool,
    /// In the list of pods to replace once more.
    pub again: bool,
    /// What the status says of it, and whether it was chosen because it was not Ready.
    pub batch: Option<PodState>,
    pub unready: bool,
    pub place: Place,
    pub terminating: bool,
    pub ready: bool,
    pub in_slices: bool,
    /// The slices of the second Service.
    pub in_second: bool,
    pub runs: Data,
    pub lease: Lease,
    /// Requests are in flight, or the quiet window is not over; known only while there is a lease.
    pub busy: bool,
    /// One of them never ends.
    pub stuck: bool,
    /// `timeoutSeconds` are over.
    pub overdue: bool,
    /// Its sidecar does not answer.
    pub silent: bool,
    /// Its sidecar answers and obeys no command; whether this process has heard so.
    pub refuses: bool,
    pub refused: bool,
    pub illness: Illness,
    pub expendable: bool,
    /// A container was restarted since the list was written.
    pub restarted: bool,
    /// A container exited twice.
    pub broken: bool,
    /// It was Ready in the soak and is not any more; what this process has seen.
    pub lapsed: bool,
    /// No node takes it.
    pub homeless: bool,
    /// Its node is being drained.
    pub leaving: bool,
    pub asleep: Asleep,
}

impl Pod {
    /// A pod as it is created.
    pub fn new(runs: Data, place: Place) -> Self {
        Self {
            ordinal: 0,
            planned: false,
            noted: false,
            passed: false,
            late: false,
            again: false,
            batch: None,
            unready: false,
            place,
            terminating: false,
            ready: false,
            in_slices: false,
            in_second: false,
            runs,
            lease: Lease::None,
            busy: false,
            stuck: false,
            overdue: false,
            silent: false,
            refuses: false,
            refused: false,
            illness: Illness::None,
            expendable: false,
            restarted: false,
            broken: false,
            lapsed: false,
            homeless: false,
            leaving: false,
            asleep: Asleep::Nothing,
        }
    }

    pub fn own(&self) -> bool {
        !self.terminating && self.place == Place::Attached
    }

    pub fn detached(&self) -> bool {
        !self.terminating && self.place == Place::Detached
    }

    /// It serves: Services send requests to it.
    pub fn serves(&self) -> bool {
        !self.terminating && self.in_slices && self.ready && self.lease == Lease::None
    }

    /// Some slice shows it ready.
    pub fn in_any(&self) -> bool {
        self.in_slices || self.in_second
    }

    /// The slices, which is all that anybody sees of an endpoint, say that it serves this Service.
    pub fn shown(&self, second: bool) -> bool {
        let shown = if second { self.in_second } else { self.in_slices };
        !self.terminating && shown && self.lease == Lease::None
    }

    pub fn listed(&self) -> bool {
        self.planned || self.late
    }

    /// Somebody has told it to go: nothing else about it matters any more, its preStop chain drains it.
    pub fn terminate(&mut self) {
        *self = Self {
            terminating: true,
            ordinal: self.ordinal,
            planned: self.planned,
            noted: self.noted,
            passed: self.passed,
            late: self.late,
            again: self.again,
            batch: self.batch,
            unready: self.unready,
            illness: if self.illness == Illness::Lost { Illness::Lost } else { Illness::None },
            ..Self::new(Data::Good, Place::Attached)
        };
    }

    /// Its owner changes, if it is still that one's.
    pub fn moves(&mut self, from: Place, to: Place) {
        if self.place == from {
            self.place = to;
            self.touched();
        }
    }

    /// The lease is gone, and with it what is known of the drain.
    pub fn unleased(&mut self) {
        (self.lease, self.busy, self.stuck, self.overdue) = (Lease::None, false, false, false);
    }

    /// The object changed: what was decided about an older one meets a conflict.
    pub fn touched(&mut self) {
        match self.asleep {
            Asleep::Detach | Asleep::Reattach | Asleep::MarkExpendable | Asleep::Evict | Asleep::Delete => {
                self.asleep = Asleep::Nothing;
            }
            Asleep::Nothing | Asleep::Listed(_) | Asleep::Batch(..) | Asleep::Cordon | Asleep::Release => {}
        }
    }

    /// The sidecar accepted a command or is another process: what was signed for the old challenge is refused.
    pub fn challenged(&mut self) {
        if matches!(self.asleep, Asleep::Cordon | Asleep::Release) {
            self.asleep = Asleep::Nothing;
        }
    }
}
