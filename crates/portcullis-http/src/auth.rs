//! Who calls, and what they may do. Every route behind a key goes through [`admit`]; a handler that takes a
//! [`Caller`] on any other route fails.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use portcullis_access::{Grant, Principal, Scope, Unauthenticated};
use portcullis_agent::{PrincipalId, Profile};

use crate::app::App;
use crate::error::ApiError;

/// On a request: no more than this profile. On an answer: the profile of its turn.
const PROFILE: HeaderName = HeaderName::from_static("x-portcullis-profile");

/// An authenticated caller.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) principal: PrincipalId,
    pub(crate) grant: Arc<Grant>,
    /// The profile that the request asks for; at most the key's.
    asked: Option<Profile>,
}

/// Puts routes behind a key with a scope.
pub(crate) fn behind(app: &Arc<App>, scope: Scope, routes: Router<Arc<App>>) -> Router<Arc<App>> {
    routes.route_layer(from_fn_with_state(Door { app: Arc::clone(app), scope }, admit))
}

/// What stands before a group of routes.
#[derive(Clone)]
struct Door {
    app: Arc<App>,
    scope: Scope,
}

async fn admit(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    match Caller::of(&door, request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refused) => refused.into_response(),
    }
}

impl Caller {
    fn of(door: &Door, headers: &HeaderMap) -> Result<Self, ApiError> {
        let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let key = value.and_then(bearer).ok_or_else(ApiError::unauthenticated)?;
        let known = door.app.keys.authenticate(key, jiff::Timestamp::now());
        let principal = known.map_err(|why| match why {
            Unauthenticated::NotValid => ApiError::unauthenticated(),
            Unauthenticated::Expired => ApiError::expired_key(),
        })?;
        let Principal { ref grant, .. } = principal;
        if !grant.scopes.contains(&door.scope) {
            return Err(ApiError::scope_not_granted(door.scope));
        }
        let asked = headers.get(PROFILE).map(|word| asked_profile(word, grant.profile)).transpose()?;
        Ok(Self { principal: principal.id(), asked, grant: principal.grant })
    }

    /// The profile of a turn, under a name that may have one: what the request asks for, else the widest that both key
    /// and name allow.
    pub(crate) fn profile(&self, of_name: Option<Profile>) -> Result<Profile, ApiError> {
        let widest = of_name.unwrap_or(self.grant.profile);
        let wanted = self.asked.unwrap_or(widest);
        if widest > self.grant.profile || wanted > widest {
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

fn asked_profile(word: &HeaderValue, allowed: Profile) -> Result<Profile, ApiError> {
    let profile: Option<Profile> = word.to_str().ok().and_then(|word| word.parse().ok());
    let profile = profile.ok_or_else(ApiError::unknown_profile)?;
    if profile > allowed {
        return Err(ApiError::profile_not_allowed(profile, allowed));
    }
    Ok(profile)
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(ApiError::internal)
    }
}

/// `Bearer KEY`; the scheme is case-insensitive (RFC 9110, section 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, key) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}
