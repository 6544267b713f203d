//! A child's stderr: always drained, so that the child never blocks on it, and only its tail kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::ChildStderr;
use tokio_util::task::AbortOnDropHandle;

use crate::task::spawn_owned;

/// Drains a child's stderr until end of file, or until dropped.
#[derive(Debug)]
pub(crate) struct Stderr {
    tail: Arc<Mutex<Tail>>,
    task: Option<AbortOnDropHandle<()>>,
}

impl Stderr {
    pub(crate) fn drain(pipe: ChildStderr, pid: u32) -> Self {
        let tail = Arc::new(Mutex::new(Tail::default()));
        let task = spawn_owned(drain(pipe, pid, Arc::clone(&tail)));
        Self { tail, task: Some(task) }
    }

    /// The last 64 KiB, or less. Bytes that are not UTF-8 are replaced.
    pub(crate) fn tail(&self) -> String {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).text()
    }

    /// After the end of the group: reads what is left. Cancel safe.
    ///
    /// Gives up after a moment, since a descendant that left the group may hold the pipe open for ever.
    pub(crate) async fn finish(&mut self, pid: u32) {
        let Some(task) = &mut self.task else { return };
        if tokio::time::timeout(LAST_WORDS, task).await.is_err() {
            tracing::warn!(
                worker.pid = pid,
                "stderr is still open although the process group is gone: a descendant left the group"
            );
        }
        self.task = None;
    }
}

async fn drain(mut pipe: ChildStderr, pid: u32, tail: Arc<Mutex<Tail>>) {
    let mut chunk = vec![0; 8 * 1024];
    let mut lines = Lines::default();
    // An error is as final as the end of file: there is nothing more to read.
    while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
        let bytes = &chunk[..read];
        tail.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        lines.push(bytes, |line| log_line(pid, line));
    }
    lines.finish(|line| log_line(pid, line));
}

/// Only ever at debug level: what an agent writes to stderr may quote what its user wrote.
fn log_line(pid: u32, line: &[u8]) {
    let line = String::from_utf8_lossy(line);
    tracing::debug!(target: "portcullis::worker_stderr", { worker.pid = pid }, "{line}");
}

/// The last bytes of a stream.
#[derive(Debug, Default)]
struct Tail {
    bytes: VecDeque<u8>,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        let kept = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        let excess = (self.bytes.len() + kept.len()).saturating_sub(TAIL_BYTES);
        self.bytes.drain(..excess);
        self.bytes.extend(kept);
    }

    fn text(&self) -> String {
        let (front, back) = self.bytes.as_slices();
        String::from_utf8_lossy(&[front, back].concat()).into_owned()
    }
}

/// Splits a stream into lines; a longer one than [`LINE_BYTES`] comes in pieces.
#[derive(Debug, Default)]
struct Lines {
    open: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], mut line: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            for part in piece.chunks(LINE_BYTES) {
                if self.open.len() + part.len() > LINE_BYTES {
                    line(&self.open);
                    self.open.clear();
                }
                self.open.extend_from_slice(part);
            }
            if self.open.last() == Some(&b'\n') {
                self.open.pop();
                line(&self.open);
                self.open.clear();
            }
        }
    }

    fn finish(self, mut line: impl FnMut(&[u8])) {
        if !self.open.is_empty() {
            line(&self.open);
        }
    }
}

const TAIL_BYTES: usize = 64 * 1024;
const LINE_BYTES: usize = 4 * 1024;
const LAST_WORDS: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_keeps_the_last_bytes_however_they_arrive() {
        let stream: Vec<u8> = (0..20_000).flat_map(|n: u32| format!("{n:06}\n").into_bytes()).collect();
        for size in [1, 7, 4_096, TAIL_BYTES - 1, TAIL_BYTES, TAIL_BYTES + 1, stream.len()] {
            let mut tail = Tail::default();
            for chunk in stream.chunks(size) {
                tail.push(chunk);
                assert!(tail.bytes.len() <= TAIL_BYTES);
            }
            assert_eq!(tail.text().as_bytes(), &stream[stream.len() - TAIL_BYTES..], "chunks of {size}");
        }
    }

    #[test]
    fn lines_are_split_bounded_and_complete() {
        let long = "x".repeat(LINE_BYTES + 10);
        let stream = format!("one\n\n{long}\nlast");
        for size in [1, 5, 8 * 1024] {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for chunk in stream.as_bytes().chunks(size) {
                lines.push(chunk, |line| seen.push(line.to_vec()));
            }
            lines.finish(|line| seen.push(line.to_vec()));
            assert!(seen.iter().all(|line| line.len() <= LINE_BYTES));
            assert_eq!(seen.concat(), stream.replace('\n', "").as_bytes(), "chunks of {size}");
            assert_eq!((seen.len(), &*seen[0], &*seen[4]), (5, &b"one"[..], &b"last"[..]));
        }
    }
}
