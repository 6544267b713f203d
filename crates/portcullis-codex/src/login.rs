//! Signing in with a device code: Codex does it, in the operator's own Codex home; we only show the code.

use std::time::Duration;

use camino::Utf8Path;
use portcullis_app_server_protocol::{LoginCompleted, LoginStartParams, LoginStartResponse};
use portcullis_supervisor::SpawnError;
use tokio::time::timeout;

use crate::account::in_login_home;
use crate::binary::CodexBinary;
use crate::cells::Confinement;
use crate::connection::{CALL_DEADLINE, Connection};
use crate::home::HomeError;
use crate::replies::CallError;
use crate::router::Router;
use crate::worker::{Login, initialize, login as read_login};

/// What the person has to do.
#[derive(Clone, Debug)]
pub struct LoginPrompt {
    /// The page to open.
    pub url: String,
    /// The code to type in there.
    pub code: String,
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The home could not be made.
    #[error("the Codex home is not usable")]
    Home(#[from] HomeError),
    /// Codex did not start.
    #[error("Codex did not start")]
    Spawn(#[from] SpawnError),
    /// Codex did not begin the sign-in.
    #[error("Codex could not begin the sign-in: {0}")]
    Codex(String),
    /// The code was not used in time.
    #[error("nobody typed in the code in time")]
    Late,
}

impl LoginError {
    /// How the sign-in ended, in a word: `late` or `failed`.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Home(_) | Self::Spawn(_) | Self::Codex(_) => "failed",
        }
    }
}

impl From<CallError> for LoginError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused { error, .. } => Self::Codex(error.message),
            other => Self::Codex(other.to_string()),
        }
    }
}

/// Signs in: shows the prompt and waits until Codex says that somebody is signed in, at most `within`.
/// Returns who, in Codex's words.
pub async fn login(
    binary: &CodexBinary,
    login_home: &Utf8Path,
    confinement: &Confinement,
    within: Duration,
    show: impl FnOnce(LoginPrompt) + Send,
) -> Result<String, LoginError> {
    in_login_home(binary, login_home, confinement, async |connection, router| {
        sign_in(connection, router, within, show).await
    })
    .await
}

async fn sign_in(
    connection: &Connection,
    router: &Router,
    within: Duration,
    show: impl FnOnce(LoginPrompt) + Send,
) -> Result<String, LoginError> {
    initialize(connection).await?;
    let LoginStartResponse::ChatgptDeviceCode { login_id, user_code, verification_url } =
        connection.call(&LoginStartParams::ChatgptDeviceCode, CALL_DEADLINE).await?;
    show(LoginPrompt { url: verification_url, code: user_code });
    let mut ends = router.sign_in();
    let ours = |end: &Option<LoginCompleted>| {
        end.as_ref().is_some_and(|end| end.login_id.as_ref().is_none_or(|id| *id == login_id))
    };
    let refused = {
        let end = timeout(within, ends.wait_for(ours)).await.map_err(|_elapsed| LoginError::Late)?;
        match end.as_deref() {
            Ok(Some(LoginCompleted { success: true, .. })) => None,
            Ok(Some(LoginCompleted { error, .. })) => {
                Some(error.clone().unwrap_or_else(|| "no reason given".to_owned()))
            }
            Ok(None) | Err(_) => Some("the app-server is gone".to_owned()),
        }
    };
    match (refused, read_login(connection).await?) {
        (None, Login::SignedIn(who)) => Ok(who),
        (refused, _) => {
            Err(LoginError::Codex(refused.unwrap_or_else(|| "nobody is signed in afterwards".to_owned())))
        }
    }
}
