//! A place to try a key: the script asks the gateway as any client does.

use maud::{Markup, html};

use super::{Page, page};
use crate::session::Operator;

pub(crate) fn playground(operator: &Operator, draws: bool) -> Markup {
    page(
        Page::Playground,
        operator,
        &html! {
            noscript { p.alert { "This page needs JavaScript: a browser streams an answer with nothing else. The others do not." } }
            p.note { "What is typed here goes to this gateway only, and is kept nowhere. Each try is a real turn." }
            form.fields id="try" {
                div { label for="key" { "API key" } input id="key" type="password" autocomplete="off" required spellcheck="false"; }
                div { label for="model" { "Model" } input id="model" value="codex" required autocomplete="off"; }
                div.wide { label for="prompt" { "Prompt" } textarea id="prompt" rows="4" required { "Say hello in five words." } }
                div.row.wide {
                    button type="submit" name="what" value="chat" { "Ask" }
                    @if draws { button type="submit" name="what" value="picture" { "Draw" } }
                    button.quiet id="stop" type="button" disabled { "Stop" }
                }
            }
            section aria-labelledby="answer" {
                h2 id="answer" { "Answer" }
                p.note id="facts" role="status" { "Nothing was asked yet." }
                div.card id="output" tabindex="0" role="region" aria-label="What came back" {}
            }
        },
    )
}
