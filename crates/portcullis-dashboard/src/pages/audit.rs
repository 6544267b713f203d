//! The last lines of the audit log, and whether its chain is whole.

use maud::{Markup, html};
use portcullis_audit::Line;

use super::{Page, badge, page, scroll};
use crate::session::Operator;
use crate::views::timestamp;

/// What the page shows of the log.
#[derive(Debug)]
pub(crate) struct AuditView {
    /// What the check of the chain said, if it was asked for: the last line's number and hash, or what is broken.
    pub(crate) chain: Option<Result<(u64, String), String>>,
    /// Why it cannot be written, if so.
    pub(crate) failure: Option<String>,
    /// The last lines, the newest first.
    pub(crate) lines: Vec<Line>,
}

/// `None`: no log is kept.
pub(crate) fn audit(operator: &Operator, view: Option<&AuditView>) -> Markup {
    page(
        Page::Audit,
        operator,
        &html! {
            @match view {
                None => p { "No audit log is kept (" code { "audit.enabled" } ")." },
                Some(view) => {
                    p {
                        @match &view.chain {
                            None => a href="/dashboard/audit?check" { "Check the whole chain" },
                            Some(Ok((last, hash))) => { (badge("good", "whole")) " The chain is whole up to line " (last) ", whose hash is " code.id { (hash) } "." }
                            Some(Err(why)) => { (badge("bad", "broken")) " " (why) }
                        }
                    }
                    @if let Some(failure) = &view.failure { p.alert role="alert" { "It cannot be written: " (failure) } }
                    @if view.lines.is_empty() { p { "The log is empty." } }
                    @else { (scroll("Audit", &table(&view.lines))) }
                }
            }
        },
    )
}

fn table(lines: &[Line]) -> Markup {
    html! {
        table {
            thead { tr {
                th.number scope="col" { "line" } th scope="col" { "when" } th scope="col" { "who" } th scope="col" { "fact" }
                th scope="col" { "what" } th scope="col" { "request" }
            } }
            tbody { @for line in lines { tr {
                td.number { (line.seq) }
                td { (timestamp(line.at)) }
                td { (line.who) }
                td { (line.event) }
                td.what { @for (name, value) in line.fields.iter().filter(|(name, _)| *name != "prev") {
                    span.field { (name) "=" (value.as_str().map_or_else(|| value.to_string(), str::to_owned)) } " "
                } }
                td.id { (line.request.as_deref().unwrap_or_default()) }
            } } }
        }
    }
}
