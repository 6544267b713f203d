//! The chain: what it is made of, and that nothing in it can be changed unseen.

use std::os::unix::fs::MetadataExt as _;

use camino_tempfile::{Utf8TempDir, tempdir};
use portcullis_audit::{Broken, Entry, Fact, Journal, Limits, Text};
use proptest::prelude::*;

use crate::support::{append, events, fact, files, journal, lines, verify};

#[test]
fn a_line_is_what_the_documentation_says() {
    let dir = tempdir().unwrap();
    append(&mut journal(dir.path()), 0..2);
    let text = std::fs::read_to_string(dir.path().join("audit.jsonl")).unwrap();
    let shape = |line: &str| {
        let (line, hash) = line.split_once(",\"hash\":").unwrap();
        assert_eq!(hash.len(), "\"\"}".len() + 64);
        let at = line.find("\"at\":\"").unwrap() + 6;
        format!("{}…{}", &line[..at], &line[line[at..].find('"').unwrap() + at..])
    };
    let shapes: Vec<_> = text.lines().map(shape).collect();
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        shapes,
        [
            format!(
                r#"{{"seq":1,"at":"…","who":"k1:app","event":"key_revoked","key":"k0","name":"app","prev":"{}""#,
                "0".repeat(64)
            ),
            format!(
                r#"{{"seq":2,"at":"…","who":"k1:app","event":"key_revoked","key":"k1","name":"app","prev":{}"#,
                first["hash"]
            ),
        ]
    );
    for name in ["audit.jsonl", "head", "audit.lock"] {
        assert_eq!(std::fs::metadata(dir.path().join(name)).unwrap().mode() & 0o777, 0o600, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever byte is changed, taken out or put in, in whatever file: it is seen.
    #[test]
    fn no_byte_can_be_changed(at in any::<prop::sample::Index>(), new in any::<u8>(), how in 0..3) {
        let dir = tempdir().unwrap();
        let limits = Limits { file: 1000, keep: 9 };
        append(&mut Journal::open(dir.path(), limits).unwrap(), 0..12);
        prop_assert!(verify(dir.path()).is_ok());
        let names = files(dir.path());
        prop_assert!(names.len() > 2);
        let path = dir.path().join(&names[at.index(names.len())]);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        match how {
            0 if bytes[at] == new => return Ok(()),
            0 => bytes[at] = new,
            1 => bytes.insert(at, new),
            _ => { bytes.remove(at); }
        }
        std::fs::write(&path, bytes).unwrap();
        prop_assert!(verify(dir.path()).is_err());
    }
}

#[test]
fn a_last_line_without_its_end_is_told() {
    let (dir, lines) = with_lines(2);
    let path = dir.path().join("audit.jsonl");
    std::fs::write(&path, lines.concat().trim_end()).unwrap();
    let broken = verify(dir.path()).unwrap_err();
    assert_eq!((broken.path, broken.line), (path, 2));
    assert!(broken.what.starts_with("it has no end"), "{}", broken.what);
}

#[test]
fn the_last_lines_are_read_over_files() {
    let dir = tempdir().unwrap();
    assert_eq!(portcullis_audit::read_last(&dir.path().join("none"), 3).unwrap(), []);
    append(&mut Journal::open(dir.path(), Limits { file: 1000, keep: 9 }).unwrap(), 0..12);
    assert!(files(dir.path()).len() > 2);
    let mut all = lines(dir.path());
    all.reverse();
    for most in [1, 3, 8, all.len(), 99] {
        let last = portcullis_audit::read_last(dir.path(), most).unwrap();
        assert_eq!(last, all[..most.min(all.len())], "{most}");
    }
}

fn with_lines(count: usize) -> (Utf8TempDir, Vec<String>) {
    let dir = tempdir().unwrap();
    append(&mut journal(dir.path()), 0..count);
    let text = std::fs::read_to_string(dir.path().join("audit.jsonl")).unwrap();
    (dir, text.lines().map(|line| format!("{line}\n")).collect())
}

#[test]
fn lines_that_are_taken_out_or_moved_are_told_with_their_place() {
    for (keep, line, what) in [
        (vec![0, 1, 3, 4], 3, "line 4 follows line 2"),
        (vec![0, 2, 1, 3, 4], 2, "line 3 follows line 1"),
        (vec![1, 2, 3, 4], 0, "the lines before 2 are missing"),
        (vec![0, 1, 2], 0, "the log ends with line 3, and the head says 5: its end was cut"),
        (vec![], 0, "the log ends with line 0, and the head says 5: its end was cut"),
        (vec![0, 0, 1, 2, 3, 4], 2, "line 1 follows line 1"),
    ] {
        let (dir, lines) = with_lines(5);
        std::fs::write(
            dir.path().join("audit.jsonl"),
            keep.iter().map(|at| lines[*at].as_str()).collect::<String>(),
        )
        .unwrap();
        let Broken { line: found, what: told, .. } = verify(dir.path()).unwrap_err();
        assert_eq!(found, line, "{told}");
        assert!(told.starts_with(what), "{told}");
    }
    let (dir, _) = with_lines(2);
    std::fs::remove_file(dir.path().join("head")).unwrap();
    assert!(verify(dir.path()).unwrap_err().what.contains("a cut end would not be seen"));
}

/// Going on after a cut must not heal it.
#[test]
fn a_cut_stays_visible_when_the_log_goes_on() {
    for running in [true, false] {
        let dir = tempdir().unwrap();
        let mut first = journal(dir.path());
        append(&mut first, 0..5);
        let path = dir.path().join("audit.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        let kept: String = text.split_inclusive('\n').take(3).collect();
        std::fs::write(&path, kept).unwrap();
        let mut next = if running { first } else { journal(dir.path()) };
        append(&mut next, 5..6);
        let told = verify(dir.path()).unwrap_err();
        assert_eq!(
            (told.line, told.what.as_str()),
            (4, "line 6 follows line 3: lines are missing or were put in")
        );
        assert_eq!(events(dir.path())[3..], ["recovered", "key_revoked"]);
        assert_eq!(crate::support::lines(dir.path())[3].fields["missing_lines"], 2);
    }
}

#[test]
fn a_last_line_that_another_took_the_place_of_is_seen() {
    let (dir, _) = with_lines(3);
    let (other, other_lines) = with_lines(3);
    drop(other);
    let path = dir.path().join("audit.jsonl");
    std::fs::write(&path, other_lines.concat()).unwrap();
    assert_eq!(verify(dir.path()).unwrap_err().what, "it is not the line that the head knows");
    append(&mut journal(dir.path()), 3..4);
    assert!(verify(dir.path()).is_err());
}

#[test]
fn a_torn_line_is_repaired_and_told() {
    let (dir, lines) = with_lines(3);
    let path = dir.path().join("audit.jsonl");
    let torn = format!("{}{}", lines.concat(), r#"{"seq":4,"at":"20"#);
    std::fs::write(&path, torn).unwrap();
    append(&mut journal(dir.path()), 3..4);
    assert_eq!(events(dir.path()), ["key_revoked", "key_revoked", "key_revoked", "recovered", "key_revoked"]);
    assert_eq!(crate::support::lines(dir.path())[3].fields["torn_bytes"], 17);
    verify(dir.path()).unwrap();
}

#[test]
fn the_chain_goes_on_over_files_and_says_what_it_let_go() {
    let dir = tempdir().unwrap();
    let limits = Limits { file: 2000, keep: 2 };
    let mut journal = Journal::open(dir.path(), limits).unwrap();
    append(&mut journal, 0..40);
    assert_eq!(files(dir.path()).len(), 3);
    let whole = verify(dir.path()).unwrap();
    assert!(whole.files[0].first > 1, "{whole:?}");
    assert_eq!(whole.files[2].last, journal.last().unwrap().0);
    let continued = lines(dir.path()).into_iter().filter(|line| line.event == "continued").count();
    assert_eq!(continued, 3, "each of the three begins with it");
    for file in &whole.files {
        portcullis_audit::verify_file(&file.path).unwrap().unwrap();
    }

    // Reopened, it goes on.
    append(&mut Journal::open(dir.path(), limits).unwrap(), 40..41);
    let whole = verify(dir.path()).unwrap();

    // A file that somebody else removed is missed.
    std::fs::remove_file(&whole.files[0].path).unwrap();
    let told = verify(dir.path()).unwrap_err().what;
    assert!(told.ends_with("are missing, and no line says that they were removed"), "{told}");
}

#[test]
fn a_crash_between_two_files_leaves_no_gap() {
    let (dir, _) = with_lines(4);
    let closed = dir.path().join(format!("audit-{:020}.jsonl", 4));
    std::fs::rename(dir.path().join("audit.jsonl"), closed).unwrap();
    append(&mut journal(dir.path()), 4..5);
    verify(dir.path()).unwrap();
    assert_eq!(events(dir.path())[4..], ["continued", "key_revoked"]);
}

/// The gateway and commands write to one log.
#[test]
fn several_writers_make_one_chain() {
    let dir = tempdir().unwrap();
    let limits = Limits { file: 8000, keep: 99 };
    std::thread::scope(|threads| {
        for writer in 0..4 {
            let dir = dir.path();
            threads.spawn(move || {
                let mut journal = Journal::open(dir, limits).unwrap();
                for number in 0..50 {
                    journal.append(&[fact(writer * 100 + number), fact(0)]).unwrap();
                }
                journal.sync().unwrap();
            });
        }
    });
    verify(dir.path()).unwrap();
    let made = events(dir.path()).into_iter().filter(|event| event == "key_revoked").count();
    assert_eq!(made, 4 * 50 * 2);
    assert!(!events(dir.path()).contains(&"recovered".to_owned()));
}

#[test]
fn a_writer_that_was_stopped_holds_nobody_up_for_ever() {
    let dir = tempdir().unwrap();
    let mut journal = journal(dir.path());
    append(&mut journal, 0..1);
    let lock = std::fs::File::open(dir.path().join("audit.lock")).unwrap();
    lock.lock().unwrap();
    let error = journal.append(&[fact(1)]).unwrap_err().to_string();
    assert!(error.ends_with("is held by another process for too long"), "{error}");
    lock.unlock().unwrap();
    append(&mut journal, 1..2);
    verify(dir.path()).unwrap();
}

#[test]
fn what_a_line_may_not_be_is_refused_and_harms_nothing() {
    let dir = tempdir().unwrap();
    let mut journal = journal(dir.path());
    append(&mut journal, 0..1);
    let many = vec!["x"; 100_000];
    let weakened = Fact::GatewayStarted {
        version: Text::default(),
        codex: Text::default(),
        listen: Text::default(),
        weakened: many,
    };
    assert!(journal.append(&[Entry::of_gateway(weakened)]).unwrap_err().to_string().contains("bytes"));
    append(&mut journal, 1..2);
    verify(dir.path()).unwrap();
    // A file of one endless line is not read into memory.
    std::fs::write(dir.path().join("audit.jsonl"), vec![b'x'; 4 << 20]).unwrap();
    assert_eq!(verify(dir.path()).unwrap_err().what, "it is no line of an audit log");
}
