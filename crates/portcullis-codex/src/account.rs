//! Who is signed in, and signing out: Codex does both, in the operator's own Codex home. Portcullis reads and deletes
//! nothing there.

use std::collections::BTreeMap;
use std::time::Duration;

use camino::Utf8Path;
use portcullis_agent::AccountWindow;
use portcullis_app_server_protocol::{AccountLimitsReadParams, LogoutParams};
use portcullis_supervisor::Process;

use crate::account_limits::AccountLimits;
use crate::binary::CodexBinary;
use crate::cells::Confinement;
use crate::connection::{CALL_DEADLINE, Connection, Opened};
use crate::home::private_dir;
use crate::login::LoginError;
use crate::replies::CallError;
use crate::router::Router;
use crate::worker::{Login, base_environment, initialize, login};

/// Who is signed in, in Codex's words: `chatgpt (plus)`. `None`: nobody.
pub async fn account(
    binary: &CodexBinary,
    login_home: &Utf8Path,
    confinement: &Confinement,
) -> Result<Option<String>, LoginError> {
    asked(binary, login_home, confinement, async |connection| who(connection).await).await
}

/// A login, and how much of its limits is used.
#[derive(Debug)]
pub struct AccountNow {
    /// Who is signed in, in Codex's words.
    pub who: String,
    /// How much is used, by the limit's name and its window; or why Codex does not say.
    pub limits: Result<BTreeMap<(String, &'static str), AccountWindow>, String>,
}

/// Who is signed in, and how much of the login's limits is used now: Codex asks the login's service. `None`: nobody.
pub async fn account_now(
    binary: &CodexBinary,
    login_home: &Utf8Path,
    confinement: &Confinement,
) -> Result<Option<AccountNow>, LoginError> {
    asked(binary, login_home, confinement, async |connection| {
        let Some(who) = who(connection).await? else { return Ok(None) };
        let limits = match connection.call(&AccountLimitsReadParams, CALL_DEADLINE).await {
            Ok(answer) => {
                let limits = AccountLimits::default();
                limits.heard(answer);
                Ok(limits.all())
            }
            // A key of an API has none.
            Err(CallError::Refused { error, .. }) => Err(error.message),
            Err(other) => return Err(other.into()),
        };
        Ok(Some(AccountNow { who, limits }))
    })
    .await
}

/// Signs out, and says who was signed in.
pub async fn logout(
    binary: &CodexBinary,
    login_home: &Utf8Path,
    confinement: &Confinement,
) -> Result<Option<String>, LoginError> {
    asked(binary, login_home, confinement, async |connection| {
        let before = who(connection).await?;
        connection.call(&LogoutParams, CALL_DEADLINE).await?;
        match who(connection).await? {
            None => Ok(before),
            Some(still) => Err(LoginError::Codex(format!("{still} is signed in still"))),
        }
    })
    .await
}

async fn who(connection: &Connection) -> Result<Option<String>, LoginError> {
    Ok(match login(connection).await? {
        Login::SignedIn(who) => Some(who),
        Login::NotNeeded | Login::Missing => None,
    })
}

/// Asks an app-server in the Codex home.
async fn asked<T>(
    binary: &CodexBinary,
    login_home: &Utf8Path,
    confinement: &Confinement,
    ask: impl AsyncFnOnce(&Connection) -> Result<T, LoginError>,
) -> Result<T, LoginError> {
    in_login_home(binary, login_home, confinement, async |connection, _router| {
        initialize(connection).await?;
        ask(connection).await
    })
    .await
}

/// Starts an app-server in the Codex home, talks to it, and ends it.
pub(crate) async fn in_login_home<T>(
    binary: &CodexBinary,
    login_home: &Utf8Path,
    confinement: &Confinement,
    talk: impl AsyncFnOnce(&Connection, &Router) -> Result<T, LoginError>,
) -> Result<T, LoginError> {
    private_dir(login_home)?;
    let args = ["app-server", "-c", "cli_auth_credentials_store=\"file\"", "-c", "features.plugins=false"];
    let args = args.map(str::to_owned).to_vec();
    let launch = confinement.sign_in(binary, args, login_home, base_environment(login_home));
    let mut process = Process::spawn(&launch)?;
    let (stdin, stdout) = process.take_stdio();
    let Opened { connection, router, closed } =
        Connection::open(stdin, stdout).map_err(|error| LoginError::Codex(error.to_string()))?;
    let result = tokio::select! {
        result = talk(&connection, &router) => result,
        why = closed => Err(LoginError::Codex(why)),
    };
    process.stop(Duration::from_secs(2)).await;
    result
}
