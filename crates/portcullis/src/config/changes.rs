//! What differs between two configurations, and what of it a running gateway takes over.

use std::num::NonZeroUsize;

use super::keys::is_reloaded;
use super::{Config, Limits, Loaded};

/// A key whose value is another one.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Change {
    /// Dotted.
    pub(crate) key: String,
    /// As TOML; absent where it was not set. Hidden texts are not told.
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
}

/// What a gateway becomes when its configuration is read again.
#[derive(Debug)]
pub(crate) struct Reloaded {
    /// What is in force from now on.
    pub(crate) running: Loaded,
    pub(crate) applied: Vec<Change>,
    /// What the file says and is not in force.
    pub(crate) needs_restart: Vec<Change>,
}

/// Takes over what can be taken over. The workers have as many places for turns as they were started with, and know the
/// models that they were started with.
pub(crate) fn reload(running: &Loaded, new: &Loaded, places: NonZeroUsize) -> Reloaded {
    let more_turns = new.config.limits.turns > places;
    let other_model = new.config.codex.model != running.config.codex.model;
    let taken_over = |key: &str| {
        let held_up = more_turns && key == "limits.turns" || other_model && key.starts_with("aliases.");
        is_reloaded(key) && !held_up
    };
    let mut config = running.config.clone();
    let Config { http, turn, limits, store, openai, approvals, aliases, .. } = new.config.clone();
    (config.http.hosts, config.http.origins) = (http.hosts, http.origins);
    config.turn = turn;
    let turns = if more_turns { config.limits.turns } else { limits.turns };
    config.limits = Limits { turns, ..limits };
    (config.store.keep, config.store.size) = (store.keep, store.size);
    config.openai = openai;
    config.approvals = approvals;
    if !other_model {
        config.aliases = aliases;
    }
    let taken = new.settings.iter().filter(|setting| taken_over(&setting.key));
    let left = running.settings.iter().filter(|setting| !taken_over(&setting.key));
    let then = Loaded { config, settings: taken.chain(left).cloned().collect() };
    let (applied, needs_restart) = (changes(running, &then), changes(&then, new));
    Reloaded { running: then, applied, needs_restart }
}

fn changes(old: &Loaded, new: &Loaded) -> Vec<Change> {
    let find = |loaded: &'_ Loaded, key: &str| {
        let setting = loaded.settings.iter().find(|setting| setting.key == key);
        setting.map_or((None, None), |setting| (setting.value.clone(), setting.hidden))
    };
    let gone = old.settings.iter().filter(|old| !new.settings.iter().any(|new| new.key == old.key));
    let keys = new.settings.iter().chain(gone).map(|setting| setting.key.clone());
    keys.filter_map(|key| {
        let (from, to) = (find(old, &key), find(new, &key));
        (from != to).then_some(Change { key, from: from.0, to: to.0 })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use camino_tempfile::Utf8TempDir;

    use super::*;
    use crate::config::{Sources, load};

    fn loaded(text: &str) -> Loaded {
        let dir = Utf8TempDir::new().unwrap();
        let file = dir.path().join("p.toml");
        std::fs::write(&file, format!("state.dir = \"/state\"\n{text}")).unwrap();
        load(Sources { file: Some(file), ..Sources::default() }).unwrap()
    }

    fn told(changes: &[Change]) -> Vec<String> {
        let shown = |value: &Option<String>| value.as_deref().unwrap_or("-").to_owned();
        changes
            .iter()
            .map(|change| format!("{} {} {}", change.key, shown(&change.from), shown(&change.to)))
            .collect()
    }

    /// What was taken over once is no change the next time; what was not stays named until the gateway is started again.
    #[test]
    fn changes_are_told_once_and_what_needs_a_restart_until_there_is_one() {
        let custom = |header| {
            format!(
                "provider = {{ kind = \"custom\", base_url = \"http://a/v1\", http_headers.x = \"{header}\" }}\n"
            )
        };
        let started = loaded(&custom("one"));
        let places = started.config.limits.turns;
        let more = "limits = { queue = 7, turns = 10 }\nhttp.bind = \"127.0.0.1:1\"\nhttp.origins = \"https://app.example\"\naliases.fast.model = \"gpt-5.5\"";
        let new = loaded(&format!("{}{more}", custom("two")));
        let first = reload(&started, &new, places);
        assert_eq!(
            told(&first.applied),
            [
                "http.origins \"\" \"https://app.example\"",
                "limits.turns 64 10",
                "limits.queue 256 7",
                "aliases.fast.model - \"gpt-5.5\"",
            ]
        );
        let restart = [
            "http.bind \"127.0.0.1:8320\" \"127.0.0.1:1\"",
            "provider.http_headers.x \"(hidden)\" \"(hidden)\"",
        ];
        assert_eq!(told(&first.needs_restart), restart);
        let config = &first.running.config;
        assert_eq!(
            (config.limits.queue.get(), config.limits.turns.get(), config.http.bind.port()),
            (7, 10, 8320)
        );
        let second = reload(&first.running, &new, places);
        assert_eq!(
            (told(&second.applied), told(&second.needs_restart)),
            (vec![], restart.map(str::to_owned).to_vec())
        );

        // More turns than the workers have places for, and aliases for a model that they may not know.
        let other = "limits.turns = 65\ncodex.model = \"other\"\naliases.fast.model = \"other\"";
        let third = reload(&second.running, &loaded(&format!("{}{other}", custom("one"))), places);
        assert_eq!(told(&third.applied), ["http.origins \"https://app.example\" \"\"", "limits.queue 7 256"]);
        assert_eq!(
            told(&third.needs_restart),
            [
                "codex.model \"gpt-5.5\" \"other\"",
                "limits.turns 10 65",
                "aliases.fast.model \"gpt-5.5\" \"other\"",
                "aliases.codex.model \"gpt-5.5\" \"other\"",
                "aliases.codex-high.model \"gpt-5.5\" \"other\"",
            ]
        );
        let config = &third.running.config;
        assert_eq!((config.limits.turns.get(), config.aliases["fast"].model.as_str()), (10, "gpt-5.5"));
        let back = reload(&third.running, &started, places);
        assert_eq!(told(&back.applied), ["limits.turns 10 64", "aliases.fast.model \"gpt-5.5\" -"]);
        assert_eq!(back.needs_restart, []);
    }
}
