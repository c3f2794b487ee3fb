//! What stands before every handler: who may write, against which lures a browser is held, what is counted.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::uri::{Authority, Uri};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::body::read_bytes;
use super::changes::CHANGE_BODY_BYTES_MAX;
use super::problem::Problem;
use super::state::ApiState;
use super::{Access, Route};
use crate::config::{Config, Secret};

/// With which GitHub sends the HMAC of a body under the webhook's secret.
const GITHUB_SIGNATURE: &str = "x-hub-signature-256";
/// In which GitLab sends the webhook's secret.
const GITLAB_TOKEN: &str = "x-gitlab-token";

/// The name of the token that a writing call came with; none while no token is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller(pub(super) Option<Arc<str>>);

/// Checks a call before its handler sees it, and counts and times it.
pub(super) async fn guard(
    State((state, route)): State<(Arc<ApiState>, &'static Route)>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let admitted = match admit(&state.config, route.access, request.headers()) {
        Ok(Admitted::Caller(caller)) => Ok((caller, request)),
        Ok(Admitted::IfSigned) => check_signature(&state.config, request).await,
        Err(problem) => Err(problem),
    };
    let response = match admitted {
        Ok((caller, mut request)) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => {
            // Part of the audit: who tried what is not known, but that somebody tried is.
            tracing::warn!(call = route.name, status = problem.status.as_u16(), "a writing call was refused");
            problem.into_response()
        }
    };
    state.metrics.http_request_seconds.with_label_values(&[route.name]).observe(began.elapsed().as_secs_f64());
    state.metrics.http_requests_total.with_label_values(&[route.name, response.status().as_str()]).inc();
    response
}

/// The answer for a path that does not exist.
pub(super) async fn no_such_path(State(state): State<Arc<ApiState>>, uri: Uri) -> Problem {
    state.metrics.http_requests_total.with_label_values(&["none", "404"]).inc();
    Problem::not_found(format!("there is nothing at {}", uri.path()))
}

/// The answer for a path that exists with another method; the router adds `Allow`.
pub(super) async fn no_such_method(State(state): State<Arc<ApiState>>, request: Request) -> Problem {
    state.metrics.http_requests_total.with_label_values(&["none", "405"]).inc();
    let message = format!("{} cannot be called with {}", request.uri().path(), request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}

/// Headers of every answer: never cached, never guessed to be something else, never shown in a frame. There is no CORS
/// header on purpose: no other site's page may read this API.
pub(super) async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    response
}

/// Whether a call may go on.
enum Admitted {
    Caller(Caller),
    /// If its body is signed with a token.
    IfSigned,
}

/// Who calls, if the call may go on.
fn admit(config: &Config, access: Access, headers: &HeaderMap) -> Result<Admitted, Problem> {
    if access == Access::Read {
        return Ok(Admitted::Caller(Caller(None)));
    }
    refuse_lured_browsers(config, headers)?;
    if config.tokens.is_empty() {
        return Ok(Admitted::Caller(Caller(None)));
    }
    let given = match headers.get(header::AUTHORIZATION) {
        None if access == Access::Hook => match headers.get(GITLAB_TOKEN) {
            Some(token) => Some(token.as_bytes()),
            None if headers.contains_key(GITHUB_SIGNATURE) => return Ok(Admitted::IfSigned),
            None => None,
        },
        given => given
            .and_then(|value| value.as_bytes().split_at_checked("Bearer ".len()))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "))
            .map(|(_, token)| token),
    };
    let given = given.ok_or_else(|| unauthorized("this call needs the header Authorization: Bearer <token>"))?.trim_ascii();
    let known = config.tokens.iter().find(|known| known.token.is(given));
    let known = known.ok_or_else(|| unauthorized("this token is not known"))?;
    Ok(Admitted::Caller(Caller(Some(known.name.clone()))))
}

fn unauthorized(message: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", message).with(header::WWW_AUTHENTICATE, "Bearer")
}

/// Reads a body, and says whose token it is signed with.
async fn check_signature(config: &Config, request: Request) -> Result<(Caller, Request), Problem> {
    let (parts, body) = request.into_parts();
    let timeout = Duration::from_millis(config.limits.body_timeout.0.unsigned_abs());
    let body = read_bytes(body, timeout, CHANGE_BODY_BYTES_MAX).await?;
    let given =
        parts.headers.get(GITHUB_SIGNATURE).and_then(|value| value.as_bytes().strip_prefix(b"sha256=")).and_then(from_hex);
    let given = given.ok_or_else(|| unauthorized("X-Hub-Signature-256 is sha256= and 64 hex digits"))?;
    let known = config.tokens.iter().find(|known| is_signed(&known.token, &body, &given));
    let known = known.ok_or_else(|| unauthorized("the body is signed with no token that is known"))?;
    Ok((Caller(Some(known.name.clone())), Request::from_parts(parts, Body::from(body))))
}

/// Compares in a time that does not tell where they differ.
fn is_signed(token: &Secret, body: &[u8], given: &[u8]) -> bool {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.expose().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body);
    mac.verify_slice(given).is_ok()
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    (text.len() == 64).then(|| text.chunks_exact(2).map(pair).collect())?
}

/// A page on another site can make a browser send a POST without asking anyone (CSRF), and can make its own name resolve
/// to 127.0.0.1 (DNS rebinding). The first shows in `Sec-Fetch-Site` and `Origin`, the second in `Host`.
fn refuse_lured_browsers(config: &Config, headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: header::HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let external: Option<Uri> = config.external_url.as_ref().and_then(|url| url.parse().ok());
    let external = external.as_ref().and_then(Uri::authority);

    let host: Option<Authority> = text(header::HOST).and_then(|host| host.parse().ok());
    if config.listen.ip().is_loopback() {
        let is_ours =
            host.as_ref().is_some_and(|host| is_loopback_name(host.host()) || external.is_some_and(|e| e.host() == host.host()));
        if !is_ours {
            return Err(Problem::forbidden("the Host header is not a name of this machine; set external_url to allow it"));
        }
    }
    if let Some(site) = headers.get("sec-fetch-site")
        && !matches!(site.as_bytes(), b"same-origin" | b"none")
    {
        return Err(Problem::forbidden("calls from another site's page are not taken"));
    }
    if let Some(origin) = text(header::ORIGIN) {
        let origin: Option<Uri> = origin.parse().ok();
        let origin = origin.as_ref().and_then(Uri::authority);
        if origin.is_none() || (origin != host.as_ref() && origin != external) {
            return Err(Problem::forbidden("calls from another site's page are not taken"));
        }
    }
    Ok(())
}

fn is_loopback_name(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
