//! `portcullis man`: the manual, for `man`.

use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::commands::Cli;
use crate::print;

/// Print the manual page, for all commands one after the other.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

const EXAMPLES: &str = "\
Examples:
  portcullis man | man -l -
  portcullis man > ~/.local/share/man/man1/portcullis.1";

pub(super) fn run(_args: &Args) -> anyhow::Result<()> {
    let mut page = Vec::new();
    let mut command = Cli::command();
    command.build();
    let main = Man::new(command.clone());
    main.render_title(&mut page)?;
    main.render_name_section(&mut page)?;
    main.render_synopsis_section(&mut page)?;
    main.render_description_section(&mut page)?;
    sections(&command, &mut page)?;
    main.render_extra_section(&mut page)?;
    main.render_version_section(&mut page)?;
    Ok(print::page(&String::from_utf8(page)?)?)
}

/// Every command below this one, each a section with what it does, its flags and its examples.
fn sections(command: &clap::Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    use std::io::Write as _;
    for command in
        command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help")
    {
        let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
        writeln!(page, ".SH \"{}\"", name.to_uppercase())?;
        let man = Man::new(command.clone());
        for section in
            [Man::render_synopsis_section, Man::render_description_section, Man::render_options_section]
        {
            let mut text = Vec::new();
            section(&man, &mut text)?;
            // Below the command's own heading.
            page.extend(String::from_utf8_lossy(&text).replace(".SH ", ".SS ").into_bytes());
        }
        if let Some(examples) = command.get_after_help() {
            writeln!(page, ".SS EXAMPLES\n.nf")?;
            let examples = examples.to_string();
            for line in examples.lines().skip(1) {
                writeln!(page, "{}", line.trim_start().replace('\\', "\\\\").replace('-', "\\-"))?;
            }
            writeln!(page, ".fi")?;
        }
        sections(command, page)?;
    }
    Ok(())
}
