//! `portcullis completions`: what a shell needs to complete the command line.

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use crate::commands::Cli;
use crate::print;

/// Print completions for a shell.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Which shell.
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  portcullis completions bash > ~/.local/share/bash-completion/completions/portcullis
  portcullis completions zsh > ~/.zfunc/_portcullis
  portcullis completions fish > ~/.config/fish/completions/portcullis.fish";

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut for_people(&Cli::command()), "portcullis", &mut text);
    Ok(print::page(&String::from_utf8(text)?)?)
}

/// Without what the gateway starts itself: completions know no hidden commands.
fn for_people(all: &Command) -> Command {
    let commands = all.get_subcommands().filter(|command| !command.is_hide_set());
    Command::default().name("portcullis").args(all.get_arguments().cloned()).subcommands(commands.cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_not_offered() {
        let offered = for_people(&Cli::command());
        let names: Vec<_> = offered.get_subcommands().map(Command::get_name).collect();
        assert!(
            names.contains(&"serve") && !names.contains(&"cell") && !names.contains(&"probe"),
            "{names:?}"
        );
    }
}
