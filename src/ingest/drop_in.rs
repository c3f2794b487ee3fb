//! The addresses of other services' APIs, for senders that can be told another host and nothing else: PagerDuty's Events
//! API and Opsgenie's Alert API, with their answers and their words for what is wrong.

use std::time::Instant;

use hyper::body::{Body, Bytes};
use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::answer::{Outcome, Reply, failure, json_reply, unavailable, with_retry};
use super::format::opsgenie::{Call, Named};
use super::format::{self, Aside, Event, Field, Json, Key, Notes, Reading, State, pagerduty};
use super::intake::{Intake, Reason};
use super::route::{IngestState, decode};
use super::source::{Format, Source};
use super::tools;
use crate::config::Tool;
use crate::engine::{Act, Input};
use crate::model::Actor;

/// Which of those addresses a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DropIn<'a> {
    /// PagerDuty's, for alerts.
    Enqueue,
    /// PagerDuty's, for changes.
    EnqueueChange,
    /// Opsgenie's; the path behind `/v2/alerts`.
    Alerts { rest: &'a str },
}

impl DropIn<'_> {
    /// The address at this path, if it is one of these.
    pub(super) fn of(path: &str) -> Option<DropIn<'_>> {
        match path {
            "/v2/enqueue" => Some(DropIn::Enqueue),
            "/v2/change/enqueue" => Some(DropIn::EnqueueChange),
            _ => {
                let rest = path.strip_prefix("/v2/alerts")?;
                (rest.is_empty() || rest.starts_with('/')).then_some(DropIn::Alerts { rest })
            }
        }
    }
}

impl IngestState {
    /// Answers a request on one of these addresses.
    pub(super) async fn drop_in<B>(&self, address: DropIn<'_>, query: &str, headers: &HeaderMap, body: &mut B) -> Reply
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let began = Instant::now();
        let read = self.bodies.read(headers, body).await;
        let text = match read.and_then(|text| text.as_str().map(str::to_owned)) {
            Ok(text) => text,
            Err(refused) => {
                self.metrics.requests_rejected_total.with_label_values(&[refused.code()]).inc();
                let said = json!({ "status": "invalid event", "message": refused.message(), "errors": [refused.message()] });
                return json_reply(refused.status(), &said);
            }
        };
        match address {
            DropIn::Enqueue => self.pagerduty(&text, false).await,
            DropIn::EnqueueChange => self.pagerduty(&text, true).await,
            DropIn::Alerts { rest } => {
                let request = self.opsgenie_request();
                let (status, mut said) = self.opsgenie(&request, (rest, query), headers, &text).await;
                said["took"] = json!(began.elapsed().as_secs_f64());
                said["requestId"] = json!(request);
                let reply = json_reply(status, &said);
                if status == StatusCode::TOO_MANY_REQUESTS { with_retry(reply) } else { reply }
            }
        }
    }

    async fn pagerduty(&self, text: &str, is_change: bool) -> Reply {
        let (source, reading, key) = match self.pagerduty_event(text, is_change) {
            Ok(read) => read,
            Err(errors) => return self.invalid(&errors),
        };
        let outcome = self.take_in(source, reading).await;
        if let Some(error) = &outcome.failed {
            let said = json!({ "status": "throttle exceeded", "message": failure(error).1 });
            return with_retry(json_reply(unavailable(error), &said));
        }
        match outcome.rejected.first() {
            Some(rejected) if rejected.reason == Reason::Active => {
                let said = json!({ "status": "throttle exceeded", "message": rejected.message });
                with_retry(json_reply(StatusCode::TOO_MANY_REQUESTS, &said))
            }
            Some(rejected) => self.invalid(std::slice::from_ref(&rejected.message)),
            None if is_change => {
                json_reply(StatusCode::ACCEPTED, &json!({ "status": "success", "message": "Change event processed" }))
            }
            None => {
                let said = json!({ "status": "success", "message": "Event processed", "dedup_key": key });
                json_reply(StatusCode::ACCEPTED, &said)
            }
        }
    }

    /// Whose event it is, what it says, and its key, which is made here where it has none; or all that is wrong with it.
    fn pagerduty_event<'t>(&self, text: &'t str, is_change: bool) -> Result<(&Source, Reading<'t>, Option<String>), Vec<String>> {
        let one = |error: &str| vec![error.to_owned()];
        let body = format::parse(text, self.limits.json_depth).map_err(|_| one("the body is no JSON"))?;
        let notes = Notes::default();
        let field = Field::root(&body, &notes);
        let key = field.text("routing_key").ok_or_else(|| one("'routing_key' is missing or blank"))?;
        let source = self.source_of(Tool::PagerdutyEvents, Some(&key)).ok_or_else(|| one("'routing_key' is not known here"))?;
        let faults = if is_change { change_faults(field) } else { pagerduty::faults(field) };
        if !faults.is_empty() {
            return Err(faults);
        }
        let said = field.text("dedup_key");
        let read = format::read_value(Tool::PagerdutyEvents, body, &HeaderMap::new(), &self.limits);
        let mut reading = read.map_err(|_| one("the event cannot be read"))?;
        let fresh = reading.events.iter_mut().flatten().find(|event| event.key == Key::Fresh);
        let made = fresh.map(|event| {
            let made = self.intake(source).fresh_key(0);
            event.key = Key::Said(format!("dedup:{made}"));
            made
        });
        match reading.events.first() {
            Some(Err(unmapped)) => Err(vec![unmapped.0.clone()]),
            _ => Ok((source, reading, made.or(said))),
        }
    }

    /// PagerDuty's answer to an event that is none.
    fn invalid(&self, errors: &[String]) -> Reply {
        self.metrics.requests_rejected_total.with_label_values(&["invalid_event"]).inc();
        let said = json!({ "status": "invalid event", "message": "Event object is invalid", "errors": errors });
        json_reply(StatusCode::BAD_REQUEST, &said)
    }

    async fn opsgenie(&self, request: &str, (rest, query): (&str, &str), headers: &HeaderMap, text: &str) -> (StatusCode, Value) {
        let key =
            headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("GenieKey "));
        let Some(source) = self.source_of(Tool::Opsgenie, key.map(str::trim)) else {
            self.metrics.requests_rejected_total.with_label_values(&["unauthorized"]).inc();
            return (StatusCode::UNAUTHORIZED, json!({ "message": "Could not authenticate" }));
        };
        let Some(call) = Call::of(rest, query, decode) else {
            return (StatusCode::NOT_FOUND, json!({ "message": "Sorry, the requested page was not found" }));
        };
        let text = if text.trim().is_empty() { "{}" } else { text };
        let Ok(body) = format::parse(text, self.limits.json_depth) else {
            return (StatusCode::BAD_REQUEST, json!({ "message": "Could not parse JSON" }));
        };
        if let Call::Note(named) = &call {
            let comments = self.comments(source, named, &body);
            return self.comment(comments).await.unwrap_or_else(accepted);
        }
        let reading = match (&call, call.event()) {
            (Call::Create, _) => format::read_value(Tool::Opsgenie, body, &HeaderMap::new(), &self.limits).ok(),
            (_, Some(event)) => Some(Reading::of(event)),
            (_, None) => None,
        };
        // What we have nothing like is taken and does nothing, as it would for an alert that Opsgenie does not know.
        let Some(mut reading) = reading else { return accepted() };
        match reading.events.first_mut() {
            Some(Err(unmapped)) => {
                let errors = json!({ "message": unmapped.0 });
                let message = "Request body is not processable. Please check the errors.";
                return (StatusCode::UNPROCESSABLE_ENTITY, json!({ "message": message, "errors": errors }));
            }
            Some(Ok(Event { key: key @ Key::Fresh, state: State::Firing, .. })) => *key = Key::Said(request.to_owned()),
            _ => {}
        }
        let outcome = self.take_in(source, reading).await;
        if let Some(error) = &outcome.failed {
            return (unavailable(error), json!({ "message": failure(error).1 }));
        }
        match outcome.rejected.first() {
            Some(rejected) if rejected.reason == Reason::Active => {
                (StatusCode::TOO_MANY_REQUESTS, json!({ "message": rejected.message }))
            }
            Some(rejected) => (StatusCode::UNPROCESSABLE_ENTITY, json!({ "message": rejected.message })),
            None => accepted(),
        }
    }

    /// Writes comments. `Some` where they could not be stored.
    async fn comment(&self, comments: Option<Vec<Input>>) -> Option<(StatusCode, Value)> {
        let error = self.engine.submit(comments?).await.err()?;
        Some((unavailable(&error), json!({ "message": failure(&error).1 })))
    }

    /// A note as comments on the incidents of an alert; `None` where there are none.
    fn comments(&self, source: &Source, named: &Named, body: &Json<'_>) -> Option<Vec<Input>> {
        let notes = Notes::default();
        let field = Field::root(body, &notes);
        let text = field.text("note")?;
        let text = field.text("user").map_or_else(|| text.clone(), |user| format!("{user}: {text}"));
        let entry = self.engine.live().alert(self.intake(source).keyed(&named.key()))?;
        let by = Actor::Person(source.name.clone());
        let comment = |id| Input::Act { act: Act::Comment(id, text.as_str().into()), by: by.clone() };
        let acts: Vec<Input> = entry.record.incidents.iter().copied().map(comment).collect();
        (!acts.is_empty()).then_some(acts)
    }

    /// The way of every message, from what was read to what is on disk.
    async fn take_in(&self, source: &Source, reading: Reading<'_>) -> Outcome {
        let (mut sorted, asides): (_, Vec<Aside>) = {
            let mut intake = self.intake(source);
            let asides = tools::take_reading(reading, source, &mut intake, &self.metrics);
            (intake.finish(), asides)
        };
        let acknowledged = std::mem::take(&mut sorted.acknowledged);
        let mut outcome = self.commit(sorted).await;
        self.act(source, &acknowledged, &asides, &mut outcome).await;
        self.count(source, &outcome);
        outcome
    }

    fn intake<'s>(&'s self, source: &'s Source) -> Intake<'s> {
        Intake::new(self.engine.live(), source, &self.limits, self.engine.now())
    }

    /// The source of this format that this key is the token of; one without a token takes any.
    fn source_of(&self, tool: Tool, key: Option<&str>) -> Option<&Source> {
        let of_tool = || self.sources.iter().filter(move |source| matches!(source.format, Format::Tool(it) if it == tool));
        let by_token = of_tool().find(|source| key.is_some_and(|key| source.auth.knows(key.as_bytes())));
        let found = by_token.or_else(|| of_tool().find(|source| source.auth.asks_no_token()));
        found.inspect(|source| source.watched.heard(self.engine.now()))
    }

    /// An id for a request, in the shape that Opsgenie's have.
    fn opsgenie_request(&self) -> String {
        let id = self.sources.first().map(|source| self.intake(source).fresh_key(0)).unwrap_or_default();
        let part = |from: usize, to: usize| id.get(from..to).unwrap_or_default().to_owned();
        [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
    }
}

fn accepted() -> (StatusCode, Value) {
    (StatusCode::ACCEPTED, json!({ "result": "Request will be processed" }))
}

fn change_faults(body: Field<'_>) -> Vec<String> {
    let missing = body.text("payload.summary").is_none();
    missing.then(|| "'payload.summary' is missing or blank".to_owned()).into_iter().collect()
}
