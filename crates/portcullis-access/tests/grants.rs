//! What keys may do, from the store through the file to the principal.

use std::time::Duration;

use camino_tempfile::Utf8TempDir;
use jiff::{Timestamp, ToSpan as _};
use portcullis_access::{Grant, KeyLimits, KeyStore, Keys, Scope, Unauthenticated};
use portcullis_agent::Profile;
use secrecy::ExposeSecret as _;
use serde_json::Value;

fn now() -> Timestamp {
    "2026-02-03T04:05:06Z".parse().expect("a time")
}

fn store() -> (Utf8TempDir, KeyStore) {
    let temp = Utf8TempDir::new().expect("a temporary directory");
    let store = KeyStore::open(temp.path()).expect("a store");
    (temp, store)
}

/// A grant that differs from the default in everything.
fn narrow() -> Grant {
    Grant {
        profile: Profile::Read,
        models: ["codex".to_owned()].into(),
        scopes: [Scope::Inference, Scope::Operator].into(),
        limits: KeyLimits {
            turns: 2.try_into().ok(),
            requests_per_minute: 60.try_into().ok(),
            tokens_per_minute: 100_000.try_into().ok(),
        },
        expires: Some(now() + 1.hour()),
    }
}

fn version(store: &KeyStore) -> u64 {
    let text = std::fs::read_to_string(store.path()).expect("a key file");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    file["version"].as_u64().expect("a version")
}

#[test]
fn a_grant_goes_with_its_key_until_it_expires() {
    let (_temp, store) = store();
    let key = store.create("ci", &narrow(), now()).unwrap();
    let keys = Keys::open(store.path()).unwrap();
    let at = |time| keys.authenticate(key.secret.expose_secret(), time);
    let principal = at(now()).unwrap();
    assert_eq!(*principal.grant, narrow());
    assert_eq!(principal.id().as_str(), format!("{}:ci", key.id));
    assert_eq!(store.list().unwrap()[0].grant, narrow());
    assert!(at(now() + 59.minutes()).is_ok());
    assert_eq!(at(now() + 1.hour()), Err(Unauthenticated::Expired));
    // Who does not know the secret learns nothing of it.
    // `-` stands for bits that the last character of 32 bytes in base64 never has.
    let guess = format!("{}-", &key.secret.expose_secret()[..key.secret.expose_secret().len() - 1]);
    assert_eq!(keys.authenticate(&guess, now() + 1.hour()), Err(Unauthenticated::NotValid));
}

/// A gateway from before grants reads version 1 only: it must not take a narrow key for one that may do everything.
#[test]
fn a_file_with_grants_is_not_for_a_gateway_that_knows_none() {
    let (_temp, store) = store();
    store.create("old", &Grant::default(), now()).unwrap();
    assert_eq!(version(&store), 1);
    let differing: [fn(&mut Grant); 5] = [
        |grant| grant.profile = Profile::Work,
        |grant| grant.models = ["m".to_owned()].into(),
        |grant| grant.scopes = [].into(),
        |grant| grant.limits.turns = 1.try_into().ok(),
        |grant| grant.expires = Some(Timestamp::MAX),
    ];
    for differ in differing {
        let mut grant = Grant::default();
        differ(&mut grant);
        store.create("new", &grant, now()).unwrap();
        assert_eq!(version(&store), 2, "{grant:?}");
        assert_eq!(store.list().unwrap()[1].grant, grant);
        store.revoke("new").unwrap();
        assert_eq!(version(&store), 1);
    }
}

#[test]
fn a_word_that_is_none_is_refused_with_those_that_are() {
    let (_temp, store) = store();
    store.create("one", &narrow(), now()).unwrap();
    let good = std::fs::read_to_string(store.path()).unwrap();
    let keys = Keys::open(store.path()).unwrap();
    for (from, to, told) in [
        ("\"read\"", "\"root\"", "a profile is one of `chat`, `read`, `work`"),
        ("\"operator\"", "\"Operator\"", "a scope is one of `inference`, `images`, `metrics`, `operator`"),
        ("\"turns\": 2", "\"turns\": 0", "an expected field is missing or has the wrong type"),
        ("\"turns\": 2", "\"turns\": -1", "an expected field is missing or has the wrong type"),
    ] {
        std::fs::write(store.path(), good.replacen(from, to, 1)).unwrap();
        let error = Keys::open(store.path()).unwrap_err().to_string();
        assert!(error.contains(told) && !error.contains("root"), "{error}");
        store.list().unwrap_err();
        // A running gateway goes on with what it had.
        assert_eq!(keys.count(), 1);
        assert_eq!(keys.weaknesses().len(), 1);
    }
}

#[test]
fn fields_of_a_later_grant_survive() {
    let (_temp, store) = store();
    store.create("one", &narrow(), now()).unwrap();
    let text = std::fs::read_to_string(store.path()).unwrap();
    std::fs::write(store.path(), text.replacen("\"turns\": 2", "\"turns\": 2, \"colour\": \"red\"", 1))
        .unwrap();
    store.rotate("one", Duration::ZERO, now()).unwrap();
    assert!(std::fs::read_to_string(store.path()).unwrap().contains("\"colour\": \"red\""));
    assert_eq!(store.list().unwrap()[0].grant, narrow());
}

#[test]
fn a_rotated_key_is_the_same_principal_with_another_secret() {
    let (_temp, store) = store();
    let first = store.create("bot", &narrow(), now()).unwrap();
    store.create("other", &Grant::default(), now()).unwrap();
    let keys = Keys::open(store.path()).unwrap();
    let who = |text: &str, time| keys.authenticate(text, time).map(|principal| principal.id());
    let before = who(first.secret.expose_secret(), now()).unwrap();

    let second = store.rotate("bot", Duration::ZERO, now()).unwrap();
    assert_eq!(who(second.secret.expose_secret(), now()), Ok(before.clone()));
    assert_eq!(who(first.secret.expose_secret(), now()), Err(Unauthenticated::NotValid));

    let third = store.rotate(&first.id, Duration::from_mins(30), now()).unwrap();
    let late = now() + 30.minutes();
    for text in [&second.secret, &third.secret] {
        assert_eq!(who(text.expose_secret(), now() + 29.minutes()), Ok(before.clone()));
    }
    assert_eq!(who(second.secret.expose_secret(), late), Err(Unauthenticated::NotValid));
    assert_eq!(who(third.secret.expose_secret(), late), Ok(before.clone()));

    // The one before the last is good no longer, whatever it was promised.
    let fourth = store.rotate("bot", Duration::from_mins(30), now()).unwrap();
    assert_eq!(who(second.secret.expose_secret(), now()), Err(Unauthenticated::NotValid));
    assert_eq!(*keys.authenticate(fourth.secret.expose_secret(), now()).unwrap().grant, narrow());
    store.revoke("bot").unwrap();
    for text in [&third.secret, &fourth.secret] {
        assert_eq!(who(text.expose_secret(), now()), Err(Unauthenticated::NotValid));
    }
}
