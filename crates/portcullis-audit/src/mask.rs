//! Hides what looks like a secret in a command. Pure.
//!
//! It errs to the side of hiding: a commit's hash or a long identifier is masked, too. It does not find a secret that
//! looks like a word, as nothing could.

/// What stands for a secret.
const MASK: &str = "***";

/// How much of a text is looked at: far more than is kept.
const MOST: usize = 8 * 1024;

/// A word that begins so is a secret, whatever follows.
const PREFIXES: &[&str] = &[
    "sk-",
    "pcl_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxa-",
    "xoxb-",
    "xoxp-",
    "xoxs-",
    "AKIA",
    "ASIA",
    "AIza",
    "ya29.",
    "eyJ",
    "npm_",
    "pypi-",
    "hf_",
    "rk_live_",
    "sk_live_",
    "dop_v1_",
    "-----BEGIN",
];

/// A name that has one of these in it has a secret as its value.
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "credential",
    "authorization",
    "privatekey",
    "accesskey",
    "bearer",
    "cookie",
];

/// Words that stand between a name and its value.
const SCHEMES: &[&str] = &["bearer", "basic", "token"];

/// The text with every part that looks like a secret replaced by `***`.
pub(crate) fn masked(text: &str) -> String {
    let text = beginning(text);
    let mut out = String::with_capacity(text.len());
    // The value of a name is still to come.
    let mut named = false;
    // The last word was such a name, though nothing tied it to a value yet: `"secret": "…"`.
    let mut tied = false;
    let mut rest = text;
    while !rest.is_empty() {
        let gap = rest.find(|letter| !is_gap(letter)).unwrap_or(rest.len());
        out.push_str(&rest[..gap]);
        rest = &rest[gap..];
        let end = rest.find(is_gap).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        if word.is_empty() {
            continue;
        }
        if named {
            named = SCHEMES.contains(&word.trim_end_matches(':').to_lowercase().as_str());
            out.push_str(if named { word } else { MASK });
            continue;
        }
        named = mask_word(word, &mut out) || (tied && matches!(word, ":" | "="));
        tied = is_secret_name(word);
    }
    out
}

/// Between words. `=` and `:` are in words: they tie a name to its value.
fn is_gap(letter: char) -> bool {
    letter.is_whitespace()
        || matches!(
            letter,
            '"' | '\''
                | '`'
                | '('
                | ')'
                | '{'
                | '}'
                | '['
                | ']'
                | ','
                | ';'
                | '|'
                | '<'
                | '>'
                | '&'
                | '?'
                | '\\'
        )
}

/// Adds a word, and says whether it is a name whose value follows.
fn mask_word(word: &str, out: &mut String) -> bool {
    if let Some((before, host)) = word.split_once("://") {
        // `https://user:password@host/…`
        out.push_str(before);
        out.push_str("://");
        let (authority, path) = host.split_at(host.find('/').unwrap_or(host.len()));
        let shown = match authority.rsplit_once('@') {
            Some((_, host)) => format!("{MASK}@{host}"),
            None => authority.to_owned(),
        };
        out.push_str(&shown);
        mask_parts(path, out);
        return false;
    }
    if let Some(at) = word.find(['=', ':']) {
        let (name, value) = (&word[..at], &word[at + 1..]);
        if is_secret_name(name) {
            out.push_str(&word[..=at]);
            if value.is_empty() {
                return true;
            }
            out.push_str(MASK);
            return false;
        }
        mask_parts(name, out);
        out.push_str(&word[at..=at]);
        return if value.is_empty() { false } else { mask_word(value, out) };
    }
    if is_secret_name(word) && (word.starts_with('-') || SCHEMES.contains(&word.to_lowercase().as_str())) {
        out.push_str(word);
        return true;
    }
    mask_parts(word, out);
    false
}

/// Adds a word or path, part by part: a secret in a path is no less one.
fn mask_parts(word: &str, out: &mut String) {
    for (number, part) in word.split('/').enumerate() {
        if number > 0 {
            out.push('/');
        }
        out.push_str(if is_secret(part) { MASK } else { part });
    }
}

fn is_secret_name(name: &str) -> bool {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    NAMES.iter().any(|secret| name.contains(secret))
}

fn is_secret(word: &str) -> bool {
    let known = PREFIXES.iter().any(|prefix| word.starts_with(prefix) && word.len() >= prefix.len() + 8)
        || word.starts_with("-----BEGIN");
    known || is_random(word)
}

/// As long as a token and mixed like one.
fn is_random(word: &str) -> bool {
    let token = |letter: u8| {
        letter.is_ascii_alphanumeric() || matches!(letter, b'+' | b'-' | b'_' | b'.' | b'~' | b'=')
    };
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    word.len() >= 24 && word.bytes().all(token) && digits >= 3 && letters >= 3 && digits * 16 >= word.len()
}

/// The beginning of a long text, without a last word that the cut has shortened: what is left of a secret is not known
/// for one.
fn beginning(text: &str) -> &str {
    if text.len() <= MOST {
        return text;
    }
    let text = &text[..text.floor_char_boundary(MOST)];
    text.rfind(is_gap).map_or("", |end| &text[..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_hidden_and_commands_stay_readable() {
        for (text, expected) in [
            ("cargo test --workspace -p portcullis-audit", "cargo test --workspace -p portcullis-audit"),
            ("bash -lc 'ls -la /srv/data && wc -l x.txt'", "bash -lc 'ls -la /srv/data && wc -l x.txt'"),
            ("export OPENAI_API_KEY=sk-abc; env", "export OPENAI_API_KEY=***; env"),
            ("echo sk-proj-0123456789abcdef", "echo ***"),
            (
                "curl -H 'Authorization: Bearer abc' http://h/x",
                "curl -H 'Authorization: Bearer ***' http://h/x",
            ),
            ("curl -H \"authorization:Basic\" abc", "curl -H \"authorization:***\" abc"),
            ("git clone https://me:hunter2@host/repo", "git clone https://***@host/repo"),
            ("mysql --password hunter2 -u me", "mysql --password *** -u me"),
            ("mysql --password=hunter2", "mysql --password=***"),
            ("DB_PASSWORD='hunter2' run", "DB_PASSWORD='***' run"),
            ("{\"client_secret\": \"hunter2\"}", "{\"client_secret\": \"***\"}"),
            ("x=pcl_0123abcd_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "x=***"),
            ("cat keys/AKIAIOSFODNN7EXAMPLE/x", "cat keys/***/x"),
            ("curl 'http://h/x?token=hunter2&b=1'", "curl 'http://h/x?token=***&b=1'"),
            ("git show 3f2a9c1d3f2a9c1d3f2a9c1d3f2a9c1d3f2a9c1d", "git show ***"),
            (
                "rustc crates/portcullis-app-server-protocol/src/notifications.rs",
                "rustc crates/portcullis-app-server-protocol/src/notifications.rs",
            ),
        ] {
            assert_eq!(masked(text), expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Wherever a key stands between other words, it is gone, also when the text is far too long.
        #[test]
        fn no_key_stays(
            before in "([a-z]{0,9} ){0,40}", secret in "[A-Za-z0-9]{32}[0-9]{4}", after in "[ -~]{0,40}", fill in 0usize..9000
        ) {
            let text = format!("{}{before}sk-{secret} {after}", "x ".repeat(fill / 2));
            prop_assert!(!masked(&text).contains(&secret[..12]));
        }
    }
}
