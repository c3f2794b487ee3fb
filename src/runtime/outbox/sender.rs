//! One receiver's task: makes the attempts that its lines call for, several at once, and records what came of each.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Tools;
use super::lines::{Lines, Owed, Verdict};
use super::message::{Site, message};
use crate::deliver::{Delivery, Fault, Receiver, retry};
use crate::engine::{DeliveryOutcome, Input};
use crate::model::{IncidentId, Millis, NotificationId, Time};
use crate::runtime::SubmitError;

/// No attempt takes longer, whatever the receiver's own limits are.
const ATTEMPT_MAX: Duration = Duration::from_mins(1);
/// Pause before an outcome that the log did not take is submitted again.
const RECORD_AGAIN: Duration = Duration::from_secs(1);

/// The task's state.
pub(super) struct Sender {
    name: Arc<str>,
    receiver: Arc<dyn Receiver>,
    inbox: mpsc::UnboundedReceiver<Owed>,
    tools: Tools,
    site: Arc<Site>,
    lines: Lines,
    /// Attempts, and then their outcomes' way to the log: a line goes on when its outcome is on disk.
    attempts: JoinSet<Attempt>,
    recordings: JoinSet<Recorded>,
    open: bool,
}

/// An attempt that is over.
struct Attempt {
    owed: Owed,
    began: Time,
    delivery: Delivery,
}

/// An outcome that is on disk.
struct Recorded {
    incident: IncidentId,
    verdict: Verdict,
    told: usize,
}

impl Sender {
    pub(super) fn new(
        name: Arc<str>,
        receiver: Arc<dyn Receiver>,
        inbox: mpsc::UnboundedReceiver<Owed>,
        tools: Tools,
        site: Arc<Site>,
    ) -> Sender {
        let (lines, attempts, recordings) = (Lines::default(), JoinSet::new(), JoinSet::new());
        Sender { name, receiver, inbox, tools, site, lines, attempts, recordings, open: true }
    }

    /// Works until the inbox is closed and nothing is due, or for ever.
    pub(super) async fn run(mut self) {
        loop {
            while let Some(owed) = self.lines.next(self.tools.clock.now()) {
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
                    Some(owed) => self.lines.push(owed),
                    None => self.open = false,
                },
                Some(attempt) = self.attempts.join_next() => match attempt {
                    Ok(attempt) => self.judge(attempt),
                    Err(error) => tracing::error!(receiver = %self.name, %error, "an attempt's task ended early"),
                },
                Some(recorded) = self.recordings.join_next() => match recorded {
                    Ok(it) => self.lines.finished(it.incident, it.verdict, it.told, self.tools.clock.now()),
                    Err(error) => tracing::error!(receiver = %self.name, %error, "recording an outcome ended early"),
                },
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
                () = self.tools.drain.wait(), if !draining => {}
            }
        }
    }

    /// How long until the next attempt is due.
    fn wait(&self) -> Option<Duration> {
        let at = self.lines.next_at()?;
        let ms = at.since(self.tools.clock.now()).0.max(1);
        Some(Duration::from_millis(ms.unsigned_abs()))
    }

    fn attempt(&mut self, owed: Owed) {
        if owed.from_before {
            self.tools.metrics.notification_repeats_total.inc();
        }
        let (receiver, tools, site) = (self.receiver.clone(), self.tools.clone(), self.site.clone());
        let seconds = tools.metrics.notification_seconds.with_label_values(&[&*self.name]);
        self.attempts.spawn(async move {
            let began = tools.clock.now();
            let timer = seconds.start_timer();
            let delivery = deliver(receiver, owed.clone(), tools, site, began).await;
            timer.observe_duration();
            Attempt { owed, began, delivery }
        });
    }

    /// Decides what an attempt means, and has it recorded.
    fn judge(&mut self, attempt: Attempt) {
        let now = self.tools.clock.now();
        let Attempt { owed, began, delivery } = attempt;
        let notification = &owed.notification;
        self.lines.learn(&delivery, now);
        self.count(&owed, &delivery);
        let mut told = Vec::new();
        let (outcome, verdict) = match delivery {
            Delivery::Taken { remote } => {
                told = self.lines.told_with_first(notification.incident, began);
                (DeliveryOutcome::Delivered { remote: remote.map(Into::into) }, Verdict::Taken)
            }
            Delivery::TryAgain { fault, error, retry_after } => self.try_again(&owed, fault, &error, retry_after, now),
            Delivery::Refused { error, .. } => {
                tracing::error!(receiver = %self.name, incident = %notification.incident, error, "a notification was refused for good");
                (DeliveryOutcome::Dead { error: error.into() }, Verdict::Over)
            }
        };
        let recorded = Recorded { incident: notification.incident, verdict, told: told.len() };
        told.insert(0, notification.id);
        self.recordings.spawn(record(self.tools.clone(), told, outcome, recorded));
    }

    fn try_again(
        &mut self,
        owed: &Owed,
        fault: Fault,
        error: &str,
        retry_after: Option<Millis>,
        now: Time,
    ) -> (DeliveryOutcome, Verdict) {
        let it = &owed.notification;
        // The number is as good a seed as any: notifications that fail together differ in it.
        match retry::next(owed.attempts + 1, self.receiver.is_pager(), it.id.0, now, retry_after, it.created_at) {
            retry::Next::At(retry_at) => {
                tracing::warn!(receiver = %self.name, incident = %it.incident, error, %retry_at, "a notification was not taken");
                if fault == Fault::Throttled {
                    self.lines.throttle(retry_at);
                }
                (DeliveryOutcome::Failed { error: error.into(), retry_at }, Verdict::Again(retry_at))
            }
            retry::Next::Dead => {
                tracing::error!(receiver = %self.name, incident = %it.incident, error, "a notification is too old to be tried again");
                (DeliveryOutcome::Dead { error: format!("given up after 24 h: {error}").into() }, Verdict::Over)
            }
        }
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
        metrics.receiver_breaker_open.with_label_values(&[&*self.name]).set(i64::from(self.lines.breaker_is_open()));
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
            return Delivery::Refused { fault: Fault::Config, error: format!("{incident} is no longer known") };
        }
        Err(error) => return failed(format!("the message could not be built: {error}")),
    };
    let attempt = tokio::spawn(async move { tokio::time::timeout(ATTEMPT_MAX, receiver.deliver(&message)).await });
    match attempt.await {
        Ok(Ok(delivery)) => delivery,
        Ok(Err(_)) => failed(format!("no answer within {} s", ATTEMPT_MAX.as_secs())),
        Err(error) => failed(format!("the attempt ended early: {error}")),
    }
}

fn failed(error: String) -> Delivery {
    Delivery::TryAgain { fault: Fault::Network, error, retry_after: None }
}

/// Brings an outcome to the log, however long the log takes none.
async fn record(tools: Tools, notifications: Vec<NotificationId>, outcome: DeliveryOutcome, recorded: Recorded) -> Recorded {
    loop {
        let input = |notification: &NotificationId| Input::Delivery { notification: *notification, outcome: outcome.clone() };
        match (tools.record)(notifications.iter().map(input).collect()).await {
            // A daemon that stops records nothing more; the next start finds this one owed.
            Ok(()) | Err(SubmitError::Stopping) => return recorded,
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
