//! The view against a real file: round trips, repetition, failure, history, paging and readers beside the writer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{TimelineEntry, View, ViewBatch, ViewError, ViewReader};
use crate::engine::entity::{Changes, Meta};
use crate::engine::{Entity, Fact};
use crate::model::incident::IncidentStatus;
use crate::model::{
    Actor, Alert, AlertRecord, AlertStatus, Change, Fingerprint, Heartbeat, Incident, IncidentId, Labels, MatchOp, Matcher,
    MessageId, Millis, Notification, NotificationId, NotificationKind, NotificationState, Reason, RuleRef, Severity, Silence,
    SilenceId, TakenMessage, Time, Usual,
};

/// 2026-01-05T00:00:00Z.
pub(super) const START: Time = Time(1_767_571_200_000);

/// A view in a folder of its own.
struct Fixture {
    _folder: tempfile::TempDir,
    path: PathBuf,
    view: View,
}

impl Fixture {
    fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("view.db");
        let view = View::open(&path).unwrap();
        Fixture { _folder: folder, path, view }
    }

    fn reopen(&mut self) {
        self.view = View::open(&self.path).unwrap();
    }

    fn load(&mut self) -> (Meta, Vec<Entity>) {
        let mut entities = Vec::new();
        let meta = self.view.load(&mut |entity| entities.push(entity)).unwrap();
        (meta, entities)
    }

    fn reader(&self) -> ViewReader {
        ViewReader::open(&self.path).unwrap()
    }

    /// What the first column of `sql` holds, for a look at the file as people have it.
    fn ask(&self, sql: &str) -> Vec<String> {
        let connection = rusqlite::Connection::open(&self.path).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
        rows.map(|value| format!("{:?}", value.unwrap())).collect()
    }
}

pub(super) fn rule() -> RuleRef {
    RuleRef::new("database-cluster", "database.yaml", 12)
}

/// The alert of `host`, as it fired at `fired_seq`, in incident 1.
pub(super) fn alert(host: &str, fired_seq: u64) -> AlertRecord {
    let labels = Labels::from_pairs([("alertname", "HighLatency"), ("host", host)]).unwrap();
    let alert = Alert {
        fingerprint: labels.fingerprint(),
        labels,
        annotations: Labels::from_pairs([("summary", "slow")]).unwrap(),
        generator_url: "http://prometheus/graph".into(),
        source: "prometheus".into(),
        starts_at: START,
    };
    AlertRecord {
        incidents: [IncidentId(1)].into(),
        ..AlertRecord::firing(Arc::new(alert), fired_seq, START + Millis::seconds(fired_seq.cast_signed()))
    }
}

fn fingerprint(host: &str) -> Fingerprint {
    alert(host, 1).alert.fingerprint
}

fn resolved(host: &str, fired_seq: u64) -> AlertRecord {
    let record = alert(host, fired_seq);
    AlertRecord { status: AlertStatus::Resolved, ends_at: Some(record.fired_at + Millis::minutes(1)), ..record }
}

fn changed(id: u64, change: impl FnOnce(&mut Incident)) -> Incident {
    let mut incident = incident(id);
    change(&mut incident);
    incident
}

pub(super) fn incident(id: u64) -> Incident {
    let opened_at = START + Millis::seconds(id.cast_signed());
    let mut incident = Incident::opened(IncidentId(id), rule(), "Replication is late".into(), 3, opened_at);
    incident.priority = 2;
    incident.impact = 2;
    incident.urgency = 1;
    incident.priority_reason = Reason::Text("two hosts, critical".into());
    incident.severity = Severity::Critical;
    incident.category = "database".into();
    incident.subcategory = Some("replication".into());
    incident.team = Some("dba".into());
    incident.classified_by = Arc::new([Some(Reason::Rule(rule())), None, None]);
    incident.services = vec!["checkout".into()].into();
    incident.labels = Labels::from_pairs([("cluster", "eu1")]).unwrap().into();
    incident.key = Labels::from_pairs([("cluster", "eu1")]).unwrap().into();
    incident.alerts_total = 2;
    incident.alerts_firing = 1;
    incident.window = Millis::minutes(5);
    incident.max_age = Millis::hours(24);
    incident.resolve_after = Millis::minutes(5);
    incident
}

pub(super) fn notification(id: u64) -> Notification {
    Notification {
        id: NotificationId(id),
        incident: IncidentId(1),
        receiver: "dba-pager".into(),
        kind: NotificationKind::Trigger,
        reason: Reason::Rule(rule()),
        again: false,
        state: NotificationState::Queued,
        attempts: 0,
        created_at: START,
        delivered_at: None,
        retry_at: Some(START),
        error: None,
    }
}

fn usual(milli_per_hour: u32) -> Usual {
    Usual { rule: "storm".into(), key: Labels::default(), milli_per_hour, at: START }
}

pub(super) fn message(id: u128) -> TakenMessage {
    TakenMessage { source: "hooks".into(), id: MessageId(id), sent_at: None, until: START + Millis::hours(1) }
}

fn heartbeat() -> Heartbeat {
    let due = Some(START + Millis::hours(1));
    Heartbeat { name: "backup".into(), last_at: START, within: Millis::hours(1), due, missed_at: None }
}

fn change(id: &str) -> Change {
    Change {
        id: id.into(),
        kind: "deploy".into(),
        things: vec!["service/cart".into()],
        cluster: None,
        started_at: START,
        ended_at: None,
        summary: "cart v42".into(),
        url: "".into(),
        reported_by: "ci".into(),
        author: None,
        environment: None,
    }
}

pub(super) fn silence(id: u128) -> Silence {
    Silence {
        id: SilenceId(id),
        matchers: vec![Matcher::new("host", MatchOp::Matches, "a|b").unwrap()],
        starts_at: START,
        ends_at: START + Millis::hours(2),
        updated_at: START,
        created_by: "ann".into(),
        comment: "switch is replaced".into(),
    }
}

fn joined(host: &str) -> Fact {
    Fact::AlertJoined { incident: IncidentId(1), fingerprint: fingerprint(host), rule: rule() }
}

fn commented(text: &str) -> Fact {
    Fact::IncidentCommented { incident: IncidentId(1), text: text.into(), by: Actor::Person("ann".into()) }
}

/// A commit of `facts` from `first_seq` on.
fn batch(first_seq: u64, facts: Vec<Fact>, changes: Changes) -> ViewBatch {
    let seq = first_seq + facts.len() as u64 - 1;
    let time = START + Millis::seconds(seq.cast_signed());
    let meta = Meta { directory: "d1".into(), seq, time, last_incident: 1, last_notification: 1, rules_digest: Some(u64::MAX) };
    ViewBatch { first_seq, time, facts: Arc::new(facts), changes: Arc::new(changes), meta }
}

fn alerts(records: impl IntoIterator<Item = AlertRecord>) -> Changes {
    Changes { alerts: records.into_iter().map(Arc::new).collect(), ..Changes::default() }
}

/// One of everything, in two commits.
fn two_commits() -> [ViewBatch; 2] {
    let everything = Changes {
        alerts: vec![Arc::new(alert("a", 1)), Arc::new(alert("b", 2))],
        incidents: vec![Arc::new(incident(1))],
        notifications: vec![Arc::new(notification(1))],
        silences: vec![Arc::new(silence(7))],
        reported: vec![Arc::new(change("v42"))],
        usual: vec![Arc::new(usual(7_500))],
        messages: vec![Arc::new(message(1))],
        heartbeats: vec![Arc::new(heartbeat())],
        ..Changes::default()
    };
    [batch(1, vec![joined("a"), joined("b")], everything), batch(3, vec![commented("on it")], alerts([resolved("a", 1)]))]
}

fn texts(entries: &[TimelineEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.text.as_str()).collect()
}

#[test]
fn a_new_view_is_empty() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.load(), (Meta::default(), Vec::new()));
    assert_eq!(fixture.view.applied_seq(), 0);
}

#[test]
fn what_was_written_is_loaded_by_the_next_start() {
    let mut fixture = Fixture::new();
    let commits = two_commits();
    fixture.view.write(&commits).unwrap();
    fixture.reopen();
    let (meta, entities) = fixture.load();
    assert_eq!(meta, commits[1].meta);
    assert_eq!(fixture.view.applied_seq(), 3);
    let expected = [
        Entity::Incident(Arc::new(incident(1))),
        Entity::Alert(Arc::new(resolved("a", 1))),
        Entity::Alert(Arc::new(alert("b", 2))),
        Entity::Notification(Arc::new(notification(1))),
        Entity::Silence(Arc::new(silence(7))),
        Entity::Change(Arc::new(change("v42"))),
        Entity::Usual(Arc::new(usual(7_500))),
        Entity::Message(Arc::new(message(1))),
        Entity::Heartbeat(Arc::new(heartbeat())),
    ];
    assert_eq!(entities.len(), expected.len());
    for (entity, expected) in entities.iter().zip(&expected) {
        // Matchers have no equality.
        assert_eq!(format!("{entity:?}"), format!("{expected:?}"));
    }
}

#[test]
fn writing_again_changes_nothing() {
    let mut fixture = Fixture::new();
    let commits = two_commits();
    fixture.view.write(&commits).unwrap();
    let before = dump(&fixture.path);
    fixture.view.write(&commits).unwrap();
    fixture.view.write(&commits[..1]).unwrap();
    fixture.reopen();
    fixture.view.write(&commits).unwrap();
    assert_eq!(dump(&fixture.path), before);
    assert_eq!(fixture.reader().timeline(IncidentId(1), 0, 10).unwrap().len(), 3);
}

#[test]
fn a_commit_that_the_view_has_in_part_adds_only_the_rest() {
    let mut fixture = Fixture::new();
    fixture.view.write(&[batch(1, vec![commented("one"), commented("two")], Changes::default())]).unwrap();
    let longer = vec![commented("one"), commented("two"), commented("three")];
    fixture.view.write(&[batch(1, longer, Changes::default())]).unwrap();
    let entries = fixture.reader().timeline(IncidentId(1), 0, 10).unwrap();
    assert_eq!(texts(&entries), ["ann: one", "ann: two", "ann: three"]);
}

#[test]
fn a_deleted_view_written_again_has_the_same_rows() {
    // The same log in commits of other sizes and in other transactions.
    let commits = two_commits();
    let mut one_by_one = Fixture::new();
    for commit in &commits {
        one_by_one.view.write(std::slice::from_ref(commit)).unwrap();
    }
    let mut at_once = Fixture::new();
    at_once.view.write(&commits).unwrap();
    let everything_but_blocks = |fixture: &Fixture| {
        let mut rows = dump(&fixture.path);
        rows.retain(|row| !row.contains("_block") && !row.starts_with("alert"));
        rows.extend(fixture.ask("SELECT fired_seq || name || status || live || starts_at || coalesce(ends_at, '') FROM alerts"));
        rows
    };
    assert_eq!(everything_but_blocks(&one_by_one), everything_but_blocks(&at_once));
    let timeline = |fixture: &Fixture| fixture.reader().timeline(IncidentId(1), 0, 10).unwrap();
    assert_eq!(timeline(&one_by_one), timeline(&at_once));
    assert_eq!(format!("{:?}", one_by_one.load()), format!("{:?}", at_once.load()));
}

#[test]
fn a_failed_write_leaves_nothing_behind_and_may_be_repeated() {
    let mut fixture = Fixture::new();
    fixture.view.write(&two_commits()).unwrap();
    let before = dump(&fixture.path);
    // Somebody with sqlite3 makes the last table that a write touches refuse.
    let other = rusqlite::Connection::open(&fixture.path).unwrap();
    other.execute_batch("CREATE TRIGGER no BEFORE INSERT ON meta BEGIN SELECT raise(FAIL, 'no'); END").unwrap();
    let refired = batch(4, vec![joined("a")], alerts([alert("a", 4)]));
    fixture.view.write(std::slice::from_ref(&refired)).unwrap_err();
    assert_eq!(dump(&fixture.path), before);
    assert_eq!(fixture.view.applied_seq(), 3);
    other.execute_batch("DROP TRIGGER no").unwrap();
    fixture.view.write(&[refired]).unwrap();
    let live: Vec<u64> = live_alerts(&mut fixture);
    assert_eq!(live, [2, 4]);
}

/// `fired_seq` of the live alerts.
fn live_alerts(fixture: &mut Fixture) -> Vec<u64> {
    let (_, entities) = fixture.load();
    let seq = |entity| match entity {
        Entity::Alert(alert) => Some(alert.fired_seq),
        _ => None,
    };
    entities.into_iter().filter_map(seq).collect()
}

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

#[test]
fn a_reader_sees_whole_writes_while_the_writer_writes() {
    let mut fixture = Fixture::new();
    let two = Changes { incidents: (1..=2).map(|id| Arc::new(incident(id))).collect(), ..Changes::default() };
    fixture.view.write(&[batch(1, vec![commented("x")], two)]).unwrap();
    let reader = fixture.reader();
    let titles = |reader: &ViewReader| -> Vec<String> {
        reader.incidents(None, 10, &mut |_| true).unwrap().iter().map(|incident| incident.title.to_string()).collect()
    };
    let retitled = |id| Arc::new(changed(id, |it| it.title = "later".into()));
    let later = Changes { incidents: (1..=3).map(retitled).collect(), ..Changes::default() };
    let mut later = Some(batch(2, vec![commented("y")], later));
    let mut walked = Vec::new();
    let view = &mut fixture.view;
    // In the middle of the reader's walk the incident is changed that it comes to next, and one is added.
    let walk = reader.incidents(None, 10, &mut |incident| {
        if let Some(later) = later.take() {
            view.write(&[later]).unwrap();
        }
        walked.push(incident.title.to_string());
        true
    });
    assert_eq!(walk.unwrap().len(), 2);
    assert_eq!(walked, ["Replication is late"; 2]);
    assert_eq!(titles(&reader), ["later"; 3]);
}

#[test]
fn a_checkpoint_empties_the_write_ahead_file() {
    let mut fixture = Fixture::new();
    fixture.view.write(&two_commits()).unwrap();
    let wal = fixture.path.with_extension("db-wal");
    assert!(std::fs::metadata(&wal).unwrap().len() > 0);
    fixture.view.checkpoint().unwrap();
    assert_eq!(std::fs::metadata(&wal).unwrap().len(), 0);
    assert_eq!(fixture.reader().incident(IncidentId(1)).unwrap().unwrap(), incident(1));
}

#[test]
fn what_is_no_view_of_this_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("view.db");
    let sql = |statements: &str| rusqlite::Connection::open(&path).unwrap().execute_batch(statements).unwrap();
    let refused = |what: &str| {
        let error = View::open(&path).map(drop).unwrap_err();
        assert!(ViewReader::open(&path).is_err(), "{what}");
        error.to_string()
    };
    assert!(ViewReader::open(&path).is_err(), "a reader makes no file");

    drop(View::open(&path).unwrap());
    sql("PRAGMA user_version = 99");
    assert!(refused("newer").contains("schema 99"));

    std::fs::remove_file(&path).unwrap();
    sql("CREATE TABLE somebody_elses (x)");
    assert!(refused("foreign").contains("schema 0"));
    assert_eq!(
        rusqlite::Connection::open(&path).unwrap().query_row("SELECT count(*) FROM somebody_elses", [], |row| row.get(0)),
        Ok(0)
    );

    std::fs::write(&path, "this is no database, and long enough that SQLite does not take it for an empty one").unwrap();
    assert!(refused("damaged").contains("not a database"));
}

#[test]
fn a_damaged_record_is_named() {
    let mut fixture = Fixture::new();
    for commit in &two_commits() {
        fixture.view.write(std::slice::from_ref(commit)).unwrap();
    }
    let other = rusqlite::Connection::open(&fixture.path).unwrap();
    other.execute_batch("UPDATE alert SET state = x'ff' WHERE fired_seq = 1").unwrap();
    let error = fixture.view.load(&mut |_| ()).unwrap_err();
    assert!(matches!(error, ViewError::Record { table: "alert", row: 1, .. }), "{error}");
    other.execute_batch("UPDATE alert_block SET record_version = 99").unwrap();
    let error = fixture.view.load(&mut |_| ()).unwrap_err();
    assert!(matches!(error, ViewError::Record { table: "alert_block", row: 1, .. }), "{error}");
    other.execute_batch("UPDATE timeline_block SET entries = '['").unwrap();
    let error = fixture.reader().timeline(IncidentId(1), 0, 10).unwrap_err();
    assert!(matches!(error, ViewError::Timeline { incident: 1, .. }), "{error}");
}

#[test]
fn people_can_read_the_file() {
    let mut fixture = Fixture::new();
    fixture.view.write(&two_commits()).unwrap();
    let cases = [
        (
            "SELECT group_concat(name || ' ' || status || ' ' || fingerprint || ' ' || starts_at, ', ') FROM alerts WHERE status = 'resolved'",
            format!("HighLatency resolved {} 2026-01-05T00:00:00.000Z", fingerprint("a")),
        ),
        (
            "SELECT id || ' P' || priority || ' ' || team || ' ' || title FROM incidents",
            "INC-1 P2 dba Replication is late".into(),
        ),
        (
            "SELECT at || ' ' || kind || ' ' || text || ' ' || actor FROM timeline WHERE incident = 'INC-1' AND seq = 3",
            "2026-01-05T00:00:03.000Z incident_commented ann: on it ann".into(),
        ),
        ("SELECT reason FROM timeline WHERE seq = 1", r#"{"rule":"database-cluster","file":"database.yaml","line":12}"#.into()),
        (
            "SELECT receiver || ' ' || state || ' ' || created_at FROM notifications",
            "dba-pager queued 2026-01-05T00:00:00.000Z".into(),
        ),
        ("SELECT comment || ' ' || ends_at FROM silences", "switch is replaced 2026-01-05T02:00:00.000Z".into()),
    ];
    for (sql, expected) in cases {
        assert_eq!(fixture.ask(sql), [format!("{:?}", rusqlite::types::Value::Text(expected))], "{sql}");
    }
}

/// Every row of every table, as text.
fn dump(path: &Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut dump = Vec::new();
    for table in [
        "meta",
        "alert_block",
        "alert_block_live",
        "alert",
        "incident",
        "join_block",
        "member_block",
        "timeline_block",
        "notification",
        "silence",
        "change",
        "usual",
        "message",
    ] {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<String> = (0..columns).map(|column| cell(row.get(column).unwrap())).collect();
            dump.push(format!("{table} {values:?}"));
        }
    }
    dump
}

/// A value as text; bytes by their checksum, so that a failing test stays readable.
fn cell(value: rusqlite::types::Value) -> String {
    match value {
        rusqlite::types::Value::Blob(bytes) => format!("{} bytes {:08x}", bytes.len(), crc32fast::hash(&bytes)),
        other => format!("{other:?}"),
    }
}

mod blocks;
