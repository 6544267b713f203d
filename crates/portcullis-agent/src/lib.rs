//! The words of Portcullis and its one joint: what a thread, a turn and an outcome are, and the [`Agent`]
//! trait that everything between the frontends and the workers implements.
//!
//! Knows: turns, their events, their errors. Does not know: HTTP, JSON-RPC, platforms, processes. It does no I/O.

mod admission;
mod age_clock;
mod agent;
mod approvals;
mod breaker;
mod budget;
mod deadline;
mod error;
mod event;
mod ids;
mod interrupt;
mod picture;
mod profile;
mod queue;
mod readiness;
mod record;
mod request;
mod spread;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod trace;
mod turn;
mod turn_board;
mod usage;
mod watched;
mod witness;
mod worker_report;

pub use admission::{Admission, AdmissionLimiter, AdmissionLimits, Place, QueueWatcher, Queued};
pub use age_clock::AgeClock;
pub use agent::{Agent, Capabilities, Effort, Model};
pub use approvals::{
    Approval, ApprovalId, ApprovalKind, ApprovalPolicies, ApprovalPolicy, ApprovalWitness, Approvals,
    Question, Verdict, Waiting,
};
pub use breaker::{Breaker, BreakerLimits, BreakerWatcher};
pub use budget::{Budget, TurnBounds};
pub use deadline::Deadline;
pub use error::{AgentError, Cause, ErrorKind, RequestFault};
pub use event::{
    ActionStatus, ChangeKind, ChangedFile, Command, Delta, DeltaKind, FileChange, Item, Outcome, Reasoning,
    ToolCall, TurnEvent,
};
pub use ids::{CallId, ItemId, ModelId, PrincipalId, RequestId, ThreadId, TurnId};
pub use picture::{Picture, PictureCost, PictureFormat, PictureRequest, Reference};
pub use profile::{Profile, UnknownProfile};
pub use queue::{EventReceiver, EventSender, Overflow, event_queue};
pub use readiness::{Condition, Readiness};
pub use record::{EndedTurn, Record, TurnCounter};
pub use request::{
    Author, HistoryItem, ImageDetail, Message, Part, ReasoningSummary, ToolOutput, ToolSpec, TurnOptions,
    TurnRequest,
};
pub use spread::Spread;
pub use trace::{Span, TraceContext};
pub use turn::{Turn, TurnSource};
pub use turn_board::{Minute, PastTurn, RunningTurn, TurnBoard, TurnHead, TurnPhase};
pub use usage::Usage;
pub use watched::Watched;
pub use witness::{WorkerFact, WorkerWitness};
pub use worker_report::{AccountWindow, WorkerReport};
