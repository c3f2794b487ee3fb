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
mod file;
mod history;
mod lists;
