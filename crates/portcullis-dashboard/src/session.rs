//! Sessions: in memory, by the hash of what stands in the cookie. A restart of the gateway ends them all.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use crate::token;

/// How long one may rest.
const IDLE: Duration = Duration::from_hours(1);
/// How long one may last.
pub(crate) const LONGEST: Duration = Duration::from_hours(12);
/// How many there may be; one more ends the one that has rested longest.
const MOST: usize = 16;

/// Who is signed in.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

#[derive(Debug)]
struct Session {
    began: Instant,
    used: Instant,
    /// Stands in every form of the session's pages.
    form: SecretString,
}

/// A session that is good now.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    id: [u8; 32],
    form: SecretString,
}

impl Sessions {
    /// Begins a session, and returns what goes into its cookie.
    pub(crate) fn begin(&self, now: Instant) -> Result<SecretString, getrandom::Error> {
        let (cookie, form) = (token::new()?, token::new()?);
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.is_good(now));
        if sessions.len() >= MOST
            && let Some(oldest) = sessions.iter().min_by_key(|(_, session)| session.used).map(|(id, _)| *id)
        {
            sessions.remove(&oldest);
        }
        sessions.insert(token::hash(cookie.expose_secret()), Session { began: now, used: now, form });
        Ok(cookie)
    }

    /// Whose cookie this is.
    pub(crate) fn find(&self, cookie: &str, now: Instant) -> Option<Operator> {
        let id = token::hash(cookie);
        let mut sessions = self.lock();
        let session = sessions.get_mut(&id).filter(|session| session.is_good(now))?;
        session.used = now;
        Some(Operator { id, form: session.form.clone() })
    }

    /// Ends a session.
    pub(crate) fn end(&self, operator: &Operator) {
        self.lock().remove(&operator.id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn is_good(&self, now: Instant) -> bool {
        now.duration_since(self.used) < IDLE && now.duration_since(self.began) < LONGEST
    }
}

impl Operator {
    /// What stands in the forms of this session, and in no other's.
    pub(crate) fn form_token(&self) -> &str {
        self.form.expose_secret()
    }

    /// Whether a form is of this session.
    pub(crate) fn wrote(&self, token: &str) -> bool {
        self.form_token().as_bytes().ct_eq(token.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_by_rest_by_age_by_hand_and_by_number() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let begin = |now| sessions.begin(now).unwrap();
        let is_good = |cookie: &SecretString, now| sessions.find(cookie.expose_secret(), now).is_some();
        let cookie = begin(start);
        assert!(sessions.find("", start).is_none() && sessions.find("guess", start).is_none());
        let mut now = start;
        while now + IDLE / 2 < start + LONGEST {
            now += IDLE / 2;
            assert!(is_good(&cookie, now));
        }
        assert!(!is_good(&cookie, start + LONGEST), "it is too old");

        let rested = begin(now);
        assert!(!is_good(&rested, now + IDLE));
        let (one, other) = (begin(now), begin(now));
        let operator = sessions.find(one.expose_secret(), now).unwrap();
        let of_other = sessions.find(other.expose_secret(), now).unwrap();
        assert!(operator.wrote(operator.form_token()));
        assert!(!operator.wrote(of_other.form_token()) && !operator.wrote(""));
        sessions.end(&operator);
        assert!(!is_good(&one, now) && is_good(&other, now));

        let first = begin(now);
        for _ in 0..MOST {
            begin(now + Duration::from_secs(1));
        }
        assert!(!is_good(&first, now + Duration::from_secs(1)));
    }
}
