//! The file of an SQLite database: for its owner alone.
//!
//! It holds what people said to the model. SQLite gives the files beside it (`-wal`, `-shm`) the same permissions.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

use camino::Utf8Path;

use crate::OpenError;

/// What others than the owner may do with the file, as bits of a mode.
const OTHERS: u32 = 0o077;
/// The same with its directory: walking through it shows nothing, and other users' workers may have to.
const OTHERS_IN_DIR: u32 = 0o066;

/// Creates the file if it is not there, and refuses a file or directory that is open to others.
pub(crate) fn prepare(path: &Utf8Path) -> Result<(), OpenError> {
    let dir = match path.parent() {
        None => Utf8Path::new("."),
        Some(dir) if dir.as_str().is_empty() => Utf8Path::new("."),
        Some(dir) => dir,
    };
    check(dir, OTHERS_IN_DIR)?;
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match created {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check(path, OTHERS),
        Err(source) => Err(OpenError::File { path: path.to_owned(), source }),
    }
}

fn check(path: &Utf8Path, others: u32) -> Result<(), OpenError> {
    let metadata = fs::metadata(path).map_err(|source| OpenError::File { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & others != 0 {
        return Err(OpenError::Exposed { path: path.to_owned(), mode });
    }
    Ok(())
}
