//! `portcullis key`: the API keys of the gateway's clients.

mod flags;

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use portcullis_access::{Grant, KeyInfo, KeyStore, NewKey};
use portcullis_agent::Profile;
use portcullis_audit::{Fact, Text};
use secrecy::ExposeSecret as _;

use crate::config::Config;
use crate::environment::Environment;
use crate::flags::{Home, Layers};
use crate::{gateway, print};

/// Make, list, rotate and revoke the API keys of apps.
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
  portcullis key create --name ci --profile work --model codex --turns 2 --expires 30d
  portcullis key list
  portcullis key rotate my-app --grace 1h
  portcullis key revoke my-app";

#[derive(clap::Subcommand)]
enum Action {
    /// Make a key. The key alone goes to stdout, everything else to stderr.
    Create {
        /// What to call it: the app or person that will hold it.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        grant: flags::Grant,
        #[command(flatten)]
        home: Home,
    },
    /// List all keys and what they may do, oldest first. The keys themselves are not known any more.
    List {
        #[command(flatten)]
        home: Home,
    },
    /// Give a key another secret. Its name, what it may do and what belongs to it stay.
    ///
    /// The new key alone goes to stdout, everything else to stderr.
    Rotate {
        /// Its name, or its id as `key list` shows it.
        #[arg(value_name = "NAME_OR_ID")]
        wanted: String,
        /// How long the old secret is still good, such as `1h` [default: not at all].
        #[arg(long, value_name = "DURATION", value_parser = flags::duration)]
        grace: Option<Duration>,
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
    let open = |home: Home| -> anyhow::Result<(Config, KeyStore)> {
        let config = Layers::of(environment, home).config()?;
        let store = KeyStore::open(&config.state.dir)?;
        Ok((config, store))
    };
    let now = Timestamp::now();
    match args.action {
        Action::Create { name, grant, home } => {
            let (config, store) = open(home)?;
            let grant = grant.read(now)?;
            let key = store.create(&name, &grant, now)?;
            if let Err(error) = gateway::record(&config, created(&key, &grant)) {
                // A key that nobody will ever know of must not be good.
                store.revoke(&key.id)?;
                return Err(error.context("no key was made, as that cannot be written into the audit log"));
            }
            show(&key, "revoke it with `portcullis key revoke")
        }
        Action::List { home } => list(&open(home)?.1.list()?, now),
        Action::Rotate { wanted, grace, home } => {
            let (config, store) = open(home)?;
            let key = store.rotate(&wanted, grace.unwrap_or_default(), now)?;
            let fact = Fact::KeyRotated { key: Text::new(&key.id), name: Text::new(&key.name) };
            let recorded = gateway::record(&config, fact);
            show(&key, "make another one with `portcullis key rotate")?;
            recorded.context(UNRECORDED)
        }
        Action::Revoke { wanted, home } => {
            let (config, store) = open(home)?;
            let KeyInfo { id, name, .. } = store.revoke(&wanted)?;
            let fact = Fact::KeyRevoked { key: Text::new(&id), name: Text::new(&name) };
            let recorded = gateway::record(&config, fact);
            print::page(&format!("revoked the key `{name}` ({id})"))?;
            recorded.context(UNRECORDED)
        }
    }
}

/// Of what is done, and only that it was is missing.
const UNRECORDED: &str = "it is done, but that cannot be written into the audit log";

fn created(key: &NewKey, grant: &Grant) -> Fact {
    let scopes: Vec<_> = grant.scopes.iter().map(ToString::to_string).collect();
    Fact::KeyCreated {
        key: Text::new(&key.id),
        name: Text::new(&key.name),
        profile: grant.profile,
        scopes: Text::new(&scopes.join(" ")),
    }
}

/// `way_out` is what to do with a key that nobody saw.
fn show(key: &NewKey, way_out: &str) -> anyhow::Result<()> {
    print::out(key.secret.expose_secret())
        .with_context(|| format!("the new key could not be printed\n(hint: {way_out} {}`)", key.id))?;
    print::note(&format!(
        "This is the key `{}` ({}). It is not kept and will not be shown again.",
        key.name, key.id
    ));
    Ok(())
}

fn list(keys: &[KeyInfo], now: Timestamp) -> anyhow::Result<()> {
    if keys.is_empty() {
        print::note("There is no key yet (hint: `portcullis key create --name my-app`).");
        return Ok(());
    }
    let widest = keys.iter().map(|key| key.name.chars().count()).max().unwrap_or(0);
    let line = |key: &KeyInfo| {
        format!("{}  {:widest$}  {}  {}", key.id, key.name, key.created, words(&key.grant, now))
    };
    Ok(print::page(&keys.iter().map(line).collect::<Vec<_>>().join("\n"))?)
}

/// What a key may do, in one line: the profile, and whatever is not the default.
fn words(grant: &Grant, now: Timestamp) -> String {
    let Grant { profile, models, scopes, limits, expires } = grant;
    let mut words = vec![match profile {
        Profile::Chat => "chat".to_owned(),
        wider => format!("up to {wider}"),
    }];
    if !models.is_empty() {
        words.push(format!("models {}", models.iter().cloned().collect::<Vec<_>>().join(" ")));
    }
    if *scopes != Grant::default().scopes {
        let scopes = scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        words.push(format!("scopes {}", if scopes.is_empty() { "none" } else { &scopes }));
    }
    words.extend(limits.turns.map(|most| format!("{most} turns at once")));
    words.extend(limits.requests_per_minute.map(|most| format!("{most} requests a minute")));
    words.extend(limits.tokens_per_minute.map(|most| format!("{most} tokens a minute")));
    words.extend(expires.map(|expires| {
        let verb = if grant.is_expired(now) { "expired" } else { "expires" };
        format!("{verb} {expires}")
    }));
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use portcullis_access::{KeyLimits, Scope};

    use super::*;

    #[test]
    fn a_grant_in_words() {
        let now: Timestamp = "2026-02-03T04:05:06Z".parse().unwrap();
        assert_eq!(words(&Grant::default(), now), "chat");
        let narrow = Grant {
            profile: Profile::Work,
            models: ["codex".to_owned(), "gpt-5.5".to_owned()].into(),
            scopes: [Scope::Inference].into(),
            limits: KeyLimits {
                turns: 2.try_into().ok(),
                requests_per_minute: 60.try_into().ok(),
                tokens_per_minute: 1000.try_into().ok(),
            },
            expires: Some(now),
        };
        assert_eq!(
            words(&narrow, now),
            "up to work, models codex gpt-5.5, scopes inference, 2 turns at once, 60 requests a minute, \
             1000 tokens a minute, expired 2026-02-03T04:05:06Z"
        );
    }
}
