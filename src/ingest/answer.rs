//! What senders are told: Alertmanager's shapes on its path, counts and `{"error":…}` on ours.

use axum::body::Body;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::intake::{Reason, Rejected};
use super::route::Endpoint;
use crate::runtime::SubmitError;

pub(super) type Reply = Response<Body>;

/// Seconds after which a sender should try again.
const RETRY_SECONDS: &str = "2";

/// What became of one request's alerts.
pub(super) struct Outcome {
    pub(super) new: u64,
    pub(super) repeats: u64,
    pub(super) rejected: Vec<Rejected>,
    /// Where the message is kept because a part of it could not be mapped.
    pub(super) kept: Option<String>,
    pub(super) failed: Option<SubmitError>,
}

impl Outcome {
    /// The answer on that path.
    pub(super) fn reply(&self, endpoint: Endpoint<'_>) -> Reply {
        match endpoint {
            Endpoint::Alerts => self.as_alertmanager(),
            Endpoint::Source { .. } | Endpoint::DropIn(_) => self.as_counts(),
        }
    }

    /// `{"accepted":n,"new":n,"repeats":n,"rejected":[…]}`.
    fn as_counts(&self) -> Reply {
        if let Some(error) = &self.failed {
            let (status, message) = (unavailable(error), failure(error).1);
            return with_retry(error_reply(status, failure(error).0.as_str(), &message));
        }
        let rejected = self.rejected.iter().map(|it| NotTaken { error: &it.message, index: it.index }).collect();
        let counts = Counts {
            accepted: self.new + self.repeats,
            kept: self.kept.as_deref(),
            new: self.new,
            rejected,
            repeats: self.repeats,
        };
        json_reply(StatusCode::OK, &counts)
    }

    /// As Alertmanager: what is not of an alert's shape is the framework's matter and gets its object; what breaks a
    /// rule gets a bare string with one line for each.
    fn as_alertmanager(&self) -> Reply {
        let has = |reasons: &[Reason]| self.rejected.iter().find(|it| reasons.contains(&it.reason));
        if let Some(error) = &self.failed {
            return with_retry(json_reply(unavailable(error), &json!(failure(error).1)));
        }
        if let Some(first) = has(&[Reason::Shape]) {
            return json_reply(StatusCode::BAD_REQUEST, &json!({ "code": 400, "message": first.message }));
        }
        if let Some(first) = has(&[Reason::Missing]) {
            return json_reply(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "code": 602, "message": first.message }));
        }
        if self.rejected.is_empty() {
            return Response::new(Body::empty());
        }
        let lines: Vec<&str> = self.rejected.iter().map(|it| &*it.message).collect();
        let text = json!(lines.join("\n"));
        match has(&[Reason::Active, Reason::Engine]) {
            Some(_) => with_retry(json_reply(StatusCode::TOO_MANY_REQUESTS, &text)),
            None => json_reply(StatusCode::BAD_REQUEST, &text),
        }
    }
}

/// What became of the alerts of a message.
#[derive(Serialize)]
struct Counts<'a> {
    accepted: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<&'a str>,
    new: u64,
    rejected: Vec<NotTaken<'a>>,
    repeats: u64,
}

/// One that was not taken, by its place.
#[derive(Serialize)]
struct NotTaken<'a> {
    error: &'a str,
    index: usize,
}

/// Why a request as a whole was refused.
pub(super) struct Fault {
    pub(super) status: StatusCode,
    /// The code in `/v1`.
    pub(super) code: &'static str,
    /// The metric's reason: the code, or more than a stranger is to know.
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(status: StatusCode, code: &'static str, message: &str) -> Fault {
        Fault { status, code, reason: code, message: message.to_owned() }
    }

    /// That a request does not prove that it is the source's. Why not is for us alone.
    pub(super) fn unauthorized(reason: &'static str) -> Fault {
        let message = "this source takes only what proves to be its own: a token (as Authorization: Bearer <token>, or as the last \
                       part of the path), or what else it is configured to ask for";
        Fault { reason, ..Fault::new(StatusCode::UNAUTHORIZED, "unauthorized", message) }
    }

    /// The answer on that path.
    pub(super) fn reply(&self, endpoint: Endpoint<'_>) -> Reply {
        let mut reply = match endpoint {
            Endpoint::Alerts => {
                let code = if self.code == "empty_body" { 602 } else { self.status.as_u16() };
                json_reply(self.status, &json!({ "code": code, "message": self.message }))
            }
            Endpoint::Source { .. } | Endpoint::DropIn(_) => error_reply(self.status, self.code, &self.message),
        };
        match self.status {
            StatusCode::UNAUTHORIZED => {
                reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => reply = with_retry(reply),
            _ => {}
        }
        reply
    }
}

/// Why the engine did not take the news: the metric's reason, and words for the sender.
pub(super) fn failure(error: &SubmitError) -> (Reason, String) {
    match error {
        SubmitError::Overloaded => (Reason::Overloaded, "too many alerts are waiting; try again".to_owned()),
        SubmitError::Storage(why) => (Reason::Storage, format!("the alerts could not be stored: {why}")),
        SubmitError::Stopping => (Reason::Stopping, "stopping; try again".to_owned()),
    }
}

pub(super) fn unavailable(error: &SubmitError) -> StatusCode {
    match error {
        SubmitError::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        SubmitError::Storage(_) | SubmitError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn error_reply(status: StatusCode, code: &str, message: &str) -> Reply {
    json_reply(status, &json!({ "error": { "code": code, "message": message } }))
}

pub(super) fn json_reply(status: StatusCode, value: &impl Serialize) -> Reply {
    // What is answered has texts for keys, and numbers that are finite.
    let mut reply = Response::new(Body::from(serde_json::to_string(value).unwrap_or_default()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

pub(super) fn with_retry(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
    reply
}
