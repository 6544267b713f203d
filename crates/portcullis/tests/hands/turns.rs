//! What hands are for, and that nothing of one turn is left for the next.

use std::time::Duration;

use camino::Utf8Path;
use portcullis_agent::{
    ActionStatus, Agent as _, ApprovalPolicy, Budget, ErrorKind, Item, Outcome, Profile, TurnBounds,
    TurnEvent,
};
use portcullis_confine::Level;
use portcullis_lab::Answer;
use serde_json::json;

use crate::support::{Bench, PATIENCE, call, request, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_model_works_in_a_workspace_of_its_principal() {
    let bench = Bench::start(Level::Namespaces).await;
    let patch = "*** Begin Patch\n*** Add File: notes.txt\n+hello\n*** End Patch\n";
    let (told, events) = bench
        .play(
            "k1:one",
            Profile::Work,
            &[("apply_patch", json!(patch)), run("pwd; cat notes.txt; id -u; ls -d $PWD/*")],
        )
        .await;
    assert!(told[0].contains("Success") && told[1].contains("/work\nhello\n"), "{told:?}");
    assert!(!told[1].contains("\n0\n"), "commands run as root: {told:?}");
    let done: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            TurnEvent::ItemCompleted(Item::Command(command)) => Some(("command", command.status)),
            TurnEvent::ItemCompleted(Item::FileChange(change)) => Some(("change", change.status)),
            _ => None,
        })
        .collect();
    assert_eq!(done, [("change", ActionStatus::Completed), ("command", ActionStatus::Completed)]);

    // It is still there for the next turn, to be read by `read`, and by nobody else.
    let (told, _) =
        bench.play("k1:one", Profile::Read, &[run("cat notes.txt; echo more >> notes.txt")]).await;
    assert!(told[0].contains("hello") && told[0].contains("Read-only file system"), "{told:?}");
    let (told, _) =
        bench.play("k2:two", Profile::Work, &[run("ls -A; find / -name notes.txt 2>/dev/null")]).await;
    assert!(!told[0].contains("notes.txt"), "{told:?}");
    bench.finish().await;
}

/// What a turn leaves behind is gone with it: processes at once, `/tmp` with the cell, and what it wrote for the agent
/// itself is not read.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_planted_reaches_the_next_turn() {
    for level in [Level::Namespaces, Level::Landlock] {
        let bench = Bench::start(level).await;
        let plant = "mkdir -p .codex .git/hooks; echo 'PLANTED-TEXT' | tee AGENTS.md AGENTS.override.md > .codex/AGENTS.md; \
             printf 'model_instructions_file=\"%s/AGENTS.md\"\\n[mcp_servers.x]\\ncommand=\"/usr/bin/touch\"\\nargs=[\"%s/RAN\"]\\n' $PWD $PWD > .codex/config.toml; \
             cp .codex/config.toml /tmp/config.toml; printf '[filter \"x\"]\\nclean = touch %s/RAN\\n' $PWD > .git/config; \
             echo '* filter=x' > .gitattributes; touch -t 209901010000 .git/HEAD; \
             setsid -f sleep 4242; (setsid sh -c 'sleep 4243; sleep 4243' &) ; sleep 4244 & echo planted";
        let (told, _) = bench.play("k1:one", Profile::Work, &[run(plant)]).await;
        assert!(told[0].contains("planted"), "{told:?}");
        until("the daemons are gone", || !["4242", "4243", "4244"].iter().any(|mark| sleeps(mark))).await;

        let before = bench.model.requests().len();
        let (told, _) = bench
            .play(
                "k1:one",
                Profile::Work,
                &[run("ls -A /tmp; ls -A | sort; ps ax 2>/dev/null | grep -c '[s]leep'")],
            )
            .await;
        assert!(!told[0].contains("RAN") && !told[0].contains("config.toml\n.agents"), "{told:?}");
        assert!(told[0].contains("AGENTS.md"), "the workspace itself stays: {told:?}");
        for request in &bench.model.requests()[before..] {
            let first = request.input().iter().filter(|item| item["type"] == "message");
            let text: String = first.map(ToString::to_string).collect();
            assert!(!text.contains("PLANTED-TEXT"), "{level:?}: planted instructions were read");
        }
        bench.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_is_dropped_takes_its_processes_with_it() {
    let bench = Bench::start(Level::Namespaces).await;
    let (tool, arguments) = run("sleep 5151; echo never");
    bench.model.enqueue(call("call_0", tool, &arguments));
    let turn = bench.start_turn("k1:one", Profile::Work).await;
    until("the command runs", || sleeps("5151")).await;
    drop(turn);
    until("the command is gone", || !sleeps("5151")).await;
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_that_grows_too_large_ends_its_turn() {
    let bench = Bench::with(Level::Namespaces, 8 << 20).await;
    let (tool, arguments) = run("while head -c 1000000 /dev/zero >> big.$((n=n+1)); do sleep 0.05; done");
    bench.model.enqueue(call("call_0", tool, &arguments));
    let mut turn = bench.start_turn("k1:one", Profile::Work).await;
    let mut last = None;
    while let Some(event) = turn.next().await {
        last = Some(event);
    }
    let kind = match last {
        Some(TurnEvent::Ended(Outcome::Failed(error))) => error.kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind, ErrorKind::OverBudget { what: "disk" });
    assert!(bench.workspaces.list().unwrap()[0].size.is_err());
    // Another principal's is another one.
    bench.model.enqueue(Answer::text(["fine"]));
    let mut turn = bench.start_turn("k2:two", Profile::Work).await;
    while let Some(event) = turn.next().await {
        last = Some(event);
        if let Some(TurnEvent::Ended(outcome)) = &last {
            assert_eq!(outcome.word(), "completed");
        }
    }
    drop(turn);
    bench.finish().await;
}

/// With `ask` every command waits for the operator, and does not run without a yes.
#[tokio::test(flavor = "multi_thread")]
async fn the_operator_is_asked() {
    let bench = Bench::asking(Level::Namespaces, 8 << 20, ApprovalPolicy::Ask).await;
    for (yes, expected) in [(true, "did it"), (false, "rejected")] {
        let operator = async {
            loop {
                if let Some(waiting) = bench.approvals.waiting().first() {
                    assert!(waiting.question.about.contains("did it"), "{waiting:?}");
                    assert_eq!(waiting.question.principal.as_str(), "k1:one");
                    return bench.approvals.take(waiting.id.as_str()).unwrap().answer(yes);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let calls = [run("touch made && echo did it")];
        let ((told, _), heard) = tokio::join!(bench.play("k1:one", Profile::Work, &calls), operator);
        assert!(heard && told[0].contains(expected), "{yes}: {told:?}");
    }
    bench.finish().await;
}

/// A model that never stops is stopped, and its command with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_loop_is_ended_by_its_budget() {
    let bench = Bench::start(Level::Namespaces).await;
    bench.model.respond_with(|received| {
        let (tool, arguments) = run("true");
        call(&format!("call_{}", received.input().len()), tool, &arguments)
    });
    let turn = Budget::new(
        bench.codex(),
        tokio::sync::watch::Sender::new(TurnBounds { steps: 5, tokens: u64::MAX }).subscribe(),
    )
    .start_turn(request("k1:one", Profile::Work))
    .await;
    let mut turn = turn.unwrap();
    let mut last = None;
    while let Some(event) = turn.next().await {
        last = Some(event);
    }
    assert!(
        matches!(&last, Some(TurnEvent::Ended(Outcome::Failed(error))) if error.kind == ErrorKind::OverBudget { what: "steps" }),
        "{last:?}"
    );
    drop(turn);
    let asked = bench.model.requests().len();
    assert!((6..12).contains(&asked), "the model was asked {asked} times");
    bench.finish().await;
}

/// Whether a `sleep` with this argument runs anywhere on the machine.
fn sleeps(mark: &str) -> bool {
    let processes = Utf8Path::new("/proc").read_dir_utf8().unwrap().flatten();
    processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok()).any(|line| {
        let words: Vec<_> = line.split(|byte| *byte == 0).collect();
        words.first().is_some_and(|name| name.ends_with(b"sleep")) && words.get(1) == Some(&mark.as_bytes())
    })
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "it did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
