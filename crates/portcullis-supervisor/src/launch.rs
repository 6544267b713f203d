//! A child described by a value.

use std::fmt;

use camino::Utf8PathBuf;

/// Everything that a child is started with; nothing else reaches it.
///
/// `Debug` shows the names in the environment and not the values, because one may be a secret.
#[derive(Clone, Eq, PartialEq)]
pub struct Launch {
    /// The program; give an absolute path. A bare name is looked up in the `PATH` of `env`, never in ours.
    pub program: Utf8PathBuf,
    /// Its arguments, without the program's name. They are visible to every user of the machine: no secrets
    /// here.
    pub args: Vec<String>,
    /// Its whole environment. Of two entries with one name the later one counts.
    pub env: Vec<(String, String)>,
    /// Its working directory.
    pub cwd: Utf8PathBuf,
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("Launch")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env_names", &names)
            .field("cwd", &self.cwd)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_names_and_hides_values() {
        let launch = Launch {
            program: "/bin/true".into(),
            args: vec![],
            env: vec![("API_KEY".into(), "hunter2".into())],
            cwd: "/".into(),
        };
        let shown = format!("{launch:#?}");
        assert!(shown.contains("API_KEY") && !shown.contains("hunter2"), "{shown}");
    }
}
