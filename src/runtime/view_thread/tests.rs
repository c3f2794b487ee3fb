//! The view's thread beside a view that fails, a log that is trimmed, and a queue that overflows.

use std::sync::Mutex;
use std::sync::atomic::AtomicU32;

use super::*;
use crate::engine::{Changes, Entity, Fact, Meta, State};
use crate::runtime::handle::Committed;
use crate::storage::view::ViewError;

/// A view that fails as often as it is told, and keeps the positions that it was given.
struct Fake {
    failures: u32,
    seq: u64,
    written: Arc<Mutex<Vec<u64>>>,
    checkpoints: Arc<AtomicU32>,
}

impl WriteView for Fake {
    fn write(&mut self, batches: &[ViewBatch]) -> Result<(), ViewError> {
        if self.failures > 0 {
            self.failures -= 1;
            return Err(ViewError::from(rusqlite::Error::InvalidQuery));
        }
        let before = self.seq;
        let all = batches.iter().flat_map(|batch| batch.first_seq..=last_seq(batch));
        self.written.lock().unwrap().extend(all.filter(|seq| *seq > before));
        self.seq = batches.last().map_or(before, last_seq);
        Ok(())
    }

    fn forget(&mut self, _: Time) -> Result<u64, ViewError> {
        Ok(0)
    }

    fn checkpoint(&mut self) -> Result<(), ViewError> {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn state(&mut self) -> Result<State, ViewError> {
        let mut state = State::new();
        state.add(Entity::Meta(Meta { seq: self.seq, ..Meta::default() }));
        state.finish();
        Ok(state)
    }
}

/// A thread with a fake view, and the log beside it.
struct Rig {
    sender: ViewSender,
    thread: JoinHandle<()>,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    log: Arc<Mutex<Vec<(u64, usize)>>>,
    written: Arc<Mutex<Vec<u64>>>,
    checkpoints: Arc<AtomicU32>,
}

const AT_ONCE: Pace = Pace {
    facts_waiting_max: 10,
    retry_after: Duration::from_hours(1),
    catch_up_after: Duration::ZERO,
    quiet: Duration::from_hours(1),
};

fn facts(n: usize) -> Arc<Vec<Fact>> {
    Arc::new(vec![Fact::RulesLoaded { digest: 0, rules: 0 }; n])
}

impl Rig {
    fn start(pace: Pace, failures: u32) -> Rig {
        let (health, metrics) = (Arc::new(Health::default()), Arc::new(Metrics::default()));
        let (written, checkpoints) = (Arc::default(), Arc::default());
        let log: Arc<Mutex<Vec<(u64, usize)>>> = Arc::default();
        let fake = Fake { failures, seq: 0, written: Arc::clone(&written), checkpoints: Arc::clone(&checkpoints) };
        let files = log.clone();
        let read_log: ReadLog = Arc::new(move |seq, limit| {
            let all = files.lock().unwrap().clone();
            let behind = all.into_iter().filter(|(first_seq, n)| first_seq + *n as u64 > seq + 1).take(limit);
            let commit = |(first_seq, n)| Arc::new(Committed { first_seq, time: Time(0), facts: facts(n) });
            Ok(behind.map(commit).collect())
        });
        let (sender, writer) = writer_at(pace, fake, health.clone(), metrics.clone(), read_log);
        let thread = writer.spawn().unwrap();
        Rig { sender, thread, health, metrics, log, written, checkpoints }
    }

    /// As the engine's thread does: into the log, into the count, to the view.
    fn commit(&self, n: usize) {
        self.log.lock().unwrap().push((self.health.seq() + 1, n));
        self.commit_and_trim(n);
    }

    /// The same where the log's files are gone before anybody reads them.
    fn commit_and_trim(&self, n: usize) {
        let first_seq = self.health.seq() + 1;
        let seq = first_seq + n as u64 - 1;
        self.health.set_seq(seq);
        let meta = Meta { seq, ..Meta::default() };
        let changes = Arc::new(Changes::default());
        self.sender.write(ViewBatch { first_seq, time: Time(0), facts: facts(n), changes, meta });
    }

    async fn caught_up(&self) {
        while self.health.view_behind() > 0 || self.sender.waiting.is_left_behind() {
            self.sender.flush().await;
        }
    }

    /// What was written, behind the end of the thread.
    fn stop(self) -> Vec<u64> {
        self.sender.stop();
        self.thread.join().unwrap();
        self.written.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn what_failed_is_written_later_in_order() {
    for failures in 0..=3 {
        let rig = Rig::start(AT_ONCE, failures);
        for _ in 0..3 {
            rig.commit(1);
            rig.sender.flush().await;
        }
        let metrics = rig.metrics.clone();
        assert_eq!(rig.stop(), [1, 2, 3], "{failures} failures");
        assert_eq!(metrics.view_failures_total.get(), u64::from(failures));
    }
}

#[tokio::test]
async fn a_view_left_behind_catches_up_from_the_log_without_holes() {
    // Failures; then the last ones meet the catch-up itself.
    for failures in [FAILURES_MAX, FAILURES_MAX + 3] {
        let rig = Rig::start(AT_ONCE, failures);
        rig.commit(1);
        for _ in 0..FAILURES_MAX {
            rig.sender.flush().await;
        }
        for facts in [1, 5, 2] {
            rig.commit(facts);
        }
        rig.caught_up().await;
        rig.commit(2);
        assert_eq!(rig.stop(), (1..=11).collect::<Vec<u64>>(), "{failures} failures");
    }
}

#[tokio::test]
async fn a_queue_that_overflows_stops_nobody_and_is_made_up_for() {
    let rig = Rig::start(AT_ONCE, 2);
    rig.commit(10);
    rig.sender.flush().await;
    assert!(!rig.sender.waiting.is_left_behind());
    rig.commit(1);
    assert!(rig.sender.waiting.is_left_behind() && rig.health.view_behind() == 11);
    rig.commit(1);
    rig.caught_up().await;
    assert_eq!(rig.sender.waiting.facts.load(Ordering::Relaxed), 0, "nothing waits any more");
    rig.commit(8);
    assert_eq!(rig.stop(), (1..=20).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_log_that_was_trimmed_too_early_leaves_the_view_as_it_is() {
    let rig = Rig::start(AT_ONCE, 0);
    rig.commit(1);
    rig.sender.flush().await;
    rig.log.lock().unwrap().clear();
    rig.commit_and_trim(11);
    rig.commit(1);
    while rig.metrics.view_failures_total.get() == 0 {
        rig.sender.flush().await;
    }
    rig.commit(1);
    rig.sender.flush().await;
    assert_eq!((rig.health.view_behind(), rig.stop()), (13, vec![1]), "no hole");
}

#[tokio::test]
async fn a_quiet_view_is_tidied_up_once() {
    let rig = Rig::start(Pace { quiet: Duration::ZERO, ..AT_ONCE }, 0);
    rig.commit(1);
    for _ in 0..5 {
        rig.sender.flush().await;
    }
    assert_eq!(rig.checkpoints.load(Ordering::Relaxed), 1);
    rig.stop();
}

#[test]
fn the_thread_is_woken_for_the_first_commit_and_when_there_is_enough() {
    let waiting = Backlog::default();
    let batch = || ViewBatch { first_seq: 1, time: Time(0), facts: facts(0), changes: Arc::default(), meta: Meta::default() };
    let looks = [1, 1, FACTS_WORTH_WRITING - 2, 1].map(|facts| waiting.hand_over(batch(), facts));
    assert_eq!(looks, [true, false, true, false]);
}
