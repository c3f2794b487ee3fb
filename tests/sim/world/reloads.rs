//! Rules that change while all is going on: row 31 of the promises.

use std::collections::BTreeMap;
use std::sync::Arc;

use quell::engine::{Fact, Input};
use quell::model::{Millis, NotificationKind, Time};
use quell::ruleset::{self, Ruleset, SourceFile};

use super::downstream::Seen;
use super::senders::{Senders, Series};
use super::{Death, Faults, RULES, START, World, rules};
use crate::for_each_seed;
use crate::random::Random;

fn load(text: &str) -> Arc<Ruleset> {
    let files = [SourceFile { name: "rules.yaml".to_owned(), text: text.to_owned() }];
    Arc::new(ruleset::load(&files, None, ruleset::Limits::default()).unwrap().ruleset)
}

fn reload(world: &World, rules: &Arc<Ruleset>) {
    drop(world.runtime.as_ref().unwrap().submit(vec![Input::Rules(rules.clone())]).unwrap());
}

/// The rule that opened each incident belongs to the rules which the log says were in force then.
fn opened_by_what_was_in_force(world: &World, all: &[&Arc<Ruleset>]) -> BTreeMap<u64, usize> {
    let mut opened: BTreeMap<u64, usize> = all.iter().map(|rules| (rules.digest, 0)).collect();
    let mut in_force = None;
    for line in &world.oracle.lines {
        match &line.fact {
            Fact::RulesLoaded { digest, .. } => in_force = all.iter().find(|rules| rules.digest == *digest),
            Fact::IncidentOpened { rule, .. } => {
                let rules = in_force.expect("an incident before any rules");
                assert!(rules.correlate.iter().any(|it| it.rule == *rule), "{rule} was not in force at {}", line.time);
                *opened.get_mut(&rules.digest).unwrap() += 1;
            }
            _ => {}
        }
    }
    opened
}

#[test]
fn row_31_a_reload_each_100_ms_loses_nothing_and_switches_at_a_record() {
    // The same incidents and pages, so that the model holds, by rules and policies of other names.
    let own = rules();
    let others = RULES.replace("name: by-service", "name: of-a-service").replace("name: near", "name: not-far");
    let others = load(&others.replace("name: page", "name: wake").replace("name: tell", "name: say"));
    let mut openings: BTreeMap<u64, usize> = BTreeMap::new();
    for seed in crate::seeds(3) {
        let mut random = Random::new(seed);
        let series = Senders::random(&mut random, Millis::minutes(30));
        let mut world = World::new(seed, Senders::new(series, seed % 2 == 0), Faults::default());
        while world.now() < START + Millis::minutes(40) {
            let until = world.now() + Millis(100);
            world.run_until(until);
            // By chance, because what senders say comes at whole seconds.
            reload(&world, if random.one_in(2) { &others } else { &own });
        }
        world.turn(false);
        world.check();
        let loaded = world.oracle.count("rules_loaded");
        assert!(loaded > 10_000, "{loaded} of 24,000 reloads changed anything");
        for (digest, count) in opened_by_what_was_in_force(&world, &[&own, &others]) {
            *openings.entry(digest).or_default() += count;
        }
    }
    assert!(openings.values().all(|count| *count > 0), "one of the two opened nothing: {openings:?}");
}

/// A service's critical series that fires in these minutes.
fn fires(name: &str, service: &str, times: &[(i64, i64)]) -> Series {
    let moment = |minutes: i64| -> Time { START + Millis::minutes(minutes) };
    let times = times.iter().map(|(from, to)| (moment(*from), moment(*to))).collect();
    Series { name: name.to_owned(), service: service.to_owned(), critical: true, times }
}

/// A world in which `cart` is critical from the first minute on and `billing` from the tenth, both to the fortieth. The model
/// expects a page of each critical alert, which is not what all of these rules say, so that it holds nothing here.
fn two_outages(seed: u64) -> World {
    let series = vec![fires("open", "cart", &[(1, 40)]), fires("later", "billing", &[(10, 40)])];
    let mut world = World::new(seed, Senders::new(series, seed.is_multiple_of(2)), Faults::default());
    world.check_at = Time(i64::MAX);
    world
}

/// How often a receiver was told that an incident is there, the first time or again.
fn triggers(world: &World, receiver: &str, incident: u64) -> usize {
    let told = |seen: &&Seen| seen.incident == incident && seen.kind == NotificationKind::Trigger;
    world.downstreams[receiver].taken.iter().filter(told).count()
}

#[test]
fn row_31_an_incident_whose_policy_is_deleted_follows_the_default_until_it_is_back() {
    for_each_seed(2, |seed| {
        let mut world = two_outages(seed);
        world.run_until(START + Millis::minutes(5));
        assert_eq!((triggers(&world, "pager", 1), triggers(&world, "default", 1)), (1, 0));
        reload(&world, &load(RULES.split("escalate:").next().unwrap()));
        world.run_until(START + Millis::minutes(25));
        for incident in [1, 2] {
            assert_eq!(triggers(&world, "default", incident), 1, "INC-{incident} has no policy");
        }
        let others = ["pager", "managers"].map(|receiver| triggers(&world, receiver, 1) + triggers(&world, receiver, 2));
        assert_eq!(others, [1, 0], "nobody else hears of them");
        reload(&world, &rules());
        world.run_until(START + Millis::minutes(30));
        // For the first the managers are late, and it is time to say it again. The pager hears of the second for the first time,
        // and has its time to answer.
        for (receiver, expected) in [("pager", [2, 1]), ("managers", [1, 0]), ("default", [1, 1])] {
            assert_eq!([1, 2].map(|incident| triggers(&world, receiver, incident)), expected, "{receiver}");
        }
        world.run_until(START + Millis::hours(1));
        world.all_is_closed();
        world.oracle.follow(world.runtime.as_ref().unwrap(), &world.disk);
        assert_eq!(world.oracle.count("incident_without_policy"), 0);
    });
}

#[test]
fn row_31_a_policy_that_goes_and_comes_back_each_100_ms_pages_as_if_it_had_stayed() {
    let deleted = load(RULES.split("escalate:").next().unwrap());
    let renamed = load(&RULES.replace("name: page", "name: wake"));
    let of_file = rules();
    for seed in crate::seeds(2) {
        let mut random = Random::new(seed);
        let mut world = two_outages(seed);
        while world.now() < START + Millis::minutes(38) {
            let until = world.now() + Millis(100);
            world.run_until(until);
            if world.runtime.is_some() {
                reload(&world, [&of_file, &deleted, &renamed][usize::try_from(random.below(3)).unwrap()]);
            }
            if random.below(3_000) == 0 {
                world.death = Some(if random.one_in(2) { Death::BeforeTurn } else { Death::AfterTurn });
            }
        }
        let told = |receiver: &str| [1, 2].map(|incident| triggers(&world, receiver, incident));
        // The first is said again 20 minutes behind its second step, as ever.
        assert_eq!(["pager", "managers", "default"].map(told), [[2, 1], [2, 1], [1, 1]]);
        world.run_until(START + Millis::hours(1));
        world.all_is_closed();
    }
}
