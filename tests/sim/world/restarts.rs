//! Crashes of every kind: rows 2, 3, 4, 8 and 9 of the promises.

use std::sync::atomic::{AtomicU64, Ordering};

use quell::model::Millis;

use super::senders::{Senders, Series};
use super::{Death, Faults, START, World};
use crate::disk::Op;
use crate::random::Random;
use crate::{for_each_seed, seeds};

/// Crashes, full disks, failing receivers and people at once.
pub(crate) fn hour(seed: u64) -> World {
    let length = Millis::hours(1);
    let mut random = Random::new(seed ^ 0xa1e7);
    let series = Senders::random(&mut random, length);
    let faults = Faults { crash_one_in: 120, full_one_in: 800, receivers: true };
    let mut world = World::new(seed, Senders::new(series, random.one_in(2)), faults);
    world.people.acknowledge_one_in = random.below(3) * 60;
    world.run_until(START + length);
    world
}

/// The sum of everything, and what every other test here is a part of.
#[test]
fn an_hour_in_which_everything_goes_wrong_loses_and_repeats_nothing() {
    let crashes: [AtomicU64; 4] = Default::default();
    let decided: [AtomicU64; 3] = Default::default();
    for_each_seed(200, |seed| {
        let mut world = hour(seed);
        let counts = world.counts;
        for (sum, kind) in decided.iter().zip(["alert_flapping", "incident_attached", "sequence_stepped"]) {
            sum.fetch_add(u64::try_from(world.oracle.count(kind)).unwrap(), Ordering::Relaxed);
        }
        for (sum, n) in crashes.iter().zip([counts.kills, counts.power_cuts, counts.failed_syncs, counts.full_disks]) {
            sum.fetch_add(n, Ordering::Relaxed);
        }
        world.senders.all_end_by(world.now());
        world.settle(Millis::minutes(75));
        world.all_is_closed();
    });
    println!("kills, power cuts, disk faults, full disks: {crashes:?}");
    let enough = seeds(200).count() < 50 || crashes.iter().all(|sum| sum.load(Ordering::Relaxed) > 10);
    assert!(enough, "the simulation crashes everything that can crash");
    println!("flapping, attached, steps: {decided:?}");
    let enough = seeds(200).count() < 50 || decided.iter().all(|sum| sum.load(Ordering::Relaxed) > 0);
    assert!(enough, "the simulation decides what needs more than one alert");
}

/// One critical alert that fires after 90 s, which is posted at 121 s, and ends after 5 minutes.
fn one_alert() -> World {
    let times = vec![(START + Millis::seconds(90), START + Millis::minutes(5))];
    let series = Series { name: "Down".to_owned(), service: "checkout".to_owned(), critical: true, times };
    World::new(3, Senders::new(vec![series], false), Faults::default())
}

/// Lets the rest happen; there was one occurrence, one incident, one page, and all of it is over.
fn one_page_came_of_it(world: &mut World) {
    world.run_until(START + Millis::minutes(12));
    world.check();
    assert_eq!((world.oracle.count("alert_fired"), world.oracle.count("incident_opened")), (1, 1));
    assert_eq!(world.downstreams["pager"].rang.values().copied().collect::<Vec<_>>(), [1]);
    world.all_is_closed();
}

#[test]
fn rows_2_and_9_the_power_goes_or_the_disk_fails_at_each_operation() {
    let mut whole = one_alert();
    let before = whole.disk.operations();
    one_page_came_of_it(&mut whole);
    let operations = whole.disk.operations() - before;
    assert!(operations > 10, "{operations}");
    let mut failed = Vec::new();
    for at in 1..=operations {
        for death in [Death::PowerCut(at), Death::DiskFault(at)] {
            let mut world = one_alert();
            world.death = Some(death);
            one_page_came_of_it(&mut world);
            let counts = world.counts;
            match death {
                Death::PowerCut(_) => assert_eq!(counts.power_cuts, 1, "{death:?}"),
                _ => failed.extend(world.disk.failed().iter().map(|op| (*op, counts.failed_syncs))),
            }
        }
    }
    // Row 8: a failed sync ends the process; a failed write is made again.
    assert!(failed.contains(&(Op::Sync, 1)) && !failed.contains(&(Op::Sync, 0)), "{failed:?}");
    assert!(failed.contains(&(Op::Write, 0)), "{failed:?}");
}

#[test]
fn row_3_a_kill_between_sync_and_answer_makes_no_second_occurrence() {
    for (death, fired) in [(Death::AfterTurn, 1), (Death::BeforeTurn, 0)] {
        let mut world = one_alert();
        world.run_until(START + Millis::seconds(120));
        world.death = Some(death);
        world.run_until(START + Millis::seconds(122));
        assert_eq!((world.counts.kills, world.counts.refused_posts), (1, 1), "the sender got no answer");
        assert!(world.downstreams["pager"].attempts.is_empty());
        world.start();
        assert_eq!(world.oracle.count("alert_fired"), fired, "{death:?}");
        one_page_came_of_it(&mut world);
    }
}

#[test]
fn row_4_a_kill_between_the_pagers_answer_and_our_record_rings_once() {
    let mut world = one_alert();
    world.run_until(START + Millis::seconds(121) + Millis(1));
    assert_eq!(world.downstreams["pager"].taken.len(), 1, "the pager has taken it");
    assert_eq!(world.oracle.count("notification_delivered"), 0);
    world.kill();
    one_page_came_of_it(&mut world);
    let triggers = world.downstreams["pager"].attempts.iter().take(2).map(|seen| (seen.id, &seen.key)).collect::<Vec<_>>();
    assert_eq!(triggers[0], triggers[1], "the same id and key");
}
