//! Cells around real programs, in the real kernel: as root, each as a user of its own, and as anybody else, as oneself.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![expect(clippy::use_debug, reason = "whoever reads what failed knows the types")]

mod barriers;
mod ends;
mod handed;
mod machine;
mod support;
