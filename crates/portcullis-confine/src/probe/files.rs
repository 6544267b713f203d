//! Files: reading secrets, changing what rules the agent, leaving the workspace by a link.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::symlink;

use camino::Utf8Path;

use super::Targets;
use super::attempt::{Attempt, Told};

pub(super) fn attempts(targets: &Targets) -> Vec<Attempt<'_>> {
    let mut all = Vec::new();
    for target in &targets.read {
        all.push(Attempt::new(format!("read {}", target.name), || Told::of(read(&target.path))));
    }
    for target in &targets.read {
        let run = || through_a_link(&targets.workspace, &target.path);
        all.push(Attempt::new(format!("read {} through a link", target.name), run));
    }
    for target in &targets.write {
        all.push(Attempt::new(format!("write to {}", target.name), || Told::of(write(&target.path))));
    }
    let core_pattern = "/proc/sys/kernel/core_pattern";
    all.push(Attempt::new("open core_pattern for writing", move || {
        // Opened only. Whoever can write it is root of the machine.
        Told::of(OpenOptions::new().write(true).open(core_pattern))
    }));
    all
}

/// A file's first byte or a directory's first entry.
fn read(path: &Utf8Path) -> std::io::Result<()> {
    if path.is_dir() { path.read_dir_utf8().map(drop) } else { fs::read(path).map(drop) }
}

fn write(directory: &Utf8Path) -> std::io::Result<()> {
    let file = directory.join(".portcullis-probe");
    fs::write(&file, "probe")?;
    fs::remove_file(&file)
}

fn through_a_link(workspace: &Utf8Path, target: &Utf8Path) -> Told {
    let link = workspace.join(".portcullis-probe-link");
    let _ = fs::remove_file(&link);
    if let Err(error) = symlink(target, &link) {
        return Told::not_applicable(format!("no link can be made: {error}"));
    }
    let told = Told::of(read(&link));
    let _ = fs::remove_file(&link);
    told
}
