//! Lays file, environment and flags over each other, by path, and refuses what the table of keys does not know.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use camino::{Utf8Path, Utf8PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::given::{Given, Scalar, dotted, list};
use super::keys::{Lookup, elsewhere, lookup, names_below};
use super::{Place, Problem, Sources};

/// What the names of our environment variables begin with.
pub(super) const ENV_PREFIX: &str = "PORTCULLIS__";

/// What was given, and what is wrong with it so far.
pub(super) struct Layers {
    pub(super) given: BTreeMap<Vec<String>, Given>,
    pub(super) problems: Vec<Problem>,
    /// The file that was read.
    pub(super) file: Option<Utf8PathBuf>,
    /// No part of the file was lost to a syntax error.
    pub(super) file_is_whole: bool,
}

/// A piece of TOML: the file, or the value of a variable or a flag.
struct Piece<'a> {
    place_at: &'a dyn Fn(usize) -> Place,
    /// The text as given, where quotes may be left out.
    raw: Option<&'a str>,
    base: Option<&'a Utf8Path>,
}

impl Layers {
    /// Reads the sources from the weakest to the strongest.
    pub(super) fn read(sources: &Sources) -> Self {
        let mut layers =
            Self { given: BTreeMap::new(), problems: Vec::new(), file: None, file_is_whole: true };
        if let Some(path) = &sources.file {
            layers.read_file(path, sources.explicit_file);
        }
        // The environment has no order; sorted, a table comes before the values inside it.
        let mut env: Vec<_> = sources.env.iter().filter(|(name, _)| name.starts_with(ENV_PREFIX)).collect();
        env.sort();
        for (name, value) in env {
            let path: Vec<_> = name[ENV_PREFIX.len()..].split("__").map(str::to_lowercase).collect();
            layers.assign(&path, value, &Place::Env { name: name.clone() });
        }
        for (key, value, flag) in &sources.flags {
            let place = Place::Flag { name: flag.clone() };
            match parse_key(key) {
                Some(path) => layers.assign(&path, value, &place),
                None => layers.problems.push(Problem::of_key(place, key, "is not a dotted key")),
            }
        }
        layers
    }

    fn read_file(&mut self, path: &Utf8Path, must_exist: bool) {
        // Absolute, so that neither messages nor relative paths depend on where somebody stands.
        let path = camino::absolute_utf8(path).unwrap_or_else(|_| path.to_owned());
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound && !must_exist => return,
            Err(error) => {
                let what = match error.kind() {
                    ErrorKind::NotFound => "there is no such file".to_owned(),
                    ErrorKind::InvalidData => "the file is not UTF-8 text".to_owned(),
                    _ => format!("the file cannot be read: {error}"),
                };
                self.problems.push(Problem::of_place(Place::WholeFile { path }, what));
                self.file_is_whole = false;
                return;
            }
        };
        let place_at = |offset: usize| {
            let before = &text[..text.floor_char_boundary(offset)];
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            let line = before.matches('\n').count() + 1;
            Place::File { path: path.clone(), line, column: before[line_start..].chars().count() + 1 }
        };
        let (table, errors) = DeTable::parse_recoverable(&text);
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            let what = error.message().replace('\n', "; ");
            self.problems.push(Problem::of_place(place_at(at), format!("not TOML: {what}")));
        }
        self.file_is_whole = errors.is_empty();
        let piece = Piece { place_at: &place_at, raw: None, base: path.parent() };
        self.descend_into(&[], table.get_ref(), &piece);
        self.file = Some(path);
    }

    /// A variable or flag: one value at one path.
    fn assign(&mut self, path: &[String], value: &str, place: &Place) {
        for end in 1..path.len() {
            match lookup(&path[..end]) {
                Lookup::Section => {}
                Lookup::Unknown => return self.problems.push(unknown(&path[..end], place.clone())),
                Lookup::Key(key) => {
                    let what = format!("is one value ({}), it has nothing inside", key.kind);
                    return self.problems.push(Problem::of_key(place.clone(), dotted(&path[..end]), what));
                }
            }
        }
        let parsed = DeValue::parse(value)
            .unwrap_or_else(|_| Spanned::new(0..value.len(), DeValue::String(value.into())));
        if parsed.get_ref().is_table() {
            self.given.retain(|given, _| !given.starts_with(path));
        }
        let place_at = |_| place.clone();
        self.descend(path, 0, &parsed, &Piece { place_at: &place_at, raw: Some(value), base: None });
    }

    fn descend_into(&mut self, path: &[String], table: &DeTable<'_>, piece: &Piece<'_>) {
        let piece = Piece { raw: None, ..*piece };
        for (name, value) in table {
            let mut path = path.to_vec();
            path.push(name.get_ref().to_string());
            self.descend(&path, name.span().start, value, &piece);
        }
    }

    fn descend(&mut self, path: &[String], key_at: usize, value: &Spanned<DeValue<'_>>, piece: &Piece<'_>) {
        let place = (piece.place_at)(value.span().start);
        let key_place = (piece.place_at)(key_at);
        let names = || list(names_below(path));
        match (lookup(path), value.get_ref()) {
            // A broken header leaves its keys without their table: that they are unknown there is no news.
            (Lookup::Unknown, _) if !self.file_is_whole && matches!(key_place, Place::File { .. }) => {}
            (Lookup::Unknown, _) => self.problems.push(unknown(path, key_place)),
            (Lookup::Key(_), value) => {
                let raw = piece.raw.map(str::to_owned);
                let given = Given { scalar: Scalar::of(value), raw, place, base: piece.base.map(Into::into) };
                self.given.insert(path.to_vec(), given);
            }
            // A name without anything: it would silently not exist.
            (Lookup::Section, DeValue::Table(table))
                if table.is_empty() && path.len() > 1 && !names_below(path).is_empty() =>
            {
                let problem = Problem::of_key(key_place, dotted(path), "is empty");
                self.problems.push(problem.hint(format!("it can have {}", names())));
            }
            (Lookup::Section, DeValue::Table(table)) => self.descend_into(path, table, piece),
            (Lookup::Section, value) => {
                let what = format!("cannot be {}, it is a table", Scalar::of(value).shown());
                let problem = Problem::of_key(place, dotted(path), what);
                let hint = if names_below(path).is_empty() {
                    "with names and texts of your own".to_owned()
                } else {
                    format!("with {}", names())
                };
                self.problems.push(problem.hint(hint));
            }
        }
    }
}

/// Says what is known instead, nearest first.
fn unknown(path: &[String], place: Place) -> Problem {
    let (name, parent) = path.split_last().map_or(("", path), |(name, parent)| (name.as_str(), parent));
    let names = names_below(parent);
    let distance = |known: &str| strsim::damerau_levenshtein(name, known);
    let nearest = names
        .iter()
        .filter(|known| distance(known) <= (name.len().max(known.len()) / 3).max(1))
        .min_by_key(|known| distance(known));
    let meant = match (nearest, &place) {
        (Some(near), Place::File { .. }) => Some((*near).to_owned()),
        (Some(near), _) => Some(place.spell(&dotted(&[parent, &[(*near).to_owned()]].concat()))),
        (None, _) => elsewhere(name).map(|key| place.spell(key)),
    };
    let known = if parent.is_empty() {
        format!("known tables: {}", list(names))
    } else {
        format!("known in `{}`: {}", dotted(parent), list(names))
    };
    let problem = Problem::of_key(place, dotted(path), "is not known");
    match meant {
        Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
        None => problem,
    }
    .hint(known)
}

/// Reads `http.bind`, or `aliases."gpt-4.1".model`.
fn parse_key(text: &str) -> Option<Vec<String>> {
    if text.contains(['\n', '=', '#', '{', '[']) {
        return None;
    }
    let text = format!("{text} = 0");
    let parsed = DeTable::parse(&text).ok()?.into_inner();
    let mut path = Vec::new();
    let mut table = &parsed;
    loop {
        let (name, value) = table.iter().next()?;
        path.push(name.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => return Some(path),
        }
    }
}
