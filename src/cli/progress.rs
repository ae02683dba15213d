//! What is shown of a restart while it runs: two lines that change on a terminal, else a line for each change.
//!
//! **Invariant:** it only shows; a terminal is written to standard error, so that output stays output.

use super::output::{colours, paint, painted, span};
use crate::api::RestartRequest;
use crate::client::words::phase;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use k8s_openapi::jiff::Timestamp;
use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

/// How often the elapsed time moves.
const TICK: Duration = Duration::from_millis(200);
/// How many counts of in-flight requests are drawn.
const CURVE: usize = 16;
const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Shows one restart.
#[derive(Debug)]
pub struct View {
    began: Instant,
    estimate: Option<i64>,
    in_flight: VecDeque<i64>,
    /// What is said until the controller says something.
    waits: String,
    how: How,
}

#[derive(Debug)]
enum How {
    Live(Live),
    Lines { last: String, to_stderr: bool },
}

#[derive(Debug)]
struct Live {
    head: ProgressBar,
    foot: ProgressBar,
    colours: bool,
}

impl View {
    /// `quiet_output`: standard output belongs to a program.
    #[must_use]
    pub fn new(request: &RestartRequest, estimate: Option<i64>, quiet_output: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let how =
            if terminal { How::Live(Live::new()) } else { How::Lines { last: String::new(), to_stderr: quiet_output } };
        let waits = "waiting for the controller".to_owned();
        Self { began: began(request), estimate, in_flight: VecDeque::new(), waits, how }
    }

    /// The restart as it is now.
    pub fn show(&mut self, request: &RestartRequest) {
        let status = request.status.clone().unwrap_or_default();
        if let Some(count) = status.in_flight {
            self.in_flight.push_back(count);
            if self.in_flight.len() > CURVE {
                self.in_flight.pop_front();
            }
        }
        let estimate = status.estimated_seconds.or(self.estimate);
        let elapsed = i64::try_from(self.began.elapsed().as_secs()).unwrap_or(i64::MAX);
        match &mut self.how {
            How::Live(live) => live.show(request, self.began, estimate, &curve(&self.in_flight), &self.waits),
            How::Lines { last, to_stderr } => {
                let line = line(request);
                if line != *last {
                    say(&format!("{:>5}  {line}", span(elapsed)), *to_stderr);
                    *last = line;
                }
            }
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, request: &RestartRequest) {
        if let How::Live(live) = &mut self.how {
            let estimate = request.status.as_ref().and_then(|status| status.estimated_seconds).or(self.estimate);
            live.show(request, self.began, estimate, &curve(&self.in_flight), &self.waits);
        }
    }

    /// The controller has said nothing for long.
    pub fn unseen(&mut self, text: &str) {
        text.clone_into(&mut self.waits);
        self.note(text);
    }

    /// Something that is not the restart's own.
    pub fn note(&mut self, text: &str) {
        match &mut self.how {
            How::Live(live) => live.foot.set_message(text.to_owned()),
            How::Lines { .. } => eprintln!("{text}"),
        }
    }

    /// Nothing moves any more; what was drawn goes.
    pub fn end(self) {
        if let How::Live(live) = self.how {
            live.foot.finish_and_clear();
            live.head.finish_and_clear();
        }
    }
}

fn say(line: &str, to_stderr: bool) {
    if to_stderr { eprintln!("{line}") } else { println!("{line}") }
}

/// When it was asked for, on this machine's clock; a clock that is behind the API server's is not believed.
fn began(request: &RestartRequest) -> Instant {
    let started = request.status.as_ref().and_then(|status| status.started_at.as_ref()).map(|time| time.0);
    let asked = started.or_else(|| request.metadata.creation_timestamp.as_ref().map(|time| time.0));
    let ago = asked.map_or(0, |asked| Timestamp::now().as_second() - asked.as_second());
    Instant::now().checked_sub(Duration::from_secs(u64::try_from(ago).unwrap_or(0))).unwrap_or_else(Instant::now)
}

/// The plain line: phase, pods, requests, and what it waits for.
#[must_use]
pub fn line(request: &RestartRequest) -> String {
    let status = request.status.clone().unwrap_or_default();
    let mut line = format!("{} {}", request.spec.target_ref, phase(request).word());
    if !status.progress.is_empty() {
        line.extend([" ", &status.progress, " pods"]);
    }
    if let Some(count) = status.in_flight.filter(|_| !phase(request).is_terminal()) {
        line.extend([", ", &count.to_string(), " in flight"]);
    }
    if status.message.is_empty() { line } else { format!("{line}: {}", status.message) }
}

/// `2/5` as two numbers.
fn pods(progress: &str) -> Option<(u64, u64)> {
    let (done, all) = progress.split_once('/')?;
    Some((done.parse().ok()?, all.parse().ok()?))
}

/// The last counts as a curve.
fn curve(counts: &VecDeque<i64>) -> String {
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let top = i64::try_from(STEPS.len() - 1).unwrap_or(7);
    counts.iter().map(|count| STEPS[usize::try_from(count.max(&0) * top / most).unwrap_or(0)]).collect()
}

impl Live {
    fn new() -> Self {
        let both = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let head = both.add(ProgressBar::new(1));
        let foot = both.add(ProgressBar::new(1));
        let colours = colours(true);
        let bar = if colours { "{bar:20.cyan}" } else { "{bar:20}" };
        head.set_style(style(&format!("{{spinner}} {{prefix}} {bar} {{wide_msg}}")));
        foot.set_style(style("  {wide_msg}"));
        head.enable_steady_tick(TICK);
        Self { head, foot, colours }
    }

    fn show(&self, request: &RestartRequest, began: Instant, estimate: Option<i64>, curve: &str, waits: &str) {
        let status = request.status.clone().unwrap_or_default();
        let (done, all) = pods(&status.progress).unwrap_or((0, 0));
        self.head.set_length(all.max(1));
        self.head.set_position(done);
        self.head.set_prefix(format!("{} {}", request.spec.target_ref, painted(phase(request), self.colours)));
        let in_flight = status.in_flight.map(|count| format!("  {count} in flight {curve}")).unwrap_or_default();
        let about = estimate.map(|seconds| format!(" of about {}", span(seconds))).unwrap_or_default();
        let elapsed = i64::try_from(began.elapsed().as_secs()).unwrap_or(i64::MAX);
        self.head.set_message(format!("{done}/{all} pods{in_flight}  {}{about}", span(elapsed)));
        let waits = if status.message.is_empty() { waits } else { &status.message };
        self.foot.set_message(paint(waits, "2", self.colours));
    }
}

/// The templates above are right: a test draws them.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .map_or_else(|_| ProgressStyle::default_bar(), |style| style.progress_chars("█▌ ").tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request() -> RestartRequest {
        serde_json::from_value(json!({
            "apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartRequest", "metadata": {"name": "a"},
            "spec": {"targetRef": {"kind": "Deployment", "name": "web"}, "reason": "test"},
            "status": {"phase": "WaitingRequests", "progress": "2/5", "inFlight": 3,
                "message": "waiting for 3 requests in web-1"}}))
        .unwrap()
    }

    #[test]
    fn a_line_says_phase_pods_requests_and_what_it_waits_for() {
        assert_eq!(
            line(&request()),
            "deployment/web WaitingRequests 2/5 pods, 3 in flight: waiting for 3 requests in web-1"
        );
    }

    #[test]
    fn the_curve_falls_as_the_count_does() {
        assert_eq!(curve(&VecDeque::from([8, 4, 2, 0])), "█▄▂▁");
        assert_eq!(curve(&VecDeque::from([0, 0])), "▁▁");
    }

    #[test]
    fn the_templates_are_understood() {
        assert!(ProgressStyle::with_template("{spinner} {prefix} {bar:20.cyan} {wide_msg}").is_ok());
        assert_eq!(pods("2/5"), Some((2, 5)));
        assert_eq!(pods(""), None);
    }
}
