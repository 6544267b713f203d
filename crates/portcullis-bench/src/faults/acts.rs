//! The hand that breaks things, as the plan says.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;

use super::Counts;
use super::disk::SmallDisk;
use super::plan::{Act, Plan, Victims};
use crate::gateway::Gateway;
use crate::proc;

pub(super) struct Hand<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) disk: &'a SmallDisk,
    pub(super) counts: &'a Counts,
}

/// How long a pool may take to be whole again; much longer than it should.
const READY: Duration = Duration::from_secs(40);

impl Hand<'_> {
    /// Plays the whole plan; tells what was done.
    pub(super) async fn play(&self, plan: &Plan) -> anyhow::Result<Vec<String>> {
        let began = Instant::now();
        let mut told = Vec::new();
        for (at, act) in &plan.acts {
            tokio::time::sleep_until((began + *at).into()).await;
            let what = self.act(*act).await?;
            told.push(format!("{:6.1} s, after {} requests: {what}", at.as_secs_f64(), self.counts.sent()));
        }
        tokio::time::sleep_until((began + plan.length).into()).await;
        Ok(told)
    }

    async fn act(&self, act: Act) -> anyhow::Result<String> {
        let began = Instant::now();
        Ok(match act {
            Act::Kill(number) => {
                let processes = self.worker(number);
                let Some(pid) = processes.last() else {
                    return Ok(format!("no worker {number} to kill: it is being started"));
                };
                send(*pid, Signal::KILL);
                let ready =
                    if self.replaced(number, &processes).await { "all ready" } else { "not all ready" };
                format!("killed worker {number}; {ready} again after {} ms", began.elapsed().as_millis())
            }
            Act::Stop(victims, time) => {
                let (whom, stopped) = match victims {
                    Victims::One(number) => (format!("worker {number}"), self.worker(number)),
                    Victims::All => ("the workers".to_owned(), proc::descendants(self.gateway.pid)),
                };
                signal_all(&stopped, Signal::STOP);
                tokio::time::sleep(time).await;
                signal_all(&stopped, Signal::CONT);
                let left = proc::descendants(self.gateway.pid);
                let gone = stopped.iter().filter(|pid| !left.contains(pid)).count();
                let what = if gone > 0 { "replaced" } else { "went on" };
                format!("stopped {whom} for {} ms; {what}", time.as_millis())
            }
            Act::FillDisk(time) => {
                if !self.disk.fill() {
                    return Ok("no disk to fill: mounting one is not allowed here".to_owned());
                }
                tokio::time::sleep(time).await;
                self.disk.empty();
                format!("filled the disk for {} ms", time.as_millis())
            }
            Act::Descriptors(time) => {
                // Connections that say nothing, more than the gateway may have descriptors.
                let mut held = Vec::new();
                for _ in 0..400 {
                    let open = TcpStream::connect(self.gateway.address.socket);
                    if let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(100), open).await {
                        held.push(stream);
                    }
                }
                tokio::time::sleep(time).await;
                format!("held {} silent connections for {} ms", held.len(), time.as_millis())
            }
        })
    }

    /// The processes of the worker of this number, the innermost last; none while it is being started.
    fn worker(&self, number: usize) -> Vec<u32> {
        let home = format!("/workers/codex-{number}/");
        let below = proc::descendants(self.gateway.pid);
        below
            .into_iter()
            .filter(|pid| proc::environment(*pid).is_some_and(|all| all.contains(&home)))
            .collect()
    }

    /// Waits until a worker has other processes and all are ready. Not until its old ones are gone only: the gateway may
    /// not have seen that yet, and says that all are ready.
    async fn replaced(&self, number: usize, old: &[u32]) -> bool {
        let until = Instant::now() + READY;
        while Instant::now() < until {
            let now = self.worker(number);
            if !now.is_empty() && !now.iter().any(|pid| old.contains(pid)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.gateway.whole(READY).await
    }
}

fn signal_all(pids: &[u32], signal: Signal) {
    for pid in pids {
        send(*pid, signal);
    }
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have gone by itself.
        let _gone = kill_process(pid, signal);
    }
}
