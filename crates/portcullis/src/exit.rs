//! Exit codes. Scripts and service managers may rely on them.

use crate::config::ConfigErrors;
use crate::environment::NotText;
use crate::gateway::KeyFileError;

/// It did what it was asked to; a gateway was told to stop and everything it had started has ended.
pub(crate) const FINE: u8 = 0;
/// It could not: the port is taken, there is no Codex, a file cannot be written.
pub(crate) const FAILURE: u8 = 1;
/// The arguments make no sense.
pub(crate) const USAGE: u8 = 2;
/// A bug in Portcullis: it panicked.
pub(crate) const INTERNAL: u8 = 70;
/// The configuration is wrong. Starting again will not help; systemd can be told so with
/// `RestartPreventExitStatus=78`.
pub(crate) const BAD_CONFIGURATION: u8 = 78;

/// For `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
   0  it did what it was asked to
   1  it could not
   2  the arguments make no sense
  70  a bug in Portcullis
  78  the configuration is wrong";

/// The code for what went wrong.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    let misconfigured = error
        .chain()
        .any(|cause| cause.is::<ConfigErrors>() || cause.is::<KeyFileError>() || cause.is::<NotText>());
    if misconfigured { BAD_CONFIGURATION } else { FAILURE }
}
