//! One condition on one label: Prometheus' four operators. A missing label is the empty string.

use std::fmt;
use std::sync::Arc;

use regex::Regex;

use super::labels::Labels;

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Matches,
    /// `!~`
    NotMatches,
}

impl MatchOp {
    /// The operator as people write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Matches => "=~",
            MatchOp::NotMatches => "!~",
        }
    }
}

/// `name op value`. Regular expressions are anchored at both ends.
#[derive(Clone, Debug)]
pub struct Matcher {
    pub name: Arc<str>,
    pub op: MatchOp,
    /// The text to compare with, or the expression as written (without anchors).
    pub value: Arc<str>,
    /// Present exactly when `op` is one of the two expression operators.
    regex: Option<Regex>,
}

/// Compiled size of one expression, bytes: (a{1000}){1000} fails here, at load, and not at night.
const REGEX_BYTES_MAX: usize = 1 << 20;

impl Matcher {
    /// Makes a matcher, compiling its expression.
    ///
    /// # Errors
    /// The expression's fault in words, when it does not compile within the size limit.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Matcher, String> {
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Matches | MatchOp::NotMatches => Some(compile(value)?),
        };
        Ok(Matcher { name: name.into(), op, value: value.into(), regex })
    }

    /// Whether the label's value in `labels` satisfies this condition.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matches_value(labels.get(&self.name))
    }

    /// Whether `value` satisfies this condition.
    #[must_use]
    pub fn matches_value(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => value == &*self.value,
            (MatchOp::NotEqual, _) => value != &*self.value,
            (MatchOp::Matches, Some(regex)) => regex.is_match(value),
            (MatchOp::NotMatches, Some(regex)) => !regex.is_match(value),
            // `new` gives every expression operator its expression.
            (MatchOp::Matches | MatchOp::NotMatches, None) => false,
        }
    }

    /// The compiled expression, for `=~` and `!~`.
    #[must_use]
    pub fn regex(&self) -> Option<&Regex> {
        self.regex.as_ref()
    }
}

/// Compiles an expression anchored at both ends, with a limit on its compiled size and nesting.
///
/// # Errors
/// The fault in words.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    // Compiled once without anchors so that `a)(b` cannot escape the group that anchors it.
    compile_search(pattern)?;
    compile_search(&format!("^(?s:{pattern})$"))
}

/// Compiles an expression that may match anywhere in a text, within the same limits.
///
/// # Errors
/// The fault in words.
pub fn compile_search(pattern: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).nest_limit(50).build().map_err(|e| e.to_string())
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        self.op == other.op && self.name == other.name && self.value == other.value
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op.as_str(), self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_operators_and_missing_labels() {
        let labels = Labels::from_pairs([("env", "prod"), ("job", "postgres-eu")]).unwrap();
        let cases = [
            ("env", MatchOp::Equal, "prod", true),
            ("env", MatchOp::NotEqual, "prod", false),
            ("job", MatchOp::Matches, "postgres-.+", true),
            ("job", MatchOp::Matches, "postgres", false),
            ("job", MatchOp::NotMatches, "mysql|pg", true),
            ("zone", MatchOp::Equal, "", true),
            ("zone", MatchOp::Matches, ".+", false),
            ("zone", MatchOp::NotEqual, "a", true),
        ];
        for (name, op, value, expected) in cases {
            let matcher = Matcher::new(name, op, value).unwrap();
            assert_eq!(matcher.matches(&labels), expected, "{matcher}");
        }
    }

    #[test]
    fn bombs_and_broken_expressions_fail_when_made() {
        for bad in ["(", "a)(b", "(a{1000}){1000}"] {
            assert!(Matcher::new("x", MatchOp::Matches, bad).is_err(), "{bad}");
        }
    }
}
