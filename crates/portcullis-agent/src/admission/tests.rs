use std::future::ready;

use super::*;
use crate::testing::{self, ByHand};
use crate::{TurnOptions, event_queue};

const WAIT: Duration = Duration::from_secs(30);

type Places = Arc<Mutex<Vec<Place>>>;

/// Runs turns that never say anything, and keeps their places until the test gives them back.
fn silent(places: &Places) -> ByHand {
    let places = Arc::clone(places);
    ByHand::new(move |request| {
        places.lock().unwrap().push(request.place);
        ready(Ok(testing::turn(event_queue(0).1)))
    })
}

/// Writes down what it sees.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl QueueWatcher for Notes {
    fn waiting(&self, queue: &'static str, count: usize) {
        assert_eq!(queue, "turns");
        self.0.lock().unwrap().push(format!("{count} wait"));
    }

    fn waited(&self, _queue: &'static str, time: Duration) {
        self.0.lock().unwrap().push(format!("one waited {} s", time.as_secs()));
    }

    fn refused(&self, _queue: &'static str, why: &'static str) {
        self.0.lock().unwrap().push(why.to_owned());
    }
}

fn request(who: &str) -> TurnRequest {
    TurnRequest::new("r".into(), who.into(), Profile::Chat, TurnOptions::new("m".into(), WAIT))
}

struct Bench {
    agent: Admission<ByHand>,
    places: Places,
    notes: Arc<Notes>,
}

fn bench(turns: usize, queue: usize) -> Bench {
    let (places, notes) = (Places::default(), Arc::new(Notes::default()));
    let limits = AdmissionLimits { turns, profiles: [turns; 3], queue, wait: WAIT };
    let agent = Admission::new(silent(&places), "turns", limits, Arc::clone(&notes) as _);
    let bench = Bench { agent, places, notes };
    assert_eq!(bench.notes(), ["0 wait"]);
    bench
}

impl Bench {
    /// The oldest turn has ended at the worker.
    fn end_one(&self) {
        let place = self.places.lock().unwrap().remove(0);
        drop(place);
    }

    fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.0.lock().unwrap())
    }
}

fn retry_after(refused: Result<Turn, AgentError>) -> Duration {
    match refused {
        Err(AgentError { kind: ErrorKind::Busy { retry_after: Some(wait) }, .. }) => wait,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_is_free_when_the_agent_says_so_and_not_when_the_reader_leaves() {
    let bench = bench(1, 4);
    let turn = bench.agent.start_turn(request("a")).await.unwrap();
    drop(turn);
    let second = bench.agent.start_turn(request("b"));
    tokio::pin!(second);
    let waits = tokio::time::timeout(Duration::from_secs(10), second.as_mut()).await;
    assert!(waits.is_err(), "two turns in one place");
    bench.end_one();
    second.await.unwrap();
    assert_eq!(bench.notes(), ["1 wait", "0 wait", "one waited 10 s"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_hears_when_to_come_back() {
    let bench = bench(1, 1);
    let _first = bench.agent.start_turn(request("a")).await.unwrap();
    tokio::time::advance(Duration::from_secs(8)).await;
    let began = Instant::now();
    let (late, full) =
        tokio::join!(bench.agent.start_turn(request("b")), bench.agent.start_turn(request("c")));
    assert_eq!(began.elapsed(), WAIT);
    assert_eq!(retry_after(full), Duration::from_secs(10), "one waits, turns last five seconds at a guess");
    assert_eq!(retry_after(late), Duration::from_secs(5));
    assert_eq!(bench.notes(), ["1 wait", "full", "0 wait", "late"]);
    // The queue is empty again, and what was seen counts.
    bench.end_one();
    let _second = bench.agent.start_turn(request("d")).await.unwrap();
    let late = bench.agent.start_turn(request("e")).await;
    assert_eq!(retry_after(late), Duration::from_secs(38));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_waiting_leaves_no_trace() {
    let bench = bench(1, 1);
    let _first = bench.agent.start_turn(request("a")).await.unwrap();
    for _ in 0..3 {
        let left = tokio::time::timeout(Duration::from_secs(1), bench.agent.start_turn(request("b"))).await;
        assert!(left.is_err());
    }
    bench.notes();
    bench.end_one();
    // Nobody was let in in the place of one who left.
    assert_eq!(bench.agent.gate.lock().schedule.waiting(), 0);
    assert!(bench.agent.gate.lock().waiting.is_empty());
    bench.agent.start_turn(request("c")).await.unwrap();
    assert_eq!(bench.notes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_full_itself_is_answered_with_a_time_too() {
    let limits = AdmissionLimits { turns: 2, profiles: [2; 3], queue: 2, wait: WAIT };
    let full = ByHand::new(|_request| ready(Err(ErrorKind::Busy { retry_after: None }.into())));
    let agent = Admission::new(full, "turns", limits, Arc::new(Notes::default()));
    for _ in 0..5 {
        assert!(retry_after(agent.start_turn(request("a")).await) < Duration::from_mins(1));
    }
}

#[tokio::test(start_paused = true)]
async fn other_limits_let_in_who_may_run_now_and_end_nobody() {
    let bench = bench(1, 8);
    let limiter = bench.agent.limiter();
    let limits = |turns, chat| AdmissionLimits { turns, profiles: [chat, 9, 9], queue: 1, wait: WAIT };
    let _first = bench.agent.start_turn(request("a")).await.unwrap();
    let (second, third) = (bench.agent.start_turn(request("a")), bench.agent.start_turn(request("b")));
    tokio::pin!(second, third);
    let soon = Duration::from_secs(1);
    assert!(tokio::time::timeout(soon, second.as_mut()).await.is_err());
    assert!(tokio::time::timeout(soon, third.as_mut()).await.is_err());
    // Fewer in the queue than wait: they stay, and the next one is refused.
    limiter.set(limits(9, 2));
    second.await.unwrap();
    assert!(tokio::time::timeout(soon, third.as_mut()).await.is_err(), "the profile has its limit still");
    assert!(bench.agent.start_turn(request("c")).await.is_err());
    limiter.set(limits(1, 1));
    bench.end_one();
    assert!(tokio::time::timeout(soon, third.as_mut()).await.is_err(), "one runs, and one may");
    bench.end_one();
    third.await.unwrap();
    assert_eq!(bench.agent.gate.lock().schedule.waiting(), 0);
}
