//! Everything that the engine can be told.

use std::sync::Arc;

use crate::model::incident::IncidentType;
use crate::model::{
    Actor, Alert, AlertStatus, Change, Fingerprint, IncidentId, Millis, NotificationId, Silence, SilenceId, TakenMessage, Time,
};
use crate::ruleset::Ruleset;

/// One input. Due timers need none: they run by themselves before each input, and at a [`Input::Tick`].
#[derive(Clone, Debug)]
pub enum Input {
    /// A sender's word on an alert that the dedup table did not know in this state.
    Alert(News),
    /// A sender's word that an alert is over which nobody knew when it came: what has begun meanwhile, no later than that,
    /// ends.
    Ended { fingerprint: Fingerprint, source: Arc<str>, ends_at: Time },
    /// Nothing was heard of a firing alert until `expired_at`.
    Expired { fingerprint: Fingerprint, expired_at: Time },
    /// A person's act, or a receiver's.
    Act { act: Act, by: Actor },
    /// What came of an attempt to deliver.
    Delivery { notification: NotificationId, outcome: DeliveryOutcome },
    /// A message whose sender has proved itself was taken: what it said comes before this.
    Message(Arc<TakenMessage>),
    /// A checked ruleset takes the place of the present one.
    Rules(Arc<Ruleset>),
    /// A new data directory got its name.
    Created { directory: Arc<str> },
    /// The clock was set forward by so much; given at the time before that.
    ClockJumped { by: Millis },
    /// Nothing but time.
    Tick,
}

/// What a sender said.
#[derive(Clone, Debug)]
pub struct News {
    pub alert: Arc<Alert>,
    pub status: AlertStatus,
    /// When it ended, for a resolved one.
    pub ends_at: Option<Time>,
    /// How long it fires without being heard of, where that is not its source's time.
    pub lasts: Option<Millis>,
}

/// What a person may do.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Acknowledge(IncidentId),
    Assign(IncidentId, Option<Arc<str>>),
    Comment(IncidentId, Arc<str>),
    Resolve(IncidentId),
    Reopen(IncidentId),
    Close(IncidentId),
    /// Says of what type it is, and why.
    SetType(IncidentId, IncidentType, Arc<str>),
    RetryNotification(NotificationId),
    /// Refused where it would cover everything, which is a slip of the pen most likely.
    SetSilence(Silence),
    /// The same for a silence that may cover everything: somebody has said in so many words that it shall.
    SetSilenceOfAll(Silence),
    EndSilence(SilenceId),
    RecordChange(Arc<Change>),
    /// What a person says is wrong, in the form of an alert of the source [`crate::model::alert::REPORTS`].
    Report(Arc<Alert>),
    /// The heartbeat of this name is there.
    Beat(Arc<str>),
}

/// What came of one attempt to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// Taken; `remote` is what the receiver calls the incident, where it says.
    Delivered { remote: Option<Arc<str>> },
    /// Failed; to be tried again at `retry_at`.
    Failed { error: Arc<str>, retry_at: Time },
    /// Refused for good, or too old.
    Dead { error: Arc<str> },
}

/// What an input came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was news, and is recorded.
    New,
    /// The engine knew it already; nothing was recorded.
    Repeat,
    /// An act or outcome is recorded.
    Done,
    /// A report is recorded, or was before.
    Reported(Reported),
}

/// Where a report has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// It has opened this incident.
    Opened(IncidentId),
    /// It has joined this one, which was there.
    Joined(IncidentId),
    /// Something suppresses it: it goes on when that ends.
    Suppressed,
    /// The same report had come before. It is in this incident by now, if in any.
    Known(Option<IncidentId>),
}

/// Why an input was refused. Nothing was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoSuchIncident(IncidentId),
    NoSuchNotification(NotificationId),
    NoSuchSilence(SilenceId),
    /// No rule file has a heartbeat of this name.
    NoSuchHeartbeat(Arc<str>),
    /// The state forbids the act: `INC-7 is closed`.
    Forbidden(String),
    /// A limit is reached; its name.
    Limit(&'static str),
}
