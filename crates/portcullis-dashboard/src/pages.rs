//! The pages: pure, from values to HTML. Whatever they show is escaped where it stands.

mod approvals;
mod audit;
mod codex;
mod confinement;
mod keys;
mod overview;
mod pictures;
mod playground;
mod requests;
mod sign_in;
mod usage;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use maud::{DOCTYPE, Markup, html};

use crate::guard::TOKEN;
use crate::session::Operator;

pub(crate) use approvals::approvals;
pub(crate) use audit::{AuditView, audit};
pub(crate) use codex::codex;
pub(crate) use confinement::confinement;
pub(crate) use keys::{Shown, keys};
pub(crate) use overview::{Overview, live, overview};
pub(crate) use pictures::{PicturesView, no_pictures, pictures, pictures_path};
pub(crate) use playground::playground;
pub(crate) use requests::requests;
pub(crate) use sign_in::sign_in;
pub(crate) use usage::usage;

/// The pages that the navigation leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Page {
    Overview,
    Requests,
    Usage,
    Keys,
    Approvals,
    Pictures,
    Codex,
    Confinement,
    Audit,
    Playground,
}

impl Page {
    const ALL: [Self; 10] = [
        Self::Overview,
        Self::Requests,
        Self::Usage,
        Self::Keys,
        Self::Approvals,
        Self::Pictures,
        Self::Codex,
        Self::Confinement,
        Self::Audit,
        Self::Playground,
    ];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Overview => "/dashboard",
            Self::Requests => "/dashboard/requests",
            Self::Usage => "/dashboard/usage",
            Self::Keys => "/dashboard/keys",
            Self::Approvals => "/dashboard/approvals",
            Self::Pictures => "/dashboard/pictures",
            Self::Codex => "/dashboard/codex",
            Self::Confinement => "/dashboard/confinement",
            Self::Audit => "/dashboard/audit",
            Self::Playground => "/dashboard/playground",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Requests => "Requests",
            Self::Usage => "Usage",
            Self::Keys => "Keys",
            Self::Approvals => "Approvals",
            Self::Pictures => "Pictures",
            Self::Codex => "Codex",
            Self::Confinement => "Confinement",
            Self::Audit => "Audit",
            Self::Playground => "Playground",
        }
    }
}

/// A page of somebody who is signed in.
fn page(which: Page, operator: &Operator, content: &Markup) -> Markup {
    document(
        which.title(),
        &html! {
            a.skip href="#main" { "To the content" }
            header {
                p.brand { "Portcullis" }
                nav aria-label="Pages" {
                    ul {
                        @for page in Page::ALL {
                            li { a href=(page.path()) aria-current=[(page == which).then_some("page")] { (page.title()) } }
                        }
                    }
                }
                (button(operator, "/dashboard/sign-out", "Sign out", "quiet"))
            }
            main id="main" {
                h1 { (which.title()) }
                (content)
            }
        },
    )
}

fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " – Portcullis" }
                link rel="stylesheet" href="/dashboard/style.css";
                link rel="icon" href="data:,";
                script src="/dashboard/script.js" defer {}
            }
            body { (body) }
        }
    }
}

/// The field that makes a form one of this session's.
fn token(operator: &Operator) -> Markup {
    html! { input type="hidden" name=(TOKEN) value=(operator.form_token()); }
}

/// A form of one button.
fn button(operator: &Operator, action: &str, label: &str, class: &str) -> Markup {
    html! {
        form method="post" action=(action) {
            (token(operator))
            button class=(class) type="submit" { (label) }
        }
    }
}

/// A table that scrolls by itself where the window is narrow.
fn scroll(label: &str, table: &Markup) -> Markup {
    html! { div.scroll role="region" aria-label=(label) tabindex="0" { (table) } }
}

/// A word with a colour that says the same.
fn badge(class: &str, word: &str) -> Markup {
    html! { span class=(format!("badge {class}")) { (word) } }
}

/// What is said instead of doing what was asked.
pub(crate) fn refusal(status: StatusCode, title: &str, text: &str) -> Response {
    let body = html! {
        main id="main" {
            h1 { (title) }
            p { (text) }
            p { a href="/dashboard" { "To the overview" } }
        }
    };
    (status, document(title, &body)).into_response()
}
