//! What the notifications of a turn mean that is to make one picture: a state machine without I/O.
//!
//! The turn is over for its reader as soon as the picture is there, so that the model is not asked again. A picture
//! that failed says so in its item, and why only in the function's raw output (measured on 0.169.0).

use camino::Utf8PathBuf;
use portcullis_agent::{AgentError, ErrorKind, Item, Outcome, Picture, TurnEvent};
use portcullis_app_server_protocol::{
    ImageGeneration, Notification, ResponseItem, ResultBytes, ThreadItem, TurnStatus,
};

use crate::picture_errors::picture_error;

/// As many of the model's or the service's own words as a caller is told, in characters.
const MOST_WORDS: usize = 2000;

/// A turn that is to make one picture.
#[derive(Debug, Default)]
pub(crate) struct PictureState {
    /// The references that it must be made from; none others may be.
    references: Vec<Utf8PathBuf>,
    /// The call that failed, and of which the reason has not come.
    failed: Option<String>,
    /// What the model, or the function, said last.
    said: Option<String>,
}

impl PictureState {
    /// A turn that draws from exactly these files.
    pub(crate) fn new(references: Vec<Utf8PathBuf>) -> Self {
        Self { references, ..Self::default() }
    }

    /// What a notification means for the picture; gives back those that mean nothing for it.
    pub(crate) fn on(
        &mut self,
        notification: Notification,
        emit: &mut dyn FnMut(TurnEvent),
    ) -> Option<Notification> {
        match notification {
            Notification::ItemCompleted(completed) => match completed.item {
                ThreadItem::ImageGeneration(image) => self.drawn(image, emit),
                ThreadItem::AgentMessage { text, .. } => self.hear(&text),
                _ => {}
            },
            Notification::RawItemCompleted(raw) => {
                if let ResponseItem::FunctionCallOutput(output) = raw.item
                    && let Some(text) = output.output
                {
                    if self.failed.is_some() && self.failed == output.call_id {
                        emit(failed(picture_error(&text)));
                    }
                    self.hear(&text);
                }
            }
            // Nobody reads along: the words are told if there is no picture.
            Notification::AgentMessageDelta(_) | Notification::ReasoningSummaryDelta(_) => {}
            Notification::TurnCompleted(completed) if completed.turn.status == "completed" => {
                emit(failed(self.nothing(&completed.turn)));
            }
            other => return Some(other),
        }
        None
    }

    fn drawn(&mut self, image: ImageGeneration, emit: &mut dyn FnMut(TurnEvent)) {
        let bytes = match image.result {
            ResultBytes::Bytes(bytes) => bytes,
            ResultBytes::Malformed => {
                let why = "the picture's text is not base64";
                return emit(failed(AgentError::new(ErrorKind::Upstream).because(why)));
            }
            ResultBytes::None => {
                if image.failure.is_some_and(|failure| failure.kind == "usageLimitExceeded") {
                    return emit(failed(ErrorKind::UsageLimit.into()));
                }
                self.failed = Some(image.id);
                return;
            }
        };
        let read: Vec<_> =
            image.input_images.into_iter().flatten().map(|input| input.path.unwrap_or_default()).collect();
        if let Some(why) = self.other_references(&read) {
            return emit(failed(ErrorKind::NoPicture { said: Some(why.to_owned()) }.into()));
        }
        emit(TurnEvent::ItemCompleted(Item::Picture(Picture {
            id: image.id.into(),
            bytes,
            revised_prompt: image.revised_prompt,
            transparent: image.transparent_background,
            cost: None,
        })));
        emit(TurnEvent::Ended(Outcome::Completed));
    }

    /// Whether it was made from other files than the caller's, or without some of them: it is no answer then.
    fn other_references(&self, read: &[String]) -> Option<&'static str> {
        let is_ours = |path: &String| self.references.iter().any(|ours| ours == path);
        if !read.iter().all(is_ours) {
            return Some("(a picture was made from files that are not this request's, and is not delivered)");
        }
        let all = self.references.iter().all(|ours| read.iter().any(|path| ours == path));
        (!all)
            .then_some("(a picture was made without all of the request's own pictures, and is not delivered)")
    }

    fn hear(&mut self, text: &str) {
        if !text.trim().is_empty() {
            self.said = Some(text.chars().take(MOST_WORDS).collect());
        }
    }

    /// The turn ended by itself and there is no picture.
    fn nothing(&mut self, _turn: &TurnStatus) -> AgentError {
        match self.failed.take() {
            Some(_) => AgentError::new(ErrorKind::Upstream).because("the picture failed without a reason"),
            None => ErrorKind::NoPicture { said: self.said.take() }.into(),
        }
    }
}

fn failed(error: AgentError) -> TurnEvent {
    TurnEvent::Ended(Outcome::Failed(error))
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    use super::*;

    /// Plays items and says what came of them.
    fn play(references: &[&str], lines: &[(&str, Value)]) -> Vec<String> {
        let mut state = PictureState::new(references.iter().map(|path| (*path).into()).collect());
        let mut events = Vec::new();
        for (method, member) in lines {
            let mut params = json!({"threadId": "t", "turnId": "u"});
            let name = if *method == "turn/completed" { "turn" } else { "item" };
            params[name] = member.clone();
            let params: Box<RawValue> = serde_json::from_str(&params.to_string()).unwrap();
            let notification = Notification::parse(method, &params).unwrap();
            let passed = state.on(notification, &mut |event| {
                events.push(match event {
                    TurnEvent::Ended(Outcome::Failed(error)) => format!("{:?}", error.kind),
                    other => format!("{other:?}"),
                });
            });
            assert!(passed.is_none(), "{method}");
        }
        events
    }

    fn image(status: &str, result: &str, inputs: &[&str]) -> (&'static str, Value) {
        let inputs: Vec<_> = inputs.iter().map(|path| json!({"path": path, "sha256": "x"})).collect();
        let item = json!({"type": "imageGeneration", "id": "c", "status": status, "result": result,
            "revisedPrompt": "p", "inputImages": inputs});
        ("item/completed", item)
    }

    fn output(call: &str, text: &str) -> (&'static str, Value) {
        let item = json!({"type": "function_call_output", "call_id": call, "output": text});
        ("rawResponseItem/completed", item)
    }

    fn words(text: &str) -> (&'static str, Value) {
        ("item/completed", json!({"type": "agentMessage", "id": "m", "text": text}))
    }

    fn end() -> (&'static str, Value) {
        ("turn/completed", json!({"id": "u", "status": "completed", "error": null}))
    }

    #[test]
    fn a_picture_ends_the_turn_whatever_its_status() {
        for status in ["completed", "generating"] {
            let events = play(&["/r/0.png"], &[image(status, "aGk=", &["/r/0.png"])]);
            assert_eq!(events, ["ItemCompleted(Picture(Picture(c, 2 bytes)))", "Ended(Completed)"]);
        }
    }

    #[test]
    fn a_failure_has_its_reason_and_a_talk_its_words() {
        let refused = r#"image generation failed: http 400 Bad Request: Some("{\"error\":{\"message\":\"no\",\"type\":\"image_generation_user_error\",\"code\":\"moderation_blocked\"}}")"#;
        let events = play(&[], &[image("failed", "", &[]), output("other", "x"), output("c", refused)]);
        assert_eq!(events.len(), 1);
        assert!(
            events[0].contains("moderation_blocked") && events[0].contains("image_generation_user_error")
        );
        assert_eq!(
            play(&[], &[words("I would rather not."), end()]),
            [r#"NoPicture { said: Some("I would rather not.") }"#]
        );
        // The function's own words, where the model had none.
        let events = play(&[], &[output("c", "unknown field `size`"), end()]);
        assert_eq!(events, [r#"NoPicture { said: Some("unknown field `size`") }"#]);
        assert_eq!(play(&[], &[end()]), ["NoPicture { said: None }"]);
        assert_eq!(play(&[], &[image("failed", "", &[]), end()]), ["Upstream"]);
        assert_eq!(play(&[], &[image("completed", "!!", &[])]), ["Upstream"]);
    }

    #[test]
    fn a_picture_of_other_files_is_not_delivered() {
        for inputs in [&["/r/0.png", "/other/0.png"][..], &["/other/0.png"], &[]] {
            let events = play(&["/r/0.png"], &[image("completed", "aGk=", inputs)]);
            assert!(events.len() == 1 && events[0].contains("not delivered"), "{events:?}");
        }
    }
}
