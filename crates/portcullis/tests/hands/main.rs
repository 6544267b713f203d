//! The profiles `read` and `work` with the real Codex, in real cells, driven by a model that attacks.
//!
//! The launcher is the program itself, as in production. What the model is told of its tools' outputs is what counts:
//! an attack that worked would be in there.

#![expect(clippy::unwrap_used, reason = "a test that can not do its work has failed")]

mod attacks;
mod support;
mod turns;
mod unprivileged;
