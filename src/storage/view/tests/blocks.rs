//! Alerts in blocks: how many rows they take, and what becomes of single ones.

use super::*;
use crate::model::RulePlace;

/// A commit that the view has in part is applied once more. What it forgets must not count twice: the block would be taken for
/// history, and a start would miss what still lives in it.
#[test]
fn forgetting_twice_loses_no_neighbour() {
    let forget = |more: Vec<Fact>| {
        let facts = [vec![Fact::AlertForgotten { fingerprint: fingerprint("a") }], more].concat();
        batch(3, facts, Changes { forgotten_alerts: vec![fingerprint("a")], ..alerts([resolved("a", 1)]) })
    };
    for restart in [false, true] {
        let mut fixture = Fixture::new();
        fixture.view.write(&[batch(1, vec![commented("x"), commented("y")], alerts([alert("a", 1), alert("b", 2)]))]).unwrap();
        fixture.view.write(&[forget(Vec::new())]).unwrap();
        if restart {
            fixture.reopen();
        }
        fixture.view.write(&[forget(vec![commented("z")])]).unwrap();
        assert_eq!(live_alerts(&mut fixture), [2], "restart {restart}");
        fixture.reopen();
        assert_eq!(live_alerts(&mut fixture), [2], "restart {restart}");
    }
}

#[test]
fn many_alerts_lie_in_few_rows_and_change_one_by_one() {
    let mut fixture = Fixture::new();
    let hosts: Vec<String> = (1..=200).map(|n| n.to_string()).collect();
    let fired = hosts.iter().zip(1..).map(|(host, seq)| alert(host, seq));
    fixture.view.write(&[batch(1, (1..=200).map(|_| commented("x")).collect(), alerts(fired))]).unwrap();
    let blocks = fixture.ask("SELECT count(*) FROM alert_block").concat();
    assert!(["Integer(2)", "Integer(3)", "Integer(4)"].contains(&blocks.as_str()), "{blocks}");
    assert_eq!(fixture.ask("SELECT count(*) FROM alert"), ["Integer(0)"]);

    // One resolves, one is forgotten, one fires again.
    let again = AlertRecord { incidents: [IncidentId(1)].into(), ..alert("30", 201) };
    let changes = Changes { forgotten_alerts: vec![fingerprint("20")], ..alerts([resolved("10", 10), again.clone()]) };
    let facts = vec![Fact::AlertFired { alert: again.alert.clone() }];
    fixture.view.write(&[batch(201, facts, changes)]).unwrap();
    for restart in [false, true] {
        if restart {
            fixture.reopen();
        }
        let expected: Vec<u64> = (1..=201).filter(|seq| ![20, 30].contains(seq)).collect();
        assert_eq!(live_alerts(&mut fixture), expected);
        let reader = fixture.reader();
        let past = reader.alerts(None, None, 10, &mut |_| true).unwrap();
        assert_eq!(past, [alert("30", 30), alert("20", 20)]);
        let newest: Vec<u64> =
            reader.newest_alerts(60, &mut |record| record.fired_seq != 200).unwrap().iter().map(|it| it.fired_seq).collect();
        assert_eq!(newest, [201].into_iter().chain((141..200).rev()).collect::<Vec<u64>>());
        let members = reader.incident_alerts(IncidentId(1), 1_000).unwrap();
        assert_eq!((members.len(), &members[9], &members[200]), (201, &resolved("10", 10), &again));
    }
    let of_10 = |entity: &Entity| matches!(entity, Entity::Alert(record) if **record == resolved("10", 10));
    assert!(fixture.load().1.iter().any(of_10));

    // All go; with the last of a block's alerts, the block is history.
    let forgotten_alerts = hosts.iter().map(|host| fingerprint(host)).collect();
    fixture.view.write(&[batch(202, vec![commented("x")], Changes { forgotten_alerts, ..Changes::default() })]).unwrap();
    assert_eq!(live_alerts(&mut fixture), [0_u64; 0]);
    assert_eq!(fixture.ask("SELECT count(*) FROM alert_block_live"), ["Integer(0)"]);
    assert_eq!(fixture.view.forget(START + Millis::hours(1)).unwrap(), 201);
    assert_eq!(
        fixture.ask("SELECT count(*) FROM alert_block").concat() + &fixture.ask("SELECT count(*) FROM alert").concat(),
        "Integer(0)Integer(0)"
    );
}

/// A view that is written anew from a checkpoint gets alerts from all over the log, whose numbers lie as far apart as the log is
/// long.
#[test]
fn alerts_that_fired_long_ago_come_with_a_checkpoint() {
    let mut fixture = Fixture::new();
    let (long_ago, seq) = (7, 3_000_000_000_000);
    let state = batch(seq + 10, Vec::new(), alerts([alert("a", seq), alert("b", long_ago)]));
    fixture.view.write(&[state]).unwrap();
    assert_eq!(live_alerts(&mut fixture), [long_ago, seq]);
    fixture.view.write(&[batch(seq + 10, vec![commented("x")], alerts([alert("c", seq + 10)]))]).unwrap();
    assert_eq!(live_alerts(&mut fixture), [long_ago, seq, seq + 10]);
}

/// A block may be packed to less than a hundredth: however far that goes, whoever wants one alert must not unpack all of them.
#[test]
fn large_alerts_that_pack_well_do_not_share_a_block() {
    let mut fixture = Fixture::new();
    let large = |seq: u64| {
        let annotations = Labels::from_pairs([("dump", "x".repeat(60_000).as_str())]).unwrap();
        let record = alert(&seq.to_string(), seq);
        let said = Alert { annotations, generator_url: "y".repeat(40_000).into(), ..Alert::clone(&record.alert) };
        AlertRecord { alert: Arc::new(said), ..record }
    };
    let fired = (1..=40).map(large);
    fixture.view.write(&[batch(1, (1..=40).map(|_| commented("x")).collect(), alerts(fired))]).unwrap();
    fixture.reopen();
    assert_eq!(live_alerts(&mut fixture), (1..=40).collect::<Vec<u64>>());
    assert_eq!(fixture.ask("SELECT max(alerts) FROM alert_block"), ["Integer(1)"]);
}

/// Rows have numbers for names, and count from their first entry: the program and `sqlite3` must make the same of them.
#[test]
fn people_and_the_program_read_the_same() {
    let named = |seq: u64, pairs: &[(&str, &str)], source: &str, ends_at: Option<Time>| {
        let labels = Labels::from_pairs(pairs.iter().copied()).unwrap();
        let fingerprint = labels.fingerprint();
        let said = Alert { labels, fingerprint, source: source.into(), ..Alert::clone(&alert("x", seq).alert) };
        let status = if ends_at.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing };
        AlertRecord { alert: Arc::new(said), status, ends_at, ..alert("x", seq) }
    };
    let records = [
        named(1, &[("alertname", "Disk \"full\""), ("host", "a\\b")], "prometheus", None),
        named(3, &[("alertname", "Watchdog")], "prometheus", Some(START - Millis::hours(1))),
        named(5, &[("job", "node"), ("x", "no name")], "zabbix", None),
        named(7, &[("alertname", "Disk \"full\""), ("instance", "c:9100")], "zabbix", Some(START)),
        named(9, &[("alertname", "Disk \"full\""), ("host", "d")], "prometheus", None),
    ];
    let other: RuleRef = RulePlace { name: "other".into(), file: "".into(), line: 0 }.into();
    let mut facts = Vec::new();
    for (record, (incident, rule)) in records.iter().zip([(1, rule()), (2, rule()), (1, other.clone()), (1, rule()), (1, rule())])
    {
        facts.push(Fact::AlertFired { alert: record.alert.clone() });
        let fingerprint = record.alert.fingerprint;
        facts.push(Fact::AlertJoined { incident: IncidentId(incident), fingerprint, rule });
    }
    // One that is not known any more.
    facts.push(Fact::AlertJoined { incident: IncidentId(2), fingerprint: Fingerprint(0xabc), rule: other });
    let mut fixture = Fixture::new();
    fixture.view.write(&[batch(1, facts, alerts(records.clone()))]).unwrap();

    let reader = fixture.reader();
    let lines = |id: u64| -> Vec<String> {
        let entries = reader.timeline(IncidentId(id), 0, 100).unwrap();
        entries
            .iter()
            .map(|entry| format!("{} {} {} {}", entry.seq, entry.at, entry.text, entry.reason.as_ref().unwrap()))
            .collect()
    };
    let place = |line: u32| match line {
        0 => r#"{"rule":"other","file":null,"line":null}"#.to_owned(),
        line => format!(r#"{{"rule":"database-cluster","file":"database.yaml","line":{line}}}"#),
    };
    let by_rule = "(rule database-cluster, database.yaml:12)";
    let at = "2026-01-05T00:00:11.000Z";
    let unnamed = records[2].alert.fingerprint;
    assert_eq!(
        lines(1),
        [
            format!("2 {at} alert Disk \"full\" on host a\\b joined {by_rule} {}", place(12)),
            format!("6 {at} alert {unnamed} on job node joined (built-in rule other) {}", place(0)),
            format!("8 {at} alert Disk \"full\" on instance c:9100 joined {by_rule} {}", place(12)),
            format!("10 {at} alert Disk \"full\" on host d joined {by_rule} {}", place(12)),
        ]
    );
    assert_eq!(
        lines(2),
        [
            format!("4 {at} alert Watchdog joined {by_rule} {}", place(12)),
            format!("11 {at} alert 0000000000000abc joined (built-in rule other) {}", place(0)),
        ]
    );
    let asked = |sql: &str| fixture.ask(sql);
    let as_asked = |lines: Vec<String>| -> Vec<String> {
        lines.into_iter().map(|line| format!("{:?}", rusqlite::types::Value::Text(line))).collect()
    };
    for id in [1, 2] {
        let sql = format!(
            "SELECT seq || ' ' || at || ' ' || text || ' ' || reason FROM timeline WHERE incident = 'INC-{id}' ORDER BY seq"
        );
        assert_eq!(asked(&sql), as_asked(lines(id)));
        let sql = format!("SELECT fired_seq FROM members WHERE incident = 'INC-{id}' AND fired_seq NOT NULL ORDER BY 1");
        let members = reader.incident_alerts(IncidentId(id), 100).unwrap();
        assert!(members.len() >= 2 || id == 2, "{}", members.len());
        let members: Vec<String> = members.iter().map(|it| format!("Integer({})", it.fired_seq)).collect();
        assert_eq!(asked(&sql), members);
    }
    let expected = records.iter().map(|record| {
        let AlertRecord { alert, status, fired_seq, fired_at, ends_at, .. } = record;
        let (fingerprint, name, status) = (alert.fingerprint, alert.labels.get("alertname"), status.as_str());
        let ends_at = ends_at.map(|at| at.to_string()).unwrap_or_default();
        format!("{fired_seq} {fingerprint} {name} {status} {} {} {fired_at} {ends_at}", alert.source, alert.starts_at)
    });
    let sql = "SELECT fired_seq || ' ' || fingerprint || ' ' || name || ' ' || status || ' ' || source || ' ' || starts_at
        || ' ' || fired_at || ' ' || coalesce(ends_at, '') FROM alerts ORDER BY fired_seq";
    assert_eq!(asked(sql), as_asked(expected.collect()));
}
