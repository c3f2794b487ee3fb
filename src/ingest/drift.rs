//! Drift: a field that used to be in a source's messages and is not any more. Whoever edits a template at the sender's, or
//! updates it, seldom thinks of who reads the messages.
//!
//! A field is *regular* once it was in so many messages in a row and for so long; it is *missing* once it was in none of so
//! many after that, for so long. Both are asked of both, because kinds of messages come in bursts: in an outage there may be a
//! hundred of one kind, which has other fields than the kind before. Only messages of something that fires can miss a field:
//! an end may carry less. What is missing for a week is gone for good, and forgotten. Time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Millis, Time};

/// Messages in a row that make a field regular, and how long they take at least.
const REGULAR: u32 = 30;
const REGULAR_FOR: Millis = Millis::hours(24);

/// Messages in a row without a regular field that make it missing, and how long they take at least.
const MISSING: u32 = 10;
const MISSING_FOR: Millis = Millis::hours(1);

/// How long a field is missed.
const MISSED_FOR: Millis = Millis::hours(7 * 24);

/// Fields of one source that are watched.
const FIELDS_MAX: usize = 100;

/// Bytes of a path; what is longer was made by a machine for each message.
const PATH_BYTES_MAX: usize = 200;

/// Shapes of messages of one source that are remembered.
const SHAPES_MAX: usize = 64;

/// The fields of one source.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    fields: BTreeMap<String, Presence>,
    shapes: Shapes,
}

/// Which of the fields messages of a shape have, by the places of the fields in order: true as long as the fields are the same.
#[derive(Clone, Debug, Default)]
struct Shapes(Vec<(u64, Arc<[bool]>)>);

/// Where one field was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Presence {
    /// Messages in a row that had it, up to [`REGULAR`], and when the first of them came.
    run: u32,
    run_from: i64,
    regular: bool,
    /// Messages in a row after those that had it not, up to [`MISSING`], and when the first of them came.
    missed: u32,
    missed_from: i64,
    /// When it was plain that it is missing.
    since: Option<i64>,
}

impl Fields {
    /// The fields that were known before.
    pub(super) fn of(known: BTreeMap<String, Presence>) -> Fields {
        Fields { fields: known, shapes: Shapes::default() }
    }

    /// What is known, to be kept.
    pub(super) fn known(&self) -> &BTreeMap<String, Presence> {
        &self.fields
    }

    /// Takes a field for missing since then, as an alert says that was raised before.
    pub(super) fn miss(&mut self, path: &str, since: Time) {
        let missing = Presence {
            run: REGULAR,
            regular: true,
            missed: MISSING,
            missed_from: since.0,
            since: Some(since.0),
            ..Presence::default()
        };
        self.fields.entry(path.to_owned()).or_insert(missing);
        self.shapes.clear();
    }

    /// Looks at one message: at the fields that were used of it, and at those that were used before. What such messages have is
    /// found out once for each shape of them.
    pub(super) fn read(
        &mut self,
        shape: u64,
        used: impl FnOnce() -> BTreeSet<String>,
        has: impl Fn(&str) -> bool,
        fires: bool,
        now: Time,
    ) {
        let which = self.shapes.get(shape).unwrap_or_else(|| self.look(shape, &used(), has));
        for (presence, is_there) in self.fields.values_mut().zip(&*which) {
            if *is_there {
                presence.found(now);
            } else if fires {
                presence.not_found(now);
            }
        }
    }

    /// Finds out which of the fields a message has, those that it is the first to use among them.
    fn look(&mut self, shape: u64, used: &BTreeSet<String>, has: impl Fn(&str) -> bool) -> Arc<[bool]> {
        for path in used {
            self.learn(path);
        }
        let which: Arc<[bool]> = self.fields.keys().map(|path| has(path)).collect();
        // Where there was no room for a field, there may be another time.
        if used.iter().all(|path| path.len() > PATH_BYTES_MAX || self.fields.contains_key(path)) {
            self.shapes.insert(shape, which.clone());
        }
        which
    }

    /// Forgets what is missing for too long, and what is not among `asked`, where that is said.
    pub(super) fn forget(&mut self, asked: Option<&BTreeSet<String>>, now: Time) {
        let before = self.fields.len();
        self.fields.retain(|path, presence| {
            asked.is_none_or(|asked| asked.contains(path))
                && presence.since.is_none_or(|since| now.since(Time(since)) < MISSED_FOR)
        });
        if self.fields.len() < before {
            self.shapes.clear();
        }
    }

    /// Those that are missing, each with the moment at which that was plain.
    pub(super) fn missing(&self) -> Vec<(String, Time)> {
        self.fields.iter().filter_map(|(path, presence)| Some((path.clone(), Time(presence.since?)))).collect()
    }

    fn learn(&mut self, path: &str) {
        if path.len() > PATH_BYTES_MAX || self.fields.contains_key(path) {
            return;
        }
        if self.fields.len() >= FIELDS_MAX {
            // Room is made by what is least regular.
            let least = self.fields.iter().filter(|(_, it)| !it.regular).min_by_key(|(_, it)| it.run);
            let Some(least) = least.map(|(path, _)| path.clone()) else { return };
            self.fields.remove(&least);
        }
        self.fields.insert(path.to_owned(), Presence::default());
        self.shapes.clear();
    }
}

impl Shapes {
    fn get(&self, shape: u64) -> Option<Arc<[bool]>> {
        self.0.iter().find(|(known, _)| *known == shape).map(|(_, which)| which.clone())
    }

    fn insert(&mut self, shape: u64, which: Arc<[bool]>) {
        if self.0.len() == SHAPES_MAX {
            self.clear();
        }
        self.0.push((shape, which));
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

impl Presence {
    fn found(&mut self, now: Time) {
        // What was away, however shortly, has to show again that it is regular.
        if self.run == 0 || self.missed > 0 {
            *self = Presence { run_from: now.0, ..Presence::default() };
        }
        self.run = (self.run + 1).min(REGULAR);
        self.regular |= self.run == REGULAR && now.since(Time(self.run_from)) >= REGULAR_FOR;
    }

    fn not_found(&mut self, now: Time) {
        if !self.regular {
            self.run = 0;
            return;
        }
        if self.missed == 0 {
            self.missed_from = now.0;
        }
        self.missed = (self.missed + 1).min(MISSING);
        if self.missed == MISSING && now.since(Time(self.missed_from)) >= MISSING_FOR {
            self.since.get_or_insert(now.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What messages had the field, as `+` (had it), `-` (had it not), `r` (an end without it), each so many minutes after the
    /// one before; and whether it is missing after them.
    #[test]
    fn a_field_is_missing_when_it_used_to_be_there() {
        let regular = "+".repeat(30);
        let cases: [(i64, String, bool); 13] = [
            (60, "-".repeat(100), false),
            (60, format!("{}{}", "+".repeat(29), "-".repeat(20)), false),
            (60, format!("{regular}{}", "-".repeat(9)), false),
            (60, format!("{regular}{}", "-".repeat(10)), true),
            (60, format!("{regular}{}", "r".repeat(50)), false),
            (60, format!("{regular}{}", "-r".repeat(10)), true),
            (60, format!("{regular}{}+", "-".repeat(10)), false),
            // One that comes and goes is not regular.
            (60, format!("{regular}-+{}", "-".repeat(10)), false),
            (60, format!("{regular}-{regular}{}", "-".repeat(10)), true),
            // A burst of one kind makes nothing regular, and nothing missing.
            (1, format!("{regular}{}", "-".repeat(200)), false),
            (1, format!("{}{}", "+".repeat(1_440), "-".repeat(200)), false),
            (1, format!("{}{}", "+".repeat(1_441), "-".repeat(60)), false),
            (1, format!("{}{}", "+".repeat(1_441), "-".repeat(61)), true),
        ];
        for (minutes, messages, expected) in cases {
            let mut fields = Fields::default();
            let known = BTreeSet::from(["host".to_owned()]);
            let at = |n: usize| Time(1) + Millis::minutes(minutes * i64::try_from(n).unwrap());
            for (n, message) in messages.chars().enumerate() {
                fields.read(u64::from(message), || known.clone(), |_| message == '+', message != 'r', at(n));
                fields.forget(Some(&known), at(n));
            }
            let missing = fields.missing();
            assert_eq!(!missing.is_empty(), expected, "{minutes} {messages}");
            assert!(missing.iter().all(|(path, since)| path == "host" && *since <= at(messages.len() - 1)), "{messages}");
            let text = serde_json::to_string(fields.known()).unwrap();
            assert_eq!(Fields::of(serde_json::from_str(&text).unwrap()).known(), fields.known(), "{messages}");
        }
    }

    #[test]
    fn what_is_gone_for_good_is_forgotten() {
        let mut fields = Fields::default();
        fields.miss("a", Time(5));
        fields.miss("b", Time(6));
        fields.forget(None, Time(5) + MISSED_FOR);
        assert_eq!(fields.missing(), [("b".to_owned(), Time(6))]);
        fields.forget(Some(&BTreeSet::new()), Time(7));
        assert_eq!(*fields.known(), BTreeMap::new(), "the mapping asks for it no more");
    }

    #[test]
    fn there_is_room_for_so_many_fields() {
        let mut fields = Fields::default();
        let regular: BTreeSet<String> = (0..99).map(|n| format!("field{n:02}")).collect();
        for hour in 0..40 {
            fields.read(1, || regular.clone(), |_| true, true, Time(0) + Millis::hours(hour));
        }
        for n in 0..1_000 {
            let used = || BTreeSet::from([format!("x{n}"), "y".repeat(300)]);
            fields.read(n, used, |path| !path.starts_with('x'), true, Time(0));
        }
        assert_eq!(fields.known().len(), FIELDS_MAX);
        assert!(regular.iter().all(|path| fields.known().contains_key(path)));
    }

    /// Messages of a few shapes in any order, of more fields than there is room for, some of which are forgotten on the way.
    #[test]
    fn what_is_remembered_of_shapes_changes_nothing() {
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let (mut with, mut without) = (Fields::default(), Fields::default());
        let (mut now, mut most, mut missing) = (Time(1), 0, 0);
        for n in 0..20_000 {
            // Now and then all messages are of shapes that lack what is regular.
            let shape = if n % 1_000 < 900 { random(if n < 10_000 { 20 } else { 100 }) } else { 100 + random(20) };
            let has = |path: &str| if shape < 100 { !(path.len() as u64 + shape).is_multiple_of(50) } else { path.len() != 5 };
            let used = || (0..4).map(|k| format!("{shape:03}{}", "f".repeat(k))).filter(|path| has(path)).collect();
            let fires = random(5) > 0;
            now = now + Millis(i64::try_from(random(3_600_000)).unwrap());
            with.read(shape, used, has, fires, now);
            // Nothing is known of a shape that nothing has had before.
            without.read(1_000 + n, used, has, fires, now);
            if random(500) == 0 {
                with.forget(None, now);
                without.forget(None, now);
            }
            if random(1_000) == 0 {
                let path = format!("missed{n}");
                with.miss(&path, now);
                without.miss(&path, now);
            }
            assert_eq!(with.known(), without.known(), "message {n}");
            most = most.max(with.known().len());
            missing = missing.max(with.missing().len());
        }
        assert!(most >= FIELDS_MAX && missing > 10, "{most} {missing}");
    }
}
