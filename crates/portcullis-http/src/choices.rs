//! The running turns behind one answer: a turn per choice, polled side by side. A turn that waits for its caller's
//! tools is parked; any other is dropped, and so interrupted, when its choice is whole.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use portcullis_agent::{Turn, TurnRequest, Usage};
use portcullis_openai::chat::{ChatRequest, Choice, Step};

use crate::app::App;
use crate::parked::Conversation;

/// The running turns behind one answer.
pub(crate) struct Choices {
    app: Arc<App>,
    request: TurnRequest,
    /// Whether the caller's next request can be told to belong to a turn: calls of the older form have no ids.
    may_park: bool,
    running: Vec<Running>,
    /// Steps that were made and not taken, with the choice they belong to. Bounded: an event makes a few.
    steps: std::collections::VecDeque<(usize, Step)>,
    /// Which choice is polled first, so that a fast one does not starve the others.
    first: usize,
}

#[derive(Debug)]
struct Running {
    choice: Choice,
    /// Gone when the choice is whole; dropping it interrupts what is left of the turn.
    turn: Option<Turn>,
}

impl Choices {
    pub(crate) fn new(app: Arc<App>, asked: &ChatRequest, request: TurnRequest, turns: Vec<Turn>) -> Self {
        let running =
            turns.into_iter().map(|turn| Running { choice: Choice::new(asked), turn: Some(turn) }).collect();
        Self {
            app,
            request,
            may_park: !asked.legacy_functions,
            running,
            steps: std::collections::VecDeque::new(),
            first: 0,
        }
    }

    /// The next step of any choice; `None` when every choice has ended. Cancel safe.
    pub(crate) fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Option<(usize, Step)>> {
        loop {
            if let Some(step) = self.steps.pop_front() {
                return Poll::Ready(Some(step));
            }
            let count = self.running.len();
            let from = self.first;
            self.first = (from + 1) % count.max(1);
            let mut moved = false;
            for index in (0..count).map(|i| (from + i) % count) {
                moved |= self.poll_choice(index, cx);
            }
            if !moved {
                let over = self.running.iter().all(|choice| choice.turn.is_none());
                return if over { Poll::Ready(None) } else { Poll::Pending };
            }
        }
    }

    /// Takes one event of a choice's turn; says whether there was one.
    fn poll_choice(&mut self, index: usize, cx: &mut Context<'_>) -> bool {
        let Running { choice, turn } = &mut self.running[index];
        let Some(Poll::Ready(event)) = turn.as_mut().map(|turn| turn.poll_next(cx)) else { return false };
        let mut emit = |step| self.steps.push_back((index, step));
        match event {
            Some(event) => choice.on(event, &mut emit),
            None => choice.broke_off(&mut emit),
        }
        if choice.done()
            && let Some(turn) = turn.take()
            && self.may_park
            && !choice.called().is_empty()
        {
            let conversation = Conversation::after(&self.request, choice.said(), choice.called());
            self.app.parked.park(conversation, turn, choice.withheld());
        }
        true
    }

    /// The next step of any choice; `None` when every choice has ended. Cancel safe.
    pub(crate) async fn step(&mut self) -> Option<(usize, Step)> {
        poll_fn(|cx| self.poll_step(cx)).await
    }

    /// The cost of all choices; `None` where one of them is not known.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.running.iter().try_fold(Usage::default(), |sum, running| Some(sum + running.choice.usage()?))
    }
}
