//! `portcullis key`: the API keys of the gateway's clients.

use anyhow::Context as _;
use jiff::Timestamp;
use portcullis_access::{KeyInfo, KeyStore};
use secrecy::ExposeSecret as _;

use crate::environment::Environment;
use crate::flags::{Home, Layers};
use crate::print;

/// Make, list and revoke the API keys of apps.
///
/// A key is shown once, when it is made; only its hash is kept. A running gateway notices every change at once.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

const EXAMPLES: &str = "\
Examples:
  portcullis key create --name my-app
  export OPENAI_API_KEY=$(portcullis key create --name my-app)
  portcullis key list
  portcullis key revoke my-app";

#[derive(clap::Subcommand)]
enum Action {
    /// Make a key. The key alone goes to stdout, everything else to stderr.
    Create {
        /// What to call it: the app or person that will hold it.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        home: Home,
    },
    /// List all keys, oldest first. The keys themselves are not known any more.
    List {
        #[command(flatten)]
        home: Home,
    },
    /// Revoke a key. Requests with it are refused from now on.
    Revoke {
        /// Its name, or its id as `key list` shows it.
        #[arg(value_name = "NAME_OR_ID")]
        wanted: String,
        #[command(flatten)]
        home: Home,
    },
}

pub(super) fn run(args: Args, environment: &Environment) -> anyhow::Result<()> {
    let open = |home: Home| -> anyhow::Result<KeyStore> {
        Ok(KeyStore::open(Layers::of(environment, home).config()?.state.dir)?)
    };
    match args.action {
        Action::Create { name, home } => create(&open(home)?, &name),
        Action::List { home } => list(&open(home)?.list()?),
        Action::Revoke { wanted, home } => {
            let KeyInfo { id, name, .. } = open(home)?.revoke(&wanted)?;
            Ok(print::page(&format!("revoked the key `{name}` ({id})"))?)
        }
    }
}

fn create(store: &KeyStore, name: &str) -> anyhow::Result<()> {
    let key = store.create(name, Timestamp::now())?;
    // A key that nobody saw is of no use, and its name is taken.
    print::out(key.secret.expose_secret()).with_context(|| {
        format!("the new key could not be printed\n(hint: revoke it with `portcullis key revoke {}`)", key.id)
    })?;
    print::note(&format!(
        "This is the key `{name}` ({}). It is not kept and will not be shown again.",
        key.id
    ));
    Ok(())
}

fn list(keys: &[KeyInfo]) -> anyhow::Result<()> {
    if keys.is_empty() {
        print::note("There is no key yet (hint: `portcullis key create --name my-app`).");
        return Ok(());
    }
    let widest = keys.iter().map(|key| key.name.chars().count()).max().unwrap_or(0);
    let lines: Vec<_> =
        keys.iter().map(|key| format!("{}  {:widest$}  {}", key.id, key.name, key.created)).collect();
    Ok(print::page(&lines.join("\n"))?)
}
