//! Keys from creation to refusal, on a real directory.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::Arc;

use camino_tempfile::Utf8TempDir;
use jiff::Timestamp;
use portcullis_access::{Grant, KeyError, KeyInfo, KeyStore, Keys, Principal, Unauthenticated, Weakness};
use secrecy::ExposeSecret as _;

/// A state directory that does not exist yet, inside a temporary one.
fn store() -> (Utf8TempDir, KeyStore) {
    let temp = Utf8TempDir::new().expect("a temporary directory");
    let store = KeyStore::open(temp.path().join("state")).expect("a store");
    (temp, store)
}

fn now() -> Timestamp {
    "2026-02-03T04:05:06.789Z".parse().expect("a time")
}

#[test]
fn a_running_gateway_sees_keys_come_and_go() {
    let (_temp, store) = store();
    let keys = Keys::open(store.path()).unwrap();
    assert_eq!(keys.count(), 0, "a missing file means no keys");

    let phone = store.create("Annas phone", &Grant::default(), now()).unwrap();
    let bot = store.create("bot-2.x_y", &Grant::default(), now()).unwrap();
    let grant = Arc::new(Grant::default());
    let principal = Principal { key_id: phone.id.clone(), name: "Annas phone".to_owned(), grant };
    assert_eq!(keys.authenticate(phone.secret.expose_secret(), now()), Ok(principal));
    let created = "2026-02-03T04:05:06Z".parse().unwrap();
    let bot_info = KeyInfo { id: bot.id.clone(), name: bot.name.clone(), created, grant: Grant::default() };
    assert_eq!(store.list().unwrap()[1], bot_info);

    assert_eq!(store.revoke("Annas phone").unwrap().id, phone.id);
    assert_eq!(keys.authenticate(phone.secret.expose_secret(), now()), Err(Unauthenticated::NotValid));
    assert_eq!(keys.authenticate(bot.secret.expose_secret(), now()).unwrap().name, "bot-2.x_y");
    assert_eq!(store.revoke(&bot.id).unwrap(), bot_info);
    assert_eq!(keys.authenticate(bot.secret.expose_secret(), now()), Err(Unauthenticated::NotValid));
    assert!(matches!(store.revoke(&bot.id), Err(KeyError::NotFound { .. })));
}

#[test]
fn only_the_exact_text_is_accepted() {
    let (_temp, store) = store();
    let key = store.create("one", &Grant::default(), now()).unwrap();
    let text = key.secret.expose_secret();
    let keys = Keys::open(store.path()).unwrap();

    assert_eq!(text.len(), "pcl_".len() + 8 + 1 + 43);
    assert!(text.starts_with(&format!("pcl_{}_", key.id)));
    let other_first = if text.as_bytes()[13] == b'A' { "B" } else { "A" };
    let mut wrong_secret = text.to_owned();
    wrong_secret.replace_range(13..14, other_first);
    for wrong in [
        wrong_secret.as_str(),
        &text.replacen(&key.id, "00000000", 1),
        &text.to_uppercase(),
        &text[..text.len() - 1],
        &format!("{text} "),
        &format!("{text}A"),
        &format!("Bearer {text}"),
        &key.id,
        "",
        "pcl_",
        "pcl__",
        "pcl_é\u{0}",
        &"x".repeat(1 << 20),
    ] {
        assert_eq!(keys.authenticate(wrong, now()), Err(Unauthenticated::NotValid), "{wrong:.80}");
    }
    assert!(keys.authenticate(text, now()).is_ok());
}

#[test]
fn files_are_private_and_hold_no_key() {
    let (_temp, store) = store();
    let key = store.create("one", &Grant::default(), now()).unwrap();
    let dir = store.path().parent().unwrap();
    let mode = |path: &camino::Utf8Path| path.metadata().unwrap().mode() & 0o7777;
    assert_eq!([mode(dir), mode(store.path()), mode(&dir.join("keys.lock"))], [0o700, 0o600, 0o600]);
    let text = std::fs::read_to_string(store.path()).unwrap();
    let secret = key.secret.expose_secret().rsplit_once(&key.id).unwrap().1;
    assert!(!text.contains(secret));
    assert!(!format!("{key:?}").contains(secret));

    let keys = Keys::open(store.path()).unwrap();
    assert_eq!(keys.weaknesses(), []);
    std::fs::set_permissions(store.path(), Permissions::from_mode(0o640)).unwrap();
    std::fs::set_permissions(dir, Permissions::from_mode(0o770)).unwrap();
    let expected = [
        Weakness::FileMode { path: store.path().to_owned(), mode: 0o640 },
        Weakness::DirectoryMode { path: dir.to_owned(), mode: 0o770 },
    ];
    assert_eq!(keys.weaknesses(), expected);
}

#[test]
fn concurrent_creators_lose_nothing() {
    let (_temp, store) = store();
    let make = |name: &String| store.create(name, &Grant::default(), now()).unwrap().secret;
    let names: Vec<String> = (0..32).map(|number| format!("key {number}")).collect();
    let secrets: Vec<_> = std::thread::scope(|scope| {
        let makers: Vec<_> = names.iter().map(|name| scope.spawn(move || make(name))).collect();
        // All of them race for one name, too.
        let racers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| store.create("same", &Grant::default(), now()).is_ok())).collect();
        let won = racers.into_iter().filter_map(|racer| racer.join().unwrap().then_some(())).count();
        assert_eq!(won, 1, "one of them gets the name");
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    let keys = Keys::open(store.path()).unwrap();
    assert_eq!(keys.count(), 33);
    for (name, secret) in names.iter().zip(&secrets) {
        assert_eq!(&keys.authenticate(secret.expose_secret(), now()).unwrap().name, name);
    }
}

#[test]
fn an_unusable_file_keeps_the_last_good_keys() {
    let (_temp, store) = store();
    let key = store.create("one", &Grant::default(), now()).unwrap();
    let keys = Keys::open(store.path()).unwrap();
    let good = std::fs::read_to_string(store.path()).unwrap();
    let version_3 = good.replacen("\"version\": 1", "\"version\": 3", 1);
    let bad_hash = good.replacen("\"sha256\": \"", "\"sha256\": \"zz", 1);

    let mut told = Vec::new();
    for broken in ["", "{", "{\"version\":1}", "{\"version\":\"pcl_secret\"}", &version_3, &bad_hash] {
        std::fs::write(store.path(), broken).unwrap();
        assert!(keys.authenticate(key.secret.expose_secret(), now()).is_ok(), "{broken}");
        let [Weakness::OldKeys { why }] = &keys.weaknesses()[..] else { panic!("no weakness for {broken}") };
        assert!(!why.contains("pcl_"), "{why}");
        told.push(why.replace(store.path().as_str(), "keys.json"));
        // A new start, and the commands, refuse the file and leave it alone.
        Keys::open(store.path()).unwrap_err();
        store.create("two", &Grant::default(), now()).unwrap_err();
        assert_eq!(std::fs::read_to_string(store.path()).unwrap(), broken);
    }
    assert!(
        told[4].starts_with("`keys.json` has version 3, this program reads versions up to 2"),
        "{}",
        told[4]
    );

    std::fs::remove_file(store.path()).unwrap();
    std::fs::create_dir(store.path()).unwrap();
    assert!(keys.authenticate(key.secret.expose_secret(), now()).is_ok(), "unreadable");
    std::fs::remove_dir(store.path()).unwrap();
    assert_eq!(
        keys.authenticate(key.secret.expose_secret(), now()),
        Err(Unauthenticated::NotValid),
        "gone on purpose"
    );
    std::fs::write(store.path(), good).unwrap();
    assert!(keys.authenticate(key.secret.expose_secret(), now()).is_ok(), "back again");
}

#[test]
fn fields_of_a_later_portcullis_survive() {
    let (_temp, store) = store();
    store.create("one", &Grant::default(), now()).unwrap();
    let text = std::fs::read_to_string(store.path()).unwrap();
    let later = text.replacen("\"name\": \"one\"", "\"name\": \"one\", \"colour\": [\"red\"]", 1);
    std::fs::write(store.path(), later).unwrap();
    store.create("two", &Grant::default(), now()).unwrap();
    assert!(std::fs::read_to_string(store.path()).unwrap().contains("\"colour\""));
}

#[test]
fn names_are_checked_and_unique() {
    let (_temp, store) = store();
    for bad in ["", " ", " a", "a ", "a/b", "a\nb", "a\u{1b}[2J", &"x".repeat(65)] {
        assert!(matches!(store.create(bad, &Grant::default(), now()), Err(KeyError::BadName)), "{bad:?}");
    }
    store.create(&"x".repeat(64), &Grant::default(), now()).unwrap();
    store.create("laptop", &Grant::default(), now()).unwrap();
    let taken = store.create("laptop", &Grant::default(), now()).unwrap_err();
    assert!(taken.to_string().starts_with("there is already a key named `laptop`"));
}
