//! A message to test receivers with.

use std::sync::Arc;

use super::Message;
use crate::model::{
    Alert, AlertRecord, AlertStatus, Incident, IncidentId, Labels, Millis, NotificationKind, Reason, RuleRef, Severity, Time,
};

/// 2026-01-05T00:00:00Z, a Monday.
pub(crate) const START: Time = Time(1_767_571_200_000);

/// A message on `INC-1042`, twelve minutes after it opened, with `alerts` alerts of fourteen.
pub(crate) fn message(kind: NotificationKind, alerts: usize) -> Message {
    let hosts = ["db-1", "db-2", "db-3", "db-4"];
    Message {
        id: "d0c5-7".into(),
        key: "d0c5/INC-1042".into(),
        kind,
        again: false,
        incident: Arc::new(incident()),
        alerts: (0..alerts)
            .map(|i| {
                let labels = [
                    ("alertname", "ReplicationLag"),
                    ("cluster", "eu1"),
                    ("host", hosts[i % hosts.len()]),
                    ("severity", "critical"),
                ];
                alert(&labels, &[("summary", "replica is 40 s behind")], true)
            })
            .collect(),
        reason: "the policy page-dba tells dba-pager at once".into(),
        actor: None,
        remote: None,
        attempts: 0,
        created_at: START,
        now: START + Millis::minutes(12),
        url: Some("https://quell.example/incidents/INC-1042".into()),
    }
}

/// An alert with these labels and annotations, firing since the start or resolved five minutes after it.
pub(crate) fn alert(labels: &[(&str, &str)], annotations: &[(&str, &str)], firing: bool) -> Arc<AlertRecord> {
    let labels = Labels::from_pairs(labels.iter().copied()).unwrap();
    let alert = Alert {
        fingerprint: labels.fingerprint(),
        labels,
        annotations: Labels::from_pairs(annotations.iter().copied()).unwrap(),
        generator_url: "http://prometheus.example/graph".into(),
        source: "prometheus".into(),
        starts_at: START,
    };
    Arc::new(AlertRecord {
        status: if firing { AlertStatus::Firing } else { AlertStatus::Resolved },
        ends_at: (!firing).then(|| START + Millis::minutes(5)),
        incidents: [IncidentId(1042)].into(),
        ..AlertRecord::firing(Arc::new(alert), 1, START)
    })
}

/// Changes the incident of a message.
pub(crate) fn change(message: &mut Message, change: impl FnOnce(&mut Incident)) {
    change(Arc::make_mut(&mut message.incident));
}

fn incident() -> Incident {
    let mut incident = Incident::opened(
        IncidentId(1042),
        RuleRef::new("database-cluster", "database.yaml", 3),
        "Database trouble in eu1".into(),
        17,
        START,
    );
    incident.priority = 1;
    incident.impact = 1;
    incident.urgency = 1;
    incident.priority_reason = Reason::Text("impact 1, urgency 1".into());
    incident.severity = Severity::Critical;
    incident.category = "database".into();
    incident.subcategory = Some("replication".into());
    incident.team = Some("dba".into());
    incident.services = vec!["checkout".into()].into();
    incident.labels = Labels::from_pairs([("cluster", "eu1")]).unwrap().into();
    incident.key = Labels::from_pairs([("cluster", "eu1")]).unwrap().into();
    incident.alerts_total = 14;
    incident.alerts_firing = 14;
    incident.window = Millis::minutes(10);
    incident.max_age = Millis::hours(24);
    incident
}
