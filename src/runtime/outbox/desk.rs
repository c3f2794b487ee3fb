//! What one receiver is owed, and what each attempt comes to. Pure: the task that makes the attempts and the simulation both
//! ask here, so that they cannot differ.

use std::sync::Arc;
use std::time::Duration;

use super::lines::{Lines, Owed, Verdict};
use crate::deliver::{Delivery, Fault, retry};
use crate::engine::{DeliveryOutcome, Input};
use crate::model::{IncidentId, Millis, NotificationId, Time};
use crate::runtime::Clock;

/// No attempt takes longer, whatever the receiver's own limits are.
pub(in crate::runtime) const ATTEMPT_MAX: Duration = Duration::from_mins(1);

/// A start leaves everything that is owed at least so much time: the network may come up later than we do, and the clock may have
/// been set meanwhile.
const GRACE: Millis = Millis::hours(2);

/// One moment by two clocks: lines wait by the even one, people read the other.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) struct Now {
    even: Time,
    wall: Time,
}

/// One receiver's.
#[derive(Debug)]
pub(in crate::runtime) struct Desk {
    lines: Lines,
    is_pager: bool,
}

/// What an attempt came to, for the log and then for the lines.
#[derive(Debug)]
pub(in crate::runtime) struct Judged {
    /// The notification, and those that its message told as well.
    notifications: Vec<NotificationId>,
    pub(in crate::runtime) outcome: DeliveryOutcome,
    pub(in crate::runtime) recorded: Recorded,
}

/// What the lines are told once it is on disk: a line goes on only then.
#[derive(Clone, Debug)]
pub(in crate::runtime) struct Recorded {
    incident: IncidentId,
    verdict: Verdict,
    told: usize,
}

impl Now {
    pub(in crate::runtime) fn of(clock: &Clock) -> Now {
        Now { even: clock.even(), wall: clock.now() }
    }
}

impl Desk {
    /// A desk that owes nothing yet.
    pub(in crate::runtime) fn new(is_pager: bool) -> Desk {
        Desk { lines: Lines::default(), is_pager }
    }

    /// Takes one more. The last process may have read another wall clock, so what it says of times is believed within reason.
    pub(in crate::runtime) fn push(&mut self, owed: Owed, now: Now) {
        let it = &owed.notification;
        let (mut age, mut wait) = (Millis::ZERO, Millis::ZERO);
        if owed.from_before {
            age = Millis(now.wall.since(it.created_at).0.clamp(0, retry::AGE_MAX.0 - GRACE.0));
            let longest = if self.is_pager { retry::PAGER_WAIT_MAX } else { retry::OTHER_WAIT_MAX };
            wait = Millis(it.retry_at.map_or(0, |at| at.since(now.wall).0).clamp(0, longest.0));
        }
        let born = now.even - age;
        self.lines.push(Owed { born, ..owed }, now.even + wait);
    }

    /// The next attempt to make now, if any. [`Desk::judge`] and [`Desk::recorded`] must follow for it.
    pub(in crate::runtime) fn next(&mut self, even: Time) -> Option<Owed> {
        self.lines.next(even)
    }

    /// When, by even time, [`Desk::next`] may have something, if nothing else happens before.
    pub(in crate::runtime) fn next_at(&self) -> Option<Time> {
        self.lines.next_at()
    }

    /// What the attempt under way at `owed` came to.
    pub(in crate::runtime) fn judge(&mut self, owed: &Owed, delivery: &Delivery, now: Now) -> Judged {
        let it = &owed.notification;
        self.lines.learn(delivery, now.even);
        let mut notifications = vec![it.id];
        let (outcome, verdict) = match delivery {
            Delivery::Taken { remote } => {
                notifications.extend(self.lines.told_with_first(it.incident));
                (DeliveryOutcome::Delivered { remote: remote.as_deref().map(Arc::from) }, Verdict::Taken)
            }
            Delivery::TryAgain { fault, error, retry_after } => self.try_again(owed, *fault, error, *retry_after, now),
            Delivery::Refused { error, .. } => (DeliveryOutcome::Dead { error: error.as_str().into() }, Verdict::Over),
        };
        let recorded = Recorded { incident: it.incident, verdict, told: notifications.len() - 1 };
        Judged { notifications, outcome, recorded }
    }

    /// An outcome is on disk.
    pub(in crate::runtime) fn recorded(&mut self, recorded: &Recorded, even: Time) {
        self.lines.finished(recorded.incident, recorded.verdict, recorded.told, even);
    }

    pub(in crate::runtime) fn breaker_is_open(&self) -> bool {
        self.lines.breaker_is_open()
    }

    fn try_again(
        &mut self,
        owed: &Owed,
        fault: Fault,
        error: &str,
        retry_after: Option<Millis>,
        now: Now,
    ) -> (DeliveryOutcome, Verdict) {
        let it = &owed.notification;
        // The number is as good a seed as any: notifications that fail together differ in it.
        match retry::next(owed.attempts + 1, self.is_pager, it.id.0, now.even, retry_after, owed.born) {
            retry::Next::At(at) => {
                if fault == Fault::Throttled {
                    self.lines.throttle(at);
                }
                let retry_at = now.wall + at.since(now.even);
                (DeliveryOutcome::Failed { error: error.into(), retry_at }, Verdict::Again(at))
            }
            retry::Next::Dead => (DeliveryOutcome::Dead { error: format!("given up after 24 h: {error}").into() }, Verdict::Over),
        }
    }
}

impl Judged {
    /// What the log is told.
    pub(in crate::runtime) fn inputs(&self) -> Vec<Input> {
        let input = |id: &NotificationId| Input::Delivery { notification: *id, outcome: self.outcome.clone() };
        self.notifications.iter().map(input).collect()
    }
}

/// An attempt whose incident has left the memory.
pub(in crate::runtime) fn unknown(incident: IncidentId) -> Delivery {
    Delivery::Refused { fault: Fault::Config, error: format!("{incident} is no longer known") }
}

/// An attempt that took too long.
pub(in crate::runtime) fn no_answer() -> Delivery {
    failed(format!("no answer within {} s", ATTEMPT_MAX.as_secs()))
}

/// An attempt that ended without an answer.
pub(in crate::runtime) fn failed(error: String) -> Delivery {
    Delivery::TryAgain { fault: Fault::Network, error, retry_after: None }
}
