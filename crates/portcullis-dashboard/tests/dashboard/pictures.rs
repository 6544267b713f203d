//! The page of kept pictures.

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use portcullis_agent::PictureFormat;
use portcullis_dashboard::Gallery;

use crate::support::{Bench, HOSTILE};

/// The picture of each `img` on a page.
fn shown(page: &str) -> Vec<&str> {
    let after = page.split("<img src=\"/dashboard/pictures/").skip(1);
    after.map(|rest| rest.split('/').next().unwrap()).collect()
}

fn link<'a>(page: &'a str, text: &str) -> &'a str {
    let (before, _) = page.split_once(&format!(">{text}</a>")).unwrap_or_else(|| panic!("{text}: {page}"));
    before.rsplit("<a href=\"").next().unwrap().split('"').next().unwrap()
}

#[tokio::test]
async fn pictures_are_shown_the_newest_first_by_key_and_a_number_at_a_time() {
    let bench = Bench::new();
    let (cookie, _) = bench.sign_in().await;
    let page = async |path: &str| bench.get(&path.replace("&amp;", "&"), &cookie).await.body;
    let empty = page("/dashboard/pictures").await;
    assert!(empty.contains("No picture is kept.") && empty.contains("to be fetched are kept"), "{empty}");

    let of_another = bench.wall.hang(HOSTILE, PictureFormat::Webp, b"w");
    let ids: Vec<_> = (0..30).map(|_| bench.wall.hang("k1:app", PictureFormat::Png, b"p")).collect();
    let newest: Vec<_> = ids.iter().rev().map(String::as_str).collect();
    let first = page("/dashboard/pictures").await;
    assert_eq!(shown(&first), newest[..24]);
    let facts = "<strong>k1:app</strong><br>1024×768 png, 1 B<br>made <time";
    assert_eq!(first.matches(facts).count(), 24, "{first}");
    assert_eq!(first.matches("goes in 50 min at the latest").count(), 24);
    assert!(first.contains(" alt=\"Picture of k1:app, 1024 by 768 pixels, made 2"), "{first}");
    let second = page(link(&first, "Older")).await;
    assert_eq!(shown(&second), [&newest[24..], &[of_another.as_str()]].concat());
    assert_eq!(link(&second, "Newer"), "/dashboard/pictures");
    assert!(!second.contains(">Older<"));
    // A place that nobody comes to by a link.
    let far = page("/dashboard/pictures?skip=18446744073709551615").await;
    assert!(far.contains("No picture is kept here.") && far.contains(">Newer<"), "{far}");

    let theirs = page(link(&first, "&lt;script&gt;alert(1)&lt;/script&gt;&quot;'&amp; (1)")).await;
    assert_eq!(shown(&theirs), [of_another]);
    let apps = page(link(&first, "k1:app (30)")).await;
    assert_eq!(shown(&page(link(&apps, "Older")).await), newest[24..]);
    assert!(page("/dashboard/pictures?key=nobody").await.contains("No picture of nobody is kept."));
}

#[tokio::test]
async fn a_picture_is_given_to_a_session_alone_and_says_what_it_is() {
    let bench = Bench::new();
    let (cookie, _) = bench.sign_in().await;
    let id = bench.wall.hang("k1:app", PictureFormat::Webp, b"RIFF....WEBP");
    let path = format!("/dashboard/pictures/{id}/file");
    let wanted = |cookie: &str, path: &str| {
        let request = Request::get(path).header("cookie", cookie).header("sec-fetch-mode", "no-cors");
        request.body(Body::empty()).unwrap()
    };
    let response = bench.send(wanted(&cookie, &path)).await;
    assert_eq!(response.status(), StatusCode::OK);
    let mut told: Vec<_> = response
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            "cache-control: no-store",
            &format!("content-disposition: inline; filename=\"{id}.webp\""),
            "content-length: 12",
            "content-security-policy: default-src 'none'; style-src 'unsafe-inline'; sandbox",
            "content-type: image/webp",
            "cross-origin-opener-policy: same-origin",
            "cross-origin-resource-policy: same-origin",
            "referrer-policy: same-origin",
            "x-content-type-options: nosniff",
        ]
    );
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "RIFF....WEBP");

    for cookie in ["", "portcullis_operator=guess"] {
        let answer = bench.ask(wanted(cookie, &path)).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::UNAUTHORIZED, ""));
        assert_eq!(bench.get(&path, cookie).await.location.as_deref(), Some("/dashboard/sign-in"));
    }
    // One that is gone, and names that never were one.
    for id in ["ffffffffffffffffffffffffffffffff", "1", "..%2f..%2fkeys.json"] {
        let answer = bench.get(&format!("/dashboard/pictures/{id}/file"), &cookie).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{id}");
        assert!(answer.body.contains("<h1>This picture is gone</h1>"), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_picture_is_deleted_once_and_the_log_knows_whose_it_was() {
    let bench = Bench::new();
    let (cookie, token) = bench.sign_in().await;
    let ids: Vec<_> = (0..2).map(|_| bench.wall.hang("k1:a&b", PictureFormat::Png, b"p")).collect();
    let path = format!("/dashboard/pictures/{}/delete", ids[0]);
    let fields = [("form", token.as_str()), ("key", "k1:a&b"), ("skip", "24")];
    let deleted = bench.post(&path, &cookie, &fields).await;
    assert_eq!(deleted.status, StatusCode::SEE_OTHER);
    assert_eq!(deleted.location.as_deref(), Some("/dashboard/pictures?key=k1%3Aa%26b&skip=24"));
    assert_eq!(shown(&bench.get("/dashboard/pictures", &cookie).await.body), [ids[1].as_str()]);
    let again = bench.post(&path, &cookie, &fields[..1]).await;
    assert!(again.body.contains("That picture was gone already."), "{}", again.body);
    bench.audit.close().await;
    assert_eq!(
        bench.lines("picture_deleted"),
        [format!("operator {{\"of\":\"k1:a&b\",\"picture\":\"{}\"}}", ids[0])]
    );
}

#[tokio::test]
async fn where_none_are_kept_the_page_says_what_to_do() {
    let bench = Bench::with(|_| Gallery::Closed { why: "Pictures are off.", hint: "Turn them on." });
    let (cookie, token) = bench.sign_in().await;
    let page = bench.get("/dashboard/pictures", &cookie).await;
    assert!(page.body.contains("<p>Pictures are off. Turn them on.</p>"), "{}", page.body);
    assert_eq!(bench.get("/dashboard/pictures/1/file", &cookie).await.status, StatusCode::NOT_FOUND);
    let deleted = bench.post("/dashboard/pictures/1/delete", &cookie, &[("form", &token)]).await;
    assert!(deleted.body.contains("Pictures are off."), "{}", deleted.body);
}
