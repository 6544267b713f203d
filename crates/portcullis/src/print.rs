//! What the program prints itself. Everything else it says goes through the log.
//!
//! Written with `write!` instead of `println!`, which panics when the reader of a pipe has left.

use std::io::{self, ErrorKind, Write as _};

/// Prints to stdout, with a line end, and says whether it arrived.
pub(crate) fn out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.trim_end_matches('\n').as_bytes())?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

/// Prints to stdout; a reader that left early (`| head`) has seen all it wanted.
pub(crate) fn page(text: &str) -> io::Result<()> {
    match out(text) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Prints a remark to stderr, where it does not disturb who reads stdout.
pub(crate) fn note(text: &str) {
    // There is no other place to say that stderr is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints what went wrong, and why, to stderr.
pub(crate) fn error(error: &anyhow::Error) {
    note(&shown(error));
}

/// `error: …`, then one line per cause. A cause that the line before has already told is left out.
fn shown(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}");
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text.push_str("\n  because: ");
            text.push_str(&cause.replace('\n', "\n  "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn causes_are_told_once() {
        let error = anyhow!("it is full\n(hint: empty it)").context("cannot write: no").context("no key");
        assert_eq!(
            shown(&error),
            "error: no key\n  because: cannot write: no\n  because: it is full\n  (hint: empty it)"
        );
        let repeated = anyhow!("it is full").context("cannot write: it is full");
        assert_eq!(shown(&repeated), "error: cannot write: it is full");
    }
}
