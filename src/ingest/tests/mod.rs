//! One request through the formats and the tables, with a stand-in for the engine that commits at once.

mod auth;
mod drop_in;
mod generic;
mod golden;
mod http;
pub(super) mod json;
mod late;
mod messages;
mod outage;
mod pages;
mod posts;
mod rejects;
mod reload;
mod sns;
mod templates;
mod tools;
mod watch;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::engine::{Answers, Engine};
use super::route::IngestState;
use super::sns::{Calling, Certificates, Outgoing, Trust};
use crate::config::{Config, load_text};
use crate::engine::entity::Changes;
use crate::engine::{Act, Answer, Engine as RealEngine, EngineOptions, Input, Refusal, State};
use crate::metrics::Metrics;
use crate::model::{AlertRecord, AlertStatus, Millis, Time};
use crate::ruleset::{self, SourceFile};
use crate::runtime::{Live, SubmitError, is_critical};

/// A morning in the tests' year.
pub(super) const T0: Time = Time(1_800_000_000_000);

/// What stands in for the running engine: takes every word on an alert that differs from the one before as news, and
/// publishes it.
#[derive(Clone)]
pub(super) struct FakeEngine {
    pub(super) live: Arc<Live>,
    pub(super) clock: Arc<AtomicI64>,
    pub(super) failure: Arc<Mutex<Option<SubmitError>>>,
    /// Whether what is not all critical finds no room.
    pub(super) crowded: Arc<AtomicBool>,
    pub(super) seq: Arc<AtomicU64>,
    /// What was done besides.
    pub(super) acts: Arc<Mutex<Vec<Act>>>,
    /// The real one, where a test wants to see what becomes of it all.
    real: Arc<Mutex<Option<RealEngine>>>,
}

impl FakeEngine {
    fn new(config: &Config) -> FakeEngine {
        FakeEngine {
            live: Arc::new(Live::new(config)),
            clock: Arc::new(AtomicI64::new(T0.0)),
            failure: Arc::default(),
            crowded: Arc::default(),
            seq: Arc::default(),
            acts: Arc::default(),
            real: Arc::default(),
        }
    }

    pub(super) fn now(&self) -> Time {
        Time(self.clock.load(Ordering::Relaxed))
    }

    pub(super) fn set_now(&self, now: Time) {
        self.clock.store(now.0, Ordering::Relaxed);
    }

    pub(super) fn submit(&self, inputs: Vec<Input>) -> Answers {
        if let Some(error) = self.failure.lock().unwrap().clone() {
            return Err(error);
        }
        if self.crowded.load(Ordering::Relaxed) && !inputs.iter().all(is_critical) {
            return Err(SubmitError::Overloaded);
        }
        if let Some(real) = self.real.lock().unwrap().as_mut() {
            return Ok(inputs.into_iter().map(|input| self.step(real, self.now(), input)).collect());
        }
        Ok(inputs.into_iter().map(|input| Ok(self.decide(input))).collect())
    }

    fn step(&self, real: &mut RealEngine, now: Time, input: Input) -> Result<Answer, Refusal> {
        let answer = real.step(now, input, &mut Vec::new());
        self.live.publish(&real.take_changes(), now);
        answer
    }

    fn decide(&self, input: Input) -> Answer {
        let news = match input {
            Input::Alert(news) => news,
            Input::Ended { .. } => return Answer::Repeat,
            Input::Message(message) => {
                self.live.publish(&Changes { messages: vec![message], ..Changes::default() }, self.now());
                return Answer::Done;
            }
            Input::Act { act, .. } => {
                self.acts.lock().unwrap().push(act);
                return Answer::Done;
            }
            other => panic!("ingest submits alerts and acts only, not {other:?}"),
        };
        let known = self.live.alert(news.alert.fingerprint);
        let present = known.as_ref().map_or(AlertStatus::Resolved, |entry| entry.record.status);
        let relabelled = known.as_ref().is_some_and(|entry| entry.record.alert.labels != news.alert.labels);
        if present == news.status && !(relabelled && present == AlertStatus::Firing) {
            return Answer::Repeat;
        }
        let seq = self.seq.fetch_add(1, Ordering::Relaxed) + 1;
        let occurrence = known.filter(|_| news.status == AlertStatus::Resolved);
        let (alert, seq) = match occurrence {
            Some(entry) => (entry.record.alert.clone(), entry.record.fired_seq),
            None => (news.alert, seq),
        };
        let firing = AlertRecord::firing(alert, seq, self.now());
        let record = AlertRecord { status: news.status, ends_at: news.ends_at, ..firing };
        self.live.publish(&Changes { alerts: vec![Arc::new(record)], ..Changes::default() }, self.now());
        Answer::New
    }
}

/// A configured ingest with its engine.
pub(super) struct Setup {
    pub(super) state: Arc<IngestState>,
    pub(super) engine: FakeEngine,
    pub(super) metrics: Arc<Metrics>,
    pub(super) folder: tempfile::TempDir,
    pub(super) amazon: Arc<Amazon>,
}

/// Runs what waits for nothing but disks and engines.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

fn config(yaml: &str, folder: &tempfile::TempDir) -> Config {
    let (mut config, _) = load_text("test.yaml", yaml, &BTreeMap::new(), &BTreeMap::new()).unwrap();
    config.data = folder.path().to_owned();
    config
}

/// What stands in for Amazon's host.
#[derive(Default)]
pub(super) struct Amazon {
    /// What it gives at an address; nothing at others.
    pub(super) documents: Mutex<BTreeMap<String, Vec<u8>>>,
    /// What it was asked for, in order.
    pub(super) asked: Mutex<Vec<String>>,
}

impl Outgoing for Amazon {
    fn get<'a>(&'a self, url: &'a str, _: usize) -> Calling<'a> {
        self.asked.lock().unwrap().push(url.to_owned());
        let found = self.documents.lock().unwrap().get(url).cloned();
        Box::pin(std::future::ready(found.ok_or_else(|| "no answer".to_owned())))
    }
}

/// What one request came to: status, answer.
pub(super) type Reply = (u16, String);

impl Setup {
    pub(super) fn new(yaml: &str) -> Setup {
        Setup::trusting(yaml, Trust::public())
    }

    /// As [`Setup::new`], with other roots for Amazon's certificates.
    pub(super) fn trusting(yaml: &str, trust: Trust) -> Setup {
        let folder = tempfile::tempdir().unwrap();
        let config = config(yaml, &folder);
        let (engine, metrics) = (FakeEngine::new(&config), Arc::new(Metrics::default()));
        let amazon = Arc::new(Amazon::default());
        let certificates = Certificates::new(amazon.clone(), trust);
        let state = IngestState::with_engine(Engine::Fake(engine.clone()), &config, metrics.clone(), certificates).unwrap();
        Setup { state: Arc::new(state), engine, metrics, folder, amazon }
    }

    /// The daemon's next start, with another configuration: what was live is, counts begin anew.
    pub(super) fn restart(&mut self, yaml: &str) {
        let config = config(yaml, &self.folder);
        self.metrics = Arc::new(Metrics::default());
        let engine = Engine::Fake(self.engine.clone());
        let certificates = Certificates::new(self.amazon.clone(), Trust::public());
        self.state = Arc::new(IngestState::with_engine(engine, &config, self.metrics.clone(), certificates).unwrap());
    }

    /// The value of a metric, whose labels are written as they are exposed.
    pub(super) fn metric(&self, series: &str) -> Option<String> {
        let text = String::from_utf8(self.metrics.expose()).unwrap();
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned))
    }

    /// As [`Setup::new`], with the real engine under rules, whose time begins at `start`.
    pub(super) fn with_rules(yaml: &str, rules: &str, start: Time) -> Setup {
        let files = [SourceFile { name: "rules.yaml".to_owned(), text: rules.to_owned() }];
        let rules = Arc::new(ruleset::load(&files, None, ruleset::Limits::default()).unwrap().ruleset);
        let setup = Setup::new(yaml);
        let mut real = RealEngine::new(State::new(), rules.clone(), EngineOptions::default());
        for input in [Input::Created { directory: "test".into() }, Input::Rules(rules)] {
            setup.engine.step(&mut real, start, input).unwrap();
        }
        *setup.engine.real.lock().unwrap() = Some(real);
        setup.engine.set_now(start);
        setup
    }

    /// Lets time pass, with everything that becomes due on the way.
    pub(super) fn pass_to(&self, at: Time) {
        let mut real = self.engine.real.lock().unwrap();
        let real = real.as_mut().unwrap();
        while let Some(due) = real.next_timer().filter(|due| *due <= at) {
            self.engine.step(real, due, Input::Tick).unwrap();
        }
        self.engine.set_now(at);
    }

    /// Posts a JSON body to a path at a time after [`T0`].
    pub(super) fn post(&self, seconds: i64, path: &str, body: &str) -> Reply {
        self.engine.set_now(T0 + Millis::seconds(seconds));
        self.send(path, &[("content-type", "application/json")], body.as_bytes())
    }

    pub(super) fn send(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.request(&hyper::Method::POST, path, headers, body)
    }

    pub(super) fn request(&self, method: &hyper::Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.exchange(method, path, headers, body).0
    }

    /// As [`Setup::request`], with the headers of the answer.
    pub(super) fn exchange(
        &self,
        method: &hyper::Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (Reply, hyper::HeaderMap) {
        use http_body_util::{BodyExt, Full};
        let mut request = hyper::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Full::new(hyper::body::Bytes::copy_from_slice(body))).unwrap();
        block_on(async {
            let endpoint = super::route::Endpoint::of(method, path.split('?').next().unwrap()).unwrap();
            let reply = self.state.answer(endpoint, &mut request).await;
            let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
            let body = reply.into_body().collect().await.unwrap().to_bytes();
            ((status, String::from_utf8(body.to_vec()).unwrap()), headers)
        })
    }

    /// `received = repeats + new + rejected`, of one source.
    pub(super) fn counts(&self, source: &str) -> [u64; 4] {
        let text = String::from_utf8(self.metrics.expose()).unwrap();
        ["received", "repeats", "new", "rejected"].map(|name| {
            let lines = text.lines().filter(|line| line.starts_with(&format!("quell_alerts_{name}_total{{")));
            let of_source = lines.filter(|line| line.contains(&format!("source=\"{source}\"")));
            of_source.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
        })
    }

    /// What is known: labels, status and times relative to [`T0`], in seconds, sorted.
    pub(super) fn known(&self) -> Vec<String> {
        let seconds = |time: Time| if time.0 == i64::MAX { "never".to_owned() } else { (time.since(T0).0 / 1_000).to_string() };
        let mut lines: Vec<String> = self
            .engine
            .live
            .alerts(|_| true)
            .iter()
            .map(|entry| {
                let record = &entry.record;
                let end = record
                    .ends_at
                    .map_or_else(|| format!("expires {}", seconds(entry.expires_at)), |end| format!("ended {}", seconds(end)));
                format!("{} {} from {} {end}", record.alert.labels, record.status.as_str(), seconds(entry.starts_at))
            })
            .collect();
        lines.sort();
        lines
    }
}
