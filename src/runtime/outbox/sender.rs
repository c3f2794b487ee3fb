//! One receiver's task: makes the attempts that its lines call for, several at once, and records what came of each.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Tools;
use super::desk::{self, ATTEMPT_MAX, Desk, Judged, Now, Recorded};
use super::lines::Owed;
use super::message::{Site, message};
use crate::deliver::{Delivery, Fault, Receiver};
use crate::engine::DeliveryOutcome;
use crate::model::Time;
use crate::runtime::SubmitError;

/// Pause before an outcome that the log did not take is submitted again.
const RECORD_AGAIN: Duration = Duration::from_secs(1);

/// The task's state.
pub(super) struct Sender {
    name: Arc<str>,
    receiver: Arc<dyn Receiver>,
    inbox: mpsc::UnboundedReceiver<Owed>,
    tools: Tools,
    site: Arc<Site>,
    desk: Desk,
    /// Attempts, and then their outcomes' way to the log: a line goes on when its outcome is on disk.
    attempts: JoinSet<Attempt>,
    recordings: JoinSet<Recorded>,
    open: bool,
}

/// An attempt that is over.
struct Attempt {
    owed: Owed,
    delivery: Delivery,
}

impl Sender {
    pub(super) fn new(
        name: Arc<str>,
        receiver: Arc<dyn Receiver>,
        inbox: mpsc::UnboundedReceiver<Owed>,
        tools: Tools,
        site: Arc<Site>,
    ) -> Sender {
        let (desk, attempts, recordings) = (Desk::new(receiver.is_pager()), JoinSet::new(), JoinSet::new());
        Sender { name, receiver, inbox, tools, site, desk, attempts, recordings, open: true }
    }

    /// Works until the inbox is closed and nothing is due, or for ever.
    pub(super) async fn run(mut self) {
        loop {
            while let Some(owed) = self.desk.next(self.tools.clock.even()) {
                self.attempt(owed);
            }
            let draining = self.tools.drain.is_triggered();
            if draining && self.attempts.is_empty() && self.recordings.is_empty() {
                return;
            }
            let wait = self.wait();
            tokio::select! {
                biased;
                owed = self.inbox.recv(), if self.open => match owed {
                    Some(owed) => self.desk.push(owed, Now::of(&self.tools.clock)),
                    None => self.open = false,
                },
                Some(attempt) = self.attempts.join_next() => match attempt {
                    Ok(attempt) => self.judge(attempt),
                    Err(error) => tracing::error!(receiver = %self.name, %error, "an attempt's task ended early"),
                },
                Some(recorded) = self.recordings.join_next() => match recorded {
                    Ok(it) => self.desk.recorded(&it, self.tools.clock.even()),
                    Err(error) => tracing::error!(receiver = %self.name, %error, "recording an outcome ended early"),
                },
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
                () = self.tools.drain.wait(), if !draining => {}
            }
        }
    }

    /// How long until the next attempt is due.
    fn wait(&self) -> Option<Duration> {
        let at = self.desk.next_at()?;
        let ms = at.since(self.tools.clock.even()).0.max(1);
        Some(Duration::from_millis(ms.unsigned_abs()))
    }

    fn attempt(&mut self, owed: Owed) {
        if owed.from_before {
            self.tools.metrics.notification_repeats_total.inc();
        }
        let (receiver, tools, site) = (self.receiver.clone(), self.tools.clone(), self.site.clone());
        let seconds = tools.metrics.notification_seconds.with_label_values(&[&*self.name]);
        self.attempts.spawn(async move {
            let now = tools.clock.now();
            let timer = seconds.start_timer();
            let delivery = deliver(receiver, owed.clone(), tools, site, now).await;
            timer.observe_duration();
            Attempt { owed, delivery }
        });
    }

    /// Has what an attempt means recorded.
    fn judge(&mut self, attempt: Attempt) {
        let Attempt { owed, delivery } = attempt;
        let incident = owed.notification.incident;
        let judged = self.desk.judge(&owed, &delivery, Now::of(&self.tools.clock));
        self.count(&owed, &delivery);
        match &judged.outcome {
            DeliveryOutcome::Delivered { .. } => {}
            DeliveryOutcome::Failed { error, retry_at } => {
                tracing::warn!(receiver = %self.name, %incident, error = &**error, %retry_at, "a notification was not taken");
            }
            DeliveryOutcome::Dead { error } => {
                tracing::error!(receiver = %self.name, %incident, error = &**error, "a notification is given up for good");
            }
        }
        self.recordings.spawn(record(self.tools.clone(), judged));
    }

    fn count(&self, owed: &Owed, delivery: &Delivery) {
        let metrics = &self.tools.metrics;
        let outcome = match delivery {
            Delivery::Taken { .. } => "delivered",
            Delivery::TryAgain { fault, .. } | Delivery::Refused { fault, .. } => fault_name(*fault),
        };
        metrics.notification_attempts_total.with_label_values(&[&*self.name, outcome]).inc();
        if let Delivery::Taken { .. } = delivery {
            metrics.notifications_total.with_label_values(&[&*self.name, owed.notification.kind.as_str()]).inc();
        }
        metrics.receiver_breaker_open.with_label_values(&[&*self.name]).set(i64::from(self.desk.breaker_is_open()));
    }
}

/// One attempt. A receiver that panics or takes for ever is one that failed.
async fn deliver(receiver: Arc<dyn Receiver>, owed: Owed, tools: Tools, site: Arc<Site>, now: Time) -> Delivery {
    let live = tools.live;
    let incident = owed.notification.incident;
    let built = tokio::task::spawn_blocking(move || message(&owed, &live, &site, now)).await;
    let message = match built {
        Ok(Some(message)) => message,
        Ok(None) => {
            return desk::unknown(incident);
        }
        Err(error) => return desk::failed(format!("the message could not be built: {error}")),
    };
    let attempt = tokio::spawn(async move { tokio::time::timeout(ATTEMPT_MAX, receiver.deliver(&message)).await });
    match attempt.await {
        Ok(Ok(delivery)) => delivery,
        Ok(Err(_)) => desk::no_answer(),
        Err(error) => desk::failed(format!("the attempt ended early: {error}")),
    }
}

/// Brings an outcome to the log, however long the log takes none.
async fn record(tools: Tools, judged: Judged) -> Recorded {
    loop {
        match (tools.record)(judged.inputs()).await {
            // A daemon that stops records nothing more; the next start finds this one owed.
            Ok(()) | Err(SubmitError::Stopping) => return judged.recorded,
            Err(SubmitError::Overloaded | SubmitError::Storage(_)) => tokio::time::sleep(RECORD_AGAIN).await,
        }
    }
}

fn fault_name(fault: Fault) -> &'static str {
    match fault {
        Fault::Network => "network",
        Fault::Server => "server",
        Fault::Throttled => "throttled",
        Fault::Auth => "auth",
        Fault::Rejected => "rejected",
        Fault::Address => "address",
        Fault::Config => "config",
    }
}
