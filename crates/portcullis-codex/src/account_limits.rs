//! How much of its limits an account has used, as one app-server was told by the provider.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use portcullis_agent::AccountWindow;
use portcullis_app_server_protocol::{AccountLimitsReadResponse, RateLimitWindow, RateLimits};

/// How many windows are kept: the provider names them.
const MOST: usize = 32;

/// By the limit's name and its window.
type Windows = BTreeMap<(String, &'static str), AccountWindow>;

/// What was said last.
#[derive(Debug, Default)]
pub(crate) struct AccountLimits(Mutex<Windows>);

impl AccountLimits {
    /// Takes over what is said, and keeps what nothing is said of.
    pub(crate) fn saw(&self, limits: RateLimits) {
        let RateLimits { limit_id, primary, secondary } = limits;
        let name = limit_id.unwrap_or_else(|| "codex".to_owned());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (which, window) in [("primary", primary), ("secondary", secondary)] {
            let Some(RateLimitWindow { used_percent, window_duration_mins, resets_at }) = window else {
                continue;
            };
            let key = (name.clone(), which);
            if known.len() >= MOST && !known.contains_key(&key) {
                continue;
            }
            let minutes = window_duration_mins.and_then(|minutes| u64::try_from(minutes).ok());
            let length = minutes.map(|minutes| Duration::from_secs(minutes.saturating_mul(60)));
            known.insert(key, AccountWindow { used_percent, length, resets_at });
        }
    }

    /// Takes over an answer to who asked.
    pub(crate) fn heard(&self, answer: AccountLimitsReadResponse) {
        let AccountLimitsReadResponse { rate_limits, rate_limits_by_limit_id } = answer;
        match rate_limits_by_limit_id {
            None => self.saw(rate_limits),
            Some(all) => {
                for (name, limits) in all {
                    self.saw(RateLimits { limit_id: Some(name), ..limits });
                }
            }
        }
    }

    /// Everything that is known.
    pub(crate) fn all(&self) -> Windows {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
