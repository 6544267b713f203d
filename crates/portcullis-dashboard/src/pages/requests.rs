//! The last turns, without anything that was said in them.

use std::time::SystemTime;

use maud::{Markup, html};
use portcullis_agent::PastTurn;

use super::{Page, badge, page, scroll};
use crate::session::Operator;
use crate::views::{ago, count, time};

pub(crate) fn requests(operator: &Operator, ended: &[PastTurn], now: SystemTime) -> Markup {
    page(
        Page::Requests,
        operator,
        &html! {
            p.note { "The last 200 turns since the gateway started, the newest first. What was asked and answered is not kept. \
                Requests that were refused before a turn are in the audit log." }
            @if ended.is_empty() { p { "No turn has ended yet." } }
            @else { (scroll("Requests", &table(ended, now))) }
        },
    )
}

fn table(ended: &[PastTurn], now: SystemTime) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "ended" } th scope="col" { "outcome" } th scope="col" { "key" } th scope="col" { "model" }
                th scope="col" { "profile" } th.number scope="col" { "first event" } th.number scope="col" { "duration" }
                th.number scope="col" { "input" } th.number scope="col" { "output" } th scope="col" { "request" }
            } }
            tbody { @for turn in ended { tr {
                td { (ago(turn.ended, now)) }
                td {
                    (badge(match turn.outcome { "completed" => "good", "failed" => "bad", _ => "calm" }, turn.outcome))
                    @if !turn.error.is_empty() { " " (turn.error) }
                }
                td { (turn.head.principal) }
                td { (turn.head.model) @if turn.head.draws { " (picture)" } }
                td { (turn.head.profile) }
                td.number { (turn.first_event.map_or_else(|| "–".to_owned(), time)) }
                td.number { (time(turn.duration)) }
                td.number { (count(turn.usage.input)) }
                td.number { (count(turn.usage.output)) }
                td.id { (turn.head.request) }
            } } }
        }
    }
}
