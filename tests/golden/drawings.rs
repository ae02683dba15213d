//! The two drawings of the book: `docs/state-machine.svg` from the transitions that the model has seen, `docs/timeline.svg` from
//! the status of a restart on a real cluster, recorded in `docs/timeline.json`.
//!
//! **Invariant:** an arrow stands for a transition in the list, and a bar for an entry of the history: nothing is drawn by hand
//! but where the boxes stand.

use super::{hold, root};
use restart_controller::api::{HistoryEntry, Phase};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

const STYLE: &str = "<style>text{font:14px sans-serif;fill:#1c2733}.small{font-size:12px}.box{fill:#eef3f8;stroke:#44586c;stroke-width:1.5}\
    .end{fill:#e6f2e6}.bad{fill:#f8e9e6}.way{stroke:#44586c;stroke-width:1.5;fill:none;marker-end:url(#tip)}.rule{stroke:#c3ccd5}</style>\n";
const TIP: &str = "<defs><marker id=\"tip\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
    <path d=\"M0 0L10 5L0 10z\" fill=\"#44586c\"/></marker></defs>\n";
/// Half of a box.
const HALF: (f64, f64) = (74.0, 22.0);
const NEW: (f64, f64) = (212.0, 14.0);

#[test]
fn the_drawn_state_machine_is_what_the_model_has_seen() {
    let list = fs::read_to_string(root().join("tests/model/transitions.golden")).unwrap();
    let mut svg = head(900, 372, "The phases of a restart and the ways between them");
    for (from, to) in ways(&list) {
        let reversed = from.is_some_and(|from| ways(&list).contains(&(Some(to), from)));
        arrow(&mut svg, from.map_or(NEW, place), place(to), reversed, from.is_none());
    }
    let _ = writeln!(svg, "<circle cx=\"{}\" cy=\"{}\" r=\"7\" fill=\"#44586c\"/>", NEW.0, NEW.1);
    for phase in Phase::ALL {
        boxed(&mut svg, phase);
    }
    svg.push_str("<text class=\"small\" x=\"430\" y=\"330\">A finished request that gets another trigger begins again in Pending.</text>\n</svg>\n");
    hold("docs/state-machine.svg", &svg);
}

fn place(phase: Phase) -> (f64, f64) {
    match phase {
        Phase::Pending => (92.0, 70.0),
        Phase::Preparing => (332.0, 70.0),
        Phase::Restarting => (572.0, 70.0),
        Phase::Completed => (812.0, 70.0),
        Phase::Cancelled => (92.0, 200.0),
        Phase::Recovering => (452.0, 200.0),
        Phase::WaitingRequests => (692.0, 200.0),
        Phase::Failed => (332.0, 325.0),
    }
}

/// From phase to phase, each once; those of finished requests are all by another trigger, and not drawn.
fn ways(list: &str) -> BTreeSet<(Option<Phase>, Phase)> {
    let phase = |text: &str| {
        let word = text.split('/').next().unwrap();
        Phase::ALL.into_iter().find(|phase| phase.word() == word)
    };
    let mut found = BTreeSet::new();
    for line in list.lines() {
        let (way, reason) = line.split_once(": ").unwrap();
        let (from, to) = way.split_once(" -> ").unwrap();
        let (from, to) = (phase(from), phase(to).unwrap());
        if from.is_some_and(Phase::is_terminal) {
            assert_eq!((to, reason), (Phase::Pending, "Triggered"), "{line}: the drawing says otherwise");
        } else if from != Some(to) {
            found.insert((from, to));
        }
    }
    found
}

fn boxed(svg: &mut String, phase: Phase) {
    let (x, y) = place(phase);
    let class = match phase {
        Phase::Completed => "box end",
        Phase::Failed | Phase::Cancelled | Phase::Recovering => "box bad",
        Phase::Pending | Phase::Preparing | Phase::Restarting | Phase::WaitingRequests => "box",
    };
    let (left, top, width, height) = (x - HALF.0, y - HALF.1, HALF.0 * 2.0, HALF.1 * 2.0);
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>"
    );
    let _ = writeln!(svg, "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>", y + 5.0, phase.word());
}

/// From border to border; of two that meet, each keeps to its right.
fn arrow(svg: &mut String, from: (f64, f64), to: (f64, f64), reversed: bool, from_dot: bool) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx.hypot(dy);
    let aside = if reversed { 5.0 } else { 0.0 };
    let (sx, sy) = (-dy / length * aside, dx / length * aside);
    let out = |half: (f64, f64)| (half.0 / dx.abs()).min(half.1 / dy.abs());
    let (begin, end) = (if from_dot { 8.0 / length } else { out(HALF) }, 1.0 - out(HALF));
    let at = |part: f64| (from.0 + dx * part + sx, from.1 + dy * part + sy);
    let ((x1, y1), (x2, y2)) = (at(begin), at(end));
    let _ = writeln!(svg, "<path class=\"way\" d=\"M{x1:.0} {y1:.0}L{x2:.0} {y2:.0}\"/>");
}

fn head(width: u32, height: u32, title: &str) -> String {
    format!(
        "<!-- Drawn by tests/golden/drawings.rs; do not edit. -->\n<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>{title}</title>\n{STYLE}{TIP}<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    )
}

const LEFT: f64 = 150.0;
const WIDTH: f64 = 720.0;
const ROW: f64 = 58.0;

#[test]
fn the_drawn_timeline_is_the_history_of_the_recorded_restart() {
    let recorded = fs::read_to_string(root().join("docs/timeline.json")).unwrap();
    let history: Vec<HistoryEntry> = serde_json::from_str(&recorded).unwrap();
    hold("docs/timeline.svg", &timeline(&history));
}

fn timeline(history: &[HistoryEntry]) -> String {
    let seconds = |entry: &HistoryEntry| {
        let since = |time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time| {
            f64::from(i32::try_from(time.0.as_second() - history[0].started_at.0.as_second()).unwrap())
        };
        (since(&entry.started_at), since(entry.finished_at.as_ref().unwrap()))
    };
    let total = seconds(history.last().unwrap()).1;
    let x = |second: f64| LEFT + second / total * WIDTH;
    let mut pods: Vec<&String> = vec![];
    for pod in history.iter().flat_map(|entry| &entry.pods) {
        if !pods.contains(&pod) {
            pods.push(pod);
        }
    }
    let rows = f64::from(u32::try_from(pods.len()).unwrap());
    let bottom = 40.0 + ROW * (rows + 1.0);
    let mut svg =
        head(900, u32::try_from(170 + 58 * pods.len()).unwrap(), "One real restart, drawn from its status.history");
    let mut second = 0.0;
    while second <= total {
        let _ = writeln!(
            svg,
            "<path class=\"rule\" d=\"M{0:.0} 24V{bottom:.0}\"/><text class=\"small\" x=\"{0:.0}\" y=\"18\" text-anchor=\"middle\">{second} s</text>",
            x(second)
        );
        second += 5.0;
    }
    let _ = writeln!(svg, "<text x=\"8\" y=\"60\">phase</text>");
    for (row, _) in pods.iter().enumerate() {
        let y = 60.0 + ROW * f64::from(u32::try_from(row + 1).unwrap());
        let _ = writeln!(svg, "<text x=\"8\" y=\"{y:.0}\">old pod {}</text>", row + 1);
    }
    let phases = merged(history.iter().map(|entry| (entry.phase.word(), seconds(entry))));
    for (word, (begin, end)) in phases {
        bar(&mut svg, 36.0, (x(begin), x(end)), colour(word), word);
    }
    for (row, pod) in pods.iter().enumerate() {
        let y = 36.0 + ROW * f64::from(u32::try_from(row + 1).unwrap());
        let own: Vec<&HistoryEntry> = history.iter().filter(|entry| entry.pods.contains(pod)).collect();
        bar(&mut svg, y, (x(0.0), x(seconds(own[0]).0)), "#dcebdc", "serves");
        for entry in own {
            let (begin, end) = seconds(entry);
            let (colour, word) = work(&entry.reason);
            bar(&mut svg, y, (x(begin), x(end)), colour, word);
        }
    }
    for (row, line) in (0_u32..).zip(LEGEND) {
        let y = bottom + 18.0 + 18.0 * f64::from(row);
        let _ = writeln!(svg, "<text class=\"small\" x=\"{LEFT}\" y=\"{y:.0}\">{line}</text>");
    }
    svg.push_str("</svg>\n");
    svg
}

/// What the numbers in the bars mean.
const LEGEND: [&str; 3] = [
    "1: serves; its replacement starts and enters every Service",
    "2: out of its Services; finishes its requests, and serves late ones",
    "3: evicted; its process ends",
];

/// What a step means for the pod that it is about.
fn work(reason: &str) -> (&'static str, &'static str) {
    match reason {
        "Surging" | "Reserving" => ("#b9dab9", "1"),
        "Draining" => ("#f3dfa8", "2"),
        "Evicting" => ("#e6c3bb", "3"),
        other => panic!("docs/timeline.json: what is drawn for a pod in {other}?"),
    }
}

fn colour(phase: &str) -> &'static str {
    match phase {
        "Restarting" => "#cfe0f2",
        "WaitingRequests" => "#f3dfa8",
        "Completed" => "#b9dab9",
        _ => "#e4e8ec",
    }
}

/// Neighbours of one phase as one bar.
fn merged<'a>(entries: impl Iterator<Item = (&'a str, (f64, f64))>) -> Vec<(&'a str, (f64, f64))> {
    let mut bars: Vec<(&str, (f64, f64))> = vec![];
    for (word, span) in entries {
        match bars.last_mut().filter(|last| last.0 == word) {
            Some(last) => last.1.1 = span.1,
            None => bars.push((word, span)),
        }
    }
    bars
}

fn bar(svg: &mut String, y: f64, (begin, end): (f64, f64), colour: &str, word: &str) {
    let width = end - begin;
    if width < 1.0 {
        return;
    }
    let _ = writeln!(
        svg,
        "<rect x=\"{begin:.0}\" y=\"{y:.0}\" width=\"{width:.0}\" height=\"36\" fill=\"{colour}\" stroke=\"#fff\"><title>{word}</title></rect>"
    );
    let fits = width > 7.5 * f64::from(u32::try_from(word.len()).unwrap());
    if fits {
        let _ = writeln!(
            svg,
            "<text class=\"small\" x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{word}</text>",
            begin + width / 2.0,
            y + 22.0
        );
    }
}
