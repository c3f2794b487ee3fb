//! A silence: a person's word that alerts like these shall not be heard of for a while.

use std::sync::Arc;

use super::id::SilenceId;
use super::labels::Labels;
use super::matcher::Matcher;
use super::time::Time;

/// A silence. Ended ones keep their record until retention takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    pub id: SilenceId,
    pub matchers: Vec<Matcher>,
    pub starts_at: Time,
    pub ends_at: Time,
    pub updated_at: Time,
    pub created_by: Arc<str>,
    pub comment: Arc<str>,
}

impl Silence {
    /// Whether it is in force at `now`.
    #[must_use]
    pub fn is_active(&self, now: Time) -> bool {
        self.starts_at <= now && now < self.ends_at
    }

    /// Whether it covers a label set.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(labels))
    }

    /// Whether it covers whatever comes, as `alertname=~".+"` does, or everything but a few, as `env!="test"`. Expressions are
    /// not understood but tried: one that takes all of [`PROBES`] takes what people will meet.
    #[must_use]
    pub fn covers_everything(&self) -> bool {
        self.matchers.iter().all(|matcher| PROBES.iter().all(|probe| matcher.matches_value(probe)))
    }
}

/// Values as unlike each other as those of labels are.
const PROBES: [&str; 8] = ["a", "Zz", "0", "_", "10.0.0.1:9100", "two words", "\u{e9}/\u{4e16}", "Kj7-qx.example_[x]"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MatchOp;

    #[test]
    fn what_covers_everything() {
        type Case<'a> = (&'a [(&'a str, MatchOp, &'a str)], bool);
        let cases: [Case<'_>; 12] = [
            (&[("alertname", MatchOp::Matches, ".+")], true),
            (&[("alertname", MatchOp::Matches, ".*"), ("severity", MatchOp::Matches, "(?i).*")], true),
            (&[("alertname", MatchOp::NotEqual, "")], true),
            (&[("env", MatchOp::NotEqual, "test")], true),
            (&[("env", MatchOp::NotMatches, "test|dev")], true),
            (&[("host", MatchOp::Matches, "[^x]+|.*x.*")], true),
            (&[("alertname", MatchOp::Equal, "DiskFull")], false),
            (&[("alertname", MatchOp::Matches, ".+"), ("env", MatchOp::Equal, "test")], false),
            (&[("host", MatchOp::Matches, "db-.*")], false),
            (&[("host", MatchOp::Matches, "[a-z].*")], false),
            // Alerts without the label; fewer than all.
            (&[("env", MatchOp::Equal, "")], false),
            (&[("env", MatchOp::NotMatches, ".+")], false),
        ];
        for (matchers, expected) in cases {
            let matchers = matchers.iter().map(|(name, op, value)| Matcher::new(name, *op, value).unwrap()).collect();
            let silence = Silence {
                id: SilenceId(1),
                matchers,
                starts_at: Time(0),
                ends_at: Time(1),
                updated_at: Time(0),
                created_by: "ann".into(),
                comment: "".into(),
            };
            assert_eq!(silence.covers_everything(), expected, "{:?}", silence.matchers);
        }
    }
}
