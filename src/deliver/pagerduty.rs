//! PagerDuty, by its Events API v2: one alert there for each incident here, found by its `dedup_key`.
//!
//! The API takes an event without saying what it did with it; sending one again is harmless, so an attempt whose answer was
//! lost is simply repeated. An update is a trigger on the same key, which adds to the alert and pages nobody anew.

use std::future::Future;
use std::pin::Pin;

use reqwest::Url;
use serde_json::{Value, json};

use super::client::{Answer, Client, Context, Secrets, parse_url};
use super::message::{self, Words};
use super::{Delivery, Fault, Message, Receiver, text};
use crate::config::Secret;
use crate::model::NotificationKind;
use crate::wire::labels_json;

/// Bytes of one event that PagerDuty takes.
const EVENT_BYTES_MAX: usize = 512_000;
/// Characters of a summary that PagerDuty takes.
const SUMMARY_CHARS_MAX: usize = 1_024;
/// Characters of a `dedup_key` that PagerDuty takes.
const KEY_CHARS_MAX: usize = 255;

/// A PagerDuty service.
pub(crate) struct Pagerduty {
    client: Client,
    url: Url,
    routing_key: Secret,
}

impl Pagerduty {
    /// # Errors
    /// What is wrong with the settings, in words.
    pub(crate) fn new(context: &Context, url: &str, routing_key: Secret) -> Result<Pagerduty, String> {
        let client = Client::new(context, context.timeouts.pager, Secrets::new([routing_key.clone()]))?;
        Ok(Pagerduty { client, url: parse_url(url)?, routing_key })
    }

    async fn send(&self, message: &Message) -> Result<Delivery, Delivery> {
        if message.key.chars().count() > KEY_CHARS_MAX {
            return Err(self.client.refused(Fault::Config, "the key is longer than PagerDuty's 255 characters"));
        }
        if matches!(message.kind, NotificationKind::Acknowledge | NotificationKind::Resolve) {
            let event = json!({
                "routing_key": self.routing_key.expose(), "event_action": message.kind.as_str(), "dedup_key": message.key,
            });
            return self.judge(&self.post(&event, message).await?);
        }
        let words = message::words(message);
        let event = Detail::ALL.into_iter().map(|detail| self.trigger(message, &words, detail));
        let fitting = event.enumerate().find(|(_, event)| event.to_string().len() <= EVENT_BYTES_MAX);
        let (reduced, event) = fitting.ok_or_else(|| self.client.refused(Fault::Config, "the event is too large"))?;
        let answer = self.post(&event, message).await?;
        // A refusal may be for something in the details, and a bare page is better than none.
        let smallest = Detail::ALL.len() - 1;
        if matches!(answer.status, 400 | 413) && reduced < smallest {
            return self.judge(&self.post(&self.trigger(message, &words, Detail::ALL[smallest]), message).await?);
        }
        self.judge(&answer)
    }

    async fn post(&self, event: &Value, message: &Message) -> Result<Answer, Delivery> {
        let request = self.client.post(self.url.clone());
        self.client
            .call(request.header("content-type", "application/json; charset=utf-8").body(event.to_string()), message.now)
            .await
    }

    /// Only `{"status":"success"}` is a taken event: something else on this address may answer 202 to anything.
    fn judge(&self, answer: &Answer) -> Result<Delivery, Delivery> {
        self.client.judge(answer)?;
        match answer.json() {
            Some(body) if body.get("status").and_then(Value::as_str) == Some("success") => Ok(Delivery::Taken { remote: None }),
            _ => Err(self.client.not_understood(answer)),
        }
    }

    fn trigger(&self, message: &Message, words: &Words, detail: Detail) -> Value {
        let incident = &message.incident;
        let mut details = json!({
            "incident": incident.id.to_string(),
            "status": incident.status.as_str(),
            "priority": format!("P{}", incident.priority),
            "alerts": { "total": incident.alerts_total, "firing": incident.alerts_firing },
            "reason": text::line(&message.reason, if detail < Detail::Bare { 2_000 } else { 200 }),
        });
        if detail == Detail::Full {
            details["labels"] = labels_json(&incident.labels);
            details["rule"] = Value::from(incident.rule.to_string());
            details["services"] = incident.services.iter().map(|name| Value::from(&**name)).collect();
        }
        if detail <= Detail::Alerts {
            details["members"] = message.alerts.iter().map(|record| member(record)).collect();
        }
        if detail <= Detail::Text {
            details["text"] = Value::from(words.body.as_str());
        }
        let summary = text::clip_chars(&words.head, if detail < Detail::Bare { SUMMARY_CHARS_MAX } else { 200 });
        let mut event = json!({
            "routing_key": self.routing_key.expose(),
            "event_action": "trigger",
            "dedup_key": message.key,
            "client": "Quell",
            "payload": {
                "summary": summary,
                "source": source(message),
                "severity": severity(incident.priority),
                "timestamp": incident.opened_at.to_rfc3339(),
                "component": incident.services.first().map(|name| text::line(name, 255)),
                "group": incident.team.as_deref().map(|name| text::line(name, 255)),
                "class": text::line(&incident.category, 255),
                "custom_details": details,
            },
        });
        if let Some(url) = message::link(message) {
            event["client_url"] = Value::from(url);
            event["links"] = json!([{ "href": url, "text": incident.id.to_string() }]);
        }
        event
    }
}

impl Receiver for Pagerduty {
    fn kind(&self) -> &'static str {
        "pagerduty"
    }

    fn is_pager(&self) -> bool {
        true
    }

    fn deliver<'a>(&'a self, message: &'a Message) -> Pin<Box<dyn Future<Output = Delivery> + Send + 'a>> {
        Box::pin(async { self.send(message).await.unwrap_or_else(|failed| failed) })
    }
}

/// How much an event tells, most first. The incident's id, the key and the link back stand in all of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Detail {
    Full,
    /// Without labels that all share.
    Alerts,
    /// Without the list of alerts.
    Text,
    /// Without the text, and with a short summary and reason.
    Bare,
}

impl Detail {
    const ALL: [Detail; 4] = [Detail::Full, Detail::Alerts, Detail::Text, Detail::Bare];
}

fn member(record: &crate::model::AlertRecord) -> Value {
    json!({
        "status": record.status.as_str(),
        "labels": labels_json(record.labels()),
        "annotations": labels_json(&record.alert.annotations),
        "starts_at": record.alert.starts_at.to_rfc3339(),
        "generator_url": &*record.alert.generator_url,
    })
}

/// PagerDuty's four severities by our five priorities.
fn severity(priority: u8) -> &'static str {
    match priority {
        ..=1 => "critical",
        2 => "error",
        3 => "warning",
        4.. => "info",
    }
}

/// What is broken: the thing that all alerts share, else the first alert's, else the first service.
fn source(message: &Message) -> String {
    let names = ["instance", "host", "node"];
    let sets = std::iter::once(&*message.incident.labels).chain(message.alerts.first().map(|record| record.labels()));
    let found = sets.flat_map(|set| names.map(|name| set.get(name))).find(|value| !value.is_empty());
    text::line(found.or(message.incident.services.first().map(|name| &**name)).unwrap_or("quell"), 255)
}
