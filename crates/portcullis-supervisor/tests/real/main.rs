//! Real processes: what is started, what is killed, and that nothing is left.

mod process;
mod run;
mod supervisor;
mod support;
