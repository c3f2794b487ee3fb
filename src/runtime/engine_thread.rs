//! The engine's own thread: takes what has arrived, lets the engine decide, writes and syncs the facts, publishes them, and only
//! then answers.
//!
//! One batch is what arrived while the one before was being synced, and what arrives while it is decided on; nothing waits for a
//! batch to fill. All of a batch shares one log time, one sync and one publication. When the disk takes a batch not (it is full),
//! the batch is held: its senders get an error, nothing of it is seen by anybody, and no other input is decided until the disk has
//! taken it, because the engine's state is ahead of the log by just this batch. When a sync fails, the thread ends, and with it
//! the process: what is on disk is unknown then, and only a start finds out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::clock::LogClock;
use super::handle::{Committed, Shared, SubmitError};
use super::health::Health;
use super::observe::Observer;
use super::outbox::Owed;
use super::queue::{Batch, QueueReceiver, Submission};
use super::retention;
use crate::config::Retention;
use crate::engine::{Answer, Engine, Fact, Input, Refusal};
use crate::model::{Millis, Time};
use crate::storage::disk::Disk;
use crate::storage::log::{Log, LogError, SegmentInfo};
use crate::storage::view::ViewBatch;

/// How often old segments are looked for.
const TRIM_EVERY: Millis = Millis::hours(1);
/// A jump of the wall clock of this much, in either direction, is worth a warning.
const JUMP_WARNED: Millis = Millis::hours(1);
/// After a gap of this much nobody can have repeated what still fires: expiry waits for one more timeout.
const GAP: Millis = Millis::minutes(1);

/// Room for what most inputs bring: an alert fires, joins an incident, and something of that may change.
const FACTS_AN_INPUT: usize = 3;
/// A batch that has so many inputs takes no more while it is decided on, so that its first sender need not wait for long: some
/// milliseconds. A write and its sync cost as much as deciding on thirty alerts, and the fewer there are the better.
const GATHERED_MAX: usize = 512;

/// Everything that the thread works with.
pub(super) struct EngineThread<D: Disk> {
    pub(super) engine: Engine,
    pub(super) log: Log<D>,
    pub(super) queue: QueueReceiver,
    pub(super) shared: Arc<Shared>,
    pub(super) health: Arc<Health>,
    pub(super) observer: Observer,
    pub(super) outbox: mpsc::UnboundedSender<Owed>,
    pub(super) clock: LogClock,
    pub(super) retention: Retention,
    /// A batch that the disk did not take.
    pub(super) held: Option<Commit>,
    pub(super) trim_at: Time,
    pub(super) no_expiry_before: Time,
    /// How far log time has jumped ahead without the engine's knowing.
    pub(super) jumped: Millis,
}

/// A batch's facts, with the places at which one input's end and the next one's begin.
pub(super) struct Commit {
    first_seq: u64,
    time: Time,
    facts: Vec<Fact>,
    ends: Vec<usize>,
}

/// The answers to one submission, ready to be released.
type Ready = (Submission, Vec<Result<Answer, Refusal>>);

impl<D: Disk> EngineThread<D> {
    /// Works until it is told to stop.
    ///
    /// # Errors
    /// When the log can no longer be trusted. Nothing more may be acknowledged by this process.
    pub(super) fn run(mut self) -> Result<(), LogError> {
        let mut beat_at = Instant::now();
        loop {
            let batch = self.queue.take(self.patience(beat_at));
            let stop = batch.stop;
            let beat = Instant::now() >= beat_at;
            if beat {
                beat_at = Instant::now() + self.observer.beat_every();
            }
            self.turn(batch, beat)?;
            if stop {
                return Ok(());
            }
        }
    }

    /// Does what one batch and the time that has come ask for; on a beat, looks after itself as well.
    ///
    /// # Errors
    /// As [`EngineThread::run`]; no turn may follow.
    pub(super) fn turn(&mut self, batch: Batch, beat: bool) -> Result<(), LogError> {
        let stamp = self.clock.stamp();
        if stamp.moved.0.abs() >= JUMP_WARNED.0 {
            tracing::warn!(moved = %stamp.moved, wall = %stamp.wall, log_time = %stamp.time, "the wall clock jumped");
        }
        if stamp.jumped >= GAP {
            self.jumped = Millis(self.jumped.0.saturating_add(stamp.jumped.0));
        }
        if stamp.moved >= GAP {
            let longest_beat = self.engine.rules().longest_beat().unwrap_or_default();
            self.no_expiry_before = stamp.wall + self.shared.live.longest_timeout().max(longest_beat);
        }
        if beat {
            self.observer.beat(&self.log, self.health.view_behind());
            if let Some(commit) = self.held.take() {
                self.held = self.commit_held(commit)?;
            }
        }
        if self.held.is_none() && self.jumped > Millis::ZERO {
            // At the time before the jump, so that nothing is due by it before the engine knows.
            let jump = Input::ClockJumped { by: std::mem::take(&mut self.jumped) };
            self.held = self.process(self.engine.now(), Vec::new(), vec![jump])?;
        }
        if self.held.is_some() {
            refuse(batch.submissions, &self.health);
            return Ok(());
        }
        let may_expire = beat && stamp.wall >= self.no_expiry_before;
        let expired = if may_expire { self.shared.live.expired(stamp.wall) } else { Vec::new() };
        let expired = expired.into_iter().map(|(fingerprint, expired_at)| Input::Expired { fingerprint, expired_at });
        self.held = self.process(stamp.time, batch.submissions, expired.collect())?;
        if beat && self.held.is_none() && stamp.time >= self.trim_at {
            self.trim_at = stamp.time + TRIM_EVERY;
            self.trim(stamp.time)?;
        }
        Ok(())
    }

    /// How long there is nothing to do but wait for inputs.
    fn patience(&self, beat_at: Instant) -> Duration {
        let beat = beat_at.saturating_duration_since(Instant::now());
        match self.engine.next_timer() {
            Some(due) if self.held.is_none() => beat.min(self.clock.until(due)),
            _ => beat,
        }
    }

    /// Decides on what was submitted and on the shell's `own` inputs, commits, publishes, answers. Gives the commit back when the disk did not take it.
    fn process(&mut self, time: Time, submissions: Vec<Submission>, own: Vec<Input>) -> Result<Option<Commit>, LogError> {
        let inputs = submissions.iter().map(|submission| submission.inputs.len()).sum::<usize>() + own.len();
        // Growing step by step would touch twice the memory, and the view's thread frees it only later.
        let facts = Vec::with_capacity(inputs * FACTS_AN_INPUT);
        let mut commit = Commit { first_seq: self.engine.state().seq() + 1, time, facts, ends: Vec::with_capacity(inputs) };
        let mut ready: Vec<Ready> = Vec::with_capacity(submissions.len());
        let (mut arrived, mut decided) = (submissions, 0);
        while !arrived.is_empty() {
            for mut submission in arrived {
                let inputs = std::mem::take(&mut submission.inputs);
                self.engine.read_ahead(&inputs);
                decided += inputs.len();
                let answers = inputs.into_iter().map(|input| self.step(&mut commit, input)).collect();
                ready.push((submission, answers));
            }
            arrived = if decided < GATHERED_MAX { self.queue.more() } else { Vec::new() };
        }
        for input in own {
            if let Err(refusal) = self.step(&mut commit, input) {
                tracing::debug!(?refusal, "an alert that expired was no longer there");
            }
        }
        if self.engine.next_timer().is_some_and(|due| due <= time) {
            // A tick is never refused.
            drop(self.step(&mut commit, Input::Tick));
        }
        if commit.facts.is_empty() {
            self.learn(&ready);
            answer(ready);
            return Ok(None);
        }
        match self.sync(&commit) {
            Ok(()) => {
                self.publish(commit);
                self.learn(&ready);
                answer(ready);
                Ok(None)
            }
            Err(error) => {
                tracing::error!(%error, "the log takes nothing; answering 503 until it does");
                self.health.set_storage_fault(Some(error.to_string().into()));
                refuse(ready.into_iter().map(|(submission, _)| submission), &self.health);
                self.mendable(error).map(|()| Some(commit))
            }
        }
    }

    /// Remembers what senders have said of the alerts that were taken: while their entries are at hand, because this thread has
    /// just made them.
    fn learn(&self, ready: &[Ready]) {
        let words = ready.iter().flat_map(|(submission, answers)| submission.words.iter().zip(answers));
        self.shared.live.learn(words.filter(|(_, answer)| answer.is_ok()).map(|(word, _)| word));
    }

    fn step(&mut self, commit: &mut Commit, input: Input) -> Result<Answer, Refusal> {
        let before = commit.facts.len();
        let answer = self.engine.step(commit.time, input, &mut commit.facts);
        if commit.facts.len() > before {
            commit.ends.push(commit.facts.len());
        }
        answer
    }

    /// Tries again what the disk did not take.
    fn commit_held(&mut self, commit: Commit) -> Result<Option<Commit>, LogError> {
        match self.sync(&commit) {
            Ok(()) => {
                tracing::info!("the log takes records again");
                self.health.set_storage_fault(None);
                self.publish(commit);
                Ok(None)
            }
            Err(error) => {
                self.health.set_storage_fault(Some(error.to_string().into()));
                self.mendable(error).map(|()| Some(commit))
            }
        }
    }

    /// Writes and syncs the records of one batch.
    fn sync(&mut self, commit: &Commit) -> Result<(), LogError> {
        let timer = self.observer.metrics.log_commit_seconds.start_timer();
        let mut start = 0;
        for end in &commit.ends {
            self.log.append(commit.first_seq + start as u64, commit.time, &commit.facts[start..*end]);
            start = *end;
        }
        let synced = self.log.commit();
        if synced.is_ok() {
            timer.observe_duration();
            self.observer.metrics.log_commits_total.inc();
        } else {
            timer.stop_and_discard();
            self.observer.metrics.log_commit_failures_total.inc();
        }
        synced
    }

    /// Whether free space can mend what the log failed at. Nothing mends a failed sync, nor a log that refuses the records
    /// themselves: the state is ahead of it for good.
    ///
    /// # Errors
    /// The same error, when nothing can.
    fn mendable(&mut self, error: LogError) -> Result<(), LogError> {
        // A commit of nothing writes nothing, and a sealed log refuses even that.
        let sealed = matches!(self.log.commit(), Err(LogError::Sealed { .. }));
        if matches!(error, LogError::Io { .. }) && !sealed { Ok(()) } else { Err(error) }
    }

    /// Shows everybody what is on disk now, and the outbox last, which looks things up in the tables. The view has its order before
    /// the tables change: whoever misses there what has just left them waits for the view and finds it.
    fn publish(&mut self, commit: Commit) {
        let shared = &self.shared;
        let changes = Arc::new(self.engine.take_changes());
        let commit_time = commit.time;
        let committed = Arc::new(Committed { first_seq: commit.first_seq, time: commit.time, facts: Arc::new(commit.facts) });
        shared.view.write(ViewBatch {
            first_seq: committed.first_seq,
            time: committed.time,
            facts: committed.facts.clone(),
            changes: changes.clone(),
            meta: self.engine.meta(),
        });
        self.health.set_seq(committed.last_seq());
        let surplus =
            changes.forgotten_messages.iter().filter(|(source, id)| shared.live.taken(source, *id, commit_time).is_some());
        self.observer.metrics.messages_surplus_total.inc_by(surplus.count() as u64);
        shared.live.publish(&changes, shared.clock.now());
        if committed.facts.iter().any(|fact| matches!(fact, Fact::RulesLoaded { .. })) {
            shared.live.publish_rules(self.engine.rules().clone(), Some(committed.time));
        }
        self.observer.committed(&committed.facts);
        shared.recent.push(committed.clone());
        for fact in committed.facts.iter() {
            let owed = match fact {
                Fact::NotificationQueued { notification } => Some(notification.clone()),
                Fact::NotificationRetried { notification, .. } => shared.live.notification(*notification),
                _ => None,
            };
            if let Some(notification) = owed {
                // The outbox ends after this thread, or the whole process does.
                drop(self.outbox.send(Owed::new(notification)));
            }
        }
        // Nobody may be listening.
        drop(shared.committed.send(committed));
    }

    /// Lets old history and old segments go. The log's beginning moves to the oldest checkpoint that retention allows.
    fn trim(&mut self, now: Time) -> Result<(), LogError> {
        self.shared.view.forget(now - self.retention.age);
        let segments = self.log.segments();
        let mut plan = retention::plan(&segments, now, &self.retention, self.health.view_seq());
        let mut may_go = |segment: SegmentInfo| plan.remove(&segment.file);
        let result = if retention::checkpoint_is_due(&segments, now, &self.retention) {
            let started = Instant::now();
            let state = self.engine.state();
            let written = self.log.checkpoint(state.seq(), state.time(), &mut state.entities(), &mut may_go);
            // Nobody was answered meanwhile.
            tracing::info!(seconds = started.elapsed().as_secs_f64(), seq = state.seq(), "wrote a checkpoint into the log");
            written
        } else {
            self.log.trim(&mut may_go)
        };
        if let Err(error) = result {
            tracing::error!(%error, "old segments of the log stay");
            self.mendable(error)?;
        }
        Ok(())
    }
}

fn answer(ready: Vec<Ready>) {
    for (submission, answers) in ready {
        // A caller that has gone needs no answer.
        drop(submission.reply.send(Ok(answers)));
    }
}

fn refuse(submissions: impl IntoIterator<Item = Submission>, health: &Health) {
    let fault = health.storage_fault().unwrap_or_else(|| "the log takes nothing".into());
    for submission in submissions {
        drop(submission.reply.send(Err(SubmitError::Storage(fault.clone()))));
    }
}
