//! What the gateway's binary offers under hidden names, alone: `cell ⟨order⟩` enters a cell, `probe ⟨targets⟩` tries what must be
//! refused in it.

use std::io::Write as _;
use std::process::ExitCode;

use portcullis_confine::{enter, probe};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let said = match (arguments.next().as_deref(), arguments.next()) {
        (Some("--version"), _) => Ok(()),
        (Some("cell"), Some(order)) => {
            enter(&order).map(|never| match never {}).map_err(|error| error.to_string())
        }
        (Some("probe"), Some(targets)) => tell(&targets),
        _ => Err("usage: cell-probe cell|probe JSON".to_owned()),
    };
    match said {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn tell(targets: &str) -> Result<(), String> {
    let targets = serde_json::from_str(targets).map_err(|error| error.to_string())?;
    for trial in probe::run(&targets) {
        let line = serde_json::to_string(&trial).map_err(|error| error.to_string())?;
        writeln!(std::io::stdout(), "{line}").map_err(|error| error.to_string())?;
    }
    Ok(())
}
