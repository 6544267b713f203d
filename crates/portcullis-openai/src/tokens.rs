//! Counting tokens of an answer while it streams, for `max_completion_tokens` and `max_output_tokens`.
//!
//! Codex has no output limit and reports tokens only when a step is over. So the text that the client sees is
//! counted here, by an estimate: a vocabulary would be exact for one family of models and weighs 32 MB
//! (docs/design/counting-output-tokens.md). Reasoning is not counted.

/// Lets text through up to an estimated number of tokens.
#[derive(Debug)]
pub(crate) struct TokenLimit {
    limit: usize,
    estimate: Estimate,
    /// Spaces that go out with the word after them, or at the end.
    held: String,
}

impl TokenLimit {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, estimate: Estimate::default(), held: String::new() }
    }

    /// Takes more text; says what of it may go out, and whether the limit is reached.
    pub(crate) fn push(&mut self, more: &str) -> (String, bool) {
        let mut out = String::new();
        for c in more.chars() {
            self.estimate.push(c);
            if self.estimate.tokens > self.limit {
                return (out, true);
            }
            if c == ' ' {
                self.held.push(c);
            } else {
                out.push_str(&self.held);
                self.held.clear();
                out.push(c);
            }
        }
        (out, false)
    }

    /// What was held back: the text is over.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// A running estimate, one character at a time, so that it does not matter how the text arrives.
#[derive(Debug, Default)]
struct Estimate {
    tokens: usize,
    kind: Kind,
    /// Characters of this kind in a row.
    run: usize,
}

/// What a character is to a tokenizer, roughly.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Kind {
    /// A single one belongs to the word after it.
    #[default]
    Space,
    Letter,
    /// Of alphabets that are rarer in the vocabularies.
    OtherLetter,
    Digit,
    /// Chinese, Japanese, Korean.
    Ideograph,
    Punctuation,
    /// Emoji and the like.
    Symbol,
}

impl Kind {
    fn of(c: char) -> Self {
        match c {
            _ if c.is_whitespace() => Self::Space,
            _ if c.is_ascii_digit() => Self::Digit,
            _ if c.is_ascii_punctuation() => Self::Punctuation,
            '\u{2e80}'..='\u{9fff}'
            | '\u{ac00}'..='\u{d7af}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}' => Self::Ideograph,
            '\0'..='\u{24f}' if c.is_alphabetic() => Self::Letter,
            _ if c.is_alphanumeric() => Self::OtherLetter,
            _ => Self::Symbol,
        }
    }

    /// How many of them in a row make a token.
    fn per_token(self) -> usize {
        match self {
            Self::Space => 16,
            Self::Letter => 8,
            Self::OtherLetter | Self::Digit => 3,
            Self::Punctuation => 2,
            Self::Ideograph | Self::Symbol => 1,
        }
    }
}

impl Estimate {
    fn push(&mut self, c: char) {
        let kind = Kind::of(c);
        self.run = if kind == self.kind { self.run + 1 } else { 1 };
        self.kind = kind;
        // The first space of a row costs nothing: it belongs to what follows.
        let nth = if kind == Kind::Space { self.run.checked_sub(2) } else { self.run.checked_sub(1) };
        if nth.is_some_and(|nth| nth.is_multiple_of(kind.per_token())) {
            self.tokens += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_numbers_and_signs_are_counted() {
        let table = [
            ("", 0),
            ("One two three.", 4),
            ("internationalisation", 3),
            ("12345", 2),
            ("{\"a\": [1]}", 6),
            ("a\n\n    b", 3),
            ("\u{4f60}\u{597d}", 2),
        ];
        for (text, expected) in table {
            let mut estimate = Estimate::default();
            text.chars().for_each(|c| estimate.push(c));
            assert_eq!(estimate.tokens, expected, "{text}");
        }
    }

    proptest! {
        /// However the text is cut into deltas, what goes out is the same.
        #[test]
        fn pieces_do_not_matter(
            text in "[a-c0-9 .\u{e4}\u{4f60}\n]{0,60}",
            limit in 1usize..20,
            cuts in proptest::collection::vec(0usize..60, 0..8),
        ) {
            let all = |pieces: &[&str]| {
                let (mut limit, mut out) = (TokenLimit::new(limit), String::new());
                for piece in pieces {
                    let (passed, full) = limit.push(piece);
                    out.push_str(&passed);
                    if full {
                        return (out, true);
                    }
                }
                (out + &limit.finish(), false)
            };
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|&c| c < text.len() && text.is_char_boundary(c)).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([text.len()]) {
                pieces.push(&text[from..cut]);
                from = cut;
            }
            let whole = all(&[&text]);
            prop_assert_eq!(&all(&pieces), &whole);
            prop_assert!(text.starts_with(&whole.0) && (whole.1 || whole.0 == text));
        }
    }
}
