//! The short form of `make faults`: one seed, some seconds, the real gateway in a process of its own.

use camino::{Utf8Path, Utf8PathBuf};
use portcullis_bench::{FaultOptions, Found, break_one_by_one, break_under_load};

/// The programs are those of this build. `cargo test --workspace` builds the gateway, too.
fn program(name: &str) -> Utf8PathBuf {
    let path = Utf8Path::new(env!("CARGO_BIN_EXE_fake-app-server")).with_file_name(name);
    assert!(path.is_file(), "there is no `{path}`: `cargo build -p portcullis` makes the gateway");
    path
}

fn options() -> FaultOptions {
    let codex = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/codex/node_modules/.bin/codex");
    FaultOptions {
        // Each worker is killed, one is stopped, the disk is filled, and nothing is left to a deadline of many seconds.
        seed: 4192,
        seconds: 10,
        gateway: program("portcullis"),
        fake: program("fake-app-server"),
        codex,
    }
}

fn nothing_is_wrong(found: &Found) {
    assert!(found.wrong.is_empty(), "{}", found.lines.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_does_wrong_is_its_turns_alone_and_the_worker_is_replaced() {
    nothing_is_wrong(&break_one_by_one(&options()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_ends_with_its_own_answer_or_a_typed_error_and_nothing_is_left() {
    nothing_is_wrong(&break_under_load(&options()).await.unwrap());
}
