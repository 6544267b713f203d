//! How much of the login's limits is used, on the answers of whoever uses them up.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_agent::{AccountWindow, Agent, WorkerReport};
use serde_json::{Value, json};

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

/// The fullest of each window.
type Told = [Option<AccountWindow>; 2];

impl AccountFacts {
    /// Says on an answer what is known; nothing where nothing is.
    pub(crate) fn tell(&self, headers: &mut HeaderMap, agent: &dyn Agent, now: Instant) {
        let unix_seconds = jiff::Timestamp::now().as_second();
        let told = self.fresh(now).unwrap_or_else(|| {
            let workers = agent.workers();
            let known = known(&workers, unix_seconds);
            let told = WINDOWS.map(|(name, ..)| fullest(&known, name));
            *self.lock() = Some((now, told));
            told
        });
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

/// What is known of each limit's windows that are not over: the most that a worker was told. What was used of one that is over
/// says nothing of the next.
pub(crate) fn known(workers: &[WorkerReport], now: i64) -> BTreeMap<(&str, &'static str), AccountWindow> {
    let mut known: BTreeMap<_, AccountWindow> = BTreeMap::new();
    for ((limit, name), window) in workers.iter().flat_map(|worker| &worker.account) {
        if window.resets_at.is_some_and(|at| at <= now) {
            continue;
        }
        let most = known.entry((limit.as_str(), *name)).or_insert(*window);
        if window.used_percent > most.used_percent {
            *most = *window;
        }
    }
    known
}

/// Windows of limits as `/readyz` and `portcullis status` tell them.
pub fn account_as_json<'a>(
    windows: impl IntoIterator<Item = ((impl AsRef<str>, &'a str), AccountWindow)>,
) -> Value {
    let told = windows.into_iter().map(|((limit, window), facts)| {
        json!({
            "limit": limit.as_ref(),
            "window": window,
            "used_percent": facts.used_percent,
            "window_seconds": facts.length.map(|length| length.as_secs()),
            "resets_at": facts.resets_at,
        })
    });
    told.collect()
}

fn fullest(
    known: &BTreeMap<(&str, &'static str), AccountWindow>,
    name: &'static str,
) -> Option<AccountWindow> {
    let windows = known.iter().filter(|((_, window), _)| *window == name).map(|(_, window)| *window);
    windows.max_by_key(|window| window.used_percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_limit_of_each_window_is_told_and_none_that_is_over() {
        let window = |used_percent, resets_at| AccountWindow {
            used_percent,
            length: None,
            resets_at: Some(resets_at),
        };
        let worker = |account: &[(&str, &'static str, i32, i64)]| WorkerReport {
            name: "codex-1".to_owned(),
            state: "ready",
            age: None,
            turns: 0,
            resident_bytes: None,
            ended: BTreeMap::new(),
            account: account
                .iter()
                .map(|(limit, name, used, resets_at)| {
                    (((*limit).to_owned(), *name), window(*used, *resets_at))
                })
                .collect(),
        };
        assert_eq!(known(&[worker(&[])], 0), BTreeMap::new());
        let workers = [
            worker(&[("codex", "primary", 40, 7), ("codex", "secondary", 90, 9)]),
            worker(&[("codex", "primary", 55, 8), ("other", "primary", 12, 9)]),
        ];
        let told = |now| {
            let known = known(&workers, now);
            let told: Vec<_> = known
                .iter()
                .map(|((limit, name), window)| format!("{limit} {name} {}", window.used_percent))
                .collect();
            (told.join(", "), ["primary", "secondary"].map(|name| fullest(&known, name)))
        };
        let all = "codex primary 55, codex secondary 90, other primary 12";
        assert_eq!(told(0), (all.to_owned(), [Some(window(55, 8)), Some(window(90, 9))]));
        let later = "codex secondary 90, other primary 12";
        assert_eq!(told(8), (later.to_owned(), [Some(window(12, 9)), Some(window(90, 9))]));
        assert_eq!(told(9), (String::new(), [None, None]));
    }
}
