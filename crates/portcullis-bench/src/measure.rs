//! Every measurement, in order.

mod ceiling;
mod confined;
mod deltas;
mod idle;
mod million;
mod overload;
mod pictures;
mod real;
mod start;
mod steady;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use portcullis_supervisor::{Launch, Process};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::gateway::{Gateway, Setup};
use crate::http::Address;
use crate::report::Report;
use crate::upstream::START;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// A run of a minute.
    pub quick: bool,
    /// The pinned Codex, or npm's launcher of it.
    pub codex: Utf8PathBuf,
    /// LiteLLM's program.
    pub litellm: Utf8PathBuf,
    /// Only the measurements whose names contain one of these; all where there is none.
    pub only: Vec<String>,
}

/// What every measurement is given.
struct Bench {
    options: Options,
    /// This program.
    own: Utf8PathBuf,
    gateway: Utf8PathBuf,
    fake: Utf8PathBuf,
}

/// A program that was built with this one.
pub fn beside(name: &str) -> anyhow::Result<Utf8PathBuf> {
    let own = Utf8Path::new("/proc/self/exe").read_link_utf8().context("where is this program?")?;
    let path = own.with_file_name(name);
    ensure!(path.is_file(), "there is no `{path}` (hint: `make bench` and `make faults` build it)");
    Ok(path)
}

/// Runs every measurement, and tells what is known after each: a run that is cut off keeps that. The gateway's program and the
/// scripted app-server stand beside this program.
pub async fn measure(
    options: Options,
    tell: impl Fn(&Report) -> anyhow::Result<()>,
) -> anyhow::Result<Report> {
    let (own, gateway, fake) =
        (beside("portcullis-bench")?, beside("portcullis")?, beside("fake-app-server")?);
    let bench = Bench { options, own, gateway, fake };
    let mut report = Report { quick: bench.options.quick, ..Report::default() };
    macro_rules! run {
        ($($name:ident)*) => {$(
            if bench.wants(stringify!($name)) {
                $name::measure(&bench, &mut report).await.context(stringify!($name))?;
                tell(&report)?;
            }
        )*};
    }
    run!(start real confined pictures idle overload steady deltas million ceiling);
    Ok(report)
}

impl Bench {
    fn wants(&self, name: &str) -> bool {
        let only = &self.options.only;
        only.is_empty() || only.iter().any(|only| name.contains(only.as_str()))
    }

    /// One of two values: for a run that counts, and for a quick one.
    fn pick<T>(&self, full: T, quick: T) -> T {
        if self.options.quick { quick } else { full }
    }

    /// A gateway before the scripted app-server.
    async fn gateway_with_fake(&self, turns: usize) -> anyhow::Result<Gateway> {
        Gateway::start(&Setup {
            program: &self.gateway,
            codex: &self.fake,
            model: "http://127.0.0.1:9/v1",
            turns,
            level: None,
            provider: "",
            more: "",
            dir: None,
            descriptors: None,
        })
        .await
    }

    /// A plain proxy before the scripted chat server.
    async fn passthrough(&self) -> anyhow::Result<Passthrough> {
        let (upstream, behind) = self.server(&["upstream"]).await?;
        let socket = behind.socket.to_string();
        let (proxy, before) = self.server(&["passthrough", "--upstream", &socket, "--key", KEY]).await?;
        Ok(Passthrough { upstream, behind, proxy, before })
    }

    /// A server of this program; the first line that it prints is its address.
    async fn server(&self, args: &[&str]) -> anyhow::Result<(Process, Address)> {
        let mut process = Process::spawn(&Launch {
            program: self.own.clone(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: Vec::new(),
            cwd: "/".into(),
        })?;
        let (_stdin, stdout) = process.take_stdio();
        let mut line = String::new();
        tokio::time::timeout(START, BufReader::new(stdout).read_line(&mut line)).await??;
        let socket = line.trim().parse().context("the server did not say where it listens")?;
        Ok((process, Address { socket, key: KEY.to_owned(), model: "gpt-5.5" }))
    }
}

/// A plain proxy, and the chat server behind it.
struct Passthrough {
    upstream: Process,
    behind: Address,
    proxy: Process,
    before: Address,
}

impl Passthrough {
    async fn stop(mut self) {
        self.proxy.stop(STOP).await;
        self.upstream.stop(STOP).await;
    }
}

/// The key of the proxies that the gateway is measured against.
const KEY: &str = "sk-bench";

/// How long a process has to end.
const STOP: Duration = Duration::from_secs(5);
