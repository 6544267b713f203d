//! `portcullis workspace`: the directories in which the hands of API keys work.

use jiff::Timestamp;
use portcullis_workspaces::Found;

use crate::environment::Environment;
use crate::flags::{Home, Layers};
use crate::{gateway, print};

/// List and clear the workspaces of API keys.
///
/// Each key whose turns run commands has one directory of its own. It is removed by itself when it was not used for
/// [workspaces] keep.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

const EXAMPLES: &str = "\
Examples:
  portcullis workspace list
  portcullis workspace clear k_1a2b3c-my-app-0123456789abcdef";

#[derive(clap::Subcommand)]
enum Action {
    /// List all workspaces: name, size, files, last use.
    List {
        #[command(flatten)]
        home: Home,
    },
    /// Remove a workspace and all that is in it. A running turn of its key may lose what it writes.
    Clear {
        /// Its name, as `workspace list` shows it.
        name: String,
        #[command(flatten)]
        home: Home,
    },
}

pub(super) fn run(args: Args, environment: &Environment) -> anyhow::Result<()> {
    match args.action {
        Action::List { home } => list(&gateway::workspaces(&Layers::of(environment, home).config()?).list()?),
        Action::Clear { name, home } => {
            gateway::workspaces(&Layers::of(environment, home).config()?).clear(&name)?;
            Ok(print::page(&format!("removed the workspace `{name}`"))?)
        }
    }
}

fn list(found: &[Found]) -> anyhow::Result<()> {
    if found.is_empty() {
        print::note("There is no workspace yet.");
        return Ok(());
    }
    let lines: Vec<_> = found
        .iter()
        .map(|workspace| {
            let size = match workspace.size {
                Ok(size) => format!("{} bytes in {} files", size.bytes, size.files),
                Err(exceeded) => exceeded.to_string(),
            };
            let used = Timestamp::try_from(workspace.used).map(|used| used.to_string()).unwrap_or_default();
            format!("{}  {size}, last used {used}", workspace.name)
        })
        .collect();
    Ok(print::page(&lines.join("\n"))?)
}
