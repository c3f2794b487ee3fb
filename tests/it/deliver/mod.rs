//! Every receiver against a faithful fake of its vendor: what is opened, updated, acknowledged and resolved there, and what
//! becomes of an attempt under every fault. An attempt is one call of `deliver`; the outbox around it is tested with the daemon.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and so does what it stands on")]

mod email;
mod faults;
mod hostile;
mod pagerduty;
mod servicenow;
mod tls;
mod webhook;

use std::sync::Arc;

use quell::config::{Outbound, ReceiverConfig, ReceiverKind, Secret, ServicenowConfig};
use quell::deliver::{Context, Delivery, Fault, Message, Receiver, Timeouts, build, install_crypto};
use quell::model::{Alert, AlertRecord, Incident, IncidentId, Labels, Millis, NotificationKind, Reason, RuleRef, Severity, Time};

use crate::fakes::http::Server;
use crate::fakes::{Answer, PagerDuty, ServiceNow, Webhook};

pub(crate) const ROUTING_KEY: &str = "canaryROUTINGkey0123456789abcdef";
pub(crate) const WEBHOOK_SECRET: &str = "whsec_Y2FuYXJ5V0VCSE9PS2NhbmFyeVdFQkhPT0s=";
pub(crate) const BEARER: &str = "canaryBEARERtoken";
pub(crate) const PASSWORD: &str = "canaryPASSWORD";
pub(crate) const NOW: Time = Time(1_767_571_200_000);

/// The usual context, but for how long a call may take.
fn context(timeout: Millis) -> Context {
    install_crypto();
    Context { timeouts: Timeouts { pager: timeout, other: timeout, ..Timeouts::default() }, ..Context::new(Outbound::Open) }
}

fn receiver(kind: ReceiverKind, context: &Context) -> Box<dyn Receiver> {
    build(&ReceiverConfig { name: "under-test".into(), kind }, context).unwrap()
}

fn pagerduty_kind(url: String) -> ReceiverKind {
    ReceiverKind::Pagerduty { url, routing_key: Secret::new(ROUTING_KEY) }
}

fn webhook_kind(url: String) -> ReceiverKind {
    ReceiverKind::Webhook { url, secret: Some(Secret::new(WEBHOOK_SECRET)) }
}

fn alertmanager_kind(url: String) -> ReceiverKind {
    ReceiverKind::AlertmanagerWebhook { url, max_alerts: 0, send_resolved: true, bearer: Some(Secret::new(BEARER)) }
}

fn servicenow_kind(url: String) -> ReceiverKind {
    ReceiverKind::Servicenow(ServicenowConfig {
        url,
        user: "quell".into(),
        password: Secret::new(PASSWORD),
        assignment_group: Some("Database team".into()),
        caller_id: None,
        close_code: "Solution provided".into(),
        categories: vec![("business".into(), "orders".into())],
    })
}

/// A receiver's vendor.
enum Vendor {
    Pagerduty(PagerDuty),
    Webhook(Webhook),
    /// Anything that takes Alertmanager's webhooks: whatever group keys it heard are its objects.
    Alertmanager(Server),
    Servicenow(ServiceNow),
}

impl Vendor {
    fn all() -> Vec<Vendor> {
        vec![
            Vendor::Pagerduty(PagerDuty::start()),
            Vendor::Webhook(Webhook::start(Some(WEBHOOK_SECRET))),
            Vendor::Alertmanager(Server::start(|_| Answer::text(200, "ok"))),
            Vendor::Servicenow(ServiceNow::start("quell", PASSWORD)),
        ]
    }

    fn kind(&self) -> ReceiverKind {
        match self {
            Vendor::Pagerduty(fake) => pagerduty_kind(fake.url()),
            Vendor::Webhook(fake) => webhook_kind(fake.url()),
            Vendor::Alertmanager(server) => alertmanager_kind(format!("{}/am", server.url())),
            Vendor::Servicenow(fake) => servicenow_kind(fake.url()),
        }
    }

    fn server(&self) -> &Server {
        match self {
            Vendor::Pagerduty(fake) => fake.server(),
            Vendor::Webhook(fake) => fake.server(),
            Vendor::Alertmanager(server) => server,
            Vendor::Servicenow(fake) => fake.server(),
        }
    }

    /// How many different incidents it knows.
    fn objects(&self) -> usize {
        let different = |mut keys: Vec<String>| {
            keys.sort();
            keys.dedup();
            keys.len()
        };
        match self {
            Vendor::Pagerduty(fake) => fake.alerts().len(),
            Vendor::Webhook(fake) => {
                different(fake.events().iter().map(|event| event["data"]["incident"]["id"].to_string()).collect())
            }
            Vendor::Alertmanager(server) => {
                let keys =
                    server.requests().into_iter().filter_map(|request| request.json()["groupKey"].as_str().map(str::to_owned));
                different(keys.collect())
            }
            Vendor::Servicenow(fake) => fake.tickets().len(),
        }
    }

    /// Whether it can tell its own answers from something else's on the same address.
    fn is_strict(&self) -> bool {
        matches!(self, Vendor::Pagerduty(_) | Vendor::Servicenow(_))
    }

    fn name(&self) -> &'static str {
        match self {
            Vendor::Pagerduty(_) => "pagerduty",
            Vendor::Webhook(_) => "webhook",
            Vendor::Alertmanager(_) => "alertmanager_webhook",
            Vendor::Servicenow(_) => "servicenow",
        }
    }
}

/// A message on `INC-<number>`; notification `d0c5-<number>`.
fn message(kind: NotificationKind, number: u64) -> Message {
    let alert = |host: &str| alert(&[("alertname", "ReplicationLag"), ("host", host), ("severity", "critical")], "lags 40 s");
    Message {
        id: format!("d0c5-{number}"),
        key: format!("d0c5/INC-{number}"),
        kind,
        again: false,
        incident: Arc::new(incident(number)),
        alerts: vec![alert("db-1"), alert("db-2")],
        reason: "the policy page-dba says so".into(),
        actor: None,
        remote: None,
        attempts: 0,
        created_at: NOW,
        now: NOW,
        url: Some(format!("https://quell.example/incidents/INC-{number}")),
    }
}

fn alert(labels: &[(&str, &str)], summary: &str) -> Arc<AlertRecord> {
    let labels = Labels::from_pairs(labels.iter().copied()).unwrap();
    let alert = Alert {
        fingerprint: labels.fingerprint(),
        labels,
        annotations: Labels::from_pairs([("summary", summary)]).unwrap(),
        generator_url: "http://prometheus.example/graph".into(),
        source: "prometheus".into(),
        starts_at: NOW,
    };
    Arc::new(AlertRecord { incidents: [IncidentId(1)].into(), ..AlertRecord::firing(Arc::new(alert), 1, NOW) })
}

fn incident(number: u64) -> Incident {
    let mut incident = Incident::opened(
        IncidentId(number),
        RuleRef::new("database-cluster", "database.yaml", 3),
        "Database trouble in eu1".into(),
        17,
        NOW,
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
    incident.alerts_total = 2;
    incident.alerts_firing = 2;
    incident.window = Millis::minutes(10);
    incident.max_age = Millis::hours(24);
    incident
}

fn change(message: &mut Message, change: impl FnOnce(&mut Incident)) {
    change(Arc::make_mut(&mut message.incident));
}

/// A repeat of an attempt: same notification, one attempt more.
fn again(message: &Message) -> Message {
    Message { attempts: message.attempts + 1, ..message.clone() }
}

/// An attempt that must be taken; gives the receiver's own name for the incident.
async fn taken(receiver: &dyn Receiver, message: &Message) -> Option<String> {
    match receiver.deliver(message).await {
        Delivery::Taken { remote } => remote,
        other => panic!("{}: {other:?}", receiver.kind()),
    }
}

/// The fault of an attempt that must not be taken, and whether it is worth another.
fn fault_of(delivery: &Delivery) -> Option<(bool, Fault)> {
    match delivery {
        Delivery::Taken { .. } => None,
        Delivery::TryAgain { fault, .. } => Some((true, *fault)),
        Delivery::Refused { fault, .. } => Some((false, *fault)),
    }
}

fn error_of(delivery: &Delivery) -> &str {
    match delivery {
        Delivery::Taken { .. } => "",
        Delivery::TryAgain { error, .. } | Delivery::Refused { error, .. } => error,
    }
}
