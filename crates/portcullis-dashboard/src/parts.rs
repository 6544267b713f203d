//! What the pages show, and what they act on.

use std::sync::Arc;

use async_trait::async_trait;
use camino::Utf8PathBuf;
use portcullis_agent::{Agent, Approvals, TurnBoard};
use portcullis_audit::Audit;
use portcullis_store::Ledger;

use crate::gallery::Gallery;

/// What the pages show, and what they act on.
pub struct Parts {
    /// Who runs turns.
    pub agent: Arc<dyn Agent>,
    /// Who draws, if somebody does.
    pub painter: Option<Arc<dyn Agent>>,
    /// The turns that run and that ended.
    pub turns: TurnBoard,
    /// What was used.
    pub ledger: Arc<dyn Ledger>,
    /// What agents ask.
    pub approvals: Approvals,
    /// Where the operator's acts are written down.
    pub audit: Audit,
    /// Where that is, if it is kept.
    pub audit_dir: Option<Utf8PathBuf>,
    /// Where keys and one-time codes are.
    pub state_dir: Utf8PathBuf,
    /// Who signs Codex in.
    pub sign_in: Arc<dyn SignIn>,
    /// What is weaker than it could be.
    pub weakenings: Vec<Weakening>,
    /// What was asked of the machine for each process, and what it gives.
    pub confinement: Vec<Fact>,
    /// How the gateway was started: names and values without secrets.
    pub about: Vec<(&'static str, String)>,
    /// Whether pictures can be made.
    pub draws: bool,
    /// The pictures that are kept.
    pub gallery: Gallery,
}

/// Something that is weaker than it could be.
#[derive(Clone, Debug)]
pub struct Weakening {
    /// What is so.
    pub what: String,
    /// What to do.
    pub hint: String,
}

/// Something that was asked for.
#[derive(Clone, Debug)]
pub struct Fact {
    /// For which profile or process.
    pub of: String,
    /// What was asked for.
    pub asked: String,
    /// What there is.
    pub got: String,
    /// Whether that is less.
    pub is_less: bool,
}

/// Signs Codex in, with a code that the operator types in at its provider's page.
#[async_trait]
pub trait SignIn: Send + Sync {
    /// Where it stands.
    fn state(&self) -> SignInState;
    /// Begins, unless it has begun.
    async fn begin(&self);
    /// Stops waiting for the operator, if it does.
    async fn cancel(&self);
}

/// Where a sign-in stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SignInState {
    /// Nobody signs in.
    Idle,
    /// It was begun, and there is no code yet.
    Beginning,
    /// The operator types in a code.
    Waiting {
        /// Where.
        url: String,
        /// Which.
        code: String,
    },
    /// Somebody is signed in: who, in Codex's words.
    Done(String),
    /// It failed: why.
    Failed(String),
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("about", &self.about).finish_non_exhaustive()
    }
}
