//! A value as somebody gave it, before anybody asks what it means; and how values and names look in messages.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use camino::Utf8PathBuf;
use toml::de::DeValue;

use super::Place;

/// A value as somebody gave it.
pub(super) struct Given {
    pub(super) scalar: Scalar,
    /// From a variable or flag, where quotes may be left out.
    pub(super) raw: Option<String>,
    pub(super) place: Place,
    /// What a relative path is relative to, if not the working directory.
    pub(super) base: Option<Utf8PathBuf>,
}

/// The TOML values that a key can have, and a word for the others.
pub(super) enum Scalar {
    Text(String),
    Integer(i64),
    Truth(bool),
    Other(&'static str),
}

impl Given {
    /// The default text of a key.
    pub(super) fn standard(text: &str) -> Self {
        let scalar = DeValue::parse(text)
            .map_or_else(|_| Scalar::Text(text.to_owned()), |value| Scalar::of(value.get_ref()));
        Self { scalar, raw: Some(text.to_owned()), place: Place::Default, base: None }
    }

    /// The text: `gpt-5.5` needs no quotes in a variable, and there `5` can be a text too.
    pub(super) fn text(&self) -> Option<&str> {
        match (&self.scalar, &self.raw) {
            (Scalar::Text(text), _) | (_, Some(text)) => Some(text),
            _ => None,
        }
    }

    /// Tells values apart without keeping them.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.text().hash(&mut hasher);
        hasher.finish()
    }

    /// Text that can be passed on in files and logs.
    pub(super) fn plain_text(&self) -> Option<&str> {
        self.text().filter(|text| !text.chars().any(char::is_control))
    }
}

impl Scalar {
    /// Forgets what no key can have.
    pub(super) fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Boolean(truth) => Self::Truth(*truth),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Self::Other("such a large number"), Self::Integer),
            DeValue::Float(_) => Self::Other("a number with a fraction"),
            DeValue::Datetime(_) => Self::Other("a date or time"),
            DeValue::Array(_) => Self::Other("an array"),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }

    /// For messages; long texts are cut.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) if text.chars().count() > 60 => {
                quote(&text.chars().take(57).chain("...".chars()).collect::<String>())
            }
            Self::Text(text) => quote(text),
            Self::Integer(number) => format!("`{number}`"),
            Self::Truth(truth) => format!("`{truth}`"),
            Self::Other(words) => (*words).to_owned(),
        }
    }
}

/// A TOML string on one line.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

/// A path as TOML writes it.
pub(super) fn dotted(path: &[String]) -> String {
    let bare = |part: &str| {
        !part.is_empty()
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-'))
    };
    let parts: Vec<_> = path.iter().map(|part| if bare(part) { part.clone() } else { quote(part) }).collect();
    parts.join(".")
}

/// Names for a message.
pub(super) fn list(names: Vec<&str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
