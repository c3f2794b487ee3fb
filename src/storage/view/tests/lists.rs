//! What readers are given: lists by pages, timelines, entries.

use super::*;

#[test]
fn lists_are_paged_newest_first() {
    let mut fixture = Fixture::new();
    let hosts: Vec<String> = (1..=5).map(|n| n.to_string()).collect();
    let changes = Changes {
        incidents: (1..=5).map(|id| Arc::new(incident(id))).collect(),
        notifications: (1..=5).map(|id| Arc::new(notification(id))).collect(),
        forgotten_alerts: hosts.iter().map(|host| fingerprint(host)).collect(),
        ..alerts(hosts.iter().zip(1..).map(|(host, seq)| resolved(host, seq)))
    };
    fixture.view.write(&[batch(1, hosts.iter().map(|host| joined(host)).collect(), changes)]).unwrap();
    fixture.view.write(&[batch(6, vec![joined("live")], alerts([alert("live", 6)]))]).unwrap();
    let reader = fixture.reader();
    // (before, limit, the ids that are found; ids that divide by three are not kept)
    let cases: [(Option<u64>, usize, &[u64]); 5] =
        [(None, 10, &[5, 4, 2, 1]), (None, 2, &[5, 4]), (Some(4), 2, &[2, 1]), (Some(1), 2, &[]), (None, 0, &[])];
    for (before, limit, expected) in cases {
        let incidents = reader.incidents(before.map(IncidentId), limit, &mut |i| i.id.0 % 3 != 0).unwrap();
        assert_eq!(incidents.iter().map(|i| i.id.0).collect::<Vec<_>>(), expected, "incidents before {before:?}, {limit}");
        let alerts = reader.alerts(None, before, limit, &mut |a| a.fired_seq % 3 != 0).unwrap();
        assert_eq!(alerts.iter().map(|a| a.fired_seq).collect::<Vec<_>>(), expected, "alerts before {before:?}, {limit}");
        let notifications = reader.notifications(before, limit, &mut |n| n.id.0 % 3 != 0).unwrap();
        assert_eq!(
            notifications.iter().map(|n| n.id.0).collect::<Vec<_>>(),
            expected,
            "notifications before {before:?}, {limit}"
        );
    }
    let members = reader.incident_alerts(IncidentId(1), 3).unwrap();
    assert_eq!(members.iter().map(|a| a.fired_seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(reader.incident_alerts(IncidentId(2), 3).unwrap(), []);
}

#[test]
fn a_long_timeline_is_paged_over_many_rows() {
    let mut fixture = Fixture::new();
    for write in 0..3 {
        let facts = (1..=150).map(|n| commented(&format!("{}", write * 150 + n))).collect();
        fixture.view.write(&[batch(write * 150 + 1, facts, Changes::default())]).unwrap();
    }
    assert_eq!(fixture.ask("SELECT count(*) FROM timeline_block"), ["Integer(9)"]);
    let reader = fixture.reader();
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let page = reader.timeline(IncidentId(1), after, 70).unwrap();
        let Some(last) = page.last() else { break };
        after = last.seq;
        seen.extend(page.into_iter().map(|entry| entry.seq));
    }
    assert_eq!(seen, (1..=450).collect::<Vec<u64>>());
}

#[test]
fn an_entry_reads_back_whole() {
    let mut fixture = Fixture::new();
    let odd = "quote \" backslash \\ newline \n snow \u{2603} nul \0";
    fixture.view.write(&[batch(1, vec![joined("a"), commented(odd)], alerts([alert("a", 1)]))]).unwrap();
    let entries = fixture.reader().timeline(IncidentId(1), 0, 10).unwrap();
    let at = START + Millis::seconds(2);
    let expected = [
        TimelineEntry {
            seq: 1,
            at,
            kind: "alert_joined".into(),
            text: "alert HighLatency on host a joined (rule database-cluster, database.yaml:12)".into(),
            actor: None,
            reason: Some(r#"{"rule":"database-cluster","file":"database.yaml","line":12}"#.into()),
        },
        TimelineEntry {
            seq: 2,
            at,
            kind: "incident_commented".into(),
            text: format!("ann: {odd}"),
            actor: Some("ann".into()),
            reason: None,
        },
    ];
    assert_eq!(entries, expected);
}

#[test]
fn priorities_are_told_against_what_was_before() {
    let set = |impact| Fact::IncidentPrioritized {
        incident: IncidentId(1),
        impact,
        urgency: 1,
        reason: Reason::Text("critical".into()),
    };
    let mut fixture = Fixture::new();
    let with_priority =
        |priority| Changes { incidents: vec![Arc::new(changed(1, |it| it.priority = priority))], ..Changes::default() };
    fixture.view.write(&[batch(1, vec![set(2), set(1)], with_priority(1))]).unwrap();
    fixture.view.write(&[batch(3, vec![set(3), set(3)], with_priority(3))]).unwrap();
    let entries = fixture.reader().timeline(IncidentId(1), 0, 10).unwrap();
    let expected = [
        "priority is P2: critical",
        "priority raised to P1: critical",
        "priority lowered to P3: critical",
        "priority stays P3: critical",
    ];
    assert_eq!(texts(&entries), expected);
}
