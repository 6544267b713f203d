//! Which Codex binary is run: the native one, not the Node launcher, and which version it is.

use std::io::Read as _;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use portcullis_supervisor::{Launch, Limits, run_to_end};

/// The version that Portcullis is tested with: npm `@openai/codex`, exactly.
pub const PINNED_VERSION: &str = "0.169.0";

/// A native Codex binary whose version is known.
#[derive(Clone, Debug)]
pub struct CodexBinary {
    /// Its path.
    pub path: Utf8PathBuf,
    /// What it says of itself, such as `0.169.0`.
    pub version: String,
}

/// Why there is no usable Codex.
#[derive(Debug, thiserror::Error)]
pub enum BinaryError {
    /// Nothing is at the path.
    #[error(
        "there is no Codex at `{path}` (hint: `npm install @openai/codex@{PINNED_VERSION}` and set [codex] bin to it)"
    )]
    Missing {
        /// Where it was looked for.
        path: Utf8PathBuf,
    },
    /// The Node launcher is there, but not the package with the native binary.
    #[error(
        "`{path}` is Codex's Node launcher, and the native binary that belongs to it is not installed (hint: reinstall with `npm install @openai/codex@{PINNED_VERSION}`, optional packages included)"
    )]
    LauncherOnly {
        /// The launcher.
        path: Utf8PathBuf,
    },
    /// It is there and does not run.
    #[error("`{path} --version` does not answer")]
    DoesNotRun {
        /// The binary.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl CodexBinary {
    /// Finds the native binary behind `path` (itself, or npm's launcher or its link) and asks its version.
    pub async fn find(path: &Utf8Path) -> Result<Self, BinaryError> {
        let path = native(path)?;
        let version =
            version(&path).await.map_err(|source| BinaryError::DoesNotRun { path: path.clone(), source })?;
        Ok(Self { path, version })
    }

    /// The bubblewrap that this Codex brings with it, if it does.
    pub fn bubblewrap(&self) -> Option<Utf8PathBuf> {
        crate::cells::bubblewrap(&self.path)
    }

    /// Whether it is the version that Portcullis is tested with.
    pub fn is_pinned(&self) -> bool {
        self.version == PINNED_VERSION
    }
}

fn native(path: &Utf8Path) -> Result<Utf8PathBuf, BinaryError> {
    let real =
        path.canonicalize_utf8().map_err(|_unreadable| BinaryError::Missing { path: path.to_owned() })?;
    if is_elf(&real) {
        return Ok(real);
    }
    let launcher_only = || BinaryError::LauncherOnly { path: path.to_owned() };
    // `…/node_modules/@openai/codex/bin/codex.js`; the native package is a sibling, or nested below the launcher's.
    let package = real.parent().and_then(Utf8Path::parent).ok_or_else(launcher_only)?;
    let nested = package.join("node_modules/@openai");
    [package.parent(), Some(nested.as_path())]
        .into_iter()
        .flatten()
        .find_map(native_below)
        .ok_or_else(launcher_only)
}

/// `<scope>/codex-<platform>/vendor/<triple>/bin/codex`.
fn native_below(scope: &Utf8Path) -> Option<Utf8PathBuf> {
    let packages = scope.read_dir_utf8().ok()?.flatten();
    packages
        .filter(|entry| entry.file_name().starts_with("codex-"))
        .filter_map(|entry| entry.path().join("vendor").read_dir_utf8().ok())
        .flat_map(Iterator::flatten)
        .map(|triple| triple.path().join("bin/codex"))
        .find(|path| is_elf(path))
}

fn is_elf(path: &Utf8Path) -> bool {
    let mut magic = [0; 4];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}

async fn version(path: &Utf8Path) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let launch = Launch {
        program: path.to_owned(),
        args: vec!["--version".to_owned()],
        env: Vec::new(),
        cwd: "/".into(),
    };
    let limits = Limits { timeout: Duration::from_secs(20), max_stdout_bytes: 4096 };
    let output = run_to_end(&launch, None, limits).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version =
        text.split_whitespace().last().filter(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    version.map(str::to_owned).ok_or_else(|| format!("it printed {:?}", text.trim()).into())
}
