//! The closed list of facts, and an entry: a fact with who and where.

use jiff::Timestamp;
use portcullis_agent::{
    ActionStatus, ChangeKind, Command, FileChange, PrincipalId, Profile, RequestId, ThreadId, TurnId, Usage,
};
use serde::Serialize;

use crate::hash::Hash;
use crate::refusals::Why;
use crate::text::Text;

/// Who, where the gateway itself acted.
pub const GATEWAY: &str = "gateway";
/// Who, where the operator acted through a command of this program.
pub const OPERATOR: &str = "operator";

/// One fact. A new one is added here; what a fact once meant is not changed.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Fact {
    /// A gateway began to serve.
    GatewayStarted {
        /// Of Portcullis.
        version: Text,
        /// The version of Codex.
        codex: Text,
        /// The address it listens on.
        listen: Text,
        /// The word of every setting that is weaker than it could be.
        weakened: Vec<&'static str>,
    },
    /// A gateway read its configuration again; the keys whose values changed, and those that it did not take over.
    ConfigReloaded {
        /// In force from now on.
        changed: Vec<Text>,
        /// Not in force before the next start.
        needs_restart: Vec<Text>,
    },
    /// A gateway ended in order.
    GatewayStopped,
    /// Codex was signed in.
    SignedIn {
        /// With what, in Codex's words: `chatgpt (plus)`.
        account: Text,
    },
    /// Codex was to be signed in, and was not.
    SignInFailed {
        /// `failed`, `late` (nobody typed in the code) or `cancelled`.
        outcome: &'static str,
    },
    /// Codex was signed out.
    SignedOut,
    /// The operator signed in to the dashboard, with a one-time code.
    DashboardOpened,
    /// The operator signed out of the dashboard.
    DashboardClosed,
    /// The operator interrupted a turn; the entry's request says which.
    TurnInterrupted,
    /// The operator deleted a picture that was kept for a key.
    PictureDeleted {
        /// Its id.
        picture: Text,
        /// Who had it made.
        of: Text,
    },
    /// An API key was made.
    KeyCreated {
        /// Its id.
        key: Text,
        /// Its name.
        name: Text,
        /// The widest profile of its turns.
        profile: Profile,
        /// What it opens.
        scopes: Text,
    },
    /// An API key was revoked.
    KeyRevoked {
        /// Its id.
        key: Text,
        /// Its name.
        name: Text,
    },
    /// An API key got another secret.
    KeyRotated {
        /// Its id.
        key: Text,
        /// Its name.
        name: Text,
    },
    /// Requests were refused; many alike are one line.
    Refused {
        /// Why.
        why: Why,
        /// What was asked for: a scope, a profile, a model.
        #[serde(skip_serializing_if = "Option::is_none")]
        wanted: Option<Text>,
        /// How many.
        count: u64,
    },
    /// A turn was let through. Its `request` ties it to what follows.
    TurnStarted {
        /// What it may touch.
        profile: Profile,
        /// Which model.
        model: Text,
    },
    /// A turn is over, or was not even started.
    TurnEnded {
        /// What it could touch.
        profile: Profile,
        /// `completed`, `interrupted` or `failed`.
        outcome: &'static str,
        /// The kind of failure; empty where there was none.
        #[serde(skip_serializing_if = "str::is_empty")]
        error: &'static str,
        /// Tokens read.
        input_tokens: u64,
        /// Tokens written.
        output_tokens: u64,
    },
    /// The hands ran a command, or were not allowed to.
    CommandRun {
        /// The command line, masked.
        command: Text,
        /// Where, as the hands see it.
        cwd: Text,
        /// `completed`, `failed` or `declined`.
        status: &'static str,
        /// Where it ended by itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
    },
    /// The hands changed files, or were not allowed to.
    FilesChanged {
        /// The first of them.
        files: Vec<ChangedPath>,
        /// How many more.
        #[serde(skip_serializing_if = "is_zero")]
        more: usize,
        /// `completed`, `failed` or `declined`.
        status: &'static str,
    },
    /// A worker's process was started.
    WorkerStarted {
        /// Its name.
        worker: Text,
        /// For which profile, where it serves only one.
        #[serde(skip_serializing_if = "Option::is_none")]
        profile: Option<Profile>,
        /// What the kernel enforces on it.
        level: Text,
    },
    /// The operator was asked.
    ApprovalAsked {
        /// The approval's id.
        approval: Text,
        /// `command`, `file_change` or `permission`.
        kind: &'static str,
        /// What about, masked.
        about: Text,
    },
    /// An approval has its answer; `who` gave it.
    ApprovalDecided {
        /// The approval's id.
        approval: Text,
        /// How it ended: `approved`, `declined`, `expired`, `withdrawn` or `too_many`.
        verdict: &'static str,
    },
    /// The log goes on in a new file; `prev` is the last hash of the old one.
    Continued {
        /// The old file.
        file: Text,
    },
    /// An old file was removed because there were too many.
    Retired {
        /// The file.
        file: Text,
        /// The number of its last line.
        last_seq: u64,
        /// The hash of its last line.
        last_hash: Hash,
    },
    /// The end of the log was not as it was left.
    Recovered {
        /// Bytes of a line that was never finished, now removed.
        torn_bytes: u64,
        /// Lines that were there and are not.
        missing_lines: u64,
        /// The head, which tells a cut log, was gone.
        head_lost: bool,
    },
    /// Facts could not be written, because the disk was full or the queue was.
    Lost {
        /// How many.
        count: u64,
    },
}

/// A file that was changed, without what is in it.
#[derive(Clone, Debug, Serialize)]
pub struct ChangedPath {
    /// As the hands see it, masked.
    pub path: Text,
    /// `add`, `delete` or `update`.
    pub kind: &'static str,
}

/// How many files of one change are named.
const NAMED_FILES: usize = 32;

/// A fact, with who and where.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(crate) at: Timestamp,
    pub(crate) who: Text,
    pub(crate) request: Option<RequestId>,
    pub(crate) thread: Option<ThreadId>,
    pub(crate) turn: Option<TurnId>,
    pub(crate) fact: Fact,
}

impl Entry {
    /// A fact that happens now.
    pub fn new(who: &str, fact: Fact) -> Self {
        let now = Timestamp::now();
        // A thousandth of a second is as exact as anybody needs it.
        let at = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        Self { at, who: Text::new(who), request: None, thread: None, turn: None, fact }
    }

    /// A fact of the gateway itself.
    pub fn of_gateway(fact: Fact) -> Self {
        Self::new(GATEWAY, fact)
    }

    /// A fact that a request of `who` caused.
    pub fn of_request(who: &PrincipalId, request: RequestId, fact: Fact) -> Self {
        Self { request: Some(request), ..Self::new(who.as_str(), fact) }
    }

    /// A fact that the operator caused in a request of somebody else.
    pub fn by_operator(request: RequestId, fact: Fact) -> Self {
        Self { request: Some(request), ..Self::new(OPERATOR, fact) }
    }

    /// Within this turn.
    #[must_use]
    pub fn within(self, thread: ThreadId, turn: TurnId) -> Self {
        Self { thread: Some(thread), turn: Some(turn), ..self }
    }
}

impl Fact {
    pub(crate) fn turn_ended(
        profile: Profile,
        outcome: &'static str,
        error: &'static str,
        usage: Usage,
    ) -> Self {
        Self::TurnEnded { profile, outcome, error, input_tokens: usage.input, output_tokens: usage.output }
    }

    pub(crate) fn command_run(command: &Command) -> Self {
        Self::CommandRun {
            command: Text::masked(&command.line),
            cwd: Text::masked(&command.cwd),
            status: status(command.status),
            exit_code: command.exit_code,
        }
    }

    pub(crate) fn files_changed(change: &FileChange) -> Self {
        let files = change.files.iter().take(NAMED_FILES);
        let files = files.map(|file| ChangedPath { path: Text::masked(&file.path), kind: kind(file.kind) });
        Self::FilesChanged {
            files: files.collect(),
            more: change.files.len().saturating_sub(NAMED_FILES),
            status: status(change.status),
        }
    }
}

fn status(status: ActionStatus) -> &'static str {
    match status {
        ActionStatus::Completed => "completed",
        ActionStatus::Failed => "failed",
        ActionStatus::Declined => "declined",
    }
}

fn kind(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Add => "add",
        ChangeKind::Delete => "delete",
        ChangeKind::Update => "update",
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
