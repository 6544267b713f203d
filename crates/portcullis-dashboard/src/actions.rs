//! What the operator does here. A key is made and a question approved only with a line in the audit log; what takes something
//! away is done in any case, and written down as well as can be.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use camino::Utf8Path;
use jiff::Timestamp;
use maud::Markup;
use portcullis_access::{Grant, KeyError, KeyLimits, KeyStore, NewKey, Scope};
use portcullis_agent::Verdict;
use portcullis_audit::{AuditError, Entry, Fact, OPERATOR, Text};
use secrecy::ExposeSecret as _;

use crate::guard::{Fields, Form};
use crate::pages::{AuditView, Page, Shown};
use crate::parts::Parts;
use crate::routes::{Dashboard, Id};

/// What is said where an act could not be written down.
const UNWRITTEN: &str = "Nothing was done: it could not be written into the audit log. The log says why.";
/// How many lines of the audit log are shown.
const LINES: usize = 200;

type Given = State<Arc<Dashboard>>;

pub(crate) async fn create_key(State(dashboard): Given, form: Form) -> Response {
    let Form { operator, fields } = form;
    let now = Timestamp::now();
    let grant = match grant(&fields, now) {
        Ok(grant) => grant,
        Err(why) => return dashboard.keys_page(&operator, Shown::Fault(&why)).await,
    };
    let (name, of_key) = (fields.get("name").to_owned(), grant.clone());
    let made = with_keys(&dashboard, move |keys| keys.create(&name, &of_key, now)).await;
    let key = match made {
        Ok(key) => key,
        Err(why) => return dashboard.keys_page(&operator, Shown::Fault(&why)).await,
    };
    let scopes: Vec<_> = grant.scopes.iter().map(ToString::to_string).collect();
    let fact = Fact::KeyCreated {
        key: Text::new(&key.id),
        name: Text::new(&key.name),
        profile: grant.profile,
        scopes: Text::new(&scopes.join(" ")),
    };
    if dashboard.parts.audit.append(Entry::new(OPERATOR, fact)).await.is_err() {
        // A key that nobody could account for must not be good.
        let id = key.id;
        let _told = with_keys(&dashboard, move |keys| keys.revoke(&id)).await;
        return dashboard.keys_page(&operator, Shown::Fault(UNWRITTEN)).await;
    }
    show(&dashboard, &operator, &key).await
}

pub(crate) async fn rotate_key(State(dashboard): Given, Path(id): Id, form: Form) -> Response {
    let rotated = with_keys(&dashboard, move |keys| keys.rotate(&id, Duration::ZERO, Timestamp::now())).await;
    let key = match rotated {
        Ok(key) => key,
        Err(why) => return dashboard.keys_page(&form.operator, Shown::Fault(&why)).await,
    };
    let fact = Fact::KeyRotated { key: Text::new(&key.id), name: Text::new(&key.name) };
    // The old secret is not good any more, so that the new one is shown in any case; its writer tells what was lost.
    let _written = dashboard.parts.audit.append(Entry::new(OPERATOR, fact)).await;
    show(&dashboard, &form.operator, &key).await
}

pub(crate) async fn revoke_key(State(dashboard): Given, Path(id): Id, form: Form) -> Response {
    match with_keys(&dashboard, move |keys| keys.revoke(&id)).await {
        Ok(gone) => {
            let fact = Fact::KeyRevoked { key: Text::new(&gone.id), name: Text::new(&gone.name) };
            let _written = dashboard.parts.audit.append(Entry::new(OPERATOR, fact)).await;
            Redirect::to(Page::Keys.path()).into_response()
        }
        Err(why) => dashboard.keys_page(&form.operator, Shown::Fault(&why)).await,
    }
}

async fn show(dashboard: &Dashboard, operator: &crate::session::Operator, key: &NewKey) -> Response {
    dashboard.keys_page(operator, Shown::Key { name: &key.name, secret: key.secret.expose_secret() }).await
}

/// Does something with the file of the keys, and says in a sentence why not.
async fn with_keys<T: Send + 'static>(
    dashboard: &Dashboard,
    act: impl FnOnce(&KeyStore) -> Result<T, KeyError> + Send + 'static,
) -> Result<T, String> {
    let keys = Arc::clone(&dashboard.keys);
    match tokio::task::spawn_blocking(move || act(&keys)).await {
        Ok(done) => done.map_err(|error| format!("Nothing was done: {error}.")),
        Err(_ended) => Err("Nothing was done: the gateway is stopping.".to_owned()),
    }
}

/// What the form says that a key may do.
fn grant(fields: &Fields, now: Timestamp) -> Result<Grant, String> {
    let number = |name: &str, what: &str| match fields.get(name) {
        "" => Ok(None),
        text => text.parse::<NonZeroU32>().map(Some).map_err(|_| format!("{what} is a number above zero.")),
    };
    let scopes = Scope::ALL.into_iter().filter(|scope| !fields.get(&format!("scope-{scope}")).is_empty());
    let models = fields.get("models").split(',').map(str::trim).filter(|name| !name.is_empty());
    let expires = match number("days", "The number of days")? {
        Some(days) => {
            let end = now.checked_add(Duration::from_hours(24) * days.get());
            Some(end.map_err(|_| "The key would end after the end of time.".to_owned())?)
        }
        None => None,
    };
    let grant = Grant {
        profile: fields.get("profile").parse().map_err(|unknown| format!("{unknown}."))?,
        models: models.map(str::to_owned).collect(),
        scopes: scopes.collect(),
        limits: KeyLimits {
            turns: number("turns", "The number of turns")?,
            requests_per_minute: number("requests", "The number of requests")?,
            tokens_per_minute: number("tokens", "The number of tokens")?,
        },
        expires,
    };
    if grant.scopes.is_empty() { Err("A key that opens nothing is of no use.".to_owned()) } else { Ok(grant) }
}

/// A yes is in the audit log before the agent hears it; where it cannot be written, it is a no.
pub(crate) async fn decide(State(dashboard): Given, Path(id): Id, form: Form) -> Markup {
    let yes = form.fields.get("decision") == "approve";
    let Some(waiting) = dashboard.parts.approvals.take(&id) else {
        return dashboard.approvals_page(&form.operator, Some("That question does not wait any more."));
    };
    let verdict = if yes { Verdict::Approved } else { Verdict::Declined };
    let entry = Entry::decided(OPERATOR, waiting.approval(), verdict);
    if dashboard.parts.audit.append(entry).await.is_err() && yes {
        drop(waiting);
        return dashboard.approvals_page(&form.operator, Some(UNWRITTEN));
    }
    let said = match (waiting.answer(yes), yes) {
        (true, true) => "Approved.",
        (true, false) => "Declined.",
        (false, _) => "Its turn was over already.",
    };
    dashboard.approvals_page(&form.operator, Some(said))
}

pub(crate) async fn interrupt(State(dashboard): Given, Path(number): Path<u64>, _form: Form) -> Redirect {
    if let Some(head) = dashboard.parts.turns.interrupt(number) {
        dashboard.parts.audit.note(Entry::by_operator(head.request, Fact::TurnInterrupted));
    }
    Redirect::to(Page::Overview.path())
}

pub(crate) async fn begin_sign_in(State(dashboard): Given, _form: Form) -> Redirect {
    dashboard.parts.sign_in.begin().await;
    Redirect::to(Page::Codex.path())
}

pub(crate) async fn cancel_sign_in(State(dashboard): Given, _form: Form) -> Redirect {
    dashboard.parts.sign_in.cancel().await;
    Redirect::to(Page::Codex.path())
}

/// The last lines, and the state of the chain if it is asked for: that reads the whole log. `None` where no log is kept.
pub(crate) async fn read_audit(parts: &Parts, check: bool) -> Result<Option<AuditView>, AuditError> {
    let Some(dir) = parts.audit_dir.clone() else { return Ok(None) };
    let failure = parts.audit.state().and_then(|state| state.failure);
    let read = tokio::task::spawn_blocking(move || {
        let chain = if check { Some(chain(&dir)?) } else { None };
        Ok((chain, portcullis_audit::read_last(&dir, LINES)?))
    });
    match read.await {
        Ok(read) => read.map(|(chain, lines)| Some(AuditView { chain, failure, lines })),
        Err(_ended) => Ok(None),
    }
}

/// The last line's number and hash, or what is broken.
fn chain(dir: &Utf8Path) -> Result<Result<(u64, String), String>, AuditError> {
    Ok(match portcullis_audit::verify(dir)? {
        Ok(whole) => Ok((whole.files.last().map_or(0, |file| file.last), whole.last.to_string())),
        Err(broken) => Err(broken.to_string()),
    })
}
