//! The paths that alerts come in by, from request to answer.
//!
//! `POST /api/v2/alerts` is Alertmanager's and answers as it does (bare JSON strings, go-openapi's objects);
//! `POST /v1/ingest/{source}` answers with counts. A 2xx is given only behind the engine's sync. A secret in a path is
//! compared here and goes nowhere else: no log, no metric, no other router.

use std::sync::Arc;
use std::time::Instant;

use hyper::body::{Body, Bytes};
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, Method, Request, StatusCode};
use prometheus::{Histogram, IntCounter};

use super::answer::{Fault, Outcome, Reply, failure};
use super::body::{Bodies, Refused};
use super::drop_in::DropIn;
use super::engine::Engine;
use super::intake::{Intake, Pending, Reason, Rejected, Sorted};
use super::own::Own;
use super::proof::Proved;
use super::rejects::Shelf;
use super::sns::{Certificates, Outgoing, Trust};
use super::source::{Format, Source};
use super::sources::InForce;
use super::taken::Underway;
use super::tls::ClientNames;
use super::wire::{BodyFault, shorten};
use super::{alertmanager, format, generic, prometheus as prometheus_format, tools};
use crate::config::{Config, ConfigError, Limits, Tool};
use crate::engine::{Answer, Input, Refusal};
use crate::metrics::Metrics;
use crate::model::{Fingerprint, Millis};
use crate::runtime::{self, Handle, NotTaken, SubmitError};

/// Everything that taking alerts in needs.
pub struct IngestState {
    pub(super) engine: Engine,
    pub(super) in_force: InForce,
    pub(super) limits: Limits,
    pub(super) bodies: Bodies,
    pub(super) metrics: Arc<Metrics>,
    /// Messages that could not be mapped.
    pub(super) store: Arc<Shelf>,
    /// Held while kept messages are tried again.
    pub(super) replaying: tokio::sync::Mutex<()>,
    /// Quell's own alerts.
    pub(super) own: Own,
    pub(super) underway: Underway,
    pub(super) certificates: Certificates,
    /// Answers `200` and `202`.
    answered: IntCounter,
    accepted: IntCounter,
    seconds: Histogram,
}

/// Which of our paths a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint<'a> {
    /// Alertmanager's, for the source `prometheus`.
    Alerts,
    Source {
        name: &'a str,
        secret: Option<&'a str>,
    },
    /// Another service's.
    DropIn(DropIn<'a>),
}

impl IngestState {
    /// `outgoing` is for the certificates of Amazon SNS, and for confirming subscriptions there.
    ///
    /// # Errors
    /// As [`Source::new`]; kept messages that cannot be looked through.
    pub fn new(
        handle: Handle,
        config: &Config,
        metrics: Arc<Metrics>,
        outgoing: Arc<dyn Outgoing>,
    ) -> Result<IngestState, ConfigError> {
        Self::with_engine(Engine::Running(handle), config, metrics, Certificates::new(outgoing, Trust::public()))
    }

    pub(super) fn with_engine(
        engine: Engine,
        config: &Config,
        metrics: Arc<Metrics>,
        certificates: Certificates,
    ) -> Result<IngestState, ConfigError> {
        let source = |it| Source::new(it, config.resolve_timeout, engine.live(), &metrics);
        let store = Shelf::open(config, metrics.clone()).map_err(|error| ConfigError {
            code: "unreadable",
            message: format!("the kept messages in {} cannot be read: {error}", config.data.display()),
            place: String::new(),
            hint: None,
        })?;
        let state = IngestState {
            store: Arc::new(store),
            replaying: tokio::sync::Mutex::default(),
            own: Own::new(source(&Own::config())?, config.data.clone()),
            in_force: InForce::new(config.sources.iter().map(source).collect::<Result<_, _>>()?),
            limits: config.limits.clone(),
            bodies: Bodies::new(config.limits.body_bytes, duration(config.limits.body_timeout)),
            answered: metrics.http_requests_total.with_label_values(&["ingest", "200"]),
            accepted: metrics.http_requests_total.with_label_values(&["ingest", "202"]),
            seconds: metrics.http_request_seconds.with_label_values(&["ingest"]),
            underway: Underway::default(),
            certificates,
            engine,
            metrics,
        };
        state.remember_sources();
        Ok(state)
    }

    /// Answers a request on one of our paths.
    pub(super) async fn answer<B>(&self, endpoint: Endpoint<'_>, request: &mut Request<B>) -> Reply
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let began = Instant::now();
        let (method, headers) = (request.method().clone(), std::mem::take(request.headers_mut()));
        let query = request.uri().query().unwrap_or_default().to_owned();
        let names = request.extensions().get::<ClientNames>().cloned().unwrap_or_default();
        let reply = self.try_answer(endpoint, &query, (&method, &headers), &names, request.body_mut()).await;
        let reply = reply.unwrap_or_else(|fault| {
            self.metrics.requests_rejected_total.with_label_values(&[fault.reason]).inc();
            if let Endpoint::Source { name, .. } = endpoint
                && fault.code != "unknown_source"
            {
                // Strangers must not be able to fill the log.
                tracing::debug!(source = name, reason = fault.reason, "a request was refused");
            }
            fault.reply(endpoint)
        });
        match reply.status() {
            StatusCode::OK => self.answered.inc(),
            StatusCode::ACCEPTED => self.accepted.inc(),
            other => self.metrics.http_requests_total.with_label_values(&["ingest", other.as_str()]).inc(),
        }
        self.seconds.observe(began.elapsed().as_secs_f64());
        reply
    }

    async fn try_answer<B>(
        &self,
        endpoint: Endpoint<'_>,
        query: &str,
        (method, headers): (&Method, &HeaderMap),
        client: &ClientNames,
        body: &mut B,
    ) -> Result<Reply, Fault>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (name, secret) = match endpoint {
            Endpoint::Alerts => ("prometheus", None),
            Endpoint::Source { name, secret } => (name, secret.map(decode)),
            Endpoint::DropIn(address) => return Ok(self.drop_in(address, query, headers, body).await),
        };
        let source = self.source_named(name);
        let source = source.ok_or_else(|| Fault::new(StatusCode::NOT_FOUND, "unknown_source", "there is no such source"))?;
        let source = &*source;
        let is_handshake = method == Method::OPTIONS && matches!(source.format, Format::Tool(Tool::Cloudevents));
        if method != Method::POST && !is_handshake {
            return Err(Fault::new(StatusCode::METHOD_NOT_ALLOWED, "method", "alerts are sent by POST"));
        }
        let asks_the_body = !is_handshake && source.auth.asks_the_body(headers, secret.as_deref());
        if !asks_the_body && !source.auth.admits(headers, secret.as_deref()) {
            return Err(Fault::unauthorized("unauthorized"));
        }
        if !source.auth.admits_client(client) {
            return Err(Fault::unauthorized("client_certificate"));
        }
        if is_handshake {
            source.watched.heard(self.engine.now());
            return tools::cloudevents_handshake(&source.handshake, headers);
        }
        if endpoint == Endpoint::Alerts && !is_json(headers) {
            // Alertmanager's rule, and what keeps a browser's page from posting here without being asked.
            let message = "unsupported media type, only [application/json] are allowed";
            return Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", message));
        }
        let (mut sorted, asides, kept, ticket) = {
            let text = self.bodies.read(headers, body).await?;
            if asks_the_body && !source.auth.admits_body(text.as_str()?, self.limits.json_depth) {
                return Err(Fault::unauthorized("unauthorized"));
            }
            let ticket = match self.prove(source, headers, &text).await? {
                Proved::Nothing => None,
                Proved::New(ticket) => Some(ticket),
                Proved::Taken => return Ok(self.taken_before(source, endpoint)),
            };
            source.watched.heard(self.engine.now());
            let text = text.as_str()?;
            let intake = Intake::new(self.engine.live(), source, &self.limits, self.engine.now());
            let (sorted, asides) = sort(source, text, headers, intake, &self.metrics)?;
            // Before anything else: what is not kept must not be acknowledged in part either.
            let kept = self.keep_rejected(source, text, headers, &sorted).await?;
            (sorted, asides, kept, ticket)
        };
        self.confirm(source, &asides).await?;
        let acknowledged = std::mem::take(&mut sorted.acknowledged);
        let mut outcome = self.commit(sorted).await;
        self.act(source, &acknowledged, &asides, &mut outcome).await;
        self.count(source, &outcome);
        let is_kept = kept.is_some();
        outcome.kept = kept;
        let mut reply = outcome.reply(endpoint);
        // Behind all that the message said, so that one which was not taken to its end can come again.
        if let Some(ticket) = ticket.filter(|_| reply.status().is_success())
            && let Err(error) = self.engine.submit(vec![Input::Message(ticket.message())]).await
        {
            outcome.failed = Some(error);
            reply = outcome.reply(endpoint);
        }
        let asks = asides.iter().any(|aside| matches!(aside, format::Aside::Handshake { .. }));
        if (matches!(source.format, Format::Tool(_)) || is_kept) && reply.status() == StatusCode::OK && !asks {
            // What tools send is taken, and not always understood.
            *reply.status_mut() = StatusCode::ACCEPTED;
        }
        Ok(reply)
    }

    /// Submits what a message says besides alerts, behind them: an acknowledgement may come with the alert that it is of.
    pub(super) async fn act(
        &self,
        source: &Source,
        acknowledged: &[Fingerprint],
        asides: &[format::Aside],
        outcome: &mut Outcome,
    ) {
        let acts = tools::acts(acknowledged, asides, source, self.engine.live(), self.engine.now());
        if acts.is_empty() || outcome.failed.is_some() {
            return;
        }
        // What the state forbids is no fault of the sender's: somebody was faster.
        outcome.failed = self.engine.submit(acts).await.err();
    }

    /// Hands the news to the engine. Where the whole finds no room there, its critical alerts may: they are taken alone then,
    /// and the request fails all the same. Its sender sends all of it again, and what was taken is a repeat.
    pub(super) async fn commit(&self, sorted: Sorted) -> Outcome {
        let mut outcome = Outcome { new: 0, repeats: sorted.repeats, rejected: sorted.rejected, kept: None, failed: None };
        if sorted.news.is_empty() {
            return outcome;
        }
        let mut left_out = sorted.pending;
        let words = |pending: &[Pending]| pending.iter().map(|it| it.word).collect();
        match self.engine.submit_news(sorted.news, words(&left_out)).await {
            Ok(answers) => settle(&left_out, answers, &mut outcome),
            Err(NotTaken { error, inputs }) => {
                let is_critical: Vec<bool> = inputs.iter().map(runtime::is_critical).collect();
                let is_mixed = is_critical.contains(&true) && is_critical.contains(&false);
                if error == SubmitError::Overloaded && is_mixed {
                    let critical = pick(&left_out, &is_critical);
                    if let Ok(answers) = self.engine.submit_news(pick(&inputs, &is_critical), words(&critical)).await {
                        settle(&critical, answers, &mut outcome);
                        let ordinary: Vec<bool> = is_critical.iter().map(|critical| !critical).collect();
                        left_out = pick(&left_out, &ordinary);
                    }
                }
                let (reason, message) = failure(&error);
                outcome.rejected.extend(left_out.iter().map(|it| rejected(it.index, reason, message.clone())));
                self.metrics.requests_rejected_total.with_label_values(&[reason.as_str()]).inc();
                outcome.failed = Some(error);
            }
        }
        outcome.rejected.sort_by_key(|rejected| rejected.index);
        outcome
    }

    /// What was received is what was new, a repeat or rejected: always.
    pub(super) fn count(&self, source: &Source, outcome: &Outcome) {
        source.received.inc_by(outcome.new + outcome.repeats + outcome.rejected.len() as u64);
        source.repeats.inc_by(outcome.repeats);
        source.new.inc_by(outcome.new);
        for rejected in &outcome.rejected {
            self.metrics.alerts_rejected_total.with_label_values(&[&source.name, rejected.reason.as_str()]).inc();
        }
    }
}

/// Notes what the engine answered to each piece of news.
fn settle(pending: &[Pending], answers: Vec<Result<Answer, Refusal>>, outcome: &mut Outcome) {
    for (pending, answer) in pending.iter().zip(answers) {
        match answer {
            Ok(Answer::New | Answer::Done | Answer::Reported(_)) => outcome.new += 1,
            Ok(Answer::Repeat) => outcome.repeats += 1,
            Err(refusal) => outcome.rejected.push(rejected(pending.index, Reason::Engine, refused(&refusal))),
        }
    }
}

/// Reads a message of a source, and sorts what it says.
pub(super) fn sort(
    source: &Source,
    text: &str,
    headers: &HeaderMap,
    mut intake: Intake<'_>,
    metrics: &Metrics,
) -> Result<(Sorted, Vec<format::Aside>), Fault> {
    if text.is_empty() {
        return Err(Fault::new(StatusCode::UNPROCESSABLE_ENTITY, "empty_body", "alerts in body is required"));
    }
    let mut asides = Vec::new();
    match &source.format {
        Format::Prometheus => prometheus_format::read(text, &mut intake)?,
        Format::Alertmanager => alertmanager::read(text, &mut intake)?,
        Format::Generic(mapping) => generic::read(text, mapping, &mut intake)?,
        Format::Tool(tool) => asides = tools::take(*tool, (text, headers), source, &mut intake, metrics)?,
    }
    Ok((intake.finish(), asides))
}

impl Endpoint<'_> {
    /// Our endpoint at this path, if it is one of ours.
    pub(super) fn of<'p>(method: &Method, path: &'p str) -> Option<Endpoint<'p>> {
        if path == "/api/v2/alerts" {
            return (method == Method::POST).then_some(Endpoint::Alerts);
        }
        if path.starts_with("/v2/") {
            return DropIn::of(method, path).map(Endpoint::DropIn);
        }
        let (name, rest) = match path.strip_prefix("/v1/ingest/")?.split_once('/') {
            Some((name, secret)) => (name, Some(secret)),
            None => (path.strip_prefix("/v1/ingest/")?, None),
        };
        Some(Endpoint::Source { name, secret: rest })
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Fault {
        Fault::new(refused.status(), refused.code(), refused.message())
    }
}

impl From<BodyFault> for Fault {
    fn from(fault: BodyFault) -> Fault {
        match fault {
            BodyFault::Unreadable(message) => Fault::new(StatusCode::BAD_REQUEST, "unreadable", &shorten(message)),
            BodyFault::TooMany => Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_alerts", "too many alerts in one request"),
        }
    }
}

pub(super) fn duration(length: Millis) -> std::time::Duration {
    std::time::Duration::from_millis(u64::try_from(length.0).unwrap_or(0))
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// A part of a path without its percent signs; as it stands where they are wrong.
pub(super) fn decode(part: &str) -> String {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match tail {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| part.to_owned())
}

/// The items that are wanted.
fn pick<T: Clone>(items: &[T], wanted: &[bool]) -> Vec<T> {
    items.iter().zip(wanted).filter(|(_, wanted)| **wanted).map(|(item, _)| item.clone()).collect()
}

fn rejected(index: usize, reason: Reason, message: String) -> Rejected {
    Rejected { index, reason, message }
}

fn refused(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Limit(name) => format!("the limit `{name}` is reached"),
        Refusal::Forbidden(message) => message.clone(),
        Refusal::NoSuchIncident(_) | Refusal::NoSuchNotification(_) | Refusal::NoSuchSilence(_) | Refusal::NoSuchHeartbeat(_) => {
            "refused".to_owned()
        }
    }
}
