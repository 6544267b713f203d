//! A worker's own CODEX_HOME: made anew before every start, so that nothing of an earlier run is left in it.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};

use camino::{Utf8Path, Utf8PathBuf};
use toml::Table;

/// Where a worker lives.
#[derive(Clone, Debug)]
pub(crate) struct WorkerHome {
    /// Its CODEX_HOME; 0700.
    pub(crate) home: Utf8PathBuf,
    /// An empty directory: what threads believe to be in.
    pub(crate) cwd: Utf8PathBuf,
}

/// A worker's home could not be made.
#[derive(Debug, thiserror::Error)]
#[error("could not {action} `{path}`")]
pub struct HomeError {
    action: &'static str,
    path: Utf8PathBuf,
    #[source]
    source: std::io::Error,
}

/// An I/O error with what was being done, and where.
fn failed(action: &'static str, path: &Utf8Path) -> impl FnOnce(std::io::Error) -> HomeError {
    let path = path.to_owned();
    move |source| HomeError { action, path, source }
}

impl WorkerHome {
    /// Empties and rebuilds the directory of one worker. The login stays where it is: the home holds a link to
    /// it, through which Codex itself reads and renews it.
    pub(crate) fn create(dir: &Utf8Path, login_home: &Utf8Path) -> Result<Self, HomeError> {
        match std::fs::remove_dir_all(dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed("empty", dir)(error));
            }
            _ => {}
        }
        let this = Self { home: dir.join("home"), cwd: dir.join("cwd") };
        for path in [&this.home, &this.cwd] {
            private_dir(path)?;
        }
        private_dir(login_home)?;
        let link = this.home.join("auth.json");
        symlink(login_home.join("auth.json"), &link).map_err(failed("link the login at", &link))?;
        Ok(this)
    }

    /// Where the model catalog stands.
    pub(crate) fn catalog(&self) -> Utf8PathBuf {
        self.home.join("models.json")
    }

    /// Writes the configuration.
    pub(crate) fn write_config(&self, config: &Table) -> Result<(), HomeError> {
        let text = toml::to_string(config).expect("a table of plain values is always TOML");
        self.write("config.toml", text.as_bytes())
    }

    /// Writes a file that only its owner reads.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), HomeError> {
        let path = self.home.join(name);
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(bytes)).map_err(failed("write", &path))
    }
}

/// A directory, with its parents, that only its owner enters.
pub(crate) fn private_dir(path: &Utf8Path) -> Result<(), HomeError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("make", path))
}
