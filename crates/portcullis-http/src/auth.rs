//! Who calls, and what they may do. Every route behind a key goes through [`admit`]; a handler that takes a
//! [`Caller`] on any other route fails.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use portcullis_access::{Grant, Scope, Unauthenticated};
use portcullis_agent::{Place, PrincipalId, Profile, Queued};
use portcullis_audit::{Audit, Refusal, Why};

use crate::app::App;
use crate::error::ApiError;
use crate::rates;

/// On a request: no more than this profile. On an answer: the profile of its turn.
const PROFILE: HeaderName = HeaderName::from_static("x-portcullis-profile");

/// On an answer whose request had to wait for its turn: how many waited when it came, itself included.
const QUEUE_POSITION: HeaderName = HeaderName::from_static("x-portcullis-queue-position");

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// An authenticated caller.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) principal: PrincipalId,
    pub(crate) grant: Arc<Grant>,
    /// The profile that the request asks for; at most the key's.
    asked: Option<Profile>,
    audit: Audit,
    /// Where its turns queue.
    queued: Queued,
}

/// Puts routes behind a key with one of these scopes.
pub(crate) fn behind(app: &Arc<App>, scopes: &'static [Scope], routes: Router<Arc<App>>) -> Router<Arc<App>> {
    routes.route_layer(from_fn_with_state(Door { app: Arc::clone(app), scopes }, admit))
}

/// What stands before a group of routes.
#[derive(Clone)]
struct Door {
    app: Arc<App>,
    scopes: &'static [Scope],
}

async fn admit(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let caller = match Caller::of(&door, request.headers()) {
        Ok(caller) => caller,
        Err(refused) => return refused.into_response(),
    };
    let counted = door.app.rates.request(&caller.principal, caller.grant.limits, Instant::now());
    let queued = caller.queued.clone();
    request.extensions_mut().insert(caller);
    let mut response = match &counted {
        Some((_, Err(exceeded))) => ApiError::rate_exceeded(*exceeded).into_response(),
        Some((_, Ok(()))) | None => next.run(request).await,
    };
    if let Some((standing, _)) = &counted {
        rates::tell(response.headers_mut(), standing);
    }
    if door.scopes == [Scope::Inference] {
        door.app.account.tell(response.headers_mut(), &*door.app.agent, Instant::now());
    }
    if let Some(position) = queued.position() {
        response.headers_mut().insert(QUEUE_POSITION, HeaderValue::from(position));
    }
    response
}

impl Caller {
    fn of(door: &Door, headers: &HeaderMap) -> Result<Self, ApiError> {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let audit = &door.app.audit;
        let unknown = |error: ApiError| {
            audit.refused(Refusal::unauthenticated());
            error
        };
        // Image plug-ins send the key in a header of its own.
        let key = text(&header::AUTHORIZATION).and_then(bearer).or(text(&API_KEY).map(str::trim));
        let key = key.ok_or_else(|| unknown(ApiError::unauthenticated()))?;
        let known = door.app.keys.authenticate(key, jiff::Timestamp::now());
        let principal = known.map_err(|why| match why {
            Unauthenticated::NotValid => unknown(ApiError::unauthenticated()),
            Unauthenticated::Expired => unknown(ApiError::expired_key()),
        })?;
        let id = principal.id();
        let caller = Self {
            principal: id,
            asked: None,
            grant: principal.grant,
            audit: audit.clone(),
            queued: Queued::default(),
        };
        if !door.scopes.iter().any(|scope| caller.grant.scopes.contains(scope)) {
            // The first is the one that most keys would have it by.
            let [scope, ..] = door.scopes else { return Err(ApiError::internal()) };
            caller.refused(Why::Scope, scope.word());
            return Err(ApiError::scope_not_granted(*scope));
        }
        let asked = headers.get(PROFILE).map(|word| caller.asked_profile(word)).transpose()?;
        Ok(Self { asked, ..caller })
    }

    /// The place of a turn of this request.
    pub(crate) fn place(&self) -> Place {
        Place::within(self.grant.limits.turns).noting(&self.queued)
    }

    /// Writes down that the caller may not have this.
    pub(crate) fn refused(&self, why: Why, wanted: &str) {
        self.audit.refused(Refusal::of(&self.principal, why, wanted));
    }

    fn asked_profile(&self, word: &HeaderValue) -> Result<Profile, ApiError> {
        let profile: Option<Profile> = word.to_str().ok().and_then(|word| word.parse().ok());
        let (profile, allowed) = (profile.ok_or_else(ApiError::unknown_profile)?, self.grant.profile);
        if profile > allowed {
            self.refused(Why::Profile, profile.word());
            return Err(ApiError::profile_not_allowed(profile, allowed));
        }
        Ok(profile)
    }

    /// The profile of a turn, under a name that may have one: what the request asks for, else the widest that both key
    /// and name allow.
    pub(crate) fn profile(&self, of_name: Option<Profile>) -> Result<Profile, ApiError> {
        let widest = of_name.unwrap_or(self.grant.profile);
        let wanted = self.asked.unwrap_or(widest);
        if widest > self.grant.profile || wanted > widest {
            self.refused(Why::Profile, widest.max(wanted).word());
            return Err(ApiError::profile_not_allowed(widest.max(wanted), widest.min(self.grant.profile)));
        }
        Ok(wanted)
    }

    /// Everybody whose kept state this caller may read: itself, in every profile that its key allows.
    pub(crate) fn owners(&self) -> impl Iterator<Item = PrincipalId> {
        let allowed = Profile::ALL.into_iter().filter(|profile| *profile <= self.grant.profile);
        allowed.map(|profile| owner(&self.principal, profile))
    }

    /// Whose state this request makes, where no turn says it.
    pub(crate) fn owner(&self) -> PrincipalId {
        owner(&self.principal, self.asked.unwrap_or(self.grant.profile))
    }
}

/// Whose kept state a turn reads and writes. What was said in one profile is never read by a turn in another: a wider
/// one could be led by it, a narrower one could give it away.
pub(crate) fn owner(principal: &PrincipalId, profile: Profile) -> PrincipalId {
    match profile {
        Profile::Chat => principal.clone(),
        // No name of a key has an `@`.
        wider => PrincipalId::from(format!("{principal}@{wider}")),
    }
}

/// Says on an answer which profile its turn had.
pub(crate) fn tell_profile(response: &mut Response, profile: Profile) {
    response.headers_mut().insert(PROFILE, HeaderValue::from_static(profile.word()));
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(ApiError::internal)
    }
}

/// `Bearer KEY`; the scheme is case-insensitive (RFC 9110, section 11.1).
pub(crate) fn bearer(header: &str) -> Option<&str> {
    let (scheme, key) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}
