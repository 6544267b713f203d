//! The first page: whether turns can run, what runs now, and how the last hour went.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maud::{Markup, html};
use portcullis_agent::{AccountWindow, Minute, Readiness, RunningTurn, TurnPhase, WorkerReport};

use super::{Page, badge, page, scroll, token};
use crate::chart;
use crate::parts::Weakening;
use crate::session::Operator;
use crate::views::{ago, size, time};

/// What the overview shows.
#[derive(Debug)]
pub(crate) struct Overview<'a> {
    pub(crate) readiness: Readiness,
    pub(crate) workers: Vec<WorkerReport>,
    pub(crate) running: Vec<RunningTurn>,
    pub(crate) minutes: Vec<Minute>,
    pub(crate) questions: usize,
    pub(crate) weakenings: &'a [Weakening],
    pub(crate) about: &'a [(&'static str, String)],
    pub(crate) now: SystemTime,
}

/// The whole page. The part that changes is fetched again by the script, where there is one.
pub(crate) fn overview(operator: &Operator, view: &Overview<'_>) -> Markup {
    page(
        Page::Overview,
        operator,
        &html! {
            div id="live" data-src="/dashboard/live" { (live(operator, view)) }
            section aria-labelledby="about" {
                h2 id="about" { "This gateway" }
                dl.facts { @for (name, value) in view.about { dt { (name) } dd { (value) } } }
            }
        },
    )
}

/// The part that changes.
pub(crate) fn live(operator: &Operator, view: &Overview<'_>) -> Markup {
    let Overview { readiness, workers, running, minutes, questions, weakenings, now, .. } = view;
    let waiting = running.iter().filter(|turn| turn.phase == TurnPhase::Waiting).count();
    let parked = running.iter().filter(|turn| turn.phase == TurnPhase::Parked).count();
    let minute = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 60);
    html! {
        section aria-label="State" {
            p.state {
                @if readiness.ready { (badge("good", "ready")) " Turns can run." }
                @else { (badge("bad", "not ready")) " No turn can run." }
            }
            @let missing: Vec<_> = readiness.conditions.iter().filter(|condition| !condition.ok).collect();
            @if !missing.is_empty() {
                ul.missing { @for condition in missing {
                    li { strong { (condition.name) } ": " (condition.message) }
                } }
            }
            @if *questions > 0 {
                p.alert { a href=(Page::Approvals.path()) { (questions) " waiting for your answer" } }
            }
            dl.figures {
                div { dt { "running" } dd { (running.len() - waiting - parked) } }
                div { dt { "waiting" } dd { (waiting) } }
                div { dt { "parked" } dd { (parked) } }
            }
        }
        section aria-labelledby="turns" {
            h2 id="turns" { "Turns now" }
            @if running.is_empty() { p { "None." } }
            @else { (turns(operator, running, *now)) }
        }
        section aria-labelledby="hour" {
            h2 id="hour" { "The last hour" }
            (chart::hour(minutes, minute))
        }
        section aria-labelledby="workers" {
            h2 id="workers" { "Workers" }
            @if workers.is_empty() { p { "None." } }
            @else { (of_workers(workers)) }
        }
        @let account: Vec<_> = workers.iter().flat_map(|worker| worker.account.iter().map(move |window| (worker, window))).collect();
        @if !account.is_empty() {
            section aria-labelledby="account" {
                h2 id="account" { "Limits of the login" }
                (scroll("Table of limits", &of_account(&account, *now)))
            }
        }
        @if !weakenings.is_empty() {
            section aria-labelledby="weakened" {
                h2 id="weakened" { "Weaker than it could be" }
                ul { @for weakening in *weakenings { li { (weakening.what) ". " span.note { (weakening.hint) } } } }
            }
        }
    }
}

fn turns(operator: &Operator, running: &[RunningTurn], now: SystemTime) -> Markup {
    scroll(
        "Table of turns",
        &html! {
            table {
                thead { tr {
                    th scope="col" { "since" } th scope="col" { "state" } th scope="col" { "key" } th scope="col" { "model" }
                    th scope="col" { "profile" } th scope="col" { "request" } th scope="col" { span.hidden { "Act" } }
                } }
                tbody { @for turn in running { tr {
                    td { (ago(turn.since, now)) }
                    td { (badge(phase(turn.phase), turn.phase.word())) }
                    td { (turn.head.principal) }
                    td { (turn.head.model) @if turn.head.draws { " (picture)" } }
                    td { (turn.head.profile) }
                    td.id { (turn.head.request) }
                    td { @if turn.phase != TurnPhase::Interrupted {
                        form method="post" action=(format!("/dashboard/turns/{}/interrupt", turn.number)) {
                            (token(operator))
                            button.danger type="submit" aria-label=(format!("Interrupt the turn of {}", turn.head.request)) { "Interrupt" }
                        }
                    } }
                } } }
            }
        },
    )
}

fn phase(phase: TurnPhase) -> &'static str {
    match phase {
        TurnPhase::Waiting | TurnPhase::Parked => "calm",
        TurnPhase::Running => "good",
        TurnPhase::Interrupted => "bad",
    }
}

type OfAccount<'a> = (&'a WorkerReport, (&'a (String, &'static str), &'a AccountWindow));

fn of_account(account: &[OfAccount<'_>], now: SystemTime) -> Markup {
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let left =
        |resets_at: i64| Duration::from_secs(u64::try_from(resets_at).unwrap_or(0).saturating_sub(now));
    html! {
        table {
            thead { tr {
                th scope="col" { "limit" } th scope="col" { "window" } th.number scope="col" { "used" }
                th.number scope="col" { "length" } th.number scope="col" { "over in" } th scope="col" { "told to" }
            } }
            tbody { @for (worker, ((limit, window), facts)) in account { tr {
                td { (limit) } td { (window) } td.number { (facts.used_percent) " %" }
                td.number { (facts.length.map_or_else(|| "–".to_owned(), time)) }
                td.number { (facts.resets_at.map_or_else(|| "–".to_owned(), |at| time(left(at)))) }
                td { (worker.name) }
            } } }
        }
    }
}

fn of_workers(workers: &[WorkerReport]) -> Markup {
    scroll(
        "Table of workers",
        &html! {
            table {
                thead { tr {
                    th scope="col" { "name" } th scope="col" { "state" } th.number scope="col" { "turns" }
                    th.number scope="col" { "memory" } th.number scope="col" { "age" } th scope="col" { "ended before" }
                } }
                tbody { @for worker in workers { tr {
                    td { (worker.name) }
                    td { (badge(if worker.state == "ready" { "good" } else { "calm" }, worker.state)) }
                    td.number { (worker.turns) }
                    td.number { (worker.resident_bytes.map_or_else(|| "–".to_owned(), size)) }
                    td.number { (worker.age.map_or_else(|| "–".to_owned(), time)) }
                    td {
                        @if worker.ended.is_empty() { "never" }
                        @for (why, times) in &worker.ended { (times) "× " (why) " " }
                    }
                } } }
            }
        },
    )
}
