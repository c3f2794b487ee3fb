//! Facts as JSON for people and other programs: ids and times in their text forms. Written, never read back.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::model::alert::Beat;
use crate::model::incident::{MajorStep, PolicyStep, SaidType, StepState};
use crate::model::{
    Actor, Alert, AlertKind, Cause, CauseReason, Change, Fingerprint, IncidentId, Labels, Matcher, MessageId, Millis,
    Notification, NotificationId, PolicyRun, Reason, RuleRef, Silence, SilenceId, Suppression, TakenMessage, Time,
};

/// Something with a JSON form.
pub(super) trait Json {
    fn json(&self) -> Value;
}

/// An object of these members.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

/// Structs whose members have the fields' names.
macro_rules! members {
    ($type:ident { $($field:ident),+ $(,)? }) => {
        impl Json for $type {
            fn json(&self) -> Value {
                object([$((stringify!($field), self.$field.json())),+])
            }
        }
    };
}

members!(Suppression { kind, reason, until });
members!(Alert { fingerprint, labels, annotations, generator_url, source, starts_at });
members!(Beat { rule, key, within, due });
members!(PolicyStep { due, notify, unless_acknowledged, state });
members!(PolicyRun {
    rule,
    started_at,
    steps,
    update,
    repeat,
    resolved,
    update_due,
    last_update_at,
    repeat_due,
    paused_at,
    counts_from,
});
members!(Notification {
    id,
    incident,
    receiver,
    kind,
    reason,
    again,
    state,
    attempts,
    created_at,
    delivered_at,
    retry_at,
    error,
});
members!(TakenMessage { source, id, sent_at, until });
members!(Change { id, kind, things, cluster, environment, started_at, ended_at, summary, url, reported_by, author });
members!(AlertKind { alertname, service });
members!(Cause { entity, score, reasons });
members!(Silence { id, matchers, starts_at, ends_at, updated_at, created_by, comment });

/// Types that JSON has itself.
macro_rules! plain {
    ($($type:ty),+) => {$(
        impl Json for $type {
            fn json(&self) -> Value {
                Value::from(*self)
            }
        }
    )+};
}

plain!(u8, u32, bool, &str);

/// Types shown in their text form.
macro_rules! text {
    ($($type:ty),+) => {$(
        impl Json for $type {
            fn json(&self) -> Value {
                Value::from(self.to_string())
            }
        }
    )+};
}

text!(Arc<str>, Box<str>, CauseReason, Fingerprint, IncidentId, MessageId, SilenceId, Time, Millis);

/// Closed sets of words, by their names in the API.
macro_rules! words {
    ($($type:ty),+) => {$(
        impl Json for $type {
            fn json(&self) -> Value {
                Value::from(self.as_str())
            }
        }
    )+};
}

words!(crate::model::MatchOp, crate::model::NotificationKind, crate::model::NotificationState, crate::model::SuppressionKind);

impl Json for StepState {
    fn json(&self) -> Value {
        Value::from(match self {
            StepState::Waiting => "waiting",
            StepState::Done => "done",
            StepState::Skipped => "skipped",
        })
    }
}

/// A rules' digest, as hex: JSON's readers lose the low bits of large numbers.
impl Json for u64 {
    fn json(&self) -> Value {
        Value::from(format!("{self:016x}"))
    }
}

impl Json for NotificationId {
    fn json(&self) -> Value {
        Value::from(self.0.to_string())
    }
}

impl Json for Labels {
    fn json(&self) -> Value {
        Value::Object(self.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect())
    }
}

impl Json for Matcher {
    fn json(&self) -> Value {
        object([("name", self.name.json()), ("op", self.op.json()), ("value", self.value.json())])
    }
}

impl Json for RuleRef {
    fn json(&self) -> Value {
        let [file, line] = place(self);
        object([("rule", self.name.json()), file, line])
    }
}

/// Where a rule stands; `null` for what is built in.
fn place(rule: &RuleRef) -> [(&'static str, Value); 2] {
    let in_file = rule.line > 0;
    [("file", in_file.then(|| rule.file.clone()).json()), ("line", in_file.then_some(rule.line).json())]
}

impl Json for Actor {
    fn json(&self) -> Value {
        match self {
            Actor::Engine => Value::from("quell"),
            Actor::Person(name) => object([("person", name.json())]),
            Actor::Receiver(name) => object([("receiver", name.json())]),
        }
    }
}

impl Json for Reason {
    fn json(&self) -> Value {
        match self {
            Reason::Rule(rule) => rule.json(),
            Reason::Silence(id) => object([("silence", id.json())]),
            Reason::Alert(fingerprint, rule) => {
                let [file, line] = place(rule);
                object([("alert", fingerprint.json()), ("rule", rule.name.json()), file, line])
            }
            Reason::Actor(actor) => object([("actor", actor.json())]),
            Reason::Text(text) => object([("text", text.json())]),
        }
    }
}

impl Json for MajorStep {
    fn json(&self) -> Value {
        match self {
            MajorStep::Planned(due) => object([("due", due.json())]),
            MajorStep::Declared(reason) => object([("declared", reason.json())]),
        }
    }
}

impl Json for SaidType {
    fn json(&self) -> Value {
        object([("type", self.incident_type.as_str().json()), ("why", self.why.json()), ("by", self.by.json())])
    }
}

impl<T: Json> Json for Option<T> {
    fn json(&self) -> Value {
        self.as_ref().map_or(Value::Null, Json::json)
    }
}

impl<T: Json> Json for Vec<T> {
    fn json(&self) -> Value {
        Value::Array(self.iter().map(Json::json).collect())
    }
}

impl<T: Json> Json for [Option<T>; 3] {
    fn json(&self) -> Value {
        Value::Array(self.iter().map(Json::json).collect())
    }
}

impl<T: Json> Json for Box<T> {
    fn json(&self) -> Value {
        (**self).json()
    }
}

impl<T: Json> Json for Arc<T> {
    fn json(&self) -> Value {
        (**self).json()
    }
}
