//! The workspace as cargo and the disk have it.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::{Metadata, MetadataCommand};
use toml::{Table, Value};

pub(crate) fn root() -> Utf8PathBuf {
    let here = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("crates are in crates/").to_owned()
}

pub(crate) fn relative(path: &Utf8Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string()
}

pub(crate) fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().expect("cargo says it")
}

pub(crate) fn table(path: &Utf8Path) -> Table {
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

/// Who uses whom, by name: as far as versions differ, more than there is.
pub(crate) fn lock() -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in table(&root().join("Cargo.lock"))["package"].as_array().expect("a list of packages") {
        let name = package["name"].as_str().expect("a package has a name").to_owned();
        let used = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
        let used = used.filter_map(|used| used.as_str()?.split(' ').next());
        all.entry(name).or_default().extend(used.map(str::to_owned));
    }
    all
}

pub(crate) fn reached<'a>(
    lock: &BTreeMap<String, BTreeSet<String>>,
    from: impl Iterator<Item = &'a str>,
) -> BTreeSet<String> {
    let mut open: Vec<String> = from.map(str::to_owned).collect();
    let mut reached = BTreeSet::new();
    while let Some(name) = open.pop() {
        // Ours stand in the lock with what their tests use, and have a row of their own.
        if !name.starts_with("portcullis") && reached.insert(name.clone()) {
            open.extend(lock.get(&name).into_iter().flatten().cloned());
        }
    }
    reached
}

/// All files below a directory that `.gitignore` does not name.
pub(crate) fn files(directory: &Utf8Path) -> Vec<Utf8PathBuf> {
    let ignored = std::fs::read_to_string(root().join(".gitignore")).unwrap();
    let ignored: Vec<&str> = ignored.lines().map(|line| line.trim_matches('/')).collect();
    let known = |name: &str| {
        let matches = |pattern: &&str| match pattern.strip_prefix('*') {
            Some(end) => name.ends_with(end),
            None => name == *pattern,
        };
        name != ".git" && !ignored.iter().any(|pattern| !pattern.is_empty() && matches(pattern))
    };
    let mut open = vec![directory.to_owned()];
    let mut files = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in directory.read_dir_utf8().unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap() {
                _ if !known(entry.file_name()) => {}
                kind if kind.is_dir() => open.push(entry.into_path()),
                kind if kind.is_file() => files.push(entry.into_path()),
                _ => {}
            }
        }
    }
    files.sort();
    files
}
