//! What every handler shares.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, broadcast};

use super::history::History;
use super::problem::Problem;
use crate::config::Config;
use crate::engine::{Answer, Input, Refusal};
use crate::metrics::Metrics;
use crate::model::Time;
use crate::runtime::sources::Sources;
use crate::runtime::{Committed, Handle, Live, Shutdown, Status, SubmitError};
use crate::storage::view::{ViewError, ViewReader};

/// Event streams open at once; further ones are refused, because each holds a task and a queue until it ends.
pub(super) const EVENT_STREAMS_MAX: usize = 64;

/// Calls that replay the log at once; further ones are refused, because each has a whole state in memory.
const REPLAYS_MAX: usize = 1;

/// How long a reader waits for the view.
const VIEW_PATIENCE: Duration = Duration::from_secs(2);

/// What every handler shares.
pub struct ApiState {
    pub(super) engine: Arc<dyn Running>,
    pub(super) sources: Arc<dyn Sources>,
    history: History,
    pub(super) metrics: Arc<Metrics>,
    pub(super) config: Arc<Config>,
    pub(super) started_at: Time,
    pub(super) event_streams: Arc<Semaphore>,
    /// Calls that replay the log.
    pub(super) replays: Arc<Semaphore>,
    /// How long an event stream may be silent before a comment keeps proxies from closing it.
    pub(super) keep_awake: Duration,
}

impl ApiState {
    /// Puts the parts together. The view is opened when first asked.
    #[must_use]
    pub fn new(engine: Arc<dyn Running>, sources: Arc<dyn Sources>, metrics: Arc<Metrics>, config: Arc<Config>) -> ApiState {
        let started_at = engine.now();
        metrics.start_time_seconds.set(started_at.0 / 1_000);
        metrics.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        ApiState {
            history: History::new(engine.view_path()),
            engine,
            sources,
            metrics,
            config,
            started_at,
            event_streams: Arc::new(Semaphore::new(EVENT_STREAMS_MAX)),
            replays: Arc::new(Semaphore::new(REPLAYS_MAX)),
            keep_awake: Duration::from_secs(15),
        }
    }

    /// Looks through the live tables, which may be long, off the serving threads.
    ///
    /// # Errors
    /// 503 when looking ended early, which only a fault of ours can make happen.
    pub(super) async fn walk<T: Send + 'static>(&self, look: impl FnOnce(&Live) -> T + Send + 'static) -> Result<T, Problem> {
        let engine = self.engine.clone();
        tokio::task::spawn_blocking(move || look(engine.live())).await.map_err(|error| {
            tracing::error!(%error, "a look through the live tables ended early");
            Problem::unavailable("internal", "the list could not be made")
        })
    }

    /// Asks history, once it has everything that is committed now: what has just left the live tables (a closed incident, a
    /// delivered notification) is nowhere else, and whoever has just written must read it back. Where the view is stuck,
    /// what it has is shown after two seconds.
    ///
    /// # Errors
    /// 503 when the view cannot be read.
    pub(super) async fn past<T: Send + 'static>(
        &self,
        query: impl FnOnce(&ViewReader) -> Result<T, ViewError> + Send + 'static,
    ) -> Result<T, Problem> {
        let Status { seq, view_seq, .. } = self.engine.status();
        if view_seq < seq && tokio::time::timeout(VIEW_PATIENCE, self.engine.flush_view()).await.is_err() {
            tracing::warn!("the view is far behind the log; history is shown without the newest entries");
        }
        self.history.ask(query).await
    }
}

/// A future that a trait object can give.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the API asks of the running engine: [`Handle`] in the program, a stand-in in tests. Each function is the
/// [`Handle`]'s of the same name.
pub trait Running: Send + Sync {
    fn live(&self) -> &Live;
    fn now(&self) -> Time;
    fn submit(&self, inputs: Vec<Input>) -> Pending<'_, Result<Vec<Result<Answer, Refusal>>, SubmitError>>;
    fn committed(&self) -> broadcast::Receiver<Arc<Committed>>;
    fn events_since(&self, seq: u64, limit: usize) -> Pending<'_, Vec<Arc<Committed>>>;
    fn reload(&self) -> Pending<'_, Result<String, String>>;
    fn status(&self) -> Status;
    fn directory(&self) -> &Arc<str>;
    fn view_path(&self) -> PathBuf;
    fn log_path(&self) -> PathBuf;
    fn flush_view(&self) -> Pending<'_, ()>;
    fn shutdown(&self) -> &Shutdown;
}

impl Running for Handle {
    fn live(&self) -> &Live {
        Handle::live(self)
    }

    fn now(&self) -> Time {
        Handle::now(self)
    }

    fn submit(&self, inputs: Vec<Input>) -> Pending<'_, Result<Vec<Result<Answer, Refusal>>, SubmitError>> {
        Box::pin(Handle::submit(self, inputs))
    }

    fn committed(&self) -> broadcast::Receiver<Arc<Committed>> {
        Handle::committed(self)
    }

    fn events_since(&self, seq: u64, limit: usize) -> Pending<'_, Vec<Arc<Committed>>> {
        Box::pin(Handle::events_since(self, seq, limit))
    }

    fn reload(&self) -> Pending<'_, Result<String, String>> {
        Box::pin(Handle::reload(self))
    }

    fn status(&self) -> Status {
        Handle::status(self)
    }

    fn directory(&self) -> &Arc<str> {
        Handle::directory(self)
    }

    fn view_path(&self) -> PathBuf {
        Handle::view_path(self)
    }

    fn log_path(&self) -> PathBuf {
        Handle::log_path(self)
    }

    fn flush_view(&self) -> Pending<'_, ()> {
        Box::pin(Handle::flush_view(self))
    }

    fn shutdown(&self) -> &Shutdown {
        Handle::shutdown(self)
    }
}
