//! A brain that works though nobody asked it to is replaced.
//!
//! Code that a model wrote can not run in a brain, but Codex itself has left things behind there: programs for its V8 host
//! burned a core after their turn (measured on 0.169.0).

use std::time::Duration;

use portcullis_confine::tree;

/// How often a brain is looked at.
pub(crate) const EVERY: Duration = Duration::from_secs(2);
/// The share of a core that an idle brain may use.
const IDLE_SHARE: f64 = 0.5;
/// Looks in a row that must agree.
const PATIENCE: u32 = 3;

/// What was seen of one brain.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    last: Option<(u32, Duration)>,
    busy: u32,
}

/// What a process and all below it have used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Used {
    pub(crate) cpu: Duration,
    pub(crate) memory: u64,
}

impl Watch {
    /// Looks once, `elapsed` after the last look; says why the brain should be replaced, if it should. `idle` is whether
    /// no turn runs.
    pub(crate) fn look(
        &mut self,
        pid: u32,
        cpu: Duration,
        idle: bool,
        elapsed: Duration,
    ) -> Option<&'static str> {
        let before = self.last.replace((pid, cpu)).filter(|(before, _)| *before == pid);
        let Some((_, before)) = before.filter(|_| idle) else {
            self.busy = 0;
            return None;
        };
        let share = cpu.saturating_sub(before).as_secs_f64() / elapsed.as_secs_f64().max(0.001);
        self.busy = if share > IDLE_SHARE { self.busy + 1 } else { 0 };
        (self.busy >= PATIENCE).then_some("it works though no turn runs")
    }
}

impl Used {
    /// Of a process and all below it, as the kernel tells. What is gone meanwhile counts nothing.
    pub(crate) fn below(pid: u32) -> Self {
        let all = tree::descendants(pid).into_iter().chain([pid]);
        all.filter_map(Self::of).fold(Self::default(), |sum, used| Self {
            cpu: sum.cpu + used.cpu,
            memory: sum.memory + used.memory,
        })
    }

    /// `/proc/<pid>/stat`: user and system time in ticks are fields 14 and 15, resident pages field 24 (proc(5)).
    fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before may hold anything, parentheses and spaces included.
        let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace().skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        let pages: u64 = fields.nth(8)?.parse().ok()?;
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        Some(Self {
            cpu: Duration::from_millis((user + system) * 1000 / ticks),
            memory: pages * rustix::param::page_size() as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_idle_brain_that_goes_on_working_is_replaced() {
        let mut watch = Watch::default();
        let mut cpu = Duration::ZERO;
        let mut look = |worked: u64, idle: bool| {
            cpu += Duration::from_millis(worked);
            watch.look(7, cpu, idle, EVERY)
        };
        // While turns run it may work as much as it likes, and after them for a little.
        assert_eq!([look(2000, false), look(2000, false), look(1500, true), look(1500, true)], [None; 4]);
        assert_eq!([look(100, true), look(1500, true), look(1500, true)], [None; 3]);
        assert_eq!(look(1500, true), Some("it works though no turn runs"));
        assert_eq!(watch.look(8, cpu * 2, true, EVERY), None, "another one is not known yet");
    }

    #[test]
    fn the_kernel_tells_what_this_test_uses() {
        let used = Used::below(std::process::id());
        assert!(used.memory > 1 << 20, "{used:?}");
    }
}
