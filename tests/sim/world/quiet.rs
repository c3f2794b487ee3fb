//! What people have said shall be quiet, and until when: row 50 of the promises.

use quell::engine::{Act, Input, Refusal};
use quell::model::{Actor, Matcher, Millis, Silence, SilenceId, Time};
use quell::ruleset::parse_matchers;

use super::senders::{Senders, Series};
use super::{Faults, START, World};

/// One critical series, which fires from minute 5 to minute 48.
fn world() -> World {
    let times = vec![(minute(5), minute(48))];
    let series = Series { name: "Down".to_owned(), service: "checkout".to_owned(), critical: true, times };
    World::new(1, Senders::new(vec![series], false), Faults::default())
}

fn minute(minute: i64) -> Time {
    START + Millis::minutes(minute)
}

fn silence(matchers: Vec<Matcher>, from: i64, to: i64) -> Silence {
    Silence {
        id: SilenceId(1),
        matchers,
        starts_at: minute(from),
        ends_at: minute(to),
        updated_at: START,
        created_by: "sam".into(),
        comment: "planned work".into(),
    }
}

fn act(world: &mut World, act: Act) -> Result<(), Refusal> {
    let input = Input::Act { act, by: Actor::Person("sam".into()) };
    let mut submitted = world.runtime.as_ref().unwrap().submit(vec![input]).unwrap();
    world.turn(false);
    submitted.answers().unwrap().unwrap().remove(0).map(drop)
}

/// The minutes in which a receiver was told of the incident anew.
fn rang(world: &World, receiver: &str) -> Vec<i64> {
    let queued = world.oracle.lines.iter().filter_map(|line| match &line.fact {
        quell::engine::Fact::NotificationQueued { notification: it }
            if *it.receiver == *receiver && it.kind == quell::model::NotificationKind::Trigger =>
        {
            Some(line.time.since(START).0 / 60_000)
        }
        _ => None,
    });
    queued.collect()
}

/// When a silence is set and ended by hand, what it covers, and in which minutes pager and managers ring.
struct Case {
    name: &'static str,
    set_at: i64,
    covers: (i64, i64),
    ended_at: Option<i64>,
    pager: &'static [i64],
    managers: &'static [i64],
}

#[test]
fn row_50_nobody_is_paged_inside_and_what_still_fires_pages_at_the_end() {
    let cases = [
        // It fires from minute 5; unanswered, managers are told 15 minutes later, and all is said again 20 minutes after that.
        Case { name: "planned, over while it fires", set_at: 0, covers: (3, 30), ended_at: None, pager: &[30], managers: &[45] },
        Case { name: "planned, all over inside", set_at: 0, covers: (3, 60), ended_at: None, pager: &[], managers: &[] },
        Case { name: "ended by hand", set_at: 0, covers: (3, 60), ended_at: Some(20), pager: &[20], managers: &[35] },
        Case { name: "set mid-incident, expires", set_at: 10, covers: (10, 20), ended_at: None, pager: &[5], managers: &[30] },
        Case { name: "set mid-incident, to the end", set_at: 10, covers: (10, 60), ended_at: None, pager: &[5], managers: &[] },
    ];
    for Case { name, set_at, covers, ended_at, pager, managers } in cases {
        let mut world = world();
        world.run_until(minute(set_at));
        let matchers = parse_matchers("service=\"checkout\"").unwrap();
        act(&mut world, Act::SetSilence(silence(matchers, covers.0, covers.1))).unwrap();
        if let Some(at) = ended_at {
            world.run_until(minute(at));
            act(&mut world, Act::EndSilence(SilenceId(1))).unwrap();
        }
        world.run_until(minute(70));
        world.turn(false);
        let (runtime, disk) = (world.runtime.as_ref().unwrap(), &world.disk);
        world.oracle.follow(runtime, disk);
        assert_eq!(rang(&world, "pager"), pager, "{name}");
        assert_eq!(rang(&world, "managers"), managers, "{name}");
        world.all_is_closed();
    }
}

#[test]
fn row_50_a_silence_of_everything_must_be_meant() {
    let mut world = world();
    for everything in ["alertname=~\".+\"", "alertname=~\".*\",service=~\".*\"", "env!=\"nowhere\""] {
        let silence = silence(parse_matchers(everything).unwrap(), 0, 60);
        let refused = act(&mut world, Act::SetSilence(silence.clone()));
        assert!(matches!(&refused, Err(Refusal::Forbidden(why)) if why.contains("every alert")), "{everything}: {refused:?}");
        assert_eq!(world.handle().live().silences(), []);
        act(&mut world, Act::SetSilenceOfAll(silence)).unwrap();
        act(&mut world, Act::EndSilence(SilenceId(1))).unwrap();
        world = self::world();
    }
}
