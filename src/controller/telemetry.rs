//! Logs: JSON lines on standard output, or text for people.
//!
//! Whatever is logged during a pass stands in the span of its request: as JSON, `namespace`, `name`, `uid` and `phase` are
//! fields of the line like any other (`jq 'select(.name == "web")'`). The target `audit` has one line per decision.
//!
//! **Invariant:** set up once, before anything else; no other module chooses a format or a destination.

use super::error::Error;
use serde::ser::{SerializeMap as _, Serializer as _};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt;
use std::io::IsTerminal as _;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields as _, FormattedFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// The shape of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One object per line.
    #[default]
    Json,
}

/// Begins to log what `filter` (`info`, or `restart_controller=debug,kube=warn`) lets through.
///
/// # Errors
/// When the filter is not understood.
pub fn start(filter: &str, format: Format) -> Result<(), Error> {
    let subscriber = subscriber(filter, format, std::io::stdout)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|error| Error::Startup(format!("logging: {error}")))
}

fn subscriber<W>(filter: &str, format: Format, writer: W) -> Result<Box<dyn Subscriber + Send + Sync>, Error>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(filter).map_err(|error| Error::Startup(format!("--log {filter:?}: {error}")))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match format {
        Format::Text => Box::new(lines.with_ansi(std::io::stdout().is_terminal()).finish()),
        Format::Json => Box::new(lines.json().event_format(Flat).finish()),
    })
}

/// One flat object per line: what the event says, then what the spans around it say that it does not say itself.
struct Flat;

impl<S> FormatEvent<S, JsonFields> for Flat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (mut time, mut own) = (String::new(), String::new());
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        context.format_fields(Writer::new(&mut own), event)?;
        let metadata = event.metadata();
        let mut own = object(&own);
        let message = own.remove("message").unwrap_or_default();
        let one = |name: &str, value: Value| Map::from_iter([(name.to_owned(), value)]);
        let mut objects = vec![
            one("timestamp", time.into()),
            one("level", metadata.level().as_str().into()),
            one("target", metadata.target().into()),
            one("message", message),
            own,
        ];
        for span in context.event_scope().into_iter().flatten() {
            objects.extend(span.extensions().get::<FormattedFields<JsonFields>>().map(|fields| object(fields)));
        }
        writeln!(writer, "{}", merged(&objects).map_err(|_| fmt::Error)?)
    }
}

fn object(text: &str) -> Map<String, Value> {
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// All of them in one, in their order; of two fields with one name the first counts.
fn merged(objects: &[Map<String, Value>]) -> serde_json::Result<String> {
    let mut line = vec![];
    let mut names = BTreeSet::new();
    let mut serializer = serde_json::Serializer::new(&mut line);
    let mut map = serializer.serialize_map(None)?;
    for (name, value) in objects.iter().flatten().filter(|(name, _)| names.insert(name.as_str())) {
        map.serialize_entry(name, value)?;
    }
    map.end()?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged while `logging` runs.
    fn logged(filter: &str, logging: impl FnOnce()) -> Vec<Value> {
        let memory = Memory::default();
        let writer = memory.clone();
        let subscriber = subscriber(filter, Format::Json, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, logging);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn in_a_pass(logging: impl FnOnce()) {
        let phase = tracing::field::Empty;
        let span = tracing::error_span!(parent: None, "restart", namespace = "shop", name = "web", uid = "1", phase);
        span.record("phase", "Pending");
        span.record("phase", "Restarting");
        span.in_scope(logging);
    }

    #[test]
    fn every_line_of_a_pass_says_flatly_of_which_request_it_is() {
        let lines = logged("warn", || {
            in_a_pass(|| tracing::warn!(pod = "web-1", count = 3, "said \"no\""));
            tracing::warn!("outside");
        });
        for (field, value) in [("namespace", "shop"), ("name", "web"), ("uid", "1"), ("phase", "Restarting")] {
            assert_eq!(lines[0][field], value);
            assert_eq!(lines[1][field], Value::Null);
        }
        assert_eq!((&lines[0]["level"], &lines[0]["pod"]), (&"WARN".into(), &"web-1".into()));
        assert_eq!((&lines[0]["count"], &lines[0]["message"]), (&3.into(), &"said \"no\"".into()));
        assert!(lines[0]["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')));
    }

    #[test]
    fn what_the_line_says_itself_counts_and_no_field_stands_there_twice() {
        let lines = logged("info", || in_a_pass(|| tracing::info!(target: "audit", phase = "Completed", "done")));
        assert_eq!((&lines[0]["phase"], &lines[0]["target"]), (&"Completed".into(), &"audit".into()));
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn the_audit_can_be_had_without_the_rest() {
        let lines = logged("warn,audit=info", || {
            in_a_pass(|| {
                tracing::info!("not this");
                tracing::info!(target: "audit", "this");
            });
        });
        assert_eq!((lines.len(), &lines[0]["message"], &lines[0]["name"]), (1, &"this".into(), &"web".into()));
    }

    #[test]
    fn a_filter_that_is_not_understood_is_named() {
        let error = subscriber("restart=loud", Format::Json, std::io::stdout).err().unwrap();
        assert!(error.to_string().contains("--log \"restart=loud\""), "{error}");
    }
}
