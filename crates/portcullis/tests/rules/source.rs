//! A source, and what of it is code.

use camino::Utf8PathBuf;
use cargo_metadata::Package;

use crate::workspace::{files, metadata, relative};

/// A source of a crate; those of its tests are not among them.
pub(crate) struct Source {
    pub(crate) package: String,
    pub(crate) path: String,
    /// Without `mod tests`.
    pub(crate) text: String,
    pub(crate) code: String,
    /// The text of every string literal, as it is written, and its line.
    pub(crate) literals: Vec<(usize, String)>,
}

pub(crate) fn sources() -> Vec<Source> {
    let read = |package: &Package| {
        let directory = package.manifest_path.parent().expect("a manifest is in a directory");
        let rust =
            |path: &Utf8PathBuf| path.extension() == Some("rs") && path.file_name() != Some("tests.rs");
        let production = |path: &Utf8PathBuf| {
            let below = path.strip_prefix(directory).expect("it is below");
            !below.starts_with("tests") && !below.components().any(|part| part.as_str() == "tests")
        };
        let paths = files(directory).into_iter().filter(rust).filter(production).collect::<Vec<_>>();
        let source = |path: Utf8PathBuf| {
            Source::new(&package.name, &relative(&path), &std::fs::read_to_string(&path).unwrap())
        };
        paths.into_iter().map(source).collect::<Vec<_>>()
    };
    metadata().packages.iter().flat_map(read).collect()
}

impl Source {
    pub(crate) fn new(package: &str, path: &str, text: &str) -> Self {
        let text = without_tests(text);
        let (code, literals) = code_and_literals(&text);
        Self { package: package.to_owned(), path: path.to_owned(), text, code, literals }
    }

    /// Where the code has these words, from the beginning of a word to the end of one.
    pub(crate) fn code_with(&self, words: &str) -> Vec<String> {
        let in_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let whole = |line: &str, at: usize| {
            let (before, after) = (line[..at].chars().next_back(), line[at + words.len()..].chars().next());
            !in_word(before) && (words.ends_with(':') || !in_word(after))
        };
        let lines = self.code.lines().enumerate();
        let found = lines.filter(|(_, line)| line.match_indices(words).any(|(at, _)| whole(line, at)));
        found.map(|(number, _)| format!("{}:{}: `{words}`", self.path, number + 1)).collect()
    }

    pub(crate) fn literals_with(&self, words: &str) -> Vec<String> {
        let found = self.literals.iter().filter(|(_, text)| text.contains(words));
        found.map(|(line, _)| format!("{}:{line}: `{words}`", self.path)).collect()
    }
}

/// Every word of a code, and its line.
pub(crate) fn identifiers(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let words = |line| str::split(line, |c: char| !c.is_alphanumeric() && c != '_');
    let lines = code.lines().enumerate();
    let all = lines.flat_map(move |(number, line)| words(line).map(move |word| (number + 1, word)));
    all.filter(|(_, word)| !word.is_empty())
}

/// A source without `mod tests`, which ends where rustfmt ends it. Lines keep their numbers.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut inside = false;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let begins = line == "#[cfg(test)]" && lines.peek().is_some_and(|next| *next == "mod tests {");
        inside |= begins;
        if !inside {
            kept.push_str(line);
        }
        kept.push('\n');
        inside &= line != "}";
    }
    kept.truncate(kept.trim_end().len());
    kept
}

/// A source with its comments and literals taken out; lines keep their numbers.
fn code_and_literals(text: &str) -> (String, Vec<(usize, String)>) {
    let (mut code, mut literals) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let in_word =
            code.ends_with(|c: char| c.is_alphanumeric() || c == '_') && !code.ends_with(['b', 'c']);
        let taken = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if next == 'r' && !in_word && rest[1..].trim_start_matches('#').starts_with('"') {
            let hashes = rest[1..].len() - rest[1..].trim_start_matches('#').len();
            let end = format!("\"{}", "#".repeat(hashes));
            let begin = 2 + hashes;
            let length = rest[begin..].find(&end).unwrap_or(rest.len() - begin);
            literals.push((code.matches('\n').count() + 1, rest[begin..begin + length].to_owned()));
            code.push('r');
            (begin + length + end.len()).min(rest.len())
        } else if next == '"' {
            let length = until_quote(&rest[1..], '"');
            literals.push((code.matches('\n').count() + 1, rest[1..=length].to_owned()));
            (length + 2).min(rest.len())
        } else if next == '\'' && is_char(rest) {
            (until_quote(&rest[1..], '\'') + 2).min(rest.len())
        } else {
            code.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        };
        code.extend(rest[..taken].chars().filter(|c| *c == '\n'));
        code.push(' ');
        rest = &rest[taken..];
    }
    (code, literals)
}

/// A character, not a lifetime.
fn is_char(rest: &str) -> bool {
    let mut after = rest.chars().skip(1);
    after.next() == Some('\\') || after.next() == Some('\'')
}

fn until_quote(text: &str, quote: char) -> usize {
    let mut escaped = false;
    let end = text.find(|c| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.unwrap_or(text.len())
}

/// They nest.
fn block_comment(text: &str) -> usize {
    let (mut at, mut open) = (0, 0_usize);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (at, open) = (at + 2, open + 1);
        } else if text[at..].starts_with("*/") {
            (at, open) = (at + 2, open - 1);
            if open == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}
