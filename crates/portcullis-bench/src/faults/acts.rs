//! The hand that breaks things, as the plan says.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;

use super::Counts;
use super::disk::SmallDisk;
use super::plan::{Act, Plan};
use crate::gateway::Gateway;
use crate::http::Connection;
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
            Act::Kill => {
                let Some(pid) = self.workers().into_iter().next_back() else {
                    return Ok("no worker to kill: one is being started".to_owned());
                };
                send(pid, Signal::KILL);
                let ready = self.ready().await;
                format!("killed a worker; {ready} after {} ms", began.elapsed().as_millis())
            }
            Act::Stop(time) => {
                let stopped = self.workers();
                signal_all(&stopped, Signal::STOP);
                tokio::time::sleep(time).await;
                signal_all(&stopped, Signal::CONT);
                let replaced = stopped.iter().any(|pid| !self.workers().contains(pid));
                let what = if replaced { "they were replaced" } else { "they went on" };
                format!("stopped the workers for {} ms; {what}", time.as_millis())
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

    /// Every process below the gateway.
    fn workers(&self) -> Vec<u32> {
        proc::descendants(self.gateway.pid)
    }

    async fn ready(&self) -> &'static str {
        let until = Instant::now() + READY;
        while Instant::now() < until {
            if let Ok(mut connection) = Connection::open(&self.gateway.address).await
                && connection.get("/readyz").await.is_ok_and(|(status, _)| status == 200)
            {
                return "ready again";
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        "not ready again"
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
