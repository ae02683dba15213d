//! The table of values in the chart's README, made of the comments in `values.yaml`, and `values.schema.json` beside it.

use super::{hold, root};
use serde_yaml::Value;
use std::fmt::Write as _;
use std::fs;

const CHART: &str = "charts/restart-controller";
const BEGIN: &str = "<!-- values: made of values.yaml by `make golden` -->\n";
const END: &str = "<!-- end of values -->\n";

#[test]
fn the_readme_of_the_chart_has_every_value_and_what_its_comment_says() {
    let readme = read("README.md");
    let (head, rest) = readme.split_once(BEGIN).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();
    hold(&format!("{CHART}/README.md"), &format!("{head}{BEGIN}{}{END}{tail}", table()));
}

#[test]
fn every_value_is_described_or_part_of_one_that_is() {
    let described: Vec<String> = descriptions().into_iter().map(|(path, _)| path).collect();
    for leaf in leaves("", &values()) {
        assert!(
            described.iter().any(|path| leaf == *path || leaf.starts_with(&format!("{path}."))),
            "values.yaml: nothing is said about {leaf}"
        );
    }
}

#[test]
fn the_schema_knows_every_value_and_no_other() {
    let schema: Value = serde_yaml::from_str(&read("values.schema.json")).unwrap();
    assert_eq!(known(&schema), leaves("", &values()), "values.schema.json against values.yaml");
}

/// Every object of the schema with fixed properties must refuse others.
fn known(schema: &Value) -> Vec<String> {
    fn walk(at: &str, schema: &Value, found: &mut Vec<String>) {
        let Some(properties) = schema.get("properties").and_then(Value::as_mapping) else {
            return found.push(at.to_owned());
        };
        assert_eq!(schema["additionalProperties"], Value::Bool(false), "values.schema.json: {at} takes anything");
        for (key, of) in properties {
            let path = join(at, key.as_str().unwrap());
            // Helm sets it for subcharts. `resources` have fixed members of which not all have a default.
            if path != "global" && !path.ends_with("resources.claims") {
                walk(&path, of, found);
            }
        }
    }
    let mut found = vec![];
    walk("", schema, &mut found);
    // Maps with names of the user's own end at the map.
    found.sort();
    found
}

/// Paths of all values; a map whose members the user names counts as one.
fn leaves(at: &str, value: &Value) -> Vec<String> {
    let own_names = ["labels", "annotations", "requests", "limits"];
    let ends = own_names.iter().any(|name| at.ends_with(&format!(".{name}")));
    let mut found = match value {
        Value::Mapping(members) if !members.is_empty() && !ends => {
            members.iter().flat_map(|(key, value)| leaves(&join(at, key.as_str().unwrap()), value)).collect()
        }
        _ => vec![at.to_owned()],
    };
    found.sort();
    found
}

fn table() -> String {
    let values = values();
    let mut table = "| value | default | meaning |\n|---|---|---|\n".to_owned();
    for (path, text) in descriptions() {
        let default = path.split('.').fold(&values, |value, key| &value[key]);
        let _ = writeln!(table, "| `{path}` | {} | {text} |", shown(default));
    }
    table
}

fn shown(value: &Value) -> String {
    let text = serde_json::to_string(value).unwrap();
    if text == "\"\"" { String::new() } else { format!("`{}`", text.trim_matches('"')) }
}

/// Path and comment of each value with one, in the order of the file.
fn descriptions() -> Vec<(String, String)> {
    let (mut found, mut comment, mut path) = (vec![], None::<String>, Vec::<(usize, String)>::new());
    for line in read("values.yaml").lines() {
        let text = line.trim_start();
        if let Some(begun) = text.strip_prefix("# -- ") {
            comment = Some(begun.to_owned());
        } else if let Some(more) = text.strip_prefix("# ") {
            comment = comment.map(|begun| format!("{begun} {more}"));
        } else if let Some((key, _)) = text.split_once(':') {
            let indent = line.len() - text.len();
            path.retain(|(above, _)| *above < indent);
            path.push((indent, key.to_owned()));
            if let Some(text) = comment.take() {
                let keys: Vec<&str> = path.iter().map(|(_, key)| key.as_str()).collect();
                found.push((keys.join("."), text.trim_end_matches('.').replace('|', "\\|")));
            }
        }
    }
    found
}

fn values() -> Value {
    serde_yaml::from_str(&read("values.yaml")).unwrap()
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(CHART).join(file)).unwrap()
}

fn join(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}
