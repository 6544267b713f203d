//! Server-sent events out of pieces of bytes. Pure.

/// The longest event: a picture of 20 MiB in base64, twice.
const LONGEST: usize = 64 * 1024 * 1024;

/// Collects pieces until an event is whole.
#[derive(Debug, Default)]
pub(crate) struct Events {
    held: Vec<u8>,
    /// Up to here there is no empty line.
    searched: usize,
}

/// An event is longer than any may be.
#[derive(Debug)]
pub(crate) struct TooLong;

impl Events {
    /// Takes a piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        if self.held.len() + piece.len() > LONGEST {
            return Err(TooLong);
        }
        self.held.extend(piece.iter().filter(|byte| **byte != b'\r'));
        Ok(())
    }

    /// The data of the next whole event that has any.
    pub(crate) fn next(&mut self) -> Option<String> {
        loop {
            let from = self.searched.saturating_sub(1);
            let Some(end) = self.held[from..].windows(2).position(|two| two == b"\n\n") else {
                self.searched = self.held.len();
                return None;
            };
            let event: Vec<u8> = self.held.drain(..from + end + 2).collect();
            self.searched = 0;
            let text = String::from_utf8_lossy(&event);
            let mut lines = text.lines().filter_map(|line| line.strip_prefix("data:"));
            if let Some(first) = lines.next() {
                return Some(
                    lines.fold(first.trim_start().to_owned(), |all, line| all + "\n" + line.trim_start()),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_whole_wherever_they_are_cut() {
        let text = b": hi\n\nevent: a\ndata: {\"a\":1}\r\n\r\ndata: x\ndata: y\n\n";
        for cut in 0..text.len() {
            let mut events = Events::default();
            let mut seen = Vec::new();
            for piece in [&text[..cut], &text[cut..]] {
                events.push(piece).unwrap();
                seen.extend(std::iter::from_fn(|| events.next()));
            }
            assert_eq!(seen, ["{\"a\":1}", "x\ny"], "{cut}");
        }
    }
}
