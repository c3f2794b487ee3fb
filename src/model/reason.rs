//! Why something was decided: the rule, the silence, the alert or the person behind it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::id::{Fingerprint, SilenceId};
use super::time::Time;

/// A rule as people find it, shared by all that it has decided. One count and not two (name and file): thousands of facts a
/// second are made on one thread and dropped on another, and each count is a line of memory that goes to and fro.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleRef(Arc<RulePlace>);

/// A rule's name and where it stands.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RulePlace {
    pub name: Arc<str>,
    /// The rule file's name; empty for what is built in.
    pub file: Arc<str>,
    /// The rule's line in that file, from 1; 0 for what is built in.
    pub line: u32,
}

impl RuleRef {
    /// A rule of a file, which counts lines from 1.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, file: impl Into<Arc<str>>, line: u32) -> RuleRef {
        RuleRef(Arc::new(RulePlace { name: name.into(), file: file.into(), line }))
    }

    /// A rule that no file has.
    #[must_use]
    pub fn built_in(name: &str) -> RuleRef {
        RuleRef::new(name, "", 0)
    }
}

impl From<RulePlace> for RuleRef {
    fn from(place: RulePlace) -> RuleRef {
        RuleRef(Arc::new(place))
    }
}

impl Deref for RuleRef {
    type Target = RulePlace;

    fn deref(&self) -> &RulePlace {
        &self.0
    }
}

impl fmt::Debug for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RulePlace { name, file, line } = &**self;
        f.debug_struct("RuleRef").field("name", name).field("file", file).field("line", line).finish()
    }
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{} (built in)", self.name)
        } else {
            write!(f, "{} ({}:{})", self.name, self.file, self.line)
        }
    }
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Quell itself, by its rules.
    Engine,
    /// A person or program that came through the API, by the name of its token, or as it named itself.
    Person(Arc<str>),
    /// A receiver that called back.
    Receiver(Arc<str>),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Engine => f.write_str("quell"),
            Actor::Person(name) | Actor::Receiver(name) => f.write_str(name),
        }
    }
}

/// Why a decision fell as it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A rule decided.
    Rule(RuleRef),
    /// A silence decided.
    Silence(SilenceId),
    /// Another alert decided, under a rule.
    Alert(Fingerprint, RuleRef),
    /// A person or a receiver did it.
    Actor(Actor),
    /// Built-in behaviour, in words: `all alerts resolved`.
    Text(Arc<str>),
}

/// The five ways in which an alert is suppressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SuppressionKind {
    Silence,
    Inhibition,
    Maintenance,
    Flapping,
    Hold,
}

impl SuppressionKind {
    /// The name in the API and the metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SuppressionKind::Silence => "silence",
            SuppressionKind::Inhibition => "inhibition",
            SuppressionKind::Maintenance => "maintenance",
            SuppressionKind::Flapping => "flapping",
            SuppressionKind::Hold => "hold",
        }
    }
}

/// One thing that suppresses one alert. An alert may be under several at once; every one is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    pub kind: SuppressionKind,
    /// The rule or silence; for inhibition the rule and (one of) the source alerts.
    pub reason: Reason,
    /// When it ends by itself, where that is known.
    pub until: Option<Time>,
}

impl Suppression {
    /// The id shown in the API: a silence's id, else the rule's name.
    #[must_use]
    pub fn id(&self) -> String {
        match &self.reason {
            Reason::Silence(id) => id.to_string(),
            Reason::Rule(rule) | Reason::Alert(_, rule) => rule.name.to_string(),
            Reason::Actor(actor) => actor.to_string(),
            Reason::Text(text) => text.to_string(),
        }
    }

    /// Whether both are the same rule's or silence's doing, whatever their end or source alert.
    #[must_use]
    pub fn same_origin(&self, other: &Suppression) -> bool {
        let rule = |s: &Suppression| match &s.reason {
            Reason::Rule(rule) | Reason::Alert(_, rule) => Some(rule.name.clone()),
            _ => None,
        };
        self.kind == other.kind
            && match (&self.reason, &other.reason) {
                (Reason::Silence(a), Reason::Silence(b)) => a == b,
                _ => rule(self) == rule(other),
            }
    }
}
