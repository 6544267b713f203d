//! The only page for who is not signed in.

use maud::{Markup, html};

use super::document;

/// Why the last try failed, if there was one.
pub(crate) fn sign_in(failed: Option<&str>) -> Markup {
    document(
        "Sign in",
        &html! {
            main.narrow id="main" {
                h1 { "Portcullis" }
                p { "This is the dashboard of the gateway's operator. Its one-time code comes from a command on the machine:" }
                pre { code { "portcullis dashboard" } }
                form method="post" action="/dashboard/sign-in" {
                    label for="code" { "One-time code" }
                    input id="code" name="code" type="password" autocomplete="off" required autofocus
                        aria-describedby=[failed.map(|_| "failed")];
                    @if let Some(failed) = failed { p.alert id="failed" role="alert" { (failed) } }
                    button type="submit" { "Sign in" }
                }
                p.note { "A code is good once, for ten minutes. An API key does not open this page." }
            }
        },
    )
}
