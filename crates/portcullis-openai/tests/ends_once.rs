//! Whatever a turn does, what its client reads ends exactly once, and nothing follows.

use portcullis_agent::{
    AgentError, Delta, DeltaKind, ErrorKind, Item, Outcome, Reasoning, ToolCall, TurnEvent, Usage,
};
use portcullis_openai::chat::{
    ChatRequest, ChatStream, Choice, ImagePolicy, Limits, Sampling, Step, StreamHead,
};
use portcullis_openai::responses::{Ending, Event, ResponseBuilder, ResponseRequest};
use proptest::prelude::*;
use serde_json::{Value, json};

fn limits() -> Limits {
    Limits {
        messages: 9,
        text: 999,
        tools: 9,
        tool_bytes: 999,
        images: ImagePolicy { count: 1, bytes: 9, remote: false },
    }
}

/// Any event, in any order, outcomes in the middle included.
fn event() -> impl Strategy<Value = TurnEvent> {
    let item = prop_oneof![Just("a"), Just("b")];
    let text = "[ab{}\"]{0,4}";
    let call = |id: &str| ToolCall { id: id.into(), name: "f".to_owned(), arguments: "{}".to_owned() };
    prop_oneof![
        6 => (item.clone(), text).prop_map(|(item, text)| {
            TurnEvent::Delta(Delta { item: item.into(), kind: DeltaKind::Message, text })
        }),
        2 => (item.clone(), text, 0u32..3).prop_map(|(item, text, part)| {
            TurnEvent::Delta(Delta { item: item.into(), kind: DeltaKind::ReasoningSummary { part }, text })
        }),
        1 => (item.clone(), text, proptest::option::of("no")).prop_map(|(item, text, refusal)| {
            TurnEvent::ItemCompleted(Item::Message { id: item.into(), text, refusal })
        }),
        1 => item.prop_map(|item| {
            TurnEvent::ItemCompleted(Item::Reasoning(Reasoning { id: item.into(), summary: vec![], encrypted: None }))
        }),
        1 => Just(TurnEvent::StepCompleted(Usage { input: 1, ..Usage::default() })),
        1 => Just(TurnEvent::ToolCalls(vec![call("c1"), call("c2")])),
        1 => Just(TurnEvent::Ended(Outcome::Completed)),
        1 => Just(TurnEvent::Ended(Outcome::Interrupted)),
        1 => prop_oneof![Just(ErrorKind::Upstream), Just(ErrorKind::OutputLimit)]
            .prop_map(|kind| TurnEvent::Ended(Outcome::Failed(AgentError::new(kind)))),
    ]
}

/// Rules that make an answer end early, or fail at its end.
fn rules() -> impl Strategy<Value = (Option<&'static str>, Option<u64>, bool, bool)> {
    (proptest::option::of(Just("ab")), proptest::option::of(1u64..5), any::<bool>(), any::<bool>())
}

proptest! {
    #[test]
    fn a_chat_stream_ends_once(
        events in proptest::collection::vec(event(), 0..25),
        (stop, most, json_object, parallel) in rules(),
    ) {
        let messages = json!([{"role": "user", "content": "json"}]);
        let mut body = json!({"model": "m", "messages": messages, "parallel_tool_calls": parallel});
        if let Some(stop) = stop { body["stop"] = json!(stop) }
        if let Some(most) = most { body["max_tokens"] = json!(most) }
        if json_object { body["response_format"] = json!({"type": "json_object"}) }
        let request = ChatRequest::parse(&body, &limits(), Sampling::Reject).unwrap();
        let mut choice = Choice::new(&request);
        let head = StreamHead {
            id: "i".into(), created: 0, model: "m".into(), include_usage: true, legacy_functions: false,
        };
        let mut stream = ChatStream::new(head, 1);
        let mut out = Vec::new();
        let mut steps = Vec::new();
        for event in events {
            choice.on(event, &mut |step| steps.push(step));
        }
        choice.broke_off(&mut |step| steps.push(step));
        for step in &steps {
            match step {
                Step::Fail(_) => stream.fail(&json!({"error": {}}), &mut out),
                step => stream.on(0, step, &mut out),
            }
            stream.finish(choice.usage(), &mut out);
        }
        let text = String::from_utf8(out).unwrap();
        let events: Vec<&str> = text.split("\n\n").filter(|e| !e.is_empty()).collect();
        let is_end = |e: &&&str| **e == "data: [DONE]" || e.starts_with("data: {\"error\"");
        prop_assert_eq!(events.iter().filter(is_end).count(), 1, "{}", text);
        prop_assert!(is_end(&events.last().unwrap()), "{}", text);
        let reasons = text.matches("\"finish_reason\":\"").count();
        prop_assert_eq!(reasons, usize::from(text.ends_with("data: [DONE]\n\n")), "{}", text);
    }

    #[test]
    fn a_response_ends_once_and_its_items_are_whole(
        events in proptest::collection::vec(event(), 0..25),
        (_, most, json_object, parallel) in rules(),
    ) {
        let mut body = json!({"model": "m", "input": "json", "parallel_tool_calls": parallel});
        if let Some(most) = most { body["max_output_tokens"] = json!(most) }
        if json_object { body["text"] = json!({"format": {"type": "json_object"}}) }
        let mut ids = |prefix: &str| format!("{prefix}_1");
        let request = ResponseRequest::parse(&body, &limits(), Sampling::Reject, &mut ids).unwrap();
        let mut builder = ResponseBuilder::new(&request, "resp_1", 0, "m");
        let mut seen: Vec<Event> = Vec::new();
        builder.begin(&mut |event| seen.push(event));
        let mut ending = None;
        for event in events {
            ending = builder.on(event, &mut |event| seen.push(event));
            if ending.is_some() { break }
        }
        if !matches!(ending, Some(Ending::Done)) {
            builder.fail("c", "m", &mut |event| seen.push(event));
        }
        let numbers: Vec<u64> = seen.iter().map(|event| event.sequence).collect();
        prop_assert_eq!(&numbers, &(0..seen.len() as u64).collect::<Vec<_>>());
        let is_end = |name: &str| ["response.completed", "response.failed", "response.incomplete"].contains(&name);
        prop_assert_eq!(seen.iter().filter(|event| is_end(event.name)).count(), 1);
        let last = seen.last().unwrap();
        prop_assert!(is_end(last.name));
        // Every item that was begun was finished, in its place, and stands so in the response.
        let of = |name: &str| -> Vec<&Event> { seen.iter().filter(|event| event.name == name).collect() };
        let (added, done) = (of("response.output_item.added"), of("response.output_item.done"));
        let place = |e: &&Event| e.data["output_index"].as_u64().unwrap();
        let expected: Vec<u64> = (0..done.len() as u64).collect();
        prop_assert_eq!(added.iter().map(place).collect::<Vec<_>>(), expected.clone());
        prop_assert_eq!(done.iter().map(place).collect::<Vec<_>>(), expected);
        let items: Vec<Value> = done.iter().map(|event| event.data["item"].clone()).collect();
        prop_assert_eq!(&last.data["response"]["output"], &Value::Array(items));
    }
}
