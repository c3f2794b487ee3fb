//! The thread that writes the view behind the log.
//!
//! The engine's thread hands it what each commit changed and never waits for it. Many commits become one transaction. When the
//! view cannot keep up or fails again and again, it is left behind: the daemon goes on without fresh history, says so in
//! log and metrics, and the next start brings the view up to date from the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::health::Health;
use crate::metrics::Metrics;
use crate::model::Time;
use crate::storage::view::{View, ViewBatch, ViewError};

/// Facts that wait at most, in the queue and for the present transaction; about 400 MB at the worst.
const FACTS_WAITING_MAX: usize = 1_000_000;
/// A transaction begins when so many facts wait...
const FACTS_WORTH_WRITING: usize = 5_000;
/// ...or the first has waited so long.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Pause after a failed write.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Failures in a row after which the view is left behind.
const FAILURES_MAX: u32 = 30;

/// The side that writes; [`View`] in the program.
pub(super) trait WriteView: Send + 'static {
    fn write(&mut self, batches: &[ViewBatch]) -> Result<(), ViewError>;
    fn forget(&mut self, before: Time) -> Result<u64, ViewError>;
}

impl WriteView for View {
    fn write(&mut self, batches: &[ViewBatch]) -> Result<(), ViewError> {
        View::write(self, batches)
    }

    fn forget(&mut self, before: Time) -> Result<u64, ViewError> {
        View::forget(self, before)
    }
}

enum Order {
    Write(ViewBatch),
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
}

#[derive(Default)]
struct Backlog {
    facts: AtomicUsize,
    left_behind: AtomicBool,
}

/// Starts the thread.
#[cfg(test)]
fn spawn(view: impl WriteView, health: Arc<Health>, metrics: Arc<Metrics>) -> std::io::Result<(ViewSender, JoinHandle<()>)> {
    let (sender, writer) = writer(view, health, metrics);
    Ok((sender, writer.spawn()?))
}

/// The writer, and the way to it.
pub(super) fn writer<V: WriteView>(view: V, health: Arc<Health>, metrics: Arc<Metrics>) -> (ViewSender, Writer<V>) {
    let (sender, orders) = mpsc::channel();
    let waiting = Arc::new(Backlog::default());
    let writer = Writer { view, orders, waiting: waiting.clone(), health, metrics, batches: Vec::new(), facts: 0, failures: 0 };
    (ViewSender { orders: sender, waiting }, writer)
}

impl ViewSender {
    /// Hands over what one commit changed. Never waits; drops it when the view has been left behind.
    pub(super) fn write(&self, batch: ViewBatch) {
        if self.waiting.left_behind.load(Ordering::Acquire) {
            return;
        }
        let facts = batch.facts.len();
        if self.waiting.facts.fetch_add(facts, Ordering::AcqRel) + facts > FACTS_WAITING_MAX {
            self.waiting.leave_behind("it cannot keep up with the log");
            return;
        }
        self.order(Order::Write(batch));
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
        if !self.left_behind.swap(true, Ordering::AcqRel) {
            tracing::error!(
                why,
                "the view is left behind: history is stale until the next start, which rebuilds it from the log"
            );
        }
    }
}

/// Follows the orders.
pub(super) struct Writer<V> {
    view: V,
    orders: mpsc::Receiver<Order>,
    waiting: Arc<Backlog>,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    /// What the next transaction writes.
    batches: Vec<ViewBatch>,
    facts: usize,
    /// Writes that failed in a row.
    failures: u32,
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
    pub(super) fn catch_up(&mut self) {
        while let Ok(order) = self.orders.try_recv() {
            self.follow(order);
        }
        self.write();
    }

    fn run(&mut self) {
        let mut write_at: Option<Instant> = None;
        loop {
            let patience = write_at.map_or(Duration::from_hours(1), |at| at.saturating_duration_since(Instant::now()));
            let go_on = match self.orders.recv_timeout(patience) {
                Ok(order) => self.follow(order),
                Err(mpsc::RecvTimeoutError::Timeout) => true,
                Err(mpsc::RecvTimeoutError::Disconnected) => false,
            };
            if !go_on {
                self.write();
                return;
            }
            if !self.batches.is_empty() {
                let due = if self.facts >= FACTS_WORTH_WRITING && self.failures == 0 { Duration::ZERO } else { WAIT_MAX };
                let at = Instant::now() + due;
                write_at = Some(write_at.map_or(at, |earlier| earlier.min(at)));
            }
            if write_at.is_some_and(|at| at <= Instant::now()) {
                self.write();
                write_at = (!self.batches.is_empty()).then(|| Instant::now() + RETRY_AFTER);
            }
        }
    }

    /// Does as one order says; `false` when it is to end.
    fn follow(&mut self, order: Order) -> bool {
        match order {
            Order::Write(batch) => {
                self.facts += batch.facts.len();
                self.batches.push(batch);
                if self.waiting.left_behind.load(Ordering::Acquire) {
                    // Something before it may be missing, and the view must have no holes.
                    self.drop_batches();
                }
            }
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
        let Some(last_seq) = self.batches.last().map(|last| last.first_seq + last.facts.len() as u64 - 1) else { return };
        match self.view.write(&self.batches) {
            Ok(()) => {
                self.failures = 0;
                self.health.set_view_seq(last_seq);
                self.drop_batches();
            }
            Err(error) => {
                self.failures += 1;
                self.metrics.view_failures_total.inc();
                tracing::error!(%error, failures = self.failures, "the view could not be written; trying again");
                if self.failures >= FAILURES_MAX {
                    self.waiting.leave_behind("writing it fails again and again");
                }
            }
        }
        if self.waiting.left_behind.load(Ordering::Acquire) {
            self.drop_batches();
        }
        self.metrics.view_behind_facts.set(i64::try_from(self.health.view_behind()).unwrap_or(i64::MAX));
    }

    fn drop_batches(&mut self) {
        self.waiting.facts.fetch_sub(self.facts, Ordering::AcqRel);
        self.batches.clear();
        self.facts = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::engine::{Changes, Fact, Meta};

    /// A view that fails as often as it is told, and keeps the positions that it was given.
    struct Fake {
        failures: u32,
        written: Arc<Mutex<Vec<u64>>>,
    }

    impl WriteView for Fake {
        fn write(&mut self, batches: &[ViewBatch]) -> Result<(), ViewError> {
            if self.failures > 0 {
                self.failures -= 1;
                return Err(ViewError::from(rusqlite::Error::InvalidQuery));
            }
            self.written.lock().unwrap().extend(batches.iter().map(|batch| batch.first_seq));
            Ok(())
        }

        fn forget(&mut self, _: Time) -> Result<u64, ViewError> {
            Ok(0)
        }
    }

    fn batch(first_seq: u64, facts: usize) -> ViewBatch {
        let fact = Fact::RulesLoaded { digest: 0, rules: 0 };
        ViewBatch {
            first_seq,
            time: Time(0),
            facts: Arc::new(vec![fact; facts]),
            changes: Arc::new(Changes::default()),
            meta: Meta::default(),
        }
    }

    /// Three batches of one fact, each with a flush behind it, to a view that fails so often; what was written, the view's position, and
    /// failures counted.
    async fn write_three(failures: u32) -> (Vec<u64>, u64, u64) {
        let (health, metrics, written) = (Arc::new(Health::default()), Arc::new(Metrics::default()), Arc::default());
        let (sender, thread) = spawn(Fake { failures, written: Arc::clone(&written) }, health.clone(), metrics.clone()).unwrap();
        for first_seq in 1..=3 {
            sender.write(batch(first_seq, 1));
            sender.flush().await;
        }
        sender.stop();
        thread.join().unwrap();
        let written = written.lock().unwrap().clone();
        (written, health.view_seq(), metrics.view_failures_total.get())
    }

    #[tokio::test]
    async fn what_failed_is_written_later_in_order() {
        for failures in 0..=3 {
            assert_eq!(write_three(failures).await, (vec![1, 2, 3], 3, u64::from(failures)), "{failures} failures");
        }
    }

    #[tokio::test]
    async fn a_view_left_behind_has_no_holes() {
        let (health, written) = (Arc::new(Health::default()), Arc::default());
        let fake = Fake { failures: FAILURES_MAX, written: Arc::clone(&written) };
        let (sender, thread) = spawn(fake, health.clone(), Arc::new(Metrics::default())).unwrap();
        sender.write(batch(1, 1));
        for _ in 0..FAILURES_MAX {
            sender.flush().await;
        }
        sender.write(batch(2, 1));
        sender.stop();
        thread.join().unwrap();
        assert_eq!((written.lock().unwrap().clone(), health.view_seq()), (vec![], 0), "nothing behind what is missing");
    }

    #[tokio::test]
    async fn a_queue_that_overflows_never_stops_its_sender() {
        let (health, written) = (Arc::new(Health::default()), Arc::default());
        let fake = Fake { failures: u32::MAX, written: Arc::clone(&written) };
        let (sender, thread) = spawn(fake, health, Arc::new(Metrics::default())).unwrap();
        let big = FACTS_WAITING_MAX as u64;
        sender.write(batch(1, FACTS_WAITING_MAX));
        sender.write(batch(1 + big, 1));
        sender.write(batch(2 + big, 1));
        sender.stop();
        thread.join().unwrap();
        assert!(sender.waiting.left_behind.load(Ordering::Acquire) && written.lock().unwrap().is_empty());
    }
}
