//! What given values mean that say how workers are confined.

use camino::Utf8PathBuf;
use portcullis_confine::Level;

use super::given::{Given, quote};
use super::meaning::Meaning;
use super::{ConfineLevel, Paths, UserId};

const LEVELS: [(&str, ConfineLevel); 5] = [
    ("best", ConfineLevel::Best),
    ("namespaces", ConfineLevel::Exactly(Level::Namespaces)),
    ("landlock", ConfineLevel::Exactly(Level::Landlock)),
    ("bare", ConfineLevel::Exactly(Level::Bare)),
    ("off", ConfineLevel::Off),
];

impl Meaning for ConfineLevel {
    const KIND: &'static str = "`best`, `namespaces`, `landlock`, `bare` or `off`";
    const EXPECTED: &'static str = Self::KIND;

    fn of(given: &Given) -> Option<Self> {
        let word = given.text()?;
        LEVELS.iter().find(|(known, _)| *known == word).map(|(_, level)| *level)
    }
    fn show(&self) -> String {
        let word = LEVELS.iter().find(|(_, level)| level == self).map_or("", |(word, _)| word);
        quote(word)
    }
}

impl Meaning for UserId {
    const KIND: &'static str = "user id";
    const EXPECTED: &'static str = "a whole number from 1 to 4294966000";

    fn of(given: &Given) -> Option<Self> {
        let id = u64::of(given).filter(|id| (1..=4_294_966_000).contains(id))?;
        Some(Self(u32::try_from(id).ok()?))
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

impl Meaning for Paths {
    const KIND: &'static str = "paths";
    const EXPECTED: &'static str = "absolute paths separated by commas, such as `/opt/node, /opt/go`";

    fn of(given: &Given) -> Option<Self> {
        let paths = given.plain_text()?.split(',').map(str::trim).filter(|path| !path.is_empty());
        let paths: Vec<_> = paths.map(Utf8PathBuf::from).collect();
        paths.iter().all(|path| path.is_absolute()).then_some(Self(paths))
    }
    fn show(&self) -> String {
        let paths: Vec<_> = self.0.iter().map(|path| path.as_str()).collect();
        quote(&paths.join(", "))
    }
}
