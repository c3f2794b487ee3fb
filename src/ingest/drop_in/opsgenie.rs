//! Opsgenie's Alert API: the key is in a header, and which alert a call is about is in its path.

use std::time::Instant;

use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::config::Tool;
use crate::engine::{Act, Input};
use crate::ingest::answer::{Reply, failure, json_reply, unavailable};
use crate::ingest::body::Refused;
use crate::ingest::format::opsgenie::{Call, Named};
use crate::ingest::format::{self, Event, Field, Json, Key, Notes, Reading, State};
use crate::ingest::intake::Reason;
use crate::ingest::route::{IngestState, decode};
use crate::ingest::source::Source;
use crate::model::Actor;

/// What a request asks for.
#[derive(Clone, Copy)]
pub(super) struct Address<'a> {
    /// Behind `/v2/alerts`.
    pub(super) rest: &'a str,
    pub(super) query: &'a str,
    pub(super) is_put: bool,
}

impl IngestState {
    pub(super) async fn opsgenie(&self, address: Address<'_>, headers: &HeaderMap, text: Result<String, Refused>) -> Reply {
        let began = Instant::now();
        let request = self.opsgenie_request();
        let (status, mut said) = match text {
            Ok(text) => self.opsgenie_call(&request, address, headers, &text).await,
            Err(refused) => (refused.status(), json!({ "message": refused.message() })),
        };
        said["took"] = json!(began.elapsed().as_secs_f64());
        said["requestId"] = json!(request);
        json_reply(status, &said)
    }

    async fn opsgenie_call(&self, request: &str, at: Address<'_>, headers: &HeaderMap, text: &str) -> (StatusCode, Value) {
        let key =
            headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("GenieKey "));
        let Some(source) = self.source_of(Tool::Opsgenie, key.map(str::trim)) else {
            self.metrics.requests_rejected_total.with_label_values(&["unauthorized"]).inc();
            return (StatusCode::UNAUTHORIZED, json!({ "message": "Could not authenticate" }));
        };
        let source = &*source;
        let Some(call) = Call::of(at.rest, at.query, at.is_put, decode) else {
            return (StatusCode::NOT_FOUND, json!({ "message": "Sorry, the requested page was not found" }));
        };
        let text = if text.trim().is_empty() { "{}" } else { text };
        let Ok(body) = format::parse(text, self.limits.json_depth) else {
            // Only a creation says in its body what it is about; of the others nothing could be made later.
            if call == Call::Create {
                self.keep_invalid(source, text, "the body is no JSON".to_owned()).await;
            }
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
                self.keep_invalid(source, text, unmapped.0.clone()).await;
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

    /// An id for a request, in the shape that Opsgenie's have.
    fn opsgenie_request(&self) -> String {
        let id = self.sources().first().map(|source| self.intake(source).fresh_key(0)).unwrap_or_default();
        let part = |from: usize, to: usize| id.get(from..to).unwrap_or_default().to_owned();
        [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
    }
}

fn accepted() -> (StatusCode, Value) {
    (StatusCode::ACCEPTED, json!({ "result": "Request will be processed" }))
}
