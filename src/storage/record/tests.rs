//! Drawn values (the tables of the wire form also say how to draw one), round trips, golden bytes.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::alert::Waiting;
use crate::model::{
    Few, Fingerprint, IncidentId, Labels, MatchOp, Matcher, MessageId, Millis, NotificationId, RuleRef, Seldom, SilenceId, Time,
};

/// Choices for drawn values, as bytes; zeros when they run out, so that shrinking the bytes shrinks the value.
pub(super) struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number below `n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n
    }

    fn number(&mut self) -> u64 {
        let bytes = self.below(9);
        (0..bytes).fold(0, |n, _| n << 8 | u64::from(self.byte()))
    }

    fn text(&mut self) -> String {
        const ALPHABET: [&str; 8] =
            ["a", "Z", "0", " ", "\n", "ü", "\u{10ffff}", "long text that fills more than a short head can say"];
        let length = self.below(8);
        (0..length).map(|_| ALPHABET[self.below(8)]).collect()
    }
}

/// Something that can be drawn.
pub(super) trait Sample {
    fn sample(from: &mut Source<'_>) -> Self;
}

macro_rules! samples {
    ($($type:ty: $from:ident => $value:expr;)+) => {$(
        impl Sample for $type {
            fn sample($from: &mut Source<'_>) -> Self {
                $value
            }
        }
    )+};
}

samples! {
    u8: from => from.byte();
    u32: from => u32::try_from(from.number() & 0xffff_ffff).unwrap();
    u64: from => from.number();
    i64: from => from.number().cast_signed();
    bool: from => from.byte() % 2 == 1;
    Arc<str>: from => from.text().into();
    Box<str>: from => from.text().into();
    Fingerprint: from => Fingerprint(from.number());
    IncidentId: from => IncidentId(from.number());
    NotificationId: from => NotificationId(from.number());
    SilenceId: from => SilenceId(u128::from(from.number()) << 64 | u128::from(from.number()));
    MessageId: from => MessageId(u128::from(from.number()) << 64 | u128::from(from.number()));
    Time: from => Time(from.number().cast_signed());
    Millis: from => Millis(from.number().cast_signed());
    Labels: from => {
        let pairs: Vec<_> = (0..from.below(6)).map(|_| (from.text(), from.text())).collect();
        Labels::from_pairs(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))).unwrap()
    };
    Matcher: from => {
        let (name, op, value) = (from.text(), MatchOp::sample(from), from.text());
        Matcher::new(&name, op, &value).unwrap()
    };
}

impl<T: Sample> Sample for Option<T> {
    fn sample(from: &mut Source<'_>) -> Self {
        bool::sample(from).then(|| T::sample(from))
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(from: &mut Source<'_>) -> Self {
        (0..from.below(4)).map(|_| T::sample(from)).collect()
    }
}

impl<T: Sample> Sample for Few<T> {
    fn sample(from: &mut Source<'_>) -> Self {
        Vec::sample(from).into_iter().collect()
    }
}

impl<T: Sample> Sample for Seldom<T> {
    fn sample(from: &mut Source<'_>) -> Self {
        Vec::sample(from).into()
    }
}

impl<T: Sample> Sample for [Option<T>; 3] {
    fn sample(from: &mut Source<'_>) -> Self {
        [Sample::sample(from), Sample::sample(from), Sample::sample(from)]
    }
}

impl<T: Sample> Sample for Arc<T> {
    fn sample(from: &mut Source<'_>) -> Self {
        Arc::new(T::sample(from))
    }
}

impl<T: Sample> Sample for Box<T> {
    fn sample(from: &mut Source<'_>) -> Self {
        Box::new(T::sample(from))
    }
}

fn draw<T: Sample>(bytes: &[u8]) -> T {
    T::sample(&mut Source(bytes))
}

fn bytes_of(facts: &[Fact]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_facts(facts, &mut bytes);
    bytes
}

fn entity_bytes(entity: &Entity) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_entity(entity, &mut bytes);
    bytes
}

proptest! {
    #[test]
    fn facts_read_back(choices in prop::collection::vec(any::<u8>(), 0..600)) {
        let facts: Vec<Fact> = draw(&choices);
        let bytes = bytes_of(&facts);
        prop_assert_eq!(decode_facts(RECORD_VERSION, &bytes), Ok(facts));
    }

    #[test]
    fn every_kind_of_fact_reads_back(choices in prop::collection::vec(any::<u8>(), 0..300)) {
        for kind in 0..facts::KINDS {
            let mut choices = choices.clone();
            choices.insert(0, u8::try_from(kind).unwrap());
            let fact: Fact = draw(&choices);
            let bytes = bytes_of(slice::from_ref(&fact));
            prop_assert_eq!(decode_facts(RECORD_VERSION, &bytes), Ok(vec![fact]));
        }
    }

    #[test]
    fn entities_read_back(choices in prop::collection::vec(any::<u8>(), 0..900)) {
        let entity: Entity = draw(&choices);
        let bytes = entity_bytes(&entity);
        prop_assert_eq!(decode_entity(RECORD_VERSION, &bytes), Ok(entity));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(facts) = decode_facts(RECORD_VERSION, &bytes) {
            prop_assert_eq!(decode_facts(RECORD_VERSION, &bytes_of(&facts)), Ok(facts));
        }
        if let Ok(entity) = decode_entity(RECORD_VERSION, &bytes) {
            prop_assert_eq!(decode_entity(RECORD_VERSION, &entity_bytes(&entity)), Ok(entity));
        }
    }

    #[test]
    fn a_cut_record_is_refused(choices in prop::collection::vec(any::<u8>(), 0..300), cut in 1usize..50) {
        let bytes = bytes_of(&[draw(&choices)]);
        let kept = bytes.len().saturating_sub(cut);
        prop_assert!(decode_facts(RECORD_VERSION, &bytes[..kept]).is_err());
    }
}

#[test]
fn versions_and_variants_that_are_not_known_are_refused() {
    let forgotten = bytes_of(&[Fact::AlertForgotten { fingerprint: Fingerprint(1) }]);
    assert!(decode_facts(RECORD_VERSION + 1, &forgotten).unwrap_err().0.contains("version 3 is not known"));
    assert!(decode_facts(0, &forgotten).is_err());
    // [[[99, 1]]]
    let error = decode_facts(RECORD_VERSION, &[0x81, 0x81, 0x82, 0x18, 99, 1]).unwrap_err();
    assert_eq!(error.0, "Fact: variant 99 is not known");
    let mut longer = forgotten;
    longer.push(0);
    assert_eq!(decode_facts(RECORD_VERSION, &longer).unwrap_err().0, "1 bytes too many");
}

#[test]
fn fields_of_later_versions_are_passed_over_and_optional_ones_may_lack() {
    // [[[10, 1, "a field from the future"]]]: AlertForgotten is number 10.
    let mut bytes = vec![0x81, 0x81, 0x83, 10, 1, 0x77];
    bytes.extend_from_slice(b"a field from the future");
    assert_eq!(decode_facts(RECORD_VERSION, &bytes), Ok(vec![Fact::AlertForgotten { fingerprint: Fingerprint(1) }]));
    // [[[17, 7]]]: IncidentFallPlanned without its optional moment; [[[17]]] lacks a field that always was there.
    let planned = Fact::IncidentFallPlanned { incident: IncidentId(7), due: None };
    assert_eq!(decode_facts(RECORD_VERSION, &[0x81, 0x81, 0x82, 17, 7]), Ok(vec![planned]));
    assert_eq!(decode_facts(RECORD_VERSION, &[0x81, 0x81, 0x81, 17]).unwrap_err().0, "Fact: field 1 is missing");
}

#[test]
fn a_matcher_that_no_longer_compiles_is_refused() {
    // Silence with one matcher `a =~ (`.
    let bytes = [0x82, 4, 0x87, 0x50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x81, 0x83, 0x61, b'a', 2, 0x61, b'('];
    let error = decode_entity(RECORD_VERSION, &bytes).unwrap_err();
    assert!(error.0.starts_with("matcher on a: "), "{error}");
}

/// Fixed choices that fill every field of every kind with something.
fn golden_choices(kind: usize) -> Vec<u8> {
    let mut choices = vec![u8::try_from(kind).unwrap()];
    choices.extend((0..400u32).map(|i| u8::try_from((i * 37 + 11) % 251).unwrap()));
    choices
}

fn golden_facts() -> Vec<(String, Vec<u8>, String)> {
    let one = |kind| {
        let fact: Fact = draw(&golden_choices(kind));
        (fact.kind().to_owned(), bytes_of(slice::from_ref(&fact)), format!("{fact:?}\n{}", to_json(&fact)))
    };
    (0..facts::KINDS).map(one).collect()
}

fn golden_entities() -> Vec<(String, Vec<u8>, String)> {
    let one = |kind| {
        let entity: Entity = draw(&golden_choices(kind));
        let name = ["meta", "alert", "incident", "notification", "silence", "change", "usual", "message", "heartbeat"][kind];
        (name.to_owned(), entity_bytes(&entity), format!("{entity:?}"))
    };
    (0..9).map(one).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// What marks the name of a form that is read for ever and no longer written.
const OLDER: &str = ", before ";

/// Holds a golden file: for each value a line `# name`, its bytes as hex, and how they read. The bytes must read so, and
/// what was read must give the same bytes again, but for a form that a later field has followed: its name ends with
/// `before` and that field, and it only has to read. `QUELL_GOLDEN=write` adds the present forms and keeps the older ones.
fn check_golden(file: &str, present: &[(String, Vec<u8>, String)], read: impl Fn(u8, &[u8]) -> (String, Vec<u8>)) {
    check_golden_of_version_1(file, &read);
    let path = golden_folder(RECORD_VERSION).join(file);
    if std::env::var_os("QUELL_GOLDEN").is_some_and(|v| v == "write") {
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        let older = kept.split("\n\n").filter(|block| block.lines().next().is_some_and(|name| name.contains(OLDER)));
        let mut text: String = older.flat_map(|block| [block.trim_end(), "\n\n"]).collect();
        for (name, bytes, reading) in present {
            write!(text, "# {name}\n{}\n{reading}\n\n", hex(bytes)).unwrap();
        }
        std::fs::write(&path, text).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let mut names = BTreeSet::new();
    for block in text.split("\n\n").filter(|block| !block.is_empty()) {
        let mut lines = block.trim_end().splitn(3, '\n');
        let name = lines.next().unwrap().strip_prefix("# ").unwrap();
        let bytes = unhex(lines.next().unwrap());
        let (reading, again) = read(RECORD_VERSION, &bytes);
        assert_eq!(reading, lines.next().unwrap(), "{name} of {file} reads otherwise than it was written");
        if name.contains(OLDER) {
            continue;
        }
        assert_eq!(hex(&again), hex(&bytes), "the form of {name} changed: keep these bytes as readable, and add the new ones");
        names.insert(name);
    }
    let missing: Vec<_> = present.iter().map(|(name, _, _)| name).filter(|name| !names.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "{file} lacks {missing:?}");
}

/// Version 1 had label sets in another form. It is written no more; all of it must read as ever.
fn check_golden_of_version_1(file: &str, read: impl Fn(u8, &[u8]) -> (String, Vec<u8>)) {
    let text = std::fs::read_to_string(golden_folder(1).join(file)).unwrap();
    for block in text.split("\n\n").filter(|block| !block.is_empty()) {
        let (name, rest) = block.trim_end().split_once('\n').unwrap();
        let (bytes, reading) = rest.split_once('\n').unwrap();
        assert_eq!(read(1, &unhex(bytes)).0, reading, "{name} of version 1 of {file} reads otherwise than it was written");
    }
}

fn golden_folder(version: u8) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/log/v{version}"))
}

#[test]
fn golden_facts_read_and_write_as_ever() {
    check_golden("facts.txt", &golden_facts(), |version, bytes| {
        let facts = decode_facts(version, bytes).unwrap();
        (format!("{:?}\n{}", facts[0], to_json(&facts[0])), bytes_of(&facts))
    });
}

#[test]
fn golden_entities_read_and_write_as_ever() {
    check_golden("entities.txt", &golden_entities(), |version, bytes| {
        let entity = decode_entity(version, bytes).unwrap();
        (format!("{entity:?}"), entity_bytes(&entity))
    });
}

/// An alert that waits, from a log of the time when an alert waited under one rule only: without the field `also`.
#[test]
fn an_alert_that_waits_under_one_rule_reads_as_ever() {
    let Entity::Alert(mut alert) = draw(&golden_choices(1)) else { panic!("the second kind is an alert") };
    let rule = RuleRef::new("many", "rules.yaml", 7);
    let waiting = Waiting { rule, key: Labels::default(), since: Time(1), until: Time(2), also: None };
    let record = Arc::make_mut(&mut alert);
    record.waiting = Some(Box::new(waiting));
    (record.flaps, record.beat, record.extras) = (None, None, None);
    let present = entity_bytes(&Entity::Alert(alert.clone()));
    // [[name, file, line], no labels, since, until, nothing], and behind it nothing three times.
    let form = b"\x85\x83\x64many\x6arules.yaml\x07\x60\x01\x02\xf6\xf6\xf6\xf6";
    let kept = present.strip_suffix(form).expect("the record ends with how the alert waits");
    let former = [kept, b"\x84\x83\x64many\x6arules.yaml\x07\x60\x01\x02\xf6\xf6\xf6"].concat();
    assert_eq!(decode_entity(RECORD_VERSION, &former).unwrap(), Entity::Alert(alert));
}

#[test]
fn json_shows_ids_and_times_in_their_text_forms() {
    let fact = Fact::IncidentResolvePlanned { incident: IncidentId(7), due: Some(Time(1_767_571_200_000)) };
    let expected =
        serde_json::json!({ "kind": "incident_resolve_planned", "incident": "INC-7", "due": "2026-01-05T00:00:00.000Z" });
    assert_eq!(to_json(&fact), expected);
}
