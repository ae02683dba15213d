//! RestartRequests made at random from the definition's own schema: the edges of every bound, one beyond each, strange names, all
//! combinations of what is optional.
//!
//! **Invariant:** a case follows from the seed and its number alone; a pattern that is not known here is a failure, so that a new
//! field is thought of.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray};
use restart_controller::api::names::{LABEL, SUBDOMAIN};
use restart_controller::api::restart_request_crd;
use serde_json::{Map, Value, json};

/// Names that exist in each namespace, as workloads of each kind and as ConfigMaps.
pub const REAL: [&str; 3] = ["web", "a.b-c", "0"];
/// No Kubernetes name, for one reason or another.
const STRANGE: [&str; 14] =
    ["", " ", "a b", "a\n", "a/b", "../a", "..", "%2e", "A", "-a", "a-", "a..b", "é", "💥\u{202e}"];

/// Numbers that look random and follow from the seed.
pub struct Dice(u64);

impl Dice {
    pub fn of(seed: u64, case: usize) -> Self {
        let mut dice = Self(seed ^ (case as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.below(2);
        dice
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

/// A request, and the field that was put beyond its bound, if one was.
pub struct Made {
    pub object: Value,
    pub beyond: Option<String>,
}

pub fn spec_schema() -> JSONSchemaProps {
    let mut crd = restart_request_crd();
    let schema = crd.spec.versions.remove(0).schema.and_then(|schema| schema.open_api_v3_schema).unwrap();
    schema.properties.unwrap().remove("spec").unwrap()
}

/// One case: within all bounds, but that every other one has one field beyond its own.
pub fn request(schema: &JSONSchemaProps, seed: u64, case: usize) -> Made {
    let mut dice = Dice::of(seed, case);
    let mut spec = value(schema, "spec", &mut dice);
    // Few are about something: a run under way costs two cores more than all that are refused.
    if dice.below(8) > 0 {
        spec["targetRef"]["name"] = json!(format!("missing-{}", dice.below(9)));
    }
    let beyond = (dice.below(2) == 0).then(|| {
        let mut leaves = vec![];
        collect(schema, &spec, "", "spec", &mut leaves);
        let (pointer, field, schema) = dice.one(&leaves);
        *spec.pointer_mut(&pointer).unwrap() = outside(schema, &field, &mut dice);
        field
    });
    if REAL.iter().any(|real| spec.pointer("/targetRef/name").is_some_and(|name| name == real)) {
        hurry(&mut spec);
    }
    let object = json!({
        "apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartRequest",
        "metadata": {"name": format!("r-{case}")}, "spec": spec,
    });
    Made { object, beyond }
}

/// A run that begins takes as long as it is told to: what may be an hour is a second.
fn hurry(spec: &mut Value) {
    let mut at_most = |pointer: &str, most: i64| {
        if let Some(value) = spec.pointer_mut(pointer).filter(|value| value.as_i64().is_some_and(|is| is > most)) {
            *value = json!(most);
        }
    };
    at_most("/progressDeadlineSeconds", 5);
    for hook in (0..9).flat_map(|at| ["pre", "post"].map(|time| format!("/hooks/{time}/{at}/timeoutSeconds"))) {
        at_most(&hook, 1);
    }
    for hook in (0..9).flat_map(|at| ["pre", "post"].map(|time| format!("/hooks/{time}/{at}"))) {
        if let Some(hook) = spec.pointer_mut(&hook).and_then(Value::as_object_mut) {
            hook.entry("timeoutSeconds").or_insert(json!(1));
        }
    }
    if let Some(spec) = spec.as_object_mut() {
        let soak = spec.entry("verify").or_insert(json!({}));
        if soak.get("soakSeconds").is_none_or(|soak| soak.as_i64().is_some_and(|soak| soak > 1)) && soak.is_object() {
            soak["soakSeconds"] = json!(1);
        }
    }
}

fn items(schema: &JSONSchemaProps) -> &JSONSchemaProps {
    match schema.items.as_ref().unwrap() {
        JSONSchemaPropsOrArray::Schema(items) => items,
        JSONSchemaPropsOrArray::Schemas(_) => panic!("a list of schemas"),
    }
}

fn flexible(schema: &JSONSchemaProps) -> bool {
    schema.x_kubernetes_int_or_string == Some(true)
}

/// A value that the schema permits, at an edge more often than not.
fn value(schema: &JSONSchemaProps, name: &str, dice: &mut Dice) -> Value {
    if let Some(words) = &schema.enum_ {
        return dice.one(words).0;
    }
    if flexible(schema) {
        return dice.one(&[json!(1), json!(1000), json!("1%"), json!("100%")]);
    }
    match schema.type_.as_deref().unwrap() {
        "object" if schema.x_kubernetes_preserve_unknown_fields == Some(true) => template(dice),
        "object" => object(schema, name, dice),
        "array" => list(schema, dice),
        "boolean" => json!(dice.below(2) == 0),
        "integer" => {
            let (least, most) = bounds(schema);
            json!(dice.one(&[least, least + 1, least.midpoint(most), most - 1, most]))
        }
        "string" => json!(text(schema, name, dice)),
        other => panic!("{name} is of type {other}"),
    }
}

#[allow(clippy::cast_possible_truncation)]
fn bounds(schema: &JSONSchemaProps) -> (i64, i64) {
    (schema.minimum.unwrap() as i64, schema.maximum.unwrap() as i64)
}

fn object(schema: &JSONSchemaProps, name: &str, dice: &mut Dice) -> Value {
    let required = schema.required.clone().unwrap_or_default();
    let mut made = Map::new();
    for (field, of) in schema.properties.iter().flatten() {
        if required.contains(field) || dice.below(3) == 0 {
            made.insert(field.clone(), value(of, field, dice));
        }
    }
    // Exactly one of both; leaving both out is a case of its own, tried elsewhere.
    if ["pre", "post"].contains(&name) {
        let other = dice.one(&["http", "job"]);
        made.remove(if other == "http" { "job" } else { "http" });
        let of = &schema.properties.as_ref().unwrap()[other];
        made.insert(other.to_owned(), value(of, other, dice));
    }
    made.into()
}

/// The keys of a list that is a map are made to differ; another name then stays within its bounds.
fn list(schema: &JSONSchemaProps, dice: &mut Dice) -> Value {
    let most = usize::try_from(schema.max_items.unwrap()).unwrap();
    let length = dice.one(&[0, 1, 1, 2, most]);
    let mut made: Vec<Value> = vec![];
    let name = if items(schema).properties.as_ref().is_some_and(|all| all.contains_key("job")) { "pre" } else { "" };
    for at in 0..length {
        let mut item = value(items(schema), name, dice);
        if made.iter().any(|known| known["name"] == item["name"]) {
            item["name"] = json!(format!("other-{at}"));
        }
        if item.get("from").is_some() && item["from"] == item["name"] {
            item["from"] = json!("another");
        }
        made.push(item);
    }
    made.into()
}

fn text(schema: &JSONSchemaProps, name: &str, dice: &mut Dice) -> String {
    let most = usize::try_from(schema.max_length.unwrap_or_else(|| panic!("{name} has no maxLength"))).unwrap();
    let all: Vec<String> = match schema.pattern.as_deref() {
        Some(SUBDOMAIN) => REAL.map(str::to_owned).into_iter().chain(["missing".into(), "a".repeat(most)]).collect(),
        Some(LABEL) => vec!["a".into(), "0-9".into(), "b".repeat(most)],
        Some(pattern) if pattern.starts_with("^https?") => {
            let long = format!("https://long.invalid/{}", "x".repeat(most - 21));
            let hosts = [
                "http://web/",
                "http://127.0.0.1/",
                "https://é.invalid:99999",
                "http://[::1",
                "http://0/?💥",
                "http://a:b@c/",
            ];
            hosts.map(str::to_owned).into_iter().chain([long]).collect()
        }
        Some(pattern) if pattern.starts_with("^/") => {
            vec!["/x".into(), "/é é/../x".into(), format!("/{}", "y".repeat(most - 1))]
        }
        Some(pattern) => panic!("{name} has the pattern {pattern}, which this test does not know"),
        None => vec!["x".into(), " \n\t".into(), "\u{0}\u{7f}".into(), "é💥\u{202e}".into(), "ü".repeat(most)],
    };
    dice.one(&all)
}

fn template(dice: &mut Dice) -> Value {
    let job = |pod: Value| json!({"spec": {"template": {"spec": pod}}});
    let check = json!([{"name": "check", "image": "check:1"}]);
    let mut deep = json!(1);
    (0..40).for_each(|_| deep = json!({ "deep": deep }));
    dice.one(&[
        json!({}),
        json!({"spec": 7}),
        json!({"metadata": {"labels": {"a b": "é\n"}}, "spec": {"template": {"spec": {"containers": check}}}}),
        json!({"spec": {"backoffLimit": -1, "template": {"spec": {"containers": check}}}}),
        job(json!({"containers": check})),
        job(json!({"containers": []})),
        job(json!({"containers": check, "serviceAccountName": "builder"})),
        job(json!({"containers": check, "volumes": [{"name": "x", "configMap": {"name": "a b"}}]})),
        job(json!({"containers": [{"name": "check", "image": "", "envFrom": [{"configMapRef": {"name": "../x"}}]}]})),
        json!({"metadata": {"annotations": {"big": "x".repeat(100_000)}}, "spec": {"template": {"spec": {"containers": check}}}}),
        deep,
    ])
}

/// Every place in a value whose schema has something to violate: the pointer, the field as the API server says it, the schema.
fn collect<'a>(
    schema: &'a JSONSchemaProps,
    value: &Value,
    pointer: &str,
    field: &str,
    into: &mut Vec<(String, String, &'a JSONSchemaProps)>,
) {
    if !pointer.is_empty() && schema.x_kubernetes_preserve_unknown_fields != Some(true) {
        into.push((pointer.to_owned(), field.to_owned(), schema));
    }
    match value {
        Value::Object(fields) => {
            for (name, of) in schema.properties.iter().flatten().filter(|(name, _)| fields.contains_key(*name)) {
                collect(of, &fields[name], &format!("{pointer}/{name}"), &format!("{field}.{name}"), into);
            }
        }
        Value::Array(list) => {
            for (at, item) in list.iter().enumerate() {
                collect(items(schema), item, &format!("{pointer}/{at}"), &format!("{field}[{at}]"), into);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A value beyond what the schema permits, by as little as there is.
fn outside(schema: &JSONSchemaProps, field: &str, dice: &mut Dice) -> Value {
    if schema.enum_.is_some() {
        return dice.one(&[json!(""), json!("fail"), json!("Surge "), json!(1), json!("é")]);
    }
    if flexible(schema) {
        return dice.one(&[
            json!(0),
            json!(1001),
            json!(-1),
            json!("0%"),
            json!("101%"),
            json!("5"),
            json!("é%"),
            json!(1.5),
        ]);
    }
    match schema.type_.as_deref().unwrap() {
        "object" => dice.one(&[json!([]), json!("x"), json!(1)]),
        "array" => {
            let one = value(items(schema), if field.contains("hooks") { "pre" } else { "" }, dice);
            let beyond = usize::try_from(schema.max_items.unwrap()).unwrap() + 1;
            dice.one(&[json!({}), json!("x"), vec![one.clone(); 2].into(), vec![one; beyond].into()])
        }
        "boolean" => dice.one(&[json!("true"), json!(1), json!([])]),
        "integer" => {
            let (least, most) = bounds(schema);
            dice.one(&[json!(least - 1), json!(most + 1), json!(i64::MIN), json!(i64::MAX), json!(0.5), json!("1")])
        }
        "string" => {
            let most = usize::try_from(schema.max_length.unwrap()).unwrap();
            let long = "a".repeat(most + 1);
            match &schema.pattern {
                Some(_) => json!(dice.one(&[STRANGE.map(str::to_owned).as_slice(), &[long]].concat())),
                None => dice.one(&[json!(long), json!("é".repeat(most + 1)), json!(1), json!({})]),
            }
        }
        other => panic!("{field} is of type {other}"),
    }
}
