//! Logs for tests.

use camino::{Utf8Path, Utf8PathBuf};
use portcullis_audit::{Broken, Entry, Fact, Journal, Limits, Line, Whole};

pub(crate) fn fact(number: usize) -> Entry {
    Entry::new("k1:app", Fact::KeyRevoked { key: format!("k{number}").as_str().into(), name: "app".into() })
}

pub(crate) fn journal(dir: &Utf8Path) -> Journal {
    Journal::open(dir, Limits::default()).unwrap()
}

/// Appends so many facts, one by one, and syncs.
pub(crate) fn append(journal: &mut Journal, facts: std::ops::Range<usize>) {
    for number in facts {
        journal.append(&[fact(number)]).unwrap();
    }
    journal.sync().unwrap();
}

pub(crate) fn verify(dir: &Utf8Path) -> Result<Whole, Broken> {
    portcullis_audit::verify(dir).unwrap()
}

pub(crate) fn lines(dir: &Utf8Path) -> Vec<Line> {
    let mut lines = Vec::new();
    portcullis_audit::read(dir, |line, _| lines.push(line)).unwrap();
    lines
}

pub(crate) fn events(dir: &Utf8Path) -> Vec<String> {
    lines(dir).into_iter().map(|line| line.event).collect()
}

/// The names of the files of lines.
pub(crate) fn files(dir: &Utf8Path) -> Vec<String> {
    let entries = dir.read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path());
    let lines = entries.filter(|path| path.extension() == Some("jsonl"));
    let mut names: Vec<_> = lines.map(|path| path.file_name().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// Makes the disk full, as far as the log is concerned; what was in the log goes.
pub(crate) fn fill(dir: &Utf8Path) -> Utf8PathBuf {
    let path = dir.join("audit.jsonl");
    let _ = std::fs::remove_file(&path);
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    path
}
