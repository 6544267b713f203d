//! The Images API as the lab plays it.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_agent::{
    Agent as _, Author, HistoryItem, Item, Message, Outcome, Part, PictureFormat, PictureRequest, Profile,
    Reference, TurnEvent, TurnOptions, TurnRequest,
};
use portcullis_images_api::{ImagesApi, Settings};
use portcullis_lab::{Answer, ModelServer, draw};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(10);

fn turn(picture: PictureRequest) -> TurnRequest {
    let message = Message { author: Author::User, parts: vec![Part::Text("a star".to_owned())] };
    let options = TurnOptions::new("gpt-image-2".into(), PATIENCE);
    TurnRequest {
        history: vec![HistoryItem::Message(message)],
        picture: Some(picture),
        ..TurnRequest::new("r".into(), "p".into(), Profile::Chat, options)
    }
}

async fn service() -> (ModelServer, ImagesApi) {
    let server = ModelServer::start().await.unwrap();
    let settings = Settings { base_url: server.base_url(), key: "sk-lab".into(), turns: 1 };
    let api = ImagesApi::new(settings).unwrap();
    (server, api)
}

async fn events(api: &ImagesApi, picture: PictureRequest) -> Vec<String> {
    let mut turn = api.start_turn(turn(picture)).await.unwrap();
    let mut seen = Vec::new();
    while let Some(event) = turn.next().await {
        seen.push(match event {
            TurnEvent::Preview(picture) => format!("preview of {} bytes", picture.bytes.len()),
            TurnEvent::ItemCompleted(Item::Picture(picture)) => {
                format!("picture of {} bytes, {:?}", picture.bytes.len(), picture.cost)
            }
            TurnEvent::Ended(Outcome::Failed(error)) => format!("{:?}", error.kind),
            other => format!("{other:?}"),
        });
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_are_sent_as_they_are() {
    let (server, api) = service().await;
    server.draw_with(draw::answer);
    let file = |format| Reference { bytes: draw::picture("x", 16, 16, 0, false).into(), format };
    let all = PictureRequest {
        references: vec![file(PictureFormat::Png), file(PictureFormat::Webp)],
        mask: Some(file(PictureFormat::Png)),
        size: Some((1536, 1024)),
        quality: Some("high".to_owned()),
        transparent: Some(true),
        model: Some("gpt-image-1.5".to_owned()),
        input_fidelity: Some("high".to_owned()),
        moderation: Some("low".to_owned()),
        previews: 0,
    };
    let seen = events(&api, all).await;
    assert!(
        seen.len() == 2 && seen[0].starts_with("picture of") && seen[1] == "Ended(Completed)",
        "{seen:?}"
    );
    let sent = server.picture_requests().remove(0);
    assert_eq!(
        (sent.path.as_str(), sent.header("authorization")),
        ("/v1/images/edits", Some("Bearer sk-lab"))
    );
    let mut body = sent.body;
    assert!(body["images"][1]["image_url"].as_str().unwrap().starts_with("data:image/webp;base64,"));
    assert!(body["mask"]["image_url"].is_string());
    for name in ["images", "mask"] {
        body.as_object_mut().unwrap().remove(name);
    }
    assert_eq!(
        body,
        json!({"model": "gpt-image-1.5", "prompt": "a star", "n": 1, "size": "1536x1024", "quality": "high",
            "background": "transparent", "moderation": "low", "input_fidelity": "high"})
    );
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn previews_and_costs_come_through() {
    let (server, api) = service().await;
    let event = |kind: &str, bytes: &[u8]| {
        let name = format!("image_generation.{kind}");
        let data = json!({"type": name, "b64_json": STANDARD.encode(bytes), "background": "opaque",
            "usage": {"input_tokens": 3, "output_tokens": 5, "input_tokens_details": {"text_tokens": 2, "image_tokens": 1}}});
        (name, data)
    };
    server.enqueue_picture(Answer::raw_events(vec![event("partial_image", b"a"), event("completed", b"bc")]));
    let seen = events(&api, PictureRequest { previews: 1, ..PictureRequest::default() }).await;
    assert_eq!(
        seen,
        [
            "preview of 1 bytes",
            "picture of 2 bytes, Some(PictureCost { text_input: 2, image_input: 1, output: 5 })",
            "Ended(Completed)"
        ]
    );
    assert_eq!(server.picture_requests()[0].body["partial_images"], 1);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_have_their_meaning_and_a_turn_given_up_closes_its_connection() {
    let (server, api) = service().await;
    let blocked = json!({"error": {"message": "no", "type": "image_generation_user_error", "code": "moderation_blocked", "param": null}});
    let table = [
        (Answer::status(400, blocked), "moderation_blocked"),
        (Answer::status(401, json!({})), "LoginRequired"),
        (Answer::status(429, json!({"error": {"code": "insufficient_quota"}})), "UsageLimit"),
        (Answer::status(429, json!({"error": {}})), "RateLimited"),
        (Answer::status(500, json!({"error": {"message": "x"}})), "Upstream"),
        (Answer::status(200, json!({"data": []})), "Upstream"),
        (Answer::status(200, json!([1])), "Upstream"),
        (Answer::status(200, json!({"data": ["x"]})), "Upstream"),
        (Answer::status(400, json!([1])), "InvalidInput"),
        (Answer::status(200, json!({"data": [{"b64_json": "!"}]})), "Upstream"),
    ];
    for (answer, meaning) in table {
        server.enqueue_picture(answer);
        let seen = events(&api, PictureRequest::default()).await;
        assert!(seen.len() == 1 && seen[0].contains(meaning), "{meaning}: {seen:?}");
    }
    // Not a drawing: making one keeps the lab busy, and it would notice the close late.
    server.draw_with(|_| Answer::status(200, json!({})).first_after(Duration::from_mins(1)));
    let running = api.start_turn(turn(PictureRequest::default())).await.unwrap();
    let index = server.wait_for_picture_requests(11, PATIENCE).await.unwrap().len() - 1;
    assert!(api.start_turn(turn(PictureRequest::default())).await.is_err(), "there is one place");
    let left = Instant::now();
    drop(running);
    let closed = server.wait_for_picture_close(index, PATIENCE).await.unwrap();
    assert!(closed.at.saturating_duration_since(left) < Duration::from_millis(100));
    server.shutdown().await;
}
