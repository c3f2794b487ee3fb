//! The one form of an error: `{"error":{"code":"…","message":"…"}}` with a fitting status.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::engine::Refusal;
use crate::runtime::SubmitError;

/// Why a call got no answer. The code is for programs, the message for people; neither ever holds a secret.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem without a header of its own.
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Problem {
        Problem { status, code, message: message.into(), header: None }
    }

    /// 400: a parameter or a body that cannot be read.
    pub(super) fn bad_request(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 404.
    pub(super) fn not_found(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 403.
    pub(super) fn forbidden(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// 409: the present state forbids it.
    pub(super) fn conflict(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// 422: well-formed, but not something that can be done.
    pub(super) fn unprocessable(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", message)
    }

    /// 503, worth another try after a few seconds.
    pub(super) fn unavailable(code: &'static str, message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, message).with(header::RETRY_AFTER, "5")
    }

    /// The same problem with a header.
    pub(super) fn with(mut self, name: HeaderName, value: &'static str) -> Problem {
        self.header = Some((name, HeaderValue::from_static(value)));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        let mut response = (self.status, Json(body)).into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Problem {
        match error {
            SubmitError::Overloaded => {
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", "the queue to the engine is full; try again")
                    .with(header::RETRY_AFTER, "1")
            }
            SubmitError::Storage(what) => Problem::unavailable("storage", format!("nothing can be recorded: {what}")),
            SubmitError::Stopping => Problem::unavailable("stopping", "the daemon is stopping"),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        match refusal {
            Refusal::NoSuchIncident(id) => Problem::not_found(format!("there is no incident {id}")),
            Refusal::NoSuchNotification(id) => Problem::not_found(format!("there is no notification {}", id.0)),
            Refusal::NoSuchSilence(id) => Problem::not_found(format!("there is no silence {id}")),
            Refusal::NoSuchHeartbeat(name) => Problem::not_found(format!("no rule file has a heartbeat {name:?}")),
            Refusal::Forbidden(why) => Problem::conflict(why),
            Refusal::Limit(name) => Problem::unprocessable(format!("the limit {name} is reached")),
        }
    }
}
