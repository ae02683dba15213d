//! Does the configuration that new pods would start on parse? Keys that end in .json, .yaml, .yml and .toml.
//!
//! **Invariant:** an error names the ConfigMap, the key, the line and the column, and never quotes the data.

use serde::Deserialize as _;
use std::sync::{Mutex, PoisonError};

/// A key whose value does not parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The key.
    pub key: String,
    /// Where the value stops making sense.
    pub place: String,
}

/// The longest value whose parser keeps all of it: one of YAML takes 75 times its length. A longer one is not looked at.
const LONGEST: usize = 128 * 1024;
/// One of those at a time, in the whole process.
static PARSING: Mutex<()> = Mutex::new(());

/// Whether this value, by its key's extension, does not parse.
#[must_use]
pub fn broken(key: &str, text: &str) -> Option<Broken> {
    problem(key, text).map(|place| Broken { key: key.to_owned(), place })
}

fn problem(key: &str, text: &str) -> Option<String> {
    match key.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
        Some("json") => json(text),
        Some("yaml" | "yml") => alone(text, yaml),
        Some("toml") => alone(text, toml),
        _ => None,
    }
}

fn alone(text: &str, parse: impl FnOnce(&str) -> Option<String>) -> Option<String> {
    if text.len() > LONGEST {
        return None;
    }
    let _alone = PARSING.lock().unwrap_or_else(PoisonError::into_inner);
    parse(text)
}

fn place(line: usize, column: usize) -> String {
    format!("line {line}, column {column}")
}

fn json(text: &str) -> Option<String> {
    let error = serde_json::from_str::<serde::de::IgnoredAny>(text).err()?;
    Some(place(error.line(), error.column()))
}

/// A file may hold several documents.
fn yaml(text: &str) -> Option<String> {
    let error =
        serde_yaml::Deserializer::from_str(text).find_map(|document| serde_yaml::Value::deserialize(document).err())?;
    Some(error.location().map_or_else(|| "at its end".to_owned(), |at| place(at.line(), at.column())))
}

fn toml(text: &str) -> Option<String> {
    let error = text.parse::<toml::Table>().err()?;
    let before = &text[..error.span().map_or(0, |span| span.start).min(text.len())];
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count());
    Some(place(before.matches('\n').count() + 1, column + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_take_much_memory_is_not_parsed_and_json_takes_none() {
        let long = "x".repeat(LONGEST);
        for key in ["a.yaml", "a.toml"] {
            assert!(problem(key, "a: [").is_some() && problem(key, &format!("a: [{long}")).is_none(), "{key}");
        }
        assert!(problem("a.json", &format!("[\"{long}\"")).is_some());
    }

    #[test]
    fn broken_files_are_found_with_their_place() {
        for (key, text, expected) in [
            ("a.json", "{\n  \"a\": 1,\n}", Some("line 3, column 1")),
            ("a.yaml", "a: 1\nb: c: d\n", Some("line 2")),
            ("a.toml", "a = 1\nb = ", Some("line 2")),
            ("a.json", "{\"a\": 1}", None),
            ("a.yaml", "a: 1\n---\nb: 2\n", None),
            ("a.toml", "a = 1", None),
            ("a.conf", "{{{", None),
        ] {
            let found = problem(key, text);
            assert_eq!(found.is_some(), expected.is_some(), "{key}: {text:?}: {found:?}");
            assert!(found.unwrap_or_default().starts_with(expected.unwrap_or_default()), "{key}: {text:?}");
        }
    }
}
