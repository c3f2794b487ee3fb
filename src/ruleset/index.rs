//! From an alert's labels to the rules that can match it.
//!
//! Each list of matchers stands in exactly one place, by what is rarest in it:
//!
//! | the list has | stands under | an alert meets it if |
//! | --- | --- | --- |
//! | two labels with fixed values | a pair of label values | it has both values |
//! | one label with fixed values | a label value | it has the value |
//! | a regular expression that wants a label | the label's name | it has the label and a set of all its expressions hits |
//! | only conditions that absence satisfies | the rest | always |
//! | nothing | all | always |
//!
//! Fixed values are those of `=` and of expressions that stand for a few texts (`a|b|c`, `web-(1|2)`, `db[12]`). An empty
//! value is none: the label may be absent. Keys are hashes: two that collide only share their candidates, and every candidate is checked in full.
//!
//! Lists come and go one by one, and what is there is not built anew for them: silences do so all day.

mod expressions;

use std::cmp::Reverse;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::model::{Labels, MatchOp, Matcher};
use expressions::Expressions;

/// Finds, among many lists of matchers, those that all hold for a label set, at a cost that does not grow with the
/// lists that cannot match. The same index serves rules, silences and inhibition.
#[derive(Debug, Default)]
pub struct MatcherIndex {
    lists: FxHashMap<u32, List>,
    /// The labels that lists stand under; an alert's other ones, mostly those with the most values, are not looked at.
    labels: FxHashMap<Box<str>, Label>,
    /// What stands under each label value.
    values: FxHashMap<u64, Value>,
    /// Lists under two label values.
    pairs: FxHashMap<u64, Vec<u32>>,
    /// Lists that only a look at each can tell.
    rest: Vec<u32>,
    /// Lists without any condition.
    all: Vec<u32>,
}

/// What stands under a label.
#[derive(Debug, Default)]
struct Label {
    /// What the keys of its values begin with.
    seed: u64,
    /// How many keys of lists are values of this label.
    keys: u32,
    /// Lists that want an expression to hit it.
    expressions: Expressions,
}

/// What stands under a label value.
#[derive(Debug, Default)]
struct Value {
    lists: Vec<u32>,
    /// How many keys of `pairs` it takes part in, so that other values are not tried in pairs.
    halves: u32,
}

#[derive(Debug)]
struct List {
    matchers: Box<[Matcher]>,
    place: Place,
    /// Stands under an expression and has conditions on that label only, so that a hit there is the whole answer.
    settled: bool,
}

/// Where a list stands.
#[derive(Debug)]
enum Place {
    All,
    Rest,
    /// The expression's label.
    Expression(Arc<str>),
    /// A label, and one key for each value.
    Ones(Arc<str>, Box<[u64]>),
    /// Two labels, and one pair for each combination of their values.
    Pairs([Arc<str>; 2], Box<[(u64, u64)]>),
}

/// Values that one expression may list to count as fixed values.
const VALUES_MAX: usize = 1_000;
/// Keys that one list may take up in `pairs`.
const COMBINATIONS_MAX: usize = 16;
/// Lists under one key from which the next one stands under its expression, if it has any, and those do, too: a set of
/// expressions tells a thousand lists apart in the time that three single ones take, and mostly remembers the value.
const CROWDED: usize = 3;
/// Labels with fixed values that are compared to find a list's rarest pair.
const LABELS_COMPARED_MAX: usize = 6;
/// Labels of an alert that may take part in pairs without asking for memory.
const LABELS_USUAL: usize = 32;

impl MatcherIndex {
    /// Adds a list of matchers under `number`; one that was there before goes.
    pub fn insert(&mut self, number: u32, matchers: &[Matcher]) {
        self.remove(number);
        let (place, crowd) = self.choose(matchers);
        self.put(number, matchers.into(), place);
        // They were first under values that are common, as it turns out; each moves once.
        for other in crowd {
            let Some(list) = self.lists.get(&other) else { continue };
            let (matchers, Some(place)) = (list.matchers.clone(), by_expression(&list.matchers)) else { continue };
            self.remove(other);
            self.put(other, matchers, place);
        }
    }

    fn put(&mut self, number: u32, matchers: Box<[Matcher]>, place: Place) {
        match &place {
            Place::All => add(&mut self.all, number),
            Place::Rest => add(&mut self.rest, number),
            Place::Expression(name) => {
                let pattern = matchers.iter().find(|m| wants_label(m) && m.name == *name).map_or("", |m| &m.value);
                let on_label: Vec<&Matcher> = matchers.iter().filter(|m| m.name == *name).collect();
                let label = self.label(name);
                label.expressions.insert(number, pattern, |value| on_label.iter().all(|m| m.matches_value(value)));
            }
            Place::Ones(name, keys) => {
                self.label(name).keys += count(keys);
                keys.iter().for_each(|key| add(&mut self.values.entry(*key).or_default().lists, number));
            }
            Place::Pairs(names, keys) => {
                for name in names {
                    self.label(name).keys += count(keys);
                }
                for (a, b) in keys {
                    add(self.pairs.entry(mix(*a, *b)).or_default(), number);
                    self.values.entry(*a).or_default().halves += 1;
                    self.values.entry(*b).or_default().halves += 1;
                }
            }
        }
        let settled = matches!(&place, Place::Expression(name) if matchers.iter().all(|m| m.name == *name));
        self.lists.insert(number, List { matchers, place, settled });
    }

    fn label(&mut self, name: &str) -> &mut Label {
        self.labels.entry(name.into()).or_insert_with(|| Label { seed: seed(name), ..Label::default() })
    }

    /// Takes the list under `number` out, if there is one.
    pub fn remove(&mut self, number: u32) {
        let Some(list) = self.lists.remove(&number) else { return };
        match list.place {
            Place::All => take(&mut self.all, number),
            Place::Rest => take(&mut self.rest, number),
            Place::Expression(name) => self.leave_label(&name, |label| label.expressions.remove(number)),
            Place::Ones(name, keys) => {
                self.leave_label(&name, |label| label.keys -= count(&keys));
                keys.iter().for_each(|key| self.leave_value(*key, |value| take(&mut value.lists, number)));
            }
            Place::Pairs(names, keys) => {
                for name in &names {
                    self.leave_label(name, |label| label.keys -= count(&keys));
                }
                for (a, b) in keys {
                    if let Some(numbers) = self.pairs.get_mut(&mix(a, b)) {
                        take(numbers, number);
                        if numbers.is_empty() {
                            self.pairs.remove(&mix(a, b));
                        }
                    }
                    for half in [a, b] {
                        self.leave_value(half, |value| value.halves -= 1);
                    }
                }
            }
        }
    }

    fn leave_label(&mut self, name: &str, change: impl FnOnce(&mut Label)) {
        let Some(label) = self.labels.get_mut(name) else { return };
        change(label);
        if label.keys == 0 && label.expressions.is_empty() {
            self.labels.remove(name);
        }
    }

    fn leave_value(&mut self, key: u64, change: impl FnOnce(&mut Value)) {
        let Some(value) = self.values.get_mut(&key) else { return };
        change(value);
        if value.halves == 0 && value.lists.is_empty() {
            self.values.remove(&key);
        }
    }

    /// Puts the numbers of all lists that hold for `labels` into `found`, ascending; `found` is emptied first.
    pub fn matching(&self, labels: &Labels, found: &mut Vec<u32>) {
        found.clear();
        if self.lists.len() > self.all.len() + self.rest.len() {
            self.candidates(labels, found);
        }
        found.extend_from_slice(&self.rest);
        let holds = |list: &List| list.settled || list.matchers.iter().all(|m| m.matches(labels));
        found.retain(|number| self.lists.get(number).is_some_and(holds));
        found.extend_from_slice(&self.all);
        found.sort_unstable();
        found.dedup();
    }

    /// Every list that stands under something that `labels` have.
    fn candidates(&self, labels: &Labels, found: &mut Vec<u32>) {
        // The keys of those labels that take part in a pair.
        let (mut halves, mut halves_len) = ([0; LABELS_USUAL], 0);
        let mut more_halves = Vec::new();
        for (name, value) in labels.iter() {
            let Some(label) = self.labels.get(name) else { continue };
            if !label.expressions.is_empty() {
                let of_label = |list: &List| list.matchers.iter().all(|m| *m.name != *name || m.matches_value(value));
                label.expressions.hits(value, found, |number| self.lists.get(&number).is_some_and(of_label));
            }
            if label.keys == 0 {
                continue;
            }
            let key = key_under(label.seed, value);
            let Some(under) = self.values.get(&key) else { continue };
            found.extend_from_slice(&under.lists);
            if under.halves > 0 {
                for other in halves[..halves_len].iter().chain(&more_halves) {
                    if let Some(numbers) = self.pairs.get(&mix(*other, key)) {
                        found.extend_from_slice(numbers);
                    }
                }
                if let Some(place) = halves.get_mut(halves_len) {
                    *place = key;
                    halves_len += 1;
                } else {
                    more_halves.push(key);
                }
            }
        }
    }

    /// The place where a list meets the fewest alerts, as far as the lists so far tell: values that others stand under
    /// already are taken for common ones. And those others, where they are few and might stand under expressions, too.
    fn choose(&self, matchers: &[Matcher]) -> (Place, Vec<u32>) {
        if matchers.is_empty() {
            return (Place::All, Vec::new());
        }
        let mut fixed: Vec<(&Arc<str>, Box<[u64]>)> = Vec::new();
        for matcher in matchers {
            if fixed.len() < LABELS_COMPARED_MAX
                && fixed.iter().all(|(name, _)| **name != matcher.name)
                && let Some(values) = fixed_values(matcher)
            {
                fixed.push((&matcher.name, values.iter().map(|value| key(&matcher.name, value)).collect()));
            }
        }
        let shared = |keys: &[(u64, u64)]| keys.iter().map(|(a, b)| self.pairs.get(&mix(*a, *b)).map_or(0, Vec::len)).max();
        let combine = |first: &[u64], second: &[u64]| -> Box<[(u64, u64)]> {
            first.iter().flat_map(|a| second.iter().map(|b| (*a, *b))).collect()
        };
        let combinations = fixed
            .iter()
            .enumerate()
            .flat_map(|(i, first)| fixed[i + 1..].iter().map(move |second| (first, second)))
            .filter(|((_, first), (_, second))| first.len() * second.len() <= COMBINATIONS_MAX)
            .map(|((a, first), (b, second))| ([Arc::clone(a), Arc::clone(b)], combine(first, second)));
        let expression = by_expression(matchers);
        let mut crowd = Vec::new();
        let too_common = |load: usize| load >= CROWDED && expression.is_some();
        let of_value = |key: &u64| self.values.get(key).map_or(0, |value| value.lists.len());
        let load = |keys: &[u64]| keys.iter().map(of_value).max().unwrap_or(0);
        if let Some((names, keys)) = combinations.min_by_key(|(_, keys)| (shared(keys), keys.len())) {
            if !too_common(shared(&keys).unwrap_or(0)) {
                return (Place::Pairs(names, keys), crowd);
            }
            crowd.extend(keys.iter().filter_map(|(a, b)| self.pairs.get(&mix(*a, *b))).flatten());
        } else if let Some((name, keys)) = fixed.iter().min_by_key(|(_, keys)| (load(keys), keys.len())) {
            if !too_common(load(keys)) {
                return (Place::Ones(Arc::clone(name), keys.clone()), crowd);
            }
            crowd.extend(keys.iter().filter_map(|key| self.values.get(key)).flat_map(|value| &value.lists));
        }
        // Where there are many, most have no expression and must stay, and a few more make no difference.
        if crowd.len() > 2 * CROWDED {
            crowd.clear();
        }
        (expression.unwrap_or(Place::Rest), crowd)
    }
}

/// The place under an expression, if the list has one that wants a label. A longer pattern is likely to hit less.
fn by_expression(matchers: &[Matcher]) -> Option<Place> {
    let longest = matchers.iter().filter(|m| wants_label(m)).min_by_key(|m| Reverse(m.value.len()));
    longest.map(|matcher| Place::Expression(matcher.name.clone()))
}

/// Whether it takes a label with a value to satisfy this expression.
fn wants_label(matcher: &Matcher) -> bool {
    matcher.op == MatchOp::Matches && !matcher.matches_value("")
}

/// The only values that satisfy a matcher, if these can be listed and none is empty.
fn fixed_values(matcher: &Matcher) -> Option<Vec<String>> {
    let values = match matcher.op {
        MatchOp::Equal => vec![matcher.value.to_string()],
        MatchOp::Matches => literals(&matcher.value).or_else(|| few_texts(&matcher.value))?,
        MatchOp::NotEqual | MatchOp::NotMatches => return None,
    };
    let usable = values.len() <= VALUES_MAX && values.iter().all(|value| !value.is_empty());
    usable.then_some(values)
}

/// The alternatives of an expression that only lists literals: `a|b\.c`, `(a|b)`, `(?:a|b)`.
pub(super) fn literals(pattern: &str) -> Option<Vec<String>> {
    let inside = pattern.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let pattern = inside.map_or(pattern, |inside| inside.strip_prefix("?:").unwrap_or(inside));
    let mut values = vec![String::new()];
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let literal = match c {
            '|' => {
                values.push(String::new());
                continue;
            }
            '\\' => chars.next().filter(char::is_ascii_punctuation).filter(|c| !"<>".contains(*c))?,
            '.' | '+' | '*' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            c => c,
        };
        values.last_mut()?.push(literal);
    }
    values.sort_unstable();
    values.dedup();
    Some(values)
}

/// All texts that an expression matches as a whole, if these are few: `web-(1|2)`, `db[12]`. A thousand rules of this kind
/// cost a fifth of what they do as expressions.
fn few_texts(pattern: &str) -> Option<Vec<String>> {
    let parsed = regex_syntax::parse(pattern).ok()?;
    // Whether a place holds (`^`, `\b`) is nothing that a list of texts can say.
    if !parsed.properties().look_set().is_empty() {
        return None;
    }
    let mut extractor = regex_syntax::hir::literal::Extractor::new();
    extractor.limit_class(COMBINATIONS_MAX).limit_repeat(COMBINATIONS_MAX).limit_total(COMBINATIONS_MAX);
    let texts = extractor.extract(&parsed);
    let texts = texts.literals().filter(|texts| texts.iter().all(regex_syntax::hir::literal::Literal::is_exact))?;
    let mut values = texts.iter().map(|text| String::from_utf8(text.as_bytes().to_vec())).collect::<Result<Vec<_>, _>>().ok()?;
    values.sort_unstable();
    values.dedup();
    Some(values)
}

fn key(name: &str, value: &str) -> u64 {
    key_under(seed(name), value)
}

fn seed(name: &str) -> u64 {
    xxh3_64_with_seed(name.as_bytes(), 0)
}

fn key_under(seed: u64, value: &str) -> u64 {
    xxh3_64_with_seed(value.as_bytes(), seed)
}

/// One key of two; the same in either order.
fn mix(a: u64, b: u64) -> u64 {
    a.wrapping_add(b).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ a.rotate_left(32).wrapping_mul(b.rotate_left(32))
}

fn add(numbers: &mut Vec<u32>, number: u32) {
    if let Err(at) = numbers.binary_search(&number) {
        numbers.insert(at, number);
    }
}

fn take(numbers: &mut Vec<u32>, number: u32) {
    if let Ok(at) = numbers.binary_search(&number) {
        numbers.remove(at);
    }
}

fn count<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
