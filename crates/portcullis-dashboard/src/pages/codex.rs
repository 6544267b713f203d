//! Codex's login.

use maud::{Markup, html};
use portcullis_agent::Condition;

use super::{Page, badge, button, page};
use crate::parts::SignInState;
use crate::session::Operator;

pub(crate) fn codex(operator: &Operator, login: Option<&Condition>, state: &SignInState) -> Markup {
    page(
        Page::Codex,
        operator,
        &html! {
            section aria-labelledby="login" {
                h2 id="login" { "Login" }
                @match login {
                    Some(login) => p { (badge(if login.ok { "good" } else { "bad" }, if login.ok { "signed in" } else { "not signed in" })) " " (login.message) },
                    None => p { "The worker has not said yet who is signed in." },
                }
            }
            section aria-labelledby="sign" {
                h2 id="sign" { "Sign Codex in" }
                p.note { "Codex keeps the login in its own home; Portcullis never reads it. Your account stays yours: this gateway is for its \
                    one operator." }
                (steps(operator, state))
            }
        },
    )
}

fn steps(operator: &Operator, state: &SignInState) -> Markup {
    let begin = |label| button(operator, Page::Codex.path(), label, "");
    html! {
        @match state {
            SignInState::Idle => (begin("Begin")),
            SignInState::Beginning => {
                p role="status" { "Codex asks for a code …" }
                p { a href=(Page::Codex.path()) { "Look again" } }
            }
            SignInState::Waiting { url, code } => {
                ol {
                    li { "Open " a href=(url) rel="noreferrer noopener" target="_blank" { (url) } "." }
                    li { "Type in this code: " code.secret { (code) } }
                }
                p { "Type it only on that page, and give it to nobody." }
                div.row {
                    p { a href=(Page::Codex.path()) { "Look again" } }
                    (button(operator, "/dashboard/codex/cancel", "Give up", "quiet"))
                }
            }
            SignInState::Done(who) => {
                p role="status" { "Signed in: " (who) ". The worker notices it by itself." }
                (begin("Sign in again"))
            }
            SignInState::Failed(why) => {
                p.alert role="alert" { "It failed: " (why) }
                (begin("Try again"))
            }
        }
    }
}
