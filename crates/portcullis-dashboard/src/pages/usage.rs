//! What was used in the last thirty days, as the provider counted it.

use jiff::civil::Date;
use maud::{Markup, html};
use portcullis_store::LedgerSum;

use super::{Page, page, scroll};
use crate::session::Operator;
use crate::views::count;

/// `None`: the store did not say.
pub(crate) fn usage(operator: &Operator, sums: Option<&[LedgerSum]>, from: Date) -> Markup {
    page(
        Page::Usage,
        operator,
        &html! {
            p.note { "Since " (from) " (UTC), as the provider reported it; nothing is an estimate. All of it, also as CSV: "
                code { "portcullis usage" } " or " code { "GET /v1/usage" } "." }
            @match sums {
                None => p.alert role="alert" { "The store cannot be read just now. The log says why." },
                Some([]) => p { "Nothing was used." },
                Some(sums) => (scroll("Usage", &table(sums))),
            }
        },
    )
}

fn table(sums: &[LedgerSum]) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "day" } th scope="col" { "key" } th scope="col" { "model" }
                th.number scope="col" { "turns" } th.number scope="col" { "failed" } th.number scope="col" { "input" }
                th.number scope="col" { "cached" } th.number scope="col" { "output" } th.number scope="col" { "reasoning" }
                th.number scope="col" { "pictures" } th.number scope="col" { "unreported" }
            } }
            tbody { @for LedgerSum { day, principal, model, tally } in sums.iter().rev() { tr {
                td { @if let Some(day) = day { (day) } }
                td { @if let Some(principal) = principal { (principal) } }
                td { @if let Some(model) = model { (model) } }
                @for figure in [tally.turns, tally.failed, tally.input, tally.cached_input, tally.output, tally.reasoning,
                    tally.pictures, tally.unreported] { td.number { (count(figure)) } }
            } } }
        }
    }
}
