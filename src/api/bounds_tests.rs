//! Whatever is put into a status, the schema permits what is written of it.
//!
//! **Invariant:** statuses are made from the generated schema itself, so that a field which is added is tried as well.

use super::*;
use crate::api::{Code, Phase, Step, restart_request_crd};
use crate::machine::{Change, fold};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// What the API server or the spec has bounded before, and what means something else if a part is missing.
const EXACT: [&str; 16] = [
    "name",
    "uid",
    "snapshot",
    "sha256",
    "candidate",
    "candidateSha256",
    "configMap",
    "configMaps",
    "again",
    "late[]",
    "pods[]",
    "revision",
    "workloadUid",
    "requestedBy",
    "lastHandledTrigger",
    "type",
];

fn status_schema() -> JSONSchemaProps {
    let mut crd = restart_request_crd();
    let schema = crd.spec.versions.remove(0).schema.and_then(|schema| schema.open_api_v3_schema).unwrap();
    schema.properties.unwrap().remove("status").unwrap()
}

fn items(schema: &JSONSchemaProps) -> &JSONSchemaProps {
    match schema.items.as_ref().unwrap() {
        JSONSchemaPropsOrArray::Schema(items) => items,
        JSONSchemaPropsOrArray::Schemas(_) => panic!("a list of schemas"),
    }
}

/// Numbers that look random and follow from the seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    /// At an edge of what is permitted, or beyond it if `beyond`.
    fn length(&mut self, most: i64, beyond: bool) -> usize {
        let most = usize::try_from(most).unwrap();
        [0, 1, most, most + usize::from(beyond), most + if beyond { 99 } else { 0 }][self.below(5)]
    }
}

fn make(schema: &JSONSchemaProps, name: &str, dice: &mut Dice) -> Value {
    let beyond = !EXACT.contains(&name);
    if let Some(words) = &schema.enum_ {
        return words[dice.below(words.len())].0.clone();
    }
    match schema.type_.as_deref().unwrap() {
        "object" => object(schema, dice),
        "array" => {
            let length = dice.length(schema.max_items.unwrap_or_else(|| panic!("{name} has no maxItems")), beyond);
            (0..length).map(|_| make(items(schema), &format!("{name}[]"), dice)).collect()
        }
        "boolean" => json!(dice.below(2) == 0),
        "integer" => json!([0, 1, 7, i32::MAX][dice.below(4)]),
        "string" if schema.format.as_deref() == Some("date-time") => json!("2026-11-22T00:00:00Z"),
        "string" => {
            let most = schema.max_length.unwrap_or_else(|| panic!("{name} has no maxLength"));
            json!("é".repeat(dice.length(most, beyond)))
        }
        other => panic!("{name} is of type {other}"),
    }
}

fn object(schema: &JSONSchemaProps, dice: &mut Dice) -> Value {
    let required = schema.required.clone().unwrap_or_default();
    let mut made = Map::new();
    for (name, field) in schema.properties.iter().flatten() {
        if required.contains(name) || dice.below(4) > 0 {
            made.insert(name.clone(), make(field, name, dice));
        }
    }
    made.into()
}

/// Where `value` is longer or larger than the schema permits.
fn violations(schema: &JSONSchemaProps, value: &Value, path: &str) -> Vec<String> {
    let mut found = vec![];
    let mut over = |what: &str, is: usize, most: Option<i64>| {
        if most.is_some_and(|most| is > usize::try_from(most).unwrap()) {
            found.push(format!("{path}: {is} {what}"));
        }
    };
    match value {
        Value::String(text) => over("characters", text.chars().count(), schema.max_length),
        Value::Array(list) => over("items", list.len(), schema.max_items),
        Value::Number(number) if schema.maximum.is_some_and(|most| number.as_f64().unwrap() > most) => {
            found.push(format!("{path}: {number}"));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
    }
    match value {
        Value::Array(list) => list.iter().for_each(|item| found.extend(violations(items(schema), item, path))),
        Value::Object(fields) => {
            for (name, field) in fields {
                let known = schema.properties.as_ref().and_then(|all| all.get(name));
                let known = known.unwrap_or_else(|| panic!("{path}.{name} is not in the schema"));
                found.extend(violations(known, field, &format!("{path}.{name}")));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found
}

fn change(status: &RestartRequestStatus, dice: &mut Dice) -> Change {
    let phase = Phase::ALL[dice.below(Phase::ALL.len())];
    let step = [Step::Queued, Step::Surging, Step::Evicting, Step::Restoring, Step::Finished][dice.below(5)];
    Change {
        batch: status.pods.clone(),
        outcome: status.outcome.clone(),
        snapshot: status.snapshot.clone(),
        plan: status.plan.clone(),
        hooks: Some(status.hooks.clone()),
        cancel_rejected: dice.below(2) == 0,
        begins: dice.below(4) == 0,
        ..Change::new(phase, step, Code::ALL[dice.below(Code::ALL.len())].reason(), "ü".repeat(dice.length(2048, true)))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_status_of_any_lengths_is_written_within_the_schema(seed: u64) {
        let (schema, mut dice) = (status_schema(), Dice(seed));
        let status: RestartRequestStatus = serde_json::from_value(make(&schema, "status", &mut dice)).unwrap();
        let change = change(&serde_json::from_value(make(&schema, "status", &mut dice)).unwrap(), &mut dice);
        let folded = fold(&status, &change, Some(1), &Time(Timestamp::UNIX_EPOCH));
        for status in [status, folded] {
            let written = serde_json::to_value(status.within_bounds()).unwrap();
            prop_assert_eq!(violations(&schema, &written, "status"), Vec::<String>::new());
        }
    }
}

#[test]
fn what_is_too_long_is_seen_where_it_is_not_cut() {
    let status = RestartRequestStatus { message: "x".repeat(MESSAGE + 1), ..RestartRequestStatus::default() };
    let found = violations(&status_schema(), &serde_json::to_value(status).unwrap(), "status");
    assert_eq!(found, ["status.message: 2049 characters"]);
}

#[test]
fn what_is_cut_ends_at_a_letter_and_says_so() {
    let (mut fits, mut long) = ("é".repeat(5), "é".repeat(6));
    cut(&mut fits, 5);
    cut(&mut long, 5);
    assert_eq!((fits.as_str(), long.as_str()), ("ééééé", "éééé…"));
}
