//! Stop texts, found also where they lie across deltas.

/// Lets text through up to the first stop text.
#[derive(Debug, Default)]
pub(crate) struct StopMatcher {
    stops: Vec<String>,
    /// Text that may be the beginning of a stop text.
    held: String,
}

/// What may go out.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Passed {
    pub(crate) text: String,
    pub(crate) stopped: bool,
}

impl StopMatcher {
    pub(crate) fn new(stops: Vec<String>) -> Self {
        Self { stops, held: String::new() }
    }

    /// Takes more text.
    pub(crate) fn push(&mut self, more: String) -> Passed {
        if self.stops.is_empty() {
            return Passed { text: more, stopped: false };
        }
        self.held.push_str(&more);
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop)).min() {
            self.held.truncate(at);
            return Passed { text: std::mem::take(&mut self.held), stopped: true };
        }
        let keep = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        Passed { text: std::mem::replace(&mut self.held, rest), stopped: false }
    }

    /// What was held back: the text is over and no stop text came of it.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// The length of the longest end of `text` that a stop text begins with.
fn overlap(text: &str, stop: &str) -> usize {
    (1..stop.len().min(text.len() + 1))
        .rev()
        .find(|&n| stop.is_char_boundary(n) && text.ends_with(&stop[..n]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However the text is cut into deltas, what goes out is the text up to the first stop text.
        #[test]
        fn pieces_do_not_matter(
            text in "[abä]{0,40}",
            stops in proptest::collection::vec("[abä]{1,4}", 0..3),
            cuts in proptest::collection::vec(0usize..40, 0..10),
        ) {
            let expected = stops.iter().filter_map(|s| text.find(s)).min().map_or(text.as_str(), |at| &text[..at]);
            let mut matcher = StopMatcher::new(stops.clone());
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|&c| c <= text.len() && text.is_char_boundary(c)).collect();
            cuts.push(text.len());
            cuts.sort_unstable();
            let (mut out, mut from, mut stopped) = (String::new(), 0, false);
            for cut in cuts {
                let passed = matcher.push(text[from..cut].to_owned());
                from = cut;
                out.push_str(&passed.text);
                if passed.stopped { stopped = true; break }
            }
            if !stopped { out.push_str(&matcher.finish()) }
            prop_assert_eq!(out, expected);
        }
    }
}
