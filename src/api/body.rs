//! JSON bodies of writing calls, read within limits of size and time.

use std::error::Error;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Bytes of a body: an act is a few words.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;

/// Reads a JSON body; an empty one stands for `{}`.
///
/// # Errors
/// 413 for too long, 408 for too slow, 415 for another content type, 400 for what is no JSON, 422 for JSON of another form.
pub(super) async fn read_json<T: DeserializeOwned>(headers: &HeaderMap, body: Body, timeout: Duration) -> Result<T, Problem> {
    read_json_of(headers, body, timeout, BODY_BYTES_MAX).await
}

/// The same for bodies of so many bytes.
///
/// # Errors
/// As [`read_json`].
pub(super) async fn read_json_of<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    timeout: Duration,
    bytes_max: usize,
) -> Result<T, Problem> {
    let bytes = read_bytes(body, timeout, bytes_max).await?;
    if bytes.is_empty() {
        return parse(b"{}");
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "send the body as Content-Type: application/json",
        ));
    }
    parse(&bytes)
}

/// Reads a body.
///
/// # Errors
/// 413 for too long, 408 for too slow, 400 for one that ends early.
pub(super) async fn read_bytes(body: Body, timeout: Duration, bytes_max: usize) -> Result<Bytes, Problem> {
    match tokio::time::timeout(timeout, to_bytes(body, bytes_max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if error.source().is_some_and(<dyn Error>::is::<LengthLimitError>) => {
            let message = format!("the body is longer than {bytes_max} bytes");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message))
        }
        Ok(Err(_)) => Err(Problem::bad_request("the body ended early")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not come in time")),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Problem::unprocessable(format!("the body is not as expected: {error}")),
        _ => Problem::bad_request(format!("the body is no JSON: {error}")),
    })
}
