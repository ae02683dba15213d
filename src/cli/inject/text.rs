//! Bringing a change of the parsed YAML into its text, so that comments and layout stay.
//!
//! **Invariant:** an edited text is given back only if it parses to exactly the documents that it should.

use serde::Deserialize as _;
use serde_yaml::{Mapping as Parsed, Value};
use std::str::FromStr as _;
use yaml_edit::{Document, Mapping, Sequence, YamlFile};

/// The documents of a file, empty ones included.
///
/// # Errors
/// Where it is no YAML.
pub fn documents(text: &str) -> Result<Vec<Value>, String> {
    let all = serde_yaml::Deserializer::from_str(text).map(Value::deserialize);
    all.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// All documents without what YAML does not mean.
///
/// # Errors
/// When a key is no text.
pub fn anew(documents: &[Value]) -> Result<String, String> {
    let all: Result<Vec<String>, _> = documents.iter().map(serde_yaml::to_string).collect();
    Ok(all.map_err(|error| error.to_string())?.join("---\n"))
}

/// The text with the difference between `before` and `after` brought in; nothing if that does not succeed.
#[must_use]
pub fn edited(text: &str, before: &[Value], after: &[Value]) -> Option<String> {
    let file = YamlFile::from_str(text).ok()?;
    let all: Vec<Document> = file.documents().collect();
    if all.len() != before.len() {
        return None;
    }
    for ((document, before), after) in all.iter().zip(before).zip(after).filter(|((_, before), after)| before != after)
    {
        mapping(&document.as_mapping()?, before.as_mapping()?, after.as_mapping()?)?;
    }
    let edited = file.to_string();
    (documents(&edited).ok()? == after).then_some(edited)
}

fn mapping(text: &Mapping, before: &Parsed, after: &Parsed) -> Option<()> {
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        text.remove(key.as_str()?);
    }
    for (key, value) in after {
        let word = key.as_str()?;
        match (before.get(key), value) {
            (Some(old), new) if old == new => {}
            (Some(Value::Mapping(old)), Value::Mapping(new)) => mapping(&text.get_mapping(word)?, old, new)?,
            (Some(Value::Sequence(old)), Value::Sequence(new)) => sequence(&text.get_sequence(word)?, old, new)?,
            (_, new) => set(text, word, new)?,
        }
    }
    Some(())
}

fn set(text: &Mapping, key: &str, value: &Value) -> Option<()> {
    match value {
        Value::String(word) => text.set(key, word.as_str()),
        Value::Number(number) => text.set(key, number.as_i64()?),
        Value::Mapping(_) => text.set(key, written(value, in_braces(text))?.as_mapping()?),
        Value::Sequence(_) => text.set(key, written(value, in_braces(text))?.as_sequence()?),
        Value::Null | Value::Bool(_) | Value::Tagged(_) => return None,
    }
    Some(())
}

/// `{name: web}`: what is put into it must be written so too, for which JSON will do.
fn in_braces(text: &Mapping) -> bool {
    text.to_string().trim_start().starts_with('{')
}

fn written(value: &Value, in_braces: bool) -> Option<Document> {
    let text = if in_braces { serde_json::to_string(value).ok()? } else { serde_yaml::to_string(value).ok()? };
    Document::from_str(&text).ok()
}

/// Some more or some less at the beginning, and changes of the others.
fn sequence(text: &Sequence, before: &[Value], after: &[Value]) -> Option<()> {
    let (gone, old) = before.split_at(before.len().saturating_sub(after.len()));
    let (come, new) = after.split_at(after.len().saturating_sub(before.len()));
    if gone.iter().any(|item| after.contains(item)) {
        return None;
    }
    gone.iter().try_for_each(|_| text.remove(0).map(drop))?;
    come.iter().rev().try_for_each(|item| insert_first(text, item))?;
    for (at, (old, new)) in old.iter().zip(new).enumerate().filter(|(_, (old, new))| old != new) {
        mapping(text.get(at + come.len())?.as_mapping()?, old.as_mapping()?, new.as_mapping()?)?;
    }
    Some(())
}

fn insert_first(text: &Sequence, item: &Value) -> Option<()> {
    match item {
        Value::String(word) => text.insert(0, word.as_str()),
        Value::Mapping(_) => {
            text.insert(0, written(item, text.to_string().trim_start().starts_with('['))?.as_mapping()?);
        }
        Value::Number(_) | Value::Sequence(_) | Value::Null | Value::Bool(_) | Value::Tagged(_) => return None,
    }
    Some(())
}
