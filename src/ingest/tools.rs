//! Messages of monitoring tools, from their text to what is submitted: alerts, acknowledgements, changes.

use std::sync::Arc;

use axum::body::Body;
use hyper::header::{ALLOW, HeaderName, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};

use super::answer::{Fault, Reply};
use super::format::{self, Aside, Event, Key, Reading, State, Unmapped};
use super::intake::{Intake, Reason};
use super::source::Source;
use crate::config::{HandshakeConfig, Tool};
use crate::engine::{Act, Input};
use crate::metrics::Metrics;
use crate::model::{Actor, Change, Fingerprint, Time};
use crate::runtime::Live;

/// Takes in a body of a tool, and gives what it says besides alerts.
///
/// # Errors
/// A body that is refused as a whole. One that cannot be read is none of these: who sent it cannot mend it, so it is
/// answered as accepted, and noted in `intake` with what is missing.
pub(super) fn take(
    tool: Tool,
    (text, headers): (&str, &HeaderMap),
    source: &Source,
    intake: &mut Intake<'_>,
    metrics: &Metrics,
) -> Result<Vec<Aside>, Fault> {
    match format::read(tool, text, headers, intake.limits()) {
        Ok(reading) => {
            intake.watch(|watched, now| {
                let firing = |event: &Result<Event, Unmapped>| event.as_ref().map_or(true, |it| it.state == State::Firing);
                let fires = reading.events.iter().any(firing);
                watched.read(reading.body(), None, fires, now);
                if reading.asides.contains(&Aside::Test) {
                    watched.test(now);
                }
            });
            Ok(take_reading(reading, source, intake, metrics))
        }
        Err(format::Fault::Unmapped(unmapped)) => {
            intake.reject(0, Reason::Unmapped, unmapped.0);
            Ok(Vec::new())
        }
        Err(format::Fault::Forbidden(why)) => Err(Fault::new(StatusCode::FORBIDDEN, "forbidden", why)),
        Err(format::Fault::TooMany) => {
            Err(Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_alerts", "too many alerts in one request"))
        }
    }
}

/// Takes in what was read.
pub(super) fn take_reading(reading: Reading<'_>, source: &Source, intake: &mut Intake<'_>, metrics: &Metrics) -> Vec<Aside> {
    let name = &*source.name;
    intake.begin(reading.events.len());
    let unknown = reading.notes.unknown_severities();
    if reading.notes.placeholders() > 0 {
        metrics.source_placeholders_total.with_label_values(&[name]).inc_by(reading.notes.placeholders());
    }
    if let Some(word) = unknown.first() {
        metrics.source_severities_unknown_total.with_label_values(&[name]).inc_by(unknown.len() as u64);
        tracing::debug!(source = name, ?word, "a severity that stands for none");
    }
    for (index, event) in reading.events.into_iter().enumerate() {
        match event {
            Ok(mut event) => {
                if let Some(word) = unknown.first().filter(|_| event.severity.is_none()) {
                    // What was not understood is shown with the alert, and put nowhere on the scale.
                    event = event.note("severity_said", Some(word.clone()));
                }
                if event.key == Key::Fresh {
                    event.key = Key::Said(intake.fresh_key(index));
                }
                intake.take_event(index, &event);
            }
            Err(unmapped) => intake.reject(index, Reason::Unmapped, unmapped.0),
        }
    }
    for aside in &reading.asides {
        metrics.source_messages_total.with_label_values(&[name, aside.kind()]).inc();
        tell(name, aside);
    }
    reading.asides
}

/// Says in our own log what somebody who sets a source up wants to see, or has to do.
fn tell(source: &str, aside: &Aside) {
    match aside {
        Aside::Test => tracing::info!(source, "a test message came"),
        Aside::Handshake { topic, .. } => tracing::info!(source, topic, "a topic asks whether it may send"),
        Aside::Unsubscribed { topic } => tracing::warn!(source, topic, "a topic sends no more: its subscription has ended"),
        Aside::Truncated(missing) => tracing::warn!(source, missing, "the sender leaves alerts out of its messages"),
        Aside::Comment(what) => tracing::debug!(source, what, "a message that changes nothing"),
        Aside::Change(change) => tracing::debug!(source, summary = &*change.summary, "a change"),
    }
}

/// What acknowledgements and changes mean to the engine. An acknowledged alert's incidents are acknowledged, as far as they
/// can be; an alert that is in none has nobody to wake.
pub(super) fn acts(acknowledged: &[Fingerprint], asides: &[Aside], source: &Source, live: &Live, now: Time) -> Vec<Input> {
    let by = Actor::Person(source.name.clone());
    let incidents =
        acknowledged.iter().filter_map(|fingerprint| live.alert(*fingerprint)).flat_map(|entry| entry.record.incidents.to_vec());
    let acknowledge = incidents.map(|id| Input::Act { act: Act::Acknowledge(id), by: by.clone() });
    let changes = asides.iter().filter_map(|aside| match aside {
        Aside::Change(change) => {
            let started_at = if change.started_at == Time::EPOCH { now } else { change.started_at };
            let change = Change { started_at, reported_by: source.name.clone(), ..(**change).clone() };
            Some(Input::Act { act: Act::RecordChange(Arc::new(change)), by: by.clone() })
        }
        _ => None,
    });
    acknowledge.chain(changes).collect()
}

/// CloudEvents' question whether a sender may post here, and how often. A name that anybody can say proves nothing: this spares
/// us what others have subscribed to by mistake.
///
/// # Errors
/// A sender that is not on the source's list.
pub(super) fn cloudevents_handshake(granted: &HandshakeConfig, headers: &HeaderMap) -> Result<Reply, Fault> {
    let mut reply = Response::new(Body::empty());
    let answer = reply.headers_mut();
    answer.insert(ALLOW, HeaderValue::from_static("POST"));
    if let Some(origin) = headers.get("webhook-request-origin") {
        let is = |name: &String| name.as_bytes().eq_ignore_ascii_case(origin.as_bytes().trim_ascii());
        if !granted.origins.is_empty() && !granted.origins.iter().any(is) {
            return Err(Fault::new(StatusCode::FORBIDDEN, "origin", "this sender may not send here"));
        }
        let asked = headers.get("webhook-request-rate").and_then(|rate| rate.to_str().ok()?.trim().parse::<u32>().ok());
        let rate = match (asked.filter(|rate| *rate > 0), granted.rate) {
            (Some(asked), Some(most)) => Some(asked.min(most)),
            (asked, most) => asked.or(most),
        };
        answer.insert(HeaderName::from_static("webhook-allowed-origin"), origin.clone());
        let rate = rate.map_or(HeaderValue::from_static("*"), HeaderValue::from);
        answer.insert(HeaderName::from_static("webhook-allowed-rate"), rate);
    }
    Ok(reply)
}
