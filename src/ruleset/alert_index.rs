//! One index over all lists of matchers that an alert is held against once its labels are settled.
//!
//! An alert walks through its labels once and not once for each stage: five walks were a third of what a new alert cost under
//! rules of every stage. Not in here are the lists of enrich rules, which change the labels, and those of classify rules: in a storm
//! nearly no alert is held against them, and the built-in ones are long expressions.

use super::index::MatcherIndex;
use crate::model::{Labels, Matcher};

/// Whose list it is, and what its number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// A suppress rule that does not inhibit; its position in `suppress`.
    Suppress,
    /// What is inhibited; a place in [`Inhibition::targets`](super::Inhibition).
    Target,
    /// What inhibits; a place in [`Inhibition::sources`](super::Inhibition).
    Source,
    /// A correlate rule without a sequence; its position in `correlate`.
    Correlate,
    /// A step of a sequence; a place in `sequence_steps`.
    Step,
    /// A prioritize rule; its position in `prioritize`.
    Prioritize,
    /// An escalate rule; its position in `escalate`.
    Escalate,
}

/// Bits of a number in the index that are the list's own; those above say whose it is.
const NUMBER_BITS: u32 = 28;

impl Listed {
    fn numbered(self, number: u32) -> u32 {
        // More rules than this are refused when they are loaded.
        debug_assert!(number < 1 << NUMBER_BITS, "{number}");
        (self as u32) << NUMBER_BITS | number
    }
}

/// The index.
#[derive(Debug, Default)]
pub struct AlertIndex(MatcherIndex);

/// What holds for an alert: lists of all kinds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found(Vec<u32>);

impl AlertIndex {
    /// Adds a list of matchers.
    pub fn insert(&mut self, whose: Listed, number: u32, matchers: &[Matcher]) {
        self.0.insert(whose.numbered(number), matchers);
    }

    /// Puts all lists that hold for `labels` into `found`, which is emptied first.
    pub fn matching(&self, labels: &Labels, found: &mut Found) {
        self.0.matching(labels, &mut found.0);
    }
}

impl Found {
    /// The numbers of one kind, ascending.
    pub fn of(&self, whose: Listed) -> impl Iterator<Item = u32> + '_ {
        let begin = self.0.partition_point(|number| *number < whose.numbered(0));
        let own = self.0[begin..].iter().take_while(move |number| **number >> NUMBER_BITS == whose as u32);
        own.map(|number| number & ((1 << NUMBER_BITS) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::parse_matchers;

    #[test]
    fn each_kind_is_found_under_its_own_numbers() {
        let mut index = AlertIndex::default();
        let insert = |index: &mut AlertIndex, whose, number, text: &str| {
            index.insert(whose, number, &parse_matchers(text).unwrap());
        };
        insert(&mut index, Listed::Escalate, 0, "");
        insert(&mut index, Listed::Suppress, 0, r#"a="1""#);
        insert(&mut index, Listed::Suppress, 7, r#"a=~"1.*""#);
        insert(&mut index, Listed::Target, 0, r#"a="1",b="2""#);
        insert(&mut index, Listed::Source, 3, r#"b!="2""#);
        insert(&mut index, Listed::Escalate, 20_000, r#"a="1""#);
        let mut found = Found::default();
        let mut of = |text: &str, whose| -> Vec<u32> {
            let pairs = text.split_whitespace().map(|pair| pair.split_once('=').unwrap());
            index.matching(&Labels::from_pairs(pairs).unwrap(), &mut found);
            found.of(whose).collect()
        };
        assert_eq!(of("a=1", Listed::Suppress), [0, 7]);
        assert_eq!(of("a=1", Listed::Target), [0_u32; 0]);
        assert_eq!(of("a=1", Listed::Source), [3]);
        assert_eq!(of("a=1", Listed::Correlate), [0_u32; 0]);
        assert_eq!(of("a=1", Listed::Escalate), [0, 20_000]);
        assert_eq!(of("a=1 b=2", Listed::Target), [0]);
        assert_eq!(of("c=1", Listed::Escalate), [0]);
    }
}
