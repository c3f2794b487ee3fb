//! What is owed to receivers, from the log to their doors.
//!
//! Owns the order of attempts, retries and their recording; never decides who is told what (the engine does), and never
//! speaks a vendor's language (`deliver` does). One task for each receiver, so that a slow one delays nobody else. Delivery is
//! at least once: an attempt whose outcome was not recorded before a crash is made again, with the same id.
//!
//! An update (or a repeated trigger) tells how the incident stands when it is sent. So what was owed to the same receiver on the
//! same incident before that moment and would only say the same again is recorded as delivered together with it, with the same
//! words from the receiver. A first trigger, an acknowledgement and a resolve are never folded.

pub(super) mod desk;
mod lines;
pub(super) mod message;
mod sender;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub(super) use lines::Owed;

use super::clock::Clock;
use super::handle::SubmitError;
use super::live::Live;
use super::shutdown::Shutdown;
use crate::deliver::{Delivery, Fault, Message, Receiver};
use crate::engine::Input;
use crate::metrics::Metrics;
use message::Site;
use sender::Sender;

/// Receivers by the names that rules use.
pub type Receivers = BTreeMap<Arc<str>, Arc<dyn Receiver>>;

/// How outcomes reach the log; [`super::Handle::submit`] in the program.
pub(super) type Record = Arc<dyn Fn(Vec<Input>) -> Pin<Box<dyn Future<Output = Result<(), SubmitError>> + Send>> + Send + Sync>;

/// What every receiver's task works with.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) live: Arc<Live>,
    pub(super) record: Record,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) directory: Arc<str>,
    pub(super) external_url: Option<String>,
    /// Once said, what is due now is still attempted, and nothing later.
    pub(super) drain: Shutdown,
}

/// The running outbox.
pub(super) struct Outbox {
    drain: Shutdown,
    dispatcher: tokio::task::JoinHandle<()>,
}

impl Outbox {
    /// Starts the tasks; what arrives at `owed` is delivered.
    pub(super) fn start(receivers: Receivers, owed: mpsc::UnboundedReceiver<Owed>, tools: Tools) -> Outbox {
        let drain = tools.drain.clone();
        Outbox { drain, dispatcher: tokio::spawn(dispatch(receivers, owed, tools)) }
    }

    /// Attempts what is due, for so long at most, and ends.
    pub(super) async fn drain(self, patience: Duration) {
        self.drain.trigger();
        if tokio::time::timeout(patience, self.dispatcher).await.is_err() {
            tracing::warn!("some notifications are still owed; they are sent after the next start");
        }
    }
}

/// Gives each its receiver's task. A name that nobody bears (any more) gets a task that says so.
async fn dispatch(receivers: Receivers, mut owed: mpsc::UnboundedReceiver<Owed>, tools: Tools) {
    let site = Arc::new(Site { directory: tools.directory.clone(), external_url: tools.external_url.clone() });
    let mut tasks = JoinSet::new();
    let mut doors: BTreeMap<Arc<str>, mpsc::UnboundedSender<Owed>> = BTreeMap::new();
    loop {
        let next = tokio::select! {
            biased;
            next = owed.recv() => next,
            () = tools.drain.wait() => None,
        };
        let Some(next) = next else { break };
        let name = next.notification.receiver.clone();
        let door = doors.entry(name).or_insert_with_key(|name| {
            let receiver = receivers.get(name).cloned().unwrap_or_else(|| Arc::new(Missing { name: name.clone() }));
            let (door, inbox) = mpsc::unbounded_channel();
            tasks.spawn(Sender::new(name.clone(), receiver, inbox, tools.clone(), site.clone()).run());
            door
        });
        if door.send(next).is_err() {
            tracing::error!("a receiver's task ended early; what it is owed waits for the next start");
        }
    }
    drop(doors);
    while tasks.join_next().await.is_some() {}
}

/// Stands in for a receiver that rules or old notifications name and the configuration does not have.
struct Missing {
    name: Arc<str>,
}

impl Receiver for Missing {
    fn kind(&self) -> &'static str {
        "missing"
    }

    fn is_pager(&self) -> bool {
        false
    }

    fn deliver<'a>(&'a self, _: &'a Message) -> Pin<Box<dyn Future<Output = Delivery> + Send + 'a>> {
        let error = format!("no receiver is named {:?} in the configuration", self.name);
        Box::pin(std::future::ready(Delivery::Refused { fault: Fault::Config, error }))
    }
}
