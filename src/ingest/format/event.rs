//! One alert as a tool's message says it, on our scale.

use super::words;
use crate::model::{Millis, Severity, Time};

/// What is said of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Firing,
    Resolved,
    /// It fires, and somebody has taken it.
    Acknowledged,
}

impl State {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Firing => "firing",
            State::Resolved => "resolved",
            State::Acknowledged => "acknowledged",
        }
    }
}

/// What makes an alert this one and no other of its source: equal in all messages of one problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// All of its labels.
    Labels,
    Said(String),
    /// The message gave none where it might have: each such message is an alert of its own.
    Fresh,
}

/// A message about one alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub key: Key,
    pub state: State,
    /// The tool knows nothing of the condition any more. Fires, and is never taken for resolved.
    pub no_data: bool,
    /// `None` where the message carries none: the last one stays, else the source's label, else medium.
    pub severity: Option<Severity>,
    /// When this state began, by the message.
    pub at: Option<Time>,
    /// When the problem began, where a message says that besides.
    pub since: Option<Time>,
    /// In order of their importance: of two with one name the first stays. Without any, this is news of an alert that was
    /// described before.
    pub labels: Vec<(String, String)>,
    pub annotations: Vec<(String, String)>,
    /// The tool's page of it; empty where it gave none.
    pub url: String,
    /// How long it fires without being heard of again, where that differs from its source's others.
    pub timeout: Option<Millis>,
}

impl Event {
    /// An event of this key.
    #[must_use]
    pub fn new(key: impl Into<String>, state: State) -> Event {
        Event { key: Key::Said(key.into()), ..Event::unkeyed(state) }
    }

    /// An event whose labels are its key.
    #[must_use]
    pub fn unkeyed(state: State) -> Event {
        Event {
            key: Key::Labels,
            state,
            no_data: false,
            severity: None,
            at: None,
            since: None,
            labels: Vec::new(),
            annotations: Vec::new(),
            url: String::new(),
            timeout: None,
        }
    }

    /// The condition's name, and what people read of it first.
    #[must_use]
    pub fn named(self, name: &str, summary: Option<String>) -> Event {
        self.label("alertname", Some(name.to_owned())).note("summary", summary)
    }

    #[must_use]
    pub fn label(mut self, name: &str, value: Option<String>) -> Event {
        if let Some(value) = value.filter(|value| !value.is_empty())
            && self.value(name).is_none()
        {
            self.labels.push((name.to_owned(), value));
        }
        self
    }

    #[must_use]
    pub fn note(mut self, name: &str, value: Option<String>) -> Event {
        if let Some(value) = value.filter(|value| !value.is_empty())
            && !self.annotations.iter().any(|(known, _)| known == name)
        {
            self.annotations.push((name.to_owned(), value));
        }
        self
    }

    /// The labels that a tool's tags make.
    #[must_use]
    pub fn tags(self, tags: Vec<(String, String)>) -> Event {
        tags.into_iter()
            .filter(|(name, _)| words::is_label(name))
            .fold(self, |event, (name, value)| event.label(&name, Some(value)))
    }

    #[must_use]
    pub fn severity(self, severity: Option<Severity>) -> Event {
        Event { severity, ..self }
    }

    #[must_use]
    pub fn at(self, at: Option<Time>) -> Event {
        Event { at, ..self }
    }

    #[must_use]
    pub fn since(self, since: Option<Time>) -> Event {
        Event { since, ..self }
    }

    #[must_use]
    pub fn no_data(self, no_data: bool) -> Event {
        Event { no_data, ..self }
    }

    #[must_use]
    pub fn link(self, url: Option<String>) -> Event {
        Event { url: url.unwrap_or_default(), ..self }
    }

    /// The value of a label.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }
}
