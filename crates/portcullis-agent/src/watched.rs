//! `Watched<A>`: an agent whose turns stand on a [`TurnBoard`], where they can be seen and interrupted.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;

use crate::interrupt::Interrupt;
use crate::turn_board::{PastTurn, TurnBoard, TurnHead, TurnPhase};
use crate::{
    Agent, AgentError, Capabilities, Model, Outcome, Readiness, ToolOutput, Turn, TurnEvent, TurnRequest,
    TurnSource, Usage, WorkerReport,
};

/// Puts every turn on a board, from the moment that it is asked for.
#[derive(Debug)]
pub struct Watched<A> {
    inner: A,
    board: TurnBoard,
}

impl<A> Watched<A> {
    /// Wraps an agent.
    pub fn new(inner: A, board: TurnBoard) -> Self {
        Self { inner, board }
    }
}

#[async_trait]
impl<A: Agent> Agent for Watched<A> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn models(&self) -> Result<Vec<Model>, AgentError> {
        self.inner.models().await
    }

    async fn readiness(&self) -> Readiness {
        self.inner.readiness().await
    }

    fn workers(&self) -> Vec<WorkerReport> {
        self.inner.workers()
    }

    async fn start_turn(&self, request: TurnRequest) -> Result<Turn, AgentError> {
        let interrupt = Arc::new(Interrupt::default());
        let mut mark = Mark::make(&self.board, TurnHead::of(&request), &interrupt);
        // Dropped while it waits, it leaves the board with its mark.
        let started = tokio::select! {
            started = self.inner.start_turn(request) => started,
            () = interrupt.while_waiting() => {
                return Ok(Turn::new("none".into(), "none".into(), WatchedTurn { interrupt, mark }));
            }
        };
        match started {
            Ok(turn) => {
                self.board.phase(mark.number, TurnPhase::Running);
                Ok(turn.map_source(|source| {
                    interrupt.began(source);
                    WatchedTurn { interrupt, mark }
                }))
            }
            Err(error) => {
                mark.ended("failed", error.kind.word());
                Err(error)
            }
        }
    }
}

/// A turn's mark on the board.
struct Mark {
    board: TurnBoard,
    number: u64,
    head: TurnHead,
    started: Instant,
    first_event: Option<Duration>,
    usage: Usage,
    over: bool,
}

impl Mark {
    fn make(board: &TurnBoard, head: TurnHead, interrupt: &Arc<Interrupt>) -> Self {
        Self {
            board: board.clone(),
            number: board.begin(head.clone(), Arc::clone(interrupt), SystemTime::now()),
            head,
            started: Instant::now(),
            first_event: None,
            usage: Usage::default(),
            over: false,
        }
    }

    fn see(&mut self, event: &TurnEvent) {
        self.first_event.get_or_insert_with(|| self.started.elapsed());
        match event {
            TurnEvent::StepCompleted(usage) => self.usage += *usage,
            TurnEvent::ToolCalls(_) => self.board.phase(self.number, TurnPhase::Parked),
            TurnEvent::Ended(outcome) => {
                let error = if let Outcome::Failed(error) = outcome { error.kind.word() } else { "" };
                self.ended(outcome.word(), error);
            }
            _ => {}
        }
    }

    fn ended(&mut self, outcome: &'static str, error: &'static str) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let past = PastTurn {
            head: self.head.clone(),
            ended: SystemTime::now(),
            outcome,
            error,
            usage: self.usage,
            first_event: self.first_event,
            duration: self.started.elapsed(),
        };
        self.board.end(self.number, past);
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // Its client left: that is an interruption, too.
        self.ended(Outcome::Interrupted.word(), "");
    }
}

struct WatchedTurn {
    interrupt: Arc<Interrupt>,
    mark: Mark,
}

impl TurnSource for WatchedTurn {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<TurnEvent>> {
        match self.interrupt.poll_next(cx) {
            Poll::Ready(Some(event)) => {
                self.mark.see(&event);
                Poll::Ready(Some(event))
            }
            Poll::Ready(None) if !self.mark.over => {
                self.mark.ended(Outcome::Interrupted.word(), "");
                Poll::Ready(Some(TurnEvent::Ended(Outcome::Interrupted)))
            }
            polled => polled,
        }
    }

    fn answer(&mut self, outputs: Vec<ToolOutput>) -> Result<(), AgentError> {
        self.interrupt.answer(outputs)?;
        self.mark.board.phase(self.mark.number, TurnPhase::Running);
        Ok(())
    }
}

impl Drop for WatchedTurn {
    fn drop(&mut self) {
        // The board may still hold the interrupt for a moment.
        self.interrupt.left();
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::{Mutex, Weak};
    use std::time::Duration;

    use super::*;
    use crate::testing::ByHand;
    use crate::{CallId, EventReceiver, EventSender, Profile, ToolCall, TurnOptions, event_queue};

    /// Alive as long as its second part is.
    struct Source(EventReceiver, #[expect(dead_code, reason = "only whether it lives is asked")] Arc<()>);

    impl TurnSource for Source {
        fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<TurnEvent>> {
            self.0.poll_next(cx)
        }

        fn answer(&mut self, _outputs: Vec<ToolOutput>) -> Result<(), AgentError> {
            Ok(())
        }
    }

    fn request() -> TurnRequest {
        let options = TurnOptions::new("m".into(), Duration::from_secs(1));
        TurnRequest::new("r".into(), "p".into(), Profile::Chat, options)
    }

    async fn started() -> (Turn, EventSender, Weak<()>, TurnBoard) {
        let (sender, receiver) = event_queue(1024);
        let alive = Arc::new(());
        let source = Arc::downgrade(&alive);
        let began = Mutex::new(Some(Source(receiver, alive)));
        let agent = ByHand::new(move |_request| {
            let began = began.lock().unwrap().take().unwrap();
            ready(Ok(Turn::new("thread".into(), "turn".into(), began)))
        });
        let board = TurnBoard::default();
        let agent = Watched::new(agent, board.clone());
        (agent.start_turn(request()).await.unwrap(), sender, source, board)
    }

    fn phases(board: &TurnBoard) -> Vec<&'static str> {
        board.running().iter().map(|turn| turn.phase.word()).collect()
    }

    fn outcomes(board: &TurnBoard) -> Vec<&'static str> {
        board.ended().iter().map(|turn| turn.outcome).collect()
    }

    #[tokio::test]
    async fn a_turn_is_seen_from_its_request_to_its_end() {
        let (mut turn, sender, _source, board) = started().await;
        assert_eq!(phases(&board), ["running"]);
        let call = ToolCall { id: CallId::from("c"), name: "t".to_owned(), arguments: "{}".to_owned() };
        sender.send(TurnEvent::ToolCalls(vec![call])).unwrap();
        turn.next().await.unwrap();
        assert_eq!(phases(&board), ["parked"]);
        turn.answer(Vec::new()).unwrap();
        assert_eq!(phases(&board), ["running"]);
        let usage = Usage { input: 3, ..Usage::default() };
        sender.send(TurnEvent::StepCompleted(usage)).unwrap();
        sender.send(TurnEvent::Ended(Outcome::Completed)).unwrap();
        while turn.next().await.is_some() {}
        let ended = board.ended();
        assert_eq!((ended.len(), ended[0].outcome, ended[0].usage), (1, "completed", usage));
        assert!(ended[0].first_event.unwrap() <= ended[0].duration);
        let minutes = board.minutes(SystemTime::now());
        assert_eq!((minutes[0].turns, minutes[0].failed), (1, 0));
        assert!(board.running().is_empty() && board.interrupt(0).is_none());
        drop(turn);
        assert_eq!(outcomes(&board), ["completed"]);
    }

    #[tokio::test]
    async fn the_operator_interrupts_a_turn_that_runs_and_one_that_nobody_reads() {
        let (mut turn, _sender, source, board) = started().await;
        let reading = async {
            let event = turn.next().await;
            assert!(matches!(event, Some(TurnEvent::Ended(Outcome::Interrupted))), "{event:?}");
            assert!(turn.next().await.is_none());
        };
        let interrupting = async {
            tokio::task::yield_now().await;
            assert_eq!(board.interrupt(0).unwrap().principal.as_str(), "p");
        };
        tokio::join!(reading, interrupting);
        assert!(source.upgrade().is_none(), "its source lives on");
        assert_eq!(outcomes(&board), ["interrupted"]);

        let (mut turn, _sender, source, board) = started().await;
        board.interrupt(0).unwrap();
        assert!(source.upgrade().is_none(), "its source lives on");
        assert_eq!(phases(&board), ["interrupted"]);
        assert!(board.interrupt(0).is_none(), "twice");
        turn.answer(Vec::new()).unwrap_err();
        assert!(matches!(turn.next().await, Some(TurnEvent::Ended(Outcome::Interrupted))));
        assert!(board.running().is_empty());
    }

    #[tokio::test]
    async fn a_turn_that_waits_is_interrupted_and_one_that_is_given_up_is_gone() {
        let board = TurnBoard::default();
        let agent = Watched::new(ByHand::new(|_request| pending()), board.clone());
        let interrupting = async {
            while phases(&board) != ["waiting"] {
                tokio::task::yield_now().await;
            }
            board.interrupt(0).unwrap();
        };
        let (turn, ()) = tokio::join!(agent.start_turn(request()), interrupting);
        assert!(matches!(turn.unwrap().next().await, Some(TurnEvent::Ended(Outcome::Interrupted))));

        let given_up = tokio::time::timeout(Duration::from_millis(1), agent.start_turn(request())).await;
        assert!(given_up.is_err() && board.running().is_empty());
        assert_eq!(outcomes(&board), ["interrupted", "interrupted"]);
    }
}
