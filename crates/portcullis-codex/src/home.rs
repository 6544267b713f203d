//! A worker's own CODEX_HOME: made anew before every start, so that nothing of an earlier run is left in it.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, lchown, symlink};

use camino::{Utf8Path, Utf8PathBuf};
use portcullis_confine::User;
use toml::Table;

/// Where a worker lives.
#[derive(Clone, Debug)]
pub(crate) struct WorkerHome {
    /// The worker's directory, with all of the following in it; 0700.
    pub(crate) dir: Utf8PathBuf,
    /// Its CODEX_HOME; 0700.
    pub(crate) home: Utf8PathBuf,
    /// An empty directory: what threads believe to be in.
    pub(crate) cwd: Utf8PathBuf,
    /// What is only needed for a while: `/tmp` may not be there.
    pub(crate) tmp: Utf8PathBuf,
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
        let this =
            Self { dir: dir.to_owned(), home: dir.join("home"), cwd: dir.join("cwd"), tmp: dir.join("tmp") };
        for path in [&this.home, &this.cwd, &this.tmp] {
            private_dir(path)?;
        }
        private_dir(login_home)?;
        let link = this.home.join("auth.json");
        symlink(login_home.join("auth.json"), &link).map_err(failed("link the login at", &link))?;
        Ok(this)
    }

    /// Where the configuration stands.
    pub(crate) fn config(&self) -> Utf8PathBuf {
        self.home.join("config.toml")
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

/// Gives a directory and all that is in it to a user. Links are given and not followed.
pub fn give(path: &Utf8Path, user: User) -> Result<(), HomeError> {
    lchown(path, Some(user.uid), Some(user.gid)).map_err(failed("give away", path))?;
    if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        for entry in path.read_dir_utf8().map_err(failed("read", path))? {
            give(entry.map_err(failed("read", path))?.path(), user)?;
        }
    }
    Ok(())
}

/// A directory, with its parents, that only its owner enters.
pub(crate) fn private_dir(path: &Utf8Path) -> Result<(), HomeError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("make", path))
}
