//! Why: of an alert, an incident, a notification, and of two alerts that are not together.
//!
//! Pure: the records of a moment and the rules go in, an [`Explanation`] comes out. What was decided is told by the reasons
//! that records carry; why something else was not decided is found by asking the rules that are loaded now, and where these
//! are not the ones that decided, that is said. Reads nothing, decides nothing.
//!
//! | file | what |
//! | --- | --- |
//! | [`records`] | what is known at a moment, from a log or put together by others |
//! | [`history`] | what happened to one alert, as its log says |
//! | [`alert_rules`] | what each correlate rule says to an alert: the first condition that fails |
//! | [`incident_rules`] | the same for the rules that look at incidents |
//! | [`alert`], [`incident`], [`notification`], [`pair`] | the questions |
//! | [`question`] | any of these, asked of a log |
//! | [`show`] | an explanation as text and as JSON |

mod alert;
mod alert_rules;
mod history;
mod incident;
mod incident_rules;
mod notification;
mod pair;
mod question;
mod records;
mod show;
#[cfg(test)]
mod tests;
mod ties;
mod words;

pub use alert::explain_alert;
pub use incident::explain_incident;
pub use notification::explain_notification;
pub use pair::explain_pair;
pub use question::{Question, QuestionError, replay};
pub use records::{Records, RecordsError};
pub use show::text;

use crate::model::{Millis, Reason, Time};

/// An answer, in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// `alert`, `incident`, `notification` or `pair`.
    pub kind: &'static str,
    /// What it is about, by its id.
    pub id: String,
    /// What it is about, in a line.
    pub title: String,
    /// The moment that all of it is about.
    pub at: Time,
    /// What to know before believing it.
    pub notes: Vec<String>,
    pub parts: Vec<Part>,
}

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub question: &'static str,
    pub lines: Vec<Line>,
}

/// One sentence, and what decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    pub reason: Option<Reason>,
}

/// A moment as people write it: itself, or a length of time before now.
#[must_use]
pub fn moment(text: &str, now: Time) -> Option<Time> {
    Time::parse_rfc3339(text).or_else(|| Millis::parse(text).map(|length| now - length))
}

impl Explanation {
    fn part(&mut self, question: &'static str, lines: Vec<Line>) {
        if !lines.is_empty() {
            self.parts.push(Part { question, lines });
        }
    }
}

impl Line {
    fn new(text: impl Into<String>) -> Line {
        Line { text: text.into(), reason: None }
    }

    fn because(self, reason: &Reason) -> Line {
        Line { reason: Some(reason.clone()), ..self }
    }
}

/// Rules that one answer goes through; a site with more reads the ones that come first.
const RULES_SHOWN_MAX: usize = 200;
/// Alerts, notifications, lines of a kind that one answer shows.
const SHOWN_MAX: usize = 10;

/// The first few lines, and how many more there would be.
fn cut(mut lines: Vec<Line>, most: usize, what: &str) -> Vec<Line> {
    let more = lines.len().saturating_sub(most);
    lines.truncate(most);
    if more > 0 {
        lines.push(Line::new(format!("and {more} more {what}")));
    }
    lines
}
