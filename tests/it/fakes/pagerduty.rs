//! PagerDuty's Events API v2: alerts by routing key and `dedup_key`, its limits on lengths, sizes and calls per minute.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::{Answer, Fault, Request, Server};

const CALLS_PER_MINUTE: usize = 120;

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PagerStatus {
    Triggered,
    Acknowledged,
    Resolved,
}

/// An alert there.
#[derive(Clone, Debug)]
pub(crate) struct PagerAlert {
    pub(crate) dedup_key: String,
    pub(crate) status: PagerStatus,
    /// Triggers that it took, the first included. Only the first of an alert pages.
    pub(crate) triggers: usize,
    /// The newest trigger's payload.
    pub(crate) payload: Value,
}

#[derive(Default)]
struct Account {
    alerts: Vec<(String, PagerAlert)>,
    calls: BTreeMap<String, VecDeque<Instant>>,
}

/// The service.
pub(crate) struct PagerDuty {
    server: Server,
    account: Arc<Mutex<Account>>,
}

impl PagerDuty {
    /// Starts one that knows every routing key of 32 characters.
    pub(crate) fn start() -> PagerDuty {
        let account = Arc::new(Mutex::new(Account::default()));
        let shared = account.clone();
        PagerDuty { server: Server::start(move |request| enqueue(&mut shared.lock().unwrap(), request)), account }
    }

    /// Where events go.
    pub(crate) fn url(&self) -> String {
        format!("{}/v2/enqueue", self.server.url())
    }

    /// The server beneath, for its record of requests.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    pub(crate) fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.server.script(faults);
    }

    /// Every alert ever opened, in order of opening.
    pub(crate) fn alerts(&self) -> Vec<PagerAlert> {
        self.account.lock().unwrap().alerts.iter().map(|(_, alert)| alert.clone()).collect()
    }

    /// Those that are not resolved.
    pub(crate) fn open_alerts(&self) -> Vec<PagerAlert> {
        self.alerts().into_iter().filter(|alert| alert.status != PagerStatus::Resolved).collect()
    }
}

fn enqueue(account: &mut Account, request: &Request) -> Answer {
    if (request.method.as_str(), request.path.as_str()) != ("POST", "/v2/enqueue") {
        return Answer::text(404, "not found");
    }
    if request.body.len() > 512_000 {
        return Answer::json(413, &json!({ "status": "event too large" }));
    }
    let event = request.json();
    let faults = faults(&event);
    if !faults.is_empty() {
        return Answer::json(400, &json!({ "status": "invalid event", "message": "Event object is invalid", "errors": faults }));
    }
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let (routing_key, dedup_key) = (text("routing_key"), text("dedup_key"));
    if is_too_often(account.calls.entry(routing_key.clone()).or_default()) {
        return Answer::json(
            429,
            &json!({ "status": "throttle exceeded", "message": "Requests for this service are arriving too quickly" }),
        );
    }
    let open = account
        .alerts
        .iter_mut()
        .find(|(key, alert)| *key == routing_key && alert.dedup_key == dedup_key && alert.status != PagerStatus::Resolved)
        .map(|(_, alert)| alert);
    match (text("event_action").as_str(), open) {
        ("trigger", Some(alert)) => {
            alert.triggers += 1;
            alert.payload = event["payload"].clone();
        }
        ("trigger", None) => {
            let alert = PagerAlert {
                dedup_key: dedup_key.clone(),
                status: PagerStatus::Triggered,
                triggers: 1,
                payload: event["payload"].clone(),
            };
            account.alerts.push((routing_key, alert));
        }
        ("acknowledge", Some(alert)) => alert.status = PagerStatus::Acknowledged,
        ("resolve", Some(alert)) => alert.status = PagerStatus::Resolved,
        // Accepted and dropped, as the real one does.
        _ => {}
    }
    Answer::json(202, &json!({ "status": "success", "message": "Event processed", "dedup_key": dedup_key }))
}

fn faults(event: &Value) -> Vec<String> {
    let mut faults = vec![];
    let mut check = |good: bool, fault: &str| {
        if !good {
            faults.push(fault.to_owned());
        }
    };
    let length = |value: &Value| value.as_str().map(|text| text.chars().count());
    check(length(&event["routing_key"]) == Some(32), "'routing_key' is invalid");
    check(length(&event["dedup_key"]).is_some_and(|n| (1..=255).contains(&n)), "'dedup_key' is invalid");
    let action = event["event_action"].as_str().unwrap_or_default();
    check(matches!(action, "trigger" | "acknowledge" | "resolve"), "'event_action' is invalid");
    if action == "trigger" {
        let payload = &event["payload"];
        check(
            length(&payload["summary"]).is_some_and(|n| (1..=1_024).contains(&n)),
            "'payload.summary' is missing, blank or too long",
        );
        check(length(&payload["source"]).is_some_and(|n| n > 0), "'payload.source' is missing or blank");
        let severity = payload["severity"].as_str().unwrap_or_default();
        check(matches!(severity, "critical" | "error" | "warning" | "info"), "'payload.severity' is invalid");
        let stamp = payload["timestamp"].as_str();
        check(stamp.is_none_or(|stamp| stamp.parse::<jiff::Timestamp>().is_ok()), "'payload.timestamp' is invalid");
    }
    faults
}

fn is_too_often(calls: &mut VecDeque<Instant>) -> bool {
    calls.retain(|at| at.elapsed() < Duration::from_mins(1));
    calls.push_back(Instant::now());
    calls.len() > CALLS_PER_MINUTE
}
