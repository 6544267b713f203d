//! What is written to a worker: at once where its pipe has room, otherwise by a task as soon as it has.
//!
//! A line is small and the pipe is nearly always empty, so that the caller's own write saves a change of tasks for
//! every call. Nobody ever waits here.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::io::Interest;
use tokio::net::unix::pipe;
use tokio::process::ChildStdin;
use tokio::sync::Notify;

/// The lines for one worker, in the order in which they were given.
pub(crate) struct Outbox {
    pipe: pipe::Sender,
    /// Bounded by what may be outstanding: the calls in flight, and the answers to tool calls.
    rest: Mutex<Rest>,
    /// Something waits for room.
    wait: Notify,
}

/// What the pipe had no room for.
#[derive(Default)]
struct Rest {
    bytes: Vec<u8>,
    /// How much of it has been written since.
    written: usize,
}

impl Outbox {
    pub(crate) fn new(stdin: ChildStdin) -> io::Result<Self> {
        let pipe = pipe::Sender::from_owned_fd(stdin.into_owned_fd()?)?;
        Ok(Self { pipe, rest: Mutex::default(), wait: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line, or keeps it until there is room. It is lost only when the worker is gone.
    pub(crate) fn send(&self, line: &[u8]) {
        let mut rest = self.lock();
        let mut written = 0;
        if rest.bytes.is_empty() {
            // Whatever went wrong, the task that keeps writing finds it out and tells it.
            written = self.pipe.try_write(line).unwrap_or(0);
        }
        if written < line.len() {
            rest.bytes.extend_from_slice(&line[written..]);
            drop(rest);
            self.wait.notify_one();
        }
    }

    /// Writes what had to wait, for ever. Returns why it can not be done any more; also when nothing waits, since a turn of
    /// a worker that hears nothing could not be interrupted.
    pub(crate) async fn keep_writing(&self) -> String {
        tokio::select! {
            error = self.write_all() => format!("the app-server's input can not be written: {error}"),
            _ = self.pipe.ready(Interest::ERROR) => "the app-server closed its input".to_owned(),
        }
    }

    async fn write_all(&self) -> io::Error {
        loop {
            self.wait.notified().await;
            while !self.lock().bytes.is_empty() {
                let written = match self.pipe.writable().await {
                    Ok(()) => self.write_rest(),
                    Err(error) => Err(error),
                };
                if let Err(error) = written {
                    return error;
                }
            }
        }
    }

    fn write_rest(&self) -> io::Result<()> {
        let mut rest = self.lock();
        while rest.written < rest.bytes.len() {
            match self.pipe.try_write(&rest.bytes[rest.written..]) {
                Ok(written) => rest.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        // What was once large is given back.
        *rest = Rest::default();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use portcullis_supervisor::{Launch, Process};
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// More than a pipe holds, before anybody reads: nothing is lost and nothing changes places.
    #[tokio::test]
    async fn lines_arrive_whole_and_in_order_however_full_the_pipe_is() {
        let launch =
            Launch { program: "/bin/cat".into(), args: Vec::new(), env: Vec::new(), cwd: "/".into() };
        let mut process = Process::spawn(&launch).unwrap();
        let (stdin, mut stdout) = process.take_stdio();
        let outbox = Arc::new(Outbox::new(stdin).unwrap());
        let mut expected = Vec::new();
        for number in 0..300_usize {
            let line = format!("{number}{}\n", "x".repeat(number * 13)).into_bytes();
            outbox.send(&line);
            expected.extend(line);
        }
        let mut read = vec![0; expected.len()];
        tokio::select! {
            done = stdout.read_exact(&mut read) => { done.unwrap(); }
            why = outbox.keep_writing() => panic!("{why}"),
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("they do not arrive"),
        }
        assert!(read == expected);
        process.kill().await;
        outbox.send(b"x\n");
        outbox.send(b"x\n");
        let why = tokio::time::timeout(Duration::from_secs(20), outbox.keep_writing()).await.unwrap();
        assert!(why.contains("input"), "{why}");
    }
}
