//! What the rest of the program may ask of the running engine.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tokio::sync::{broadcast, mpsc, oneshot};

use super::clock::Clock;
use super::health::{Health, Status};
use super::live::{Live, Word};
use super::queue::{Answers, QueueSender};
use super::recent::{ReadLog, Recent};
use super::reload::{LoadMore, ReloadRequest};
use super::shutdown::Shutdown;
use super::view_thread::ViewSender;
use crate::engine::{Answer, Fact, Input, Refusal};
use crate::model::Time;

/// A cheap, cloneable way to the running engine.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

/// What all handles and the engine's thread have in common.
pub(super) struct Shared {
    pub(super) queue: QueueSender,
    pub(super) live: Arc<Live>,
    pub(super) committed: broadcast::Sender<Arc<Committed>>,
    pub(super) recent: Recent,
    pub(super) read_log: ReadLog,
    pub(super) clock: Clock,
    pub(super) directory: Arc<str>,
    pub(super) data: PathBuf,
    pub(super) view: ViewSender,
    pub(super) reload: mpsc::Sender<ReloadRequest>,
    pub(super) load_more: OnceLock<LoadMore>,
    pub(super) shutdown: Shutdown,
    pub(super) health: Arc<Health>,
}

/// Facts that are on disk now, in log order, with the log time they share.
#[derive(Debug)]
pub struct Committed {
    pub first_seq: u64,
    pub time: Time,
    /// Shared with the view, which stores them a moment later.
    pub facts: Arc<Vec<Fact>>,
}

/// Why a submission got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The queue to the engine is full: 429 with `Retry-After`.
    #[error("too much waits for the engine")]
    Overloaded,
    /// The disk is full or failing: 503. What was submitted may still take effect when the disk recovers: it is
    /// unknown, not refused, and safe to send again.
    #[error("the log takes nothing: {0}")]
    Storage(Arc<str>),
    /// The daemon is stopping: 503.
    #[error("quell is stopping")]
    Stopping,
}

/// Inputs that were not taken.
#[derive(Debug)]
pub struct NotTaken {
    pub error: SubmitError,
    /// The inputs, where they never got as far as the engine; else nothing.
    pub inputs: Vec<Input>,
}

impl NotTaken {
    fn underway(error: SubmitError) -> NotTaken {
        NotTaken { error, inputs: Vec::new() }
    }
}

impl Committed {
    /// The log position of the last of these facts.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.first_seq + self.facts.len() as u64 - 1
    }
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Handle {
        Handle { shared }
    }

    /// The concurrent table of everything live.
    #[must_use]
    pub fn live(&self) -> &Arc<Live> {
        &self.shared.live
    }

    /// Hands inputs to the engine and waits until what it decided on them is on disk and published in [`Live`].
    /// One answer for each input, in order.
    ///
    /// # Errors
    /// When nothing of it could be taken or synced.
    pub async fn submit(&self, inputs: Vec<Input>) -> Result<Vec<Result<Answer, Refusal>>, SubmitError> {
        self.submit_news(inputs, Vec::new()).await.map_err(|not_taken| not_taken.error)
    }

    /// As [`Handle::submit`], with what is to be remembered of each input that is taken: one word for each, in order. Whoever looks
    /// an alert up behind the answer finds it.
    ///
    /// # Errors
    /// As [`Handle::submit`].
    pub async fn submit_news(&self, inputs: Vec<Input>, words: Vec<Word>) -> Result<Vec<Result<Answer, Refusal>>, NotTaken> {
        // A reply that is dropped without an answer means that the thread has ended.
        let answers = self.queue(inputs, words)?.await.unwrap_or(Err(SubmitError::Stopping));
        answers.map_err(NotTaken::underway)
    }

    /// Puts inputs into the queue; the answers arrive at what is returned.
    pub(super) fn queue(&self, inputs: Vec<Input>, words: Vec<Word>) -> Result<oneshot::Receiver<Answers>, NotTaken> {
        self.shared.queue.submit(inputs, words)
    }

    /// Everything that is committed from now on. A slow listener loses the oldest and is told so (it then reads the log).
    #[must_use]
    pub fn committed(&self) -> broadcast::Receiver<Arc<Committed>> {
        self.shared.committed.subscribe()
    }

    /// What was committed behind log position `seq`, oldest first, at most `limit` commits; empty when nothing was. The first
    /// may begin at or before `seq`. Facts that retention has trimmed are not there any more.
    pub async fn events_since(&self, seq: u64, limit: usize) -> Vec<Arc<Committed>> {
        if let Some(recent) = self.shared.recent.since(seq, limit) {
            return recent;
        }
        let committed = self.status().seq;
        let read = self.shared.read_log.clone();
        match tokio::task::spawn_blocking(move || read(seq, limit)).await {
            Ok(Ok(commits)) => commits.into_iter().take_while(|commit| commit.last_seq() <= committed).collect(),
            Ok(Err(error)) => {
                tracing::error!(%error, seq, "the log could not be read for a listener");
                Vec::new()
            }
            Err(error) => {
                tracing::error!(%error, seq, "reading the log for a listener ended early");
                Vec::new()
            }
        }
    }

    /// Has this loaded, too, whenever a reload is asked for; together with the rules, or not at all. The first one counts.
    pub fn load_on_request(&self, load: LoadMore) {
        drop(self.shared.load_more.set(load));
    }

    /// Loads the rules again, and what else is to be loaded on request. Says what is in force now, or every fault of the new
    /// files; then all stays as it was.
    ///
    /// # Errors
    /// The faults, as text for people.
    pub async fn reload(&self) -> Result<String, String> {
        let (reply, answer) = oneshot::channel();
        let stopping = || "quell is stopping".to_owned();
        self.shared.reload.send(reply).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    /// What is loaded on request besides the rules.
    pub(super) fn loads_more(&self) -> Option<LoadMore> {
        self.shared.load_more.get().cloned()
    }

    /// How the runtime is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.health.status()
    }

    /// The wall clock as the runtime reads it; the same that stamps inputs.
    #[must_use]
    pub fn now(&self) -> Time {
        self.shared.clock.now()
    }

    /// The same, but going on evenly whatever becomes of the wall clock.
    #[must_use]
    pub fn even(&self) -> Time {
        self.shared.clock.even()
    }

    /// The id of the data directory: the part before the dash in every notification's id.
    #[must_use]
    pub fn directory(&self) -> &Arc<str> {
        &self.shared.directory
    }

    /// Where the view is, for those who read history.
    #[must_use]
    pub fn view_path(&self) -> PathBuf {
        super::start::view_path(&self.shared.data)
    }

    /// Where the log is, for those who replay it.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        super::start::log_path(&self.shared.data)
    }

    /// Waits until the view has everything that is committed now.
    pub async fn flush_view(&self) {
        self.shared.view.flush().await;
    }

    /// The word that the daemon stops.
    #[must_use]
    pub fn shutdown(&self) -> &Shutdown {
        &self.shared.shutdown
    }

    /// Ends the engine's thread behind everything that was submitted before.
    pub(super) fn stop_engine(&self) {
        self.shared.queue.stop();
    }

    /// Ends the view's thread behind everything that was committed before.
    pub(super) fn stop_view(&self) {
        self.shared.view.stop();
    }
}
