//! PagerDuty's Events API, version 2: events and changes, whose key is in their body.

use std::sync::Arc;

use hyper::{HeaderMap, StatusCode};
use serde_json::json;

use crate::config::Tool;
use crate::ingest::answer::{Reply, failure, json_reply, unavailable};
use crate::ingest::body::Refused;
use crate::ingest::format::{self, Field, Key, Notes, Reading, pagerduty};
use crate::ingest::intake::Reason;
use crate::ingest::route::IngestState;
use crate::ingest::source::Source;

/// An event that is none.
struct Invalid {
    /// Whose it is, where its key says so.
    source: Option<Arc<Source>>,
    /// All that is wrong with it.
    errors: Vec<String>,
}

impl IngestState {
    pub(super) async fn pagerduty(&self, text: Result<String, Refused>, is_change: bool) -> Reply {
        let text = match text {
            Ok(text) => text,
            Err(refused) if refused.status() == StatusCode::TOO_MANY_REQUESTS => return throttled(refused.message()),
            Err(refused) => return invalid(refused.status(), &[refused.message().to_owned()]),
        };
        let (source, reading, key) = match self.pagerduty_event(&text, is_change) {
            Ok(read) => read,
            Err(Invalid { source, errors }) => {
                if let Some(source) = source {
                    self.keep_invalid(&source, &text, errors.join("; ")).await;
                }
                return self.invalid_event(&errors);
            }
        };
        let outcome = self.take_in(&source, reading).await;
        if let Some(error) = &outcome.failed {
            let (status, message) = (unavailable(error), failure(error).1);
            if status == StatusCode::TOO_MANY_REQUESTS {
                return throttled(&message);
            }
            return json_reply(status, &json!({ "status": "unavailable", "message": message }));
        }
        match outcome.rejected.first() {
            Some(rejected) if rejected.reason == Reason::Active => throttled(&rejected.message),
            Some(rejected) => self.invalid_event(std::slice::from_ref(&rejected.message)),
            None if is_change => {
                json_reply(StatusCode::ACCEPTED, &json!({ "status": "success", "message": "Change event processed" }))
            }
            None => {
                let said = json!({ "status": "success", "message": "Event processed", "dedup_key": key });
                json_reply(StatusCode::ACCEPTED, &said)
            }
        }
    }

    /// Whose event it is, what it says, and its key, which is made here where it has none.
    fn pagerduty_event<'t>(&self, text: &'t str, is_change: bool) -> Result<(Arc<Source>, Reading<'t>, Option<String>), Invalid> {
        let nobodys = |error: &str| Invalid { source: None, errors: vec![error.to_owned()] };
        let body = format::parse(text, self.limits.json_depth).map_err(|_| nobodys("the body is no JSON"))?;
        let notes = Notes::default();
        let field = Field::root(&body, &notes);
        let key = field.text("routing_key").ok_or_else(|| nobodys("'routing_key' is missing or blank"))?;
        let found = self.source_of(Tool::PagerdutyEvents, Some(&key));
        let source = found.ok_or_else(|| nobodys("'routing_key' is not known here"))?;
        let wrong = |errors: Vec<String>| Invalid { source: Some(source.clone()), errors };
        let faults = if is_change { change_faults(field) } else { pagerduty::faults(field) };
        if !faults.is_empty() {
            return Err(wrong(faults));
        }
        let said = field.text("dedup_key");
        let read = format::read_value(Tool::PagerdutyEvents, body, &HeaderMap::new(), &self.limits);
        let mut reading = read.map_err(|_| wrong(vec!["the event cannot be read".to_owned()]))?;
        let fresh = reading.events.iter_mut().flatten().find(|event| event.key == Key::Fresh);
        let made = fresh.map(|event| {
            let made = self.intake(&source).fresh_key(0);
            event.key = Key::Said(format!("dedup:{made}"));
            made
        });
        match reading.events.first() {
            Some(Err(unmapped)) => Err(wrong(vec![unmapped.0.clone()])),
            _ => Ok((source.clone(), reading, made.or(said))),
        }
    }

    fn invalid_event(&self, errors: &[String]) -> Reply {
        self.metrics.requests_rejected_total.with_label_values(&["invalid_event"]).inc();
        invalid(StatusCode::BAD_REQUEST, errors)
    }
}

/// PagerDuty's answer to an event that is none.
fn invalid(status: StatusCode, errors: &[String]) -> Reply {
    json_reply(status, &json!({ "status": "invalid event", "message": "Event object is invalid", "errors": errors }))
}

fn throttled(message: &str) -> Reply {
    json_reply(StatusCode::TOO_MANY_REQUESTS, &json!({ "status": "throttle exceeded", "message": message }))
}

fn change_faults(body: Field<'_>) -> Vec<String> {
    let missing = body.text("payload.summary").is_none();
    missing.then(|| "'payload.summary' is missing or blank".to_owned()).into_iter().collect()
}
