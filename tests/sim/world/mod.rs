//! The whole daemon in a simulated world: senders, people, receivers, a disk, a clock, and everything that can go wrong with them.
//!
//! The runtime is the real one, turned by hand ([`quell::runtime::stepped`]): ingest's parsing and dedup, engine, group
//! commit, log, view, recovery, the outbox's lines and retries. Simulated are the disk under the log, the clocks, HTTP, and the
//! receivers at the other end, which keep state as the real ones do. One seed decides everything that happens.
//!
//! The checks are in `oracle`; they know nothing but what senders were told, what the log says and what receivers took.

mod backtests;
mod clocks;
mod downstream;
mod oracle;
mod people;
mod quiet;
mod receivers;
mod reloads;
mod repeats;
mod restarts;
mod senders;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use quell::config::{Config, SourceConfig, SourceFormat};
use quell::deliver::Delivery;
use quell::ingest::source::Source;
use quell::metrics::Metrics;
use quell::model::{Millis, Time};
use quell::ruleset::{self, Ruleset, SourceFile};
use quell::runtime::clock::{Clock, Reading};
use quell::runtime::stepped::{Attempt, Stepped};
use quell::runtime::{Handle, Parts, StartError, read_log};
use quell::storage::log::{LogOptions, SkipDamage};
use tempfile::TempDir;

use crate::disk::SimDisk;
use crate::random::Random;
use downstream::{Downstream, Outcome, Stand};
use oracle::Oracle;
use people::People;
use senders::{Body, Post, Senders};

/// When the worlds begin.
pub(crate) const START: Time = Time(1_767_571_200_000);
/// How often the runtime looks after itself here.
const BEAT: Millis = Millis::seconds(5);
/// How often everything is held against the model.
const CHECK_EVERY: Millis = Millis::minutes(5);
/// Small, so that an hour fills several.
const LOG: LogOptions = LogOptions { segment_bytes: 64 << 10 };

/// One incident for each service. Critical ones page; who does not answer for 15 minutes has a manager; it is said again
/// each 20 minutes. Some series flap, come in an order, or belong to services that depend on each other.
const RULES: &str = "
services:
  - { name: service0, tier: 1, depends_on: [service1] }
  - { name: service1, team: one }
suppress:
  - name: restless
    match: ['alertname=~\"series[15]\"']
    flapping: { changes: 2, within: 2h, until_stable: 20m }
correlate:
  - name: one-after-the-other
    sequence: [{ match: ['alertname=\"series0\"'] }, { match: ['alertname=~\"series[23]\"'] }]
    within: 1h
  - name: near
    match: ['service=~\"service[01]\"']
    topology: { hops: 1, within: 30m }
  - name: by-service
    match: ['service=~\".+\"']
    by: [service]
    window: 2h
escalate:
  - name: page
    match: [severity=critical]
    steps:
      - notify: [pager, chat]
      - { after: 15m, unless: acknowledged, notify: [managers] }
    update: 5m
    repeat: 20m
  - name: tell
    match: [severity=warning]
    steps:
      - notify: [chat]
";

/// What may go wrong, and how often.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// In each so many moments the process dies, one way or another. 0: never.
    pub(crate) crash_one_in: u64,
    /// In each so many moments the disk fills up for a while. 0: never.
    pub(crate) full_one_in: u64,
    /// Receivers fail now and then.
    pub(crate) receivers: bool,
}

/// How a process ends that has not been told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// kill -9 before what has arrived is looked at.
    BeforeTurn,
    /// kill -9 behind the sync, before anybody is answered.
    AfterTurn,
    /// The power goes at this operation of the disk from now.
    PowerCut(u64),
    /// This operation of the disk from now fails.
    DiskFault(u64),
}

/// Both clocks, and how far the wall clock is off.
#[derive(Clone, Copy, Debug)]
struct Hands {
    now: Time,
    off: Millis,
}

/// A world and all that is in it.
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) disk: SimDisk,
    pub(crate) runtime: Option<Stepped<SimDisk>>,
    pub(crate) senders: Senders,
    pub(crate) downstreams: BTreeMap<Arc<str>, Downstream>,
    pub(crate) people: People,
    pub(crate) oracle: Oracle,
    pub(crate) faults: Faults,
    pub(crate) counts: Counts,
    /// How the process is to die at the next turn.
    pub(crate) death: Option<Death>,
    /// Where the view is; goes with the world.
    _folder: TempDir,
    config: Arc<Config>,
    metrics: Arc<Metrics>,
    sources: Vec<Source>,
    hands: Arc<Mutex<Hands>>,
    posts: Vec<Post>,
    attempts: Vec<UnderWay>,
    beat_at: Time,
    check_at: Time,
    /// While no process runs, when one starts.
    start_at: Time,
    /// When there is space again on a full disk.
    space_at: Option<Time>,
}

/// An attempt that will come to this.
struct UnderWay {
    ends_at: Time,
    attempt: Attempt,
    delivery: Delivery,
}

/// What happened, to show that something did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) kills: u64,
    pub(crate) power_cuts: u64,
    pub(crate) failed_syncs: u64,
    pub(crate) full_disks: u64,
    pub(crate) refused_posts: u64,
}

impl World {
    /// A world in which `senders` speak, with receivers that are well.
    pub(crate) fn new(seed: u64, senders: Senders, faults: Faults) -> World {
        let mut random = Random::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { data: folder.path().to_owned(), ..Config::default() };
        let alertmanager =
            SourceConfig { name: "alertmanager".into(), format: SourceFormat::Alertmanager, ..SourceConfig::prometheus() };
        config.sources.push(alertmanager);
        let names = ["pager", "chat", "managers", "default"];
        let downstreams = names.map(|name| (Arc::from(name), Downstream::new(name, faults.receivers, &mut random)));
        let mut world = World {
            random,
            disk: SimDisk::default(),
            runtime: None,
            senders,
            downstreams: downstreams.into_iter().collect(),
            people: People::default(),
            oracle: Oracle::default(),
            faults,
            counts: Counts::default(),
            death: None,
            _folder: folder,
            config: Arc::new(config),
            metrics: Arc::new(Metrics::default()),
            sources: Vec::new(),
            hands: Arc::new(Mutex::new(Hands { now: START, off: Millis::ZERO })),
            posts: Vec::new(),
            attempts: Vec::new(),
            beat_at: START + BEAT,
            check_at: START + CHECK_EVERY,
            start_at: START,
            space_at: None,
        };
        world.start();
        world
    }

    /// True time, which nobody in the world can see.
    pub(crate) fn now(&self) -> Time {
        self.hands.lock().unwrap().now
    }

    /// Sets the daemon's wall clock forward or back.
    pub(crate) fn set_clock(&mut self, off: Millis) {
        self.hands.lock().unwrap().off = off;
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.as_ref().unwrap().handle()
    }

    /// Lets time go on to `until`, with everything that happens meanwhile.
    pub(crate) fn run_until(&mut self, until: Time) {
        while self.now() < until {
            let next = self.next_moment().clamp(self.now() + Millis(1), until);
            self.hands.lock().unwrap().now = next;
            self.moment();
        }
    }

    /// Everything goes well from now on; what is owed arrives, and all is held against the model.
    pub(crate) fn settle(&mut self, length: Millis) {
        self.faults = Faults::default();
        self.space_at = None;
        self.disk.set_capacity(None);
        for downstream in self.downstreams.values_mut() {
            downstream.is_well_from(self.hands.lock().unwrap().now);
        }
        let until = self.now() + length;
        self.run_until(until);
        self.check();
    }

    /// The soonest of everything that is to happen.
    fn next_moment(&mut self) -> Time {
        let mut next = self.beat_at.min(self.senders.next_at());
        next = self.attempts.iter().map(|it| it.ends_at).fold(next, Time::min);
        if self.runtime.is_none() {
            return next.min(self.start_at);
        }
        next
    }

    fn moment(&mut self) {
        let now = self.now();
        if self.runtime.is_none() && now >= self.start_at {
            self.start();
        }
        if self.space_at.is_some_and(|at| at <= now) {
            self.space_at = None;
            self.disk.set_capacity(None);
        }
        self.plan_trouble();
        self.post();
        self.end_attempts();
        if let Some(runtime) = &self.runtime {
            self.people.act(runtime, &mut self.random);
        }
        let beat = now >= self.beat_at;
        if beat {
            self.beat_at = now + BEAT;
        }
        self.turn(beat);
        self.begin_attempts();
        if now >= self.check_at {
            self.check_at = now + CHECK_EVERY;
            self.check();
        }
    }

    /// One turn of the runtime. The process may die before it, in it, or behind it before anybody is answered.
    pub(crate) fn turn(&mut self, beat: bool) {
        let death = self.death.take().or_else(|| self.random_death());
        match death {
            Some(Death::BeforeTurn) => self.kill(),
            Some(Death::PowerCut(at)) => self.disk.cut_power_at(at),
            Some(Death::DiskFault(at)) => self.disk.fail_operation(at, io::ErrorKind::Other),
            Some(Death::AfterTurn) | None => {}
        }
        let Some(runtime) = self.runtime.as_mut() else { return self.refuse_posts() };
        let turned = runtime.turn(beat);
        if beat && self.random.one_in(12) {
            runtime.write_view();
        }
        if death == Some(Death::AfterTurn) && turned.is_ok() {
            self.kill();
        } else if self.disk.is_off() {
            self.counts.power_cuts += 1;
            self.end_process();
            self.disk.power_cycle(&mut self.random);
        } else if turned.is_err() {
            self.counts.failed_syncs += 1;
            self.end_process();
        }
        if self.runtime.is_none() {
            return self.refuse_posts();
        }
        self.answer_posts();
    }

    fn random_death(&mut self) -> Option<Death> {
        if self.faults.crash_one_in == 0 || !self.random.one_in(self.faults.crash_one_in) {
            return None;
        }
        Some(match self.random.below(4) {
            0 => Death::BeforeTurn,
            1 => Death::AfterTurn,
            2 => Death::PowerCut(1 + self.random.below(4)),
            _ => Death::DiskFault(1 + self.random.below(3)),
        })
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        if self.runtime.is_some() {
            self.counts.kills += 1;
            self.end_process();
            self.disk.kill_process();
        }
    }

    fn end_process(&mut self) {
        self.runtime = None;
        self.attempts.clear();
        self.space_at = None;
        self.start_at = self.now() + Millis(1 + i64::try_from(self.random.below(60_000)).unwrap());
    }

    fn plan_trouble(&mut self) {
        if self.faults.full_one_in > 0 && self.space_at.is_none() && self.random.one_in(self.faults.full_one_in) {
            self.counts.full_disks += 1;
            self.disk.set_capacity(Some(self.disk.used_bytes()));
            self.space_at = Some(self.now() + Millis::seconds(1 + i64::try_from(self.random.below(180)).unwrap()));
        }
    }

    /// Starts the daemon on what is there. The power may go while it does.
    pub(crate) fn start(&mut self) {
        if self.faults.crash_one_in > 0 && self.random.one_in(8) {
            let at = 1 + self.random.below(20);
            self.disk.cut_power_at(at);
        }
        let failed_before = self.disk.failed().len();
        match self.try_start() {
            Ok(runtime) if !self.disk.is_off() => {
                self.sources = self.config.sources.iter().map(|source| self.source(source, &runtime)).collect();
                self.disk.clear_plans();
                self.runtime = Some(runtime);
                self.oracle.restarted(self.runtime.as_ref().unwrap(), &self.disk);
            }
            failed => {
                let off = self.disk.is_off();
                let faulty = off || self.disk.failed().len() > failed_before;
                assert!(faulty, "the daemon does not start: {}", failed.err().unwrap());
                self.end_process();
                if off {
                    self.counts.power_cuts += 1;
                    self.disk.power_cycle(&mut self.random);
                } else {
                    self.counts.failed_syncs += 1;
                }
            }
        }
    }

    fn try_start(&mut self) -> Result<Stepped<SimDisk>, StartError> {
        let disk = self.disk.clone();
        let hands = self.hands.clone();
        let clock = Clock::new(move || {
            let hands = *hands.lock().unwrap();
            Reading { wall: Time((hands.now + hands.off).0.max(0)), steady: hands.now.since(START) }
        });
        let receivers = self.downstreams.keys().map(|name| (name.clone(), Stand::receiver(name)));
        Stepped::start(
            Parts {
                config: self.config.clone(),
                metrics: self.metrics.clone(),
                clock,
                disk: self.disk.clone(),
                read_log: read_log(move || Ok(disk.clone()), SkipDamage::default()),
                receivers: receivers.collect(),
                load: Arc::new(|| Ok(rules())),
                log_options: LOG,
                skip_damage: SkipDamage::default(),
            },
            "simworld",
        )
    }

    fn source(&self, config: &SourceConfig, runtime: &Stepped<SimDisk>) -> Source {
        Source::new(config, self.config.resolve_timeout, runtime.handle().live(), &self.metrics).unwrap()
    }

    fn post(&mut self) {
        for body in self.senders.due(self.now()) {
            self.send(body);
        }
    }

    /// Posts a text of a test's own, and lets it be answered.
    pub(crate) fn say(&mut self, source: &'static str, text: String) {
        self.say_at_once(source, [text]);
    }

    /// Posts texts of a test's own, each before the one before it is on disk, and lets them be answered.
    pub(crate) fn say_at_once(&mut self, source: &'static str, texts: impl IntoIterator<Item = String>) {
        texts.into_iter().for_each(|text| self.send(Body::of(source, text)));
        self.turn(false);
    }

    fn send(&mut self, body: Body) {
        let now = self.now();
        let Some(runtime) = &self.runtime else { return self.senders.refused(&body, now) };
        let source = self.sources.iter().find(|source| *source.name == *body.source).unwrap();
        self.posts.push(Post::send(body, runtime, source, &self.config.limits));
    }

    fn answer_posts(&mut self) {
        let now = self.now();
        for mut post in std::mem::take(&mut self.posts) {
            match post.answered() {
                None => self.posts.push(post),
                Some(true) => {
                    self.oracle.acknowledged(&post.body);
                }
                Some(false) => {
                    self.counts.refused_posts += 1;
                    self.senders.refused(&post.body, now);
                }
            }
        }
    }

    fn refuse_posts(&mut self) {
        let now = self.now();
        for post in std::mem::take(&mut self.posts) {
            self.counts.refused_posts += 1;
            self.senders.refused(&post.body, now);
        }
    }

    fn begin_attempts(&mut self) {
        let Some(runtime) = self.runtime.as_mut() else { return };
        let now = self.hands.lock().unwrap().now;
        for attempt in runtime.attempts() {
            let downstream = self.downstreams.get_mut(&attempt.receiver).unwrap();
            let Outcome { delivery, takes } = downstream.take(&attempt.message, now, &mut self.random);
            self.attempts.push(UnderWay { ends_at: now + takes, attempt, delivery });
        }
    }

    fn end_attempts(&mut self) {
        let now = self.now();
        let Some(runtime) = self.runtime.as_mut() else { return };
        for it in self.attempts.extract_if(.., |it| it.ends_at <= now) {
            runtime.finish(&it.attempt, &it.delivery);
        }
    }

    /// Everything has ended, and everybody who was told of it knows.
    pub(crate) fn all_is_closed(&self) {
        oracle::all_is_closed(self.runtime.as_ref().unwrap(), &self.downstreams);
    }

    /// Holds everything against the model.
    pub(crate) fn check(&mut self) {
        if let Some(runtime) = &self.runtime {
            self.oracle.check(runtime, &self.disk, &self.downstreams, &self.senders);
        }
    }
}

/// The worlds' rules, compiled once.
fn rules() -> Arc<Ruleset> {
    static RULESET: OnceLock<Arc<Ruleset>> = OnceLock::new();
    let compile = || {
        let files = [SourceFile { name: "rules.yaml".to_owned(), text: RULES.to_owned() }];
        Arc::new(ruleset::load(&files, None, ruleset::Limits::default()).unwrap().ruleset)
    };
    RULESET.get_or_init(compile).clone()
}
