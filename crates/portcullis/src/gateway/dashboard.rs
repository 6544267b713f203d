//! The operator's pages: what they show of this gateway, and how they sign Codex in.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use camino::Utf8PathBuf;
use portcullis_agent::{Agent, ApprovalPolicy, Approvals, Profile, TurnBoard};
use portcullis_audit::{Audit, Entry, Fact as AuditFact, OPERATOR, Text};
use portcullis_codex::{CodexBinary, Confinement, LoginPrompt};
use portcullis_dashboard::{Fact, Parts, SignIn, SignInState, Weakening};
use portcullis_images::Shelf;
use portcullis_store::Ledger;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::confinement::Confined;
use super::warnings::Weakened;
use super::{audit, gallery};
use crate::config::{Config, ConfineLevel, ImageBackend};

/// How long a person may take to type in a code. OpenAI's codes live as long.
const WITHIN: Duration = Duration::from_mins(15);
/// How long a page waits for the code before it is shown without.
const CODE_WITHIN: Duration = Duration::from_secs(5);

/// What is known before the gateway runs.
pub(super) struct Pages {
    about: Vec<(&'static str, String)>,
    confinement: Vec<Fact>,
    weakenings: Vec<Weakening>,
    audit_dir: Option<Utf8PathBuf>,
    state_dir: Utf8PathBuf,
    sign_in: Arc<CodexSignIn>,
    image_backend: ImageBackend,
}

/// What runs.
pub(super) struct Running {
    pub(super) agent: Arc<dyn Agent>,
    pub(super) painter: Option<Arc<dyn Agent>>,
    pub(super) turns: TurnBoard,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) approvals: Approvals,
    pub(super) audit: Audit,
    /// Where pictures are kept, if they are.
    pub(super) shelf: Option<Arc<Shelf>>,
}

impl Pages {
    /// `None` where there are to be none.
    pub(super) fn new(
        config: &Config,
        binary: &CodexBinary,
        confined: &Confined,
        weakened: &[Weakened],
        address: SocketAddr,
        provider: &str,
        audit: &Audit,
    ) -> Option<Self> {
        config.dashboard.enabled.then(|| Self {
            about: vec![
                ("Portcullis", env!("CARGO_PKG_VERSION").to_owned()),
                ("Codex", binary.version.clone()),
                ("Address", address.to_string()),
                ("Model requests", provider.to_owned()),
                ("Model", config.codex.model.clone()),
                ("State", config.state.dir.to_string()),
                ("Configuration", config.file.as_ref().map_or("none".to_owned(), ToString::to_string)),
            ],
            confinement: facts(config, confined),
            weakenings: weakened
                .iter()
                .map(|weakened| Weakening { what: weakened.sentence(), hint: weakened.hint() })
                .collect(),
            audit_dir: config.audit.enabled.then(|| audit::dir(&config.state.dir)),
            state_dir: config.state.dir.clone(),
            sign_in: Arc::new(CodexSignIn {
                binary: binary.clone(),
                home: config.codex.home.clone(),
                confinement: confined.confinement.clone(),
                audit: audit.clone(),
                state: watch::Sender::new(SignInState::Idle),
                task: Mutex::default(),
            }),
            image_backend: config.images.backend,
        })
    }

    pub(super) fn router(self, running: Running) -> anyhow::Result<axum::Router> {
        let Running { agent, painter, turns, ledger, approvals, audit, shelf } = running;
        Ok(portcullis_dashboard::router(Parts {
            draws: painter.is_some(),
            gallery: gallery::of(shelf, painter.is_some(), self.image_backend),
            agent,
            painter,
            turns,
            ledger,
            approvals,
            audit,
            audit_dir: self.audit_dir,
            state_dir: self.state_dir,
            sign_in: self.sign_in,
            weakenings: self.weakenings,
            confinement: self.confinement,
            about: self.about,
        })?)
    }
}

/// What was asked for each process, and what there is.
fn facts(config: &Config, confined: &Confined) -> Vec<Fact> {
    let asked = match config.confine.level {
        ConfineLevel::Best => "the best that the machine allows".to_owned(),
        ConfineLevel::Off => "none".to_owned(),
        ConfineLevel::Exactly(level) => format!("{level:?}").to_lowercase(),
    };
    let mut got = vec![confined.level.to_owned()];
    got.extend(confined.missing.iter().map(ToString::to_string));
    let is_less = !confined.missing.is_empty()
        || (config.confine.level == ConfineLevel::Best && confined.level != "namespaces");
    let fact = |of: &str, asked: &str, got: String, is_less| Fact {
        of: of.to_owned(),
        asked: asked.to_owned(),
        got,
        is_less,
    };
    let mut facts = vec![fact("every worker", &asked, got.join("; "), is_less)];
    let policy = |profile| match profile {
        Profile::Chat => ApprovalPolicy::Decline,
        Profile::Read => config.approvals.read,
        Profile::Work => config.approvals.work,
    };
    for profile in Profile::ALL {
        let asked = match profile {
            Profile::Chat => "no commands, no files",
            Profile::Read => "commands in a cell, a workspace to read",
            Profile::Work => "commands in a cell, a workspace to change",
        };
        let is_less = profile.has_hands() && !confined.has_hands;
        let got = if is_less {
            "not to be had: there are no cells for hands".to_owned()
        } else if profile.has_hands() {
            format!(
                "as asked, without network; {} processes, {} of memory; questions when the gateway started: {}",
                config.hands.processes,
                config.hands.memory,
                policy(profile).word()
            )
        } else {
            "as asked".to_owned()
        };
        facts.push(fact(&format!("profile {profile}"), asked, got, is_less));
    }
    facts
}

/// Signs Codex in, as `portcullis login` does.
struct CodexSignIn {
    binary: CodexBinary,
    home: Utf8PathBuf,
    confinement: Confinement,
    audit: Audit,
    state: watch::Sender<SignInState>,
    /// Dropping it ends the Codex that it runs.
    task: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl CodexSignIn {
    fn task(&self) -> MutexGuard<'_, Option<AbortOnDropHandle<()>>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The work of one sign-in; it holds nothing of this value, which holds it.
    fn work(&self) -> impl Future<Output = ()> + Send + use<> {
        let (binary, home, confinement) = (self.binary.clone(), self.home.clone(), self.confinement.clone());
        let (log, state) = (self.audit.clone(), self.state.clone());
        async move {
            let shown = state.clone();
            let show = move |LoginPrompt { url, code }: LoginPrompt| {
                go_on(&shown, SignInState::Waiting { url, code });
            };
            let ended = portcullis_codex::login(&binary, &home, &confinement, WITHIN, show).await;
            let (fact, ended) = match ended {
                Ok(who) => (AuditFact::SignedIn { account: Text::new(&who) }, SignInState::Done(who)),
                Err(error) => {
                    let fact = AuditFact::SignInFailed { outcome: error.outcome() };
                    (fact, SignInState::Failed(format!("{:#}", anyhow::Error::from(error))))
                }
            };
            let signed_in = matches!(ended, SignInState::Done(_));
            // What was cancelled has its line already, unless somebody was signed in all the same. A log that can not be written
            // is told by its writer.
            if go_on(&state, ended) || signed_in {
                let _ = log.append(Entry::new(OPERATOR, fact)).await;
            }
        }
    }
}

#[async_trait]
impl SignIn for CodexSignIn {
    fn state(&self) -> SignInState {
        self.state.borrow().clone()
    }

    async fn begin(&self) {
        {
            let mut task = self.task();
            if is_under_way(&self.state()) {
                return;
            }
            self.state.send_replace(SignInState::Beginning);
            #[expect(clippy::disallowed_methods, reason = "it ends when its handle is dropped")]
            let work = tokio::task::spawn(self.work());
            *task = Some(AbortOnDropHandle::new(work));
        }
        let mut changes = self.state.subscribe();
        let known = changes.wait_for(|state| *state != SignInState::Beginning);
        // A page without the code says to look again.
        let _ = tokio::time::timeout(CODE_WITHIN, known).await;
    }

    async fn cancel(&self) {
        {
            // Nobody begins another meanwhile.
            let mut task = self.task();
            if !go_on(&self.state, SignInState::Idle) {
                return;
            }
            *task = None;
        }
        let fact = AuditFact::SignInFailed { outcome: "cancelled" };
        let _ = self.audit.append(Entry::new(OPERATOR, fact)).await;
    }
}

fn is_under_way(state: &SignInState) -> bool {
    matches!(state, SignInState::Beginning | SignInState::Waiting { .. })
}

/// Takes a sign-in that is under way to another state; says whether it was. So it ends once, by itself or by the operator.
fn go_on(state: &watch::Sender<SignInState>, next: SignInState) -> bool {
    state.send_if_modified(|state| {
        let goes_on = is_under_way(state);
        if goes_on {
            *state = next;
        }
        goes_on
    })
}
