//! Reading a JSON body with errors that name the place: `messages[2].content[0].type`.

use serde_json::{Map, Value};

use crate::InvalidRequest;

/// A value and where it stands.
#[derive(Clone)]
pub(crate) struct At<'a> {
    pub(crate) value: &'a Value,
    pub(crate) path: String,
}

pub(crate) type Read<T> = Result<T, InvalidRequest>;

impl<'a> At<'a> {
    pub(crate) fn new(value: &'a Value, path: impl Into<String>) -> Self {
        Self { value, path: path.into() }
    }

    /// A fault at this place.
    pub(crate) fn fault(&self, message: impl Into<String>) -> InvalidRequest {
        InvalidRequest::at(self.path.clone(), message)
    }

    fn expected(&self, what: &str) -> InvalidRequest {
        let got = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        self.fault(format!("Invalid type for '{}': expected {what}, but got {got} instead.", self.path))
            .code("invalid_type")
    }

    pub(crate) fn object(&self) -> Read<&'a Map<String, Value>> {
        self.value.as_object().ok_or_else(|| self.expected("an object"))
    }

    pub(crate) fn array(&self) -> Read<Vec<At<'a>>> {
        let items = self.value.as_array().ok_or_else(|| self.expected("an array"))?;
        Ok(items.iter().enumerate().map(|(i, value)| At::new(value, format!("{}[{i}]", self.path))).collect())
    }

    pub(crate) fn str(&self) -> Read<&'a str> {
        self.value.as_str().ok_or_else(|| self.expected("a string"))
    }

    pub(crate) fn bool(&self) -> Read<bool> {
        self.value.as_bool().ok_or_else(|| self.expected("a boolean"))
    }

    /// A whole number within bounds, both included.
    pub(crate) fn integer(&self, min: u64, max: u64) -> Read<u64> {
        let number = self.value.as_u64().ok_or_else(|| self.expected("a positive integer"))?;
        if (min..=max).contains(&number) {
            Ok(number)
        } else {
            Err(self.fault(format!(
                "Invalid value for '{}': {number} is not between {min} and {max}.",
                self.path
            )))
        }
    }

    /// One word of a list.
    pub(crate) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Read<T> {
        let word = self.str()?;
        words.iter().find(|(known, _)| *known == word).map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<String> = words.iter().map(|(known, _)| format!("'{known}'")).collect();
            self.fault(format!("Invalid value: '{word}'. Supported values are: {}.", known.join(", ")))
                .code("invalid_value")
        })
    }

    /// A member that may be absent or null.
    pub(crate) fn get(&self, key: &str) -> Read<Option<At<'a>>> {
        let value = self.object()?.get(key).filter(|value| !value.is_null());
        Ok(value.map(|value| At::new(value, self.join(key))))
    }

    /// A member that must be there.
    pub(crate) fn need(&self, key: &str) -> Read<At<'a>> {
        self.get(key)?.ok_or_else(|| {
            let path = self.join(key);
            InvalidRequest::at(path.clone(), format!("Missing required parameter: '{path}'."))
                .code("missing_required_parameter")
        })
    }

    /// Refuses members that are not in the list.
    pub(crate) fn only(&self, known: &[&str]) -> Read<()> {
        match self.object()?.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => {
                let path = self.join(key);
                Err(InvalidRequest::at(path.clone(), format!("Unknown parameter: '{path}'."))
                    .code("unknown_parameter"))
            }
        }
    }

    fn join(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}
