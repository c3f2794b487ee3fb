//! The same things said again, late, twice, in other batches and in another order: row 47 of the promises, and what must
//! not matter.

use std::collections::BTreeMap;

use quell::engine::{Entity, Fact};
use quell::model::Millis;

use super::senders::{Senders, Series};
use super::{Faults, START, World};
use crate::for_each_seed;
use crate::random::Random;

fn one(name: &str, from: i64, to: i64) -> Series {
    let times = vec![(START + Millis::seconds(from), START + Millis::seconds(to))];
    Series { name: name.to_owned(), service: "checkout".to_owned(), critical: true, times }
}

fn quiet(series: Vec<Series>, pair: bool) -> World {
    World::new(1, Senders::new(series, pair), Faults::default())
}

/// One word of an Alertmanager; times in seconds.
fn word(status: &str, starts_at: i64, ends_at: Option<i64>) -> String {
    let time = |s: i64| (START + Millis::seconds(s)).to_string();
    let ends_at = ends_at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), time);
    let starts_at = time(starts_at);
    let alert = format!(
        r#"{{"status":"{status}","labels":{{"alertname":"Late","service":"cart","severity":"critical"}},"startsAt":"{starts_at}","endsAt":"{ends_at}"}}"#
    );
    format!(r#"{{"version":"4","alerts":[{alert}]}}"#)
}

/// Posts one word and lets it be answered: 'news' or 'repeat'.
fn say(world: &mut World, status: &str, starts_at: i64, ends_at: Option<i64>) -> &'static str {
    let before = world.handle().status().seq;
    world.say("alertmanager", word(status, starts_at, ends_at));
    if world.handle().status().seq > before { "news" } else { "repeat" }
}

#[test]
fn row_47_the_same_alert_ten_thousand_times_is_one_occurrence() {
    let mut world = quiet(Vec::new(), false);
    assert_eq!(say(&mut world, "firing", 0, None), "news");
    let seq = world.handle().status().seq;
    for _ in 0..10_000 {
        assert_eq!(say(&mut world, "firing", 0, None), "repeat");
    }
    world.run_until(START + Millis::minutes(1));
    world.check();
    assert_eq!((world.oracle.count("alert_fired"), world.oracle.count("incident_opened")), (1, 1));
    let entry = world.handle().live().alerts(|_| true).remove(0);
    assert_eq!(entry.repeats, 10_000, "and all of them are counted");
    assert!(world.handle().status().seq > seq, "only deliveries were recorded");
    assert_eq!(world.downstreams["pager"].attempts.len(), 1);
}

#[test]
fn row_47_a_pair_of_servers_15_s_apart_is_one_occurrence() {
    let mut world = quiet(vec![one("Pair", 60, 1_200)], true);
    world.run_until(START + Millis::minutes(40));
    world.check();
    assert_eq!((world.oracle.count("alert_fired"), world.oracle.count("alert_resolved")), (1, 1));
    assert_eq!(world.downstreams["pager"].rang.values().copied().collect::<Vec<_>>(), [1]);
    world.all_is_closed();
}

#[test]
fn row_47_words_out_of_order_make_no_occurrence_of_their_own() {
    // What is said (status, start, end in seconds), and whether it is news.
    type Said = (&'static str, i64, Option<i64>, &'static str);
    let cases: [(&str, &[Said]); 5] = [
        ("resolve of the unknown", &[("resolved", 0, Some(10), "repeat")]),
        (
            // Known to be over for 15 minutes; who says it for longer means it.
            "resolve before fire",
            &[
                ("resolved", 0, Some(10), "repeat"),
                ("firing", 0, None, "repeat"),
                ("firing", 0, None, "news"),
                ("resolved", 0, Some(10), "news"),
            ],
        ),
        (
            "resolve before fire, which is of another occurrence",
            &[("resolved", 0, Some(10), "repeat"), ("firing", 60, None, "news"), ("firing", 0, None, "repeat")],
        ),
        (
            "a firing that comes 10 minutes late",
            &[
                ("firing", 0, None, "news"),
                ("resolved", 0, Some(10), "news"),
                ("firing", 0, None, "repeat"),
                ("firing", 600, None, "news"),
            ],
        ),
        (
            "a resolve that comes late, when it fires again",
            &[
                ("firing", 0, None, "news"),
                ("resolved", 0, Some(10), "news"),
                ("firing", 60, None, "news"),
                ("resolved", 0, Some(10), "repeat"),
            ],
        ),
    ];
    for (name, words) in cases {
        let mut world = quiet(Vec::new(), false);
        for (n, (status, starts_at, ends_at, expected)) in words.iter().enumerate() {
            world.run_until(START + Millis::minutes(10 * i64::try_from(n + 1).unwrap()));
            assert_eq!(say(&mut world, status, *starts_at, *ends_at), *expected, "{name}: {status} at {starts_at}");
        }
        world.check();
    }
}

#[test]
fn row_47_an_end_finds_a_beginning_that_is_not_on_disk_yet() {
    let cases = [
        ("its own", vec![word("firing", 0, None), word("resolved", 0, Some(10))], (1, 1)),
        ("told before it", vec![word("resolved", 0, Some(10)), word("firing", 0, None)], (0, 0)),
        ("of the occurrence before", vec![word("firing", 60, None), word("resolved", 0, Some(10))], (1, 0)),
        ("told twice", vec![word("firing", 0, None), word("resolved", 0, Some(10)), word("resolved", 0, Some(10))], (1, 1)),
    ];
    for (name, words, (fired, resolved)) in cases {
        let mut world = quiet(Vec::new(), false);
        world.run_until(START + Millis::minutes(2));
        world.say_at_once("alertmanager", words);
        world.check();
        assert_eq!((world.oracle.count("alert_fired"), world.oracle.count("alert_resolved")), (fired, resolved), "{name}");
    }
}

/// The incidents as people see them, without numbers and times of change: by key, all alerts and those that fire.
fn picture(world: &World) -> BTreeMap<String, (u32, u32, String)> {
    let incidents = world.runtime.as_ref().unwrap().state().incidents();
    incidents
        .map(|it| {
            (it.key.to_string(), (it.alerts_total, it.alerts_firing, format!("{:?} {} {}", it.status, it.priority, it.title)))
        })
        .collect()
}

/// How often each receiver rang for each incident's key (by its service).
fn rings(world: &World) -> BTreeMap<String, Vec<u32>> {
    world
        .downstreams
        .iter()
        .map(|(name, it)| {
            let mut rang: Vec<u32> = it.rang.values().copied().collect();
            rang.sort_unstable();
            (name.to_string(), rang)
        })
        .collect()
}

fn after_an_hour(series: Vec<Series>, change: impl FnOnce(&mut Senders)) -> World {
    let mut world = quiet(series, false);
    change(&mut world.senders);
    world.run_until(START + Millis::hours(1));
    world.check();
    world
}

#[test]
fn neither_batches_nor_duplicates_nor_the_order_of_the_unrelated_matter() {
    for_each_seed(20, |seed| {
        let mut random = Random::new(seed);
        let mut series = Senders::random(&mut random, Millis::hours(1));
        // Names that no rule relates to each other.
        for one in &mut series {
            one.name = format!("lone-{}", one.name);
            one.service = format!("lone-{}", one.service);
        }
        let plain = after_an_hour(series.clone(), |_| {});
        let (seen, rang) = (picture(&plain), rings(&plain));

        let single = after_an_hour(series.clone(), |senders| senders.one_alert_a_request = true);
        assert_eq!((picture(&single), rings(&single)), (seen.clone(), rang.clone()), "one alert in each request");

        let twice = after_an_hour(series.clone(), |senders| senders.each_twice = true);
        assert_eq!((picture(&twice), rings(&twice)), (seen.clone(), rang.clone()), "each alert twice in each request");
        assert_eq!(facts(&twice), facts(&plain), "duplicates leave nothing in the log");

        let mut shuffled = series;
        // Stable: within a service the order stays.
        shuffled.sort_by_key(|one| std::cmp::Reverse(one.service.clone()));
        let shuffled = after_an_hour(shuffled, |_| {});
        assert_eq!((picture(&shuffled), rings(&shuffled)), (seen, rang), "other services first");
    });
}

/// How many facts of each kind the log has.
fn facts(world: &World) -> BTreeMap<&'static str, usize> {
    let mut facts = BTreeMap::new();
    for line in &world.oracle.lines {
        *facts.entry(line.fact.kind()).or_default() += 1;
    }
    facts
}

#[test]
fn the_same_seed_is_the_same_world() {
    let run = || {
        let mut world = super::restarts::hour(11);
        world.check();
        let facts: Vec<Fact> = world.oracle.lines.iter().map(|line| line.fact.clone()).collect();
        let entities: Vec<Entity> = world.runtime.iter().flat_map(|runtime| runtime.state().entities()).collect();
        (facts, entities, world.disk.operations())
    };
    assert!(run() == run());
}
