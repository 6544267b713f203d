//! The dashboard as somebody sees it who does not play by its rules, and its pages as they are.

#![expect(clippy::unwrap_used, reason = "a test that can not do its work has failed")]

mod pictures;
mod support;

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use portcullis_access::{Grant, KeyStore};
use portcullis_agent::{ApprovalKind, Profile, Question, Verdict};
use portcullis_dashboard::issue_code;
use portcullis_store::{Ledger as _, LedgerEntry, Tally};
use secrecy::ExposeSecret as _;

use crate::support::{Bench, HOSTILE, form, turn_request};

/// Every page, and everything that a form does.
const PAGES: [&str; 13] = [
    "/dashboard",
    "/dashboard/live",
    "/dashboard/requests",
    "/dashboard/usage",
    "/dashboard/keys",
    "/dashboard/approvals",
    "/dashboard/pictures",
    "/dashboard/pictures?key=app&skip=24",
    "/dashboard/codex",
    "/dashboard/confinement",
    "/dashboard/audit",
    "/dashboard/audit?check",
    "/dashboard/playground",
];
const ACTS: [&str; 9] = [
    "/dashboard/keys",
    "/dashboard/keys/k/rotate",
    "/dashboard/keys/k/revoke",
    "/dashboard/approvals/a",
    "/dashboard/turns/0/interrupt",
    "/dashboard/pictures/00000000000000000000000000000000/delete",
    "/dashboard/codex",
    "/dashboard/codex/cancel",
    "/dashboard/sign-out",
];

#[tokio::test]
async fn without_a_session_there_is_only_the_way_in() {
    let bench = Bench::new();
    let _turn = bench.agent.start_turn(turn_request()).await.unwrap();
    for cookie in ["", "portcullis_operator=", "portcullis_operator=guess", "other=x; portcullis_operator=y"]
    {
        for path in PAGES {
            let answer = bench.get(path, cookie).await;
            assert_eq!(answer.location.as_deref(), Some("/dashboard/sign-in"), "{path}");
            assert_eq!(answer.body, "");
        }
        for path in ACTS {
            let answer =
                bench.post(path, cookie, &[("form", ""), ("name", "x"), ("decision", "approve")]).await;
            assert_eq!((answer.status, answer.body.as_str()), (StatusCode::SEE_OTHER, ""), "{path}");
            assert_eq!(answer.location.as_deref(), Some("/dashboard/sign-in"), "{path}");
        }
    }
    assert_eq!(bench.turns.running().len(), 1);
    assert!(bench.signs.0.lock().unwrap().is_empty());
    assert!(KeyStore::open(bench.dir.path()).unwrap().list().unwrap().is_empty());
    // The part of a page that its script fetches does not send the script to another page.
    let quiet = Request::get("/dashboard/live").header("sec-fetch-mode", "cors").body(Body::empty()).unwrap();
    assert_eq!(bench.ask(quiet).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_code_is_good_once_and_only_from_here() {
    let bench = Bench::new();
    let (code, _) = issue_code(bench.dir.path()).unwrap();
    let code = code.expose_secret();
    let mut elsewhere = form("/dashboard/sign-in", "", &[("code", code)]);
    elsewhere.headers_mut().insert("origin", "http://evil.example".parse().unwrap());
    assert_eq!(bench.ask(elsewhere).await.status, StatusCode::FORBIDDEN);
    let wrong = bench.post("/dashboard/sign-in", "", &[("code", "wrong")]).await;
    assert_eq!((wrong.status, wrong.cookie), (StatusCode::FORBIDDEN, None));
    let json = Request::post("/dashboard/sign-in").header("content-type", "application/json");
    let json = json.body(Body::from(format!("{{\"code\":\"{code}\"}}"))).unwrap();
    assert_eq!(bench.ask(json).await.status, StatusCode::BAD_REQUEST);
    let long = bench.post("/dashboard/sign-in", "", &[("code", &"x".repeat(20_000))]).await;
    assert_eq!(long.status, StatusCode::BAD_REQUEST);

    // A browser that comes with a session of its own choice does not keep it.
    let chosen = "portcullis_operator=chosen";
    let good = bench.post("/dashboard/sign-in", chosen, &[("code", code)]).await;
    assert_eq!(good.status, StatusCode::SEE_OTHER);
    assert!(!good.cookie.unwrap().contains("chosen"));
    assert_eq!(bench.get("/dashboard", chosen).await.status, StatusCode::SEE_OTHER);
    let again = bench.post("/dashboard/sign-in", "", &[("code", code)]).await;
    assert_eq!((again.status, again.cookie), (StatusCode::FORBIDDEN, None));
    bench.audit.close().await;
    // Refusals alike are one line.
    assert_eq!(bench.facts(), ["dashboard_opened", "refused"]);
}

#[tokio::test]
async fn a_form_must_be_of_its_session_and_from_here() {
    let bench = Bench::new();
    let _turn = bench.agent.start_turn(turn_request()).await.unwrap();
    let (cookie, token) = bench.sign_in().await;
    let (_, of_another) = bench.sign_in().await;
    for path in ACTS {
        for wrong in ["", "x", of_another.as_str()] {
            let answer = bench.post(path, &cookie, &[("form", wrong), ("name", "x")]).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
            assert!(answer.body.contains("Nothing was done."));
        }
        for (name, value) in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", "http://gateway:2"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            let mut request = form(path, &cookie, &[("form", &token), ("name", "x")]);
            request.headers_mut().insert(name, value.parse().unwrap());
            assert_eq!(bench.ask(request).await.status, StatusCode::FORBIDDEN, "{path} {name} {value}");
        }
    }
    assert_eq!(bench.turns.running().len(), 1);
    assert!(bench.signs.0.lock().unwrap().is_empty());

    let mut right = form("/dashboard/turns/0/interrupt", &cookie, &[("form", &token)]);
    right.headers_mut().insert("origin", "http://gateway:1".parse().unwrap());
    right.headers_mut().insert("sec-fetch-site", "same-origin".parse().unwrap());
    assert_eq!(bench.ask(right).await.status, StatusCode::SEE_OTHER);
    assert_eq!(bench.turns.running()[0].phase.word(), "interrupted");
    for path in ["/dashboard/codex", "/dashboard/codex/cancel"] {
        assert_eq!(bench.post(path, &cookie, &[("form", &token)]).await.status, StatusCode::SEE_OTHER);
    }
    assert_eq!(*bench.signs.0.lock().unwrap(), ["begin", "cancel"]);

    assert_eq!(
        bench.post("/dashboard/sign-out", &cookie, &[("form", &token)]).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(bench.get("/dashboard", &cookie).await.location.as_deref(), Some("/dashboard/sign-in"));
    bench.audit.close().await;
    assert_eq!(
        bench.facts(),
        ["dashboard_opened", "dashboard_opened", "turn_interrupted", "dashboard_closed", "refused"]
    );
    assert_eq!(bench.lines("dashboard_closed"), ["operator {}"]);
}

#[tokio::test]
async fn what_others_wrote_is_shown_as_they_wrote_it() {
    let bench = Bench::new();
    let turn = bench.agent.start_turn(turn_request()).await.unwrap();
    let question = Question {
        request: "req_1".into(),
        principal: HOSTILE.into(),
        profile: Profile::Work,
        thread: "th".into(),
        turn: "tu".into(),
        kind: ApprovalKind::Command,
        about: HOSTILE.to_owned(),
    };
    let approvals = bench.approvals.clone();
    #[expect(clippy::disallowed_methods, reason = "awaited below")]
    let asking = tokio::spawn(async move { approvals.ask(question).await });
    while bench.approvals.waiting().is_empty() {
        tokio::task::yield_now().await;
    }
    let grant = Grant { models: [HOSTILE.to_owned()].into(), ..Grant::default() };
    KeyStore::open(bench.dir.path()).unwrap().create("app", &grant, jiff::Timestamp::now()).unwrap();
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let tally = Tally { turns: 1, ..Tally::default() };
    let entry = LedgerEntry { day: today, principal: HOSTILE.into(), model: HOSTILE.into(), tally };
    bench.ledger.add(&[entry]).await.unwrap();
    let (cookie, token) = bench.sign_in().await;
    let mut shown = 0;
    for path in PAGES {
        let answer = bench.get(path, &cookie).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(!answer.body.contains("<script>alert"), "{path}: {}", answer.body);
        shown += answer.body.matches("&lt;script&gt;alert(1)&lt;/script&gt;&quot;'&amp;").count();
    }
    // Key and model of the turn, twice, and in the sums; the question, who asked it; the key's model.
    assert!(shown >= 9, "{shown}");

    let id = bench.approvals.waiting()[0].id.clone();
    let path = format!("/dashboard/approvals/{id}");
    let answer = bench.post(&path, &cookie, &[("form", &token), ("decision", "approve")]).await;
    assert!(answer.body.contains("Approved."), "{}", answer.body);
    assert_eq!(asking.await.unwrap(), Verdict::Approved);
    let answer = bench.post(&path, &cookie, &[("form", &token), ("decision", "approve")]).await;
    assert!(answer.body.contains("does not wait any more"));
    drop(turn);
    let requests = bench.get("/dashboard/requests", &cookie).await.body;
    assert!(requests.contains("interrupted") && !requests.contains("<script>alert"), "{requests}");
    bench.audit.close().await;
    assert_eq!(bench.facts(), ["approval_asked", "dashboard_opened", "approval_decided"]);
}

/// One at a time: what is made is shown once, and the log knows it.
#[tokio::test]
async fn keys_are_made_turned_and_revoked() {
    let bench = Bench::new();
    let (cookie, token) = bench.sign_in().await;
    let new_key = |fields: &[(&str, &str)]| {
        let fields: Vec<_> = [("form", token.as_str())].into_iter().chain(fields.iter().copied()).collect();
        form("/dashboard/keys", &cookie, &fields)
    };
    let store = KeyStore::open(bench.dir.path()).unwrap();
    for (fields, why) in [
        (&[("name", "a"), ("profile", "root"), ("scope-images", "yes")][..], "a profile is one of"),
        (&[("name", "a"), ("profile", "chat")], "A key that opens nothing"),
        (
            &[("name", "a"), ("profile", "chat"), ("scope-images", "yes"), ("turns", "-1")],
            "The number of turns",
        ),
        (&[("name", "<b>"), ("profile", "chat"), ("scope-images", "yes")], "Nothing was done:"),
        (
            &[("name", "a"), ("profile", "chat"), ("scope-images", "yes"), ("days", "4000000000")],
            "the end of time",
        ),
    ] {
        let answer = bench.ask(new_key(fields)).await;
        assert!(answer.body.contains(why), "{}", answer.body);
        assert!(store.list().unwrap().is_empty());
    }
    let asked = bench.ask(new_key(&[
        ("name", "app"),
        ("profile", "work"),
        ("scope-operator", "yes"),
        ("models", " m1 , m2,"),
        ("requests", "60"),
        ("days", "30"),
    ]));
    let made = asked.await.body;
    let secret =
        |page: &str| page.split("pcl_").nth(1).map(|rest| rest.split('<').next().unwrap().to_owned());
    let key = &store.list().unwrap()[0];
    assert_eq!((key.name.as_str(), key.grant.profile, key.grant.models.len()), ("app", Profile::Work, 2));
    assert_eq!((key.grant.scopes.len(), key.grant.limits.requests_per_minute.unwrap().get()), (1, 60));
    assert!(key.grant.expires.is_some());
    let first = secret(&made).unwrap();
    assert_eq!(secret(&bench.get("/dashboard/keys", &cookie).await.body), None, "it is shown again");
    let act = async |what: &str| {
        bench.post(&format!("/dashboard/keys/{}/{what}", key.id), &cookie, &[("form", &token)]).await
    };
    assert_ne!(secret(&act("rotate").await.body).unwrap(), first);
    assert_eq!(act("revoke").await.status, StatusCode::SEE_OTHER);
    assert!(act("revoke").await.body.contains("Nothing was done:"));
    assert!(store.list().unwrap().is_empty());
    bench.audit.close().await;
    assert_eq!(bench.facts(), ["dashboard_opened", "key_created", "key_rotated", "key_revoked"]);
    // Where it can not be accounted for, no key is made.
    let unwritten =
        bench.ask(new_key(&[("name", "late"), ("profile", "chat"), ("scope-images", "yes")])).await;
    assert!(unwritten.body.contains("Nothing was done"), "{}", unwritten.body);
    assert!(store.list().unwrap().is_empty());
}

/// A browser that leaves in the middle leaves nothing half done.
#[tokio::test]
async fn an_act_goes_on_when_its_browser_has_left() {
    let bench = Bench::new();
    let (cookie, token) = bench.sign_in().await;
    let make = form(
        "/dashboard/keys",
        &cookie,
        &[("form", &token), ("name", "left"), ("profile", "chat"), ("scope-images", "yes")],
    );
    // Polled once, and dropped.
    let left = tokio::time::timeout(Duration::ZERO, bench.ask(make)).await;
    assert!(left.is_err(), "it was answered at once");
    let store = KeyStore::open(bench.dir.path()).unwrap();
    let facts = async {
        while !bench.facts().contains(&"key_created".to_owned()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), facts).await.expect("the log knows of the key");
    assert_eq!(store.list().unwrap().len(), 1);
    bench.audit.close().await;
}
