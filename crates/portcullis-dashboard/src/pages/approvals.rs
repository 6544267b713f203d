//! What agents ask.

use std::time::SystemTime;

use maud::{Markup, html};
use portcullis_agent::Approval;

use super::{Page, badge, page, token};
use crate::session::Operator;
use crate::views::{ago, time};

/// `said`: what became of the last answer.
pub(crate) fn approvals(
    operator: &Operator,
    waiting: &[Approval],
    said: Option<&str>,
    now: SystemTime,
) -> Markup {
    page(
        Page::Approvals,
        operator,
        &html! {
            @if let Some(said) = said { p.alert role="status" { (said) } }
            p.note { "Agents ask before they act where " code { "approvals.read" } " or " code { "approvals.work" } " is "
                code { "ask" } ". A model wrote what stands here. What is not answered is declined." }
            @if waiting.is_empty() { p { "Nothing waits for an answer." } }
            @for approval in waiting { (one(operator, approval, now)) }
        },
    )
}

fn one(operator: &Operator, approval: &Approval, now: SystemTime) -> Markup {
    let question = &approval.question;
    let left = approval.expires_at.duration_since(now).unwrap_or_default();
    html! {
        article.card {
            h2 { (badge("calm", question.kind.word())) " of " (question.principal) }
            pre tabindex="0" aria-label="What it is about" { code { (question.about) } }
            p.note { "In the profile " (question.profile) ", asked " (ago(approval.asked_at, now)) ", declined in " (time(left))
                "; request " span.id { (question.request) } }
            form.row method="post" action=(format!("/dashboard/approvals/{}", approval.id)) {
                (token(operator))
                button type="submit" name="decision" value="approve" { "Approve" }
                button.danger type="submit" name="decision" value="decline" { "Decline" }
            }
        }
    }
}
