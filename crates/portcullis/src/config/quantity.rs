//! Durations and sizes as people write them.

use std::fmt::{Display, Formatter, Write as _};
use std::time::Duration;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct ByteSize(u64);

/// From the largest; each must divide the one before it.
const DURATIONS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Longer ones are mistakes, and would overflow when added to an instant.
const LONGEST: Duration = Duration::from_hours(365 * 24);

const SIZES: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("KB", 1000),
    ("B", 1),
];

impl ByteSize {
    /// `None` for nothing: a limit of zero would refuse everything.
    pub(super) fn new(bytes: u64) -> Option<Self> {
        // Half the address space is far beyond any request, and spares every user a check.
        (bytes > 0 && bytes <= u64::from(u32::MAX) * 1024).then_some(Self(bytes))
    }

    /// Reads `4096` or `20MiB`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (number, unit) = split_number(text)?;
        let factor = match unit.trim_start() {
            "" => 1,
            unit => SIZES.iter().find(|(name, _)| *name == unit)?.1,
        };
        Self::new(number.checked_mul(factor)?)
    }

    /// In bytes.
    pub(crate) fn bytes(self) -> u64 {
        self.0
    }
}

impl Display for ByteSize {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let exact =
            SIZES.iter().find(|(name, factor)| name.ends_with("iB") && self.0.is_multiple_of(*factor));
        match exact {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// Reads `30s` or `1h30m`: parts from large to small, each unit at most once, more than nothing.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut units = DURATIONS.iter();
    let (mut rest, mut total) = (text, 0u64);
    while !rest.is_empty() {
        let (number, tail) = split_number(rest)?;
        let end = tail.find(|letter: char| letter.is_ascii_digit()).unwrap_or(tail.len());
        let (_, factor) = units.find(|(name, _)| *name == &tail[..end])?;
        total = total.checked_add(number.checked_mul(*factor)?)?;
        rest = &tail[end..];
    }
    let duration = Duration::from_millis(total);
    (!duration.is_zero() && duration <= LONGEST).then_some(duration)
}

/// The inverse of [`parse_duration`].
pub(super) fn show_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, factor) in DURATIONS {
        if rest >= factor {
            let _ = write!(text, "{}{unit}", rest / factor);
            rest %= factor;
        }
    }
    text
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms, shown) in [
            ("250ms", 250, "250ms"),
            ("30s", 30_000, "30s"),
            ("90m", 5_400_000, "1h30m"),
            ("1h30m", 5_400_000, "1h30m"),
            ("1d2h3m4s5ms", 93_784_005, "1d2h3m4s5ms"),
            ("365d", 31_536_000_000, "365d"),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!((duration.as_millis(), show_duration(duration).as_str()), (ms, shown), "{text}");
        }
        let bad = ["", "10", "s", "0s", "-1s", "1.5h", "1 h", "30m1h", "1s1s", "1m ", "1min", "366d"];
        for text in bad.into_iter().chain(["99999999999999999999s", "18446744073709551615d", "1µs"]) {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes, shown) in [
            ("4096", 4096, "4KiB"),
            ("20MiB", 20 << 20, "20MiB"),
            ("1GB", 1_000_000_000, "1000000000B"),
            ("2 GiB", 2 << 30, "2GiB"),
            ("7B", 7, "7B"),
            ("1kB", 1000, "1000B"),
        ] {
            let size = ByteSize::parse(text).unwrap();
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, shown), "{text}");
            assert_eq!(ByteSize::parse(shown), Some(size));
        }
        for text in ["", "0", "0MiB", "-1", "1.5MiB", "20M", "20mib", "MiB", "1 2", "99999999999GiB"] {
            assert_eq!(ByteSize::parse(text), None, "{text:?}");
        }
    }
}
