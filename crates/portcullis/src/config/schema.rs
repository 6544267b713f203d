//! The table of keys as a JSON schema: editors complete and check a configuration with it.
//!
//! It knows less than the program: no rules between keys, and only the form of what is in a text.

use serde_json::{Map, Value, json};
use toml::de::DeValue;

use super::keys::{FREE, KEYS, Key, Standard};

/// The schema, as text.
pub(crate) fn json_schema() -> String {
    let mut root = table();
    for key in KEYS {
        let mut at = &mut root;
        let mut parts = key.name.split('.').peekable();
        while let Some(part) = parts.next() {
            let inner = if parts.peek().is_some() { table() } else { leaf(key) };
            let slot = if part == FREE {
                let slot = &mut at["additionalProperties"];
                if slot.is_boolean() {
                    *slot = Value::Null;
                }
                slot
            } else {
                &mut at["properties"][part]
            };
            if slot.is_null() {
                *slot = inner;
            }
            at = slot;
        }
    }
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("The configuration of Portcullis");
    serde_json::to_string_pretty(&root).expect("values are JSON")
}

fn table() -> Value {
    json!({"type": "object", "properties": {}, "additionalProperties": false})
}

fn leaf(key: &Key) -> Value {
    let mut leaf = Map::new();
    leaf.insert("description".to_owned(), json!(format!("{} ({})", key.what, key.kind)));
    let words: Vec<&str> = key.kind.split('`').skip(1).step_by(2).collect();
    let form = match key.kind {
        "duration or `off`" => json!({"type": "string", "pattern": "^(off|([0-9]+(ms|s|m|h|d))+)$"}),
        _ if !words.is_empty() => json!({"enum": words}),
        "boolean" => json!({"type": "boolean"}),
        "count" => json!({"type": "integer", "minimum": 1, "maximum": 1_000_000}),
        "whole number" => json!({"type": "integer", "minimum": 0}),
        "user id" => json!({"type": "integer", "minimum": 1}),
        "duration" => json!({"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$"}),
        "size" => json!({"type": ["string", "integer"]}),
        _ => json!({"type": "string"}),
    };
    leaf.extend(form.as_object().cloned().unwrap_or_default());
    if let Standard::Text(text) = key.default {
        leaf.insert("default".to_owned(), standard(text));
    }
    Value::Object(leaf)
}

/// A default of the table as JSON.
fn standard(text: &str) -> Value {
    match DeValue::parse(text).map(toml::Spanned::into_inner) {
        Ok(DeValue::Boolean(truth)) => json!(truth),
        Ok(DeValue::Integer(number)) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(json!(text), |n| json!(n))
        }
        Ok(DeValue::String(text)) => json!(text),
        _ => json!(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let schema: Value = serde_json::from_str(&json_schema()).unwrap();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let file: toml::Table = text.parse().unwrap();
        let file = serde_json::to_value(file).unwrap();
        validator.iter_errors(&file).map(|fault| fault.instance_path().to_string()).collect()
    }

    #[test]
    fn what_the_program_takes_is_in_the_schema() {
        let file = "[http]\nbind = '127.0.0.1:1'\n[turn]\ndeadline = '1h30m'\n[limits]\nbody = 4096\nturns = 3\n[log]\nformat = \
                    'json'\n[aliases.'a.b']\nmodel = 'm'\n[provider]\nkind = 'custom'\nsupports_websockets = true\n\
                    http_headers = { x = 'y' }\n";
        assert_eq!(faults(file), [""; 0]);
        assert_eq!(faults(&crate::config::template(&[])), [""; 0]);
    }

    #[test]
    fn mistakes_are_found() {
        for (file, at) in [
            ("htpp = {}", ""),
            ("http.bindd = 1", "/http"),
            ("http.bind = 1", "/http/bind"),
            ("turn.deadline = 'soon'", "/turn/deadline"),
            ("limits.turns = 0", "/limits/turns"),
            ("log.format = 'xml'", "/log/format"),
            ("aliases.a.modell = 'm'", "/aliases/a"),
            ("audit.enabled = 'yes'", "/audit/enabled"),
        ] {
            assert_eq!(faults(file), [at], "{file}");
        }
    }

    /// The default of every key has the form that the schema asks for.
    #[test]
    fn defaults_are_of_their_form() {
        for key in KEYS {
            let leaf = leaf(key);
            if let Some(default) = leaf.get("default") {
                assert!(jsonschema::draft202012::is_valid(&leaf, default), "{}: {default}", key.name);
            }
        }
    }
}
