//! The log replayed as a backtest does it, under the rules that decided: it comes out as it was.

use quell::model::{Millis, Time};
use quell::storage::log::LogFiles;
use quell::verify::backtest::outcome::Outcome;
use quell::verify::backtest::{Comparison, Site, compare, history, replay};

use super::people::People;
use super::senders::Senders;
use super::{Faults, START, World, rules};
use crate::for_each_seed;
use crate::random::Random;

/// Everything about each incident that people see, and which alerts are in it.
fn seen(outcome: &Outcome) -> Vec<String> {
    let members = |places: &[usize]| -> Vec<String> {
        let alert =
            |place: &usize| format!("{} {}", outcome.occurrences[*place].alert.fingerprint, outcome.occurrences[*place].at);
        places.iter().map(alert).collect()
    };
    let cases = outcome.incidents.values().map(|case| {
        let it = &case.incident;
        let rest = (&it.title, &it.key, it.priority, &it.team, it.opened_at);
        format!("{} {} {rest:?} {:?}", it.id, it.rule, members(&case.occurrences))
    });
    cases.collect()
}

#[test]
fn the_log_under_its_own_rules_gives_the_incidents_that_there_were() {
    for_each_seed(8, |seed| {
        let mut random = Random::new(seed);
        let series = Senders::random(&mut random, Millis::hours(2));
        let mut world = World::new(seed, Senders::new(series, seed % 2 == 0), Faults::default());
        world.people = People { acknowledge_one_in: 30 };
        world.run_until(START + Millis::hours(3));
        let files = LogFiles::open(world.disk.clone()).unwrap();
        let history = history(&files, Time::EPOCH).unwrap();
        let receivers = world.downstreams.keys().cloned().collect();
        let site = Site { receivers, ..Site::default() };
        let again = replay(&history, &rules(), &site, &mut |_| {});
        assert!(history.decided.incidents.len() > 1, "the world is too quiet");
        assert_eq!(seen(&again), seen(&history.decided));
        let same = Comparison { same: history.decided.incidents.len(), ..Comparison::default() };
        assert_eq!(compare(&history.decided, &again), same);
        assert_eq!(again.pages, history.decided.pages);
    });
}
