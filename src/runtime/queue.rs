//! The bounded way to the engine's thread. Bounded in alerts, because one request may carry a thousand of them; acts,
//! outcomes and the engine's own business are always let in: their number is bounded where they come from.
//!
//! The last fifth of the room is kept for critical alerts, so that under overload the worst is heard first. Critical is what the
//! sender's own `severity` label says: what rules would make of it only the engine knows.
//!
//! One source may have four times as many alerts waiting as there is room left. Alone, it has four fifths of the room; two that
//! are loud have four ninths each; and however many are loud, there is room for the one that is not.

use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::sync::oneshot;

use super::handle::{NotTaken, SubmitError};
use super::live::Word;
use crate::engine::{Answer, Input, Refusal};
use crate::model::{KeyedMap, Severity};

/// Inputs that one batch takes at most, so that a full queue is synced in pieces and its first senders need not wait for its last.
const BATCH_INPUTS_MAX: usize = 8_192;

/// The part of the room that only critical alerts get: one in so many.
const KEPT_FOR_CRITICAL: usize = 5;

/// How many alerts of one source may wait for each that there is room for.
const SHARE: usize = 4;

/// The answers to one submission, one for each input.
pub(super) type Answers = Result<Vec<Result<Answer, Refusal>>, SubmitError>;

/// Inputs that belong to one caller and are answered together.
pub(super) struct Submission {
    pub(super) inputs: Vec<Input>,
    /// What the live tables are to remember of each input that is taken; empty where nothing is.
    pub(super) words: Vec<Word>,
    pub(super) reply: oneshot::Sender<Answers>,
    alerts: usize,
    /// Whose alerts these are; `None` where there are none.
    source: Option<Arc<str>>,
}

enum Command {
    Submit(Submission),
    Stop,
}

/// What had arrived when the thread came for it.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) submissions: Vec<Submission>,
    /// Nothing comes after this batch.
    pub(super) stop: bool,
}

/// The end that callers hold.
pub(super) struct QueueSender {
    commands: mpsc::Sender<Command>,
    waiting: Arc<Waiting>,
    limit: usize,
}

/// The end that the engine's thread holds.
pub(super) struct QueueReceiver {
    commands: mpsc::Receiver<Command>,
    waiting: Arc<Waiting>,
    /// Whether the word to stop was found.
    stop: bool,
}

struct Waiting {
    room: Mutex<Room>,
    gauge: IntGauge,
}

/// How many alerts wait.
#[derive(Default)]
struct Room {
    all: usize,
    by_source: KeyedMap<Arc<str>, usize>,
}

/// Makes a queue for `limit` alerts; `gauge` shows how many wait.
pub(super) fn queue(limit: usize, gauge: IntGauge) -> (QueueSender, QueueReceiver) {
    let (sender, receiver) = mpsc::channel();
    let waiting = Arc::new(Waiting { room: Mutex::default(), gauge });
    (
        QueueSender { commands: sender, waiting: waiting.clone(), limit },
        QueueReceiver { commands: receiver, waiting, stop: false },
    )
}

impl QueueSender {
    /// Puts the inputs into the queue, all of them or none. The answers arrive at the returned receiver; it fails when the
    /// thread is gone.
    ///
    /// # Errors
    /// `Overloaded` when the alerts find no room, `Stopping` when nobody takes them any more. Alerts that are all critical
    /// find room for longer, and those of a source that has many waiting for less long. All of them are of one source.
    pub(super) fn submit(&self, inputs: Vec<Input>, words: Vec<Word>) -> Result<oneshot::Receiver<Answers>, NotTaken> {
        let source = |input: &Input| match input {
            Input::Alert(news) => Some(news.alert.source.clone()),
            Input::Ended { source, .. } => Some(source.clone()),
            _ => None,
        };
        let is_alert = |input: &Input| matches!(input, Input::Alert(_) | Input::Ended { .. });
        let alerts = inputs.iter().filter(|input| is_alert(input)).count();
        let source = inputs.iter().find_map(source);
        let all_critical = inputs.iter().all(|input| !is_alert(input) || is_critical(input));
        let kept = if all_critical { 0 } else { self.limit / KEPT_FOR_CRITICAL };
        if !self.waiting.reserve(source.as_ref(), alerts, self.limit - kept) {
            return Err(NotTaken { error: SubmitError::Overloaded, inputs });
        }
        let (reply, answers) = oneshot::channel();
        let submission = Submission { inputs, words, reply, alerts, source };
        if let Err(mpsc::SendError(Command::Submit(submission))) = self.commands.send(Command::Submit(submission)) {
            self.waiting.release(&submission);
            return Err(NotTaken { error: SubmitError::Stopping, inputs: submission.inputs });
        }
        Ok(answers)
    }

    /// Asks the thread to end behind all that was submitted before.
    pub(super) fn stop(&self) {
        // A thread that is gone needs no telling.
        drop(self.commands.send(Command::Stop));
    }
}

impl QueueReceiver {
    /// Waits up to `patience` for something to arrive, then takes all that has.
    pub(super) fn take(&self, patience: Duration) -> Batch {
        if self.stop {
            return Batch { stop: true, ..Batch::default() };
        }
        self.all_behind(match self.commands.recv_timeout(patience) {
            Ok(command) => Some(command),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            // All handles are gone: nobody can ask for anything any more.
            Err(mpsc::RecvTimeoutError::Disconnected) => Some(Command::Stop),
        })
    }

    /// Takes what has arrived since the last batch, and waits for nothing.
    pub(super) fn more(&mut self) -> Vec<Submission> {
        let next = if self.stop { None } else { self.commands.try_recv().ok() };
        let batch = self.all_behind(next);
        self.stop |= batch.stop;
        batch.submissions
    }

    /// A command and those that have arrived behind it.
    fn all_behind(&self, mut next: Option<Command>) -> Batch {
        let mut batch = Batch::default();
        let mut inputs = 0;
        while let Some(command) = next {
            match command {
                Command::Submit(submission) => {
                    self.waiting.release(&submission);
                    inputs += submission.inputs.len();
                    batch.submissions.push(submission);
                }
                Command::Stop => {
                    batch.stop = true;
                    break;
                }
            }
            next = if inputs < BATCH_INPUTS_MAX { self.commands.try_recv().ok() } else { None };
        }
        batch
    }
}

/// Whether this is an alert that its sender calls critical.
#[must_use]
pub fn is_critical(input: &Input) -> bool {
    matches!(input, Input::Alert(news) if Severity::of(&news.alert.labels) == Severity::Critical)
}

impl Waiting {
    /// Makes room for `alerts` of a source, if they find it. A submission larger than the whole queue gets in when the queue is empty.
    fn reserve(&self, source: Option<&Arc<str>>, alerts: usize, limit: usize) -> bool {
        let Some(source) = source else { return true };
        let mut room = self.room();
        let (all, own) = (room.all + alerts, room.by_source.get(source).copied().unwrap_or(0) + alerts);
        // Who has nothing waiting has no share to keep to.
        if room.all > 0 && (all > limit || (own > alerts && own > SHARE * (limit - all))) {
            return false;
        }
        room.all = all;
        *room.by_source.entry(source.clone()).or_default() = own;
        self.gauge.add(as_i64(alerts));
        true
    }

    fn release(&self, submission: &Submission) {
        let Some(source) = &submission.source else { return };
        let mut room = self.room();
        room.all -= submission.alerts;
        if let Some(own) = room.by_source.get_mut(source) {
            *own -= submission.alerts;
            if *own == 0 {
                room.by_source.remove(source);
            }
        }
        self.gauge.sub(as_i64(submission.alerts));
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn as_i64(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::News;
    use crate::model::{Alert, AlertStatus, Fingerprint, Labels, Time};

    fn alerts(n: u64) -> Vec<Input> {
        alerts_of(n, "warning")
    }

    fn alerts_of(n: u64, severity: &str) -> Vec<Input> {
        alerts_from("prometheus", n, severity)
    }

    fn alerts_from(source: &str, n: u64, severity: &str) -> Vec<Input> {
        let news = |i| News {
            alert: Arc::new(Alert {
                fingerprint: Fingerprint(i),
                labels: Labels::from_pairs([("severity", severity)]).unwrap(),
                annotations: Labels::default(),
                generator_url: "".into(),
                source: source.into(),
                starts_at: Time(0),
            }),
            status: AlertStatus::Firing,
            ends_at: None,
            lasts: None,
        };
        (0..n).map(|i| Input::Alert(news(i))).collect()
    }

    #[test]
    fn the_limit_is_in_alerts_and_acts_always_get_in() {
        let gauge = IntGauge::new("waiting", "waiting").unwrap();
        let (sender, receiver) = queue(10, gauge.clone());
        assert!(sender.submit(alerts(4), Vec::new()).is_ok());
        assert_eq!(sender.submit(alerts(5), Vec::new()).err().map(|it| it.error), Some(SubmitError::Overloaded));
        assert!(sender.submit(alerts(2), Vec::new()).is_ok());
        assert_eq!(sender.submit(alerts(3), Vec::new()).err().map(|it| it.error), Some(SubmitError::Overloaded));
        assert!(sender.submit(vec![Input::Tick], Vec::new()).is_ok(), "what is no alert needs no room");
        assert_eq!(gauge.get(), 6);
        assert_eq!(receiver.take(Duration::ZERO).submissions.len(), 3);
        assert_eq!(gauge.get(), 0);
        assert!(sender.submit(alerts(50), Vec::new()).is_ok(), "more than the whole queue gets in alone");
        assert_eq!(sender.submit(alerts(1), Vec::new()).err().map(|it| it.error), Some(SubmitError::Overloaded));
    }

    #[test]
    fn the_last_fifth_is_for_critical_alerts() {
        let mixed = || [alerts(1), alerts_of(1, "critical")].concat();
        // (waiting before, what comes, whether it gets in), of ten
        let cases = [
            (7, alerts(1), true),
            (7, mixed(), false),
            (8, alerts(1), false),
            (8, mixed(), false),
            (8, alerts_of(2, "critical"), true),
            (8, alerts_of(2, "page"), true),
            (8, alerts_of(2, "high"), false),
            (8, [vec![Input::Tick], alerts_of(2, "critical")].concat(), true),
            (8, alerts_of(3, "critical"), false),
            (10, alerts_of(1, "critical"), false),
            (10, vec![Input::Tick], true),
        ];
        for (waiting, inputs, gets_in) in cases {
            let (sender, _receiver) = queue(10, IntGauge::new("waiting", "waiting").unwrap());
            sender.submit(alerts_from("other", waiting, "critical"), Vec::new()).unwrap();
            assert_eq!(sender.submit(inputs.clone(), Vec::new()).is_ok(), gets_in, "{waiting} waiting, then {inputs:?}");
        }
    }

    /// Row 35: however loud one source is, others find room.
    #[test]
    fn no_source_takes_the_room_of_the_others() {
        let (sender, receiver) = queue(1_000, IntGauge::new("waiting", "waiting").unwrap());
        let fill = |source: &str| {
            std::iter::repeat_with(|| sender.submit(alerts_from(source, 1, "low"), Vec::new())).take_while(Result::is_ok).count()
        };
        // Of the eight hundred that are not kept for critical ones.
        assert_eq!(fill("loud"), 640, "alone, four fifths");
        let found = fill("quiet");
        assert_eq!(found, 128, "four fifths of what the loud one leaves");
        assert_eq!(fill("loud"), 0, "nothing of what others have left");
        assert!(sender.submit(alerts_from("third", 20, "low"), Vec::new()).is_ok());
        assert!(sender.submit(alerts_from("loud", 30, "critical"), Vec::new()).is_ok(), "the worst of the loud one finds room");
        while !receiver.take(Duration::ZERO).submissions.is_empty() {}
        assert_eq!(receiver.waiting.room().by_source.len(), 0, "who has nothing waiting is forgotten");
        assert_eq!(fill("quiet"), 640);
    }

    #[test]
    fn a_batch_is_bounded_and_nothing_comes_behind_a_stop() {
        let (sender, mut receiver) = queue(1_000_000, IntGauge::new("waiting", "waiting").unwrap());
        for _ in 0..11 {
            sender.submit(alerts(1_000), Vec::new()).unwrap();
        }
        sender.stop();
        sender.submit(alerts(1), Vec::new()).unwrap();
        let first = receiver.take(Duration::ZERO);
        assert_eq!((first.submissions.len(), first.stop), (9, false));
        assert_eq!(receiver.more().len(), 2, "what comes before the stop");
        assert!(receiver.more().is_empty());
        let last = receiver.take(Duration::ZERO);
        assert_eq!((last.submissions.len(), last.stop), (0, true));
        drop(receiver);
        assert_eq!(sender.submit(alerts(1), Vec::new()).err().map(|it| it.error), Some(SubmitError::Stopping));
    }
}
