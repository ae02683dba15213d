//! How long the parts of a status may be: the schema says it, and what is longer is cut before it is written.
//!
//! **Invariant:** each number stands here once: the schema is generated from it, and [`RestartRequestStatus::within_bounds`]
//! cuts to it. Sentences and lists for people are cut; names, UIDs and digests never are, since a part of a name is another name.

use super::RestartRequestStatus;

/// `message`, in characters.
pub const MESSAGE: usize = 2048;
/// `progress`.
pub const PROGRESS: usize = 32;
/// `pods`: a batch, and in recovery as many replacements again.
pub const WORKED_ON: usize = 2048;
/// The largest batch.
pub const PARALLEL: i32 = 1000;
/// `hooks`: eight before and eight after the pods.
pub const HOOKS: usize = 16;
/// `history`; older entries are merged.
pub const HISTORY: usize = 64;
/// The message of an entry of the history.
pub const ENTRY_MESSAGE: usize = 512;
/// The names of pods in an entry of the history.
pub const ENTRY_PODS: usize = 16;
/// `conditions`.
pub const CONDITIONS: usize = 16;
/// The message of a condition, of a hook and of the outcome.
pub const SENTENCE: usize = 1024;
/// A reason.
pub const WORD: usize = 64;
/// `plan.late`.
pub const LATE: usize = 64;
/// ConfigMaps of one run, and those that are known to be good.
pub const CONFIG_MAPS: usize = 64;
/// A name of Kubernetes.
pub const NAME: usize = 253;
/// A UID, or a digest.
pub const ID: usize = 64;

impl RestartRequestStatus {
    /// The same, with every sentence and every list as long as the schema permits: the API server would refuse the whole
    /// status for one of them, and the phase with it.
    #[must_use]
    pub fn within_bounds(mut self) -> Self {
        cut(&mut self.message, MESSAGE);
        cut(&mut self.progress, PROGRESS);
        self.pods.truncate(WORKED_ON);
        self.hooks.truncate(HOOKS);
        self.hooks.iter_mut().for_each(|hook| cut(&mut hook.message, SENTENCE));
        if let Some(resolved) = &mut self.resolved {
            resolved.max_parallel = resolved.max_parallel.clamp(1, PARALLEL);
        }
        if let Some(plan) = &mut self.plan {
            plan.late.truncate(LATE);
        }
        if let Some(outcome) = &mut self.outcome {
            cut(&mut outcome.message, SENTENCE);
            outcome.not_restored.iter_mut().for_each(|text| cut(text, SENTENCE));
            outcome.not_restored_reason.iter_mut().for_each(|word| cut(word, WORD));
        }
        self.history.truncate(HISTORY);
        for entry in &mut self.history {
            cut(&mut entry.message, ENTRY_MESSAGE);
            cut(&mut entry.reason, WORD);
            entry.pods.truncate(ENTRY_PODS);
        }
        self.conditions.truncate(CONDITIONS);
        for condition in &mut self.conditions {
            cut(&mut condition.message, SENTENCE);
            cut(&mut condition.reason, WORD);
        }
        self
    }
}

/// The schema counts characters, as this does; the last one shows that something is missing.
fn cut(text: &mut String, most: usize) {
    if text.chars().count() > most {
        let kept = text.char_indices().nth(most - 1).map_or(text.len(), |(at, _)| at);
        text.truncate(kept);
        text.push('…');
    }
}

#[cfg(test)]
#[path = "bounds_tests.rs"]
mod tests;
