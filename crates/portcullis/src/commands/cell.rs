//! `portcullis cell`: the launcher. The gateway starts it, and it becomes a worker's program.

/// Enter a cell and become its program. The gateway calls this by itself.
#[derive(clap::Args)]
#[command(hide = true)]
pub(crate) struct Args {
    /// What the gateway wrote down.
    order: String,
}

/// Returns only when the cell cannot be entered. It starts no thread and opens nothing, so that there is nothing of this
/// program that the worker could inherit.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let never = portcullis_confine::enter(&args.order)?;
    match never {}
}
