//! The runtime without threads and tasks: the same recovery, engine, commit, tables, view and lines, one turn after the other.
//!
//! For simulations, which must come out the same each time. What [`super::start`] leaves to threads, tasks and waiting, the
//! caller decides here: when a turn happens, when the view is written, when an attempt ends and how. It never calls a
//! receiver itself, and never waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::clock::Clock;
use super::engine_thread::EngineThread;
use super::handle::{Handle, SubmitError};
use super::live::Word;
use super::outbox::desk::{self, Desk, Judged, Now};
use super::outbox::message::{Site, message};
use super::outbox::{Owed, Receivers};
use super::start::{self, Built, Parts, StartError};
use super::view_thread::Writer;
use crate::deliver::{Delivery, Message};
use crate::engine::{Answer, Input, Refusal, State};
use crate::storage::disk::Disk;
use crate::storage::log::LogError;
use crate::storage::view::View;

/// No attempt may take longer than this; one that does ends by [`Stepped::no_answer`].
pub const ATTEMPT_MAX: Duration = desk::ATTEMPT_MAX;

/// The runtime, driven by hand.
pub struct Stepped<D: Disk> {
    thread: EngineThread<D>,
    handle: Handle,
    view: Writer<View>,
    clock: Clock,
    receivers: Receivers,
    site: Site,
    owed: mpsc::UnboundedReceiver<Owed>,
    desks: BTreeMap<Arc<str>, Desk>,
    recording: Vec<Recording>,
}

/// Inputs that wait for their answers.
#[derive(Debug)]
pub struct Submitted(oneshot::Receiver<Answers>);

/// One answer for each input, or why there is none.
pub type Answers = Result<Vec<Result<Answer, Refusal>>, SubmitError>;

/// An attempt under way.
#[derive(Debug)]
pub struct Attempt {
    pub receiver: Arc<str>,
    pub message: Message,
    owed: Owed,
}

/// An outcome on its way to the log.
struct Recording {
    receiver: Arc<str>,
    judged: Judged,
    submitted: Option<Submitted>,
}

impl Submitted {
    /// The answers, once a turn has given them. `None` before that.
    pub fn answers(&mut self) -> Option<Answers> {
        match self.0.try_recv() {
            Ok(answers) => Some(answers),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(SubmitError::Stopping)),
        }
    }
}

impl<D: Disk> Stepped<D> {
    /// Recovers and makes the first turn. `directory` is the id that a new data directory gets.
    ///
    /// # Errors
    /// Why there is no engine now.
    pub fn start(parts: Parts<D>, directory: &str) -> Result<Stepped<D>, StartError> {
        let (clock, external_url) = (parts.clock.clone(), parts.config.external_url.clone());
        let Built { thread, handle, view, receivers, owed, first, .. } = start::build(parts, || Ok(directory.into()))?;
        let site = Site { directory: handle.directory().clone(), external_url };
        let (desks, recording) = (BTreeMap::new(), Vec::new());
        let mut stepped = Stepped { thread, handle, view, clock, receivers, site, owed, desks, recording };
        let mut submitted = stepped.submit(first)?;
        stepped.turn(true).map_err(|error| SubmitError::Storage(error.to_string().into()))?;
        submitted.answers().unwrap_or(Err(SubmitError::Stopping))?;
        Ok(stepped)
    }

    /// The way to it for others.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The engine's state, which may be ahead of the log while the disk takes nothing.
    #[must_use]
    pub fn state(&self) -> &State {
        self.thread.engine.state()
    }

    /// Puts inputs into the queue; a later turn takes and answers them.
    ///
    /// # Errors
    /// When there is no room.
    pub fn submit(&self, inputs: Vec<Input>) -> Result<Submitted, SubmitError> {
        self.submit_news(inputs, Vec::new())
    }

    /// As [`Handle::submit_news`].
    ///
    /// # Errors
    /// When there is no room.
    pub fn submit_news(&self, inputs: Vec<Input>, words: Vec<Word>) -> Result<Submitted, SubmitError> {
        self.handle.queue(inputs, words).map(Submitted).map_err(|not_taken| not_taken.error)
    }

    /// One turn of the engine's thread with what is in the queue.
    ///
    /// # Errors
    /// When the process has to end: no call may follow.
    pub fn turn(&mut self, beat: bool) -> Result<(), LogError> {
        if beat {
            self.record_again();
        }
        let batch = self.thread.queue.take(Duration::ZERO);
        self.thread.turn(batch, beat)?;
        self.take_recorded();
        Ok(())
    }

    /// Brings the view up to what is committed.
    pub fn write_view(&mut self) {
        self.view.follow_waiting();
    }

    /// Begins the attempts that are due now.
    pub fn attempts(&mut self) -> Vec<Attempt> {
        self.take_owed();
        let mut begun = Vec::new();
        let names: Vec<Arc<str>> = self.desks.keys().cloned().collect();
        for receiver in names {
            let even = self.clock.even();
            while let Some(owed) = self.desk(&receiver).next(even) {
                match message(&owed, self.handle.live(), &self.site, self.clock.now()) {
                    Some(message) => begun.push(Attempt { receiver: receiver.clone(), message, owed }),
                    None => self.judge(&receiver, &owed, &desk::unknown(owed.notification.incident)),
                }
            }
        }
        begun
    }

    /// An attempt has ended. Its outcome is recorded by a later turn.
    pub fn finish(&mut self, attempt: &Attempt, delivery: &Delivery) {
        self.judge(&attempt.receiver, &attempt.owed, delivery);
    }

    /// What an attempt comes to that gets no answer.
    #[must_use]
    pub fn no_answer() -> Delivery {
        desk::no_answer()
    }

    fn desk(&mut self, receiver: &Arc<str>) -> &mut Desk {
        let receivers = &self.receivers;
        let is_pager = || receivers.get(receiver).is_some_and(|receiver| receiver.is_pager());
        self.desks.entry(receiver.clone()).or_insert_with(|| Desk::new(is_pager()))
    }

    fn take_owed(&mut self) {
        while let Ok(owed) = self.owed.try_recv() {
            let receiver = owed.notification.receiver.clone();
            let now = Now::of(&self.clock);
            self.desk(&receiver).push(owed, now);
        }
    }

    fn judge(&mut self, receiver: &Arc<str>, owed: &Owed, delivery: &Delivery) {
        let now = Now::of(&self.clock);
        let judged = self.desk(receiver).judge(owed, delivery, now);
        let submitted = self.submit(judged.inputs()).ok();
        self.recording.push(Recording { receiver: receiver.clone(), judged, submitted });
    }

    fn take_recorded(&mut self) {
        let now = self.clock.even();
        for mut recording in std::mem::take(&mut self.recording) {
            match recording.submitted.as_mut().and_then(Submitted::answers) {
                Some(Ok(_)) => self.desk(&recording.receiver).recorded(&recording.judged.recorded, now),
                Some(Err(_)) => self.recording.push(Recording { submitted: None, ..recording }),
                None => self.recording.push(recording),
            }
        }
    }

    /// Submits again what the log did not take.
    fn record_again(&mut self) {
        for at in 0..self.recording.len() {
            if self.recording[at].submitted.is_none() {
                self.recording[at].submitted = self.submit(self.recording[at].judged.inputs()).ok();
            }
        }
    }
}
