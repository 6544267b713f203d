//! What must survive: clients side by side, workers that die, memory over many requests.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use portcullis_agent::Agent as _;
use portcullis_codex::{Lifespan, WorkersSettings};
use portcullis_lab::Answer;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::{Options, PATIENCE, TestGate, eventually, question};

/// Every answer is its own client's: the model echoes each client's word many times, at its own pace.
#[tokio::test(flavor = "multi_thread")]
async fn clients_side_by_side_get_their_own_answers() {
    let gate = TestGate::start().await;
    gate.model.respond_with(|request| {
        let word = request.last_user_text().unwrap().to_owned();
        let number: u64 = word.trim_start_matches("word-").parse().unwrap();
        let pieces: Vec<String> = (0..8).map(|i| format!("{word}.{i} ")).collect();
        Answer::text(pieces).every(Duration::from_millis(number % 4))
    });
    let ask = async |number: usize| {
        // Staggered, so that one begins or ends in the middle of the other.
        tokio::time::sleep(Duration::from_millis((number % 5) as u64 * 3)).await;
        let word = format!("word-{number}");
        let expected = (0..8).map(|i| format!("{word}.{i} ")).collect::<Vec<_>>().concat();
        if number.is_multiple_of(2) {
            let (status, body) = gate.ask(&question(&word)).await;
            assert_eq!((status, &body["choices"][0]["message"]["content"]), (200, &json!(expected)));
        } else {
            let (status, text) = gate.stream(&question(&word)).await;
            let said: String = text
                .lines()
                .filter_map(|line| {
                    serde_json::from_str::<serde_json::Value>(line.strip_prefix("data: ")?).ok()
                })
                .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
                .collect();
            assert_eq!((status, said), (200, expected));
            assert!(text.ends_with("data: [DONE]\n\n"));
        }
    };
    // Few at once, and as many as a worker takes: Codex then falls behind with its replies, and turns speak before them.
    for (rounds, at_once) in [(60, 4), (4, 64)] {
        for round in 0..rounds {
            join_all((0..at_once).map(|number| ask(round * at_once + number))).await;
        }
    }
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_fails_its_turns_and_is_replaced() {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["Half "]).hang());
    let mut body = question("Hi");
    body["stream"] = json!(true);
    let mut streaming = gate.post(&body).send().await.unwrap();
    assert!(!streaming.chunk().await.unwrap().unwrap().is_empty());

    let pid = gate.agent.worker_pid().unwrap();
    let killed = std::time::Instant::now();
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
    let rest = streaming.text().await.unwrap();
    assert!(killed.elapsed() < Duration::from_secs(1), "the client waited {:?}", killed.elapsed());
    assert!(rest.contains("\"code\":\"worker_lost\"") && !rest.contains("[DONE]"), "{rest}");

    eventually("another worker is ready", async || {
        gate.agent.worker_pid().is_some_and(|now| now != pid) && gate.agent.ready(PATIENCE).await
    })
    .await;
    gate.model.enqueue(Answer::text(["Whole"]));
    let (status, body) = gate.ask(&question("Hi")).await;
    assert_eq!((status, &body["choices"][0]["message"]["content"]), (200, &json!("Whole")));
    let metrics = gate.get("/metrics").send().await.unwrap().text().await.unwrap();
    for line in [
        "portcullis_workers{state=\"ready\"} 1\n",
        "portcullis_worker_ends_total{worker=\"codex-1\",why=\"signal\"} 1\n",
        "portcullis_worker_resident_bytes{worker=\"codex-1\"} ",
        "portcullis_turns_total{profile=\"chat\",outcome=\"failed\",error=\"worker_lost\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    gate.finish().await;
}

/// Kills close together are nobody's crash loop: each is followed by a start at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_again_and_again_is_replaced_at_once() {
    let gate = TestGate::start().await;
    gate.model.respond_with(|_| Answer::text(["Whole"]));
    let mut refills = Vec::new();
    for _ in 0..5 {
        let pid = gate.agent.worker_pid().unwrap();
        let killed = std::time::Instant::now();
        kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
        eventually("another worker is ready", async || {
            let worker = &gate.agent.workers()[0];
            assert_ne!(worker.state, "backoff");
            worker.state == "ready" && gate.agent.worker_pid() != Some(pid)
        })
        .await;
        refills.push(killed.elapsed());
        assert_eq!(gate.ask(&question("Hi")).await.0, 200);
    }
    println!("ready again after {refills:?}");
    gate.finish().await;
}

/// A worker that is stopped answers nothing: calls meet their deadline, the worker is found out and replaced.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_hangs_is_found_out_and_replaced() {
    let gate = TestGate::start().await;
    let pid = gate.agent.worker_pid().unwrap();
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::STOP).unwrap();
    let asked = std::time::Instant::now();
    let (status, body) = gate.ask(&question("Hi")).await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("worker_lost")), "after {:?}", asked.elapsed());
    eventually("another worker is ready", async || {
        gate.agent.worker_pid().is_some_and(|now| now != pid)
            && gate.agent.ready(Duration::from_millis(10)).await
    })
    .await;
    gate.model.enqueue(Answer::text(["Whole"]));
    assert_eq!(gate.ask(&question("Hi")).await.0, 200);
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_gateway_says_so_at_once() {
    let gate = TestGate::with(Options { turns: 1, ..Options::default() }).await;
    gate.model.enqueue(Answer::text(["Half "]).hang());
    let mut body = question("Hi");
    body["stream"] = json!(true);
    let mut streaming = gate.post(&body).send().await.unwrap();
    assert!(!streaming.chunk().await.unwrap().unwrap().is_empty());
    let response = gate.post(&question("Hi")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (429, "1"));
    // The place is free when the worker says that the turn is over.
    drop(streaming);
    gate.model.respond_with(|_| Answer::text(["ok"]));
    eventually("there is room again", async || gate.ask(&question("Hi")).await.0 == 200).await;
    gate.finish().await;
}

/// Threads are let go of after use, so the worker's memory does not grow with the number of requests.
#[tokio::test(flavor = "multi_thread")]
async fn the_workers_memory_stays_flat() {
    let gate = TestGate::start().await;
    gate.model.respond_with(|_| Answer::text(["ok"]));
    let rss_mib = || {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", gate.agent.worker_pid().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    };
    let mut samples = Vec::new();
    for _ in 0..3 {
        for _ in 0..100 {
            assert_eq!(gate.ask(&question("Hi")).await.0, 200);
        }
        samples.push(rss_mib());
    }
    // Kept threads cost 1.1 MiB each: 100 of them would be 110.
    assert!(samples[2] < samples[0] + 40, "MiB after 100, 200 and 300 requests: {samples:?}");
    gate.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_running_answers_finish() {
    let gate = TestGate::start().await;
    gate.model.enqueue(Answer::text(["Half ", "whole"]).every(Duration::from_millis(300)));
    let mut body = question("Hi");
    body["stream"] = json!(true);
    let mut streaming = gate.post(&body).send().await.unwrap();
    let first = streaming.chunk().await.unwrap().unwrap();
    let (text, ()) = tokio::join!(
        async { String::from_utf8(first.to_vec()).unwrap() + &streaming.text().await.unwrap() },
        gate.finish()
    );
    assert!(text.contains("whole") && text.ends_with("data: [DONE]\n\n"), "{text}");
}

/// A client that does not read holds nobody up, and when it reads at last it has lost nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_holds_nobody_up_and_loses_nothing() {
    let gate = TestGate::start().await;
    // More than what sockets take in between.
    let piece = "x".repeat(16 * 1024);
    gate.model.enqueue(Answer::text(vec![piece; 1000]));
    let mut body = question("Hi");
    body["stream"] = json!(true);
    let slow = gate.post(&body).send().await.unwrap();
    gate.model.enqueue(Answer::text(["quick"]));
    let asked = tokio::time::timeout(Duration::from_secs(10), gate.ask(&question("And me?"))).await;
    assert_eq!(asked.expect("another client waits for the slow one").0, 200);
    // The model was read to its end though nobody reads the gateway.
    let closed = gate.model.wait_for_close(0, PATIENCE).await.unwrap();
    assert_eq!(closed.how, portcullis_lab::HowClosed::Answered);
    let text = slow.text().await.unwrap();
    let said: usize = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line.strip_prefix("data: ")?).ok())
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::len))
        .sum();
    assert_eq!(said, 16 * 1024 * 1000);
    assert!(text.ends_with("data: [DONE]\n\n"));
    gate.finish().await;
}

fn workers(count: usize, turns: u64) -> Options {
    let default = Options::default();
    let life = Lifespan { turns, ..default.workers.life };
    Options { workers: WorkersSettings { count, spares: 0, life }, ..default }
}

/// With two workers a kill ends the turns of one; the others go on, and new ones do not notice.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_fails_its_turns_and_no_others() {
    let gate = TestGate::with(workers(2, 1_000_000)).await;
    eventually("both are ready", async || gate.agent.workers().iter().all(|worker| worker.state == "ready"))
        .await;
    gate.model.respond_with(|request| match request.last_user_text() {
        Some("Slowly") => {
            Answer::text(["Half ", "whole"]).first_after(Duration::ZERO).every(Duration::from_secs(3))
        }
        _ => Answer::text(["Whole"]),
    });
    let mut body = question("Slowly");
    body["stream"] = json!(true);
    // Two streams, one in each worker.
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = gate.post(&body).send().await.unwrap();
        assert!(!stream.chunk().await.unwrap().unwrap().is_empty());
        streams.push(stream);
    }
    assert_eq!(gate.agent.workers().iter().map(|worker| worker.turns).collect::<Vec<_>>(), [1, 1]);
    let pid = gate.agent.worker_pid().unwrap();
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
    let killed = std::time::Instant::now();
    assert_eq!(gate.ask(&question("Hi")).await.0, 200, "a new turn goes to the other worker");
    assert!(killed.elapsed() < Duration::from_secs(1), "a new turn waited {:?}", killed.elapsed());
    let lost = async |stream: reqwest::Response| {
        let text = stream.text().await.unwrap();
        assert!(text.contains("\"code\":\"worker_lost\"") || text.ends_with("data: [DONE]\n\n"), "{text}");
        (text.contains("worker_lost"), killed.elapsed())
    };
    let second = streams.pop().unwrap();
    let (first, second) = tokio::join!(lost(streams.pop().unwrap()), lost(second));
    assert_ne!(first.0, second.0, "one of the two is lost");
    let lost = if first.0 { first.1 } else { second.1 };
    assert!(lost < Duration::from_secs(1), "the client waited {lost:?}");
    gate.finish().await;
}

/// A worker that has run as many turns as it may is replaced, while a turn goes on in it and others begin.
#[tokio::test(flavor = "multi_thread")]
async fn workers_are_replaced_without_a_failed_request() {
    let gate = TestGate::with(workers(1, 3)).await;
    gate.model.respond_with(|request| match request.last_user_text() {
        Some("Slowly") => Answer::text(["Half ", "whole"]).every(Duration::from_secs(6)),
        _ => Answer::text(["Whole"]),
    });
    let first = gate.agent.worker_pid().unwrap();
    let mut body = question("Slowly");
    body["stream"] = json!(true);
    let slow = gate.post(&body).send().await.unwrap();
    let mut names = BTreeSet::new();
    eventually("the first worker is replaced and serves again", async || {
        assert_eq!(gate.ask(&question("Hi")).await.0, 200);
        let workers = gate.agent.workers();
        names.extend(workers.iter().map(|worker| (worker.name.clone(), worker.state)));
        workers[0].state == "ready" && gate.agent.worker_pid() != Some(first)
    })
    .await;
    assert!(slow.text().await.unwrap().ends_with("data: [DONE]\n\n"), "a turn was cut off");
    for seen in [("codex-1", "draining"), ("codex-2", "ready")] {
        assert!(names.contains(&(seen.0.to_owned(), seen.1)), "{seen:?} is not among {names:?}");
    }
    gate.finish().await;
}
