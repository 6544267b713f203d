//! One request, and whether it ended as a request must.

use std::time::Duration;

use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::plan::{Asked, Kind};
use crate::http::{Address, Connection};

/// How a request ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// With its own whole answer.
    Right,
    /// With an error that says what it is: status and code.
    Error(String),
    /// Its client left.
    Left,
    /// No connection could be made: the machine's queue was full.
    NotLetIn,
    /// In any other way.
    Wrong(String),
}

/// Nothing may take longer: the deadline of a turn is 25 s.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) async fn ask(address: &Address, number: u64, asked: Asked) -> Ended {
    let within = asked.leaves.unwrap_or(PATIENCE);
    let Ok(Ok(connection)) = tokio::time::timeout(PATIENCE, Connection::open(address)).await else {
        return Ended::NotLetIn;
    };
    match tokio::time::timeout(within, exchange(connection, asked)).await {
        Ok(Ok((status, body))) => judge(status, &body, asked),
        Ok(Err(broke)) => Ended::Wrong(format!("the connection broke: {broke:#}")),
        Err(_) if asked.leaves.is_some() => Ended::Left,
        Err(_) => Ended::Wrong(format!("request {number} was never answered")),
    }
}

async fn exchange(mut connection: Connection, asked: Asked) -> anyhow::Result<(u16, String)> {
    let mut prompt = asked.wish.prompt();
    if let Some(trouble) = asked.trouble {
        prompt.push_str(" trouble=");
        prompt.push_str(trouble.word());
    }
    let response = match asked.kind {
        Kind::Chat => connection.post(&prompt, false).await?,
        Kind::ChatStream => connection.post(&prompt, true).await?,
        Kind::Response => {
            let body = json!({"model": "gpt-5.5", "input": prompt, "store": true});
            connection.send("/v1/responses", &body).await?
        }
    };
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec())?))
}

fn judge(status: u16, body: &str, asked: Asked) -> Ended {
    let said = match asked.kind {
        _ if status != 200 => Err(error_of(serde_json::from_str(body).ok().as_ref())),
        Kind::Chat => whole(body, "/choices/0/message/content"),
        Kind::ChatStream => streamed(body),
        Kind::Response => response(body),
    };
    match said {
        Ok(text) if text == asked.wish.text() => Ended::Right,
        Ok(text) => {
            Ended::Wrong(format!("status {status}, and the answer is another's or broken: {text:.300}"))
        }
        Err(Some(code)) if code == "internal_error" => Ended::Wrong("an internal error".to_owned()),
        Err(Some(code)) => Ended::Error(format!("{status} {code}")),
        Err(None) => Ended::Wrong(format!("status {status}, neither an answer nor an error: {body:.300}")),
    }
}

type Said = Result<String, Option<String>>;

fn whole(body: &str, place: &str) -> Said {
    let body: Value = serde_json::from_str(body).map_err(|_not_json| None)?;
    let text = body.pointer(place).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| error_of(Some(&body)))
}

/// A stream ends with `[DONE]`, or with an error and without it.
fn streamed(body: &str) -> Said {
    let mut text = String::new();
    let mut done = false;
    for data in body.lines().filter_map(|line| line.strip_prefix("data: ")) {
        if data == "[DONE]" {
            done = true;
            continue;
        }
        let event: Value = serde_json::from_str(data).map_err(|_not_json| None)?;
        if event.get("error").is_some() {
            return Err(error_of(Some(&event)));
        }
        text.push_str(event.pointer("/choices/0/delta/content").and_then(Value::as_str).unwrap_or_default());
    }
    if done { Ok(text) } else { Err(None) }
}

/// A response that failed is a response, and says why.
fn response(body: &str) -> Said {
    let body: Value = serde_json::from_str(body).map_err(|_not_json| None)?;
    if body["status"] != "completed" {
        return Err(error_of(Some(&body)));
    }
    let output = body["output"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = output.iter().filter_map(|item| item.pointer("/content/0/text")?.as_str());
    Ok(text.collect())
}

fn error_of(body: Option<&Value>) -> Option<String> {
    let error = body?.get("error")?;
    error["message"].as_str().filter(|message| !message.is_empty())?;
    let code = error["code"].as_str().or_else(|| error["type"].as_str());
    code.map(str::to_owned)
}
