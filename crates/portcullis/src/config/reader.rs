//! Reads given values by key, and remembers what was read, from where, and what was wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::given::{Given, Scalar, dotted};
use super::keys::{Key, Lookup, Standard, lookup, named};
use super::meaning::Meaning;
use super::{Origin, Place, Problem};

/// Everything that was given, until it is read.
pub(super) struct Reader {
    given: BTreeMap<Vec<String>, Given>,
    problems: Vec<Problem>,
    settings: Vec<Setting>,
}

/// A key that was read, for `config show`.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) key: String,
    /// As TOML; `None` when it is not set.
    pub(super) value: Option<String>,
    /// Tells values apart that are shown alike, because they are hidden.
    pub(super) hidden: Option<u64>,
    pub(super) origin: Origin,
    /// The default as TOML, where there is one that does not depend on anything.
    pub(super) default: Option<String>,
}

impl Reader {
    pub(super) fn new(given: BTreeMap<Vec<String>, Given>, problems: Vec<Problem>) -> Self {
        Self { given, problems, settings: Vec::new() }
    }

    /// What was read and what was wrong.
    pub(super) fn finish(self) -> (Vec<Setting>, Vec<Problem>) {
        debug_assert!(self.given.is_empty(), "a key of the table is never read");
        (self.settings, self.problems)
    }

    /// A key with a default in the table. When the given value is refused, the default stands in for it; the
    /// configuration will not be used.
    pub(super) fn value<T: Meaning>(&mut self, name: &'static str) -> T {
        let read = self.optional(name);
        read.or_else(|| standard(named(name))).expect("a test reads every default of the table")
    }

    /// A key that may be unset; also `None` when the given value is refused.
    pub(super) fn optional<T: Meaning>(&mut self, name: &'static str) -> Option<T> {
        let path: Vec<_> = name.split('.').map(str::to_owned).collect();
        self.at(&path)
    }

    /// A key whose default depends on others. `None` is a default that cannot be computed.
    pub(super) fn or_computed<T: Meaning>(
        &mut self,
        name: &'static str,
        standard: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        let given = self.place(&[name]).is_some();
        let read = self.optional(name);
        if given {
            return read;
        }
        let value = standard();
        // What `optional` noted was that it is unset.
        self.settings.pop();
        self.note(name.to_owned(), value.as_ref().map(Meaning::show), Origin::Default, None);
        value
    }

    /// A key by its parts, some of which may be the user's own.
    pub(super) fn at<T: Meaning>(&mut self, path: &[String]) -> Option<T> {
        let Lookup::Key(key) = lookup(path) else { unreachable!("the program reads only keys of its table") };
        debug_assert_eq!(key.kind, T::KIND, "the table and the program agree about {}", key.name);
        let default = standard::<T>(key);
        let shown_default = default.as_ref().map(Meaning::show);
        let Some(given) = self.given.remove(path) else {
            self.note(dotted(path), shown_default, Origin::Default, None);
            return default;
        };
        let Some(value) = T::of(&given) else {
            let what = match &given.scalar {
                Scalar::Text(_) if T::HIDDEN => "cannot be this text".to_owned(),
                scalar => format!("cannot be {}", scalar.shown()),
            };
            self.problem(
                Problem::of_key(given.place, dotted(path), what).hint(format!("expected {}", T::EXPECTED)),
            );
            return None;
        };
        self.note(dotted(path), Some(value.show()), given.place.origin(), shown_default);
        if T::HIDDEN
            && let Some(noted) = self.settings.last_mut()
        {
            noted.hidden = Some(given.fingerprint());
        }
        Some(value)
    }

    /// The names of the user's own that were given directly below a table.
    pub(super) fn names_below(&self, prefix: &[&str]) -> Vec<String> {
        let below = self.given.keys().filter(|path| begins_with(path, prefix));
        let names: BTreeSet<&String> = below.filter_map(|path| path.get(prefix.len())).collect();
        names.into_iter().cloned().collect()
    }

    /// Where the first value below this prefix was given, if it was not read yet. A prefix is a dotted key of the
    /// table, or parts.
    pub(super) fn place(&self, prefix: &[&str]) -> Option<Place> {
        let parts: Vec<&str> = match prefix {
            [name] => name.split('.').collect(),
            parts => parts.to_vec(),
        };
        self.given.iter().find(|(path, _)| begins_with(path, &parts)).map(|(_, given)| given.place.clone())
    }

    /// Takes out what matches, without reading it.
    pub(super) fn take(&mut self, matching: impl Fn(&[String]) -> bool) -> Vec<(String, Place)> {
        let taken = self.given.extract_if(.., |path, _| matching(path));
        taken.map(|(path, given)| (dotted(&path), given.place)).collect()
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// A value for `config show` that was not read from a key.
    pub(super) fn note(
        &mut self,
        key: String,
        value: Option<String>,
        origin: Origin,
        default: Option<String>,
    ) {
        self.settings.push(Setting { key, value, hidden: None, origin, default });
    }
}

fn standard<T: Meaning>(key: &Key) -> Option<T> {
    match key.default {
        Standard::Text(text) => T::of(&Given::standard(text)),
        Standard::Computed(_) | Standard::Unset => None,
    }
}

fn begins_with(path: &[String], prefix: &[&str]) -> bool {
    path.len() >= prefix.len() && path.iter().zip(prefix).all(|(part, wanted)| part == wanted)
}
