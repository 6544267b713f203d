//! The log as a gateway uses it: turns, floods, a full disk.

use std::fmt::Write as _;
use std::future::ready;
use std::sync::Mutex;
use std::time::Duration;

use camino_tempfile::tempdir;
use portcullis_agent::testing::{self, ByHand};
use portcullis_agent::{
    ActionStatus, Agent as _, Author, ChangeKind, ChangedFile, Command, Delta, DeltaKind, ErrorKind,
    EventSender, FileChange, HistoryItem, Item, Message, Outcome, Part, Profile, TurnEvent, TurnOptions,
    TurnRequest, Usage, event_queue,
};
use portcullis_audit::{Audit, Audited, Entry, Fact, Limits, Refusal, Why};

use crate::support::{events, fact, fill, lines, verify};

/// What nobody may find in the log.
const PROMPT: &str = "my-secret-prompt";
const ANSWER: &str = "my-secret-answer";

fn request(profile: Profile) -> TurnRequest {
    let options = TurnOptions::new("gpt".into(), Duration::from_secs(9));
    let message = Message { author: Author::User, parts: vec![Part::Text(PROMPT.to_owned())] };
    let history = vec![HistoryItem::Message(message)];
    TurnRequest { history, ..TurnRequest::new("req_1".into(), "k1:app".into(), profile, options) }
}

/// Begins one turn, whose events the test sends; refuses more.
fn agent(audit: &Audit) -> (Audited<ByHand>, EventSender) {
    let (sender, receiver) = event_queue(1 << 20);
    let receiver = Mutex::new(Some(receiver));
    let by_hand = ByHand::new(move |_request| {
        let receiver = receiver.lock().unwrap().take();
        ready(receiver.map(testing::turn).ok_or_else(|| ErrorKind::Busy { retry_after: None }.into()))
    });
    (Audited::new(by_hand, audit.clone()), sender)
}

fn command(line: &str) -> TurnEvent {
    TurnEvent::ItemCompleted(Item::Command(Command {
        id: "i".into(),
        line: line.to_owned(),
        cwd: "/ws".to_owned(),
        status: ActionStatus::Completed,
        exit_code: Some(0),
    }))
}

#[tokio::test]
async fn a_turn_leaves_its_facts_and_nothing_that_was_said() {
    let dir = tempdir().unwrap();
    let audit = Audit::start(dir.path(), Limits::default()).unwrap();
    let (agent, sender) = agent(&audit);
    let mut turn = agent.start_turn(request(Profile::Work)).await.unwrap();
    assert_eq!(events(dir.path()), ["turn_started"], "before the turn is given out");

    let text = ANSWER.to_owned();
    sender
        .send(TurnEvent::Delta(Delta { item: "i".into(), kind: DeltaKind::Message, text: text.clone() }))
        .unwrap();
    sender.send(TurnEvent::ItemCompleted(Item::Message { id: "i".into(), text, refusal: None })).unwrap();
    sender.send(command("curl -H 'Authorization: Bearer hunter2' http://h; cat x")).unwrap();
    let files = (0..40)
        .map(|number| ChangedFile { path: format!("src/{number}.rs"), kind: ChangeKind::Add })
        .collect();
    let change = FileChange { id: "i".into(), files, status: ActionStatus::Declined };
    sender.send(TurnEvent::ItemCompleted(Item::FileChange(change))).unwrap();
    sender.send(TurnEvent::StepCompleted(Usage { input: 5, output: 2, ..Usage::default() })).unwrap();
    sender.send(TurnEvent::StepCompleted(Usage { input: 6, output: 3, ..Usage::default() })).unwrap();
    sender.end(Outcome::Failed(ErrorKind::Timeout.into()));
    while turn.next().await.is_some() {}
    drop(turn);
    let refused = agent.start_turn(request(Profile::Chat)).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Busy { retry_after: None });
    audit.close().await;

    let mut seen = String::new();
    for line in lines(dir.path()) {
        let place =
            [&line.request, &line.thread, &line.turn].map(|id| id.as_deref().unwrap_or("-")).join(" ");
        writeln!(seen, "{} {} {place} {}", line.who, line.event, shown(&line.fields)).unwrap();
    }
    insta::assert_snapshot!(seen);
    let text = std::fs::read_to_string(dir.path().join("audit.jsonl")).unwrap();
    for secret in [PROMPT, ANSWER, "hunter2"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    verify(dir.path()).unwrap();
}

fn shown(fields: &serde_json::Map<String, serde_json::Value>) -> String {
    let mut fields = fields.clone();
    fields.remove("prev");
    if let Some(files) = fields.get_mut("files").and_then(serde_json::Value::as_array_mut) {
        assert_eq!(files.len(), 32);
        files.truncate(1);
    }
    serde_json::Value::Object(fields).to_string()
}

/// What the hands did counts, whether or not the client stayed to read it.
#[tokio::test]
async fn a_client_that_leaves_hides_nothing() {
    let dir = tempdir().unwrap();
    let audit = Audit::start(dir.path(), Limits::default()).unwrap();
    let (agent, sender) = agent(&audit);
    let turn = agent.start_turn(request(Profile::Work)).await.unwrap();
    sender.send(command("rm -r /ws/x")).unwrap();
    drop(turn);
    audit.close().await;
    assert_eq!(events(dir.path()), ["turn_started", "command_run", "turn_ended"]);
    assert_eq!(lines(dir.path())[2].fields["outcome"], "interrupted");
}

#[tokio::test]
async fn a_full_disk_stops_hands_and_lets_chat_go_on() {
    let dir = tempdir().unwrap();
    let audit = Audit::start(dir.path(), Limits::default()).unwrap();
    let full = fill(dir.path());
    let (agent, _sender) = agent(&audit);
    let refused = agent.start_turn(request(Profile::Read)).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unaudited);
    let condition = agent.readiness().await.conditions.pop().unwrap();
    assert_eq!((condition.name, condition.ok, condition.required), ("audit", false, false));
    assert!(audit.state().unwrap().failure.unwrap().contains("No space left"));
    drop(agent.start_turn(request(Profile::Chat)).await.unwrap());
    // The queue is in order: when this one has failed, those before it have.
    audit.append(fact(1)).await.unwrap_err();

    std::fs::remove_file(full).unwrap();
    audit.append(fact(1)).await.unwrap();
    audit.append(fact(2)).await.unwrap();
    assert!(agent.readiness().await.conditions.pop().unwrap().ok);
    audit.close().await;
    let lost: u64 = lines(dir.path()).iter().filter_map(|line| line.fields.get("count")?.as_u64()).sum();
    assert_eq!(lost, 2, "the chat turn's start and end: {:?}", lines(dir.path()));
    assert_eq!(audit.append(fact(3)).await.unwrap_err().to_string(), "the audit log can not be written");
}

#[tokio::test]
async fn a_flood_of_refusals_is_a_few_lines() {
    let dir = tempdir().unwrap();
    let audit = Audit::start(dir.path(), Limits::default()).unwrap();
    for number in 0..100_000 {
        audit.refused(Refusal::unauthenticated());
        if number % 1000 == 0 {
            audit.refused(Refusal::of(&"k1:app".into(), Why::Model, &format!("model-{number}")));
        }
    }
    audit.close().await;
    let lines = lines(dir.path());
    assert!(lines.len() <= 33, "{}", lines.len());
    let count = |wanted: &str| -> u64 {
        lines
            .iter()
            .filter(|line| line.fields["why"] == wanted)
            .map(|line| line.fields["count"].as_u64().unwrap())
            .sum()
    };
    assert_eq!((count("authentication"), count("model") + count("various")), (100_000, 100));
    verify(dir.path()).unwrap();
}

#[tokio::test]
async fn facts_that_do_not_fit_into_the_queue_are_counted() {
    let dir = tempdir().unwrap();
    let audit = Audit::start(dir.path(), Limits::default()).unwrap();
    // The runtime has one thread, which is here: the writer's own gets what the queue holds and no more at once.
    let lock = std::fs::File::open(dir.path().join("audit.lock")).unwrap();
    lock.lock().unwrap();
    for number in 0..4000 {
        audit.note(fact(number));
    }
    lock.unlock().unwrap();
    audit.append(Entry::of_gateway(Fact::SignedOut)).await.unwrap();
    audit.close().await;
    let lines = lines(dir.path());
    let lost: u64 = lines.iter().filter_map(|line| line.fields.get("count")?.as_u64()).sum();
    let written = lines.iter().filter(|line| line.event == "key_revoked").count() as u64;
    assert!(lost > 1000, "{lost}");
    assert_eq!(written + lost, 4000);
}

#[tokio::test]
async fn without_a_log_nothing_is_written_and_nothing_fails() {
    let audit = Audit::off();
    audit.append(fact(1)).await.unwrap();
    audit.note(fact(2));
    audit.refused(Refusal::unauthenticated());
    audit.close().await;
    assert_eq!(audit.state(), None);
}
