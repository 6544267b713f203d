//! API keys: who has one, and what it may do.

use jiff::Timestamp;
use maud::{Markup, html};
use portcullis_access::{Grant, KeyInfo, Scope};
use portcullis_agent::Profile;

use super::{Page, badge, page, scroll, token};
use crate::session::Operator;
use crate::views::timestamp;

/// What is shown besides the list.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shown<'a> {
    /// Nothing.
    Nothing,
    /// A key that was just made or rotated. This is the only time that it is shown.
    Key {
        /// Its name.
        name: &'a str,
        /// The key.
        secret: &'a str,
    },
    /// Why nothing was done.
    Fault(&'a str),
}

pub(crate) fn keys(operator: &Operator, keys: &[KeyInfo], shown: Shown<'_>, now: Timestamp) -> Markup {
    page(
        Page::Keys,
        operator,
        &html! {
            @match shown {
                Shown::Nothing => {}
                Shown::Key { name, secret } => {
                    div.alert role="status" {
                        p { "The key " strong { (name) } ", which is shown only now:" }
                        p { code.secret { (secret) } }
                    }
                }
                Shown::Fault(why) => { p.alert role="alert" { (why) } }
            }
            @if keys.is_empty() { p { "There is no key yet." } }
            @else { (scroll("Keys", &table(operator, keys, now))) }
            section aria-labelledby="new" {
                h2 id="new" { "Make a key" }
                (form(operator))
            }
        },
    )
}

fn table(operator: &Operator, keys: &[KeyInfo], now: Timestamp) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "name" } th scope="col" { "id" } th scope="col" { "profile" } th scope="col" { "opens" }
                th scope="col" { "models" } th scope="col" { "limits" } th scope="col" { "made" } th scope="col" { "ends" }
                th scope="col" { span.hidden { "Act" } }
            } }
            tbody { @for key in keys { tr {
                td { (key.name) }
                td.id { (key.id) }
                td { (key.grant.profile) }
                td { (words(key.grant.scopes.iter().map(ToString::to_string))) }
                td { @if key.grant.models.is_empty() { "all" } @else { (words(key.grant.models.iter().cloned())) } }
                td { (limits(&key.grant)) }
                td { (timestamp(key.created)) }
                td { @match key.grant.expires {
                    None => "never",
                    Some(_) if key.grant.is_expired(now) => (badge("bad", "expired")),
                    Some(end) => (timestamp(end)),
                } }
                td.acts {
                    (act(operator, &key.id, "rotate", "Rotate", &key.name, ""))
                    (act(operator, &key.id, "revoke", "Revoke", &key.name, "danger"))
                }
            } } }
        }
    }
}

fn act(operator: &Operator, id: &str, what: &str, label: &str, name: &str, class: &str) -> Markup {
    html! {
        form method="post" action=(format!("/dashboard/keys/{id}/{what}")) {
            (token(operator))
            button class=(class) type="submit" aria-label=(format!("{label} {name}")) { (label) }
        }
    }
}

fn words(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

fn limits(grant: &Grant) -> String {
    let limits = grant.limits;
    let said = [
        limits.turns.map(|most| format!("{most} turns")),
        limits.requests_per_minute.map(|most| format!("{most} requests/min")),
        limits.tokens_per_minute.map(|most| format!("{most} tokens/min")),
    ];
    let said: Vec<_> = said.into_iter().flatten().collect();
    if said.is_empty() { "none".to_owned() } else { said.join(", ") }
}

fn form(operator: &Operator) -> Markup {
    let number = |name: &str, label: &str| {
        html! { div { label for=(name) { (label) } input id=(name) name=(name) type="number" min="1" max="1000000000"; } }
    };
    html! {
        form.fields method="post" action=(Page::Keys.path()) {
            (token(operator))
            div { label for="name" { "Name" } input id="name" name="name" required maxlength="64" autocomplete="off"; }
            div {
                label for="profile" { "Profile" }
                select id="profile" name="profile" { @for profile in Profile::ALL {
                    option value=(profile.word()) { (profile.word()) }
                } }
            }
            fieldset {
                legend { "Opens" }
                @for scope in Scope::ALL {
                    label.check {
                        input type="checkbox" name=(format!("scope-{scope}")) value="yes" checked[Scope::DEFAULT.contains(&scope)];
                        " " (scope)
                    }
                }
            }
            div { label for="models" { "Models (separated by commas; empty: all)" } input id="models" name="models" autocomplete="off"; }
            (number("turns", "Turns at once"))
            (number("requests", "Requests per minute"))
            (number("tokens", "Tokens per minute"))
            (number("days", "Ends after days"))
            button type="submit" { "Make the key" }
        }
    }
}
