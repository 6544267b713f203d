//! The pictures that a turn draws from: files in a private directory that only this turn knows and that is gone with
//! it, whatever way it ends.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};

use camino::{Utf8Path, Utf8PathBuf};
use portcullis_agent::Reference;

/// Files in a directory of their own. Dropping it removes them.
#[derive(Debug)]
pub(crate) struct ReferenceFiles {
    dir: Utf8PathBuf,
    paths: Vec<Utf8PathBuf>,
}

impl ReferenceFiles {
    /// Writes the pictures below `root`, under a name that nobody can guess. Blocks on the disk.
    pub(crate) fn write(root: &Utf8Path, references: &[Reference]) -> std::io::Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(std::io::Error::other)?;
        let dir = root.join(format!("{:032x}", u128::from_be_bytes(random)));
        std::fs::DirBuilder::new().mode(0o700).create(&dir)?;
        let mut this = Self { dir, paths: Vec::new() };
        for (number, reference) in references.iter().enumerate() {
            let path = this.dir.join(format!("{number}.{}", reference.format.word()));
            let mut file =
                std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(&reference.bytes)?;
            this.paths.push(path);
        }
        Ok(this)
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Utf8Path {
        &self.dir
    }

    /// Where they are, in order.
    pub(crate) fn paths(&self) -> &[Utf8PathBuf] {
        &self.paths
    }
}

impl Drop for ReferenceFiles {
    fn drop(&mut self) {
        // A worker that starts anew empties the whole place, and takes this with it.
        if let Err(error) = std::fs::remove_dir_all(&self.dir)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(error = %error, "The pictures of a request could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use portcullis_agent::PictureFormat;

    use super::*;

    #[test]
    fn files_are_private_and_gone_afterwards() {
        let root = camino_tempfile::tempdir().unwrap();
        let reference = |format| Reference { bytes: b"x".as_slice().into(), format };
        let references = [reference(PictureFormat::Png), reference(PictureFormat::Jpeg)];
        let files = ReferenceFiles::write(root.path(), &references).unwrap();
        let names: Vec<_> = files.paths().iter().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(names, ["0.png", "1.jpeg"]);
        assert_eq!(std::fs::metadata(&files.dir).unwrap().mode() & 0o777, 0o700);
        assert_eq!(std::fs::metadata(&files.paths()[0]).unwrap().mode() & 0o777, 0o600);
        drop(files);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
