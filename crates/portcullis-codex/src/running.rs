//! How a turn is begun on a thread of its own, and what ends it when nobody reads it any more.

use std::sync::Arc;
use std::task::{Context, Poll};

use portcullis_agent::{
    AgentError, ErrorKind, EventReceiver, Place, RequestFault, ThreadId, ToolOutput, TraceContext, Turn,
    TurnEvent, TurnId, TurnSource,
};
use portcullis_app_server_protocol::{
    RpcError, ThreadInjectItemsParams, ThreadStartParams, Trace, TurnStartParams,
};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use crate::connection::CALL_DEADLINE;
use crate::hands::HandsInUse;
use crate::replies::CallError;
use crate::turn_state::TurnState;
use crate::worker::Link;

/// What a turn holds until the app-server says that it is over. The one in the worker is given back first, so that
/// whoever is let in finds it.
pub(crate) struct HeldPlaces {
    pub(crate) _in_worker: OwnedSemaphorePermit,
    pub(crate) _among_all: Place,
}

/// A turn that is to be begun.
pub(crate) struct NewTurn {
    /// Its places, in the worker and among all turns.
    pub(crate) place: HeldPlaces,
    /// What its notifications will mean.
    pub(crate) state: TurnState,
    pub(crate) thread: ThreadStartParams,
    /// The history before its input.
    pub(crate) injected: Vec<Value>,
    /// The thread's id is put in when there is one.
    pub(crate) turn: TurnStartParams,
    /// Where its commands run; ended with the turn.
    pub(crate) hands: Option<HandsInUse>,
}

/// A turn that did not begin.
pub(crate) struct NotStarted {
    pub(crate) error: AgentError,
    /// Nothing of it can have run, and it may begin elsewhere or later.
    pub(crate) again: bool,
}

impl From<AgentError> for NotStarted {
    fn from(error: AgentError) -> Self {
        Self { error, again: false }
    }
}

/// Begins a turn: a thread, its history, the turn.
pub(crate) async fn run(link: Arc<Link>, new: NewTurn) -> Result<Turn, NotStarted> {
    if let Some(hands) = &new.hands {
        link.connection.call(&hands.introduction(), CALL_DEADLINE).await.map_err(refused_start)?;
    }
    let thread = link.connection.call(&new.thread, CALL_DEADLINE).await.map_err(refused_start)?.thread;
    let thread = ThreadId::from(thread.id);

    if let Some(hands) = &new.hands {
        let (router, of_thread) = (Arc::downgrade(&link.router), thread.clone());
        hands.watch(move |error| {
            if let Some(router) = router.upgrade() {
                router.fail(&of_thread, error);
            }
        });
    }
    let events = link.router.register(thread.clone(), new.state, new.place, new.hands);
    // From here on the thread is given back, whatever happens.
    let mut registered = Registered { link: Arc::clone(&link), thread: thread.clone(), may_run: false };
    if !new.injected.is_empty() {
        let inject = ThreadInjectItemsParams { thread_id: thread.to_string(), items: new.injected };
        link.connection.call(&inject, CALL_DEADLINE).await.map_err(refused_start)?;
    }
    let turn = TurnStartParams { thread_id: thread.to_string(), ..new.turn };
    registered.may_run = true;
    let response = link.connection.call(&turn, CALL_DEADLINE).await;
    let id = match response {
        Ok(response) => TurnId::from(response.turn.id),
        Err(error) => {
            registered.may_run = matches!(error, CallError::Late { .. } | CallError::Shape { .. });
            return Err(refused_start(error));
        }
    };
    link.router.started(thread.as_str(), id.as_str());
    Ok(Turn::new(thread, id, RunningTurn { events, registered }))
}

/// The place in a trace as Codex takes it.
pub(crate) fn place_in_trace(place: &TraceContext) -> Trace {
    Trace { traceparent: place.traceparent(), tracestate: place.tracestate().map(str::to_owned) }
}

/// What it means when Codex does not start a turn. An invalid request (-32600, -32602) is the caller's: a tool's
/// name or schema that Codex does not take.
fn refused_start(error: CallError) -> NotStarted {
    // Not when it is late: Codex may have begun it.
    let again = match &error {
        CallError::Gone { .. } => true,
        CallError::Refused { error, .. } => error.code == RpcError::OVERLOADED,
        CallError::Late { .. } | CallError::Shape { .. } => false,
    };
    let kind = match &error {
        CallError::Refused { error, .. } => match error.code {
            -32600 | -32602 => ErrorKind::InvalidInput(RequestFault {
                message: Some(error.message.clone()),
                ..RequestFault::default()
            }),
            RpcError::OVERLOADED => ErrorKind::Busy { retry_after: None },
            _ => ErrorKind::Upstream,
        },
        CallError::Late { .. } | CallError::Gone { .. } => ErrorKind::WorkerLost,
        CallError::Shape { .. } => ErrorKind::Internal,
    };
    NotStarted { error: AgentError::new(kind).because(error), again }
}

/// A thread that the router knows. Dropping it stops its turn, or gives the thread back where none can run.
struct Registered {
    link: Arc<Link>,
    thread: ThreadId,
    may_run: bool,
}

impl Drop for Registered {
    fn drop(&mut self) {
        if self.may_run {
            self.link.router.abandon(&self.thread);
        } else {
            self.link.router.forget(&self.thread);
        }
    }
}

struct RunningTurn {
    events: EventReceiver,
    registered: Registered,
}

impl TurnSource for RunningTurn {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<TurnEvent>> {
        self.events.poll_next(cx)
    }

    fn answer(&mut self, outputs: Vec<ToolOutput>) -> Result<(), AgentError> {
        let Registered { link, thread, .. } = &self.registered;
        for line in link.router.answer(thread, &outputs)? {
            link.connection.send(&line);
        }
        Ok(())
    }
}
