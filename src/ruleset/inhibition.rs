//! Inhibition rules, arranged by what they look at.
//!
//! Rule files have many rules that suppress the same alerts, each for another source, and some that one source hides much.
//! An alert is held against each *distinct* target and source once, and takes part in each of those, not in each rule: a
//! thousand rules on eight namespaces cost it no more than eight.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::alert_index::{AlertIndex, Listed};
use super::rules::{SuppressHow, SuppressRule};
use crate::model::Matcher;

/// The inhibition rules of a ruleset. Numbers of rules are positions in its `suppress`.
#[derive(Debug, Default)]
pub struct Inhibition {
    pub targets: Vec<Target>,
    pub sources: Vec<Source>,
    pub pairs: Vec<Pair>,
    /// Distinct lists of labels that sources and targets must agree on.
    pub equals: Vec<Vec<Arc<str>>>,
}

/// Alerts that some rules suppress, compared with their sources by the same labels.
#[derive(Debug)]
pub struct Target {
    /// The place of its labels in `equals`.
    pub equal: u32,
    /// The rule whose expression must hold besides; expressions are not compared, so such a rule is alone with its target.
    pub conditional: Option<u32>,
    /// The sources that it has a pair with, ascending, and that pair.
    pub sources: Vec<(u32, u32)>,
}

/// Alerts that suppress others under some rules.
#[derive(Debug, Default)]
pub struct Source {
    /// The targets that it has a pair with, ascending, and that pair.
    pub targets: Vec<(u32, u32)>,
    /// The places in `equals` of the labels that these are compared by.
    pub equals: Vec<u32>,
}

/// A source and a target, and the rules that say so: more than one only where files repeat themselves.
#[derive(Debug)]
pub struct Pair {
    pub rules: Vec<u32>,
}

impl Inhibition {
    /// Arranges the inhibition rules among these, and adds the matchers of targets and sources to `index`.
    #[must_use]
    pub fn of(rules: &[SuppressRule], index: &mut AlertIndex) -> Inhibition {
        let mut all = Inhibition::default();
        let (mut equals, mut targets, mut sources, mut pairs) =
            (Places::default(), Places::default(), Places::default(), Places::default());
        for (number, rule) in (0..).zip(rules) {
            let SuppressHow::Inhibit { source, equal } = &rule.how else { continue };
            let mut labels = equal.clone();
            labels.sort_unstable();
            labels.dedup();
            let equal = equals.place(labels.clone(), || all.equals.push(labels));
            let conditional = rule.when.as_ref().map(|_| number);
            let target = targets.place((words(&rule.matchers), equal, conditional), || {
                index.insert(Listed::Target, count(&all.targets), &rule.matchers);
                all.targets.push(Target { equal, conditional, sources: Vec::new() });
            });
            let source = sources.place(words(source), || {
                index.insert(Listed::Source, count(&all.sources), source);
                all.sources.push(Source::default());
            });
            let pair = pairs.place((source, target), || {
                let pair = count(&all.pairs);
                all.targets[target as usize].sources.push((source, pair));
                let of_source = &mut all.sources[source as usize];
                of_source.targets.push((target, pair));
                if !of_source.equals.contains(&equal) {
                    of_source.equals.push(equal);
                }
                all.pairs.push(Pair { rules: Vec::new() });
            });
            all.pairs[pair as usize].rules.push(number);
        }
        all.targets.iter_mut().for_each(|target| target.sources.sort_unstable());
        all.sources.iter_mut().for_each(|source| source.targets.sort_unstable());
        all
    }

    /// Whether no rule inhibits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

/// Numbers for things, in order of their first coming.
#[derive(Debug)]
struct Places<T>(BTreeMap<T, u32>);

impl<T> Default for Places<T> {
    fn default() -> Places<T> {
        Places(BTreeMap::new())
    }
}

impl<T: Ord> Places<T> {
    /// The number of a thing; one that is new is added by `add`.
    fn place(&mut self, thing: T, add: impl FnOnce()) -> u32 {
        let next = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        *self.0.entry(thing).or_insert_with(|| {
            add();
            next
        })
    }
}

/// What a list of matchers says, in whatever order.
fn words(matchers: &[Matcher]) -> Vec<String> {
    let mut words: Vec<String> = matchers.iter().map(Matcher::to_string).collect();
    words.sort_unstable();
    words.dedup();
    words
}

fn count<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use crate::ruleset::{self, SourceFile};

    #[test]
    fn rules_share_what_they_have_in_common() {
        let text = r#"
suppress:
  - { name: a, inhibit: { source: ['x="1"'], target: ['y="1"', 'z="1"'], equal: [b, a] } }
  - { name: b, inhibit: { source: ['x="2"'], target: ['z="1"', 'y="1"'], equal: [a, b] } }
  - { name: other-labels, inhibit: { source: ['x="1"'], target: ['y="1"', 'z="1"'], equal: [a] } }
  - { name: no-inhibition, match: ['y="1"'], hold: 1m }
  - { name: a-again, inhibit: { source: ['x="1"'], target: ['y="1"', 'z="1"'], equal: [a, b] } }
  - { name: conditional, inhibit: { source: ['x="1"'], target: ['y="1"', 'z="1"'], equal: [a, b] }, when: 'size(labels) > 2' }
"#;
        let files = [SourceFile { name: "rules.yaml".to_owned(), text: text.to_owned() }];
        let rules = ruleset::load(&files, None, ruleset::Limits::default()).unwrap().ruleset;
        let all = &rules.inhibition;
        assert_eq!(all.pairs.iter().map(|pair| &*pair.rules).collect::<Vec<_>>(), [&[0, 4][..], &[1], &[2], &[5]]);
        assert_eq!(
            all.sources.iter().map(|source| (&*source.targets, &*source.equals)).collect::<Vec<_>>(),
            [(&[(0, 0), (1, 2), (2, 3)][..], &[0, 1][..]), (&[(0, 1)], &[0])]
        );
        assert_eq!(
            all.targets.iter().map(|target| &*target.sources).collect::<Vec<_>>(),
            [&[(0, 0), (1, 1)][..], &[(0, 2)], &[(0, 3)]]
        );
        assert_eq!(all.targets.iter().map(|target| target.conditional).collect::<Vec<_>>(), [None, None, Some(5)]);
        assert_eq!((all.equals.len(), all.is_empty()), (2, false));
    }
}
