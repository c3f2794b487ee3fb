//! From the data folder to a running engine, and back to rest.
//!
//! Start loads the view, applies what the log has behind it, and only then lets anybody ask. The log is the truth: a view that is
//! missing, damaged or ahead of the log is deleted and written anew from the log.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};

use super::clock::{Clock, LogClock};
use super::engine_thread::EngineThread;
use super::gauges;
use super::handle::{Handle, Shared, SubmitError};
use super::health::Health;
use super::live::Live;
use super::observe::Observer;
use super::outbox::{Outbox, Owed, Receivers, Tools};
use super::queue;
use super::recent::{ReadLog, Recent};
use super::recovery::{self, RecoverError, Recovered};
use super::reload::{self, LoadRules, ReloadRequest, Reloader};
use super::shutdown::Shutdown;
use super::view_thread::{self, Writer};
use crate::config::Config;
use crate::engine::{Engine, EngineOptions, Input};
use crate::metrics::Metrics;
use crate::model::{Millis, Time};
use crate::storage::disk::Disk;
use crate::storage::log::{LogError, LogOptions, SkipDamage};
use crate::storage::view::View;

/// Commits that a slow listener may lag behind before it loses some and reads the log instead.
const COMMITTED_KEPT: usize = 1_024;
/// How long a stopping daemon still tries to deliver what is due.
const FLUSH_PAGES: Duration = Duration::from_secs(5);

/// What the runtime is built from.
pub struct Parts<D: Disk> {
    pub config: Arc<Config>,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    /// The folder of the log's files.
    pub disk: D,
    /// Reads the log while it is being written.
    pub read_log: ReadLog,
    pub receivers: Receivers,
    /// Loads the rules; at the start they must load.
    pub load: LoadRules,
    pub log_options: LogOptions,
    /// Damage of the log that an operator has given up.
    pub skip_damage: SkipDamage,
}

/// Why the runtime does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the rules do not load:\n{0}")]
    Rules(String),
    #[error(transparent)]
    Recover(#[from] RecoverError),
    #[error("{what}: {source}")]
    Io { what: &'static str, source: io::Error },
    #[error("the first records could not be written: {0}")]
    FirstRecords(#[from] SubmitError),
}

impl StartError {
    /// The segment of the log whose damage is the cause.
    #[must_use]
    pub fn damaged_segment(&self) -> Option<&str> {
        match self {
            StartError::Recover(RecoverError::Log(LogError::Damaged { file, .. })) => Some(file),
            _ => None,
        }
    }
}

/// The running runtime.
pub struct Runtime {
    handle: Handle,
    engine: JoinHandle<()>,
    ended: oneshot::Receiver<Result<(), LogError>>,
    view: JoinHandle<()>,
    outbox: Option<Outbox>,
}

/// The log's folder in a data folder.
pub(super) fn log_path(data: &Path) -> PathBuf {
    data.join("log")
}

/// The view's file in a data folder.
pub(super) fn view_path(data: &Path) -> PathBuf {
    data.join("view.db")
}

/// Everything recovered and put together; nothing runs yet.
pub(super) struct Built<D: Disk> {
    pub(super) thread: EngineThread<D>,
    pub(super) handle: Handle,
    pub(super) view: Writer<View>,
    pub(super) receivers: Receivers,
    /// What the outbox is to deliver: what was owed before, then what the engine's thread hands it.
    pub(super) owed: mpsc::UnboundedReceiver<Owed>,
    /// What the engine must be told before anything else.
    pub(super) first: Vec<Input>,
    rule_count: usize,
    /// The digest of the rule files before they were loaded.
    files_seen: Option<u64>,
    reload_requests: mpsc::Receiver<ReloadRequest>,
}

/// Recovers the state and puts the parts together. `new_id` names a data directory that has no name yet.
///
/// # Errors
/// Why there can be no running engine now.
pub(super) fn build<D: Disk>(parts: Parts<D>, new_id: impl FnOnce() -> io::Result<Arc<str>>) -> Result<Built<D>, StartError> {
    let Parts { config, metrics, clock, disk, read_log, receivers, load, log_options, skip_damage } = parts;
    let files_seen = reload::digest(&config.rules);
    let rules = load().map_err(StartError::Rules)?;
    let rule_count = rules.len();
    let Recovered { log, mut state, view, lost_facts } =
        recovery::recover(disk, log_options, skip_damage, &view_path(&config.data))?;
    metrics.log_lost_facts_total.inc_by(lost_facts);
    let first_start = state.seq() == 0;
    let directory = if first_start {
        new_id().map_err(|source| StartError::Io { what: "/dev/urandom", source })?
    } else {
        state.directory().clone()
    };

    let live = Arc::new(Live::new(&config));
    drop(state.take_changes());
    let adrift = if lost_facts > 0 { state.adrift() } else { Vec::new() };
    live.publish(&recovery::everything(&state), clock.now());
    live.publish_rules(rules.clone(), None);
    let started_at = clock.now();
    let health = Arc::new(Health::default());
    health.set_seq(state.seq());
    health.set_view_seq(state.seq());
    let (view_sender, view) = view_thread::writer(view, health.clone(), metrics.clone(), read_log.clone());
    let (queue_sender, queue_receiver) = queue::queue(config.limits.queue_alerts, metrics.engine_queue_alerts.clone());
    let (reload_sender, reload_requests) = mpsc::channel(16);
    let (owed_sender, owed) = mpsc::unbounded_channel();
    for notification in state.owed_notifications() {
        // The first in line: timers that came due meanwhile may owe more on the same incidents in a moment. The receiver is here.
        drop(owed_sender.send(Owed::from_before(notification.clone())));
    }
    let shared = Arc::new(Shared {
        queue: queue_sender,
        live: live.clone(),
        committed: broadcast::Sender::new(COMMITTED_KEPT),
        recent: Recent::default(),
        read_log,
        clock: clock.clone(),
        directory: directory.clone(),
        data: config.data.clone(),
        view: view_sender,
        reload: reload_sender,
        load_more: OnceLock::new(),
        shutdown: Shutdown::default(),
        health: health.clone(),
    });
    let handle = Handle::new(shared.clone());

    let options = EngineOptions {
        active_alerts: config.limits.active_alerts,
        alerts_per_incident: config.limits.alerts_per_incident,
        merges_per_hour: config.limits.merges_per_hour,
        changes: config.limits.changes,
        changes_kept: config.limits.changes_kept,
        messages_per_source: config.limits.messages_per_source,
        ..EngineOptions::default()
    };
    let log_clock = LogClock::new(clock, state.time());
    // The thread may find timers due before the first input reaches it: they are for these rules and receivers to decide.
    let trim_at = state.time();
    let mut engine = Engine::new(state, rules.clone(), options);
    engine.know_receivers(receivers.keys().cloned().collect());
    let thread = EngineThread {
        engine,
        log,
        queue: queue_receiver,
        shared,
        health,
        observer: Observer::new(metrics, live),
        outbox: owed_sender,
        clock: log_clock,
        retention: config.retention.clone(),
        held: None,
        trim_at,
        no_expiry_before: Time(0),
        jumped: Millis::ZERO,
    };
    let mut first = Vec::new();
    if first_start {
        first.push(Input::Created { directory });
    }
    first.push(Input::Rules(rules));
    // Their senders' next repeats are news then, and bring them into incidents.
    first.extend(adrift.into_iter().map(|fingerprint| Input::Expired { fingerprint, expired_at: started_at }));
    Ok(Built { thread, handle, view, receivers, owed, first, rule_count, files_seen, reload_requests })
}

/// Recovers the state, starts the threads and tasks, and returns when inputs can be submitted. Blocks while it recovers.
///
/// # Errors
/// Why there is no running engine now; nothing is left running then but threads that end by themselves.
pub async fn start<D: Disk>(parts: Parts<D>) -> Result<Runtime, StartError>
where
    D::File: 'static,
{
    let (config, metrics, clock, load) = (parts.config.clone(), parts.metrics.clone(), parts.clock.clone(), parts.load.clone());
    let Built { thread, handle, view, receivers, owed, first, rule_count, files_seen, reload_requests } =
        build(parts, new_directory_id)?;
    let view = view.spawn().map_err(|source| StartError::Io { what: "the view's thread", source })?;
    let (end, ended) = oneshot::channel();
    let engine = std::thread::Builder::new()
        .name("engine".into())
        // The receiver is gone only when nobody wants to know.
        .spawn(move || drop(end.send(thread.run())))
        .map_err(|source| StartError::Io { what: "the engine's thread", source })?;

    handle.submit(first).await?;
    reload::set_rules(&metrics, rule_count, clock.now());

    let recorder = handle.clone();
    let tools = Tools {
        live: handle.live().clone(),
        record: Arc::new(move |inputs| {
            let handle = recorder.clone();
            Box::pin(async move { handle.submit(inputs).await.map(drop) })
        }),
        clock,
        metrics: metrics.clone(),
        directory: handle.directory().clone(),
        external_url: config.external_url.clone(),
        drain: Shutdown::default(),
    };
    let outbox = Outbox::start(receivers, owed, tools);
    let reloader =
        Reloader { handle: handle.clone(), load, folder: config.rules.clone(), seen: files_seen, metrics: metrics.clone() };
    tokio::spawn(reloader.run(reload_requests));
    tokio::spawn(gauges::run(handle.clone(), metrics));
    Ok(Runtime { handle, engine, ended, view, outbox: Some(outbox) })
}

impl Runtime {
    /// The way to it for everybody else.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits for the engine's thread to end by itself, which it does only on a fault after which the process must end.
    pub async fn failed(&mut self) -> String {
        match (&mut self.ended).await {
            Ok(Ok(())) => "the engine's thread has stopped".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the engine's thread panicked".to_owned(),
        }
    }

    /// Still delivers what is due, for up to 5 s, and nothing after that.
    pub async fn drain(&mut self) {
        self.handle.shutdown().trigger();
        if let Some(outbox) = self.outbox.take() {
            outbox.drain(FLUSH_PAGES).await;
        }
    }

    /// Commits what was submitted, writes the view, ends all threads.
    pub async fn stop(mut self) {
        self.drain().await;
        self.handle.stop_engine();
        let (end, ended) = oneshot::channel::<()>();
        // A thread of its own, so that a caller who loses patience can leave it behind.
        std::thread::spawn(move || {
            let engine = self.engine.join();
            self.handle.stop_view();
            let view = self.view.join();
            if engine.is_err() || view.is_err() {
                tracing::error!("a thread ended by a panic");
            }
            drop(end);
        });
        // Nothing is ever sent: the thread drops its end when all have ended.
        drop(ended.await);
    }
}

/// Eight letters and digits that no other installation has. Letters that are easily mistaken are left out, so 32 remain.
fn new_directory_id() -> io::Result<Arc<str>> {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
    let mut random = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect::<String>().into())
}
