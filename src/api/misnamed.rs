//! Names in a spec that are none.
//!
//! **Invariant:** what passes can stand in a path. The schema refuses the rest today; this is for objects that were stored
//! before it did.

use super::RestartRequestSpec;
use super::names::{is_label, is_subdomain};

impl RestartRequestSpec {
    /// The first field that should hold a name of Kubernetes and does not: what it is, and what to do.
    #[must_use]
    pub fn misnamed(&self) -> Option<String> {
        let maps = self.config.config_maps.iter().flatten().enumerate().flat_map(|(at, map)| {
            let field = format!("spec.config.configMaps[{at}]");
            let from = map.from.iter().map({
                let field = field.clone();
                move |from| (format!("{field}.from"), from)
            });
            from.chain([(format!("{field}.name"), &map.name)])
        });
        let target = ("spec.targetRef.name".to_owned(), &self.target_ref.name);
        let bad_object = [target].into_iter().chain(maps).find(|(_, name)| !is_subdomain(name));
        let hooks = [("pre", &self.hooks.pre), ("post", &self.hooks.post)].into_iter();
        let mut hooks = hooks.flat_map(|(time, hooks)| {
            hooks.iter().enumerate().map(move |(at, hook)| (format!("spec.hooks.{time}[{at}].name"), &hook.name))
        });
        let (field, name) = bad_object.or_else(|| hooks.find(|(_, name)| !is_label(name)))?;
        Some(format!(
            "{field} {name:?} is not a name that Kubernetes permits: lower-case letters, digits, '-' and '.'; correct it"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn misnamed(field: &str, name: &str) -> Option<String> {
        let mut spec = json!({
            "targetRef": {"kind": "Deployment", "name": "web"}, "reason": "why",
            "config": {"configMaps": [{"name": "a", "from": "b"}]},
            "hooks": {"pre": [], "post": [{"name": "warm", "http": {"url": "http://web/"}}]},
        });
        *spec.pointer_mut(field).unwrap() = Value::from(name);
        serde_json::from_value::<RestartRequestSpec>(spec).unwrap().misnamed()
    }

    #[test]
    fn each_name_of_a_spec_is_looked_at_and_the_field_is_said() {
        for (pointer, field) in [
            ("/targetRef/name", "spec.targetRef.name"),
            ("/config/configMaps/0/name", "spec.config.configMaps[0].name"),
            ("/config/configMaps/0/from", "spec.config.configMaps[0].from"),
            ("/hooks/post/0/name", "spec.hooks.post[0].name"),
        ] {
            assert_eq!(misnamed(pointer, "good"), None);
            let said = misnamed(pointer, "a\nb").unwrap();
            assert!(said.starts_with(&format!("{field} \"a\\nb\" is not a name")), "{said}");
        }
    }
}
