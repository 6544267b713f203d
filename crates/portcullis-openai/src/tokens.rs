//! Counting tokens of an answer while it streams, for `max_completion_tokens`.
//!
//! Codex has no output limit and reports tokens only when a step is over. So the text that the client sees is
//! counted here with OpenAI's `o200k_base` vocabulary, which current models use; reasoning is not counted.

use bpe_openai::o200k_base;

/// Lets text through up to a number of tokens.
#[derive(Debug)]
pub(crate) struct TokenLimit {
    limit: usize,
    text: String,
    /// Below this length the text can not hold more than `limit` tokens: each is at least one byte.
    next_look: usize,
}

/// What may go out.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Allowed {
    /// All of it.
    All,
    /// This many bytes of it, and then the limit is reached.
    UpTo(usize),
}

impl TokenLimit {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, text: String::new(), next_look: limit }
    }

    /// Takes note of more text and says how much of it may go out.
    pub(crate) fn push(&mut self, more: &str) -> Allowed {
        let before = self.text.len();
        self.text.push_str(more);
        if self.text.len() <= self.next_look {
            return Allowed::All;
        }
        let tokens = o200k_base().encode(&self.text);
        if tokens.len() <= self.limit {
            self.next_look = self.text.len() + (self.limit - tokens.len());
            return Allowed::All;
        }
        let mut kept = o200k_base().decode(&tokens[..self.limit]).map_or(0, |text| text.len());
        // A token may end inside a character, and what has gone out can not be taken back.
        while !self.text.is_char_boundary(kept) {
            kept -= 1;
        }
        Allowed::UpTo(kept.max(before) - before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_cut_at_the_limit_however_it_arrives() {
        let text = "One two three four five six seven eight nine ten.";
        for size in [1, 3, 7, 100] {
            let mut limit = TokenLimit::new(4);
            let mut out = String::new();
            for piece in text.as_bytes().chunks(size) {
                let piece = std::str::from_utf8(piece).unwrap();
                match limit.push(piece) {
                    Allowed::All => out.push_str(piece),
                    Allowed::UpTo(n) => {
                        out.push_str(&piece[..n]);
                        break;
                    }
                }
            }
            // A piece may end inside the token that is one too many; what is out by then stays out.
            assert!(
                out.starts_with("One two three four") && out.len() < "One two three four five".len(),
                "{size}: {out}"
            );
        }
        let mut limit = TokenLimit::new(1000);
        assert_eq!(limit.push(text), Allowed::All);
    }
}
