//! The official SDKs, other clients' own forms, and the contract of image plug-ins as they use it; and the faults that were found in an older server of it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_lab::{Answer, demo, draw};
use serde_json::{Value, json};

use crate::clients::run_script;
use crate::images::studio;
use crate::support::{Keeping, PATIENCE, TestGate, eventually};

async fn generate(gate: &TestGate, body: &Value) -> (u16, Value) {
    let request = gate
        .client
        .post(format!("{}/v1/images/generate", gate.base))
        .header("X-API-Key", &gate.key)
        .json(body);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// The published smoke test's steps: health, what it can, four that are given up after 500 ms, nothing left.
#[tokio::test(flavor = "multi_thread")]
async fn smoke_test() {
    let gate = studio(Keeping::On).await;
    let health: Value =
        gate.client.get(format!("{}/healthz", gate.base)).send().await.unwrap().json().await.unwrap();
    assert_eq!((health["status"].as_str(), health["model"].as_str()), (Some("ok"), Some("gpt-image-2")));
    let request = gate.client.get(format!("{}/v1/capabilities", gate.base)).header("X-API-Key", &gate.key);
    let can: Value = request.send().await.unwrap().json().await.unwrap();
    insta::assert_json_snapshot!("capabilities", can);

    gate.model.draw_with(|received| draw::answer(received).first_after(Duration::from_mins(1)));
    let request =
        gate.client.post(format!("{}/v1/images/generate", gate.base)).header("X-API-Key", &gate.key);
    let request = request.json(&json!({"prompt": "smoke", "count": 4})).timeout(Duration::from_millis(500));
    assert!(request.send().await.is_err());
    eventually("nothing is drawn any more", async || gate.model.open_pictures() == 0).await;
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plug_in_draws_and_fetches() {
    let gate = studio(Keeping::On).await;
    let reference =
        format!("data:image/png;base64,{}", STANDARD.encode(draw::picture("a red heart", 64, 64, 0, false)));
    let ask = json!({"prompt": "星 a yellow star", "count": 2, "size": "2K", "aspect": "画布比例", "quality": "高",
        "canvas_size": {"width": 1600, "height": 900}, "output_format": "jpg", "return": "file",
        "references": [{"label": "a", "image": reference, "source": "layer", "width": 64, "height": 64}]});
    let (status, mut body) = generate(&gate, &ask).await;
    assert_eq!(status, 200, "{body}");
    let data = body["data"].as_array().unwrap().clone();
    assert_eq!(data.len(), 2);
    for picture in &data {
        let url = picture["url"].as_str().unwrap();
        assert!(url.starts_with(&format!("{}/v1/images/", gate.base)), "{url}");
        let response = gate.client.get(url).header("X-API-Key", &gate.key).send().await.unwrap();
        let headers = response.headers().clone();
        assert_eq!(
            (headers["content-type"].to_str().unwrap(), headers["cache-control"].to_str().unwrap()),
            ("image/jpeg", "no-store")
        );
        assert_eq!(headers["x-content-type-options"], "nosniff");
        let bytes = response.bytes().await.unwrap();
        assert!(bytes.starts_with(&[0xff, 0xd8, 0xff]));
        let head = gate.client.head(url).bearer_auth(&gate.key).send().await.unwrap();
        assert_eq!(head.headers()["content-length"].to_str().unwrap(), bytes.len().to_string());
        assert_eq!(head.bytes().await.unwrap().len(), 0);
    }
    // What the caller has here, and has no more.
    let listed: Value = gate.get("/v1/images").send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    let url = data[0]["url"].as_str().unwrap();
    for expected in [200, 404] {
        let status = gate.client.delete(url).bearer_auth(&gate.key).send().await.unwrap().status();
        assert_eq!(status.as_u16(), expected);
    }
    assert_eq!(gate.client.get(url).bearer_auth(&gate.key).send().await.unwrap().status().as_u16(), 404);
    // The whole answer, without what differs.
    let redact = |picture: &mut Value| {
        picture["id"] = json!("ID");
        picture["url"] = json!("URL");
    };
    redact(&mut body);
    body["data"].as_array_mut().unwrap().iter_mut().for_each(redact);
    insta::assert_json_snapshot!("plugin_picture", body);
    gate.finish().await;
}

/// Nothing is kept: the answer carries its pictures itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_keeps_nothing_carries_its_pictures() {
    let gate = studio(Keeping::Off).await;
    let (status, body) = generate(&gate, &json!({"prompt": "a star"})).await;
    assert_eq!(status, 200);
    let url = body["data"][0]["url"].as_str().unwrap();
    let bytes = STANDARD.decode(url.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
    assert!(bytes.starts_with(b"\x89PNG"));
    assert!(!gate.dir().join("shelf").exists());
    gate.finish().await;
}

/// Fault 1.3.1: paths. An id is looked up and never a part of a path; and only its owner has it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_by_path_and_nothing_by_others() {
    let gate = studio(Keeping::On).await;
    let (_, body) = generate(&gate, &json!({"prompt": "mine"})).await;
    let id = body["data"][0]["id"].as_str().unwrap().to_owned();
    let other =
        gate.store.create("other", &portcullis_access::Grant::default(), jiff::Timestamp::now()).unwrap();
    let other = secrecy::ExposeSecret::expose_secret(&other.secret).to_owned();
    std::fs::write(gate.dir().join("secret.png"), b"\x89PNG\r\n\x1a\nsecret").unwrap();
    for path in
        ["..%2f..%2fsecret.png", "..%2fsecret", "%2e%2e/secret.png", "1", "..", "%00", &id.to_uppercase()]
    {
        let response = gate.get(&format!("/v1/images/{path}/file")).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 404, "{path}");
        assert!(!response.text().await.unwrap().contains("secret.png\u{0}"));
    }
    let url = format!("{}/v1/images/{id}/file", gate.base);
    eventually("the new key is known", async || {
        gate.client
            .get(format!("{}/v1/models", gate.base))
            .bearer_auth(&other)
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
    })
    .await;
    assert_eq!(gate.client.get(&url).bearer_auth(&other).send().await.unwrap().status().as_u16(), 404);
    assert_eq!(gate.client.delete(&url).bearer_auth(&other).send().await.unwrap().status().as_u16(), 404);
    assert_eq!(gate.client.get(&url).send().await.unwrap().status().as_u16(), 401);
    assert_eq!(gate.client.get(&url).bearer_auth(&gate.key).send().await.unwrap().status().as_u16(), 200);
    gate.finish().await;
}

/// Faults 1.3.3 and 1.3.4: no stretching; no page of a browser draws; no Host of a request stands in an answer.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stretched_and_no_page_draws() {
    let gate = studio(Keeping::On).await;
    gate.model.enqueue_picture(Answer::picture(&draw::picture("x", 64, 48, 0, false)));
    let (status, body) = generate(&gate, &json!({"prompt": "p", "size": "1024x1024"})).await;
    let data = &body["data"][0];
    assert_eq!(
        (
            status,
            data["requested_size"].as_str(),
            data["resolved_size"].as_str(),
            data["size_match"].as_str()
        ),
        (200, Some("1024x1024"), Some("64x48"), Some("no"))
    );

    let drawn = gate.model.picture_requests().len();
    let post = || gate.client.post(format!("{}/v1/images/generate", gate.base));
    // What a page can send without asking: no key, or a key and a type that needs no leave.
    let plain = post()
        .header("Origin", "http://evil.example")
        .header("content-type", "text/plain")
        .body("{\"prompt\":\"p\"}");
    let response = plain.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 401);
    assert!(response.headers().get("access-control-allow-origin").is_none());
    let plain = post().bearer_auth(&gate.key).header("content-type", "text/plain").body("{\"prompt\":\"p\"}");
    assert_eq!(plain.send().await.unwrap().status().as_u16(), 415);
    assert_eq!(gate.model.picture_requests().len(), drawn);

    let response = post()
        .header("Host", "evil.example")
        .bearer_auth(&gate.key)
        .json(&json!({"prompt": "p"}))
        .send()
        .await
        .unwrap();
    assert!(!response.text().await.unwrap().contains("evil.example"));
    gate.finish().await;
}

/// The codes of the contract.
#[tokio::test(flavor = "multi_thread")]
async fn failures_have_the_contracts_codes() {
    let gate = studio(Keeping::On).await;
    let error = |body: &Value| body["error"]["code"].as_str().unwrap_or_default().to_owned();
    let (status, body) = generate(&gate, &json!({"prompt": " "})).await;
    assert_eq!((status, error(&body).as_str()), (400, "missing_prompt"));
    gate.model.enqueue(Answer::text(["No."]));
    let (status, body) = generate(&gate, &json!({"prompt": "p"})).await;
    assert_eq!((status, error(&body).as_str()), (502, "codex_no_image"));
    let response = gate
        .client
        .post(format!("{}/v1/images/generate", gate.base))
        .header("X-API-Key", "wrong")
        .json(&json!({}));
    let response = response.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 401);
    assert_eq!(error(&response.json().await.unwrap()), "unauthorized");
    let request = gate.client.post(format!("{}/v1/images/generate", gate.base)).bearer_auth(&gate.key);
    let request = request.header("content-type", "application/json").body("{");
    assert_eq!(error(&request.send().await.unwrap().json().await.unwrap()), "invalid_json");
    assert!(gate.model.wait_for_requests(1, PATIENCE).await.is_ok());
    gate.finish().await;
}

/// A model that declines one prompt, behind a service that forbids another.
async fn choosy() -> TestGate {
    let gate = studio(Keeping::Off).await;
    gate.model.respond_with(|received| match received.last_user_text() {
        Some("decline") => Answer::text(["I would rather not."]),
        _ => demo::answer(received),
    });
    gate.model.draw_with(|received| {
        if received.body["prompt"] == "forbidden" {
            let error = json!({"message": "rejected", "type": "image_generation_user_error", "code": "moderation_blocked", "param": null});
            return Answer::status(400, json!({"error": error}));
        }
        draw::answer(received).first_after(Duration::ZERO)
    });
    gate
}

async fn sdk(script: &str, scenario: &str, drawn: usize) {
    let gate = choosy().await;
    run_script(script, &gate, scenario).await;
    assert_eq!(gate.model.picture_requests().len(), drawn, "no picture is asked for twice");
    gate.finish().await;
}

macro_rules! sdks {
    ($($name:ident $script:literal $scenario:literal $drawn:literal;)+) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            sdk($script, $scenario, $drawn).await;
        }
    )+};
}

sdks! {
    python_generate "python/images_sdk.py" "generate" 2;
    python_edit "python/images_sdk.py" "edit" 2;
    python_stream "python/images_sdk.py" "stream" 3;
    python_refused "python/images_sdk.py" "refused" 1;
    node_generate "node/images_sdk.mjs" "generate" 2;
    node_edit "node/images_sdk.mjs" "edit" 2;
    node_stream "node/images_sdk.mjs" "stream" 3;
    node_refused "node/images_sdk.mjs" "refused" 1;
}

/// What other clients put on the wire, byte for byte where it matters.
#[tokio::test(flavor = "multi_thread")]
async fn other_clients_forms() {
    let gate = studio(Keeping::Off).await;
    let png = draw::picture("a red heart", 64, 64, 0, false);
    let url = format!("data:image/png;base64,{}", STANDARD.encode(&png));
    let json = |path: &str, body: Value| {
        gate.client.post(format!("{}{path}", gate.base)).bearer_auth(&gate.key).json(&body)
    };
    let form = |parts: &[(&str, Option<&[u8]>, &str)]| {
        let mut body = Vec::new();
        for (name, file, text) in parts {
            let file_name =
                if file.is_some() { "; filename=\"image.png\"\r\nContent-Type: image/png" } else { "" };
            body.extend(
                format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"{file_name}\r\n\r\n").bytes(),
            );
            body.extend(file.unwrap_or(text.as_bytes()));
            body.extend(b"\r\n");
        }
        body.extend(b"--B--\r\n");
        let request = gate.client.post(format!("{}/v1/images/edits", gate.base)).bearer_auth(&gate.key);
        request.header("content-type", "multipart/form-data; boundary=B").body(body)
    };
    let file = Some(png.as_slice());
    let requests = [
        (
            "Open WebUI",
            json(
                "/v1/images/generations",
                json!({"model": "gpt-image-1", "prompt": "p", "n": 1, "size": "1024x1024", "response_format": "b64_json"}),
            ),
        ),
        (
            "Open WebUI, one picture",
            form(&[
                ("model", None, "gpt-image-1"),
                ("prompt", None, "p"),
                ("n", None, "1"),
                ("response_format", None, "b64_json"),
                ("image", file, ""),
            ]),
        ),
        (
            "Open WebUI, several",
            form(&[
                ("image[]", file, ""),
                ("image[]", file, ""),
                ("prompt", None, "p"),
                ("response_format", None, "b64_json"),
            ]),
        ),
        (
            "LibreChat",
            form(&[
                ("model", None, "gpt-image-1"),
                ("prompt", None, "p"),
                ("quality", None, "auto"),
                ("size", None, "auto"),
                ("image[]", file, ""),
            ]),
        ),
        (
            "LiteLLM",
            json(
                "/v1/images/edits",
                json!({"model": "gpt-image-1", "prompt": "p", "images": [{"image_url": url}]}),
            ),
        ),
    ];
    for (client, request) in requests {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        assert_eq!(status, 200, "{client}: {body}");
        assert!(
            STANDARD.decode(body["data"][0]["b64_json"].as_str().unwrap()).unwrap().starts_with(b"\x89PNG"),
            "{client}"
        );
    }
    gate.finish().await;
}
