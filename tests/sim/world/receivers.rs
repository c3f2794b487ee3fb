//! Receivers that fail in every way, over whole hours: rows 20 to 25 and 29 of the promises.

use quell::engine::Fact;
use quell::model::{Millis, NotificationKind, NotificationState};

use super::downstream::{MOODS, Mood};
use super::senders::{Senders, Series};
use super::{Faults, START, World};

/// Three incidents, each with a critical alert of its own; the second resolves after 25 minutes, the others last to the end.
fn world() -> World {
    let series = [1, 2, 3].map(|n| Series {
        name: format!("series{n}"),
        service: format!("service{n}"),
        critical: true,
        times: vec![(START + Millis::minutes(n), START + Millis::minutes(if n == 2 { 25 } else { 1_000 }))],
    });
    World::new(7, Senders::new(series.to_vec(), true), Faults::default())
}

/// Runs with one receiver in a mood for half an hour from the start, then well; then everything ends.
fn half_an_hour(name: &str, mood: Mood) -> World {
    let mut world = world();
    let receiver = world.downstreams.get_mut(name).unwrap();
    receiver.set_mood(START, mood);
    receiver.is_well_from(START + Millis::minutes(30));
    world.run_until(START + Millis::minutes(100));
    world.check();
    world.senders.all_end_by(world.now());
    world.settle(Millis::minutes(10));
    world.all_is_closed();
    world
}

/// What of the receiver's notifications is in this state now.
fn in_state(world: &World, receiver: &str, state: NotificationState) -> usize {
    let state_now = world.runtime.as_ref().unwrap().state();
    state_now.notifications().filter(|it| &*it.receiver == receiver && it.state == state).count()
}

fn dies(mood: Mood) -> bool {
    matches!(mood, Mood::Status(400 | 404 | 410 | 413, _))
}

#[test]
fn rows_20_to_24_whatever_a_pager_answers_every_page_arrives_or_stands_as_dead() {
    for mood in MOODS {
        let world = half_an_hour("pager", mood);
        let pager = &world.downstreams["pager"];
        let default = &world.downstreams["default"];
        for key in world.downstreams["chat"].rang.keys() {
            // While it is throttled for a day, it is asked again after an hour.
            assert_eq!(dies(mood), default.rang.contains_key(key), "{mood:?}: the last resort for {key}");
            assert!(dies(mood) || pager.rang.contains_key(key), "{mood:?}: {key} did not ring");
        }
        assert_eq!(in_state(&world, "pager", NotificationState::Dead) > 0, dies(mood), "{mood:?}");
        assert_eq!(world.oracle.count("incident_opened"), 3, "{mood:?}");
        // Nobody else is delayed.
        for seen in &world.downstreams["chat"].taken {
            let queued = world.oracle.lines.iter().find_map(|line| match &line.fact {
                Fact::NotificationQueued { notification: it } if it.id.0 == seen.id => Some(it.created_at),
                _ => None,
            });
            let late = seen.at.since(queued.unwrap());
            assert!(late <= Millis::seconds(6), "{mood:?}: the chat heard after {late}");
        }
    }
}

#[test]
fn row_22_a_refused_message_is_not_sent_again() {
    for mood in MOODS.into_iter().filter(|mood| dies(*mood)) {
        let world = half_an_hour("chat", mood);
        let mut attempts: Vec<u64> = world.downstreams["chat"].attempts.iter().map(|seen| seen.id).collect();
        let all = attempts.len();
        attempts.dedup();
        assert_eq!(attempts.len(), all, "{mood:?}");
    }
}

#[test]
fn row_21_a_throttling_receiver_is_left_alone_for_as_long_as_it_asks() {
    // What it asks for, and the shortest time that may pass between its first two attempts, in seconds.
    for (asks, from, to) in [("0", 1, 8), ("30", 30, 38), ("86400", 3_600, 3_610), ("soon", 0, 8)] {
        let mut world = world();
        world.downstreams.get_mut("pager").unwrap().set_mood(START, Mood::Status(429, asks));
        world.run_until(START + Millis::minutes(80));
        let attempts = &world.downstreams["pager"].attempts;
        let pause = attempts[1].at.since(attempts[0].at).0 / 1_000;
        assert!((from..=to).contains(&pause), "{asks:?}: {pause} s");
    }
}

#[test]
fn row_25_all_receivers_down_for_an_hour_lose_nothing_and_hear_it_in_order() {
    for mood in [Mood::Resets, Mood::Hangs, Mood::Status(503, ""), Mood::AnswerLost, Mood::TakesAndHangs] {
        let mut world = world();
        for receiver in world.downstreams.values_mut() {
            receiver.set_mood(START, mood);
            receiver.is_well_from(START + Millis::minutes(60));
        }
        world.run_until(START + Millis::minutes(59));
        world.check();
        world.run_until(START + Millis::minutes(75));
        world.check();
        for name in ["pager", "chat", "managers"] {
            assert_eq!(in_state(&world, name, NotificationState::Dead), 0, "{mood:?}: {name}");
            assert_eq!(in_state(&world, name, NotificationState::Queued), 0, "{mood:?}: {name}");
            assert_eq!(in_state(&world, name, NotificationState::Failed), 0, "{mood:?}: {name}");
            let rang: Vec<u32> = world.downstreams[name].rang.values().copied().collect();
            assert_eq!(rang, [1, 1, 1], "{mood:?}: {name}");
            // What was said in the hour and said again when it was over is one message, not four.
            let most = world.downstreams[name].taken.iter().filter(|seen| seen.incident == 1).count();
            assert!(mood != Mood::Resets || most <= 3, "{name} heard {most} times of INC-1");
        }
        world.senders.all_end_by(world.now());
        world.settle(Millis::minutes(10));
        world.all_is_closed();
    }
}

#[test]
fn row_29_nobody_acknowledges_and_it_is_said_again_and_never_ends_silently() {
    let mut world = world();
    world.run_until(START + Millis::hours(5));
    world.check();
    let pager = &world.downstreams["pager"];
    let said =
        |incident| pager.taken.iter().filter(move |seen| seen.incident == incident && seen.kind == NotificationKind::Trigger);
    // At once, and each 20 minutes behind the last word of the policy, which was the manager's step at 15 minutes.
    assert_eq!(said(1).count(), 1 + 14, "of INC-1");
    assert!(said(1).next_back().unwrap().at > START + Millis::minutes(275));
    assert_eq!(world.downstreams["managers"].rang.len(), 3);
}
