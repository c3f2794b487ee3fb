//! A set of labels (or annotations): names and values, sorted by name, in one text.

use std::fmt;
use std::ops::Range;

use super::id::Fingerprint;

/// Sorted name/value pairs. Empty values are never kept: a missing label and an empty one are the same thing.
///
/// All of it is one text, each name and each value behind its length: an active alert must cost less than a kilobyte, and
/// the log and the view take the text as it is, because writing sixteen strings one by one was a tenth of what a new alert costs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Labels {
    /// Name, value, name, value, … each behind its head: its length as one ASCII character below [`LONG`], or `LONG` and
    /// three characters of seven bits each, the highest first.
    text: Box<str>,
}

/// Bytes of all names and values together that one set can hold.
pub const LABELS_BYTES_MAX: usize = u16::MAX as usize;

/// The first character of the head of a part that is as long as this, or longer.
const LONG: u8 = 0x7f;

impl Labels {
    /// Builds a set from pairs in any order. Pairs with an empty value are left out; of pairs with one name the last wins.
    ///
    /// # Errors
    /// `None` when the text of all pairs is longer than [`LABELS_BYTES_MAX`].
    #[must_use]
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Labels> {
        let mut pairs: Vec<(&str, &str)> = pairs.into_iter().collect();
        Self::from_unsorted(&mut pairs)
    }

    /// As [`Labels::from_pairs`], sorting in the caller's buffer.
    ///
    /// # Errors
    /// `None` when the text of all pairs is longer than [`LABELS_BYTES_MAX`].
    #[must_use]
    pub fn from_unsorted(pairs: &mut [(&str, &str)]) -> Option<Labels> {
        if pairs.is_sorted_by(|a, b| a.0 < b.0) && pairs.iter().all(|(_, value)| !value.is_empty()) {
            return Labels::from_ordered(pairs);
        }
        pairs.sort_by_key(|(name, _)| *name);
        let pairs = &*pairs;
        let last_of_its_name = |i: usize| pairs.get(i + 1).is_none_or(|next| next.0 != pairs[i].0);
        let kept = (0..pairs.len()).filter(|i| last_of_its_name(*i)).map(|i| pairs[i]).filter(|(_, value)| !value.is_empty());
        let bytes: usize = kept.clone().map(|(name, value)| name.len() + value.len()).sum();
        (bytes <= LABELS_BYTES_MAX).then(|| Labels::from_sorted(kept))
    }

    /// As [`Labels::from_pairs`], for pairs that are in order of their names, without empty values and without doubles. What
    /// is not in order makes a set in which labels are not found.
    ///
    /// # Errors
    /// `None` when the text of all pairs is longer than [`LABELS_BYTES_MAX`].
    #[must_use]
    pub fn from_ordered(pairs: &[(&str, &str)]) -> Option<Labels> {
        debug_assert!(pairs.windows(2).all(|two| two[0].0 < two[1].0), "in order: {pairs:?}");
        let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
        (bytes <= LABELS_BYTES_MAX).then(|| Labels::from_sorted(pairs.iter().copied()))
    }

    /// The set of pairs that are in order, without empty values and without doubles.
    fn from_sorted<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Labels {
        let bytes = pairs.clone().map(|(name, value)| part_bytes(name) + part_bytes(value)).sum();
        // Of its exact size from the beginning, so that boxing it copies nothing.
        let mut text = String::with_capacity(bytes);
        for (name, value) in pairs {
            push_part(&mut text, name);
            push_part(&mut text, value);
        }
        Labels { text: text.into_boxed_str() }
    }

    /// The whole set as one text, for [`Labels::decode`].
    #[must_use]
    pub fn encoded(&self) -> &str {
        &self.text
    }

    /// The set that [`Labels::encoded`] gave this text for.
    ///
    /// # Errors
    /// `None` for a text that no set has.
    #[must_use]
    pub fn decode(text: &str) -> Option<Labels> {
        let (mut rest, mut before, mut bytes) = (text, None, 0);
        while !rest.is_empty() {
            let (name, behind) = checked_part(rest)?;
            let (value, behind) = checked_part(behind)?;
            if value.is_empty() || before.is_some_and(|before| before >= name) {
                return None;
            }
            bytes += name.len() + value.len();
            (rest, before) = (behind, Some(name));
        }
        (bytes <= LABELS_BYTES_MAX).then(|| Labels { text: text.into() })
    }

    /// The value of `name`; the empty string when there is none.
    ///
    /// Compares lengths before text, and cuts only what it returns: each cut of a string checks where its characters
    /// begin, and rules ask for labels many times an alert.
    #[must_use]
    #[inline]
    pub fn get(&self, name: &str) -> &str {
        let bytes = self.text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let found = part_at(bytes, at);
            let value = part_at(bytes, found.end);
            if is_at(bytes, &found, name.as_bytes()) {
                return &self.text[value];
            }
            at = value.end;
        }
        ""
    }

    /// All pairs in order of name.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let mut at = 0;
        std::iter::from_fn(move || {
            if at == self.text.len() {
                return None;
            }
            let name = part_at(self.text.as_bytes(), at);
            let value = part_at(self.text.as_bytes(), name.end);
            at = value.end;
            Some((&self.text[name], &self.text[value]))
        })
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// The length of all names and values together, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let bytes = self.text.as_bytes();
        let (mut at, mut sum) = (0, 0);
        while at < bytes.len() {
            let part = part_at(bytes, at);
            sum += part.len();
            at = part.end;
        }
        sum
    }

    /// Whether there is no label at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// This set with `changes` on top; an empty value takes a label away.
    ///
    /// # Errors
    /// `None` when the result is longer than [`LABELS_BYTES_MAX`].
    #[must_use]
    pub fn with<'a>(&'a self, changes: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Labels> {
        Labels::from_pairs(self.iter().chain(changes))
    }

    /// Whether every pair of `other` is here, too.
    #[must_use]
    pub fn contains(&self, other: &Labels) -> bool {
        // Both are in order, so one walk is enough; and equal pairs have equal bytes.
        let (own, wanted) = (self.text.as_bytes(), other.text.as_bytes());
        let (mut own_at, mut wanted_at) = (0, 0);
        while wanted_at < wanted.len() {
            let name = part_at(wanted, wanted_at);
            let pair = wanted_at..part_at(wanted, name.end).end;
            loop {
                if own_at >= own.len() {
                    return false;
                }
                let own_name = part_at(own, own_at);
                let own_pair = own_at..part_at(own, own_name.end).end;
                own_at = own_pair.end;
                if own[own_pair] == wanted[pair.clone()] {
                    break;
                }
                if own[own_name] >= wanted[name.clone()] {
                    return false;
                }
            }
            wanted_at = pair.end;
        }
        true
    }

    /// The pairs that both sets have with equal values.
    #[must_use]
    pub fn common(&self, other: &Labels) -> Labels {
        let shared = self.iter().filter(|(name, value)| other.get(name) == *value);
        Labels::from_pairs(shared).unwrap_or_default()
    }

    /// The pairs whose names are in `names`.
    #[must_use]
    pub fn only<S: AsRef<str>>(&self, names: &[S]) -> Labels {
        const USUAL: usize = 8;
        // They are in order already, and this is done for the group of every new alert: what is kept is copied as it stands.
        let bytes = self.text.as_bytes();
        let mut at = 0;
        let mut pairs = std::iter::from_fn(|| {
            while at < bytes.len() {
                let name = part_at(bytes, at);
                let pair = at..part_at(bytes, name.end).end;
                at = pair.end;
                if names.iter().any(|wanted| is_at(bytes, &name, wanted.as_ref().as_bytes())) {
                    return Some(pair);
                }
            }
            None
        });
        let mut kept: [Range<usize>; USUAL] = Default::default();
        let mut count = 0;
        for (place, pair) in kept.iter_mut().zip(pairs.by_ref().take(names.len())) {
            *place = pair;
            count += 1;
        }
        let mut text = String::with_capacity(kept.iter().map(Range::len).sum());
        kept[..count].iter().for_each(|pair| text.push_str(&self.text[pair.clone()]));
        if count == USUAL {
            pairs.for_each(|pair| text.push_str(&self.text[pair]));
        }
        Labels { text: text.into_boxed_str() }
    }

    /// Alertmanager's identity of this set: FNV-1a over name, 0xFF, value, 0xFF of each pair in order.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = FNV_START;
        let bytes = self.text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let part = part_at(bytes, at);
            at = part.end;
            hash = bytes[part].iter().fold(hash, |hash, byte| fnv(hash, *byte));
            hash = fnv(hash, FNV_SEPARATOR);
        }
        Fingerprint(hash)
    }

    /// As [`Labels::fingerprint`], of each. Every byte of this hash waits for the one before it, so that four sets together take
    /// little longer than one.
    #[must_use]
    pub fn fingerprints(sets: &[&Labels]) -> Vec<Fingerprint> {
        let (fours, rest) = sets.as_chunks::<4>();
        let mut found = Vec::with_capacity(sets.len());
        let mut inputs: [Vec<u8>; 4] = Default::default();
        for four in fours {
            inputs.iter_mut().zip(four).for_each(|(bytes, set)| set.put_hashed(bytes));
            let together = inputs.iter().map(Vec::len).min().unwrap_or(0);
            let [a, b, c, d] = inputs.each_ref().map(|bytes| &bytes[..together]);
            let mut hashes = [FNV_START; 4];
            for (((a, b), c), d) in a.iter().zip(b).zip(c).zip(d) {
                hashes = [fnv(hashes[0], *a), fnv(hashes[1], *b), fnv(hashes[2], *c), fnv(hashes[3], *d)];
            }
            let whole = |(hash, bytes): (&u64, &Vec<u8>)| bytes[together..].iter().fold(*hash, |hash, byte| fnv(hash, *byte));
            found.extend(hashes.iter().zip(&inputs).map(whole).map(Fingerprint));
        }
        found.extend(rest.iter().map(|set| set.fingerprint()));
        found
    }

    /// The bytes that the identity is a hash of, in a buffer.
    fn put_hashed(&self, bytes: &mut Vec<u8>) {
        bytes.clear();
        let text = self.text.as_bytes();
        if text.is_empty() {
            return;
        }
        // Copied as a whole, with separators in the places of the heads, where those have one byte each.
        bytes.extend_from_slice(&text[1..]);
        bytes.push(FNV_SEPARATOR);
        let mut at = 0;
        while at < text.len() {
            let part = part_at(text, at);
            if part.start > at + 1 {
                return self.put_hashed_by_parts(bytes);
            }
            if at > 0 {
                bytes[at - 1] = FNV_SEPARATOR;
            }
            at = part.end;
        }
    }

    fn put_hashed_by_parts(&self, bytes: &mut Vec<u8>) {
        bytes.clear();
        for part in self.iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend_from_slice(part.as_bytes());
            bytes.push(FNV_SEPARATOR);
        }
    }
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_SEPARATOR: u8 = 0xff;

#[inline]
fn fnv(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

/// Where the part lies whose head begins at `at`.
#[inline]
fn part_at(bytes: &[u8], at: usize) -> Range<usize> {
    let (start, length) = match bytes[at] {
        LONG => {
            let digit = |place: usize| usize::from(bytes[at + place]);
            (at + 4, digit(1) << 14 | digit(2) << 7 | digit(3))
        }
        short => (at + 1, usize::from(short)),
    };
    start..start + length
}

/// Whether the part that lies there is this one. Names of one length mostly differ in their last byte.
#[inline]
fn is_at(bytes: &[u8], part: &Range<usize>, wanted: &[u8]) -> bool {
    part.len() == wanted.len() && bytes[..part.end].last() == wanted.last() && bytes[part.clone()] == *wanted
}

/// The first part of a text that may be any, and what is behind it.
fn checked_part(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let first = *bytes.first()?;
    let is_head = first < LONG || (first == LONG && bytes.get(1..4)?.is_ascii());
    let part = is_head.then(|| part_at(bytes, 0))?;
    if first == LONG && part.len() < usize::from(LONG) {
        return None;
    }
    Some((text.get(part.clone())?, text.get(part.end..)?))
}

/// The length of a part with its head.
fn part_bytes(part: &str) -> usize {
    part.len() + if part.len() < usize::from(LONG) { 1 } else { 4 }
}

fn push_part(text: &mut String, part: &str) {
    let seven_bits = |shift: usize| char::from(u8::try_from(part.len() >> shift & 0x7f).unwrap_or(LONG));
    if part.len() >= usize::from(LONG) {
        text.push(char::from(LONG));
        text.push(seven_bits(14));
        text.push(seven_bits(7));
    }
    text.push(seven_bits(0));
    text.push_str(part);
}

/// Prometheus' notation: `{a="b", c="d"}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name}={value:?}", if i == 0 { "" } else { ", " })?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn sorted_without_empty_values_and_last_of_a_name_wins() {
        let set = labels(&[("b", "2"), ("a", "1"), ("c", ""), ("a", "9")]);
        assert_eq!(set.to_string(), r#"{a="9", b="2"}"#);
        assert_eq!((set.get("b"), set.get("c"), set.len()), ("2", "", 2));
    }

    #[test]
    fn fingerprint_is_alertmanagers() {
        assert_eq!(labels(&[]).fingerprint().to_string(), "cbf29ce484222325");
        // From payloads/alertmanager/firing.json, which Alertmanager's own library made.
        let set = labels(&[
            ("alertname", "CheckoutHighErrorRate"),
            ("cluster", "prod-eu1"),
            ("env", "prod"),
            ("instance", "checkout-api-6f9c7d5b8-2xq4l:9464"),
            ("job", "checkout-api"),
            ("namespace", "shop"),
            ("region", "eu-west-1"),
            ("service", "checkout-api"),
            ("severity", "critical"),
            ("team", "payments"),
        ]);
        assert_eq!(set.fingerprint().to_string(), "ccca8d14f8e18490");
    }

    #[test]
    fn identities_are_the_same_one_by_one_and_together() {
        let long = "x".repeat(300);
        let mut sets = vec![labels(&[]), labels(&[("a", &long), ("b", "2")]), labels(&[("a", "1"), ("b", &long)])];
        sets.extend((0..20).map(|n| labels(&[("alertname", "Disk"), ("host", &"h".repeat(n)), ("ü", "ä")])));
        for count in 0..sets.len() {
            let some: Vec<&Labels> = sets.iter().rev().take(count).collect();
            let one_by_one: Vec<Fingerprint> = some.iter().map(|set| set.fingerprint()).collect();
            assert_eq!(Labels::fingerprints(&some), one_by_one);
        }
    }

    #[test]
    fn changes_common_and_selection() {
        let set = labels(&[("a", "1"), ("b", "2")]);
        assert_eq!(set.with([("b", ""), ("c", "3")]).unwrap().to_string(), r#"{a="1", c="3"}"#);
        assert_eq!(set.common(&labels(&[("a", "1"), ("b", "3")])).to_string(), r#"{a="1"}"#);
        assert_eq!(set.only(&["b"]).to_string(), r#"{b="2"}"#);
        let many: Vec<(String, String)> = (0..12).map(|n| (format!("l{n:02}"), "x".to_owned())).collect();
        let many = Labels::from_pairs(many.iter().map(|(name, value)| (&**name, &**value))).unwrap();
        let names: Vec<String> = (1..11).map(|n| format!("l{n:02}")).collect();
        assert_eq!(many.only(&names).len(), 10);
        assert!(set.contains(&set) && set.contains(&labels(&[("b", "2")])) && set.contains(&labels(&[])));
        assert!(!set.contains(&labels(&[("b", "3")])) && !set.contains(&many) && !labels(&[]).contains(&set));
    }

    #[test]
    fn the_encoded_text_gives_the_same_set() {
        let long = "ü".repeat(100);
        for set in
            [labels(&[]), labels(&[("a", "1")]), labels(&[("a", "x".repeat(126).as_str()), ("b", "x".repeat(127).as_str())])]
        {
            assert_eq!(Labels::decode(set.encoded()), Some(set.clone()), "{set}");
        }
        let set = labels(&[("ä", long.as_str()), ("b", "2")]);
        assert_eq!(set.encoded(), format!("\u{1}b\u{1}2\u{2}ä\u{7f}\0\u{1}\u{48}{long}"));
        assert_eq!((set.get("ä"), set.len(), set.bytes()), (long.as_str(), 2, 204));
    }

    #[test]
    fn a_text_that_no_set_has_is_refused() {
        let wrong = [
            ("\u{1}a", "a name without a value"),
            ("\u{1}a\u{2}1", "a part that is cut off"),
            ("\u{1}a\0", "an empty value"),
            ("\u{1}b\u{1}2\u{1}a\u{1}1", "not in order"),
            ("\u{1}a\u{1}2\u{1}a\u{1}1", "twice the same name"),
            ("\u{1}a\u{7f}\0\0\u{1}1", "a long head of a short part"),
            ("\u{7f}\0", "a head that is cut off"),
            ("\u{1}ä\u{1}1", "a cut within a character"),
            ("ä", "no head"),
        ];
        for (text, why) in wrong {
            assert_eq!(Labels::decode(text), None, "{why}");
        }
    }

    #[test]
    fn too_long_is_refused() {
        let long = "x".repeat(LABELS_BYTES_MAX);
        assert!(Labels::from_pairs([("a", long.as_str())]).is_none());
    }
}
