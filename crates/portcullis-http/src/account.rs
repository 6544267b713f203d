//! How much of the login's limits is used, on the answers of whoever uses them up.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_agent::{AccountWindow, Agent, WorkerReport};

/// How old what is told may be: asking the workers costs some system calls.
const FRESH: Duration = Duration::from_secs(5);

/// Of a window: how much is used, and in how many seconds it is over.
const WINDOWS: [(&str, HeaderName, HeaderName); 2] = [
    (
        "primary",
        HeaderName::from_static("x-portcullis-account-primary-used-percent"),
        HeaderName::from_static("x-portcullis-account-primary-reset-after"),
    ),
    (
        "secondary",
        HeaderName::from_static("x-portcullis-account-secondary-used-percent"),
        HeaderName::from_static("x-portcullis-account-secondary-reset-after"),
    ),
];

/// What the workers said last, for a few seconds.
#[derive(Debug, Default)]
pub(crate) struct AccountFacts(Mutex<Option<(Instant, Told)>>);

/// The fullest limit of each window.
type Told = [Option<AccountWindow>; 2];

impl AccountFacts {
    /// Says on an answer what is known; nothing where nothing is.
    pub(crate) fn tell(&self, headers: &mut HeaderMap, agent: &dyn Agent, now: Instant) {
        let told = self.fresh(now).unwrap_or_else(|| {
            let told = fullest(&agent.workers());
            *self.lock() = Some((now, told));
            told
        });
        let unix_seconds = jiff::Timestamp::now().as_second();
        for ((_, used, reset), window) in WINDOWS.into_iter().zip(told) {
            let Some(window) = window else { continue };
            headers.insert(used, HeaderValue::from(window.used_percent));
            if let Some(resets_at) = window.resets_at {
                headers.insert(reset, HeaderValue::from(resets_at.saturating_sub(unix_seconds).max(0)));
            }
        }
    }

    /// What is known, if it is not too old. Who finds it so asks again, and others do not wait for that.
    fn fresh(&self, now: Instant) -> Option<Told> {
        let mut last = self.lock();
        let (at, told) = last.as_mut()?;
        if now.duration_since(*at) < FRESH {
            return Some(*told);
        }
        *at = now;
        None
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, Told)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fullest(workers: &[WorkerReport]) -> Told {
    WINDOWS.map(|(name, ..)| {
        let windows = workers.iter().flat_map(|worker| &worker.account);
        let windows = windows.filter(|((_, window), _)| *window == name).map(|(_, window)| *window);
        windows.max_by_key(|window| window.used_percent)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_fullest_limit_of_each_window_is_told() {
        let window = |used_percent| AccountWindow { used_percent, length: None, resets_at: Some(7) };
        let worker = |account: &[(&str, &'static str, i32)]| WorkerReport {
            name: "codex-1".to_owned(),
            state: "ready",
            age: None,
            turns: 0,
            resident_bytes: None,
            ended: BTreeMap::new(),
            account: account
                .iter()
                .map(|(limit, name, used)| (((*limit).to_owned(), *name), window(*used)))
                .collect(),
        };
        assert_eq!(fullest(&[worker(&[])]), [None, None]);
        let workers = [
            worker(&[("codex", "primary", 40), ("codex", "secondary", 90)]),
            worker(&[("codex", "primary", 55), ("other", "primary", 12)]),
        ];
        assert_eq!(fullest(&workers), [Some(window(55)), Some(window(90))]);
    }
}
