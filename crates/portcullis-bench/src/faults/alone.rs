//! Each fault of a worker by itself: its own request ends as it must, another one in another worker does not notice, the
//! worker is replaced or goes on, and nothing is left.

use std::time::Duration;

use portcullis_lab::ModelServer;

use super::ask::{Ended, ask};
use super::plan::{Asked, Kind};
use super::{FaultOptions, Found, QUIET, end, settle};
use crate::gateway::{Gateway, Setup};
use crate::proc;
use crate::wish::{Fault, Wish};

/// The faults, and whether they are the end of the worker. Those that are told by what does not come take their
/// deadlines; they are among the others under load.
const FAULTS: [(Fault, bool); 10] = [
    (Fault::BadUtf8, true),
    (Fault::NotJson, true),
    (Fault::EndlessLine, true),
    (Fault::Close, true),
    (Fault::Deaf, true),
    (Fault::Die, true),
    (Fault::Unknown, false),
    (Fault::Flood, false),
    (Fault::ReplyMidway, false),
    (Fault::ReplyLast, false),
];

pub(super) async fn run(options: &FaultOptions, found: &mut Found) -> anyhow::Result<()> {
    // The scripted workers do not ask it.
    let model = ModelServer::start().await?;
    for (fault, is_the_end) in FAULTS {
        found.lines.push(format!("## {fault:?}"));
        one(options, &model, fault, is_the_end, found).await?;
    }
    model.shutdown().await;
    Ok(())
}

async fn one(
    options: &FaultOptions,
    model: &ModelServer,
    fault: Fault,
    is_the_end: bool,
    found: &mut Found,
) -> anyhow::Result<()> {
    let gateway = Gateway::start(&Setup {
        program: &options.gateway,
        codex: &options.fake,
        model: &model.base_url(),
        turns: 64,
        level: None,
        provider: "",
        more: "[workers]\ncount = 2\n",
        dir: None,
        descriptors: None,
    })
    .await?;
    anyhow::ensure!(gateway.whole(QUIET).await, "not every worker becomes ready");
    let (descriptors, processes) = (proc::descriptors(gateway.pid)?, proc::descendants(gateway.pid).len());
    let asked = |number, deltas, fault| {
        let every = Duration::from_millis(25);
        let wish = Wish { deltas, every, echo: Some(number), fault, ..Wish::default() };
        Asked { wish, trouble: None, kind: Kind::ChatStream, leaves: None }
    };
    let other = ask(&gateway.address, 1, asked(1, 40, None));
    // With a turn in one worker the next one goes to the other.
    let broken = async {
        while sum(&gateway.metrics().await?, "portcullis_worker_turns{") == 0 {}
        anyhow::Ok(ask(&gateway.address, 2, asked(2, 8, Some(fault))).await)
    };
    let (other, broken) = tokio::join!(other, broken);
    let broken = broken?;

    let of = format!("{fault:?}");
    let mut check = |holds: bool, what: String| found.check(&of, holds, &what);
    let as_it_must = match &broken {
        Ended::Error(code) => is_the_end && code == "200 worker_lost",
        ended => !is_the_end && matches!(ended, Ended::Right),
    };
    check(as_it_must, format!("its own request: {broken:?}"));
    check(matches!(other, Ended::Right), format!("another one beside it: {other:?}"));
    check(gateway.whole(QUIET).await, "every worker is ready".to_owned());
    let ends = sum(&gateway.metrics().await?, "portcullis_worker_ends_total{");
    check(ends == u64::from(is_the_end), format!("{ends} workers were replaced"));
    settle(&gateway, model, descriptors).await;
    let now = (proc::descriptors(gateway.pid)?, proc::descendants(gateway.pid).len());
    check(
        now.0 <= descriptors && now.1 == processes,
        format!(
            "descriptors and processes: {descriptors} and {processes} before, {} and {} after",
            now.0, now.1
        ),
    );
    end(gateway, &mut check).await;
    Ok(())
}

/// The sum of a metric over its labels.
fn sum(metrics: &str, name: &str) -> u64 {
    let of = metrics.lines().filter(|line| line.starts_with(name));
    of.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}
