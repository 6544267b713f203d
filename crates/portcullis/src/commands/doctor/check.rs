//! One thing that was looked at, and how all of them are shown.

use std::fmt::Write as _;

use serde_json::json;

/// One thing that was looked at.
#[derive(Debug)]
pub(super) struct Check {
    /// A short permanent word.
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
    /// What is so.
    pub(super) what: String,
    /// What to do about it; empty where nothing is to be done.
    pub(super) hint: String,
}

/// What a check says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Ok,
    /// It works, and could be better.
    Warn,
    /// A gateway would not work.
    Fail,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl Check {
    pub(super) fn ok(name: &'static str, what: String) -> Self {
        Self { name, verdict: Verdict::Ok, what, hint: String::new() }
    }

    pub(super) fn warn(name: &'static str, what: String, hint: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warn, what, hint: hint.into() }
    }

    pub(super) fn fail(name: &'static str, what: String, hint: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fail, what, hint: hint.into() }
    }

    /// A failure by its error; a hint on a line of its own becomes the hint.
    pub(super) fn failed(name: &'static str, error: &anyhow::Error) -> Self {
        let text = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
        let (what, hint) = match text.split_once("\n(hint: ") {
            Some((what, hint)) => (what.to_owned(), hint.trim_end_matches(')').to_owned()),
            None => (text, String::new()),
        };
        Self::fail(name, what.replace('\n', " "), hint.replace('\n', " "))
    }
}

/// For people: one line each, and what to do below.
pub(super) fn table(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut page = String::new();
    for Check { name, verdict, what, hint } in checks {
        let _ = writeln!(page, "{:<4}  {name:width$}  {what}", verdict.word());
        if !hint.is_empty() {
            let _ = writeln!(page, "      {:width$}  -> {hint}", "");
        }
    }
    page
}

/// For programs.
pub(super) fn json(checks: &[Check]) -> String {
    let failed = checks.iter().any(|check| check.verdict == Verdict::Fail);
    let shown = |check: &Check| json!({"name": check.name, "verdict": check.verdict.word(), "what": check.what, "hint": check.hint});
    json!({"ok": !failed, "checks": checks.iter().map(shown).collect::<Vec<_>>()}).to_string()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_table_and_its_json() {
        let checks = [
            Check::ok("clock", "it is today".to_owned()),
            Check::warn("disk", "little is free".to_owned(), "make room"),
            Check::failed("codex", &anyhow!("there is none\n(hint: bring one)").context("no Codex")),
        ];
        insta::assert_snapshot!(table(&checks), @r"
        ok    clock  it is today
        warn  disk   little is free
                     -> make room
        fail  codex  no Codex: there is none
                     -> bring one
        ");
        insta::assert_snapshot!(json(&checks), @r#"{"ok":false,"checks":[{"name":"clock","verdict":"ok","what":"it is today","hint":""},{"name":"disk","verdict":"warn","what":"little is free","hint":"make room"},{"name":"codex","verdict":"fail","what":"no Codex: there is none","hint":"bring one"}]}"#);
    }
}
