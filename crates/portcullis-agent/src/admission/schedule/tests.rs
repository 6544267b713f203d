use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn limits(turns: usize, queue: usize) -> AdmissionLimits {
    AdmissionLimits { turns, profiles: [turns; 3], queue, wait: SECOND }
}

fn names(runs: &[(PrincipalId, Ticket, Profile)]) -> Vec<&str> {
    runs.iter().map(|(principal, ..)| principal.as_str()).collect()
}

#[test]
fn places_go_round_the_principals_not_the_requests() {
    let mut schedule = Schedule::new(limits(1, 100));
    let (greedy, modest, third) = ("greedy".into(), "modest".into(), "third".into());
    assert_eq!(schedule.ask(&greedy, Profile::Chat, 100), Decision::Runs);
    for _ in 0..50 {
        assert!(matches!(schedule.ask(&greedy, Profile::Chat, 100), Decision::Waits(_)));
    }
    for principal in [&modest, &third, &modest] {
        assert!(matches!(schedule.ask(principal, Profile::Chat, 100), Decision::Waits(_)));
    }
    let mut running: PrincipalId = greedy;
    let mut order = Vec::new();
    for _ in 0..6 {
        let runs = schedule.ended(&running, Profile::Chat, SECOND);
        order.extend(names(&runs).into_iter().map(str::to_owned));
        running = runs[0].0.clone();
    }
    assert_eq!(order, ["greedy", "modest", "third", "greedy", "modest", "greedy"]);
}

#[test]
fn who_is_at_its_own_limit_does_not_hold_others_up() {
    let mut schedule = Schedule::new(AdmissionLimits { profiles: [8, 8, 1], ..limits(8, 100) });
    let (narrow, other): (PrincipalId, PrincipalId) = ("narrow".into(), "other".into());
    assert_eq!(schedule.ask(&narrow, Profile::Chat, 1), Decision::Runs);
    assert!(matches!(schedule.ask(&narrow, Profile::Chat, 1), Decision::Waits(_)));
    assert_eq!(schedule.ask(&other, Profile::Work, 8), Decision::Runs);
    // Its profile is full, its other profile is not.
    assert!(matches!(schedule.ask(&other, Profile::Work, 8), Decision::Waits(_)));
    assert_eq!(schedule.ask(&other, Profile::Chat, 8), Decision::Runs);
    assert_eq!(names(&schedule.ended(&other, Profile::Chat, SECOND)), [""; 0]);
    assert_eq!(names(&schedule.ended(&other, Profile::Work, SECOND)), ["other"]);
    assert_eq!(names(&schedule.ended(&narrow, Profile::Chat, SECOND)), ["narrow"]);
}

#[test]
fn the_time_to_come_back_follows_what_was_observed() {
    let mut schedule = Schedule::new(limits(2, 4));
    let who: PrincipalId = "who".into();
    let fill = |schedule: &mut Schedule| {
        while !matches!(schedule.ask(&who, Profile::Chat, 9), Decision::Full) {}
        schedule.retry_after(&who)
    };
    assert_eq!(fill(&mut schedule), FIRST_GUESS * 3, "four wait for two places, it would be the fifth");
    schedule.ended(&who, Profile::Chat, Duration::from_mins(1));
    assert_eq!(fill(&mut schedule), Duration::from_mins(3));
    for _ in 0..60 {
        schedule.ended(&who, Profile::Chat, SECOND);
        fill(&mut schedule);
    }
    let now = fill(&mut schedule);
    assert!(now > 3 * SECOND && now < 4 * SECOND, "{now:?}");
    // With places for one of its own only, it has itself to wait for.
    let narrow: PrincipalId = "narrow".into();
    let mut schedule = Schedule::new(limits(100, 4));
    for _ in 0..5 {
        schedule.ask(&narrow, Profile::Chat, 1);
    }
    assert_eq!(schedule.retry_after(&narrow), FIRST_GUESS * 5);
    assert_eq!(schedule.retry_after(&who), FIRST_GUESS);
}

/// What a test does next. Indices are taken modulo what there is.
#[derive(Clone, Debug)]
enum Op {
    Ask { who: usize, profile: usize },
    End(usize),
    Leave(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..4usize, 0..3usize).prop_map(|(who, profile)| Op::Ask { who, profile }),
        2 => any::<prop::sample::Index>().prop_map(|at| Op::End(at.index(1 << 16))),
        1 => any::<prop::sample::Index>().prop_map(|at| Op::Leave(at.index(1 << 16))),
    ]
}

proptest! {
    /// Whatever happens in whatever order: no limit is passed, every request runs at most once, none runs that has
    /// left, no place stays free for which somebody waits, and what is over is forgotten.
    #[test]
    fn limits_hold_and_no_place_is_wasted(
        turns in 1..5usize,
        profiles in prop::array::uniform3(1..4usize),
        queue in 0..6usize,
        most in prop::array::uniform4(1..4usize),
        ops in prop::collection::vec(op(), 0..200),
    ) {
        let mut schedule = Schedule::new(AdmissionLimits { turns, profiles, queue, wait: SECOND });
        let names: Vec<PrincipalId> = ["a", "b", "c", "d"].map(PrincipalId::from).into();
        let mut running: Vec<(PrincipalId, Profile)> = Vec::new();
        let mut waiting: BTreeMap<Ticket, (PrincipalId, Profile)> = BTreeMap::new();
        let mut known: BTreeSet<Ticket> = BTreeSet::new();
        for op in ops {
            match op {
                Op::Ask { who, profile } => {
                    let (name, profile) = (&names[who], Profile::ALL[profile]);
                    match schedule.ask(name, profile, most[who]) {
                        Decision::Runs => running.push((name.clone(), profile)),
                        Decision::Waits(ticket) => {
                            prop_assert!(known.insert(ticket));
                            waiting.insert(ticket, (name.clone(), profile));
                        }
                        Decision::Full => prop_assert_eq!(waiting.len(), queue),
                    }
                }
                Op::End(at) if !running.is_empty() => {
                    let (name, profile) = running.swap_remove(at % running.len());
                    for (name, ticket, profile) in schedule.ended(&name, profile, SECOND) {
                        prop_assert_eq!(waiting.remove(&ticket), Some((name.clone(), profile)));
                        running.push((name, profile));
                    }
                }
                Op::Leave(at) if !waiting.is_empty() => {
                    let ticket = *waiting.keys().nth(at % waiting.len()).unwrap();
                    let (name, _) = waiting.remove(&ticket).unwrap();
                    schedule.leave(&name, ticket);
                    schedule.leave(&name, ticket);
                }
                Op::End(_) | Op::Leave(_) => {}
            }
            let of = |who: usize| running.iter().filter(|(name, _)| *name == names[who]).count();
            let in_profile = |profile: Profile| running.iter().filter(|(_, one)| *one == profile).count();
            prop_assert!(running.len() <= turns && waiting.len() <= queue);
            prop_assert_eq!(schedule.waiting(), waiting.len());
            prop_assert!((0..4).all(|who| of(who) <= most[who]));
            prop_assert!(Profile::ALL.into_iter().all(|profile| in_profile(profile) <= profiles[profile as usize]));
            for (name, profile) in waiting.values() {
                let who = names.iter().position(|one| one == name).unwrap();
                let blocked = running.len() == turns
                    || of(who) == most[who]
                    || in_profile(*profile) == profiles[*profile as usize];
                prop_assert!(blocked, "{name} waits for a place that is free");
            }
        }
        let busy: BTreeSet<_> = running.iter().chain(waiting.values()).map(|(name, _)| name.clone()).collect();
        prop_assert_eq!(schedule.parties.keys().cloned().collect::<BTreeSet<_>>(), busy);
        let waits: BTreeSet<_> = waiting.values().map(|(name, _)| name.clone()).collect();
        prop_assert_eq!(schedule.ring.len(), waits.len());
    }

    /// Nobody is passed over: from the moment a principal waits, every other one gets at most one place before it.
    #[test]
    fn everybody_has_their_turn(asks in prop::collection::vec(0..4usize, 1..80), turns in 1..4usize) {
        let mut schedule = Schedule::new(limits(turns, 100));
        let names: Vec<PrincipalId> = ["a", "b", "c", "d"].map(PrincipalId::from).into();
        let mut running = VecDeque::new();
        let mut left: BTreeMap<PrincipalId, usize> = BTreeMap::new();
        for who in asks {
            match schedule.ask(&names[who], Profile::Chat, 100) {
                Decision::Runs => running.push_back(names[who].clone()),
                Decision::Waits(_) => *left.entry(names[who].clone()).or_default() += 1,
                Decision::Full => unreachable!("there is room for all"),
            }
        }
        let mut since: BTreeMap<PrincipalId, BTreeMap<PrincipalId, usize>> = BTreeMap::new();
        while let Some(ended) = running.pop_front() {
            for (runs, ..) in schedule.ended(&ended, Profile::Chat, SECOND) {
                since.remove(&runs);
                *left.get_mut(&runs).unwrap() -= 1;
                for (waits, _) in left.iter().filter(|(name, count)| **name != runs && **count > 0) {
                    let before = since.entry(waits.clone()).or_default().entry(runs.clone()).or_default();
                    *before += 1;
                    prop_assert!(*before <= 1, "{runs} twice before {waits}");
                }
                running.push_back(runs);
            }
        }
        prop_assert!(left.values().all(|count| *count == 0), "somebody waits for ever: {left:?}");
    }
}
