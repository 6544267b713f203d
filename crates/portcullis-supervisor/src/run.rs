//! One-shot helper commands, such as `codex --version`: bounded in time and in output.

use std::fmt;
use std::time::Duration;

use camino::Utf8PathBuf;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, ChildStdout};

use crate::{ExitReason, Launch, Process, SpawnError};

/// What a helper command may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// From start to the last byte of output.
    pub timeout: Duration,
    /// The longest stdout, in bytes.
    pub max_stdout_bytes: usize,
}

/// What a helper command left. `Debug` shows sizes, not contents.
#[derive(Clone, Eq, PartialEq)]
pub struct Output {
    /// How it ended; a code other than 0 is not a [`RunError`].
    pub exit: ExitReason,
    /// All of stdout.
    pub stdout: Vec<u8>,
    /// The last 64 KiB of stderr.
    pub stderr_tail: String,
}

/// Why a helper command has no [`Output`]. In each case its whole group is gone.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// It did not end in time.
    #[error("`{program}` did not end within {} ms", timeout.as_millis())]
    Timeout {
        /// The program of the launch.
        program: Utf8PathBuf,
        /// The limit.
        timeout: Duration,
    },
    /// It wrote more than it may.
    #[error("`{program}` wrote more than {max_stdout_bytes} bytes")]
    TooMuchOutput {
        /// The program of the launch.
        program: Utf8PathBuf,
        /// The limit.
        max_stdout_bytes: usize,
    },
    /// Its output could not be read.
    #[error("failed to read the output of `{program}`")]
    Read {
        /// The program of the launch.
        program: Utf8PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Runs a command to its end, with `stdin` (or nothing) as its input. Dropping the future kills the whole
/// group.
pub async fn run_to_end(launch: &Launch, stdin: Option<Vec<u8>>, limits: Limits) -> Result<Output, RunError> {
    let mut process = Process::spawn(launch)?;
    let (child_stdin, child_stdout) = process.take_stdio();
    let work = async {
        // The exit is awaited beside the pipes: it kills a grandchild that would otherwise hold stdout open.
        let ((), stdout, exit) = tokio::try_join!(
            async { feed(child_stdin, stdin).await },
            read(launch, child_stdout, limits.max_stdout_bytes),
            async { Ok(process.wait().await) },
        )?;
        Ok((stdout, exit))
    };
    let timeout = || RunError::Timeout { program: launch.program.clone(), timeout: limits.timeout };
    match tokio::time::timeout(limits.timeout, work).await.unwrap_or_else(|_| Err(timeout())) {
        Ok((stdout, exit)) => Ok(Output { exit, stdout, stderr_tail: process.stderr_tail() }),
        Err(error) => {
            process.kill().await;
            Err(error)
        }
    }
}

/// A child that does not read its input to the end is no error.
async fn feed(mut pipe: ChildStdin, stdin: Option<Vec<u8>>) -> Result<(), RunError> {
    if let Some(bytes) = stdin {
        let _ = pipe.write_all(&bytes).await;
    }
    Ok(())
}

async fn read(launch: &Launch, pipe: ChildStdout, max_stdout_bytes: usize) -> Result<Vec<u8>, RunError> {
    let mut stdout = Vec::new();
    let one_too_many = u64::try_from(max_stdout_bytes).unwrap_or(u64::MAX).saturating_add(1);
    pipe.take(one_too_many)
        .read_to_end(&mut stdout)
        .await
        .map_err(|source| RunError::Read { program: launch.program.clone(), source })?;
    if stdout.len() > max_stdout_bytes {
        return Err(RunError::TooMuchOutput { program: launch.program.clone(), max_stdout_bytes });
    }
    Ok(stdout)
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("exit", &self.exit)
            .field("stdout_bytes", &self.stdout.len())
            .field("stderr_tail_bytes", &self.stderr_tail.len())
            .finish()
    }
}
