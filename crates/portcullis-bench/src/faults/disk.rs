//! A disk that is small enough to be filled: a tmpfs of its own, where this user may mount one.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::Utf8TempDir;
use portcullis_supervisor::{Launch, Limits, run_to_end};

/// Enough for a worker's home and the store.
const SIZE: &str = "size=96m";

/// A disk of its own, or none where mounting is not allowed.
pub(super) struct SmallDisk {
    dir: Utf8TempDir,
    mounted: bool,
}

impl SmallDisk {
    pub(super) async fn mount() -> anyhow::Result<Self> {
        let dir = camino_tempfile::tempdir()?;
        let mounted =
            run("mount", &["-t", "tmpfs", "-o", SIZE, "portcullis-faults", dir.path().as_str()]).await;
        Ok(Self { dir, mounted })
    }

    /// Where the gateway lives, if it lives on a disk of its own.
    pub(super) fn dir(&self) -> Option<Utf8PathBuf> {
        self.mounted.then(|| self.dir.path().to_owned())
    }

    /// Fills it to the last byte; says whether there is such a disk.
    pub(super) fn fill(&self) -> bool {
        if !self.mounted {
            return false;
        }
        let Ok(mut file) = std::fs::File::create(self.ballast()) else { return false };
        let block = vec![0_u8; 64 * 1024];
        // Then byte by byte: a full disk with room for a small file is not full.
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
        while std::io::Write::write_all(&mut file, &block[..512]).is_ok() {}
        true
    }

    /// Makes room again.
    pub(super) fn empty(&self) {
        // It is not there when the disk was too full even for its name.
        let _not_there = std::fs::remove_file(self.ballast());
    }

    fn ballast(&self) -> Utf8PathBuf {
        self.dir.path().join("ballast")
    }

    pub(super) async fn unmount(self) -> anyhow::Result<()> {
        if self.mounted {
            anyhow::ensure!(
                run("umount", &[self.dir.path().as_str()]).await,
                "the small disk is still in use"
            );
        }
        Ok(())
    }
}

async fn run(program: &str, args: &[&str]) -> bool {
    let path = ["/usr/bin", "/bin"].map(|dir| Utf8Path::new(dir).join(program));
    let Some(program) = path.into_iter().find(|path| path.is_file()) else { return false };
    let launch = Launch {
        program,
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        env: Vec::new(),
        cwd: "/".into(),
    };
    let limits = Limits { timeout: Duration::from_secs(10), max_stdout_bytes: 4096 };
    run_to_end(&launch, None, limits).await.is_ok()
}
