//! `portcullis lab`: the demo model server by hand, for people who point a Codex of their own at it.

use std::net::SocketAddr;

use portcullis_lab::{ModelServer, demo};

use crate::gateway::listen_error;
use crate::print;
use crate::signals::Signals;

/// Run the built-in demo model alone, without a gateway.
///
/// It speaks the part of OpenAI's Responses API that Codex uses, answers from a small script, and needs no key:
/// do not let other machines reach it.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where it listens; port 0 is any free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    bind: SocketAddr,
}

const EXAMPLES: &str = "\
Examples:
  portcullis lab
  portcullis lab --bind 127.0.0.1:8321";

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let server = ModelServer::bind(args.bind).await.map_err(|error| listen_error(args.bind, error, ""))?;
    server.respond_with(demo::answer);
    print::page(&server.base_url())?;
    print::note("This is the base URL of the demo model (`POST …/responses`). Stop it with Ctrl-C.");
    signals.next().await;
    server.shutdown().await;
    Ok(())
}
