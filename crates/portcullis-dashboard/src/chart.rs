//! Charts as SVG: sixty minutes from left to right. The same figures stand in a table below, for who cannot see them.

#![expect(clippy::cast_precision_loss, reason = "places on a screen")]

use std::time::Duration;

use maud::{Markup, html};
use portcullis_agent::Minute;

use crate::views::{count, time};

const MINUTES: u64 = 60;
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 90.0;
const STEP: f64 = WIDTH / MINUTES as f64;

/// The last hour up to the minute `now`.
pub(crate) fn hour(minutes: &[Minute], now: u64) -> Markup {
    let first = now.saturating_sub(MINUTES - 1);
    let place = |minute: &Minute| (minute.number - first) as f64 * STEP;
    let shown: Vec<_> = minutes.iter().filter(|minute| (first..=now).contains(&minute.number)).collect();
    html! {
        div.charts {
            figure {
                figcaption { "Turns per minute" }
                (turns(&shown, place))
                p.legend { span.key.good {} " all" span.key.bad {} " failed" }
            }
            figure {
                figcaption { "Time to the first event" }
                (spread(&shown, place, "Time to the first event", |minute, percent| minute.first_event.percentile(percent)))
                p.legend { span.key.middle {} " median" span.key.slow {} " 95 of 100" }
            }
            figure {
                figcaption { "Duration of turns" }
                (spread(&shown, place, "Duration of turns", |minute, percent| minute.duration.percentile(percent)))
                p.legend { span.key.middle {} " median" span.key.slow {} " 95 of 100" }
            }
        }
        details {
            summary { "The last hour as a table" }
            (table(&shown, now))
        }
    }
}

fn turns(minutes: &[&Minute], place: impl Fn(&Minute) -> f64) -> Markup {
    let most = minutes.iter().map(|minute| minute.turns).max().unwrap_or(0);
    let (all, failed): (u64, u64) =
        minutes.iter().fold((0, 0), |(all, failed), minute| (all + minute.turns, failed + minute.failed));
    let label = format!("{} turns in the last hour, {} of them failed", count(all), count(failed));
    let bar = |minute: &Minute, value: u64, class: &str| {
        let height = HEIGHT * value as f64 / most.max(1) as f64;
        html! {
            rect class=(class) x=(place(minute)) y=(HEIGHT - height) width=(STEP - 1.0) height=(height) {}
        }
    };
    frame(
        &label,
        &count(most),
        &html! {
            @for minute in minutes {
                (bar(minute, minute.turns, "good"))
                @if minute.failed > 0 { (bar(minute, minute.failed, "bad")) }
            }
        },
    )
}

/// A dot for each minute, and a line from the median to the slow ones.
fn spread(
    minutes: &[&Minute],
    place: impl Fn(&Minute) -> f64,
    what: &str,
    percentile: impl Fn(&Minute, u32) -> Option<Duration>,
) -> Markup {
    let points: Vec<_> = minutes
        .iter()
        .filter_map(|minute| {
            Some((place(minute) + STEP / 2.0, percentile(minute, 50)?, percentile(minute, 95)?))
        })
        .collect();
    let most = points.iter().map(|(.., slow)| *slow).max().unwrap_or_default();
    let height =
        |value: Duration| HEIGHT - (HEIGHT - 8.0) * value.as_secs_f64() / most.as_secs_f64().max(1e-3);
    let label = match points.last() {
        Some((_, middle, slow)) => format!(
            "{what}: in the last minute with turns the median was at most {}, and 95 of 100 at most {}",
            time(*middle),
            time(*slow)
        ),
        None => format!("{what}: no turns in the last hour"),
    };
    frame(
        &label,
        &time(most),
        &html! {
            @for (x, middle, slow) in &points {
                line class="range" x1=(x) x2=(x) y1=(height(*middle)) y2=(height(*slow)) {}
                circle class="slow" cx=(x) cy=(height(*slow)) r="2" {}
                circle class="middle" cx=(x) cy=(height(*middle)) r="2" {}
            }
        },
    )
}

fn frame(label: &str, most: &str, content: &Markup) -> Markup {
    html! {
        svg role="img" aria-label=(label) viewBox=(format!("-4 -16 {} {}", WIDTH + 8.0, HEIGHT + 36.0)) {
            line class="axis" x1="0" x2=(WIDTH) y1=(HEIGHT) y2=(HEIGHT) {}
            line class="grid" x1="0" x2=(WIDTH) y1="0" y2="0" {}
            text x="0" y="-4" { (most) }
            text x="0" y=(HEIGHT + 14.0) { "an hour ago" }
            text.end x=(WIDTH) y=(HEIGHT + 14.0) { "now" }
            (content)
        }
    }
}

fn table(minutes: &[&Minute], now: u64) -> Markup {
    let shown = |duration: Option<Duration>| {
        duration.map_or_else(|| "–".to_owned(), |duration| format!("≤ {}", time(duration)))
    };
    html! {
        div.scroll role="region" aria-label="Figures of the last hour" tabindex="0" {
            table {
                thead { tr {
                    th scope="col" { "minutes ago" } th.number scope="col" { "turns" } th.number scope="col" { "failed" }
                    th.number scope="col" { "first event, median" } th.number scope="col" { "95 of 100" }
                    th.number scope="col" { "duration, median" } th.number scope="col" { "95 of 100" }
                } }
                tbody {
                    @for minute in minutes.iter().rev() { tr {
                        td { (now - minute.number) } td.number { (count(minute.turns)) } td.number { (count(minute.failed)) }
                        td.number { (shown(minute.first_event.percentile(50))) } td.number { (shown(minute.first_event.percentile(95))) }
                        td.number { (shown(minute.duration.percentile(50))) } td.number { (shown(minute.duration.percentile(95))) }
                    } }
                    @if minutes.is_empty() { tr { td colspan="7" { "No turn ended in the last hour." } } }
                }
            }
        }
    }
}
