//! How a scripted answer is to be. It travels in the prompt, so that one server can give every kind of answer.

use std::fmt::Write as _;
use std::time::Duration;

/// How a scripted answer is to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wish {
    /// How many deltas.
    pub deltas: usize,
    /// How long each is, in bytes.
    pub bytes: usize,
    /// The pause before each.
    pub every: Duration,
    /// Each delta is the time at which it was written, in nanoseconds since 1970, instead of a filling.
    pub stamp: bool,
    /// After the deltas nothing comes until the asker goes.
    pub hang: bool,
    /// Each delta begins with this number and its own, so that an answer can be told from every other.
    pub echo: Option<u64>,
    /// What goes wrong on purpose.
    pub fault: Option<Fault>,
}

/// What a scripted app-server does wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// A line that is not UTF-8.
    BadUtf8,
    /// A line that is not JSON.
    NotJson,
    /// A line that does not end.
    EndlessLine,
    /// Notifications and questions that nobody knows; the answer is right.
    Unknown,
    /// Many notifications for other threads; the answer is right.
    Flood,
    /// The turn's start is answered when half of the answer is out, as the real one does under load; the answer is right.
    ReplyMidway,
    /// The turn's start is answered when the turn is over, as the real one does under load; the answer is right.
    ReplyLast,
    /// The turn's start is never answered.
    Silent,
    /// The turn never ends.
    NoEnd,
    /// Its output is closed, and it lives on.
    Close,
    /// Its input is closed, and it lives and speaks on.
    Deaf,
    /// It dies.
    Die,
}

impl Fault {
    /// Every fault and its word.
    pub const ALL: [(&'static str, Self); 12] = [
        ("bad_utf8", Self::BadUtf8),
        ("not_json", Self::NotJson),
        ("endless_line", Self::EndlessLine),
        ("unknown", Self::Unknown),
        ("flood", Self::Flood),
        ("reply_midway", Self::ReplyMidway),
        ("reply_last", Self::ReplyLast),
        ("silent", Self::Silent),
        ("no_end", Self::NoEnd),
        ("close", Self::Close),
        ("deaf", Self::Deaf),
        ("die", Self::Die),
    ];
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            deltas: 1,
            bytes: 8,
            every: Duration::ZERO,
            stamp: false,
            hang: false,
            echo: None,
            fault: None,
        }
    }
}

impl Wish {
    /// As a prompt.
    pub fn prompt(&self) -> String {
        let Self { deltas, bytes, every, stamp, hang, echo, fault } = self;
        let mut text = format!("deltas={deltas} bytes={bytes} every_us={}", every.as_micros());
        for (word, set) in [(" stamp", stamp), (" hang", hang)] {
            if *set {
                text.push_str(word);
            }
        }
        if let Some(number) = echo {
            let _memory = write!(text, " echo={number}");
        }
        if let Some((word, _)) = Fault::ALL.iter().find(|(_, known)| Some(known) == fault.as_ref()) {
            let _memory = write!(text, " fault={word}");
        }
        text
    }

    /// Reads a prompt; words that it does not know are left alone.
    pub fn of_prompt(prompt: &str) -> Self {
        let mut wish = Self::default();
        for word in prompt.split_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match (name, value.parse::<u64>()) {
                ("deltas", Ok(n)) => wish.deltas = usize::try_from(n).unwrap_or(usize::MAX),
                ("bytes", Ok(n)) => wish.bytes = usize::try_from(n).unwrap_or(usize::MAX),
                ("every_us", Ok(n)) => wish.every = Duration::from_micros(n),
                ("stamp", _) => wish.stamp = true,
                ("hang", _) => wish.hang = true,
                ("echo", Ok(n)) => wish.echo = Some(n),
                ("fault", _) => {
                    wish.fault = Fault::ALL.iter().find(|(word, _)| *word == value).map(|(_, fault)| *fault);
                }
                _ => {}
            }
        }
        wish
    }

    /// The answer's delta of this number, written now. Never needs escaping in JSON.
    pub fn delta(&self, number: usize) -> String {
        match self.echo {
            _ if self.stamp => format!("{} ", now()),
            Some(echo) => format!("[{echo}.{number}]{}", "x".repeat(self.bytes)),
            None => "x".repeat(self.bytes),
        }
    }

    /// How long the whole text is, in bytes.
    pub(crate) fn text_bytes(&self) -> usize {
        match self.echo {
            _ if self.stamp => self.deltas * STAMP,
            Some(_) => self.text().len(),
            None => self.deltas * self.bytes,
        }
    }

    /// The whole text, where it does not say when it was written.
    pub fn text(&self) -> String {
        (0..self.deltas).map(|number| self.delta(number)).collect()
    }
}

/// A stamp is nanoseconds of this century, and a space.
const STAMP: usize = 20;

/// Nanoseconds since 1970: the one clock that all processes of a run share.
pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_survives_its_prompt() {
        let echo = Some(4);
        let every = Duration::from_micros(250);
        for fault in Fault::ALL.map(|(_, fault)| Some(fault)).into_iter().chain([None]) {
            let wish = Wish { deltas: 7, bytes: 9, every, stamp: true, hang: true, echo, fault };
            assert_eq!(Wish::of_prompt(&wish.prompt()), wish);
        }
        assert_eq!(Wish::of_prompt("Hi = deltas=x"), Wish::default());
    }

    #[test]
    fn a_text_is_as_long_as_it_says() {
        for (stamp, echo) in [(false, None), (true, None), (false, Some(17))] {
            let wish = Wish { deltas: 11, bytes: 9, stamp, echo, ..Wish::default() };
            assert_eq!(wish.text_bytes(), wish.text().len());
        }
    }
}
