//! How fast keys use what they may use: requests and tokens in a minute.
//!
//! A bucket per key and kind, full at first, that is refilled evenly. A request takes one at its beginning. Tokens are
//! taken when the provider has counted them, so that a bucket of tokens may go below nothing: whoever has used too much
//! waits until it is above again. Estimates are never charged.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portcullis_agent::PrincipalId;

use crate::KeyLimits;

const MINUTE: f64 = 60.0;

/// More accounts than keys are not held; those that are full say nothing.
const TIDY_ABOVE: usize = 1024;

/// The rates of all keys that have such limits.
#[derive(Debug, Default)]
pub struct Rates(Mutex<HashMap<PrincipalId, Account>>);

/// Where a key stands; absent where it has no limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing {
    /// Its requests.
    pub requests: Option<Share>,
    /// Its tokens.
    pub tokens: Option<Share>,
}

/// Where a key stands with one of its limits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Share {
    /// In a minute.
    pub limit: u32,
    /// What is left now.
    pub remaining: u32,
    /// Until all of it is there again.
    pub reset: Duration,
}

/// A key has used too much.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Exceeded {
    /// `requests` or `tokens`.
    pub what: &'static str,
    /// Its limit in a minute.
    pub limit: u32,
    /// When there is something again.
    pub retry_after: Duration,
}

#[derive(Debug, Default)]
struct Account {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    limit: NonZeroU32,
    /// At `at`.
    level: f64,
    at: Instant,
}

impl Bucket {
    /// The bucket of a limit at this time: the same one refilled, or a full one where there was none with this limit.
    fn of(limit: NonZeroU32, before: Option<Self>, now: Instant) -> Self {
        let full = f64::from(limit.get());
        let level = before.filter(|before| before.limit == limit).map_or(full, |before| {
            let passed = now.saturating_duration_since(before.at).as_secs_f64();
            (before.level + passed * full / MINUTE).min(full)
        });
        Self { limit, level, at: now }
    }

    /// Until the level is this high.
    fn until(&self, level: f64) -> Duration {
        let missing = (level - self.level).max(0.0);
        Duration::from_secs_f64(missing * MINUTE / f64::from(self.limit.get()))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between nothing and the limit"
    )]
    fn share(&self) -> Share {
        let limit = self.limit.get();
        let remaining = self.level.clamp(0.0, f64::from(limit)) as u32;
        Share { limit, remaining, reset: self.until(f64::from(limit)) }
    }

    fn check(&self, what: &'static str) -> Result<(), Exceeded> {
        if self.level >= 1.0 {
            return Ok(());
        }
        Err(Exceeded { what, limit: self.limit.get(), retry_after: self.until(1.0) })
    }
}

impl Rates {
    fn lock(&self) -> MutexGuard<'_, HashMap<PrincipalId, Account>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one request of a key, if it may make one now, and says where it stands then. `None` where the key has no
    /// such limits.
    pub fn request(
        &self,
        who: &PrincipalId,
        limits: KeyLimits,
        now: Instant,
    ) -> Option<(Standing, Result<(), Exceeded>)> {
        if limits.requests_per_minute.is_none() && limits.tokens_per_minute.is_none() {
            return None;
        }
        let mut accounts = self.lock();
        if accounts.len() > TIDY_ABOVE {
            accounts.retain(|_, account| !account.is_full(now));
        }
        let account = accounts.entry(who.clone()).or_default();
        account.requests = limits.requests_per_minute.map(|limit| Bucket::of(limit, account.requests, now));
        account.tokens = limits.tokens_per_minute.map(|limit| Bucket::of(limit, account.tokens, now));
        let checked = account.requests.map_or(Ok(()), |bucket| bucket.check("requests"));
        let checked = checked.and_then(|()| account.tokens.map_or(Ok(()), |bucket| bucket.check("tokens")));
        if checked.is_ok()
            && let Some(requests) = &mut account.requests
        {
            requests.level -= 1.0;
        }
        let share = |bucket: &Option<Bucket>| bucket.as_ref().map(Bucket::share);
        Some((Standing { requests: share(&account.requests), tokens: share(&account.tokens) }, checked))
    }

    /// Takes tokens that a turn of this key has used.
    pub fn spent(&self, who: &PrincipalId, tokens: u64, now: Instant) {
        if let Some(Account { tokens: Some(bucket), .. }) = self.lock().get_mut(who) {
            *bucket = Bucket::of(bucket.limit, Some(*bucket), now);
            // No turn has so many that the difference matters.
            bucket.level -= f64::from(u32::try_from(tokens).unwrap_or(u32::MAX));
        }
    }
}

impl Account {
    fn is_full(&self, now: Instant) -> bool {
        let full = |bucket: &Bucket| Bucket::of(bucket.limit, Some(*bucket), now).share().reset.is_zero();
        [&self.requests, &self.tokens].into_iter().flatten().all(full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits(requests: u32, tokens: u32) -> KeyLimits {
        KeyLimits {
            turns: None,
            requests_per_minute: NonZeroU32::new(requests),
            tokens_per_minute: NonZeroU32::new(tokens),
        }
    }

    fn share(limit: u32, remaining: u32, reset: Duration) -> Share {
        Share { limit, remaining, reset }
    }

    #[test]
    fn requests_are_refilled_evenly_and_never_beyond_the_limit() {
        let (rates, who, start) = (Rates::default(), PrincipalId::from("a"), Instant::now());
        let ask = |after: Duration| rates.request(&who, limits(2, 0), start + after).unwrap();
        assert_eq!(ask(Duration::ZERO).0.requests, Some(share(2, 1, 30 * SECOND)));
        assert_eq!(ask(Duration::ZERO).0.requests, Some(share(2, 0, 60 * SECOND)));
        let exceeded = Exceeded { what: "requests", limit: 2, retry_after: 20 * SECOND };
        // What is refused costs nothing.
        for _ in 0..3 {
            assert_eq!(ask(SECOND * 10).1, Err(exceeded));
        }
        assert_eq!(ask(SECOND * 30).1, Ok(()));
        assert_eq!(ask(SECOND * 3600).0.requests, Some(share(2, 1, 30 * SECOND)));
        // A clock that stands still or goes back changes nothing.
        assert_eq!(ask(SECOND * 3600).0.requests, Some(share(2, 0, 60 * SECOND)));
        assert!(ask(SECOND * 3599).1.is_err());
        // Another key has its own; a key without limits has none.
        let other = PrincipalId::from("b");
        assert_eq!(rates.request(&other, limits(2, 0), start).unwrap().1, Ok(()));
        assert_eq!(rates.request(&other, KeyLimits::default(), start), None);
    }

    #[test]
    fn tokens_are_charged_afterwards_and_may_go_below_nothing() {
        let (rates, who, start) = (Rates::default(), PrincipalId::from("a"), Instant::now());
        let ask = |after: Duration| rates.request(&who, limits(0, 600), start + after).unwrap();
        assert_eq!(
            ask(Duration::ZERO),
            (Standing { requests: None, tokens: Some(share(600, 600, Duration::ZERO)) }, Ok(()))
        );
        rates.spent(&who, 500, start);
        assert_eq!(ask(Duration::ZERO).0.tokens, Some(share(600, 100, 50 * SECOND)));
        rates.spent(&who, 700, start);
        let (standing, refused) = ask(Duration::ZERO);
        assert_eq!(standing.tokens, Some(share(600, 0, 120 * SECOND)));
        let wait = refused.unwrap_err();
        assert_eq!((wait.what, wait.limit), ("tokens", 600));
        assert!(ask(wait.retry_after.saturating_sub(SECOND / 100)).1.is_err());
        assert!(ask(wait.retry_after + SECOND / 100).1.is_ok());
        // Who has no account has no limit to charge.
        rates.spent(&PrincipalId::from("nobody"), 5, start);
        assert_eq!(rates.lock().len(), 1);
    }

    #[test]
    fn a_new_limit_is_a_new_bucket_and_full_accounts_are_forgotten() {
        let (rates, start) = (Rates::default(), Instant::now());
        let who = PrincipalId::from("a");
        assert!(rates.request(&who, limits(1, 0), start).unwrap().1.is_ok());
        assert!(rates.request(&who, limits(1, 0), start).unwrap().1.is_err());
        assert_eq!(
            rates.request(&who, limits(3, 0), start).unwrap().0.requests,
            Some(share(3, 2, 20 * SECOND))
        );
        for number in 0..=TIDY_ABOVE {
            rates.request(&PrincipalId::from(format!("key {number}")), limits(1, 0), start);
        }
        rates.request(&who, limits(3, 0), start + 90 * SECOND);
        assert_eq!(rates.lock().len(), 1);
    }
}
