//! What matchers say of each other: that no label set satisfies all of them, or that one follows from others.
//!
//! All answers are careful. What cannot be told from the text of two expressions is taken for neither: a warning that is
//! wrong teaches people to read none.

use crate::model::{MatchOp, Matcher};
use crate::ruleset::index::literals;

/// Why no label set satisfies a list of matchers, in words; `None` if one may.
pub(super) fn contradiction(matchers: &[Matcher]) -> Option<String> {
    let pairs = matchers.iter().enumerate().flat_map(|(at, one)| matchers[at + 1..].iter().map(move |other| (one, other)));
    let excluding = pairs.filter(|(one, other)| one.name == other.name).find(|(one, other)| exclude(one, other));
    if let Some((one, other)) = excluding {
        return Some(format!("`{one}` and `{other}` exclude each other"));
    }
    let alone = matchers.iter().find(|matcher| matcher.op == MatchOp::NotMatches && takes_any(&matcher.value));
    if let Some(alone) = alone {
        return Some(format!("nothing satisfies `{alone}`"));
    }
    // Each pair leaves something, and all together nothing: `a=~"x|y"`, `a!="x"`, `a!="y"`.
    let listing = matchers.iter().find(|matcher| values(matcher, matchers).is_some_and(|left| left.is_empty()))?;
    Some(format!("its matchers on `{}` leave no value", listing.name))
}

/// Whether all of `wanted` hold wherever all of `known` do.
pub(super) fn cover(wanted: &[Matcher], known: &[Matcher]) -> bool {
    wanted.iter().all(|matcher| follows(matcher, known))
}

/// Whether a matcher holds for every label set.
pub(super) fn is_always_true(matcher: &Matcher) -> bool {
    matcher.op == MatchOp::Matches && takes_any(&matcher.value)
}

/// The values that a matcher lists, if it does that.
pub(super) fn listed(matcher: &Matcher) -> Option<Vec<String>> {
    match matcher.op {
        MatchOp::Equal => Some(vec![matcher.value.to_string()]),
        MatchOp::Matches => literals(&matcher.value),
        MatchOp::NotEqual | MatchOp::NotMatches => None,
    }
}

/// Whether `wanted` holds wherever all of `known` do.
fn follows(wanted: &Matcher, known: &[Matcher]) -> bool {
    if is_always_true(wanted) {
        return true;
    }
    let about: Vec<&Matcher> = known.iter().filter(|matcher| matcher.name == wanted.name).collect();
    let ruled_out = |value: &str| about.iter().any(|matcher| !matcher.matches_value(value));
    if about.contains(&wanted) {
        return true;
    }
    if let Some(left) = about.iter().find_map(|matcher| values(matcher, known)) {
        return left.iter().all(|value| wanted.matches_value(value));
    }
    match wanted.op {
        MatchOp::Equal => false,
        MatchOp::NotEqual => ruled_out(&wanted.value),
        MatchOp::NotMatches => {
            let all_out = literals(&wanted.value).is_some_and(|values| values.iter().all(|value| ruled_out(value)));
            let shapes = about.iter().filter(|matcher| matcher.op == MatchOp::Matches).filter_map(|m| Shape::of(&m.value));
            all_out || Shape::of(&wanted.value).is_some_and(|out| shapes.into_iter().any(|known| known.is_apart_from(&out)))
        }
        MatchOp::Matches if matches!(&*wanted.value, ".+" | "..*" | ".*.") => ruled_out(""),
        MatchOp::Matches => {
            let shapes = about.iter().filter(|matcher| matcher.op == MatchOp::Matches).filter_map(|m| Shape::of(&m.value));
            Shape::of(&wanted.value).is_some_and(|wide| shapes.into_iter().any(|narrow| narrow.lies_within(&wide)))
        }
    }
}

/// The values that a matcher lists and that the others on its label leave.
fn values(matcher: &Matcher, all: &[Matcher]) -> Option<Vec<String>> {
    let mut listed = listed(matcher)?;
    listed.retain(|value| all.iter().filter(|other| other.name == matcher.name).all(|other| other.matches_value(value)));
    Some(listed)
}

/// Whether no value satisfies both of two matchers on one label.
fn exclude(one: &Matcher, other: &Matcher) -> bool {
    let none_of = |listing: &Matcher, other: &Matcher| {
        listed(listing).is_some_and(|values| values.iter().all(|value| !other.matches_value(value)))
    };
    let opposite = |one: &Matcher, other: &Matcher| {
        one.op == MatchOp::Matches && other.op == MatchOp::NotMatches && {
            let (narrow, wide) = (Shape::of(&one.value), Shape::of(&other.value));
            one.value == other.value || narrow.zip(wide).is_some_and(|(narrow, wide)| narrow.lies_within(&wide))
        }
    };
    let apart = || {
        let both = one.op == MatchOp::Matches && other.op == MatchOp::Matches;
        both && Shape::of(&one.value).zip(Shape::of(&other.value)).is_some_and(|(one, other)| one.is_apart_from(&other))
    };
    none_of(one, other) || none_of(other, one) || opposite(one, other) || opposite(other, one) || apart()
}

/// Whether an expression takes every text.
fn takes_any(pattern: &str) -> bool {
    matches!(pattern, ".*" | "(.*)" | "(?:.*)" | ".*.*" | ".*?")
}

/// An expression of the forms that people write most: a text with something before it, behind it, or both.
#[derive(Debug)]
struct Shape {
    text: String,
    open_start: bool,
    open_end: bool,
}

impl Shape {
    fn of(pattern: &str) -> Option<Shape> {
        let (pattern, open_start) = pattern.strip_prefix(".*").map_or((pattern, false), |rest| (rest, true));
        let (pattern, open_end) = pattern.strip_suffix(".*").map_or((pattern, false), |rest| (rest, true));
        // One text only. A backslash before the `.*` makes a text of its dot; what is left then ends in it, and is no literal.
        let mut texts = literals(pattern).filter(|texts| texts.len() == 1)?;
        Some(Shape { text: texts.pop()?, open_start, open_end })
    }

    /// Whether all that this takes is taken by `wide`.
    fn lies_within(&self, wide: &Shape) -> bool {
        match (wide.open_start, wide.open_end) {
            (true, true) => self.text.contains(&wide.text),
            (false, true) => !self.open_start && self.text.starts_with(&wide.text),
            (true, false) => !self.open_end && self.text.ends_with(&wide.text),
            (false, false) => !self.open_start && !self.open_end && self.text == wide.text,
        }
    }

    /// Whether nothing is taken by both: they begin, or end, in different ways.
    fn is_apart_from(&self, other: &Shape) -> bool {
        let begin = !self.open_start && !other.open_start;
        let end = !self.open_end && !other.open_end;
        begin && !self.text.starts_with(&other.text) && !other.text.starts_with(&self.text)
            || end && !self.text.ends_with(&other.text) && !other.text.ends_with(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;
    use crate::ruleset::parse_matchers;

    fn matchers(text: &str) -> Vec<Matcher> {
        parse_matchers(text).unwrap()
    }

    #[test]
    fn contradictions_are_found_and_nothing_else() {
        let cases = [
            (r#"a="x", a="y""#, true),
            (r#"a="x", b="y""#, false),
            (r#"a="prod", a=~"dev|staging""#, true),
            (r#"a="prod", a=~"p.*""#, false),
            (r#"a="prod", a!~"p.*""#, true),
            (r#"a="", a!="""#, true),
            (r#"a="", a=~".+""#, true),
            (r#"a=~"x|y", a!="x", a!="y""#, true),
            (r#"a=~"x|y", a!="x""#, false),
            (r#"a=~"x|y", a=~"y|z", a!="y""#, true),
            (r#"a=~"db-.*", a!~"db-.*""#, true),
            (r#"a=~"db-eu.*", a!~"db-.*""#, true),
            (r#"a=~"db-.*", a!~"db-eu.*""#, false),
            (r#"a=~"db-.*", a=~"web-.*""#, true),
            (r#"a=~"db-.*", a=~".*-web""#, false),
            (r#"a=~".*-db", a=~".*-web""#, true),
            (r#"a=~"(a|b)+", a=~"c+""#, false),
            (r#"a!~".*""#, true),
            (r#"a!~".+""#, false),
        ];
        for (text, expected) in cases {
            assert_eq!(contradiction(&matchers(text)).is_some(), expected, "{text}");
        }
    }

    #[test]
    fn one_matcher_follows_from_others_where_that_can_be_told() {
        let cases = [
            (r#"a="x""#, r#"a="x""#, true),
            (r#"a="x""#, r#"a=~"x|y""#, true),
            (r#"a=~"x|y""#, r#"a="x""#, false),
            (r#"a=~"x|y", a!="y""#, r#"a="x""#, true),
            (r#"a="x""#, r#"a!="y""#, true),
            (r#"a="x""#, r#"a=~".+""#, true),
            (r#"a=~"x.+""#, r#"a!="""#, true),
            (r#"a=~"x.*""#, r#"a=~".+""#, true),
            (r#"a=~"x?""#, r#"a=~".+""#, false),
            (r#"b="x""#, r#"a=~".*""#, true),
            (r#"b="x""#, r#"a="""#, false),
            (r#"a=~"db-eu.*""#, r#"a=~"db-.*""#, true),
            (r#"a=~"db-.*""#, r#"a=~"db-eu.*""#, false),
            (r#"a=~".*-db-eu.*""#, r#"a=~".*-db-.*""#, true),
            (r#"a=~"x-db""#, r#"a=~".*-db""#, true),
            (r#"a=~".*-db""#, r#"a=~"x-db.*""#, false),
            (r#"a!~"x|y""#, r#"a!="x""#, true),
            (r#"a!="x", a!="y""#, r#"a!~"x|y""#, true),
            (r#"a=~"web.*""#, r#"a!~"db.*""#, true),
            (r#"a=~"x\\.*""#, r#"a=~"x.*""#, false),
        ];
        for (known, wanted, expected) in cases {
            assert_eq!(cover(&matchers(wanted), &matchers(known)), expected, "{known} / {wanted}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(1_000))]

        /// What is said of matchers is true of every value that there is.
        #[test]
        fn what_is_said_holds_for_every_value(
            known in proptest::collection::vec((0..4u8, "(\\.\\*)?[ab]{0,2}(\\.[*+])?|a\\|b|a\\.?b\\*"), 1..4),
            wanted in (0..4u8, "(\\.\\*)?[ab]{0,2}(\\.[*+])?|a\\|b|a\\.?b\\*"),
            value in "[ab]{0,3}",
        ) {
            let make = |(op, text): &(u8, String)| {
                let op = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Matches, MatchOp::NotMatches][usize::from(*op)];
                Matcher::new("l", op, text).unwrap()
            };
            let known: Vec<Matcher> = known.iter().map(make).collect();
            let wanted = make(&wanted);
            let labels = Labels::from_pairs([("l", value.as_str())]).unwrap();
            let all = known.iter().all(|matcher| matcher.matches(&labels));
            proptest::prop_assert!(!(all && contradiction(&known).is_some()), "{known:?}");
            let follows = cover(std::slice::from_ref(&wanted), &known);
            proptest::prop_assert!(!(all && follows) || wanted.matches(&labels), "{known:?} {wanted:?}");
        }
    }
}
