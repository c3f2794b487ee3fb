//! The daemon's wall clock jumps: row 17 of the promises. True time goes on evenly, and so does the steady clock.

use quell::engine::Fact;
use quell::model::{Millis, NotificationKind};

use super::downstream::Mood;
use super::oracle::gap;
use super::senders::{Senders, Series};
use super::{Faults, START, World};

const JUMPS: [(&str, Millis); 4] = [
    ("an hour forward", Millis::hours(1)),
    ("an hour back", Millis::hours(-1)),
    ("a year forward", Millis::hours(365 * 24)),
    ("to 1970", Millis(-START.0)),
];

/// One critical alert at each of the minutes, to the end.
fn world(minutes: &[i64]) -> World {
    let series = minutes.iter().map(|minute| Series {
        name: format!("at{minute}"),
        service: format!("service{minute}"),
        critical: true,
        times: vec![(START + Millis::minutes(*minute), START + Millis::hours(9))],
    });
    World::new(1, Senders::new(series.collect(), false), Faults::default())
}

/// When the receiver was first told of each incident, in minutes of true time.
fn first_told(world: &World, receiver: &str) -> Vec<i64> {
    let mut told: Vec<(u64, i64)> = Vec::new();
    for seen in &world.downstreams[receiver].taken {
        if seen.kind == NotificationKind::Trigger && told.iter().all(|(incident, _)| *incident != seen.incident) {
            told.push((seen.incident, seen.at.since(START).0 / 60_000));
        }
    }
    told.into_iter().map(|(_, minute)| minute).collect()
}

#[test]
fn no_page_waits_for_a_clock_that_was_set() {
    for (name, jump) in JUMPS {
        let mut world = world(&[1, 12]);
        world.run_until(START + Millis::minutes(10));
        world.set_clock(jump);
        world.run_until(START + Millis::minutes(60));
        world.check();
        assert_eq!(first_told(&world, "pager"), [1, 12], "{name}");
    }
}

#[test]
fn an_escalation_is_neither_early_nor_lost_when_the_clock_jumps() {
    for (name, jump) in JUMPS {
        let mut world = world(&[1]);
        world.run_until(START + Millis::minutes(10));
        world.set_clock(jump);
        world.run_until(START + Millis::minutes(60));
        let told = first_told(&world, "managers");
        // A clock that was set back runs at half speed until it has caught up.
        assert!(matches!(told[..], [16..=22]), "{name}: the managers were told at {told:?}");
        world.check();
    }
}

#[test]
fn a_retry_does_not_wait_for_a_clock_that_was_set() {
    for (name, jump) in JUMPS {
        let mut world = world(&[1]);
        let pager = world.downstreams.get_mut("pager").unwrap();
        pager.set_mood(START, Mood::Status(503, ""));
        pager.is_well_from(START + Millis::minutes(11));
        world.run_until(START + Millis::minutes(10));
        world.set_clock(jump);
        world.run_until(START + Millis::minutes(14));
        assert!(matches!(first_told(&world, "pager")[..], [11 | 12]), "{name}: {:?}", first_told(&world, "pager"));
        world.check();
    }
}

#[test]
fn a_restart_under_a_clock_that_was_set_loses_and_delays_nothing() {
    for (name, jump) in JUMPS {
        let mut world = world(&[1]);
        let pager = world.downstreams.get_mut("pager").unwrap();
        pager.set_mood(START, Mood::Status(503, ""));
        pager.is_well_from(START + Millis::minutes(11));
        world.run_until(START + Millis::minutes(10));
        world.kill();
        world.set_clock(jump);
        world.run_until(START + Millis::minutes(40));
        assert!(matches!(first_told(&world, "pager")[..], [11 | 12]), "{name}: {:?}", first_told(&world, "pager"));
        world.check();
        let resolved = gap(&world.oracle.lines, |_| true, |fact| matches!(fact, Fact::AlertResolved { .. }));
        assert_eq!(resolved, None, "{name}: nothing resolves because of the clock");
    }
}
