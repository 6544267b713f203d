//! A configuration file to begin with: everything that can be set, explained, and what was chosen.

use std::fmt::Write as _;

use super::given::quote;
use super::keys::{FREE, KEYS, Key, Standard};

/// Where the words of a comment end.
const WIDTH: usize = 100;

const INTRODUCTION: &str = "\
# The configuration of Portcullis. What begins with `#` is the default, or shows how it is written.
# `portcullis config check` tells mistakes with their line, `portcullis config show` what is in force.
";

/// The file; `chosen` are keys of the table and their values.
pub(crate) fn template(chosen: &[(&str, String)]) -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut section = "";
    for key in KEYS {
        let (this, name) = key.name.split_once('.').unwrap_or(("", key.name));
        if this != section {
            section = this;
            let _ = write!(page, "\n[{section}]\n");
        }
        let what = format!("{} ({})", key.what.trim_end_matches('.'), key.kind);
        page.push_str(&comment(&what));
        let value =
            chosen.iter().find(|(chosen, _)| *chosen == key.name).map(|(_, value)| written(key, value));
        let _ = match (value, &key.default) {
            (Some(value), _) => writeln!(page, "{name} = {value}"),
            (None, Standard::Text(text)) => writeln!(page, "# {name} = {}", default(key, text)),
            (None, Standard::Computed(_) | Standard::Unset) => {
                writeln!(
                    page,
                    "# {} = {}",
                    name.replace(FREE, "NAME"),
                    if is_bare(key) { "1" } else { "\"...\"" }
                )
            }
        };
    }
    page
}

/// As TOML: numbers and truths bare, everything else as text.
fn written(key: &Key, value: &str) -> String {
    if is_bare(key) { value.to_owned() } else { quote(value) }
}

/// A default of the table may be quoted already.
fn default(key: &Key, text: &str) -> String {
    if text.starts_with('"') { text.to_owned() } else { written(key, text) }
}

fn is_bare(key: &Key) -> bool {
    matches!(key.kind, "boolean" | "count" | "whole number" | "user id")
}

fn comment(text: &str) -> String {
    let (mut page, mut line) = (String::new(), String::from("#"));
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(page, "{line}");
            line = String::from("#");
        }
        let _ = write!(line, " {word}");
    }
    let _ = writeln!(page, "{line}");
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::flags::Layers;

    fn loaded(text: &str) -> crate::config::Loaded {
        let dir = camino_tempfile::tempdir().unwrap();
        let file = dir.path().join("portcullis.toml");
        std::fs::write(&file, text).unwrap();
        Layers::with_file(&Environment::default(), Some(file))
            .load()
            .unwrap_or_else(|errors| panic!("{errors}\n{text}"))
    }

    #[test]
    fn what_was_chosen_holds_and_the_rest_is_the_default() {
        let chosen = |key, value: &str| (key, value.to_owned());
        let chosen = [
            chosen("state.dir", "/var/lib/portcullis"),
            chosen("http.bind", "[::1]:9000"),
            chosen("limits.turns", "7"),
            chosen("codex.model", "a \"b\""),
        ];
        let text = template(&chosen);
        assert!(text.lines().all(|line| line.chars().count() <= 130), "{text}");
        let config = loaded(&text).config;
        assert_eq!(config.http.bind.to_string(), "[::1]:9000");
        assert_eq!((config.limits.turns.get(), config.codex.model.as_str()), (7, "a \"b\""));
    }

    /// What stands there as a default is one: with all of them taken in, nothing changes.
    #[test]
    fn the_defaults_can_be_taken_in() {
        let text = template(&[("state.dir", "/s".to_owned())]);
        let is_key = |line: &str| line.strip_prefix("# ").is_some_and(|rest| rest.contains(" = "));
        let shows = |line: &str| {
            line.ends_with("\"...\"")
                || line.contains("NAME.")
                || line.ends_with("max_retries = 1")
                || line.ends_with("_turns = 1")
        };
        let all: String = text
            .lines()
            .map(|line| if is_key(line) && !shows(line) { &line[2..] } else { line })
            .flat_map(|line| [line, "\n"])
            .collect();
        assert!(all.contains("\nturns = 64\n") && all.contains("\nlevel = \"info\"\n"), "{all}");
        let values =
            |text: &str| format!("{:?}", crate::config::Config { file: None, ..loaded(text).config });
        // What only `custom` has can not be set beside another kind, so it stays out.
        let all = all
            .replace("\nrequires_openai_auth", "\n# requires")
            .replace("\nsupports_websockets", "\n# supports");
        let all = all.replace("\nname = \"custom\"", "\n# name");
        assert_eq!(values(&all), values(&text));
    }
}
