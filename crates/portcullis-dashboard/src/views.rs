//! How values are written for people.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use maud::{Markup, html};

/// `850 ms`, `1.4 s`, `12 s`, `3 min`, `5 h`, `2 d`.
pub(crate) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `512 B`, `14 KiB`, `1.5 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let (mut rest, mut unit) = (bytes, "B");
    let mut tenths = 0;
    for next in UNITS {
        if rest < 1024 {
            break;
        }
        tenths = rest % 1024 * 10 / 1024;
        rest /= 1024;
        unit = next;
    }
    if rest < 10 && unit != "B" { format!("{rest}.{tenths} {unit}") } else { format!("{rest} {unit}") }
}

/// `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How long ago, with the exact time for who looks closer.
pub(crate) fn ago(then: SystemTime, now: SystemTime) -> Markup {
    let since = now.duration_since(then).unwrap_or_default();
    html! { time datetime=(exact(then)) title=(exact(then)) { (time(since)) " ago" } }
}

/// `2026-11-28 04:05:06 UTC`.
pub(crate) fn exact(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| "unknown".to_owned(), timestamp)
}

/// The same.
pub(crate) fn timestamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        let shown = [0, 999, 1400, 9_999, 10_000, 119_000, 120_000, 7_200_000, 200_000_000];
        let shown = shown.map(|millis| time(Duration::from_millis(millis)));
        assert_eq!(shown, ["0 ms", "999 ms", "1.4 s", "10.0 s", "10 s", "119 s", "2 min", "2 h", "2 d"]);
        let shown = [0, 1023, 1024, 1536, 15 << 20, 3 << 40].map(size);
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "15 MiB", "3.0 TiB"]);
        assert_eq!([7, 999, 1000, 1_234_567].map(count), ["7", "999", "1,000", "1,234,567"]);
    }
}
