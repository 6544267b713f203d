//! Becoming the program.

use std::convert::Infallible;
use std::ffi::{CString, c_char};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::ptr;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{Mode, OFlags, open};

use crate::EnterError;

/// A program that was found while the launcher could still reach it.
#[derive(Debug)]
pub(crate) struct Program {
    path: Utf8PathBuf,
    file: OwnedFd,
}

impl Program {
    pub(crate) fn open(path: &Utf8Path) -> Result<Self, EnterError> {
        match open(path.as_std_path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => Ok(Self { path: path.to_owned(), file }),
            Err(errno) => Err(EnterError::Path { path: path.to_owned(), source: errno.into() }),
        }
    }

    /// Replaces this process, which keeps its environment. Returns only when that failed.
    pub(crate) fn exec(self, args: &[String]) -> Result<Infallible, EnterError> {
        let failed = |source| EnterError::Path { path: self.path.clone(), source };
        let words = std::iter::once(self.path.as_str()).chain(args.iter().map(String::as_str));
        let words: Result<Vec<CString>, _> = words.map(CString::new).collect();
        let words = words.map_err(|nul| failed(nul.into()))?;
        let mut pointers: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
        pointers.push(ptr::null());
        // SAFETY: the path is an empty string with its end. `pointers` is an array of such strings, ended by a null pointer,
        // and both it and `words`, which owns them, live until the call returns. `environ` is the C library's own array
        // of the same form, and nobody changes it: the launcher has one thread.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                self.file.as_raw_fd(),
                c"".as_ptr(),
                pointers.as_ptr(),
                environ,
                libc::AT_EMPTY_PATH,
            );
        }
        Err(failed(std::io::Error::last_os_error()))
    }
}

unsafe extern "C" {
    /// The process's environment, as the C library keeps it.
    static environ: *const *const c_char;
}
