//! What the cells cost: the same gateway before the same Codex, with all that the machine allows around its workers, and
//! with as little as the gateway's user may have.

use std::time::Duration;

use portcullis_codex::CodexBinary;
use portcullis_lab::{Answer, ModelServer};

use super::Bench;
use crate::gateway::{Gateway, Setup};
use crate::load::{Load, Question, closed, warm_up};
use crate::report::{Cell, Report, Table, ms, percentile};
use crate::target::Target;
use crate::wish::Wish;

pub(super) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let codex = CodexBinary::find(&bench.options.codex).await?.path;
    let model = ModelServer::start().await?;
    model.respond_with(|request| {
        let wish = Wish::of_prompt(request.last_user_text().unwrap_or_default());
        Answer::text((0..wish.deltas).map(|number| wish.delta(number))).every(wish.every)
    });
    let base = model.base_url();
    // Root's workers are never without the barriers of the lowest level: they are then other users, at least.
    let without = if rustix::process::geteuid().is_root() { "bare" } else { "off" };
    let levels = ["best", without];
    let setup = |level| Setup {
        program: &bench.gateway,
        codex: &codex,
        model: &base,
        turns: 64,
        level: Some(level),
        provider: "",
        more: "",
        dir: None,
        descriptors: None,
    };

    let question = Question { wish: Wish { deltas: 20, ..Wish::default() }, stream: true };
    let window = bench.pick(Duration::from_secs(1), Duration::from_millis(200));
    let mut ready = [Vec::new(), Vec::new()];
    let mut loads = [Load::default(), Load::default()];
    for round in 0..bench.pick(16, 2) {
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let gateway = Gateway::start(&setup(levels[which])).await?;
            ready[which].push(gateway.ready_after);
            let target = Target::Http(gateway.address.clone());
            warm_up(&target, question).await?;
            loads[which].add(closed(&target, question, 1, window, u64::MAX).await?);
            gateway.stop().await;
        }
    }
    model.shutdown().await;

    let start = ready.each_ref().map(|took| percentile(took, 500));
    let whole = loads.each_ref().map(|load| {
        let took: Vec<_> = load.answers.iter().map(|answer| answer.whole).collect();
        percentile(&took, 500)
    });
    let more = start[0].as_secs_f64() - start[1].as_secs_f64();
    let goal = "a worker's start in a cell over without";
    report.goal(goal, "50 ms", format!("{:+.1} ms", more * 1e3), more <= 0.05);
    let share = whole[0].as_secs_f64() / whole[1].as_secs_f64() - 1.0;
    let goal = "a turn in a cell over without, p50";
    report.goal(goal, "5 %", format!("{:+.1} %", share * 100.0), share <= 0.05);
    let rows = (0..2)
        .map(|which| {
            vec![
                ("confine.level", Cell::from(levels[which])),
                ("can run a turn after, ms", ms(start[which])),
                ("turn p50, ms", ms(whole[which])),
                ("turns", loads[which].answers.len().into()),
                ("failed", Cell::Number(loads[which].failed as f64, 0)),
            ]
        })
        .collect();
    let about =
        "The real Codex, started anew for every second of turns, the kinds in turn; 20 deltas at once, one stream, medians."
            .to_owned();
    report.tables.push(Table { title: "What the cells cost", about, rows });
    Ok(())
}
