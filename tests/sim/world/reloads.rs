//! Rules that change while all is going on: row 31 of the promises.

use std::collections::BTreeMap;
use std::sync::Arc;

use quell::engine::{Fact, Input};
use quell::model::{Millis, Time};
use quell::ruleset::{self, Ruleset, SourceFile};

use super::senders::{Senders, Series};
use super::{Faults, RULES, START, World, rules};
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
    // The same incidents and pages, so that the model holds, by rules of other names.
    let own = rules();
    let others = load(&RULES.replace("name: by-service", "name: of-a-service").replace("name: near", "name: not-far"));
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

#[test]
fn row_31_an_incident_whose_policy_is_deleted_goes_on_by_its_plan_and_new_ones_go_to_the_default() {
    for_each_seed(2, |seed| {
        let series = vec![fires("open", "cart", &[(1, 30)]), fires("later", "billing", &[(10, 30)])];
        let mut world = World::new(seed, Senders::new(series, seed % 2 == 0), Faults::default());
        // The model expects a page of each critical alert, which is what these rules no longer say.
        world.check_at = Time(i64::MAX);
        world.run_until(START + Millis::minutes(5));
        let told = |world: &World, receiver: &str| -> Vec<u64> {
            let mut incidents: Vec<u64> = world.downstreams[receiver].taken.iter().map(|seen| seen.incident).collect();
            incidents.dedup();
            incidents
        };
        assert_eq!(told(&world, "pager"), [1]);
        reload(&world, &load(RULES.split("escalate:").next().unwrap()));
        world.run_until(START + Millis::minutes(25));
        // What was decided when it opened is kept, its next step included.
        assert_eq!((told(&world, "pager"), told(&world, "managers")), (vec![1], vec![1]));
        assert_eq!(told(&world, "default"), [2], "the last resort");
        world.run_until(START + Millis::hours(1));
        world.all_is_closed();
        let (runtime, disk) = (world.runtime.as_ref().unwrap(), &world.disk);
        world.oracle.follow(runtime, disk);
        assert_eq!(world.oracle.count("incident_without_policy"), 0);
    });
}
