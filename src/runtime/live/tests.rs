use super::*;
use crate::config::{SourceConfig, SourceFormat};
use crate::model::Alert;

const T0: Time = Time(1_800_000_000_000);
const RAW: &str = r#"{"alertname":"A"}"#;

fn live() -> Live {
    let mut config = Config::default();
    let webhook = SourceConfig { name: "am".into(), format: SourceFormat::Alertmanager, ..SourceConfig::prometheus() };
    config.sources.push(webhook);
    Live::new(&config)
}

fn at(seconds: i64) -> Time {
    T0 + Millis::seconds(seconds)
}

fn record(source: &str, name: &str, seq: u64, starts_at: Time, ends_at: Option<Time>) -> Arc<AlertRecord> {
    let labels = Labels::from_pairs([("alertname", name)]).unwrap();
    let alert = Alert {
        fingerprint: labels.fingerprint(),
        labels,
        annotations: Labels::from_pairs([("summary", "first")]).unwrap(),
        generator_url: "".into(),
        source: source.into(),
        starts_at,
    };
    Arc::new(AlertRecord {
        status: if ends_at.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing },
        ends_at,
        ..AlertRecord::firing(Arc::new(alert), seq, starts_at)
    })
}

fn publish(live: &Live, record: Arc<AlertRecord>, now: Time) -> Fingerprint {
    let fingerprint = record.alert.fingerprint;
    live.publish(&Changes { alerts: vec![record], ..Changes::default() }, now);
    fingerprint
}

fn firing(starts_at: Time, now: Time, ends_at: Option<Time>) -> Heard {
    Heard {
        status: AlertStatus::Firing,
        starts_at,
        ends_at: Time::EPOCH,
        expires_at: ends_at.unwrap_or(now + Millis::minutes(5)),
        by_timeout: ends_at.is_none(),
        dated: false,
        wording: 1,
        now,
    }
}

fn word(fingerprint: Fingerprint, heard: Heard) -> Word {
    Word { fingerprint, raw_key: None, heard }
}

fn resolved(starts_at: Time, ends_at: Time) -> Heard {
    Heard { status: AlertStatus::Resolved, ends_at, ..firing(starts_at, ends_at, None) }
}

/// One line of the module's table each: what is known, what is said, what it is.
#[test]
fn news_and_repeats() {
    let dated = |heard: Heard| Heard { dated: true, ..heard };
    let known_firing = Some(None);
    let known_resolved = Some(Some(at(100)));
    let cases = [
        ("unknown fires", None, firing(at(0), at(1), None), Seen::Unknown),
        ("unknown resolves", None, resolved(at(0), at(1)), Seen::Unknown),
        ("fires again", known_firing, firing(at(0), at(60), None), Seen::Repeat),
        ("the other of a pair, 15 s later", known_firing, firing(at(15), at(60), Some(at(300))), Seen::Repeat),
        ("resolves", known_firing, resolved(at(0), at(60)), Seen::News),
        ("an older occurrence's resolve, late by 10 min", known_firing, resolved(at(-900), at(-600)), Seen::Repeat),
        ("resolves again", known_resolved, resolved(at(0), at(100)), Seen::Repeat),
        ("fires anew", known_resolved, firing(at(200), at(201), None), Seen::News),
        ("the other of a pair still fires", known_resolved, firing(at(0), at(110), Some(at(400))), Seen::News),
        ("a late word on what has ended", known_resolved, dated(firing(at(0), at(700), None)), Seen::Repeat),
        ("a dated new occurrence", known_resolved, dated(firing(at(150), at(151), None)), Seen::News),
    ];
    for (name, known, heard, expected) in cases {
        let live = live();
        let mut fingerprint = record("prometheus", "A", 1, at(0), None).alert.fingerprint;
        if let Some(ends_at) = known {
            fingerprint = publish(&live, record("prometheus", "A", 1, at(0), None), at(0));
            live.learn([&word(fingerprint, firing(at(0), at(0), None))].into_iter());
            publish(&live, record("prometheus", "A", 1, at(0), ends_at), ends_at.unwrap_or(at(0)));
        }
        let key = live.raw_key(live.source_key("prometheus"), RAW);
        assert_eq!(live.known(key), None, "{name}");
        assert_eq!(live.seen(fingerprint, &heard), expected, "{name}");
        live.remember(fingerprint, key);
        assert_eq!(live.known(key), known.map(|_| fingerprint), "{name}");
        let repeats = u32::from(known.is_some() && expected == Seen::Repeat);
        assert_eq!(live.alert(fingerprint).map_or(0, |entry| entry.repeats), repeats, "{name}");
    }
}

#[test]
fn an_expired_alert_takes_any_word() {
    let live = live();
    let fingerprint = publish(&live, record("prometheus", "A", 1, at(0), None), at(0));
    publish(&live, record("prometheus", "A", 1, at(0), Some(at(300))), at(301));
    let heard = Heard { dated: true, ..firing(at(0), at(400), None) };
    assert_eq!(live.seen(fingerprint, &heard), Seen::News);
}

/// Alertmanager's merge: (sender's end or timeout, at which second) in order, and the expiry behind them.
#[test]
fn expiry_moves_as_alertmanager_moves_it() {
    type Word = (Option<i64>, i64);
    let cases: [(&[Word], i64); 5] = [
        (&[(Some(240), 0), (Some(300), 60)], 300),
        (&[(Some(240), 0), (Some(200), 1)], 240),
        (&[(None, 0), (Some(200), 1)], 200),
        (&[(Some(900), 0), (None, 60)], 900),
        (&[(None, 0), (None, 60)], 360),
    ];
    for (words, expected) in cases {
        let live = live();
        let fingerprint = publish(&live, record("prometheus", "A", 1, at(0), None), at(0));
        for (i, (end, now)) in words.iter().enumerate() {
            let heard = firing(at(0), at(*now), end.map(at));
            if i == 0 {
                live.learn([&word(fingerprint, heard)].into_iter());
            } else {
                assert_eq!(live.seen(fingerprint, &heard), Seen::Repeat);
            }
        }
        assert_eq!(live.alert(fingerprint).unwrap().expires_at, at(expected), "{words:?}");
        assert_eq!(live.expired(at(expected - 1)), []);
        assert_eq!(live.expired(at(expected)), [(fingerprint, at(expected))]);
        assert_eq!(live.expired(at(expected)).len(), 1, "until the engine has resolved it");
        publish(&live, record("prometheus", "A", 1, at(0), Some(at(expected))), at(expected));
        assert_eq!(live.expired(at(expected + 1)), []);
    }
}

#[test]
fn senders_that_say_resolved_themselves_never_expire() {
    let live = live();
    publish(&live, record("am", "A", 1, at(0), None), at(0));
    publish(&live, record("gone", "B", 2, at(0), None), at(0));
    let expired = live.expired(at(1_000_000));
    assert_eq!(expired, [(record("gone", "B", 2, at(0), None).alert.fingerprint, at(300))]);
}

#[test]
fn the_newest_wording_is_kept_and_asked_for_once() {
    let live = live();
    let fingerprint = publish(&live, record("prometheus", "A", 1, at(0), None), at(0));
    let heard = Heard { wording: 7, ..firing(at(-15), at(1), None) };
    assert_eq!(live.seen(fingerprint, &heard), Seen::Reworded);
    let wording = Wording { annotations: Labels::from_pairs([("summary", "second")]).unwrap(), generator_url: "u".into() };
    live.reword(fingerprint, 7, wording);
    assert_eq!(live.seen(fingerprint, &heard), Seen::Repeat);
    let entry = live.alert(fingerprint).unwrap();
    assert_eq!((entry.annotations().get("summary"), entry.generator_url(), entry.starts_at), ("second", "u", at(-15)));
    // What is as it was at first takes no room.
    live.reword(fingerprint, 8, Wording { annotations: entry.record.alert.annotations.clone(), generator_url: "".into() });
    assert_eq!(live.alert(fingerprint).unwrap().annotations().get("summary"), "first");
    // A new occurrence begins with its own words.
    publish(&live, record("prometheus", "A", 9, at(500), None), at(500));
    let entry = live.alert(fingerprint).unwrap();
    assert_eq!((entry.repeats, entry.starts_at, entry.expires_at), (0, at(500), at(800)));
}

#[test]
fn label_texts_are_few_and_go_with_their_alert() {
    let live = live();
    let fingerprint = publish(&live, record("prometheus", "A", 1, at(0), None), at(0));
    let source = live.source_key("prometheus");
    let keys: Vec<u64> = (0..10).map(|i| live.raw_key(source, &" ".repeat(i))).collect();
    for key in &keys {
        live.remember(fingerprint, *key);
    }
    assert_eq!(live.raw.len(), RAW_KEYS);
    assert_eq!((live.known(keys[0]), live.known(keys[9])), (None, Some(fingerprint)));
    // The same bytes of another source are another key: it may add labels of its own.
    assert_ne!(keys[9], live.raw_key(live.source_key("am"), &" ".repeat(9)));
    live.publish(&Changes { forgotten_alerts: vec![fingerprint], ..Changes::default() }, at(2));
    assert_eq!((live.raw.len(), live.alerts.len(), live.firing()), (0, 0, 0));
}

#[test]
fn counts_follow_the_records() {
    let live = live();
    let steps = [
        (record("prometheus", "A", 1, at(0), None), 1, 1),
        (record("am", "B", 2, at(0), None), 2, 1),
        (record("prometheus", "A", 1, at(0), None), 2, 1),
        (record("prometheus", "A", 1, at(0), Some(at(5))), 1, 0),
        (record("prometheus", "A", 3, at(9), None), 2, 1),
    ];
    for (record, firing, of_prometheus) in steps {
        publish(&live, record, at(0));
        assert_eq!((live.firing(), live.firing_of("prometheus"), live.suppressed()), (firing, of_prometheus, 0));
    }
    assert_eq!(live.alerts(|entry| &*entry.record.alert.source == "am").len(), 1);
}

/// Half a million entries must leave room for their records within a kilobyte each.
#[test]
fn entries_are_flat() {
    assert!(size_of::<Entry>() <= 96, "{}", size_of::<Entry>());
}

/// Row 47: however often it is said, and by however many at once, it is one occurrence, and every word of it is counted.
#[test]
fn a_million_repeats_are_one_occurrence_and_each_is_counted() {
    const SENDERS: u32 = 4;
    const EACH: u32 = 250_000;
    let live = live();
    let fingerprint = publish(&live, record("prometheus", "A", 7, T0, None), T0);
    live.remember(fingerprint, live.raw_key(1, RAW));
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                for n in 0..EACH {
                    let known = live.known(live.raw_key(1, RAW));
                    assert_eq!(known, Some(fingerprint));
                    let heard = Heard { wording: 0, ..firing(T0, at(i64::from(n) / 10_000), None) };
                    assert_eq!(live.seen(fingerprint, &heard), Seen::Repeat);
                }
            });
        }
    });
    let entries = live.alerts(|_| true);
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!((entry.repeats, entry.record.fired_seq, live.firing()), (SENDERS * EACH, 7, 1));
    assert_eq!((entry.last_seen, entry.starts_at), (at(24), T0));
}

/// Whatever its sender and its source believe: a beat is missed after its rule's time, counted from the last word.
#[test]
fn a_beat_has_its_rules_time() {
    let live = live();
    let beat = |seq, within| {
        let rule = crate::model::RuleRef::built_in("heartbeat");
        let beat = crate::model::alert::Beat { rule, key: Labels::default(), within: Millis::seconds(within), due: None };
        Arc::new(AlertRecord { beat: Some(Box::new(beat)), ..(*record("am", "Watchdog", seq, at(0), None)).clone() })
    };
    let expires = |live: &Live, fingerprint| live.alert(fingerprint).unwrap().expires_at;
    // A source that has no timeout of its own.
    let fingerprint = publish(&live, beat(1, 60), at(0));
    assert_eq!(expires(&live, fingerprint), at(60));
    live.learn([&word(fingerprint, firing(at(0), at(0), Some(at(900))))].into_iter());
    assert_eq!(expires(&live, fingerprint), at(60), "the sender's word that it lasts for 15 minutes");
    assert_eq!(live.seen(fingerprint, &firing(at(0), at(50), Some(at(950)))), Seen::Repeat);
    assert_eq!(live.expired(at(109)), []);
    assert_eq!(live.expired(at(110)), [(fingerprint, at(110))]);
    // Another record of the same occurrence moves nothing; a rule that was changed gives its whole time.
    publish(&live, beat(1, 60), at(70));
    assert_eq!(expires(&live, fingerprint), at(110));
    publish(&live, beat(1, 300), at(80));
    assert_eq!(expires(&live, fingerprint), at(380));
}

#[test]
fn a_text_that_had_to_go_and_came_again_is_known() {
    let live = live();
    let fingerprint = publish(&live, record("prometheus", "A", 1, T0, None), T0);
    let texts = |keys: &[u64]| -> Vec<Word> {
        keys.iter().map(|key| Word { raw_key: Some(*key), ..word(fingerprint, firing(T0, T0, None)) }).collect()
    };
    for (said, known) in [(vec![1, 2, 3], [2, 3]), (vec![4, 5, 6, 4], [4, 6])] {
        live.learn(texts(&said).iter());
        let found: Vec<u64> = (1..8).filter(|key| live.known(*key) == Some(fingerprint)).collect();
        assert_eq!(found, known, "{said:?}");
        assert_eq!(live.all_known(&[1, 2, 3, 4, 5, 6, 7]).iter().flatten().count(), 2);
    }
}
