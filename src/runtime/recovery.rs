//! The state as the log and the view have it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use super::catch_up::WriteView;
use crate::engine::{Changes, Entity, Fact, State};
use crate::storage::disk::Disk;
use crate::storage::log::{Log, LogError, LogItem, LogOptions, Record, SkipDamage, Skipped};
use crate::storage::view::{View, ViewBatch, ViewError};

/// Facts that one transaction of the view takes while it is brought up to date.
const FACTS_PER_WRITE: usize = 20_000;
/// Progress is told this often.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Why there is no state to go on from.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    View(#[from] ViewError),
    #[error("the damaged view {path} could not be removed: {source}")]
    RemoveView { path: String, source: io::Error },
    #[error("the log begins at sequence {first_seq}, without a checkpoint, but the state ends at {state_seq}")]
    Gap { state_seq: u64, first_seq: u64 },
    #[error("{stretch} cannot be skipped: the name of this data directory is lost with it")]
    LostBeginning { stretch: String },
}

/// What there is to go on from.
pub(super) struct Recovered<D: Disk> {
    pub(super) log: Log<D>,
    pub(super) state: State,
    pub(super) view: View,
    /// Facts that the state lacks because their damage was passed over.
    pub(super) lost_facts: u64,
}

/// Opens the log and the view and brings both to the same place. The state is that place's.
///
/// # Errors
/// A log that cannot be trusted, a disk that cannot be read. A bad view is no error: it is written anew.
pub(super) fn recover<D: Disk>(
    disk: D,
    options: LogOptions,
    skip: SkipDamage,
    view_path: &Path,
) -> Result<Recovered<D>, RecoverError> {
    let started = Instant::now();
    let (log, report) = Log::open_skipping(disk, options, skip)?;
    if report.torn_bytes > 0 {
        tracing::warn!(bytes = report.torn_bytes, "cut an unfinished record off the log's end; nothing in it was acknowledged");
    }
    let loaded = load_view(view_path).unwrap_or_else(|error| {
        tracing::warn!(%error, "the view cannot be used; writing it anew from the log");
        None
    });
    let usable = loaded.filter(|(state, _)| {
        let ahead = state.seq() > report.last_seq;
        if ahead {
            tracing::warn!(view = state.seq(), log = report.last_seq, "the view is ahead of the log; writing it anew");
        }
        !ahead
    });
    let (state, view) = match usable {
        Some(usable) => usable,
        None => new_view(view_path)?,
    };
    let mut replay = Replay::new(state, view, report.last_seq);
    for item in log.read(replay.state.seq() + 1)? {
        match item? {
            LogItem::Entity(entity) => {
                if !replay.in_checkpoint {
                    // The log was trimmed past what the view knows: the state begins at the checkpoint.
                    let (state, view) = new_view(view_path)?;
                    replay = Replay { in_checkpoint: true, ..Replay::new(state, view, report.last_seq) };
                }
                replay.state.add(entity);
            }
            LogItem::Record(record) => {
                replay.end_checkpoint();
                replay.apply(record)?;
            }
            LogItem::Skipped(stretch) => {
                replay.end_checkpoint();
                replay.skip(&stretch)?;
            }
        }
    }
    replay.end_checkpoint();
    replay.write()?;
    let Replay { state, view, lost_facts, .. } = replay;
    let seconds = started.elapsed().as_secs_f64();
    tracing::info!(seq = state.seq(), segments = report.segments, seconds, "the state is recovered");
    Ok(Recovered { log, state, view, lost_facts })
}

/// The whole state, as if all of it had just changed.
pub(super) fn everything(state: &State) -> Changes {
    let mut all = Changes::default();
    for entity in state.entities() {
        match entity {
            Entity::Meta(_) => {}
            Entity::Alert(alert) => all.alerts.push(alert),
            Entity::Incident(incident) => all.incidents.push(incident),
            Entity::Notification(notification) => all.notifications.push(notification),
            Entity::Silence(silence) => all.silences.push(silence),
            Entity::Change(change) => all.reported.push(change),
            Entity::Usual(usual) => all.usual.push(usual),
            Entity::Message(message) => all.messages.push(message),
            Entity::Heartbeat(heartbeat) => all.heartbeats.push(heartbeat),
        }
    }
    all
}

/// Applies one record to a state that it follows on; what the view is to be told of it.
///
/// # Errors
/// When something is missing before the record.
pub(super) fn apply_record(state: &mut State, record: Record) -> Result<ViewBatch, RecoverError> {
    // The view may end in the middle of a record.
    let known = state.seq();
    let new: Vec<Fact> = (record.first_seq..).zip(record.facts).filter(|(seq, _)| *seq > known).map(|(_, fact)| fact).collect();
    let first_seq = record.first_seq.max(known + 1);
    if first_seq != known + 1 {
        return Err(RecoverError::Gap { state_seq: known, first_seq });
    }
    for (seq, fact) in (first_seq..).zip(&new) {
        state.apply(seq, record.time, fact);
    }
    let changes = state.take_changes();
    Ok(batch(state, first_seq, new, changes))
}

fn batch(state: &State, first_seq: u64, facts: Vec<Fact>, changes: Changes) -> ViewBatch {
    let (time, meta) = (state.time(), state.meta());
    ViewBatch { first_seq, time, facts: Arc::new(facts), changes: Arc::new(changes), meta }
}

/// `None` where there is no view.
fn load_view(path: &Path) -> Result<Option<(State, View)>, ViewError> {
    if !path.exists() {
        return Ok(None);
    }
    let mut view = View::open(path)?;
    let state = view.state()?;
    Ok(Some((state, view)))
}

/// Removes what is there and begins with nothing.
fn new_view(path: &Path) -> Result<(State, View), RecoverError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match fs::remove_file(&file) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(RecoverError::RemoveView { path: file.to_string_lossy().into_owned(), source });
            }
            _ => {}
        }
    }
    let mut state = State::new();
    state.finish();
    Ok((state, View::open(path)?))
}

/// A state and a view on their way through the log.
struct Replay {
    state: State,
    view: View,
    /// Entities of a checkpoint are being added; they make a state when the first record follows.
    in_checkpoint: bool,
    /// What the view has yet to be told, and how many facts that is.
    batches: Vec<ViewBatch>,
    facts: usize,
    /// Where the log ends.
    last_seq: u64,
    tell_at: Instant,
    /// Facts that neither the log nor the view has any more.
    lost_facts: u64,
}

impl Replay {
    fn new(state: State, view: View, last_seq: u64) -> Replay {
        let tell_at = Instant::now() + TELL_EVERY;
        Replay { state, view, in_checkpoint: false, batches: Vec::new(), facts: 0, last_seq, tell_at, lost_facts: 0 }
    }

    fn end_checkpoint(&mut self) {
        if std::mem::take(&mut self.in_checkpoint) {
            self.state.finish();
            let changes = everything(&self.state);
            self.batches.push(batch(&self.state, self.state.seq() + 1, Vec::new(), changes));
        }
    }

    fn apply(&mut self, record: Record) -> Result<(), RecoverError> {
        let batch = apply_record(&mut self.state, record)?;
        self.facts += batch.facts.len();
        self.batches.push(batch);
        if self.facts >= FACTS_PER_WRITE {
            self.write()?;
        }
        Ok(())
    }

    /// Goes on behind a damaged stretch. What the view knows of it is not lost.
    fn skip(&mut self, stretch: &Skipped) -> Result<(), RecoverError> {
        if self.state.seq() + 1 < stretch.first_seq {
            return Err(RecoverError::Gap { state_seq: self.state.seq(), first_seq: stretch.first_seq });
        }
        if self.state.directory().is_empty() {
            return Err(RecoverError::LostBeginning { stretch: stretch.to_string() });
        }
        let lost = stretch.last_seq.saturating_sub(self.state.seq());
        tracing::error!(
            file = stretch.file,
            from_byte = stretch.bytes.start,
            to_byte = stretch.bytes.end,
            first_seq = stretch.first_seq,
            last_seq = stretch.last_seq,
            lost_facts = lost,
            "skipped damage in the log, as ordered; facts that the view lacks are lost"
        );
        self.state.skip_facts(lost);
        self.lost_facts += lost;
        Ok(())
    }

    fn write(&mut self) -> Result<(), RecoverError> {
        if !self.batches.is_empty() {
            self.view.write(&self.batches)?;
            self.batches.clear();
            self.facts = 0;
        }
        if Instant::now() >= self.tell_at {
            self.tell_at = Instant::now() + TELL_EVERY;
            tracing::info!(at = self.state.seq(), of = self.last_seq, "applying the log");
        }
        Ok(())
    }
}
