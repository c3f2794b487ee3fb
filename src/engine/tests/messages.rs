//! Messages that are taken once: what is remembered, for how long, and how many of it. And what a message says of how long its
//! alert fires.

use std::sync::Arc;

use super::story::{self, START, Story};
use crate::engine::{Answer, Engine, EngineOptions, Fact, Input, News, State};
use crate::model::{AlertStatus, MessageId, Millis, TakenMessage, Time};

fn message(source: &str, id: u128, until: Time) -> Input {
    Input::Message(Arc::new(TakenMessage { source: source.into(), id: MessageId(id), sent_at: None, until }))
}

fn ids(state: &State) -> Vec<(String, u128)> {
    let known = state.entities().filter_map(|entity| match entity {
        crate::engine::Entity::Message(message) => Some((message.source.to_string(), message.id.0)),
        _ => None,
    });
    known.collect()
}

#[test]
fn a_message_is_taken_once_until_it_is_forgotten() {
    let rules = Arc::default();
    let options = EngineOptions { messages_per_source: 2, ..EngineOptions::default() };
    let mut engine = Engine::new(State::new(), rules, options);
    let minute = |n: i64| START + Millis::minutes(n);
    let steps = [
        // At, source, id, until; the answer, and what is remembered then.
        (0, ("a", 1, 5), Answer::Done, "a1"),
        (1, ("a", 1, 9), Answer::Repeat, "a1"),
        (1, ("b", 1, 2), Answer::Done, "a1 b1"),
        // What is over is forgotten when any source has news, and may come again.
        (2, ("a", 2, 4), Answer::Done, "a1 a2"),
        (2, ("b", 1, 9), Answer::Done, "a1 a2 b1"),
        // A source has two at most: the first to be forgotten goes, and that of no other source.
        (3, ("a", 3, 8), Answer::Done, "a1 a3 b1"),
        (5, ("a", 1, 9), Answer::Done, "a1 a3 b1"),
    ];
    let mut past = Vec::new();
    for (at, (source, id, until), expected, known) in steps {
        let mut facts = Vec::new();
        let answer = engine.step(minute(at), message(source, id, minute(until)), &mut facts).unwrap();
        let now: Vec<String> = ids(engine.state()).iter().map(|(source, id)| format!("{source}{id}")).collect();
        assert_eq!((answer.clone(), now.join(" ").as_str()), (expected, known), "{source}{id} at {at}");
        assert_eq!(facts.len(), usize::from(answer == Answer::Done));
        past.extend(facts.into_iter().map(|fact| (minute(at), fact)));
    }
    let changes = engine.take_changes();
    let named = |source: &Arc<str>, id: MessageId| format!("{source}{}", id.0);
    let mut present: Vec<String> = changes.messages.iter().map(|message| named(&message.source, message.id)).collect();
    present.dedup();
    let forgotten: Vec<String> = changes.forgotten_messages.iter().map(|(source, id)| named(source, *id)).collect();
    assert_eq!((present.join(" "), forgotten.join(" ")), ("a1 b1 a3 a1".to_owned(), "a2".to_owned()));

    // Under another limit the past stays as it was: what is forgotten is in the fact.
    let mut replayed = State::new();
    for (seq, (at, fact)) in (1..).zip(&past) {
        replayed.apply(seq, *at, fact);
    }
    assert_eq!(ids(&replayed), ids(engine.state()));

    // And it lasts over a start.
    let mut state = State::new();
    engine.state().entities().for_each(|entity| state.add(entity));
    state.finish();
    let mut facts = Vec::new();
    let mut restarted = Engine::new(state, Arc::default(), EngineOptions::default());
    assert_eq!(restarted.step(minute(7), message("a", 3, minute(9)), &mut facts), Ok(Answer::Repeat));
    assert_eq!(restarted.step(minute(8), message("a", 3, minute(9)), &mut facts), Ok(Answer::Done));
}

#[test]
fn a_message_wakes_nobody() {
    let mut story = Story::new(Arc::default());
    let facts = story.step(START, message("a", 1, START + Millis::minutes(5)));
    assert_eq!(facts.iter().map(Fact::kind).collect::<Vec<_>>(), ["message_taken"]);
    assert!(facts[0].incident().is_none());
}

/// Its own time is that of one occurrence, as the last message that was news gave it; steps of sequences stay beside it.
#[test]
fn an_alert_has_its_own_time_while_it_fires() {
    let rules = "correlate:\n  - name: then\n    sequence: [{ match: ['a=\"1\"'] }, { match: ['a=\"2\"'] }]\n    within: 1h\n";
    let mut story = Story::new(story::rules(rules));
    let alert = story::alert("a=1", START);
    let day = Some(Millis::hours(24));
    let steps = [(AlertStatus::Firing, day, day), (AlertStatus::Resolved, None, day), (AlertStatus::Firing, None, None)];
    for (minute, (status, lasts, expected)) in (0..).zip(steps) {
        let at = START + Millis::minutes(minute);
        let ends_at = (status == AlertStatus::Resolved).then_some(at);
        story.step(at, Input::Alert(News { alert: alert.clone(), status, ends_at, lasts }));
        let record = story.engine.state().alert(alert.fingerprint).unwrap();
        assert_eq!(record.lasts(), expected, "{minute}");
        assert!(record.steps().count() > 0, "{minute}");
        story.restart();
    }
}

/// What begins before an end by its sender's word, and what comes of that end, which nobody knew when it came.
#[test]
fn an_end_that_nobody_knew_ends_what_has_begun_meanwhile() {
    let second = |n: i64| START + Millis::seconds(n);
    let cases = [
        ("nothing", None, Answer::Repeat),
        ("what began before it", Some(second(0)), Answer::New),
        ("what began with it", Some(second(10)), Answer::New),
        ("what began behind it", Some(second(11)), Answer::Repeat),
    ];
    for (name, starts_at, expected) in cases {
        let mut engine = Engine::new(State::new(), Arc::default(), EngineOptions::default());
        let alert = story::alert("alertname=A", starts_at.unwrap_or(START));
        let (fingerprint, source) = (alert.fingerprint, alert.source.clone());
        if starts_at.is_some() {
            let news = News { alert, status: AlertStatus::Firing, ends_at: None, lasts: None };
            engine.step(second(20), Input::Alert(news), &mut Vec::new()).unwrap();
        }
        let end = |ends_at: Time| Input::Ended { fingerprint, source: source.clone(), ends_at };
        assert_eq!(engine.step(second(20), end(second(10)), &mut Vec::new()), Ok(expected.clone()), "{name}");
        let ended = engine.state().alert(fingerprint).and_then(|record| record.ends_at);
        assert_eq!(ended, (expected == Answer::New).then_some(second(10)), "{name}");
        // Whoever's clock runs ahead ends it now.
        if starts_at.is_some() && expected == Answer::Repeat {
            assert_eq!(engine.step(second(30), end(second(90)), &mut Vec::new()), Ok(Answer::New), "{name}");
            let ended = engine.state().alert(fingerprint).and_then(|record| record.ends_at);
            assert_eq!(ended, Some(second(30)), "{name}");
        }
    }
}
