//! The thread that writes the view behind the log.
//!
//! The engine's thread hands it what each commit changed and never waits for it. Many commits become one transaction. When the
//! view cannot keep up or fails again and again, it is left behind: what it is handed is dropped, the daemon goes on with
//! stale history and says so in log and metrics, and the thread brings the view up to date from the log's files.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::catch_up::{CatchUp, WriteView};
use super::health::Health;
use super::recent::ReadLog;
use super::recovery::RecoverError;
use crate::metrics::Metrics;
use crate::model::{Time, ahead};
use crate::storage::view::ViewBatch;

/// A transaction begins when so many facts wait: the larger, the less each of them costs...
const FACTS_WORTH_WRITING: usize = 50_000;
/// ...or the first has waited so long.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Failures in a row after which the view is left behind.
const FAILURES_MAX: u32 = 30;

/// How far the view may lag, and how long the thread waits before it does what may as well be done later.
#[derive(Clone, Copy)]
struct Pace {
    /// Facts that wait at most, in the queue and for the present transaction.
    facts_waiting_max: usize,
    /// Before a failed write is tried again.
    retry_after: Duration,
    /// Before catching up is tried again.
    catch_up_after: Duration,
    /// Without anything to write, before the write-ahead file is emptied.
    quiet: Duration,
}

const PACE: Pace = Pace {
    // About 400 MB at the worst.
    facts_waiting_max: 1_000_000,
    retry_after: Duration::from_secs(1),
    catch_up_after: Duration::from_secs(30),
    quiet: Duration::from_mins(1),
};

enum Order {
    /// Something waits to be written, or enough of it to be written at once.
    Look,
    Forget(Time),
    /// Dropped when it is done.
    Flush(oneshot::Sender<()>),
    Stop,
}

/// The way to the view's thread.
#[derive(Clone)]
pub(super) struct ViewSender {
    orders: mpsc::Sender<Order>,
    waiting: Arc<Backlog>,
    facts_waiting_max: usize,
}

#[derive(Default)]
struct Backlog {
    /// What the thread has not collected yet. It is woken for the first and when there is enough to write, and not for each
    /// commit: that would be a change of threads each millisecond.
    handed_over: Mutex<HandedOver>,
    /// Facts that wait, collected or not.
    facts: AtomicUsize,
    left_behind: AtomicBool,
}

#[derive(Default)]
struct HandedOver {
    batches: Vec<ViewBatch>,
    facts: usize,
}

/// The writer, and the way to it. `read_log` is what a view that was left behind catches up from.
pub(super) fn writer<V: WriteView>(
    view: V,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    read_log: ReadLog,
) -> (ViewSender, Writer<V>) {
    writer_at(PACE, view, health, metrics, read_log)
}

fn writer_at<V: WriteView>(
    pace: Pace,
    view: V,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    read_log: ReadLog,
) -> (ViewSender, Writer<V>) {
    let (sender, orders) = mpsc::channel();
    let waiting = Arc::new(Backlog::default());
    let writer = Writer {
        view,
        orders,
        waiting: waiting.clone(),
        health,
        metrics,
        read_log,
        pace,
        mode: Mode::Following,
        batches: Vec::new(),
        facts: 0,
        failures: 0,
        write_at: None,
        tidy_at: None,
    };
    (ViewSender { orders: sender, waiting, facts_waiting_max: pace.facts_waiting_max }, writer)
}

impl ViewSender {
    /// Hands over what one commit changed. Never waits; drops it when the view has been left behind. The commit counts as
    /// made already: who catches up looks at it only then.
    pub(super) fn write(&self, batch: ViewBatch) {
        // In one order with the commit's count and with the end of a catch-up: a commit that is dropped here is one that
        // the catch-up still sees.
        if self.waiting.left_behind.load(Ordering::SeqCst) {
            return;
        }
        let facts = batch.facts.len();
        if self.waiting.facts.fetch_add(facts, Ordering::AcqRel) + facts > self.facts_waiting_max {
            self.waiting.facts.fetch_sub(facts, Ordering::AcqRel);
            self.waiting.leave_behind("it cannot keep up with the log");
            return;
        }
        if self.waiting.hand_over(batch, facts) {
            self.order(Order::Look);
        }
    }

    /// Lets history go that is older than `before`.
    pub(super) fn forget(&self, before: Time) {
        self.order(Order::Forget(before));
    }

    /// Waits until everything handed over before is written, or given up.
    pub(super) async fn flush(&self) {
        let (done, written) = oneshot::channel();
        self.order(Order::Flush(done));
        // Nothing is ever sent: the thread drops its end when it has written, or when it ends.
        drop(written.await);
    }

    /// Ends the thread behind everything handed over before.
    pub(super) fn stop(&self) {
        self.order(Order::Stop);
    }

    fn order(&self, order: Order) {
        // A thread that has ended takes no orders; the daemon is stopping then.
        drop(self.orders.send(order));
    }
}

impl Backlog {
    fn leave_behind(&self, why: &str) {
        if !self.left_behind.swap(true, Ordering::SeqCst) {
            tracing::error!(why, "the view is left behind: history is stale until it has caught up from the log");
        }
    }

    fn is_left_behind(&self) -> bool {
        self.left_behind.load(Ordering::SeqCst)
    }

    /// Keeps a batch for the thread; whether that is to look.
    fn hand_over(&self, batch: ViewBatch, facts: usize) -> bool {
        let mut waiting = self.handed_over();
        let before = waiting.facts;
        waiting.facts += facts;
        waiting.batches.push(batch);
        waiting.batches.len() == 1 || (before < FACTS_WORTH_WRITING && waiting.facts >= FACTS_WORTH_WRITING)
    }

    fn handed_over(&self) -> MutexGuard<'_, HandedOver> {
        self.handed_over.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the view gets what it lacks.
enum Mode {
    /// From the engine's thread.
    Following,
    /// It does not; catching up begins then.
    Behind(Instant),
    /// From the log's files.
    CatchingUp(Box<CatchUp>),
    /// The log no longer has it: only a start can build the view anew, under nobody's feet.
    Lost,
}

/// Follows the orders.
pub(super) struct Writer<V> {
    view: V,
    orders: mpsc::Receiver<Order>,
    waiting: Arc<Backlog>,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    read_log: ReadLog,
    pace: Pace,
    mode: Mode,
    /// What the next transaction writes.
    batches: Vec<ViewBatch>,
    facts: usize,
    /// Writes that failed in a row.
    failures: u32,
    /// When to write what waits, and when to tidy up behind the last write.
    write_at: Option<Instant>,
    tidy_at: Option<Instant>,
}

impl<V: WriteView> Writer<V> {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn spawn(mut self) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("view".into()).spawn(move || self.run())
    }

    /// Follows the orders that are there, and writes all that they brought.
    pub(super) fn follow_waiting(&mut self) {
        while let Ok(order) = self.orders.try_recv() {
            self.follow(order);
        }
        self.write();
    }

    fn run(&mut self) {
        loop {
            let go_on = match self.orders.recv_timeout(self.patience()) {
                Ok(order) => self.follow(order),
                Err(mpsc::RecvTimeoutError::Timeout) => true,
                Err(mpsc::RecvTimeoutError::Disconnected) => false,
            };
            if !go_on {
                self.write();
                return;
            }
            let now = Instant::now();
            if self.write_at.is_some_and(|at| at <= now) {
                self.write();
            }
            if self.tidy_at.is_some_and(|at| at <= now) && self.batches.is_empty() {
                self.tidy_at = None;
                if let Err(error) = self.view.checkpoint() {
                    tracing::warn!(%error, "the view's write-ahead file could not be emptied");
                }
            }
            self.look_behind(now);
        }
    }

    /// How long there is nothing to do but wait for orders.
    fn patience(&self) -> Duration {
        let catch_up_at = match self.mode {
            Mode::CatchingUp(_) => return Duration::ZERO,
            Mode::Behind(at) => Some(at),
            Mode::Following | Mode::Lost => None,
        };
        let next = [self.write_at, self.tidy_at, catch_up_at].into_iter().flatten().min();
        next.map_or(Duration::from_hours(1), |at| at.saturating_duration_since(Instant::now()))
    }

    fn take(&mut self, batch: ViewBatch) {
        let facts = batch.facts.len();
        let next_seq = self.batches.last().map_or(self.health.view_seq(), last_seq) + 1;
        if batch.first_seq > next_seq {
            self.waiting.leave_behind("a commit did not reach it");
        }
        let known = last_seq(&batch) < next_seq;
        if known || self.waiting.is_left_behind() || !matches!(self.mode, Mode::Following) {
            self.waiting.facts.fetch_sub(facts, Ordering::AcqRel);
            return;
        }
        self.facts += facts;
        self.batches.push(batch);
    }

    /// Takes what was handed over.
    fn collect(&mut self) {
        let handed_over = std::mem::take(&mut *self.waiting.handed_over());
        handed_over.batches.into_iter().for_each(|batch| self.take(batch));
    }

    /// Plans when to write what was handed over. Until then it lies where it is.
    fn plan(&mut self) {
        let is_enough = self.waiting.handed_over().facts >= FACTS_WORTH_WRITING && self.failures == 0;
        let now = Instant::now();
        let due = if is_enough { now } else { now + WAIT_MAX };
        self.write_at = Some(self.write_at.map_or(due, |earlier| earlier.min(due)));
    }

    /// Does as one order says; `false` when it is to end.
    fn follow(&mut self, order: Order) -> bool {
        match order {
            Order::Look => self.plan(),
            Order::Forget(before) => {
                if let Err(error) = self.view.forget(before) {
                    self.metrics.view_failures_total.inc();
                    tracing::warn!(%error, "old history could not be removed from the view");
                }
            }
            Order::Flush(done) => {
                self.write();
                drop(done);
            }
            Order::Stop => return false,
        }
        true
    }

    fn write(&mut self) {
        self.write_at = None;
        self.collect();
        let Some(last_seq) = self.batches.last().map(last_seq) else { return };
        match self.view.write(&self.batches) {
            Ok(()) => {
                self.failures = 0;
                self.written_up_to(last_seq);
                self.drop_batches();
            }
            Err(error) => {
                self.failures += 1;
                self.metrics.view_failures_total.inc();
                tracing::error!(%error, failures = self.failures, "the view could not be written; trying again");
                self.write_at = Some(Instant::now() + self.pace.retry_after);
                if self.failures >= FAILURES_MAX {
                    self.waiting.leave_behind("writing it fails again and again");
                }
            }
        }
    }

    fn written_up_to(&mut self, seq: u64) {
        self.health.set_view_seq(seq);
        self.tidy_at = Some(Instant::now() + self.pace.quiet);
    }

    /// Sees to a view that was left behind.
    fn look_behind(&mut self, now: Instant) {
        match &mut self.mode {
            Mode::Following if self.waiting.is_left_behind() => {
                // Something behind what waits may be missing, and the view must have no holes.
                self.collect();
                self.drop_batches();
                self.write_at = None;
                let pause = if self.failures > 0 { self.pace.catch_up_after } else { Duration::ZERO };
                self.failures = 0;
                self.mode = Mode::Behind(now + pause);
            }
            Mode::Behind(at) if *at <= now => match CatchUp::begin(&mut self.view) {
                Ok(catch_up) => {
                    tracing::info!(at = catch_up.seq(), of = self.health.seq(), "the view begins to catch up from the log");
                    self.mode = Mode::CatchingUp(Box::new(catch_up));
                }
                Err(error) => self.fall_back(&error),
            },
            Mode::CatchingUp(_) => self.catch_up(),
            Mode::Following | Mode::Behind(_) | Mode::Lost => {}
        }
    }

    /// One step closer to the log's end; follows again once it is there.
    fn catch_up(&mut self) {
        let Mode::CatchingUp(catch_up) = &mut self.mode else { return };
        if let Err(error) = catch_up.step(&mut self.view, &self.read_log, self.health.seq()) {
            self.fall_back(&error);
            return;
        }
        let seq = catch_up.seq();
        self.written_up_to(seq);
        if seq < self.health.seq() {
            return;
        }
        // What is committed from here on is handed over again; what was committed before is behind us, or one more step away.
        self.waiting.left_behind.store(false, Ordering::SeqCst);
        if seq >= self.health.seq() {
            self.mode = Mode::Following;
            tracing::info!(seq, "the view has caught up");
        }
    }

    fn fall_back(&mut self, error: &RecoverError) {
        self.metrics.view_failures_total.inc();
        self.waiting.leave_behind("it could not catch up");
        if let RecoverError::Gap { .. } = error {
            tracing::error!(%error, "the log was trimmed before the view had read it; the next start writes the view anew");
            self.mode = Mode::Lost;
        } else {
            tracing::error!(%error, "the view cannot catch up yet; trying again");
            self.mode = Mode::Behind(Instant::now() + self.pace.catch_up_after);
        }
    }

    fn drop_batches(&mut self) {
        self.waiting.facts.fetch_sub(self.facts, Ordering::AcqRel);
        for batch in self.batches.drain(..) {
            // Letting go of a record counts it down, and one count waits for another.
            ahead::counts(batch.changes.alerts.iter().map(|record| &**record));
        }
        self.facts = 0;
    }
}

fn last_seq(batch: &ViewBatch) -> u64 {
    batch.first_seq + batch.facts.len() as u64 - 1
}
