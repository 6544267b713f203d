//! The same for a gateway that is not root: brains and hands are then one user, and only cells keep them apart.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// A user without a name, a home or a group.
const SOMEBODY: u32 = 20_001;

/// Runs other tests of this program again as that user.
#[expect(clippy::disallowed_methods, reason = "the child is this test program itself")]
#[test]
fn what_holds_for_root_holds_for_anybody() {
    if !rustix::process::geteuid().is_root() {
        // Then all of them have run as somebody else anyway.
        return;
    }
    let tests = ["attacks::a_hostile_model_gets_nowhere", "turns::nothing_planted_reaches_the_next_turn"];
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--test-threads", "1"])
        .args(tests)
        .env("INSTA_UPDATE", "no")
        // Otherwise insta asks cargo, which that user cannot run.
        .env("INSTA_WORKSPACE_ROOT", concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .uid(SOMEBODY)
        .gid(SOMEBODY)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("2 passed"),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
