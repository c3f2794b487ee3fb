//! Alertmanager's webhook, payload version 4, for programs that already speak it.
//!
//! An incident is sent as a group. Its key holds the incident's, so that two incidents never share one. The protocol knows
//! no acknowledgement: such messages are taken without a call. When a person resolves an incident whose alerts still fire,
//! they are sent as resolved at that moment, because the payload's status is nothing but theirs.

use std::cmp::Ordering;
use std::future::Future;
use std::pin::Pin;

use reqwest::Url;
use serde_json::{Value, json};

use super::client::{Client, Context, Secrets, parse_url};
use super::{Delivery, Message, Receiver, message};
use crate::config::Secret;
use crate::model::{AlertRecord, Labels, NotificationKind, Time};
use crate::wire::labels_json;

/// Go's zero time: how an alert that fires ends.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// A program that takes Alertmanager's webhooks.
pub(crate) struct AlertmanagerWebhook {
    client: Client,
    name: String,
    url: Url,
    max_alerts: usize,
    send_resolved: bool,
    bearer: Option<Secret>,
}

impl AlertmanagerWebhook {
    /// # Errors
    /// What is wrong with the settings, in words.
    pub(crate) fn new(
        context: &Context,
        name: &str,
        url: &str,
        max_alerts: u32,
        send_resolved: bool,
        bearer: Option<Secret>,
    ) -> Result<AlertmanagerWebhook, String> {
        let url = parse_url(url)?;
        let client = Client::new(context, context.timeouts.other, Secrets::of_url(&url, bearer.clone()))?;
        Ok(AlertmanagerWebhook { client, name: quote(name), url, max_alerts: max_alerts as usize, send_resolved, bearer })
    }

    async fn send(&self, message: &Message) -> Result<Delivery, Delivery> {
        let wanted = match message.kind {
            NotificationKind::Trigger | NotificationKind::Update => true,
            NotificationKind::Resolve => self.send_resolved,
            NotificationKind::Acknowledge => false,
        };
        if wanted {
            let mut request = self.client.post(self.url.clone()).header("content-type", "application/json");
            if let Some(bearer) = &self.bearer {
                request = request.bearer_auth(bearer.expose());
            }
            let body = payload(message, &self.name, self.max_alerts).to_string();
            self.client.judge(&self.client.call(request.body(body), message.now).await?)?;
        }
        Ok(Delivery::Taken { remote: None })
    }
}

impl Receiver for AlertmanagerWebhook {
    fn kind(&self) -> &'static str {
        "alertmanager_webhook"
    }

    fn is_pager(&self) -> bool {
        false
    }

    fn deliver<'a>(&'a self, message: &'a Message) -> Pin<Box<dyn Future<Output = Delivery> + Send + 'a>> {
        Box::pin(async { self.send(message).await.unwrap_or_else(|failed| failed) })
    }
}

/// The payload. `max_alerts` of 0 is no limit.
fn payload(message: &Message, receiver: &str, max_alerts: usize) -> Value {
    let incident = &message.incident;
    let shown = if max_alerts == 0 { message.alerts.len() } else { message.alerts.len().min(max_alerts) };
    // Cut while the important ones stand first, and order after that.
    let mut alerts: Vec<&AlertRecord> = message.alerts[..shown].iter().map(|record| &**record).collect();
    alerts.sort_by(|a, b| order(a.labels(), b.labels()));
    let over = (message.kind == NotificationKind::Resolve).then(|| incident.resolved_at.unwrap_or(message.created_at));
    let fires = over.is_none() && alerts.iter().any(|record| record.is_firing());
    json!({
        "version": "4",
        "groupKey": format!("{{}}/{{incident={:?}}}:{}", message.key, incident.key),
        "truncatedAlerts": (incident.alerts_total as usize).saturating_sub(shown),
        "status": status(fires),
        "receiver": receiver,
        "groupLabels": labels_json(&incident.key),
        "commonLabels": labels_json(&common(alerts.iter().map(|record| record.labels()))),
        "commonAnnotations": labels_json(&common(alerts.iter().map(|record| &record.alert.annotations))),
        "routeLabels": {},
        "externalURL": message::link(message).unwrap_or_default(),
        "notification_reason": reason(message),
        "alerts": alerts.iter().map(|record| alert(record, over)).collect::<Vec<Value>>(),
    })
}

fn alert(record: &AlertRecord, over: Option<Time>) -> Value {
    let ends_at = record.ends_at.or(over);
    json!({
        "status": status(ends_at.is_none()),
        "labels": labels_json(record.labels()),
        "annotations": labels_json(&record.alert.annotations),
        "startsAt": record.alert.starts_at.to_rfc3339(),
        "endsAt": ends_at.map_or_else(|| ZERO_TIME.to_owned(), Time::to_rfc3339),
        "generatorURL": &*record.alert.generator_url,
        "fingerprint": record.alert.fingerprint.to_string(),
    })
}

fn status(fires: bool) -> &'static str {
    if fires { "firing" } else { "resolved" }
}

/// Why it is sent, in Alertmanager's words. An update is told by whatever came last: an alert, or the end of one.
fn reason(message: &Message) -> &'static str {
    match message.kind {
        NotificationKind::Trigger if message.again => "repeat interval elapsed",
        NotificationKind::Trigger => "first notification",
        NotificationKind::Resolve => "all alerts resolved",
        NotificationKind::Acknowledge => "unknown",
        NotificationKind::Update => match message.alerts.iter().filter_map(|record| record.ends_at).max() {
            Some(ended) if ended > message.incident.last_news_at => "some alerts resolved",
            _ => "new alerts added",
        },
    }
}

fn common<'a>(mut sets: impl Iterator<Item = &'a Labels>) -> Labels {
    let first = sets.next().cloned().unwrap_or_default();
    sets.fold(first, |shared, set| shared.common(set))
}

/// Alertmanager's order of alerts: by `job`, then by `instance`, then by the whole set (fewer labels first, then the
/// first name that only one has, or the first value that differs).
fn order(a: &Labels, b: &Labels) -> Ordering {
    let by_name = |name| a.get(name).cmp(b.get(name));
    by_name("job").then_with(|| by_name("instance")).then_with(|| a.len().cmp(&b.len())).then_with(|| {
        a.iter()
            .zip(b.iter())
            .find(|(left, right)| left != right)
            // A name that only one has makes the other, without it, come first.
            .map_or(Ordering::Equal, |(left, right)| right.0.cmp(left.0).then_with(|| left.1.cmp(right.1)))
    })
}

/// Go's `regexp.QuoteMeta`, which Alertmanager puts receivers' names through.
fn quote(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::sample;
    use crate::model::Millis;

    #[test]
    fn the_payload_of_a_firing_group() {
        let mut message = sample::message(NotificationKind::Trigger, 0);
        message.alerts = vec![
            sample::alert(&[("alertname", "A"), ("job", "b"), ("env", "prod")], &[("summary", "s")], true),
            sample::alert(&[("alertname", "A"), ("job", "a"), ("env", "prod")], &[("summary", "s")], false),
        ];
        let payload = payload(&message, &quote("team.a"), 0);
        let expected = serde_json::json!({
            "version": "4",
            "groupKey": r#"{}/{incident="d0c5/INC-1042"}:{cluster="eu1"}"#,
            "truncatedAlerts": 12,
            "status": "firing",
            "receiver": r"team\.a",
            "groupLabels": { "cluster": "eu1" },
            "commonLabels": { "alertname": "A", "env": "prod" },
            "commonAnnotations": { "summary": "s" },
            "routeLabels": {},
            "externalURL": "https://quell.example/incidents/INC-1042",
            "notification_reason": "first notification",
            "alerts": [
                {
                    "status": "resolved", "labels": { "alertname": "A", "env": "prod", "job": "a" },
                    "annotations": { "summary": "s" },
                    "startsAt": "2026-01-05T00:00:00.000Z", "endsAt": "2026-01-05T00:05:00.000Z",
                    "generatorURL": "http://prometheus.example/graph",
                    "fingerprint": message.alerts[1].alert.fingerprint.to_string(),
                },
                {
                    "status": "firing", "labels": { "alertname": "A", "env": "prod", "job": "b" },
                    "annotations": { "summary": "s" },
                    "startsAt": "2026-01-05T00:00:00.000Z", "endsAt": "0001-01-01T00:00:00Z",
                    "generatorURL": "http://prometheus.example/graph",
                    "fingerprint": message.alerts[0].alert.fingerprint.to_string(),
                },
            ],
        });
        assert_eq!(payload, expected);
    }

    #[test]
    fn resolving_ends_every_alert_and_max_alerts_cuts() {
        let mut message = sample::message(NotificationKind::Resolve, 4);
        let ended = sample::START + Millis::minutes(9);
        sample::change(&mut message, |incident| incident.resolved_at = Some(ended));
        let payload = payload(&message, "r", 3);
        assert_eq!((&payload["status"], &payload["truncatedAlerts"]), (&json!("resolved"), &json!(11)));
        for alert in payload["alerts"].as_array().unwrap() {
            assert_eq!((&alert["status"], &alert["endsAt"]), (&json!("resolved"), &json!(ended.to_rfc3339())));
        }
    }

    #[test]
    fn reasons_by_what_came_last() {
        let update = |firing: &[bool], news: i64| {
            let mut message = sample::message(NotificationKind::Update, 0);
            message.alerts = firing.iter().map(|firing| sample::alert(&[("a", "b")], &[], *firing)).collect();
            sample::change(&mut message, |incident| incident.last_news_at = sample::START + Millis::minutes(news));
            reason(&message)
        };
        assert_eq!(update(&[true, false], 0), "some alerts resolved");
        assert_eq!(update(&[true, false], 8), "new alerts added");
        assert_eq!(update(&[true], 0), "new alerts added");
    }

    #[test]
    fn order_is_by_job_instance_then_set() {
        let set = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied()).unwrap();
        let ordered = [
            set(&[("instance", "z")]),
            set(&[("instance", "1"), ("job", "a")]),
            set(&[("instance", "2"), ("job", "a"), ("x", "1")]),
            set(&[("instance", "2"), ("job", "a"), ("b", "1")]),
            set(&[("instance", "2"), ("job", "a"), ("b", "2")]),
            set(&[("instance", "2"), ("job", "a"), ("b", "1"), ("c", "1")]),
            set(&[("instance", "1"), ("job", "b")]),
        ];
        for (i, a) in ordered.iter().enumerate() {
            for (j, b) in ordered.iter().enumerate() {
                assert_eq!(order(a, b), i.cmp(&j), "{a} and {b}");
            }
        }
    }
}
