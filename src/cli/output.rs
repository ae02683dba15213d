//! Tables, objects, colours and times, as kubectl prints them.
//!
//! **Invariant:** colour is only for a terminal and never the only bearer of a meaning; `NO_COLOR` turns it off.

use super::args::Format;
use crate::api::{Phase, RestartRequest};
use crate::client::Error;
use crate::client::words::phase;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use std::io::IsTerminal as _;

/// Whether to colour what goes to `stream`.
#[must_use]
pub fn colours(terminal: bool) -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    terminal && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

/// A phase in its colour.
#[must_use]
pub fn painted(phase: Phase, colours: bool) -> String {
    let colour = match phase {
        Phase::Completed => "32",
        Phase::Failed | Phase::Recovering => "31",
        Phase::Cancelled | Phase::Pending => "33",
        Phase::Preparing | Phase::Restarting | Phase::WaitingRequests => "36",
    };
    paint(phase.word(), colour, colours)
}

/// `text` in an ANSI colour.
#[must_use]
pub fn paint(text: &str, colour: &str, colours: bool) -> String {
    if colours { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// Columns under a heading.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Nothing but the heading.
    #[must_use]
    pub fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(|&word| word.to_owned()).collect()] }
    }

    /// One more row.
    pub fn row(&mut self, cells: Vec<String>) {
        let cells = cells.into_iter().map(|cell| cell.replace(['\n', '\r', '\t'], " "));
        self.rows.push(cells.map(|cell| if cell.is_empty() { "-".to_owned() } else { cell }).collect());
    }

    /// With three spaces between the columns and none at the end. The words of phases are coloured at the end, since
    /// colours have no width.
    #[must_use]
    pub fn text(&self, colours: bool) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| padded(cell, *width, colours)).collect();
            text += cells.join("   ").trim_end();
            text.push('\n');
        }
        text
    }
}

fn padded(cell: &str, width: usize, colours: bool) -> String {
    let fill = " ".repeat(width - cell.chars().count());
    match Phase::ALL.into_iter().find(|phase| phase.word() == cell) {
        Some(phase) => painted(phase, colours) + &fill,
        None => cell.to_owned() + &fill,
    }
}

/// Prints a table on standard output.
pub fn print_table(table: &Table) {
    print!("{}", table.text(colours(std::io::stdout().is_terminal())));
}

/// The name by which kubectl finds the request.
#[must_use]
pub fn full_name(request: &RestartRequest) -> String {
    format!("restartrequest.restart-controller.dev/{}", name(request))
}

/// Its name.
#[must_use]
pub fn name(request: &RestartRequest) -> &str {
    request.metadata.name.as_deref().unwrap_or_default()
}

/// The objects for a program: one as itself, several as a List.
///
/// # Errors
/// Never for objects that the API server gave.
pub fn print_objects(format: Format, requests: &[RestartRequest]) -> Result<(), Error> {
    if format == Format::Name {
        for request in requests {
            println!("{}", full_name(request));
        }
        return Ok(());
    }
    let values: Result<Vec<Value>, _> = requests.iter().map(clean).map(serde_json::to_value).collect();
    let mut values = values.map_err(|error| Error::Invalid(error.to_string()))?;
    if values.len() == 1 {
        return print_value(format, &values.remove(0));
    }
    print_value(format, &json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": values}))
}

/// As kubectl shows objects.
fn clean(request: &RestartRequest) -> RestartRequest {
    let mut request = request.clone();
    request.metadata.managed_fields = None;
    request
}

/// JSON or YAML.
///
/// # Errors
/// When it has keys that are no text.
pub fn print_value(format: Format, value: &Value) -> Result<(), Error> {
    let unprintable = |error: String| Error::Invalid(error);
    match format {
        Format::Yaml => print!("{}", serde_yaml::to_string(value).map_err(|error| unprintable(error.to_string()))?),
        Format::Table | Format::Wide | Format::Json | Format::Name => {
            println!("{}", serde_json::to_string_pretty(value).map_err(|error| unprintable(error.to_string()))?);
        }
    }
    Ok(())
}

/// How long ago, as kubectl says it.
#[must_use]
pub fn ago(time: Option<Timestamp>) -> String {
    time.map_or_else(String::new, |time| span(Timestamp::now().as_second() - time.as_second()))
}

/// Between two times.
#[must_use]
pub fn between(from: Option<Timestamp>, to: Option<Timestamp>) -> String {
    match (from, to) {
        (Some(from), Some(to)) => span(to.as_second() - from.as_second()),
        _ => String::new(),
    }
}

/// `45s`, `3m5s`, `12m`, `5h`, `3d`.
#[must_use]
pub fn span(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..600 => match seconds % 60 {
            0 => format!("{}m", seconds / 60),
            rest => format!("{}m{rest}s", seconds / 60),
        },
        seconds @ 600..10_800 => format!("{}m", seconds / 60),
        seconds @ 10_800..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// Requests in columns, the wide ones with more of them.
#[must_use]
pub fn requests(all: &[RestartRequest], wide: bool) -> Table {
    let mut heading = vec!["NAME", "TARGET", "PHASE", "PROGRESS", "IN-FLIGHT", "REQUESTED-BY", "REASON", "AGE"];
    if wide {
        heading.extend(["CODE", "DURATION", "MESSAGE"]);
    }
    let mut table = Table::new(&heading);
    for request in all {
        let status = request.status.clone().unwrap_or_default();
        let by = status.requested_by.clone().or_else(|| request.spec.requested_by.clone());
        let mut cells = vec![
            name(request).to_owned(),
            request.spec.target_ref.to_string(),
            phase(request).word().to_owned(),
            status.progress.clone(),
            status.in_flight.map(|count| count.to_string()).unwrap_or_default(),
            by.unwrap_or_default(),
            request.spec.reason.clone(),
            ago(request.metadata.creation_timestamp.as_ref().map(|time| time.0)),
        ];
        if wide {
            let at =
                |time: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| time.as_ref().map(|time| time.0);
            cells.push(status.code.map(|code| code.number().to_owned()).unwrap_or_default());
            cells.push(between(at(&status.started_at), at(&status.finished_at)));
            cells.push(status.message);
        }
        table.row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_colour_they_have() {
        let mut table = Table::new(&["NAME", "PHASE", "LAST"]);
        table.row(vec!["a".into(), "Completed".into(), String::new()]);
        table.row(vec!["ünïcode".into(), "Failed".into(), "two\nlines".into()]);
        let plain = "NAME      PHASE       LAST\na         Completed   -\nünïcode   Failed      two lines\n";
        assert_eq!(table.text(false), plain);
        let coloured = table.text(true);
        assert!(coloured.contains("\u{1b}[32mCompleted\u{1b}[0m   -"), "{coloured:?}");
    }

    #[test]
    fn spans_are_said_as_kubectl_says_them() {
        let said: Vec<String> = [-5, 0, 119, 120, 185, 700, 20_000, 500_000].into_iter().map(span).collect();
        assert_eq!(said, ["0s", "0s", "119s", "2m", "3m5s", "11m", "5h", "5d"]);
    }
}
