//! What a cell got of what it asked for.

use std::fmt;
use std::io::Write as _;

use serde::{Deserialize, Serialize};

use crate::Level;

/// What a cell got, said before the program starts.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was built.
    pub level: Level,
    /// The kernel's version of Landlock; 0 is none.
    pub landlock: u32,
    /// Where processes and memory are counted for the whole cell.
    pub cgroup: Cgroup,
    /// What was asked for and is not enforced.
    pub missing: Vec<Missing>,
}

/// Where a cell's processes and memory are counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cgroup {
    /// Nowhere: no cgroup can be made here.
    None,
    /// In a cgroup of version 1.
    V1,
    /// In a cgroup of version 2.
    V2,
}

/// What a cell asked for and the kernel does not enforce.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// No cgroup for the number of processes; a limit of the user's stands in.
    CellProcesses,
    /// Neither: processes are not limited.
    Processes,
    /// No cgroup for memory; each process is limited by itself.
    CellMemory,
    /// TCP connections are not limited to the ports.
    Ports,
    /// Signals and abstract sockets reach out of the cell, as far as its namespaces and its user allow.
    Scopes,
}

/// What a report's line on stderr begins with.
const PREFIX: &str = "cell: ";

impl Report {
    /// Says it as one line on stderr, the only pipe that is not the program's protocol.
    pub(crate) fn say(&self) {
        let json = serde_json::to_string(self).expect("words and numbers");
        // Whoever closed stderr does not want to know.
        let _ = writeln!(std::io::stderr().lock(), "{PREFIX}{json}");
    }

    /// Finds the report in what a cell wrote to stderr. The launcher writes it before the program can write anything, so
    /// the first one counts.
    pub fn find(stderr: &str) -> Option<Self> {
        let line = stderr.lines().find_map(|line| line.strip_prefix(PREFIX))?;
        serde_json::from_str(line).ok()
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CellProcesses => {
                "no cgroup can be made, so the number of processes is limited for the cell's user and not for the cell \
                 (hint: run the gateway as a systemd service with Delegate=yes)"
            }
            Self::Processes => {
                "the number of processes is not limited: no cgroup can be made, and the user has too many processes \
                 already (hint: run the gateway as a systemd service with Delegate=yes)"
            }
            Self::CellMemory => {
                "no cgroup can be made, so memory is limited for each process and not for the cell \
                 (hint: run the gateway as a systemd service with Delegate=yes)"
            }
            Self::Ports => "TCP connections are not limited to the named ports: that needs Linux 6.7 with Landlock",
            Self::Scopes => {
                "signals and abstract sockets are not kept inside by Landlock: that needs Linux 6.12 with Landlock"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_found_among_other_lines() {
        let report = Report {
            level: Level::Landlock,
            landlock: 7,
            cgroup: Cgroup::V2,
            missing: vec![Missing::Scopes],
        };
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(json, r#"{"level":"landlock","landlock":7,"cgroup":"v2","missing":["scopes"]}"#);
        let stderr = format!("warning: x\ncell: {json}\ncell: {{}}\n");
        assert_eq!(Report::find(&stderr), Some(report));
        assert_eq!(Report::find("cells: {}"), None);
    }
}
