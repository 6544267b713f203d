//! Configuration: defaults < TOML file < environment < flags, and where each value came from.
//!
//! [`load`] takes everything it needs as a value, the environment included, so that tests build it and only `main`
//! reads the real one. The steps, one file each:
//!
//! - `keys`: the table of everything that can be set; it also makes the reference page.
//! - `layers`: lays file, environment and flags over each other, and refuses what is not in the table.
//! - `given`, `meaning`, `quantity`: what a text or number means: an address, a duration, a URL.
//! - `template`, `schema`: the table as a file to be edited, and for editors.
//! - `changes`: what of another configuration a running gateway takes over.
//! - `build`: reads each key once, applies defaults and the rules between keys.
//!
//! Problems are collected, not thrown one at a time: who edits a file wants to hear of all mistakes at once.

mod build;
mod changes;
mod confinement;
mod given;
mod keys;
mod layers;
mod meaning;
mod model;
mod place;
mod problem;
mod provider;
mod quantity;
mod reader;
mod schema;
mod show;
mod template;
#[cfg(test)]
mod tests;

use camino::Utf8PathBuf;

pub(crate) use changes::{Change, Reloaded, reload};
pub(crate) use keys::reference_markdown;
pub(crate) use model::{
    Alias, Approvals, Audit, BaseUrl, Codex, Config, Confine, ConfineLevel, CustomProvider, Dashboard, Hands,
    Hosts, Http, ImageBackend, Images, KeepFor, Limits, Log, LogFilter, LogFormat, OpenAi, Origins, Paths,
    Provider, State, Store, Traces, Turn, UserId, Workers, Workspaces,
};
pub(crate) use place::{Origin, Place};
pub(crate) use problem::{ConfigErrors, Problem};
pub(crate) use quantity::{ByteSize, parse_duration};
pub(crate) use schema::json_schema;
pub(crate) use template::template;

/// Where configuration comes from.
#[derive(Clone, Default)]
pub(crate) struct Sources {
    /// The TOML file, if there may be one.
    pub(crate) file: Option<Utf8PathBuf>,
    /// The file was asked for by name, so that it must exist.
    pub(crate) explicit_file: bool,
    /// The whole environment. Only `PORTCULLIS__…`, `XDG_STATE_HOME` and `HOME` are looked at.
    pub(crate) env: Vec<(String, String)>,
    /// Dotted key, value, and the flag as the user wrote it, such as `--bind`. A later one wins.
    pub(crate) flags: Vec<(String, String, String)>,
}

/// A valid configuration, and where each value came from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The values.
    pub(crate) config: Config,
    settings: Vec<reader::Setting>,
}

impl Loaded {
    /// Every key, its value and where it came from, as TOML that can be loaded again.
    pub(crate) fn show(&self) -> String {
        show::show(self.config.file.as_deref(), &self.settings)
    }
}

/// Reads all layers; the errors are everything that is wrong with them.
#[expect(clippy::needless_pass_by_value, reason = "no caller has a use for the sources afterwards")]
pub(crate) fn load(sources: Sources) -> Result<Loaded, ConfigErrors> {
    let layers = layers::Layers::read(&sources);
    let mut reader = reader::Reader::new(layers.given, layers.problems);
    // Rules between keys would only repeat what a syntax error has hidden from us.
    let rules = if layers.file_is_whole { build::Rules::Check } else { build::Rules::Skip };
    let mut config = build::build(&mut reader, &sources.env, rules);
    let (settings, problems) = reader.finish();
    if let Some(errors) = ConfigErrors::of(problems) {
        return Err(errors);
    }
    config.file = layers.file;
    Ok(Loaded { config, settings })
}

// Written by hand because the environment and flags may hold secrets.
impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").field("file", &self.file).finish_non_exhaustive()
    }
}
