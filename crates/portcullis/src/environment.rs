//! The environment as a value: `main` reads it, everything else is given it.

use std::ffi::OsString;

use camino::Utf8Path;

/// What the names of the variables that configure Portcullis begin with.
const OURS: &str = "PORTCULLIS__";

/// All variables. It has no `Debug`, as some hold secrets.
#[derive(Clone, Default)]
pub(crate) struct Environment(Vec<(String, String)>);

/// A variable of ours is not UTF-8.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable {name} is not UTF-8 text")]
pub(crate) struct NotText {
    name: String,
}

impl Environment {
    /// Keeps what is text. Other programs may have variables that are not; ours may not.
    pub(crate) fn of(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, NotText> {
        let mut kept = Vec::new();
        for (name, value) in variables {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => kept.push((name, value)),
                (Ok(name), Err(_)) if name.starts_with(OURS) => return Err(NotText { name }),
                _ => {}
            }
        }
        Ok(Self(kept))
    }

    /// Only what `keep` says, by name.
    pub(crate) fn only(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|(name, _)| keep(name)).cloned().collect())
    }

    /// A variable's value, unless it is empty.
    pub(crate) fn get(&self, wanted: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A directory. The XDG specification has relative ones ignored.
    pub(crate) fn dir(&self, wanted: &str) -> Option<&Utf8Path> {
        self.get(wanted).map(Utf8Path::new).filter(|path| path.is_absolute())
    }

    /// All of it, for the configuration.
    pub(crate) fn to_pairs(&self) -> Vec<(String, String)> {
        self.0.clone()
    }
}
