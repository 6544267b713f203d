//! A small instance of a JSON schema: of the keywords that structured outputs and tool parameters use.
//!
//! Required properties only, first branches, least lengths. `pattern`, `not` and conditions are not understood; the
//! instance may then be wrong, as a real model's may be.

mod number;
mod text;

use serde_json::{Map, Value};

/// How many references are followed on one path: few first, so that a recursive schema gives a shallow instance.
const REFERENCE_BOUNDS: [usize; 4] = [2, 4, 8, 16];
/// How many schemas are entered on one path, so that no schema exhausts the stack.
const MAX_DEPTH: usize = 96;
/// About how many bytes of JSON are made before it gives up: a schema may ask for billions.
const MAX_BYTES: usize = 64 << 10;
/// What a value costs beside its text.
const VALUE_BYTES: usize = 4;

/// An instance of `schema`; an empty object if none was found within the bounds.
pub(super) fn of(schema: &Value) -> Value {
    let attempt = |references| {
        let room = Room { references, depth: MAX_DEPTH };
        Maker { root: schema, bytes_left: MAX_BYTES }.make(schema, room)
    };
    REFERENCE_BOUNDS.into_iter().find_map(attempt).unwrap_or_else(|| Value::Object(Map::new()))
}

struct Maker<'a> {
    root: &'a Value,
    bytes_left: usize,
}

/// How much further a path may go.
#[derive(Clone, Copy)]
struct Room {
    references: usize,
    depth: usize,
}

impl<'a> Maker<'a> {
    /// `None` when a bound is reached or the schema allows nothing.
    fn make(&mut self, schema: &'a Value, room: Room) -> Option<Value> {
        let room = Room { depth: room.depth.checked_sub(1)?, ..room };
        self.pay(VALUE_BYTES)?;
        if let Some(reference) = schema["$ref"].as_str() {
            let target = self.root.pointer(reference.strip_prefix('#')?)?;
            return self.make(target, Room { references: room.references.checked_sub(1)?, ..room });
        }
        if let Some(given) = schema.get("const").or_else(|| schema["enum"].get(0)) {
            self.pay(given.to_string().len())?;
            return Some(given.clone());
        }
        let made = match kind(schema) {
            Kind::Object => self.object(schema, room)?,
            Kind::Array => self.array(schema, room)?,
            Kind::String => self.string(schema)?,
            Kind::Number => number::of(schema, number::Grain::Any)?,
            Kind::Integer => number::of(schema, number::Grain::Whole)?,
            Kind::Boolean => Value::Bool(true),
            Kind::Null => Value::Null,
            Kind::Unsaid => return self.combined(schema, room, None),
            Kind::Nothing => return None,
        };
        self.combined(schema, room, Some(made))
    }

    /// Joins what the schema says itself with one branch of `anyOf` and `oneOf` and with all of `allOf`.
    fn combined(&mut self, schema: &'a Value, room: Room, own: Option<Value>) -> Option<Value> {
        let mut made = own;
        for branches in ["anyOf", "oneOf"].iter().filter_map(|word| schema[word].as_array()) {
            let branch = branches.iter().find_map(|branch| self.make(branch, room))?;
            made = Some(joined(made, branch));
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            let part = self.make(part, room)?;
            made = Some(joined(made, part));
        }
        // A schema that says nothing allows everything.
        Some(made.unwrap_or_else(|| Value::String("demo".to_owned())))
    }

    fn object(&mut self, schema: &'a Value, room: Room) -> Option<Value> {
        let mut object = Map::new();
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let property = schema["properties"].get(name).unwrap_or(&Value::Bool(true));
            self.pay(name.len())?;
            object.insert(name.to_owned(), self.make(property, room)?);
        }
        Some(Value::Object(object))
    }

    fn array(&mut self, schema: &'a Value, room: Room) -> Option<Value> {
        let least = schema["minItems"].as_u64().unwrap_or(0);
        let first = schema["prefixItems"].as_array().map_or(&[][..], Vec::as_slice);
        let rest = schema.get("items").unwrap_or(&Value::Bool(true));
        let mut items = Vec::new();
        for at in 0..least {
            let item = usize::try_from(at).ok().and_then(|at| first.get(at)).unwrap_or(rest);
            items.push(self.make(item, room)?);
        }
        Some(Value::Array(items))
    }

    fn string(&mut self, schema: &Value) -> Option<Value> {
        let text = text::of(schema)?;
        self.pay(text.len())?;
        Some(Value::String(text))
    }

    fn pay(&mut self, bytes: usize) -> Option<()> {
        self.bytes_left = self.bytes_left.checked_sub(bytes)?;
        Some(())
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Object,
    Array,
    String,
    Number,
    Integer,
    Boolean,
    Null,
    Unsaid,
    Nothing,
}

/// The first of its types, or the one that its keywords imply.
fn kind(schema: &Value) -> Kind {
    let has = |words: &[&str]| words.iter().any(|word| schema.get(word).is_some());
    match schema["type"].as_str().or(schema["type"][0].as_str()) {
        Some("object") => Kind::Object,
        Some("array") => Kind::Array,
        Some("string") => Kind::String,
        Some("number") => Kind::Number,
        Some("integer") => Kind::Integer,
        Some("boolean") => Kind::Boolean,
        Some("null") => Kind::Null,
        _ if schema == &Value::Bool(false) => Kind::Nothing,
        _ if has(&["properties", "required"]) => Kind::Object,
        _ if has(&["items", "prefixItems", "minItems"]) => Kind::Array,
        _ => Kind::Unsaid,
    }
}

fn joined(own: Option<Value>, branch: Value) -> Value {
    match (own, branch) {
        (Some(Value::Object(mut own)), Value::Object(branch)) => {
            own.extend(branch);
            Value::Object(own)
        }
        // Two values that are no objects cannot be joined; the branch is the more particular.
        (_, branch) => branch,
    }
}

#[cfg(test)]
mod tests;
