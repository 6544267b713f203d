//! A scripted app-server in the place of the Codex program.
#![expect(clippy::print_stdout, reason = "it answers as a program does")]

use clap::Parser;
use portcullis_bench::fake;

/// What Portcullis asks of a Codex program.
#[derive(Parser)]
#[command(name = "codex-cli", version = "0.169.0", disable_help_subcommand = true)]
enum Cli {
    /// The protocol over stdin and stdout.
    AppServer {
        #[arg(long)]
        strict_config: bool,
    },
    /// `debug models --bundled`.
    Debug {
        words: Vec<String>,
        #[arg(long)]
        bundled: bool,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    match Cli::parse() {
        Cli::AppServer { .. } => fake::serve().await,
        Cli::Debug { .. } => {
            println!("{}", fake::CATALOG);
            Ok(())
        }
    }
}
