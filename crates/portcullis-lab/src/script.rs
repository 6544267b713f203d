//! What will be answered next.

use std::{collections::VecDeque, fmt, sync::Arc};

use serde_json::json;

use crate::{Answer, Received};

/// Answers that wait for their request. A test that needs more wants [`crate::ModelServer::respond_with`].
const MAX_QUEUED: usize = 4096;

/// Makes an answer from a request.
pub(crate) type Responder = Arc<dyn Fn(&Received) -> Answer + Send + Sync>;

/// The answers to come: first those in the queue, then the responder's.
#[derive(Default)]
pub(crate) struct Script {
    queue: VecDeque<Answer>,
    responder: Option<Responder>,
}

/// Who answers a request. The responder runs later, outside the lock, because it is the caller's code.
pub(crate) enum Turn {
    Queued(Box<Answer>),
    Ask(Responder),
    Unscripted,
}

impl Script {
    /// Panics when the queue is full: nobody would read the answer.
    pub(crate) fn enqueue(&mut self, answer: Answer) {
        assert!(
            self.queue.len() < MAX_QUEUED,
            "lab: {MAX_QUEUED} answers are waiting already; use respond_with"
        );
        self.queue.push_back(answer);
    }

    pub(crate) fn respond_with(&mut self, responder: Responder) {
        self.responder = Some(responder);
    }

    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn next(&mut self) -> Turn {
        match (self.queue.pop_front(), &self.responder) {
            (Some(answer), _) => Turn::Queued(Box::new(answer)),
            (None, Some(responder)) => Turn::Ask(Arc::clone(responder)),
            (None, None) => Turn::Unscripted,
        }
    }
}

impl Turn {
    pub(crate) fn answer(self, received: &Received) -> Answer {
        match self {
            Self::Queued(answer) => *answer,
            Self::Ask(responder) => responder(received),
            Self::Unscripted => Answer::status(
                500,
                json!({ "error": {
                    "type": "server_error",
                    "code": "unscripted",
                    "message": "lab: no answer was scripted for this request",
                }}),
            ),
        }
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("queue", &self.queue)
            .field("responder", &self.responder.is_some())
            .finish()
    }
}
