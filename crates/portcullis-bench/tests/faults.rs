//! The short form of `make faults`: one seed, some seconds, the real gateway in a process of its own.

use camino::{Utf8Path, Utf8PathBuf};
use portcullis_bench::{FaultOptions, break_it};

/// The programs are those of this build. `cargo test --workspace` builds the gateway, too.
fn program(name: &str) -> Utf8PathBuf {
    let path = Utf8Path::new(env!("CARGO_BIN_EXE_fake-app-server")).with_file_name(name);
    assert!(path.is_file(), "there is no `{path}`: `cargo build -p portcullis` makes the gateway");
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_ends_with_its_own_answer_or_a_typed_error_and_nothing_is_left() {
    let codex = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/codex/node_modules/.bin/codex");
    let options = FaultOptions {
        seed: 20,
        seconds: 10,
        gateway: program("portcullis"),
        fake: program("fake-app-server"),
        codex,
    };
    let found = break_it(&options).await.unwrap();
    assert!(found.wrong.is_empty(), "{}", found.lines.join("\n"));
}
