//! The addresses of other services' APIs, for senders that can be told another host and nothing else: PagerDuty's Events
//! API and Opsgenie's Alert API, with their answers and their words for what is wrong.
//!
//! Who posts here is told what is wrong with a message, as by the service that it believes to speak to. Many senders show
//! that to nobody, so a message that came with a key of ours is kept all the same.

mod opsgenie;
mod pagerduty;

use std::sync::Arc;

use hyper::body::{Body, Bytes};
use hyper::{HeaderMap, Method, StatusCode};

use super::answer::{Outcome, Reply, with_retry};
use super::format::{Aside, Reading};
use super::intake::{Intake, Reason};
use super::route::IngestState;
use super::source::{Format, Source};
use super::tools;
use crate::config::Tool;

/// Which of those addresses a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DropIn<'a> {
    /// PagerDuty's, for alerts.
    Enqueue,
    /// PagerDuty's, for changes.
    EnqueueChange,
    /// Opsgenie's; the path behind `/v2/alerts`, and whether it is a PUT, by which Opsgenie changes a field.
    Alerts { rest: &'a str, is_put: bool },
}

impl DropIn<'_> {
    /// The address of a request, if it is one of these.
    pub(super) fn of<'p>(method: &Method, path: &'p str) -> Option<DropIn<'p>> {
        let (is_post, is_put) = (method == Method::POST, method == Method::PUT);
        match path {
            "/v2/enqueue" => is_post.then_some(DropIn::Enqueue),
            "/v2/change/enqueue" => is_post.then_some(DropIn::EnqueueChange),
            _ => {
                let rest = path.strip_prefix("/v2/alerts")?;
                let is_below = rest.is_empty() || rest.starts_with('/');
                (is_below && (is_post || is_put)).then_some(DropIn::Alerts { rest, is_put })
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
        let read = self.bodies.read(headers, body).await;
        let text = read.and_then(|text| text.as_str().map(str::to_owned)).inspect_err(|refused| {
            self.metrics.requests_rejected_total.with_label_values(&[refused.code()]).inc();
        });
        let reply = match address {
            DropIn::Enqueue => self.pagerduty(text, false).await,
            DropIn::EnqueueChange => self.pagerduty(text, true).await,
            DropIn::Alerts { rest, is_put } => self.opsgenie(opsgenie::Address { rest, query, is_put }, headers, text).await,
        };
        let is_for_later = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&reply.status());
        if is_for_later { with_retry(reply) } else { reply }
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

    /// Counts and keeps a message that is the source's and none of its API's. The answer is an error and promises nothing, so
    /// where the disk does not take it, it stays with that; our log says so.
    async fn keep_invalid(&self, source: &Source, text: &str, why: String) {
        let sorted = {
            let mut intake = self.intake(source);
            intake.reject(0, Reason::Unmapped, why);
            intake.finish()
        };
        drop(self.keep_rejected(source, text, &HeaderMap::new(), &sorted).await);
        self.count(source, &self.commit(sorted).await);
    }

    fn intake<'s>(&'s self, source: &'s Source) -> Intake<'s> {
        Intake::new(self.engine.live(), source, &self.limits, self.engine.now())
    }

    /// The source of this format that this key is the token of; one without a token takes any.
    fn source_of(&self, tool: Tool, key: Option<&str>) -> Option<Arc<Source>> {
        let sources = self.sources();
        let of_tool = || sources.iter().filter(move |source| matches!(source.format, Format::Tool(it) if it == tool));
        let by_token = of_tool().find(|source| key.is_some_and(|key| source.auth.knows(key.as_bytes())));
        let found = by_token.or_else(|| of_tool().find(|source| source.auth.asks_no_token()));
        found.cloned().inspect(|source| source.watched.heard(self.engine.now()))
    }
}
