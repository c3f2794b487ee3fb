//! One request's alerts against the tables: repeats end here, news is collected for the engine, what breaks a limit is
//! rejected alone. Knows nothing of HTTP and formats, and waits for nothing.

mod again;
mod all;
mod event;

use std::borrow::Cow;
use std::sync::Arc;

use super::check;
use super::source::{Format, Source};
use super::watch::Watched;
use super::wire::{RawMap, shorten};
use crate::config::Limits;
use crate::engine::{Input, News};
use crate::model::{Alert, AlertStatus, Fingerprint, Labels, Millis, Time};
use crate::runtime::Live;
use crate::runtime::live::{FingerprintSet, Heard, NEVER, Seen, Word, Wording};

pub use again::Again;

/// One alert as its sender said it, before it is known whether it is news.
#[derive(Debug)]
pub struct Said<'a> {
    pub labels: Pairs<'a>,
    pub annotations: Pairs<'a>,
    pub generator_url: Cow<'a, str>,
    /// `None` where the end decides: resolved if it has passed.
    pub status: Option<AlertStatus>,
    pub starts_at: Option<Time>,
    pub ends_at: Option<Time>,
    /// The labels that make the identity; `None` for all.
    pub identity: Option<&'a [String]>,
}

/// Names and values.
#[derive(Debug)]
pub enum Pairs<'a> {
    /// A JSON map as it came.
    Raw(RawMap<'a>),
    Parsed(Parsed<'a>),
}

/// Names and values that were read.
pub type Parsed<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Sorts one request's alerts.
pub struct Intake<'a> {
    live: &'a Live,
    source: &'a Source,
    limits: &'a Limits,
    now: Time,
    news: Vec<Input>,
    pending: Vec<Pending>,
    repeats: u64,
    rejected: Vec<Rejected>,
    acknowledged: Vec<Fingerprint>,
    /// Whether the end of what nobody knows is told, too.
    tells_all: bool,
    /// Set where the message came before.
    again: Option<&'a Again<'a>>,
    /// How many alerts the message has, where its format has said so.
    alerts: usize,
    /// Alerts that this request has news of: a further word on one of these is the engine's to judge, since the table
    /// does not have the first one yet.
    fresh: FingerprintSet,
    fresh_firing: usize,
    /// How many alerts fired when the first news came, of all sources and of this one. Asked once a request: these counts are
    /// everybody's, and each look at them costs as much as a look-up.
    firing: Option<(usize, usize)>,
}

/// One request's alerts: each is in exactly one of the three.
#[derive(Debug)]
pub struct Sorted {
    /// For the engine, in order.
    pub news: Vec<Input>,
    /// What to remember of each of `news` once it is committed.
    pub pending: Vec<Pending>,
    pub repeats: u64,
    pub rejected: Vec<Rejected>,
    /// Alerts that were acknowledged at their sender's.
    pub acknowledged: Vec<Fingerprint>,
    /// How many alerts the message has, where its format says how many it read.
    pub alerts: usize,
}

/// What goes with one piece of news.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    /// Its place in the request.
    pub index: usize,
    pub word: Word,
    /// How long it fires without being heard of, where its message says so.
    pub lasts: Option<Millis>,
}

/// An alert that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its place in the request.
    pub index: usize,
    pub reason: Reason,
    pub message: String,
}

/// Why, as the metric counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No alert's shape: a number for a text, a time that is none.
    Shape,
    /// A field that must be there is not.
    Missing,
    Labels,
    Annotations,
    Times,
    /// A template of a `generic` source came to nothing usable.
    Template,
    /// A tool's message that its format cannot be made to say an alert of.
    Unmapped,
    /// A limit on how many alerts may be active.
    Active,
    /// The engine refused it.
    Engine,
    /// The engine's queue is full.
    Overloaded,
    /// The disk is full or failing.
    Storage,
    Stopping,
}

impl Reason {
    /// Whether a better mapping might help; the others are matters of room and time.
    #[must_use]
    pub fn is_of_mapping(self) -> bool {
        use Reason::{Annotations, Labels, Missing, Shape, Template, Times, Unmapped};
        matches!(self, Shape | Missing | Labels | Annotations | Times | Template | Unmapped)
    }

    /// The value of the metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Shape => "shape",
            Reason::Missing => "missing",
            Reason::Labels => "labels",
            Reason::Annotations => "annotations",
            Reason::Times => "times",
            Reason::Template => "template",
            Reason::Unmapped => "unmapped",
            Reason::Active => "active",
            Reason::Engine => "engine",
            Reason::Overloaded => "overloaded",
            Reason::Storage => "storage",
            Reason::Stopping => "stopping",
        }
    }
}

/// What was found out of an alert before it is taken.
#[derive(Default)]
struct LookedUp {
    raw_key: Option<u64>,
    /// The alert that its labels as they came are known to belong to.
    known: Option<Fingerprint>,
    /// What was read of its labels.
    identified: Option<Identified>,
}

struct Identified {
    labels: Labels,
    fingerprint: Fingerprint,
}

/// What one alert turned out to be.
enum Took {
    News,
    Repeat,
}

/// Why one alert cannot be taken.
pub(super) type Fault = (Reason, String);

impl<'a> Intake<'a> {
    #[must_use]
    pub fn new(live: &'a Live, source: &'a Source, limits: &'a Limits, now: Time) -> Intake<'a> {
        Intake {
            live,
            source,
            limits,
            now,
            news: Vec::new(),
            pending: Vec::new(),
            repeats: 0,
            rejected: Vec::new(),
            acknowledged: Vec::new(),
            tells_all: false,
            again: None,
            alerts: 0,
            fresh: live.set(),
            fresh_firing: 0,
            firing: None,
        }
    }

    /// The same, for showing what a message says: also the end of what nobody knows is news.
    #[must_use]
    pub fn telling_all(self) -> Intake<'a> {
        Intake { tells_all: true, ..self }
    }

    /// The same, for a message that came before.
    #[must_use]
    pub fn again(self, again: &'a Again<'a>) -> Intake<'a> {
        Intake { again: Some(again), ..self }
    }

    /// Says how many alerts the message has, before the first of them.
    pub fn begin(&mut self, alerts: usize) {
        self.alerts = alerts;
    }

    /// What came of the request's alerts; waits for nothing and borrows nothing any more.
    #[must_use]
    pub fn finish(self) -> Sorted {
        let Intake { news, pending, repeats, rejected, acknowledged, alerts, .. } = self;
        Sorted { news, pending, repeats, rejected, acknowledged, alerts }
    }

    /// The limits that hold for this request.
    #[must_use]
    pub fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// Shows the message to what is watched of its source, unless it came before.
    pub(super) fn watch(&self, look: impl FnOnce(&Watched, Time)) {
        if self.again.is_none() {
            look(&self.source.watched, self.now);
        }
    }

    /// Takes one alert.
    pub fn take(&mut self, index: usize, said: &Said<'_>) {
        self.take_looked_up(index, said, self.look_up(said));
    }

    fn take_looked_up(&mut self, index: usize, said: &Said<'_>, looked_up: LookedUp) {
        if self.was_taken(index) {
            return;
        }
        match self.try_take(index, said, looked_up) {
            Ok(Took::News) => {}
            Ok(Took::Repeat) => self.repeats += 1,
            Err((reason, message)) => self.reject(index, reason, message),
        }
    }

    /// Notes that one alert could not even be read.
    pub fn reject(&mut self, index: usize, reason: Reason, message: String) {
        if self.was_taken(index) {
            return;
        }
        self.rejected.push(Rejected { index, reason, message: shorten(message) });
    }

    /// The key of the labels as they came, where that may say which alert it is.
    fn raw_key(&self, said: &Said<'_>) -> Option<u64> {
        match said.labels {
            Pairs::Raw(map) if self.again.is_none() => Some(self.live.raw_key(self.source.key, map.text)),
            Pairs::Raw(_) | Pairs::Parsed(_) => None,
        }
    }

    fn look_up(&self, said: &Said<'_>) -> LookedUp {
        let raw_key = self.raw_key(said);
        LookedUp { raw_key, known: raw_key.and_then(|key| self.live.known(key)), identified: None }
    }

    /// The labels of an alert, checked, and its identity.
    fn identify(&self, said: &Said<'_>) -> Result<Identified, Fault> {
        let labels = check::labels(&said.labels, self.source, self.limits)?;
        let fingerprint = match said.identity {
            None => labels.fingerprint(),
            Some(names) => labels.only(names).fingerprint(),
        };
        Ok(Identified { labels, fingerprint })
    }

    fn try_take(&mut self, index: usize, said: &Said<'_>, looked_up: LookedUp) -> Result<Took, Fault> {
        let heard = self.heard(said)?;
        let LookedUp { raw_key, known, identified } = looked_up;
        if let Some(fingerprint) = known.filter(|known| !self.is_fresh(*known)) {
            match self.live.seen(fingerprint, &heard) {
                Seen::Repeat => return Ok(Took::Repeat),
                Seen::Reworded => return self.reword(fingerprint, &said.annotations, &said.generator_url, &heard),
                Seen::News | Seen::Unknown => {}
            }
        }
        let Identified { labels, fingerprint } = match identified {
            Some(identified) => identified,
            None => self.identify(said)?,
        };
        if self.is_past(fingerprint, heard.status) {
            return Ok(Took::Repeat);
        }
        if !self.is_fresh(fingerprint) {
            let seen = self.live.seen(fingerprint, &heard);
            if let (Seen::Repeat | Seen::Reworded | Seen::News, Some(key)) = (seen, raw_key) {
                self.live.remember(fingerprint, key);
            }
            match seen {
                Seen::Repeat => return Ok(Took::Repeat),
                Seen::Reworded => return self.reword(fingerprint, &said.annotations, &said.generator_url, &heard),
                Seen::Unknown if !self.tells_all => {
                    if let Some(took) = self.take_unknown(index, fingerprint, &heard) {
                        return Ok(took);
                    }
                }
                Seen::News | Seen::Unknown => {}
            }
        }
        let pending = Pending { index, word: Word { fingerprint, raw_key, heard }, lasts: None };
        self.announce(&said.annotations, &said.generator_url, labels, pending)
    }

    /// Alertmanager's order: an unset start is the end, or now; an unset end is our timeout.
    fn heard(&self, said: &Said<'_>) -> Result<Heard, Fault> {
        let (now, arrived) = (self.now, self.arrived());
        let starts_at = said.starts_at.or(said.ends_at).unwrap_or(arrived);
        let status = said.status.unwrap_or(match said.ends_at {
            Some(ends_at) if ends_at <= now => AlertStatus::Resolved,
            _ => AlertStatus::Firing,
        });
        let end_said = said.ends_at.filter(|_| said.status.is_none());
        let expires_at = end_said.or(self.source.timeout.map(|timeout| arrived + timeout)).unwrap_or(NEVER);
        // Alertmanager checks behind filling in: so a start past our own timeout is refused as well. Who names the state
        // in words is believed whatever its clock says: a resolve must not be lost.
        if said.status.is_none() && said.ends_at.unwrap_or(expires_at) < starts_at {
            return Err((Reason::Times, "start time must be before end time".to_owned()));
        }
        let text = |pairs: &Pairs<'_>| match pairs {
            Pairs::Raw(map) => self.live.wording_key(map.text, &said.generator_url),
            Pairs::Parsed(pairs) => {
                self.live.wording_of(pairs.iter().map(|(name, value)| (&**name, &**value)), &said.generator_url)
            }
        };
        let ran_out = self.has_run_out(status, expires_at);
        Ok(Heard {
            status: if ran_out { AlertStatus::Resolved } else { status },
            starts_at,
            ends_at: said.ends_at.unwrap_or(if ran_out { expires_at } else { arrived }).max(starts_at),
            expires_at,
            by_timeout: end_said.is_none(),
            dated: said.status.is_some() && said.starts_at.or(said.ends_at).is_some(),
            wording: text(&said.annotations),
            now,
        })
    }

    fn is_fresh(&self, fingerprint: Fingerprint) -> bool {
        !self.fresh.is_empty() && self.fresh.contains(&fingerprint)
    }

    /// Takes a word on an alert that nothing is known of where it raises nothing: an end, which is remembered, or a beginning that
    /// comes behind its end, which is counted. `None`: it begins to fire.
    fn take_unknown(&mut self, index: usize, fingerprint: Fingerprint, heard: &Heard) -> Option<Took> {
        let watched = &self.source.watched;
        if heard.status == AlertStatus::Firing {
            let is_late = watched.is_late(fingerprint, heard, self.arrived());
            if is_late {
                self.source.late.inc();
                let (source, alert, began) = (&*self.source.name, fingerprint, heard.starts_at);
                tracing::debug!(source, %alert, %began, "an alert began behind its end; nobody is told");
            }
            return is_late.then_some(Took::Repeat);
        }
        // A late word of a Prometheus says itself that it is over, none of its messages is kept, and it tells an end for a quarter
        // of an hour. What is tried again has been remembered when it came, if it could be read, and comes too late for others.
        if matches!(self.source.format, Format::Prometheus) || self.again.is_some() {
            return Some(Took::Repeat);
        }
        watched.ended(fingerprint, heard);
        // Its beginning may be on its way to the log, by another connection. Behind that in the engine's queue, the end finds it.
        self.news.push(Input::Ended { fingerprint, source: self.source.name.clone(), ends_at: heard.ends_at });
        self.pending.push(Pending { index, word: Word { fingerprint, raw_key: None, heard: *heard }, lasts: None });
        Some(Took::News)
    }

    fn reword(&self, fingerprint: Fingerprint, annotations: &Pairs<'_>, url: &str, heard: &Heard) -> Result<Took, Fault> {
        let annotations = check::annotations(annotations, url.len(), self.limits)?;
        self.live.reword(fingerprint, heard.wording, Wording { annotations, generator_url: url.into() });
        Ok(Took::Repeat)
    }

    fn announce(&mut self, annotations: &Pairs<'_>, url: &str, labels: Labels, pending: Pending) -> Result<Took, Fault> {
        let heard = &pending.word.heard;
        if heard.status == AlertStatus::Firing {
            let (live, limits) = (self.live, self.limits);
            let (all, of_source) = *self.firing.get_or_insert_with(|| (live.firing(), live.firing_of(&self.source.name)));
            if all + self.fresh_firing >= limits.active_alerts {
                return Err((Reason::Active, format!("more than {} active alerts", limits.active_alerts)));
            }
            if of_source + self.fresh_firing >= limits.active_alerts_per_source {
                return Err((
                    Reason::Active,
                    format!("more than {} active alerts of this source", limits.active_alerts_per_source),
                ));
            }
        }
        let annotations = check::annotations(annotations, labels.bytes() + url.len(), self.limits)?;
        let alert = Arc::new(Alert {
            fingerprint: pending.word.fingerprint,
            labels,
            annotations,
            generator_url: url.into(),
            source: self.source.name.clone(),
            starts_at: heard.starts_at,
        });
        let ends_at = (heard.status == AlertStatus::Resolved).then_some(heard.ends_at);
        if self.news.is_empty() {
            // Where one is news, mostly all behind it are.
            let to_come = self.alerts.saturating_sub(pending.index).max(1);
            self.news.reserve(to_come);
            self.pending.reserve(to_come);
            self.fresh.reserve(to_come);
        }
        self.fresh_firing += usize::from(ends_at.is_none());
        self.fresh.insert(pending.word.fingerprint);
        self.news.push(Input::Alert(News { alert, status: heard.status, ends_at, lasts: pending.lasts }));
        self.pending.push(pending);
        Ok(Took::News)
    }
}
