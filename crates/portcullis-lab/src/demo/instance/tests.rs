use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Schemas of the kind that structured outputs use, each with a name for `$defs` that it may refer to.
fn schemas() -> impl Strategy<Value = Value> {
    let number = (-50i64..50, 0i64..20, 1i64..5).prop_flat_map(|(low, span, step)| {
        prop_oneof![
            Just(json!({"type": "integer", "minimum": low, "maximum": low + span})),
            Just(json!({"type": "integer", "exclusiveMinimum": low, "multipleOf": step})),
            Just(json!({"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": low + span + 1})),
            Just(json!({"type": "number", "maximum": low, "multipleOf": 0.5})),
        ]
    });
    let leaf = prop_oneof![
        number,
        (0u8..12, 0u8..12).prop_map(
            |(least, more)| json!({"type": "string", "minLength": least, "maxLength": least + more})
        ),
        Just(json!({"type": "boolean"})),
        Just(json!({"type": ["null", "string"]})),
        Just(json!({"enum": ["red", 2, null]})),
        Just(json!({"const": {"fixed": [1, 2]}})),
        Just(json!({"type": "string", "format": "date-time"})),
        Just(json!({"$ref": "#/$defs/leaf"})),
        Just(json!({"$ref": "#/$defs/tree"})),
        Just(json!(true)),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let object = |extra: bool| {
            prop::collection::btree_map("[a-d]", inner.clone(), 0..4).prop_map(move |properties| {
                let required: Vec<_> = properties.keys().skip(usize::from(extra)).cloned().collect();
                json!({
                    "type": "object", "properties": properties, "required": required,
                    "additionalProperties": false,
                })
            })
        };
        prop_oneof![
            object(false),
            object(true),
            (inner.clone(), 0u8..4)
                .prop_map(|(items, least)| json!({"type": "array", "items": items, "minItems": least})),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| json!({"anyOf": [a, b]})),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| {
                json!({"type": "array", "prefixItems": [a], "items": b, "minItems": 2})
            }),
        ]
    })
}

proptest! {
    #[test]
    fn instances_satisfy_their_schema(schema in schemas()) {
        let schema = json!({
            "type": "object",
            "properties": {"it": schema},
            "required": ["it"],
            "additionalProperties": false,
            "$defs": {
                "leaf": {"type": "string", "minLength": 1},
                // Its first branch leads back to itself: an endless instance, were the references not bounded.
                "tree": {
                    "type": "object",
                    "properties": {"next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}},
                    "required": ["next"],
                    "additionalProperties": false,
                },
            },
        });
        let instance = of(&schema);
        let validator = jsonschema::validator_for(&schema).unwrap();
        prop_assert!(validator.is_valid(&instance), "{instance} of {schema}");
    }
}

#[test]
fn small_schemas_have_these_instances() {
    let cases = [
        (json!({}), json!("demo")),
        (json!(null), json!("demo")),
        (json!({"type": "object"}), json!({})),
        (json!({"properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]}), json!({"a": 3})),
        (json!({"type": "integer", "exclusiveMinimum": 3}), json!(4)),
        (json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}), json!(0.5)),
        (json!({"type": "string", "maxLength": 2}), json!("de")),
        (json!({"type": "string", "format": "email"}), json!("demo@example.com")),
        (json!({"anyOf": [false, {"type": "null"}]}), json!(null)),
        (
            json!({"allOf": [
                {"properties": {"a": {"const": 1}}, "required": ["a"]},
                {"properties": {"b": {"enum": ["x", "y"]}}, "required": ["b"]},
            ]}),
            json!({"a": 1, "b": "x"}),
        ),
    ];
    for (schema, instance) in cases {
        assert_eq!(of(&schema), instance, "{schema}");
    }
}

#[test]
fn impossible_and_greedy_schemas_end_soon_in_an_empty_object() {
    let mut deep = json!({"$ref": "#"});
    for _ in 0..200 {
        deep = json!({"type": "array", "items": deep, "minItems": 1});
    }
    let cases = [
        json!(false),
        json!({"$ref": "#"}),
        json!({"$ref": "https://example.com/schema"}),
        json!({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}),
        json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]}),
        json!({"type": "array", "items": {"$ref": "#"}, "minItems": 9}),
        json!({"type": "array", "minItems": 1_000_000_000_000_u64}),
        json!({"type": "array", "items": {"const": "x".repeat(50_000)}, "minItems": 1000}),
        json!({"type": "string", "minLength": 1_000_000_000}),
        json!({"type": "integer", "minimum": 3, "maximum": 2}),
        deep,
    ];
    let began = Instant::now();
    for schema in cases {
        assert_eq!(of(&schema), json!({}), "{schema}");
    }
    assert!(began.elapsed() < Duration::from_secs(5));
}
