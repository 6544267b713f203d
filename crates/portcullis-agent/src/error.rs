//! Why a turn did not happen or did not finish, in terms that mean something to a caller.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A failure with two audiences: the kind (and, for a fault in the request, its details) is for the caller,
/// the [`Cause`] only for the log.
#[derive(Clone, Debug)]
pub struct AgentError {
    /// What the caller can act on.
    pub kind: ErrorKind,
    /// What only the operator may read.
    pub cause: Option<Cause>,
}

/// What went wrong, from the caller's point of view.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ErrorKind {
    /// The request can not be carried out as it stands.
    #[error("the request is invalid")]
    InvalidInput(RequestFault),
    /// History and input do not fit into the model's context.
    #[error("the conversation is longer than the model's context window")]
    ContextTooLong,
    /// Nobody offers this model.
    #[error("the model is not known")]
    ModelUnknown,
    /// The model's answer reached the provider's own limit of output; what was said until then is good.
    #[error("the model's answer reached its provider's limit")]
    OutputLimit,
    /// The turn was to make a picture and made none; in the model's or the service's own words, where there are any.
    #[error("no picture was made")]
    NoPicture {
        /// The words.
        said: Option<String>,
    },
    /// The provider declined for policy reasons.
    #[error("the request was refused by the model's provider")]
    Refused,
    /// All places are taken; try again.
    #[error("the gateway is at its limit of running turns")]
    Busy {
        /// When there is a chance, where it is known.
        retry_after: Option<Duration>,
    },
    /// The provider asks to slow down.
    #[error("the model's provider is limiting the rate of requests")]
    RateLimited {
        /// How long the provider asked to wait, where it said so.
        retry_after: Option<Duration>,
    },
    /// The login's plan is used up.
    #[error("the usage limit of the operator's plan is reached")]
    UsageLimit,
    /// The agent is not signed in, or its login was rejected.
    #[error("the agent is not signed in")]
    LoginRequired,
    /// The worker that ran the turn is gone or was never there.
    #[error("the worker that ran this turn is gone")]
    WorkerLost,
    /// The model's provider failed, or its answer broke off.
    #[error("the model's provider failed")]
    Upstream,
    /// The model's provider has failed turn after turn and is given a rest.
    #[error("the model's provider failed turn after turn and is not asked for a while")]
    ProviderDown {
        /// How long.
        retry_after: Duration,
    },
    /// The turn took longer than it may.
    #[error("the turn took longer than its deadline")]
    Timeout,
    /// The reader fell so far behind that its events no longer fit into the turn's bound.
    #[error("the client read too slowly")]
    SlowReader,
    /// The turn would have hands, and what they do could not be written down.
    #[error("the gateway can not keep its audit log")]
    Unaudited,
    /// The turn used up more than any may.
    #[error("the turn used more {what} than it may")]
    OverBudget {
        /// What: `steps`, `tokens`, `disk`.
        what: &'static str,
    },
    /// There are no hands for the turn's profile, or they could not be made.
    #[error("the gateway can not run commands for this turn")]
    NoHands,
    /// A bug, or a thing that should not be possible.
    #[error("an internal error")]
    Internal,
}

impl ErrorKind {
    /// The kind as a short permanent word, for logs and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::InvalidInput(_) => "invalid_input",
            Self::ContextTooLong => "context_too_long",
            Self::ModelUnknown => "model_unknown",
            Self::OutputLimit => "output_limit",
            Self::NoPicture { .. } => "no_picture",
            Self::Refused => "refused",
            Self::Busy { .. } => "busy",
            Self::RateLimited { .. } => "rate_limited",
            Self::UsageLimit => "usage_limit",
            Self::LoginRequired => "login_required",
            Self::WorkerLost => "worker_lost",
            Self::Upstream => "upstream",
            Self::ProviderDown { .. } => "provider_down",
            Self::Timeout => "timeout",
            Self::SlowReader => "slow_reader",
            Self::Unaudited => "unaudited",
            Self::OverBudget { .. } => "over_budget",
            Self::NoHands => "no_hands",
            Self::Internal => "internal",
        }
    }
}

/// What the provider said about the caller's own request. Only for faults in the request: the text of any
/// other upstream failure may name hosts and accounts, and stays in the log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RequestFault {
    /// One sentence.
    pub message: Option<String>,
    /// The parameter at fault.
    pub param: Option<String>,
    /// A code that programs may compare.
    pub code: Option<String>,
    /// The provider's own class of the fault, such as `image_generation_user_error`.
    pub class: Option<String>,
}

/// The chain of causes. It has no `Display` and no `Serialize`, so that it can not end up in an answer.
#[derive(Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    /// Keeps an error for the log.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }

    /// The whole chain in one line, for a log field.
    pub fn chain(&self) -> String {
        let mut text = self.0.to_string();
        let mut source = self.0.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain())
    }
}

impl AgentError {
    /// An error without a cause worth logging.
    pub fn new(kind: ErrorKind) -> Self {
        Self { kind, cause: None }
    }

    /// Adds what only the log may see.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(Cause::new(cause));
        self
    }

    /// The cause for a log field; empty where there is none.
    pub fn cause_chain(&self) -> String {
        self.cause.as_ref().map(Cause::chain).unwrap_or_default()
    }
}

impl From<ErrorKind> for AgentError {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind)
    }
}
