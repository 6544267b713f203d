use std::future::ready;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::*;
use crate::testing::{self, ByHand};
use crate::{
    Admission, AdmissionLimits, Delta, DeltaKind, EventSender, Place, Profile, QueueWatcher, TurnOptions,
    Usage, event_queue,
};

const WAIT: Duration = Duration::from_secs(10);

/// Turns that run: each keeps its place until the test lets go of it.
type Running = Arc<Mutex<Vec<(EventSender, Place)>>>;

fn by_hand(running: &Running) -> ByHand {
    let running = Arc::clone(running);
    ByHand::new(move |request| {
        let (sender, receiver) = event_queue(1024);
        running.lock().unwrap().push((sender, request.place));
        ready(Ok(testing::turn(receiver)))
    })
}

/// Remembers what was told last.
#[derive(Default)]
struct Notes {
    waiting: Mutex<usize>,
    open: Mutex<Vec<bool>>,
}

impl QueueWatcher for Notes {
    fn waiting(&self, _queue: &'static str, count: usize) {
        *self.waiting.lock().unwrap() = count;
    }

    fn waited(&self, _queue: &'static str, _time: Duration) {}

    fn refused(&self, _queue: &'static str, why: &'static str) {
        panic!("the queue refused a turn: {why}");
    }
}

impl BreakerWatcher for Notes {
    fn circuit(&self, name: &'static str, open: bool) {
        assert_eq!(name, "provider");
        self.open.lock().unwrap().push(open);
    }
}

/// A breaker around a queue, as in the gateway.
struct Bench {
    agent: Breaker<Admission<ByHand>>,
    running: Running,
    notes: Arc<Notes>,
}

fn bench(turns: usize, failures: u64) -> Bench {
    let (running, notes) = (Running::default(), Arc::new(Notes::default()));
    let limits = AdmissionLimits { turns, profiles: [turns; 3], queue: 8, wait: Duration::from_hours(1) };
    let agent = Admission::new(by_hand(&running), "turns", limits, Arc::clone(&notes) as _);
    let limits = BreakerLimits { failures, wait: WAIT };
    Bench { agent: Breaker::new(agent, "provider", limits, Arc::clone(&notes) as _), running, notes }
}

fn request() -> TurnRequest {
    TurnRequest::new("r".into(), "p".into(), Profile::Chat, TurnOptions::new("m".into(), WAIT))
}

type Starting<'a> = BoxFuture<'a, Result<Turn, AgentError>>;

impl Bench {
    async fn start(&self) -> Turn {
        self.agent.start_turn(request()).await.unwrap()
    }

    /// One more that waits in the queue.
    fn queue(&self) -> Starting<'_> {
        let mut starting = self.agent.start_turn(request());
        assert!((&mut starting).now_or_never().is_none());
        starting
    }

    /// The oldest running turn says this, and its reader reads it; the place is kept.
    async fn says(&self, turn: &mut Turn, event: TurnEvent) {
        self.running.lock().unwrap()[0].0.send(event).unwrap();
        turn.next().await.unwrap();
    }

    /// The oldest running turn lets go of its place.
    fn end_one(&self) {
        let ended = self.running.lock().unwrap().remove(0);
        drop(ended);
    }

    /// A whole turn that ends so.
    async fn run(&self, outcome: Outcome) {
        let mut turn = self.start().await;
        self.says(&mut turn, TurnEvent::Ended(outcome)).await;
        self.end_one();
    }

    fn waiting(&self) -> usize {
        *self.notes.waiting.lock().unwrap()
    }
}

fn failed() -> Outcome {
    Outcome::Failed(ErrorKind::Upstream.into())
}

/// How long a turn is refused for, if it is.
fn refused(started: Result<Turn, AgentError>) -> Option<Duration> {
    match started {
        Err(AgentError { kind: ErrorKind::ProviderDown { retry_after }, .. }) => Some(retry_after),
        Err(other) => panic!("{other:?}"),
        Ok(_) => None,
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_when_the_circuit_opens_is_refused_at_once() {
    let bench = bench(1, 2);
    bench.run(failed()).await;
    let mut last = bench.start().await;
    let queued = [bench.queue(), bench.queue(), bench.queue()];
    assert_eq!(bench.waiting(), 3);
    bench.says(&mut last, TurnEvent::Ended(failed())).await;
    // One is let in at the same moment, and does not begin either.
    bench.end_one();
    for starting in queued {
        assert_eq!(refused(starting.now_or_never().expect("it waits still")), Some(WAIT));
    }
    assert_eq!((bench.waiting(), bench.running.lock().unwrap().len()), (0, 0));

    // Those that were refused are no failures: the next trial that fails doubles the wait once.
    tokio::time::advance(WAIT).await;
    bench.run(failed()).await;
    assert_eq!(refused(bench.agent.start_turn(request()).await), Some(2 * WAIT));
    assert_eq!(*bench.notes.open.lock().unwrap(), [false, true]);
}

/// A trial that finds no free place waits for one, is not refused with others, and its answer closes the circuit.
#[tokio::test(start_paused = true)]
async fn who_tries_may_wait_for_its_place() {
    let bench = bench(2, 1);
    let mut first = bench.start().await;
    let slow = bench.start().await;
    bench.says(&mut first, TurnEvent::Ended(failed())).await;
    bench.end_one();
    tokio::time::advance(WAIT).await;
    let silent = bench.start().await;
    assert_eq!(refused(bench.agent.start_turn(request()).await), Some(WAIT), "one tries at a time");
    tokio::time::advance(WAIT).await;
    let mut trial = bench.queue();
    drop((slow, silent));
    assert!((&mut trial).now_or_never().is_none(), "its place is not free yet");
    bench.end_one();
    bench.end_one();
    let mut trial = trial.await.unwrap();
    let word = Delta { item: "i".into(), kind: DeltaKind::Message, text: "word".to_owned() };
    bench.says(&mut trial, TurnEvent::Delta(word)).await;
    assert_eq!(*bench.notes.open.lock().unwrap(), [false, true, false]);
    bench.start().await;
}

/// The model's call for a picture is a step with a cost, and no picture.
#[tokio::test(start_paused = true)]
async fn what_a_step_cost_does_not_show_that_the_provider_works() {
    let bench = bench(1, 2);
    for _ in 0..2 {
        let mut turn = bench.start().await;
        bench.says(&mut turn, TurnEvent::StepCompleted(Usage::default())).await;
        bench.says(&mut turn, TurnEvent::Ended(failed())).await;
        bench.end_one();
    }
    assert_eq!(refused(bench.agent.start_turn(request()).await), Some(WAIT));
}
