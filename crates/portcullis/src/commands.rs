//! What can be asked for. One file per command: its flags, its help, what it does.

mod audit;
mod cell;
mod completions;
mod config;
mod dashboard;
mod demo;
mod doctor;
mod init;
mod key;
mod lab;
mod login;
mod logout;
mod man;
mod probe;
mod reload;
mod serve;
mod status;
mod usage;
mod workspace;

use anyhow::Context as _;

use crate::environment::Environment;
use crate::exit;
use crate::gateway::Handed;

/// Portcullis: a guarded gate in front of the Codex CLI.
///
/// Apps that speak the OpenAI API use the agent that you signed in once, each with a key of its own.
#[derive(clap::Parser)]
#[command(name = "portcullis", version, arg_required_else_help = true, after_help = FIRST_STEPS, after_long_help = format!("{FIRST_STEPS}\n\n{}", exit::HELP))]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

const FIRST_STEPS: &str = "\
First steps:
  portcullis demo                      try it without a login
  portcullis login                     sign Codex in
  portcullis key create --name my-app  make a key for an app
  portcullis serve                     start the gateway";

#[derive(clap::Subcommand)]
enum Command {
    Init(init::Args),
    Serve(serve::Args),
    Demo(demo::Args),
    Status(status::Args),
    Reload(reload::Args),
    Key(key::Args),
    Dashboard(dashboard::Args),
    Login(login::Args),
    Logout(logout::Args),
    Doctor(doctor::Args),
    Usage(usage::Args),
    Workspace(workspace::Args),
    Config(config::Args),
    Audit(audit::Args),
    Lab(lab::Args),
    Completions(completions::Args),
    Man(man::Args),
    Cell(cell::Args),
    Probe(probe::Args),
}

/// Runs the command to its end.
pub(crate) fn run(cli: Cli, environment: &Environment) -> anyhow::Result<()> {
    match cli.command {
        Command::Init(args) => init::run(args, environment),
        Command::Reload(args) => wait_for(reload::run(args, environment)),
        Command::Status(args) => wait_for(status::run(args, environment)),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Serve(args) => {
            let handed = Handed::take(environment)?;
            wait_for(serve::run(args, environment, handed))
        }
        Command::Demo(args) => wait_for(demo::run(args, environment)),
        Command::Key(args) => key::run(args, environment),
        Command::Logout(args) => wait_for(logout::run(args, environment)),
        Command::Doctor(args) => wait_for(doctor::run(args, environment)),
        Command::Dashboard(args) => dashboard::run(args, environment),
        Command::Login(args) => wait_for(login::run(args, environment)),
        Command::Usage(args) => wait_for(usage::run(args, environment)),
        Command::Audit(args) => audit::run(args, environment),
        Command::Workspace(args) => workspace::run(args, environment),
        Command::Config(args) => config::run(args, environment),
        Command::Lab(args) => wait_for(lab::run(args)),
        Command::Cell(args) => cell::run(&args),
        Command::Probe(args) => probe::run(&args),
    }
}

fn wait_for(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("the program cannot start its threads")?.block_on(command)
}
