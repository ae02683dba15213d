//! One line of figures per scenario.
//!
//! **Invariant:** a figure is what was counted, never what was expected.

use super::load::Report;
use std::fmt::Write as _;

/// What a scenario has counted.
#[derive(Default)]
pub struct Figures {
    sent: u64,
    failed: u64,
    retried_idle: u64,
    replaced: usize,
    notes: Vec<String>,
}

impl Figures {
    /// Nothing but a remark.
    pub fn note(note: impl Into<String>) -> Self {
        Self { notes: vec![note.into()], ..Self::default() }
    }

    /// Adds a run of the load client.
    pub fn load(mut self, report: &Report) -> Self {
        self.sent += report.sent;
        self.failed += report.failed;
        self.retried_idle += report.retried_idle;
        self
    }

    /// Adds replaced pods.
    pub fn replaced(mut self, pods: usize) -> Self {
        self.replaced += pods;
        self
    }

    /// Adds a remark.
    pub fn and(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The line, without the scenario's name.
    pub fn line(&self, seconds: u64) -> String {
        let mut line = format!("{seconds:>4} s");
        if self.sent > 0 {
            let _ = write!(line, "  sent {}, failed {}, retriedIdle {}", self.sent, self.failed, self.retried_idle);
        }
        if self.replaced > 0 {
            let _ = write!(line, ", pods replaced {}", self.replaced);
        }
        for note in &self.notes {
            let _ = write!(line, "; {note}");
        }
        line
    }
}
