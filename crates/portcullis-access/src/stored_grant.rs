//! A grant as it stands in the key file: words and numbers, absent where it is the default.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use jiff::Timestamp;
use portcullis_agent::Profile;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::grant::{Grant, KeyLimits, Scope};

/// A grant as stored. Words are read by [`StoredGrant::read`] and not by serde, whose sentences quote the file.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct StoredGrant {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    models: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    turns: Option<NonZeroU32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requests_per_minute: Option<NonZeroU32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens_per_minute: Option<NonZeroU32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    #[serde(flatten)]
    later: Map<String, Value>,
}

impl StoredGrant {
    pub(crate) fn of(grant: &Grant) -> Self {
        let Grant { profile, models, scopes, limits, expires } = grant;
        let standard = Grant::default();
        Self {
            profile: (*profile != standard.profile).then(|| profile.word().to_owned()),
            models: models.clone(),
            scopes: (*scopes != standard.scopes)
                .then(|| scopes.iter().map(|scope| scope.word().to_owned()).collect()),
            turns: limits.turns,
            requests_per_minute: limits.requests_per_minute,
            tokens_per_minute: limits.tokens_per_minute,
            expires: *expires,
            later: Map::new(),
        }
    }

    /// The grant, or which word is not one and what would be.
    pub(crate) fn read(&self) -> Result<Grant, String> {
        let standard = Grant::default();
        let profile = match &self.profile {
            Some(word) => word.parse::<Profile>().map_err(|unknown| unknown.to_string())?,
            None => standard.profile,
        };
        let scopes = match &self.scopes {
            Some(words) => {
                let scopes = words.iter().map(|word| word.parse::<Scope>());
                scopes.collect::<Result<_, _>>().map_err(|unknown| unknown.to_string())?
            }
            None => standard.scopes,
        };
        let limits = KeyLimits {
            turns: self.turns,
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
        };
        Ok(Grant { profile, models: self.models.clone(), scopes, limits, expires: self.expires })
    }

    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { profile, models, scopes, turns, requests_per_minute, tokens_per_minute, expires, later } =
            self;
        profile.is_none()
            && models.is_empty()
            && scopes.is_none()
            && [turns, requests_per_minute, tokens_per_minute].into_iter().all(Option::is_none)
            && expires.is_none()
            && later.is_empty()
    }
}
