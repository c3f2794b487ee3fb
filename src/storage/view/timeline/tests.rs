//! Every kind of line, as people read it.

use std::sync::Arc;

use super::{Context, RuleWords, join, joined_words, tell};
use crate::engine::Fact;
use crate::engine::entity::Changes;
use crate::model::alert::Step;
use crate::model::cause::Symptom;
use crate::model::incident::{IncidentType, MajorStep, PolicyRun, PolicyStep, SaidType, StepState};
use crate::model::{
    Actor, Alert, AlertKind, AlertRecord, Cause, CauseReason, Fingerprint, IncidentId, Labels, Millis, Notification,
    NotificationId, Reason, RuleRef, SilenceId, Suppression, SuppressionKind,
};
use crate::ruleset::SAME_SERVICE;
use crate::storage::view::tests::{START, alert, message, notification, rule, silence};

const INCIDENT: IncidentId = IncidentId(1);
const RULE_JSON: &str = r#"{"rule":"database-cluster","file":"database.yaml","line":12}"#;

/// A fact with what is told of it: text, actor, reason; `None` for a fact without a line.
type Case = (Fact, Option<(&'static str, Option<&'static str>, Option<&'static str>)>);

fn ann() -> Actor {
    Actor::Person("ann".into())
}

/// The alert of host a: in incidents 1 and 2.
fn known() -> AlertRecord {
    AlertRecord { incidents: [INCIDENT, IncidentId(2)].into(), ..alert("a", 1) }
}

/// That the alert of host a began to fire, by this source's word.
fn told(source: &str, annotations: &[(&str, &str)]) -> Fact {
    let annotations = Labels::from_pairs(annotations.iter().copied()).unwrap();
    let alert = Alert { source: source.into(), annotations, ..Alert::clone(&known().alert) };
    Fact::AlertFired { alert: Arc::new(alert) }
}

fn suppressed_by(kind: SuppressionKind, reason: Reason) -> Suppression {
    Suppression { kind, reason, until: None }
}

fn run() -> PolicyRun {
    let step = |after: Millis, notify: &[&str], unless_acknowledged| PolicyStep {
        due: START + after,
        notify: notify.iter().map(|name| (*name).into()).collect(),
        unless_acknowledged,
        state: StepState::Waiting,
    };
    PolicyRun {
        rule: rule(),
        started_at: START,
        steps: vec![step(Millis::ZERO, &["dba-pager"], false), step(Millis::minutes(15), &["dba-lead", "boss"], true)],
        update: Millis::minutes(5),
        repeat: None,
        resolved: false,
        update_due: None,
        last_update_at: None,
        repeat_due: None,
        paused_at: None,
        counts_from: None,
    }
}

fn check(cases: impl IntoIterator<Item = Case>, priority_before: Option<u8>) {
    let changes = Changes {
        alerts: vec![Arc::new(known()), Arc::new(AlertRecord { incidents: [].into(), ..alert("lonely", 2) })],
        notifications: vec![Arc::new(notification(1))],
        ..Changes::default()
    };
    let context = Context { priority_before, ..Context::of(&changes) };
    for (fact, expected) in cases {
        let told = tell(&fact, &context);
        let reason = told.as_ref().and_then(|told| told.reason.as_ref()).map(|reason| serde_json::to_string(reason).unwrap());
        let found = told.as_ref().map(|told| (told.text.as_str(), told.actor, reason.as_deref()));
        assert_eq!(found, expected, "{fact:?}");
    }
}

#[test]
fn causes() {
    let reasons = vec![
        CauseReason::Says { alert: "DiskFull".into(), symptom: Symptom::Saturated },
        CauseReason::Came { after: Millis::ZERO },
    ];
    let cause = |entity: &str| Cause { entity: entity.into(), score: 72, reasons: reasons.clone() };
    let found = |causes| Fact::IncidentCausesFound { incident: INCIDENT, causes: Arc::new(causes), runbook: None };
    let likeliest = "probable cause: service/cart-db (72): DiskFull says that it runs out of something; it alerted first, which the cause often does not";
    let others = format!("{likeliest}; less likely service/cart, host/a");
    let others: &'static str = others.leak();
    check(
        [
            (found(vec![]), None),
            (found(vec![cause("service/cart-db")]), Some((likeliest, None, None))),
            (found(vec![cause("service/cart-db"), cause("service/cart"), cause("host/a")]), Some((others, None, None))),
            (Fact::IncidentCausesPlanned { incident: INCIDENT, due: Some(START) }, None),
            (Fact::ChangeForgotten { change: "v42".into(), surplus: true }, None),
            (Fact::HeartbeatHeard { heartbeat: "backup".into(), within: Millis::hours(1), by: ann() }, None),
            (Fact::HeartbeatMissed { heartbeat: "backup".into(), rule: rule() }, None),
            (Fact::HeartbeatPlanned { heartbeat: "backup".into(), within: Millis::hours(1), due: None }, None),
            (
                told("report", &[("reporter", "ann"), ("description", "since noon")]),
                Some(("ann reports HighLatency on host a: since noon", Some("ann"), None)),
            ),
            (told("report", &[("reporter", "ann")]), Some(("ann reports HighLatency on host a", Some("ann"), None))),
            (told("heartbeat", &[("summary", "nothing was heard")]), Some(("nothing was heard", None, None))),
            (told("prometheus", &[]), None),
        ],
        None,
    );
}

#[test]
fn storms_and_major_incidents() {
    let by_rule = Some(RULE_JSON);
    let kind = || AlertKind { alertname: "DiskFull".into(), service: "cart".into() };
    let seen = |passed| Fact::StormKindSeen { incident: INCIDENT, of: kind(), passed };
    let (rule, within) = (rule(), Millis::minutes(1));
    let began = Fact::StormBegan {
        incident: INCIDENT,
        rule: rule.clone(),
        alerts: 100,
        usual: 3,
        level: 100,
        within,
        kinds: vec![kind()],
    };
    check(
        [
            (
                began,
                Some((
                    "a storm: 100 alerts within 1m, where 3 are usual (rule database-cluster, database.yaml:12)",
                    None,
                    by_rule,
                )),
            ),
            (seen(true), Some(("DiskFull on cart is new in the storm and goes on to the later rules", None, None))),
            (seen(false), Some(("DiskFull on cart is new in the storm and stays here: enough others have gone on", None, None))),
            (
                Fact::StormEnded { incident: INCIDENT, alerts: 49 },
                Some(("the storm is over: 49 alerts within its rule's time", None, None)),
            ),
            (
                Fact::IncidentMajor { incident: INCIDENT, step: MajorStep::Declared(Reason::Text("3 services".into())) },
                Some(("now a major incident: 3 services", None, Some(r#"{"text":"3 services"}"#))),
            ),
            (
                Fact::IncidentTypeSet { incident: INCIDENT, said: said(IncidentType::Major) },
                Some(("declared a major incident by ann: the press calls", Some("ann"), None)),
            ),
            (
                Fact::IncidentTypeSet { incident: INCIDENT, said: said(IncidentType::Normal) },
                Some(("declared no major incident by ann: the press calls", Some("ann"), None)),
            ),
            (
                Fact::IncidentDetached { incident: INCIDENT, parent: IncidentId(2) },
                Some(("INC-1 is no part of INC-2 any more, which is no major incident", None, None)),
            ),
            (
                Fact::MergeHeld { incident: INCIDENT, child: IncidentId(2), rule, merges: 1_000 },
                Some((
                    "INC-2 is not made a part of INC-1, nor are others: rule database-cluster, database.yaml:12 has merged 1000 incidents within an hour",
                    None,
                    Some(r#"{"rule":"database-cluster","file":"database.yaml","line":12}"#),
                )),
            ),
            (Fact::IncidentMajor { incident: INCIDENT, step: MajorStep::Planned(Some(START)) }, None),
            (Fact::MessageTaken { message: Arc::new(message(1)), most: 2 }, None),
            (Fact::UsualMeasured { rule: "r".into(), key: Labels::default(), milli_per_hour: 1, at: START }, None),
        ],
        None,
    );
}

#[test]
fn alerts() {
    let fingerprint = known().alert.fingerprint;
    let lonely = alert("lonely", 2).alert.fingerprint;
    let silenced = || Suppression {
        until: Some(START + Millis::hours(2)),
        ..suppressed_by(SuppressionKind::Silence, Reason::Silence(SilenceId(7)))
    };
    let inhibited = suppressed_by(SuppressionKind::Inhibition, Reason::Alert(Fingerprint(255), rule()));
    let by_rule = Some(RULE_JSON);
    check(
        [
            (Fact::AlertFired { alert: known().alert }, None),
            (Fact::AlertEnriched { fingerprint, labels: Labels::default(), rules: vec![rule()] }, None),
            (Fact::AlertWaiting { fingerprint, rule: rule(), key: Labels::default(), until: START }, None),
            (Fact::AlertWaitedInVain { fingerprint, rule: rule(), dropped: true }, None),
            (Fact::AlertForgotten { fingerprint }, None),
            // In words of its own, see below.
            (Fact::AlertJoined { incident: INCIDENT, fingerprint, rule: rule() }, None),
            (
                Fact::AlertSuppressed { fingerprint, by: silenced() },
                Some((
                    "alert HighLatency on host a is suppressed until 2026-01-05T02:00:00.000Z (silence 00000000-0000-0000-0000-000000000007)",
                    None,
                    Some(r#"{"silence":"00000000-0000-0000-0000-000000000007"}"#),
                )),
            ),
            (
                Fact::AlertSuppressed { fingerprint, by: inhibited },
                Some((
                    "alert HighLatency on host a is suppressed (inhibition: alert 00000000000000ff by rule database-cluster, database.yaml:12)",
                    None,
                    Some(r#"{"alert":"00000000000000ff","rule":"database-cluster","file":"database.yaml","line":12}"#),
                )),
            ),
            (
                Fact::AlertReleased { fingerprint, by: suppressed_by(SuppressionKind::Hold, Reason::Rule(rule())) },
                Some((
                    "alert HighLatency on host a is no longer suppressed (hold: rule database-cluster, database.yaml:12)",
                    None,
                    by_rule,
                )),
            ),
            (
                Fact::AlertFlapping {
                    fingerprint,
                    rule: rule(),
                    changes: 4,
                    within: Millis::minutes(10),
                    until_stable: Millis::minutes(15),
                },
                Some((
                    "alert HighLatency on host a flaps: 4 changes within 10m; it is quiet until it has been stable for 15m (rule database-cluster, database.yaml:12)",
                    None,
                    by_rule,
                )),
            ),
            (
                Fact::AlertLeft { incident: INCIDENT, fingerprint, rule: rule() },
                Some((
                    "alert HighLatency on host a fires again after so long that it is another matter (rule database-cluster, database.yaml:12)",
                    None,
                    by_rule,
                )),
            ),
            (
                Fact::IncidentAttached { incident: INCIDENT, parent: IncidentId(2), fingerprint, rule: rule() },
                Some((
                    "INC-1 is part of INC-2, because of alert HighLatency on host a (rule database-cluster, database.yaml:12)",
                    None,
                    by_rule,
                )),
            ),
            (
                Fact::SequenceStepped { fingerprint, rule: rule(), key: Labels::default(), step: 0, until: START },
                Some((
                    "alert HighLatency on host a is step 1 of a sequence (rule database-cluster, database.yaml:12)",
                    None,
                    by_rule,
                )),
            ),
            (
                Fact::SequenceStepped { fingerprint, rule: rule(), key: Labels::default(), step: Step::FIRING, until: START },
                Some((
                    "alert HighLatency on host a has begun to fire once more (rule database-cluster, database.yaml:12 counts that)",
                    None,
                    by_rule,
                )),
            ),
            (
                Fact::BeatMissed { incident: INCIDENT, fingerprint, rule: rule(), within: Millis::minutes(5) },
                Some((
                    "nothing was heard of HighLatency on host a for 5m (rule database-cluster, database.yaml:12)",
                    None,
                    by_rule,
                )),
            ),
            (
                Fact::AlertWaitedInVain { fingerprint, rule: rule(), dropped: false },
                Some((
                    "alert HighLatency on host a waited in vain for others like it (rule database-cluster, database.yaml:12)",
                    None,
                    by_rule,
                )),
            ),
            (
                Fact::AlertResolved { fingerprint, ends_at: START, expired: false },
                Some(("alert HighLatency on host a resolved", None, None)),
            ),
            (
                Fact::AlertResolved { fingerprint, ends_at: START, expired: true },
                Some(("alert HighLatency on host a expired: nothing was heard of it until 2026-01-05T00:00:00.000Z", None, None)),
            ),
            // In no incident, so in no timeline; and one that the commit does not know.
            (Fact::AlertSuppressed { fingerprint: lonely, by: silenced() }, None),
            (Fact::AlertResolved { fingerprint: Fingerprint(255), ends_at: START, expired: false }, None),
        ],
        None,
    );
}

#[test]
fn an_alert_stands_in_the_timelines_of_all_its_incidents() {
    let changes = Changes { alerts: vec![Arc::new(known())], ..Changes::default() };
    let context = Context::of(&changes);
    let fingerprint = known().alert.fingerprint;
    let resolved = Fact::AlertResolved { fingerprint, ends_at: START, expired: false };
    assert_eq!(tell(&resolved, &context).unwrap().incidents.as_slice(), [INCIDENT, IncidentId(2)]);
    // Joining is told only where it joined.
    let joined = Fact::AlertJoined { incident: IncidentId(2), fingerprint, rule: rule() };
    assert_eq!(join(&joined, &context).unwrap().incident, IncidentId(2));
    assert!(join(&resolved, &context).is_none());
}

#[test]
fn an_alert_that_joined() {
    let changes = Changes { alerts: vec![Arc::new(known())], ..Changes::default() };
    let context = Context::of(&changes);
    let words = |fingerprint, rule: RuleRef| {
        let fact = Fact::AlertJoined { incident: INCIDENT, fingerprint, rule: rule.clone() };
        let joined = join(&fact, &context).unwrap();
        (joined.fired_seq, joined_words(&joined.name.to_string(), &RuleWords(&rule).to_string()))
    };
    assert_eq!(
        words(known().alert.fingerprint, rule()),
        (Some(known().fired_seq), "alert HighLatency on host a joined (rule database-cluster, database.yaml:12)".into())
    );
    assert_eq!(
        words(known().alert.fingerprint, RuleRef::built_in(SAME_SERVICE)).1,
        "report HighLatency on host a joined, because the incident was open on its service"
    );
    let stranger = words(Fingerprint(255), RuleRef::built_in("default"));
    assert_eq!(stranger, (None, "alert 00000000000000ff joined (built-in rule default)".into()));
}

#[test]
fn an_alert_is_named_by_what_it_is_about() {
    // (labels, name)
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[("alertname", "Down"), ("job", "node"), ("instance", "10.0.0.1:9100")], "Down on instance 10.0.0.1:9100"),
        (&[("alertname", "Down"), ("service", "cart"), ("job", "node")], "Down on service cart"),
        (&[("alertname", "Watchdog")], "Watchdog"),
        (&[("host", "a")], "ba4432afcb5e31d4 on host a"),
    ];
    for (labels, name) in cases {
        let labels = Labels::from_pairs(labels.iter().copied()).unwrap();
        let fingerprint = labels.fingerprint();
        let record = alert("a", 1);
        let alert = crate::model::Alert { fingerprint, labels, ..(*record.alert).clone() };
        let changes = Changes { alerts: vec![Arc::new(AlertRecord { alert: Arc::new(alert), ..record })], ..Changes::default() };
        assert_eq!(super::AlertName::of(fingerprint, &Context::of(&changes)).to_string(), name);
    }
}

#[test]
fn incidents() {
    let opened = |recurrence_of| Fact::IncidentOpened {
        incident: INCIDENT,
        rule: rule(),
        key: Labels::default(),
        title: "Replication is late".into(),
        window: Millis::ZERO,
        max_age: Millis::ZERO,
        resolve_after: Millis::ZERO,
        recurrence_of,
        runbook: None,
    };
    let by_rule = Some(RULE_JSON);
    let all_resolved = || Reason::Text("all alerts resolved".into());
    check(
        [
            (opened(None), Some(("opened (rule database-cluster, database.yaml:12): Replication is late", None, by_rule))),
            (
                opened(Some(IncidentId(7))),
                Some((
                    "opened (rule database-cluster, database.yaml:12), a recurrence of INC-7: Replication is late",
                    None,
                    by_rule,
                )),
            ),
            (
                Fact::IncidentTitled { incident: INCIDENT, title: "Two hosts".into() },
                Some(("title is now: Two hosts", None, None)),
            ),
            (Fact::IncidentRetitlePlanned { incident: INCIDENT, due: START }, None),
            (Fact::IncidentFallPlanned { incident: INCIDENT, due: None }, None),
            (Fact::IncidentAcknowledged { incident: INCIDENT, by: ann() }, Some(("acknowledged by ann", Some("ann"), None))),
            (
                Fact::IncidentAssigned { incident: INCIDENT, assignee: Some("bob".into()), by: ann() },
                Some(("assigned to bob by ann", Some("ann"), None)),
            ),
            (
                Fact::IncidentAssigned { incident: INCIDENT, assignee: None, by: Actor::Receiver("tickets".into()) },
                Some(("assigned to nobody by tickets", Some("tickets"), None)),
            ),
            (
                Fact::IncidentCommented { incident: INCIDENT, text: "it is the switch".into(), by: ann() },
                Some(("ann: it is the switch", Some("ann"), None)),
            ),
            (Fact::IncidentResolvePlanned { incident: INCIDENT, due: Some(START) }, None),
            (
                Fact::IncidentResolved { incident: INCIDENT, reason: all_resolved(), close_due: START },
                Some(("resolved: all alerts resolved", None, Some(r#"{"text":"all alerts resolved"}"#))),
            ),
            (
                Fact::IncidentResolved { incident: INCIDENT, reason: Reason::Actor(ann()), close_due: START },
                Some(("resolved by ann", Some("ann"), None)),
            ),
            (
                Fact::IncidentReopened { incident: INCIDENT, reason: Reason::Rule(rule()) },
                Some(("reopened (rule database-cluster, database.yaml:12)", None, by_rule)),
            ),
            (
                Fact::IncidentClosed { incident: INCIDENT, reason: Reason::Actor(Actor::Engine) },
                Some(("closed by quell", Some("quell"), None)),
            ),
            (
                Fact::IncidentWithoutPolicy { incident: INCIDENT },
                Some(("nobody is told: no escalation rule fits, and no receiver is named default", None, None)),
            ),
        ],
        None,
    );
}

#[test]
fn classifications() {
    let other = || Reason::Rule(RuleRef::new("owners", "teams.yaml", 3));
    let ours = || Reason::Rule(rule());
    let text = || Reason::Text("by default".into());
    let classified = |subcategory: Option<&str>, team: Option<&str>, reasons: [Option<Reason>; 3]| Fact::IncidentClassified {
        incident: INCIDENT,
        category: "database".into(),
        subcategory: subcategory.map(Into::into),
        team: team.map(Into::into),
        reasons: reasons.into(),
    };
    check(
        [
            (classified(None, None, [None, None, None]), Some(("classified as database", None, None))),
            (
                classified(None, None, [Some(text()), None, None]),
                Some(("classified as database (by default)", None, Some(r#"{"text":"by default"}"#))),
            ),
            (
                classified(Some("replication"), Some("dba"), [Some(ours()), Some(ours()), Some(ours())]),
                Some((
                    "classified as database / replication, team dba (rule database-cluster, database.yaml:12)",
                    None,
                    Some(RULE_JSON),
                )),
            ),
            (
                classified(Some("replication"), Some("dba"), [Some(ours()), Some(ours()), Some(other())]),
                Some((
                    "classified as database / replication (rule database-cluster, database.yaml:12), team dba (rule owners, teams.yaml:3)",
                    None,
                    Some(RULE_JSON),
                )),
            ),
            (
                classified(Some("replication"), None, [Some(text()), Some(other()), None]),
                Some((
                    "classified as database (by default) / replication (rule owners, teams.yaml:3)",
                    None,
                    Some(r#"{"text":"by default"}"#),
                )),
            ),
        ],
        None,
    );
}

#[test]
fn priorities() {
    let set = |impact, reason| Fact::IncidentPrioritized { incident: INCIDENT, impact, urgency: 1, reason };
    let text = || Reason::Text("critical on a tier 1 service".into());
    let json = Some(r#"{"text":"critical on a tier 1 service"}"#);
    // (priority before, impact with urgency 1, what is told)
    let cases = [
        (None, 1, "priority is P1: critical on a tier 1 service"),
        (Some(2), 1, "priority raised to P1: critical on a tier 1 service"),
        (Some(2), 3, "priority lowered to P3: critical on a tier 1 service"),
        (Some(2), 2, "priority stays P2: critical on a tier 1 service"),
    ];
    for (before, impact, told) in cases {
        check([(set(impact, text()), Some((told, None, json)))], before);
    }
    let told = "priority is P2: impact 2, urgency 1 (rule database-cluster, database.yaml:12)";
    check([(set(2, Reason::Rule(rule())), Some((told, None, Some(RULE_JSON))))], None);
}

#[test]
fn escalations() {
    let stepped = |skipped| Fact::EscalationStepped { incident: INCIDENT, rule: "page-dba".into(), step: 1, skipped };
    let ended = |reason| Fact::EscalationEnded { incident: INCIDENT, rule: RuleRef::built_in("default receiver"), reason };
    let built_in = Some(r#"{"rule":"default receiver","file":null,"line":null}"#);
    let mut took_over = PolicyRun { counts_from: Some(START - Millis::minutes(1)), ..run() };
    took_over.steps[0].state = StepState::Done;
    took_over.steps.push(PolicyStep { state: StepState::Skipped, ..took_over.steps[1].clone() });
    check(
        [
            (
                Fact::EscalationStarted { incident: INCIDENT, run: Box::new(run()) },
                Some((
                    "escalation began (rule database-cluster, database.yaml:12): dba-pager at once, dba-lead and boss after 15m unless acknowledged",
                    None,
                    Some(RULE_JSON),
                )),
            ),
            (
                Fact::EscalationStarted { incident: INCIDENT, run: Box::new(took_over) },
                Some((
                    "escalation began (rule database-cluster, database.yaml:12): dba-pager told before, dba-lead and boss after 16m unless acknowledged, dba-lead and boss left out as it is acknowledged",
                    None,
                    Some(RULE_JSON),
                )),
            ),
            (
                ended(Reason::Rule(rule())),
                Some((
                    "escalation ended (built-in rule default receiver): rule database-cluster, database.yaml:12 fits now",
                    None,
                    built_in,
                )),
            ),
            (
                ended(Reason::Text("the rules have it no more".into())),
                Some(("escalation ended (built-in rule default receiver): the rules have it no more", None, built_in)),
            ),
            (stepped(false), None),
            (stepped(true), Some(("step 2 of page-dba left out: the incident is acknowledged", None, None))),
            (Fact::EscalationUpdatePlanned { incident: INCIDENT, rule: "page-dba".into(), due: START }, None),
            (Fact::EscalationTold { incident: INCIDENT, rule: "page-dba".into(), repeat_due: None }, None),
            (
                Fact::EscalationPaused { incident: INCIDENT, rule: "page-dba".into() },
                Some(("escalation page-dba pauses: every firing alert is suppressed", None, None)),
            ),
            (
                Fact::EscalationContinued { incident: INCIDENT, rule: "page-dba".into(), paused_for: Millis(600_123) },
                Some(("escalation page-dba goes on, 10m later than planned", None, None)),
            ),
        ],
        None,
    );
}

#[test]
fn notifications() {
    let id = NotificationId(1);
    let queued = |again| Fact::NotificationQueued { notification: Arc::new(Notification { again, ..notification(1) }) };
    let failed = |attempts| Fact::NotificationFailed {
        notification: id,
        attempts,
        error: "503 from the pager".into(),
        retry_at: START + Millis::seconds(4),
    };
    let told = "dba-pager could not be told (trigger), attempt 4: 503 from the pager; tried again at 2026-01-05T00:00:04.000Z";
    check(
        [
            (queued(false), Some(("dba-pager is to be told (trigger)", None, Some(RULE_JSON)))),
            (queued(true), Some(("dba-pager is to be told again (trigger)", None, Some(RULE_JSON)))),
            (
                Fact::NotificationDelivered { notification: id, attempts: 1, remote: None },
                Some(("dba-pager was told (trigger)", None, None)),
            ),
            (
                Fact::NotificationDelivered { notification: id, attempts: 1, remote: Some("INC0010002".into()) },
                Some(("dba-pager was told (trigger), there called INC0010002", None, None)),
            ),
            (failed(4), Some((told, None, None))),
            (failed(5), None),
            (
                Fact::NotificationDead { notification: id, attempts: 9, error: "401".into() },
                Some(("dba-pager was not told (trigger): given up after attempt 9: 401", None, None)),
            ),
            (
                Fact::NotificationRetried { notification: id, by: ann() },
                Some(("dba-pager is tried again (trigger), asked for by ann", Some("ann"), None)),
            ),
            (Fact::NotificationForgotten { notification: id }, None),
            (Fact::NotificationDelivered { notification: NotificationId(9), attempts: 1, remote: None }, None),
        ],
        None,
    );
}

#[test]
fn what_is_of_no_incident_stands_in_no_timeline() {
    check(
        [
            (Fact::Created { directory: "d1".into() }, None),
            (Fact::RulesLoaded { digest: 1, rules: 3 }, None),
            (Fact::SilenceSet { silence: Arc::new(silence(7)) }, None),
            (Fact::SilenceForgotten { silence: SilenceId(7) }, None),
        ],
        None,
    );
}

fn said(incident_type: IncidentType) -> SaidType {
    SaidType { incident_type, why: "the press calls".into(), by: Actor::Person("ann".into()) }
}
