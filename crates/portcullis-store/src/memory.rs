//! Everything in this process, for a gateway that shall leave nothing on disk, and for tests.
//!
//! Bounded by bytes of text. When a write does not fit, the oldest finished responses are forgotten; only when that is
//! not enough is the store full. One mutex guards all of it: nothing waits while holding it.

mod conversations;
mod ledger;
mod responses;
mod state;

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use self::state::State;

/// A store that is gone when the process ends.
pub struct Memory {
    state: Mutex<State>,
}

impl Memory {
    /// An empty store for at most `max_bytes` of text; ids and bookkeeping come on top.
    pub fn new(max_bytes: u64) -> Self {
        Self { state: Mutex::new(State::new(max_bytes)) }
    }

    /// A panic inside of the lock can only come from the allocator, before anything was changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};

    use super::Memory;

    fn fresh() -> Ready<Option<(Memory, ())>> {
        ready(Some((Memory::new(1 << 30), ())))
    }

    crate::contract_tests!(fresh);

    #[tokio::test]
    async fn a_full_memory_forgets_the_oldest_finished_response_and_refuses_when_none_is_left() {
        use crate::contract::support::{finished, id, new, principal};
        use crate::{Responses, Status, StoreError};

        let store = Memory::new(10_000);
        let large = "x".repeat(4_000);
        for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
            let n = i64::try_from(n).expect("a small number");
            Responses::create(&store, finished(name, n, &large)).await.expect("there is room");
        }
        assert!(Responses::get(&store, &principal(), &id("a")).await.expect("readable").is_none());
        assert!(Responses::get(&store, &principal(), &id("c")).await.expect("readable").is_some());

        for name in ["d", "e"] {
            let running = crate::NewResponse { body: large.clone(), status: Status::InProgress, ..new(name) };
            Responses::create(&store, running).await.expect("there is room");
        }
        let body = "x".repeat(9_000);
        let refused = store.update_body(&id("d"), Status::InProgress, body).await;
        assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
        assert_eq!(Responses::stored_bytes(&store).await.expect("readable"), 8_000);
    }
}
