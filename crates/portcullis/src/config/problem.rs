//! What is wrong with the configuration, all of it, in words for the person who wrote it.

use std::fmt::{Display, Formatter, Result};

use super::Place;

/// One mistake.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Problem {
    /// Where.
    pub(crate) place: Place,
    /// The dotted key, if it is about one.
    pub(crate) key: Option<String>,
    /// Reads on from the key, or stands alone.
    pub(crate) what: String,
    /// Allowed values, the nearest known key, what to do.
    pub(crate) hints: Vec<String>,
}

/// All mistakes, at least one, in the order of the layers and lines.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) struct ConfigErrors(Vec<Problem>);

impl ConfigErrors {
    /// `None` when there is nothing wrong.
    pub(super) fn of(mut problems: Vec<Problem>) -> Option<Self> {
        problems.sort();
        problems.dedup();
        (!problems.is_empty()).then_some(Self(problems))
    }
}

impl Problem {
    /// About a whole layer.
    pub(super) fn of_place(place: Place, what: impl Into<String>) -> Self {
        Self { place, key: None, what: what.into(), hints: Vec::new() }
    }

    /// About one key.
    pub(super) fn of_key(place: Place, key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place, key: Some(key.into()), what: what.into(), hints: Vec::new() }
    }

    /// Adds a line.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl Display for Problem {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}: ", self.place)?;
        if let Some(key) = &self.key {
            write!(f, "`{key}` ")?;
        }
        f.write_str(&self.what)?;
        self.hints.iter().try_for_each(|hint| write!(f, "\n    {hint}"))
    }
}

impl Display for ConfigErrors {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0.len() {
            1 => f.write_str("the configuration has a problem")?,
            many => write!(f, "the configuration has {many} problems")?,
        }
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}
