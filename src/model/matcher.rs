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

/// Whether a name is one that Prometheus has always had: it needs no quotes, and its values know fewer escapes.
#[must_use]
pub fn is_classic_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

/// Whether a text stands for itself in a matcher, without quotes.
#[must_use]
pub fn is_bare(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "{}!=~,\\\"'`".contains(c))
}

/// As it is read again: values have Prometheus' three escapes where the name is one that it has always had, else Go's; a name
/// that needs quotes has them. So a control character may stand in it, and who shows it to people makes it harmless, as ever.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classic = is_classic_name(&self.name);
        let quoted = |text: &str| {
            let escaped = |c: char| match c {
                '"' | '\\' => format!("\\{c}"),
                '\n' => "\\n".to_owned(),
                c if c.is_control() && !classic => format!("\\u{:04x}", u32::from(c)),
                c => c.to_string(),
            };
            format!("\"{}\"", text.chars().map(escaped).collect::<String>())
        };
        let name = if is_bare(&self.name) { self.name.to_string() } else { quoted(&self.name) };
        write!(f, "{name}{}{}", self.op.as_str(), quoted(&self.value))
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
