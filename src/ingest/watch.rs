//! What is watched of a source: whether it still speaks, whether its messages still have what they used to have, the test
//! messages that came, and what has ended that nobody knew of. Counts what it is told, in time that it is told; reads no clock
//! and raises nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::drift::{Fields, Presence};
use super::ends::{Ends, REMEMBERED};
use super::format::{Json, paths};
use crate::config::SourceConfig;
use crate::model::{Fingerprint, Millis, Time};
use crate::runtime::live::Heard;

/// The version of the form that is kept.
const VERSION: u32 = 1;

/// Silence is kept in so many parts of what a source may have of it, so that keeping it costs a write now and then.
const SILENCE_PARTS: i64 = 20;

/// One source.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) silent_after: Option<Millis>,
    drift: bool,
    /// Shared by all that the source has been since the start: other settings forget nothing.
    known: Arc<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Set by each message, taken back by each [`Watched::pass`]: all that a message of a busy source costs.
    heard: AtomicBool,
    /// Unix milliseconds; 0 for never.
    heard_at: AtomicI64,
    /// Apart from the rest: each new alert looks here.
    ends: Mutex<Ends>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How long it has said nothing, as far as we were there to hear it.
    silence: Millis,
    fields: Fields,
    test_at: Option<Time>,
    tests: u64,
    /// Whether anything was known of it at the start.
    known: bool,
}

/// What is known of one source, to be kept over a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    silence: i64,
    heard_at: Option<i64>,
    test_at: Option<i64>,
    tests: u64,
    /// By the alert's number in hexadecimal.
    ends: BTreeMap<String, i64>,
    fields: BTreeMap<String, Presence>,
}

/// What is known of all of them.
#[derive(Serialize, Deserialize)]
struct Memories {
    version: u32,
    sources: BTreeMap<String, Memory>,
}

impl Watched {
    pub(super) fn new(config: &SourceConfig) -> Watched {
        Watched { silent_after: config.silent_after, drift: config.drift, known: Arc::default() }
    }

    /// Goes on with what is known of the source from before it was configured anew.
    pub(super) fn go_on_from(&mut self, before: &Watched) {
        self.known = before.known.clone();
    }

    /// A sender has spoken for this source.
    pub(super) fn heard(&self, now: Time) {
        self.known.heard_at.store(now.0, Ordering::Relaxed);
        self.known.heard.store(true, Ordering::Relaxed);
    }

    /// A message was read. `asked` are the fields that its source's mapping looks at; of a tool's message those count that
    /// something was made of.
    pub(super) fn read(&self, body: &Json<'_>, asked: Option<&BTreeSet<String>>, fires: bool, now: Time) {
        if self.drift {
            let used = || asked.map_or_else(|| paths::used(body), BTreeSet::clone);
            self.lock().fields.read(paths::shape(body), used, |path| paths::has(body, path), fires, now);
        }
    }

    /// A test message came.
    pub(super) fn test(&self, now: Time) {
        let mut state = self.lock();
        state.test_at = Some(now);
        state.tests += 1;
    }

    /// An alert has ended of which nothing is known: its beginning may be on its way still, or among the messages that could
    /// not be mapped, and must not be raised then.
    pub(super) fn ended(&self, alert: Fingerprint, heard: &Heard) {
        self.ends().tell(alert, heard);
    }

    /// [`Ends::is_late`]. What does not say when it began may be news, and costs no look: that is all which Prometheus sends.
    pub(super) fn is_late(&self, alert: Fingerprint, heard: &Heard, arrived: Time) -> bool {
        heard.dated && self.ends().is_late(alert, heard.starts_at, arrived)
    }

    /// [`Ends::has_ended_since`].
    pub(super) fn has_ended_since(&self, alert: Fingerprint, moment: Time) -> bool {
        self.ends().has_ended_since(alert, moment)
    }

    /// No message of it is kept: only what is still on its way could be raised.
    pub(super) fn forget_ends(&self, now: Time) {
        self.ends().forget_before(now - REMEMBERED);
    }

    pub(super) fn ends(&self) -> MutexGuard<'_, Ends> {
        self.known.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets time pass. `asked` are all the fields that may be watched, where the mapping says that.
    pub(super) fn pass(&self, length: Millis, asked: Option<&BTreeSet<String>>, now: Time) {
        let mut state = self.lock();
        if self.known.heard.swap(false, Ordering::Relaxed) {
            state.silence = Millis::ZERO;
        } else {
            state.silence = Millis(state.silence.0.saturating_add(length.0));
        }
        if self.drift {
            state.fields.forget(asked, now);
        } else {
            state.fields = Fields::default();
        }
    }

    /// Whether it has said nothing for longer than it may.
    pub(super) fn is_silent(&self) -> bool {
        self.silent_after.is_some_and(|after| self.lock().silence >= after)
    }

    /// Fields that are missing, each with the moment at which that was plain.
    pub(super) fn missing(&self) -> Vec<(String, Time)> {
        self.lock().fields.missing()
    }

    /// When it spoke last.
    pub(super) fn heard_at(&self) -> Option<Time> {
        Some(Time(self.known.heard_at.load(Ordering::Relaxed))).filter(|at| *at > Time::EPOCH)
    }

    /// When the last test message came, and how many there were.
    pub(super) fn tests(&self) -> (Option<Time>, u64) {
        let state = self.lock();
        (state.test_at, state.tests)
    }

    /// An alert says that it was silent, and nothing else is known: it has still to speak.
    pub(super) fn was_silent(&self) {
        let mut state = self.lock();
        if let Some(after) = self.silent_after.filter(|_| !state.known) {
            state.silence = after;
        }
    }

    /// An alert says that a field was missing since then, and nothing else is known.
    pub(super) fn was_missing(&self, path: &str, since: Time) {
        let mut state = self.lock();
        if self.drift && !state.known {
            state.fields.miss(path, since);
        }
    }

    /// `keeps` where messages of it are kept: its ends are of use over a restart only then.
    fn memory(&self, keeps: bool) -> Memory {
        let ends =
            if keeps { self.ends().iter().map(|(alert, at)| (alert.to_string(), at.0)).collect() } else { BTreeMap::new() };
        let state = self.lock();
        let part = self.silent_after.map_or(i64::MAX, |after| (after.0 / SILENCE_PARTS).max(1));
        let minute = Millis::minutes(1).0;
        Memory {
            silence: state.silence.0 / part * part,
            heard_at: self.heard_at().map(|at| at.0 / minute * minute),
            test_at: state.test_at.map(|at| at.0),
            tests: state.tests,
            ends,
            fields: state.fields.known().clone(),
        }
    }

    fn remember(&self, memory: Memory) {
        let ends = memory.ends.iter().filter_map(|(alert, at)| Some((Fingerprint::parse(alert)?, Time(*at))));
        *self.ends() = Ends::of(ends);
        let mut state = self.lock();
        self.known.heard_at.store(memory.heard_at.unwrap_or(0), Ordering::Relaxed);
        *state = State {
            silence: Millis(memory.silence.max(0)),
            fields: Fields::of(memory.fields),
            test_at: memory.test_at.map(Time),
            tests: memory.tests,
            known: true,
        };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.known.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of all sources, to be kept; each with whether messages of it are kept. The same text as long as nothing has
/// changed that matters.
pub(super) fn write<'a>(sources: impl Iterator<Item = (&'a str, &'a Watched, bool)>) -> String {
    let sources = sources.map(|(name, watched, keeps)| (name.to_owned(), watched.memory(keeps))).collect();
    serde_json::to_string(&Memories { version: VERSION, sources }).unwrap_or_default()
}

/// Gives sources what was kept of them.
///
/// # Errors
/// What is wrong with the text; nothing is remembered then.
pub(super) fn read<'a>(text: &[u8], sources: impl Iterator<Item = (&'a str, &'a Watched)>) -> Result<(), String> {
    let mut kept: Memories = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if kept.version > VERSION {
        return Err(format!("it is of version {}, and this program knows {VERSION}", kept.version));
    }
    for (name, watched) in sources {
        if let Some(memory) = kept.sources.remove(name) {
            watched.remember(memory);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(after: Option<Millis>) -> Watched {
        Watched::new(&SourceConfig { silent_after: after, ..SourceConfig::prometheus() })
    }

    /// Steps in order: heard or so many seconds pass, and whether it is silent then.
    #[test]
    fn silence_is_counted_while_somebody_listens() {
        let steps = [
            (None, false),
            (Some(59), false),
            (Some(1), true),
            (Some(1), true),
            (None, true),
            (Some(1), false),
            (Some(59), false),
            (Some(1), true),
        ];
        let of = |watched: Watched, steps: &[(Option<i64>, bool)]| -> Watched {
            for (at, (seconds, expected)) in (1..).zip(steps) {
                match seconds {
                    None => watched.heard(Time(at * 60_000)),
                    Some(seconds) => watched.pass(Millis::seconds(*seconds), None, Time(at)),
                }
                assert_eq!(watched.is_silent(), *expected, "step {at}");
            }
            watched
        };
        // What was heard counts from the next pass on; the step itself is not silence.
        let mut steps = steps.to_vec();
        steps.insert(1, (Some(0), false));
        let first = of(watched(Some(Millis::minutes(1))), &steps);
        let text = write([("a", &first, false)].into_iter());
        let second = watched(Some(Millis::minutes(1)));
        read(text.as_bytes(), [("a", &second), ("b", &watched(None))].into_iter()).unwrap();
        assert!(second.is_silent());
        assert_eq!(write([("a", &second, false)].into_iter()), text);
        assert!(read(b"{", [].into_iter()).is_err() && read(br#"{"version":2,"sources":{}}"#, [].into_iter()).is_err());
        of(watched(None), &[(Some(1_000_000), false)]);
    }

    #[test]
    fn an_alert_is_believed_where_nothing_else_is_known() {
        let hour = Some(Millis::hours(1));
        for (is_known, expected) in [(false, true), (true, false)] {
            let watched = watched(hour);
            if is_known {
                watched.remember(Memory::default());
            }
            watched.was_silent();
            watched.was_missing("host", Time(5));
            assert_eq!((watched.is_silent(), !watched.missing().is_empty()), (expected, expected), "{is_known}");
        }
    }

    #[test]
    fn keeping_it_costs_a_write_now_and_then() {
        let watched = watched(Some(Millis::hours(1)));
        let mut texts = BTreeSet::new();
        for second in 0..3_600 {
            watched.pass(Millis::seconds(1), None, Time(second * 1_000));
            texts.insert(write([("a", &watched, false)].into_iter()));
        }
        assert_eq!(texts.len(), 21);
    }
}
