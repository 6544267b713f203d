//! Text that may stand in the log: bounded, on one line, and masked where a model or a client wrote it.

use serde::Serialize;

use crate::mask::masked;

/// The most bytes of one text.
const MOST: usize = 512;

/// A text of at most 512 bytes without control characters.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Text(String);

impl Text {
    /// A text of our own or an id: what is too long is cut.
    pub fn new(text: &str) -> Self {
        Self(cut(text))
    }

    /// A text that somebody else wrote, such as a command: what looks like a secret is masked, then it is cut.
    pub fn masked(text: &str) -> Self {
        Self(cut(&masked(text)))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

fn cut(text: &str) -> String {
    const MARK: &str = "…";
    let whole = text.len() <= MOST;
    let most = if whole { MOST } else { MOST - MARK.len() };
    let mut kept = String::new();
    for letter in text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }) {
        if kept.len() + letter.len_utf8() > most {
            break;
        }
        kept.push(letter);
    }
    if !whole {
        kept.push_str(MARK);
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_is_bounded_and_on_one_line(text in "\\PC{0,600}|[\\x00-\\x7f]{0,600}") {
            for text in [Text::new(&text), Text::masked(&text)] {
                prop_assert!(text.0.len() <= MOST);
                prop_assert!(!text.0.contains(char::is_control));
            }
        }
    }

    #[test]
    fn a_cut_is_marked() {
        let text = Text::new(&"é".repeat(400));
        assert!(text.as_str().ends_with("é…") && text.as_str().len() > 500, "{text:?}");
        assert_eq!(Text::new("a\nb").as_str(), "a b");
    }
}
