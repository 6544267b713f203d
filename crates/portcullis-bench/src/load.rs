//! How often is asked: as fast as answers come, or at a fixed pace.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Barrier, mpsc};
use tokio::task::JoinSet;

use crate::target::{Answer, Target};
use crate::wish::Wish;

/// What is asked, again and again.
#[derive(Clone, Copy)]
pub(crate) struct Question {
    pub(crate) wish: Wish,
    pub(crate) stream: bool,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    pub(crate) answers: Vec<Answer>,
    /// Answers that are no answers or not whole, and connections that broke.
    pub(crate) failed: u64,
    /// From the first question to the last answer.
    pub(crate) took: Duration,
}

impl Load {
    pub(crate) fn per_second(&self) -> f64 {
        self.answers.len() as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.answers.extend(other.answers);
        self.failed += other.failed;
        self.took += other.took;
    }

    fn take(&mut self, wish: Wish, answer: anyhow::Result<Answer>) {
        match answer {
            Ok(answer) if answer.status == 200 && answer.text == wish.text_bytes() => {
                self.answers.push(answer);
            }
            _ => self.failed += 1,
        }
    }
}

/// So many askers, each with one question at a time, for so long or so many questions, whichever is first.
pub(crate) async fn closed(
    target: &Target,
    question: Question,
    askers: usize,
    window: Duration,
    most: u64,
) -> anyhow::Result<Load> {
    let gate = Arc::new(Barrier::new(askers + 1));
    let asked = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..askers {
        let mut one = target.asker().await?;
        let (gate, asked) = (Arc::clone(&gate), Arc::clone(&asked));
        tasks.spawn(async move {
            let mut load = Load::default();
            gate.wait().await;
            let until = Instant::now() + window;
            while Instant::now() < until && asked.fetch_add(1, Ordering::Relaxed) < most {
                load.take(question.wish, one.ask(question.wish, question.stream, Instant::now()).await);
            }
            load
        });
    }
    gate.wait().await;
    let began = Instant::now();
    let mut all = Load::default();
    while let Some(load) = tasks.join_next().await {
        all.add(load?);
    }
    all.took = began.elapsed();
    Ok(all)
}

/// A new app-server's first turns are slow: asks a few questions whose answers do not count.
pub(crate) async fn warm_up(target: &Target, question: Question) -> anyhow::Result<()> {
    let load = closed(target, question, 1, Duration::from_mins(1), 10).await?;
    anyhow::ensure!(load.failed == 0, "a first turn failed");
    Ok(())
}

/// Questions at a fixed pace, whether or not earlier askers are answered. Times count from when a question was due, so
/// that a server which stalls can not hide it by slowing down who asks.
pub(crate) async fn open(
    target: &Target,
    question: Question,
    per_second: u32,
    window: Duration,
    askers: usize,
) -> anyhow::Result<Load> {
    let (due, when) = mpsc::channel::<Instant>(1 << 16);
    let when = Arc::new(tokio::sync::Mutex::new(when));
    let mut tasks = JoinSet::new();
    for _ in 0..askers {
        let mut one = target.asker().await?;
        let when = Arc::clone(&when);
        tasks.spawn(async move {
            let mut load = Load::default();
            loop {
                let Some(since) = when.lock().await.recv().await else { return load };
                load.take(question.wish, one.ask(question.wish, question.stream, since).await);
            }
        });
    }
    let started = Instant::now();
    // A thread of its own: the runtime's clock ticks in whole milliseconds.
    let pacer = tokio::task::spawn_blocking(move || pace(&due, per_second, window));
    let mut all = Load::default();
    while let Some(load) = tasks.join_next().await {
        all.add(load?);
    }
    pacer.await?;
    all.took = started.elapsed();
    Ok(all)
}

fn pace(due: &mpsc::Sender<Instant>, per_second: u32, window: Duration) {
    let began = Instant::now();
    let step = Duration::from_secs(1) / per_second;
    let mut next = began;
    while next < began + window {
        if let Some(early) = next.checked_duration_since(Instant::now()) {
            #[expect(clippy::disallowed_methods, reason = "a thread of its own, outside of the runtime")]
            std::thread::sleep(early);
        }
        if due.try_send(next).is_err() {
            // So far behind that nothing measured from here on would mean anything.
            return;
        }
        next += step;
    }
}
