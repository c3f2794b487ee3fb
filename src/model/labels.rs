//! A set of labels (or annotations): names and values, sorted by name, in two allocations.

use std::fmt;

use super::id::Fingerprint;

/// Sorted name/value pairs. Empty values are never kept: a missing label and an empty one are the same thing.
///
/// All text lies in one string, cut by the ends of its parts, because an active alert must cost about a kilobyte and
/// sixteen small strings would be half of that.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Labels {
    text: Box<str>,
    /// End offsets of name 0, value 0, name 1, value 1, …
    ends: Box<[u16]>,
}

/// Bytes of all names and values together that one set can hold.
pub const LABELS_BYTES_MAX: usize = u16::MAX as usize;

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
        pairs.sort_by_key(|(name, _)| *name);
        let pairs = &*pairs;
        let last_of_its_name = |i: usize| pairs.get(i + 1).is_none_or(|next| next.0 != pairs[i].0);
        let kept = (0..pairs.len()).filter(|i| last_of_its_name(*i)).map(|i| pairs[i]).filter(|(_, value)| !value.is_empty());
        let (count, bytes) =
            kept.clone().fold((0, 0), |(count, bytes), (name, value)| (count + 1, bytes + name.len() + value.len()));
        if bytes > LABELS_BYTES_MAX {
            return None;
        }
        Labels::from_sorted(count, bytes, kept)
    }

    /// The set of `count` pairs with `bytes` of text, which are in order, without empty values and without doubles.
    fn from_sorted<'a>(count: usize, bytes: usize, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Labels> {
        // Both are of their exact size from the beginning, so that boxing them copies nothing.
        let mut text = String::with_capacity(bytes);
        let mut ends = Vec::with_capacity(count * 2);
        for (name, value) in pairs {
            text.push_str(name);
            ends.push(u16::try_from(text.len()).ok()?);
            text.push_str(value);
            ends.push(u16::try_from(text.len()).ok()?);
        }
        Some(Labels { text: text.into_boxed_str(), ends: ends.into_boxed_slice() })
    }

    /// The value of `name`; the empty string when there is none.
    ///
    /// Compares lengths before text, and cuts only what it returns: each cut of a string checks where its characters
    /// begin, and rules ask for labels many times an alert.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        let mut start = 0;
        for pair in self.ends.chunks_exact(2) {
            let (name_end, value_end) = (usize::from(pair[0]), usize::from(pair[1]));
            if name_end - start == name.len() && self.text.as_bytes()[start..name_end] == *name.as_bytes() {
                return &self.text[name_end..value_end];
            }
            start = value_end;
        }
        ""
    }

    /// All pairs in order of name.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        let (mut start, mut rest) = (0, &*self.text);
        self.ends.chunks_exact(2).map(move |pair| {
            let (name_end, value_end) = (usize::from(pair[0]), usize::from(pair[1]));
            let (name, behind) = rest.split_at(name_end - start);
            let (value, behind) = behind.split_at(value_end - name_end);
            (start, rest) = (value_end, behind);
            (name, value)
        })
    }

    /// Names and values in turn, as bytes of UTF-8: for writing them down, where a cut of a string, which checks where
    /// its characters begin, would be half of the time.
    #[must_use]
    pub fn parts(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let part = &self.text.as_bytes()[start..usize::from(*end)];
            start = usize::from(*end);
            part
        })
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len() / 2
    }

    /// The length of all names and values together, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Whether there is no label at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
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
        other.iter().all(|(name, value)| self.get(name) == value)
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
        let kept = self.iter().filter(|(name, _)| names.iter().any(|n| n.as_ref() == *name));
        if names.len() > USUAL {
            return Labels::from_pairs(kept).unwrap_or_default();
        }
        // They are in order already, and this is done for the group of every new alert.
        let (mut found, mut count, mut bytes) = ([("", ""); USUAL], 0, 0);
        for (name, value) in kept {
            found[count] = (name, value);
            count += 1;
            bytes += name.len() + value.len();
        }
        Labels::from_sorted(count, bytes, found[..count].iter().copied()).unwrap_or_default()
    }

    /// Alertmanager's identity of this set: FNV-1a over name, 0xFF, value, 0xFF of each pair in order.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut eat = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        for part in self.parts() {
            for byte in part {
                eat(*byte);
            }
            eat(0xff);
        }
        Fingerprint(hash)
    }
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
    fn changes_common_and_selection() {
        let set = labels(&[("a", "1"), ("b", "2")]);
        assert_eq!(set.with([("b", ""), ("c", "3")]).unwrap().to_string(), r#"{a="1", c="3"}"#);
        assert_eq!(set.common(&labels(&[("a", "1"), ("b", "3")])).to_string(), r#"{a="1"}"#);
        assert_eq!(set.only(&["b"]).to_string(), r#"{b="2"}"#);
    }

    #[test]
    fn too_long_is_refused() {
        let long = "x".repeat(LABELS_BYTES_MAX);
        assert!(Labels::from_pairs([("a", long.as_str())]).is_none());
    }
}
