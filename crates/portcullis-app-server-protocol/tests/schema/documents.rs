//! Documents that a schema allows, as far as they can be made here.

use serde_json::{Map, Value, json};

/// Documents of a schema; the first has as little as possible.
pub(crate) fn documents(root: &Value, schema: &Value, depth: usize) -> Vec<Value> {
    if let Some(reference) = schema["$ref"].as_str() {
        let definition =
            root.pointer(reference.trim_start_matches('#')).expect("definitions are in the file");
        return documents(root, definition, depth);
    }
    for several in ["anyOf", "oneOf", "allOf"] {
        if let Some(alternatives) = schema[several].as_array() {
            assert!(several != "allOf" || alternatives.len() == 1, "an intersection: {schema}");
            let one_of_them = alternatives.iter().flat_map(|one| documents(root, one, depth));
            if schema["properties"].is_null() {
                return one_of_them.collect();
            }
            // An object with members of its own, beside those of the alternative.
            let own = objects(root, schema, 0).remove(0);
            return one_of_them.map(|document| merged(&own, document)).collect();
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.clone();
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        Value::Null => vec![json!("anything")],
        kind => vec![kind.clone()],
    };
    let of_kind = |kind: &Value| match kind.as_str() {
        Some("object") => objects(root, schema, depth),
        Some("array") if depth > 0 && schema["items"].is_object() => {
            let items = documents(root, &schema["items"], depth - 1);
            std::iter::once(json!([])).chain(items.into_iter().map(|item| json!([item]))).collect()
        }
        Some("array") => vec![json!([])],
        Some("string" | "anything") => vec![json!("x")],
        Some("integer" | "number") => vec![json!(1)],
        Some("boolean") => vec![json!(false)],
        Some("null") => vec![Value::Null],
        _ => panic!("a type that is not JSON's: {schema}"),
    };
    kinds.iter().flat_map(of_kind).collect()
}

fn merged(own: &Value, mut document: Value) -> Value {
    let (Value::Object(own), Value::Object(members)) = (own, &mut document) else {
        panic!("an alternative of an object that is none: {document}")
    };
    own.iter().for_each(|(name, value)| {
        members.entry(name.clone()).or_insert_with(|| value.clone());
    });
    document
}

fn objects(root: &Value, schema: &Value, depth: usize) -> Vec<Value> {
    let required =
        |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|r| r == name));
    let members: Vec<_> = schema["properties"].as_object().into_iter().flatten().collect();
    let mut least = Map::new();
    let mut others = Vec::new();
    for (name, member) in members {
        if required(name) {
            let mut values = documents(root, member, depth).into_iter();
            least.insert(name.clone(), values.next().expect("a required member has a value"));
            others.extend(values.map(|value| (name, value)));
        } else if depth > 0 {
            others.extend(documents(root, member, depth - 1).into_iter().map(|value| (name, value)));
        }
    }
    let with = |(name, value): (&String, Value)| {
        let mut document = least.clone();
        document.insert(name.clone(), value);
        Value::Object(document)
    };
    std::iter::once(Value::Object(least.clone())).chain(others.into_iter().map(with)).collect()
}

/// The schema with every object closed: no members but those that it names.
pub(crate) fn closed(schema: &Value) -> Value {
    let mut schema = schema.clone();
    close(&mut schema);
    schema
}

fn close(schema: &mut Value) {
    let Value::Object(keywords) = schema else { return };
    if keywords.contains_key("properties") {
        keywords.entry("additionalProperties").or_insert(json!(false));
    }
    for (keyword, value) in keywords {
        match (keyword.as_str(), value) {
            ("properties" | "definitions", Value::Object(named)) => named.values_mut().for_each(close),
            ("anyOf" | "oneOf" | "allOf", Value::Array(all)) => all.iter_mut().for_each(close),
            ("items" | "additionalProperties", value) => close(value),
            _ => {}
        }
    }
}
