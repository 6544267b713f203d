//! Flags that several commands have, and how flags become the strongest layer of the configuration.

use camino::Utf8PathBuf;

use crate::config::{self, Config, ConfigErrors, Loaded, Sources};
use crate::environment::Environment;

/// Where the configuration and the state are.
#[derive(clap::Args)]
pub(crate) struct Home {
    /// The configuration file [default: $XDG_CONFIG_HOME/portcullis/portcullis.toml or
    /// ~/.config/portcullis/portcullis.toml, if it exists].
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<Utf8PathBuf>,
    /// Where keys, login and everything else is kept; [state] dir in the file.
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<Utf8PathBuf>,
}

/// Which Codex, and where its login is.
#[derive(clap::Args)]
pub(crate) struct Codex {
    /// The Codex program; [codex] bin in the file [default: `codex` on the PATH].
    #[arg(long, value_name = "PATH")]
    pub(crate) codex_bin: Option<Utf8PathBuf>,
    /// The home of Codex, with the login; [codex] home in the file [default: `codex` in the state directory].
    #[arg(long, value_name = "DIR")]
    pub(crate) codex_home: Option<Utf8PathBuf>,
}

/// The layers that are stronger than the defaults.
#[derive(Clone)]
pub(crate) struct Layers(Sources);

impl Layers {
    /// The environment alone.
    pub(crate) fn new(environment: &Environment) -> Self {
        Self(Sources { env: environment.to_pairs(), ..Sources::default() })
    }

    /// The environment and a file: this one, which must exist, or the default one, which need not.
    pub(crate) fn with_file(environment: &Environment, file: Option<Utf8PathBuf>) -> Self {
        let mut layers = Self::new(environment);
        layers.0.explicit_file = file.is_some();
        layers.0.file = file.or_else(|| default_file(environment));
        layers
    }

    /// [`Layers::with_file`] with the flags that say where everything is.
    pub(crate) fn of(environment: &Environment, home: Home) -> Self {
        Self::with_file(environment, home.config).flag("--state-dir", "state.dir", home.state_dir)
    }

    /// The flags that say which Codex.
    pub(crate) fn codex(self, codex: Codex) -> Self {
        self.flag("--codex-bin", "codex.bin", codex.codex_bin).flag(
            "--codex-home",
            "codex.home",
            codex.codex_home,
        )
    }

    /// A flag, if it was given.
    pub(crate) fn flag<T: ToString>(mut self, flag: &str, key: &str, value: Option<T>) -> Self {
        let given = value.map(|value| (key.to_owned(), value.to_string(), flag.to_owned()));
        self.0.flags.extend(given);
        self
    }

    /// Reads all layers.
    pub(crate) fn load(self) -> Result<Loaded, ConfigErrors> {
        config::load(self.0)
    }

    /// The same, where the file was there and must not be missing the next time.
    pub(crate) fn again(mut self, loaded: &Loaded) -> Self {
        self.0.explicit_file |= loaded.config.file.is_some();
        self
    }

    /// Reads all layers and keeps the values alone.
    pub(crate) fn config(self) -> Result<Config, ConfigErrors> {
        Ok(self.load()?.config)
    }
}

/// The configuration file that is read when none is named.
pub(crate) fn default_file(environment: &Environment) -> Option<Utf8PathBuf> {
    let config_home = environment.dir("XDG_CONFIG_HOME").map(Utf8PathBuf::from);
    let below = config_home.or_else(|| environment.dir("HOME").map(|home| home.join(".config")))?;
    Some(below.join("portcullis/portcullis.toml"))
}
