//! What is live and what is history, and what becomes of it.

use super::*;

#[test]
fn of_each_alert_one_occurrence_is_live() {
    let forget = |first_seq: u64, facts: Vec<Fact>, records: Vec<AlertRecord>, hosts: &[&str]| {
        let forgotten_alerts = hosts.iter().map(|host| fingerprint(host)).collect();
        batch(first_seq, facts, Changes { forgotten_alerts, ..alerts(records) })
    };
    let forgotten = |host: &str| Fact::AlertForgotten { fingerprint: fingerprint(host) };
    let fired = |host: &str, seq| Fact::AlertFired { alert: alert(host, seq).alert };
    let first = || batch(1, vec![fired("a", 1), fired("b", 2)], alerts([alert("a", 1), alert("b", 2)]));
    // (what comes behind two firing alerts, the live ones then, the past occurrences of a)
    let cases: [(&str, ViewBatch, &[u64], &[u64]); 5] = [
        ("resolved", batch(3, vec![commented("x")], alerts([resolved("a", 1)])), &[1, 2], &[]),
        ("fired again", batch(3, vec![fired("a", 3)], alerts([alert("a", 3)])), &[2, 3], &[1]),
        ("forgotten", forget(3, vec![forgotten("a")], vec![], &["a"]), &[2], &[1]),
        ("forgotten with its last record", forget(3, vec![forgotten("a")], vec![resolved("a", 1)], &["a"]), &[2], &[1]),
        ("forgotten, fired again", forget(3, vec![forgotten("a"), fired("a", 4)], vec![alert("a", 4)], &["a"]), &[2, 4], &[1]),
    ];
    for (name, next, live, past) in cases {
        for together in [false, true] {
            for restart in [false, true] {
                let mut fixture = Fixture::new();
                if together {
                    fixture.view.write(&[first(), next.clone()]).unwrap();
                } else {
                    fixture.view.write(&[first()]).unwrap();
                    if restart {
                        fixture.reopen();
                    }
                    fixture.view.write(std::slice::from_ref(&next)).unwrap();
                }
                assert_eq!(live_alerts(&mut fixture), live, "{name}, together {together}, restart {restart}");
                let found = fixture.reader().alerts(Some(fingerprint("a")), None, 10, &mut |_| true).unwrap();
                let found: Vec<u64> = found.iter().map(|record| record.fired_seq).collect();
                assert_eq!(found, past, "{name}, together {together}, restart {restart}");
            }
        }
    }
}

#[test]
fn forgotten_records_are_history_and_not_loaded() {
    let mut fixture = Fixture::new();
    fixture.view.write(&two_commits()).unwrap();
    let forgotten = Changes {
        incidents: vec![Arc::new(Incident { status: IncidentStatus::Closed, ..incident(1) })],
        forgotten_alerts: vec![fingerprint("a"), fingerprint("b")],
        forgotten_incidents: vec![IncidentId(1)],
        forgotten_notifications: vec![NotificationId(1)],
        forgotten_silences: vec![SilenceId(7)],
        forgotten_reported: vec!["v42".into()],
        usual: vec![Arc::new(usual(0))],
        forgotten_messages: vec![("hooks".into(), MessageId(1))],
        forgotten_heartbeats: vec!["backup".into()],
        ..Changes::default()
    };
    fixture.view.write(&[batch(4, vec![commented("done")], forgotten)]).unwrap();
    assert_eq!(fixture.load().1, []);
    let reader = fixture.reader();
    assert_eq!(reader.incident(IncidentId(1)).unwrap().unwrap().status, IncidentStatus::Closed);
    assert_eq!(reader.incident(IncidentId(2)).unwrap(), None);
    assert_eq!(reader.alerts(None, None, 10, &mut |_| true).unwrap().len(), 2);
    assert_eq!(reader.notifications(None, 10, &mut |_| true).unwrap().len(), 1);
    assert_eq!(reader.timeline(IncidentId(1), 0, 10).unwrap().len(), 4);
}

#[test]
fn old_history_goes_and_nothing_else() {
    let mut fixture = Fixture::new();
    // Alerts 1 to 4 and incidents 1 to 4; the even ones are history. Ends are a minute behind the seconds of beginning.
    for id in 1..=4 {
        let is_history = id % 2 == 0;
        let fact = Fact::IncidentCommented { incident: IncidentId(id), text: "x".into(), by: Actor::Engine };
        let host = id.to_string();
        let changes = Changes {
            incidents: vec![Arc::new(incident(id))],
            notifications: vec![Arc::new(notification(id))],
            silences: vec![Arc::new(silence(u128::from(id)))],
            forgotten_alerts: is_history.then(|| fingerprint(&host)).into_iter().collect(),
            forgotten_incidents: is_history.then_some(IncidentId(id)).into_iter().collect(),
            forgotten_notifications: (id == 2).then_some(NotificationId(id)).into_iter().collect(),
            forgotten_silences: (id == 2).then_some(SilenceId(2)).into_iter().collect(),
            ..alerts([AlertRecord { incidents: [IncidentId(id)].into(), ..resolved(&host, id) }])
        };
        fixture.view.write(&[batch(id, vec![fact], changes)]).unwrap();
    }
    let keys = |fixture: &Fixture| {
        [
            "SELECT first_seq FROM alert_block",
            "SELECT id FROM incident",
            "SELECT incident FROM timeline_block ORDER BY 1",
            "SELECT DISTINCT incident FROM member_block ORDER BY 1",
            "SELECT id FROM notification",
            "SELECT rowid FROM silence",
        ]
        .map(|sql| {
            fixture.ask(sql).iter().map(|key| key.trim_matches(|c: char| !c.is_ascii_digit()).to_owned()).collect::<String>()
        })
    };
    let all = ["1234"; 6].map(str::to_owned);
    assert_eq!(fixture.view.forget(START).unwrap(), 0);
    assert_eq!(keys(&fixture), all);
    // Incident 2 ended, incident 4 did not yet; no alert ended.
    assert_eq!(fixture.view.forget(START + Millis::seconds(3)).unwrap(), 2);
    assert_eq!(keys(&fixture), ["1234", "134", "134", "134", "134", "1234"].map(str::to_owned));
    // Alert 2 ended 62 seconds behind the start, alert 4 64 seconds.
    assert_eq!(fixture.view.forget(START + Millis::seconds(63)).unwrap(), 2);
    assert_eq!(keys(&fixture), ["134", "13", "13", "13", "134", "1234"].map(str::to_owned));
    assert_eq!(fixture.view.forget(START + Millis::hours(1_000)).unwrap(), 2);
    assert_eq!(keys(&fixture), ["13", "13", "13", "13", "134", "134"].map(str::to_owned));
    assert_eq!(live_alerts(&mut fixture), [1, 3]);
}
