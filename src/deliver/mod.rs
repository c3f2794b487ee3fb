//! Notifications out: one file per kind of receiver, behind one trait.
//!
//! A receiver turns a [`Message`] into calls to its vendor and says what came of it. It keeps no state of its own, never
//! retries (the outbox does, by [`retry`]), follows no redirect and reads no more of an answer than it must.

pub mod address;
mod alertmanager_webhook;
pub mod client;
mod email;
mod fetch;
mod log;
mod message;
mod pagerduty;
pub mod retry;
#[cfg(test)]
mod sample;
mod servicenow;
mod text;
mod webhook;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use client::{Context, Timeouts, install_crypto};
pub use fetch::Fetcher;

use crate::config::{ReceiverConfig, ReceiverKind};
use crate::model::{AlertRecord, Incident, Millis, NotificationKind, Time};

/// A place that notifications go to.
pub trait Receiver: Send + Sync {
    /// The kind's name in configuration and metrics: `pagerduty`.
    fn kind(&self) -> &'static str;

    /// Whether it wakes people: retries are capped at 30 s for these, at 5 min for others.
    fn is_pager(&self) -> bool;

    /// Makes one attempt.
    fn deliver<'a>(&'a self, message: &'a Message) -> Pin<Box<dyn Future<Output = Delivery> + Send + 'a>>;
}

/// One message to one receiver.
#[derive(Clone, Debug)]
pub struct Message {
    /// The notification's id to the outside; equal on every attempt.
    pub id: String,
    /// `<id of the data directory>/INC-1042`: equal in all messages on one incident.
    pub key: String,
    pub kind: NotificationKind,
    /// Whether this tells again what the receiver was told before.
    pub again: bool,
    /// The incident as it stands now.
    pub incident: Arc<Incident>,
    /// Its alerts, firing first, newest first; at most [`ALERTS_SHOWN_MAX`].
    pub alerts: Vec<Arc<AlertRecord>>,
    /// Why it is sent, as a sentence.
    pub reason: String,
    /// Whose act it tells of, for an acknowledgement or a resolve by hand.
    pub actor: Option<String>,
    /// What the receiver calls the incident, where it told us before.
    pub remote: Option<String>,
    /// Attempts before this one. More than none means that an earlier one may have been taken without our knowing.
    pub attempts: u32,
    /// When the notification was made.
    pub created_at: Time,
    /// The present.
    pub now: Time,
    /// A link to the incident, if the site has told its own address.
    pub url: Option<String>,
}

/// Alerts that a message lists; the rest are a count.
pub const ALERTS_SHOWN_MAX: usize = 20;

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Taken, or known to be so already.
    Taken { remote: Option<String> },
    /// Not taken, or not known to be; worth another attempt, not before `retry_after` if that is given.
    TryAgain { fault: Fault, error: String, retry_after: Option<Millis> },
    /// Refused: the same message will never be taken.
    Refused { fault: Fault, error: String },
}

/// What kind of failure it was; a label of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// No connection, or no answer in time.
    Network,
    /// A 5xx or something that is no answer at all.
    Server,
    /// 429 and its like.
    Throttled,
    /// Our credentials are not taken.
    Auth,
    /// The receiver says the message is wrong.
    Rejected,
    /// The receiver's address is one that must not be called.
    Address,
    /// A template or a setting of ours is wrong.
    Config,
}

/// That a receiver's settings cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("receiver {receiver}: {message}")]
pub struct BuildError {
    /// The receiver's name.
    pub receiver: Arc<str>,
    /// What is wrong, without any secret.
    pub message: String,
}

/// Builds a receiver. [`install_crypto`] must have been called.
///
/// # Errors
/// When its settings cannot work: a URL that is none or of another scheme than http and https, a secret that cannot sign,
/// a mail address that is none.
pub fn build(config: &ReceiverConfig, context: &Context) -> Result<Box<dyn Receiver>, BuildError> {
    let built: Result<Box<dyn Receiver>, String> = match config.kind.clone() {
        ReceiverKind::Pagerduty { url, routing_key } => boxed(pagerduty::Pagerduty::new(context, &url, routing_key)),
        ReceiverKind::Webhook { url, secret } => boxed(webhook::Webhook::new(context, &url, secret.as_ref())),
        ReceiverKind::AlertmanagerWebhook { url, max_alerts, send_resolved, bearer } => {
            boxed(alertmanager_webhook::AlertmanagerWebhook::new(context, &config.name, &url, max_alerts, send_resolved, bearer))
        }
        ReceiverKind::Email(email) => boxed(email::Email::new(context, email)),
        ReceiverKind::Servicenow(servicenow) => boxed(servicenow::Servicenow::new(context, servicenow)),
        ReceiverKind::Log => boxed(Ok(log::Log::new(&config.name, Box::new(std::io::stdout())))),
    };
    built.map_err(|message| BuildError { receiver: config.name.clone(), message })
}

fn boxed<R: Receiver + 'static>(built: Result<R, String>) -> Result<Box<dyn Receiver>, String> {
    built.map(|receiver| Box::new(receiver) as Box<dyn Receiver>)
}
