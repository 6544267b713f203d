//! What was asked of the machine for every process, and what it gives.

use maud::{Markup, html};

use super::{Page, badge, page, scroll};
use crate::parts::{Fact, Weakening};
use crate::session::Operator;

pub(crate) fn confinement(operator: &Operator, facts: &[Fact], weakenings: &[Weakening]) -> Markup {
    page(
        Page::Confinement,
        operator,
        &html! {
            (scroll("Confinement", &html! {
                table {
                    thead { tr { th scope="col" { "of" } th scope="col" { "asked" } th scope="col" { "got" } th scope="col" { span.hidden { "Verdict" } } } }
                    tbody { @for fact in facts { tr {
                        td { (fact.of) } td { (fact.asked) } td { (fact.got) }
                        td { @if fact.is_less { (badge("bad", "less")) } @else { (badge("good", "as asked")) } }
                    } } }
                }
            }))
            @if !weakenings.is_empty() {
                h2 { "Weaker than it could be" }
                ul { @for weakening in weakenings { li { (weakening.what) ". " span.note { (weakening.hint) } } } }
            }
            p.note { code { "portcullis doctor" } " tries the barriers of every profile with a probe and says what it found." }
        },
    )
}
