use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use portcullis_agent::Place;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::*;

/// A router with one thread, `t`, on which a turn is being started.
struct Started {
    router: Router,
    chores: mpsc::UnboundedReceiver<Chore>,
    events: EventReceiver,
    places: Arc<Semaphore>,
}

impl Started {
    #[expect(clippy::disallowed_methods, reason = "as the router's is; bounded by what a test does")]
    fn new() -> Self {
        let (sender, chores) = mpsc::unbounded_channel();
        let (router, places) = (Router::new(sender), Arc::new(Semaphore::new(1)));
        let in_worker = Arc::clone(&places).try_acquire_owned().unwrap();
        let held = HeldPlaces { _in_worker: in_worker, _among_all: Place::default() };
        let events = router.register("t".into(), TurnState::new([]), held, None);
        Self { router, chores, events, places }
    }

    fn told(&self, method: &str, params: &Value) {
        let params = serde_json::value::to_raw_value(params).unwrap();
        self.router.notify(Notification::parse(method, &params).unwrap());
    }

    fn begins(&self, turn: &str) {
        self.told("turn/started", &json!({"threadId": "t", "turn": {"id": turn, "status": "inProgress"}}));
    }

    fn says(&self, turn: &str, text: &str) {
        let delta = json!({"threadId": "t", "turnId": turn, "itemId": "m", "delta": text});
        self.told("item/agentMessage/delta", &delta);
    }

    fn ends(&self, turn: &str) {
        let turn = json!({"id": turn, "status": "completed", "error": null});
        self.told("turn/completed", &json!({"threadId": "t", "turn": turn}));
    }

    /// What its reader got so far.
    fn read(&mut self) -> Vec<String> {
        let mut got = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(event)) = self.events.poll_next(&mut cx) {
            got.push(match event {
                TurnEvent::Delta(delta) => delta.text,
                TurnEvent::Ended(outcome) => outcome.word().to_owned(),
                other => format!("{other:?}"),
            });
        }
        got
    }

    /// What the app-server is to be told.
    fn asked(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.chores.try_recv().ok()).map(|chore| format!("{chore:?}")).collect()
    }
}

const INTERRUPT: &str = "Interrupt { thread: ThreadId(t), turn: TurnId(u) }";
const RELEASE: &str = "Release { thread: ThreadId(t) }";

/// Before it, the injected items are told, as another turn's.
#[test]
fn a_turn_that_is_over_before_the_reply_to_its_start_is_heard() {
    let mut one = Started::new();
    one.says("injected", "not this");
    one.begins("u");
    one.says("injected", "nor this");
    one.says("u", "Hello.");
    one.ends("u");
    assert_eq!(one.places.available_permits(), 1);
    one.router.started("t", "u");
    one.router.abandon(&"t".into());
    assert_eq!(one.read(), ["Hello.", "completed"]);
    assert_eq!(one.asked(), [RELEASE]);
}

#[test]
fn a_turn_that_nobody_waits_for_is_stopped_as_soon_as_it_is_named() {
    let mut one = Started::new();
    one.router.abandon(&"t".into());
    assert_eq!(one.asked(), ["GiveUp { thread: ThreadId(t) }"]);
    one.begins("u");
    one.router.started("t", "u");
    one.says("u", "too late");
    assert_eq!((one.asked(), one.places.available_permits()), (vec![INTERRUPT.to_owned()], 0));
    one.ends("u");
    assert_eq!((one.asked(), one.places.available_permits()), (vec![RELEASE.to_owned()], 1));
    assert_eq!(one.read(), ["interrupted"]);
}

#[test]
fn a_thread_with_two_turns_fails() {
    let mut one = Started::new();
    one.begins("u");
    one.says("u", "Mine?");
    one.router.started("t", "other");
    one.says("u", "more");
    assert_eq!(one.read(), ["Mine?", "failed"]);
    assert_eq!(one.asked(), [INTERRUPT]);
}
