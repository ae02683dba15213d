//! `docs/reference.md`, from the two definitions: what `kubectl explain` prints, with every default and rule.
//!
//! **Invariant:** nothing about a field is said here that the definition does not say.

use super::hold;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use restart_controller::api::{restart_history_crd, restart_request_crd};
use serde_json::Value;
use std::fmt::Write as _;

const HEAD: &str = "# RestartRequest and RestartHistory\n\n\
    Generated from src/api by `make golden`; do not edit. `kubectl explain restartrequest.spec --recursive` says the same in a terminal.\n";

#[test]
fn the_reference_is_what_the_definitions_say() {
    let mut page = HEAD.to_owned();
    for definition in [restart_request_crd(), restart_history_crd()] {
        kind(&mut page, &definition);
    }
    hold("docs/reference.md", &page);
}

fn kind(page: &mut String, definition: &CustomResourceDefinition) {
    let names = &definition.spec.names;
    let version = &definition.spec.versions[0];
    let schema = serde_json::to_value(version.schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap()).unwrap();
    let short = names.short_names.as_ref().unwrap().join(", ");
    let _ = writeln!(page, "\n## {}\n\n{}\n", names.kind, sentence(&schema["description"]));
    let _ = writeln!(page, "`{}/{}`, namespaced, `{short}`.", definition.spec.group, version.name);
    for part in ["spec", "status"] {
        let _ = writeln!(page, "\n### {} {part}\n", names.kind);
        let schema = &schema["properties"][part];
        if let Some(text) = schema["description"].as_str() {
            let _ = writeln!(page, "{text}\n");
        }
        for rule in rules(schema) {
            let _ = writeln!(page, "- Rule: {rule}.");
        }
        page.push_str("\n| field | type | default | meaning |\n|---|---|---|---|\n");
        fields(page, "", schema);
    }
}

fn fields(page: &mut String, above: &str, schema: &Value) {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        let inner = if field["items"].is_object() { &field["items"] } else { field };
        let default = match &field["default"] {
            Value::Null if required.contains(&name.as_str()) => "required".to_owned(),
            Value::Null => String::new(),
            value => format!("`{value}`"),
        };
        let said = [sentence(&field["description"]), limits(field), limits_of_items(field)];
        let rules = [rules(field), if inner == field { vec![] } else { rules(inner) }].concat();
        let rules = rules.into_iter().map(|rule| format!("Rule: {rule}."));
        let meaning: Vec<String> = said.into_iter().chain(rules).filter(|part| !part.is_empty()).collect();
        let _ =
            writeln!(page, "| `{path}` | {} | {default} | {} |", shape(field), meaning.join(" ").replace('|', "\\|"));
        let suffix = if inner == field { "" } else { "[]" };
        fields(page, &format!("{path}{suffix}"), inner);
    }
}

fn sentence(text: &Value) -> String {
    text.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shape(field: &Value) -> String {
    if field["x-kubernetes-int-or-string"] == Value::Bool(true) {
        return "integer or string".to_owned();
    }
    if let Some(values) = field["enum"].as_array() {
        return values.iter().map(|value| format!("`{}`", value.as_str().unwrap())).collect::<Vec<_>>().join(", ");
    }
    match field["type"].as_str() {
        Some("array") => format!("list of {}", shape(&field["items"])),
        Some(word) => word.to_owned(),
        None => "anything".to_owned(),
    }
}

fn limits_of_items(field: &Value) -> String {
    let (most, key) = (&field["maxItems"], &field["x-kubernetes-list-map-keys"][0]);
    let most = most.as_i64().map_or(String::new(), |most| format!("At most {most}."));
    let key = key.as_str().map_or(String::new(), |key| format!("One for each `{key}`."));
    [most, key].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn limits(field: &Value) -> String {
    let number = |name: &str| field[name].as_f64();
    let bounds = match (number("minimum"), number("maximum")) {
        (Some(least), Some(most)) => format!("{least} to {most}."),
        (Some(least), None) => format!("At least {least}."),
        (None, Some(most)) => format!("At most {most}."),
        (None, None) => String::new(),
    };
    let length = match (number("minLength"), number("maxLength")) {
        (Some(least), Some(most)) => format!("{least} to {most} characters."),
        (None, Some(most)) => format!("At most {most} characters."),
        _ => String::new(),
    };
    let pattern = field["pattern"].as_str().map_or(String::new(), |pattern| format!("Matches `{pattern}`."));
    [bounds, length, pattern].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn rules(schema: &Value) -> Vec<String> {
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    rules.map(|rule| rule["message"].as_str().unwrap_or_else(|| rule["rule"].as_str().unwrap()).to_owned()).collect()
}
