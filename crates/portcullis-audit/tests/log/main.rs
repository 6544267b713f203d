//! The log on a real disk: its lines, its chain, what breaks it, and what it does when it can not be written.

#![expect(clippy::unwrap_used, reason = "a test that can not prepare its case has failed")]

mod audit;
mod chain;
mod support;
