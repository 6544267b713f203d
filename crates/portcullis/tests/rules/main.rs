//! What is deliberately absent, held over the manifests and the sources. docs/ARCHITECTURE.md says why; a row or a
//! list here is edited together with it.
//!
//! "Code" is a source without its comments, its literals and its `mod tests`.

#![expect(clippy::unwrap_used, reason = "a test that can not read what it is about has failed")]

mod source;
mod workspace;

use cargo_metadata::DependencyKind;
use toml::Value;

use crate::source::{Source, identifiers, sources};
use crate::workspace::{files, lock, metadata, reached, relative, root, table};

/// A crate of ours, those of ours that it may use, and those that its tests may use as well.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

const MAY_USE: &[Row] = &[
    // Words.
    ("portcullis-agent", &[], &[]),
    ("portcullis-app-server-protocol", &[], &[]),
    ("portcullis-openai", &["portcullis-agent"], &[]),
    // Mechanisms.
    ("portcullis-supervisor", &[], &[]),
    ("portcullis-confine", &["portcullis-supervisor"], &[]),
    // Adapters.
    (
        "portcullis-codex",
        &[
            "portcullis-agent",
            "portcullis-app-server-protocol",
            "portcullis-confine",
            "portcullis-supervisor",
            "portcullis-workspaces",
        ],
        &[],
    ),
    ("portcullis-workspaces", &["portcullis-agent"], &[]),
    ("portcullis-store", &["portcullis-agent"], &[]),
    ("portcullis-store-sql", &["portcullis-agent", "portcullis-store"], &[]),
    // Services.
    ("portcullis-access", &["portcullis-agent"], &[]),
    ("portcullis-audit", &["portcullis-agent"], &[]),
    ("portcullis-images", &["portcullis-agent"], &[]),
    ("portcullis-images-api", &["portcullis-agent"], &["portcullis-lab"]),
    // Frontends: never an adapter, but in tests.
    (
        "portcullis-http",
        &[
            "portcullis-access",
            "portcullis-agent",
            "portcullis-audit",
            "portcullis-images",
            "portcullis-openai",
            "portcullis-store",
        ],
        &["portcullis-codex", "portcullis-lab"],
    ),
    (
        "portcullis-dashboard",
        &["portcullis-access", "portcullis-agent", "portcullis-audit", "portcullis-store"],
        &[],
    ),
    // Composition.
    ("portcullis-lab", &[], &[]),
    ("portcullis", ALL, &[]),
    ("portcullis-bench", ALL, &[]),
];

/// For crates that put the parts together.
const ALL: &[&str] = &["*"];

/// Words without I/O.
const WORDS: &[&str] = &["portcullis-agent", "portcullis-app-server-protocol", "portcullis-openai"];

/// What brings I/O with it.
const IO_CRATES: &[&str] = &["axum", "hyper", "hyper-util", "reqwest", "rustix", "sqlx"];
const IO_FEATURES: &[&str] = &["fs", "full", "io-std", "io-util", "net", "process", "signal"];
const IO_PATHS: &[&str] =
    &["std::fs", "std::net", "std::process", "tokio::fs", "tokio::io", "tokio::net", "tokio::process"];

const SQL_CRATES: &[&str] = &["diesel", "libsqlite3-sys", "rusqlite", "sea-orm", "sqlx", "tokio-postgres"];
const SQL_WORDS: &[&str] =
    &["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "CREATE TABLE ", "ALTER TABLE "];

const PLATFORMS: &[&str] = &["discord", "slack", "telegram", "matrix"];

/// Longest source. Those that are longer, each with its reason, are in [`LONG`].
const MOST_LINES: usize = 500;
const LONG: &[(&str, &str)] = &[];

#[test]
fn crates_use_only_what_their_row_says() {
    let packages = metadata().packages;
    let mut broken = Vec::new();
    for package in &packages {
        let Some((_, uses, in_tests)) = MAY_USE.iter().find(|(name, ..)| *name == package.name.as_str())
        else {
            broken.push(format!("{} has no row", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            let ours = dependency.path.is_some();
            let for_tests = dependency.kind == DependencyKind::Development;
            let listed = uses.contains(&"*")
                || uses.contains(&dependency.name.as_str())
                || (for_tests && in_tests.contains(&dependency.name.as_str()));
            if ours && !listed {
                broken.push(format!("{} uses {} ({})", package.name, dependency.name, dependency.kind));
            }
        }
    }
    none(&broken);
}

#[test]
fn words_do_no_io() {
    let packages = metadata().packages;
    let lock = lock();
    let mut broken = Vec::new();
    for package in packages.iter().filter(|package| WORDS.contains(&package.name.as_str())) {
        let used = package.dependencies.iter().filter(|used| used.kind != DependencyKind::Development);
        let used: Vec<_> = used.collect();
        for tokio in used.iter().filter(|used| used.name == "tokio") {
            for feature in tokio.features.iter().filter(|feature| IO_FEATURES.contains(&feature.as_str())) {
                broken.push(format!("{} asks for tokio's feature `{feature}`", package.name));
            }
        }
        let reached = reached(&lock, used.iter().map(|used| used.name.as_str()));
        for io in IO_CRATES.iter().filter(|io| reached.contains(**io)) {
            broken.push(format!("{} brings {io} with it", package.name));
        }
    }
    for source in sources().iter().filter(|source| WORDS.contains(&source.package.as_str())) {
        broken.extend(IO_PATHS.iter().flat_map(|path| source.code_with(path)));
    }
    none(&broken);
}

#[test]
fn children_are_started_by_the_supervisor_alone() {
    let starts = |source: &Source| source.code_with("Command::new");
    none(&outside(&["portcullis-supervisor"], starts));
}

#[test]
fn only_confine_is_unsafe() {
    none(&outside(&["portcullis-confine"], |source| source.code_with("unsafe")));
    let workspace = table(&root().join("Cargo.toml"));
    assert_eq!(workspace["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
}

#[test]
fn only_store_sql_speaks_sql() {
    let mut broken = outside(&["portcullis-store-sql"], |source| {
        SQL_WORDS.iter().flat_map(|words| source.literals_with(words)).collect()
    });
    for package in metadata().packages.iter().filter(|package| package.name != "portcullis-store-sql") {
        let used = package.dependencies.iter().filter(|used| SQL_CRATES.contains(&used.name.as_str()));
        broken.extend(used.map(|used| format!("{} uses {}", package.name, used.name)));
    }
    none(&broken);
}

#[test]
fn only_the_binary_reads_arguments_and_environment() {
    // `env!` is the compiler's; every way to the other is `std::env::…`, or a name imported from there.
    none(&outside(&["portcullis"], |source| source.code_with("env::")));
}

#[test]
fn the_agents_words_name_no_protocol_and_no_platform() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| source.package == "portcullis-agent") {
        for word in
            identifiers(&source.code).chain(source.literals.iter().map(|literal| (literal.0, &*literal.1)))
        {
            let (line, text) = (word.0, word.1.to_lowercase());
            if ["http", "statuscode", "status_code"].iter().any(|taboo| text.contains(taboo)) {
                broken.push(format!("{}:{line}: `{text}`", source.path));
            }
        }
        let text = source.text.to_lowercase();
        let named = identifiers(&text).filter(|(_, word)| PLATFORMS.contains(word));
        broken.extend(named.map(|(line, word)| format!("{}:{line}: `{word}`", source.path)));
    }
    none(&broken);
}

/// In names of the code. Words for people may say it: a client should learn that a knob is missing in Codex.
#[test]
fn frontends_do_not_know_codex() {
    let frontend = |package: &str| package == "portcullis-http" || package.starts_with("portcullis-chat");
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| frontend(&source.package)) {
        for (line, word) in identifiers(&source.code) {
            let folded = word.to_lowercase().replace('_', "");
            if folded.contains("codex") || folded.contains("appserver") {
                broken.push(format!("{}:{line}: `{word}`", source.path));
            }
        }
    }
    none(&broken);
}

#[test]
fn crates_are_described_linted_and_from_the_registry() {
    let mut broken = Vec::new();
    for package in metadata().packages {
        let name = package.name.as_str();
        let last = name.rsplit('-').next().unwrap_or(name);
        if ["common", "core", "helpers", "shared", "util", "utils"].contains(&last) {
            broken.push(format!("{name} says nothing of what is in it"));
        }
        if package.description.as_deref().is_none_or(str::is_empty) {
            broken.push(format!("{name} has no description"));
        }
        // `forbid` can not be weakened, so the crate that needs `unsafe` has a table of its own.
        let lints =
            table(&package.manifest_path).get("lints").and_then(|lints| lints.get("workspace")).cloned();
        if lints != Some(Value::Boolean(true)) && name != "portcullis-confine" {
            broken.push(format!("{name} is not under the workspace's lints"));
        }
        let git = |source: &Option<cargo_metadata::Source>| {
            source.as_ref().is_some_and(|source| source.repr.starts_with("git+"))
        };
        let used = package.dependencies.iter().filter(|used| git(&used.source));
        broken.extend(used.map(|used| format!("{name} takes {} from git", used.name)));
    }
    let locked = table(&root().join("Cargo.lock"));
    let locked = locked["package"].as_array().expect("a list of packages");
    let from_git = |package: &&Value| {
        package.get("source").and_then(Value::as_str).is_some_and(|source| source.starts_with("git+"))
    };
    broken.extend(locked.iter().filter(from_git).map(|package| format!("{} is from git", package["name"])));
    none(&broken);
}

#[test]
fn sources_are_short() {
    let mut broken = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        let excused = LONG.iter().any(|(path, reason)| *path == source.path && !reason.is_empty());
        if lines > MOST_LINES && !excused {
            broken.push(format!("{} has {lines} lines", source.path));
        }
    }
    none(&broken);
}

#[test]
fn no_file_names_a_developers_machine() {
    // Written so that this file does not name one. The operator of examples and tests lives in `/home/op`.
    let places = ["work", "root", "home"].map(|name| format!("/{name}/"));
    let mut broken = Vec::new();
    for path in files(&root()) {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            let named = places.iter().flat_map(|place| line.match_indices(place.as_str())).any(|(at, _)| {
                // In the middle of a longer path it is somebody's own folder.
                let before = line[..at].chars().next_back();
                let begins = before.is_none_or(|c| !c.is_alphanumeric() && !"_.~*}>)-".contains(c));
                begins && !line[at..].starts_with("/home/op")
            });
            if named {
                broken.push(format!("{}:{}: {}", relative(&path), number + 1, line.trim()));
            }
        }
    }
    none(&broken);
}

/// The rules are worth what this is worth.
#[test]
fn code_is_told_from_comments_literals_and_tests() {
    let text = concat!(
        "use a; // unsafe \"x\n/* unsafe /* \" */ unsafe */ b('\"', '\\'', \"un\\\"safe\");\n",
        "fn c<'a>(d: &'a str) { r#\"unsafe\"\"#; br\"unsafe\"; for_r\"x\" }\n",
        "#[cfg(test)]\nmod tests {\n    unsafe {}\n}\nfn e() {}\n",
    );
    let source = Source::new("p", "p.rs", text);
    let words: Vec<&str> = identifiers(&source.code).map(|(_, word)| word).collect();
    assert_eq!(words, ["use", "a", "b", "fn", "c", "a", "d", "a", "str", "r", "br", "for_r", "fn", "e"]);
    let literals: Vec<_> = source.literals.iter().map(|(line, text)| (*line, text.as_str())).collect();
    assert_eq!(literals, [(2, "un\\\"safe"), (3, "unsafe\""), (3, "unsafe"), (3, "x")]);
    assert_eq!(source.code_with("unsafe"), [""; 0]);
    let code = Source::new("p", "p.rs", "let x = std::env::var; my_env::x; unsafely();\nunsafe {}");
    assert_eq!(code.code_with("env::"), ["p.rs:1: `env::`"]);
    assert_eq!(code.code_with("unsafe"), ["p.rs:2: `unsafe`"]);
}

fn none(broken: &[String]) {
    assert!(broken.is_empty(), "the rule is broken here:\n{}", broken.join("\n"));
}

/// What a rule finds in crates that are not excused from it.
fn outside(excused: &[&str], finds: impl Fn(&Source) -> Vec<String>) -> Vec<String> {
    sources().iter().filter(|source| !excused.contains(&source.package.as_str())).flat_map(finds).collect()
}
