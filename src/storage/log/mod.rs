//! The segment log: the truth that everything else is built from.
//!
//! Owns the files of the log folder: appending with group commit, cutting a torn tail, checkpoints, reading, checking.
//! Never looks into a fact, never reads a clock, starts no thread: one owner appends, and others read the same folder
//! through [`LogFiles`].
//!
//! What a commit costs: one write and one sync. Segments grow by zeroed steps ahead of the writing, and those that a
//! checkpoint frees are used again, so nearly all syncs have no change of the file's size to make durable.
//!
//! Opening checks the folder, every segment's header and length, and every byte of the newest segment. The bytes of older
//! segments are checked when they are read, and by [`verify()`].

mod batch;
mod checkpoint;
mod commit;
mod folder;
mod format;
mod open;
mod read;
mod scan;
mod skip;
mod verify;

use std::io;

use super::disk::Disk;
use crate::engine::{Entity, Fact};
use crate::model::Time;
use batch::Batch;
use commit::Active;
use folder::Closed;

pub use read::{LogFiles, LogReader};
pub use skip::{SkipDamage, Skipped};
pub use verify::{SegmentCheck, Verification, verify, verify_telling};

/// Sizes of the log.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// Bytes that a segment file grows to. A commit never spans two segments; one that is larger gets a segment to itself.
    pub segment_bytes: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions { segment_bytes: 64 << 20 }
    }
}

/// One record: the facts of one input, all or none of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub first_seq: u64,
    pub time: Time,
    pub facts: Vec<Fact>,
}

/// What stands in the log at one place.
#[derive(Clone, Debug, PartialEq)]
pub enum LogItem {
    Record(Record),
    /// Part of a checkpoint: the state as it stood behind the records before it.
    Entity(Entity),
    /// Damage that was passed over because its segment is in [`SkipDamage`]; the facts of this stretch are lost.
    Skipped(Skipped),
}

/// What the log could not do, and where.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("{what} {file}: {source}")]
    Io { what: &'static str, file: String, source: io::Error },
    /// Damage that is not a torn tail: named, never skipped silently.
    #[error("{file} is damaged at byte {offset} (after sequence {after_seq}): {what}")]
    Damaged { file: String, offset: u64, after_seq: u64, what: String },
    #[error("{file} was written by a newer version of quell (record version {version}, this program knows {known})")]
    Newer { file: String, version: u8, known: u8 },
    #[error("{file} does not belong in the log folder")]
    Foreign { file: String },
    /// A sync failed earlier; the log takes nothing more.
    #[error("the log is sealed after a failed sync of {file}")]
    Sealed { file: String },
    /// The caller's records do not follow on each other; the batch is dropped.
    #[error("sequence {got} was given where {expected} comes next")]
    OutOfOrder { expected: u64, got: u64 },
    /// The batch is dropped.
    #[error("a record of {bytes} bytes is larger than the log takes ({most})")]
    TooLarge { bytes: usize, most: usize },
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    pub last_seq: u64,
    /// The time of the last record.
    pub last_time: Time,
    pub segments: usize,
    /// Bytes of a torn tail that were cut away.
    pub torn_bytes: u64,
}

/// One segment in figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    pub file: String,
    pub bytes: u64,
    pub first_seq: u64,
    pub last_seq: u64,
    /// The time of its last record.
    pub last_time: Time,
    /// Whether it begins with a checkpoint, so that the log may begin with it.
    pub checkpoint: bool,
}

/// The log, open for appending.
pub struct Log<D: Disk> {
    disk: D,
    options: LogOptions,
    /// Full segments, oldest first.
    closed: Vec<Closed>,
    active: Active<D::File>,
    batch: Batch,
    /// The last committed sequence.
    last_seq: u64,
    /// Whether a file waits to be used again.
    spare: bool,
    /// The file whose sync failed.
    sealed: Option<String>,
    /// Damage that reading passes over.
    skip: SkipDamage,
}

impl<D: Disk> Log<D> {
    /// Opens the log in `disk`, makes it where there is none, cuts a torn tail. The caller holds the data folder's lock.
    ///
    /// # Errors
    /// Damage in the middle, foreign files, a newer version, what the disk says.
    pub fn open(disk: D, options: LogOptions) -> Result<(Log<D>, OpenReport), LogError> {
        open::open(disk, options, SkipDamage::default())
    }

    /// As [`Log::open`]; damage in the segments that `skip` names is passed over. Positions that were lost stay lost: what is
    /// appended goes on behind the last sound record.
    ///
    /// # Errors
    /// As [`Log::open`] for all other damage, for a newest segment without a sound header, and for a damaged checkpoint.
    pub fn open_skipping(disk: D, options: LogOptions, skip: SkipDamage) -> Result<(Log<D>, OpenReport), LogError> {
        open::open(disk, options, skip)
    }

    /// Adds one record to the batch; in memory until [`Log::commit`]. Without facts there is no record.
    pub fn append(&mut self, first_seq: u64, time: Time, facts: &[Fact]) {
        self.batch.append(first_seq, time, facts);
    }

    /// Writes the batch and syncs it. When this returns, the batch is durable.
    ///
    /// # Errors
    /// `Io` for a full or failing disk. After a failed sync, and after a failed write that could not be undone, the log is
    /// sealed; after a failed write that was undone (disk full) the batch is dropped and the next commit may succeed: it
    /// then begins at the dropped batch's sequence again. `OutOfOrder` and `TooLarge` drop the batch too.
    pub fn commit(&mut self) -> Result<(), LogError> {
        if let Some(file) = &self.sealed {
            return Err(LogError::Sealed { file: file.clone() });
        }
        let written = match self.batch.take_fault() {
            Some(fault) => Err(fault),
            None => self.write_batch(),
        };
        self.batch.begin(self.last_seq + 1);
        written
    }

    /// Everything committed from the record that holds `from_seq` on, in order. A checkpoint is given only when `from_seq`
    /// lies before the oldest record.
    ///
    /// # Errors
    /// What the disk says.
    pub fn read(&self, from_seq: u64) -> Result<LogReader<'_, D>, LogError> {
        LogReader::new(&self.disk, self.pieces(), from_seq, &self.skip)
    }

    /// Starts a new segment that begins with a checkpoint of the state as it stands behind `seq`, the last sequence given
    /// to [`Log::append`]; syncs it, and then lets segments go that lie wholly before it, oldest first, as long as `may_go`
    /// says so. The log stays one that begins with a checkpoint: of the segments that may go, those stay that would leave
    /// an older one without.
    ///
    /// What waits in the batch is committed first. Takes as long as writing all entities does.
    ///
    /// # Errors
    /// `OutOfOrder` when `seq` is not the last one; what the disk says. Until the checkpoint is durable nothing goes; of
    /// the files that should go then, those that could not be removed are removed at the next start.
    pub fn checkpoint(
        &mut self,
        seq: u64,
        time: Time,
        entities: &mut dyn Iterator<Item = Entity>,
        may_go: &mut dyn FnMut(SegmentInfo) -> bool,
    ) -> Result<(), LogError> {
        self.commit()?;
        if seq != self.last_seq {
            return Err(LogError::OutOfOrder { expected: self.last_seq, got: seq });
        }
        self.write_checkpoint(time, entities)?;
        self.let_go(may_go)
    }

    /// Lets segments go as [`Log::checkpoint`] does, behind the checkpoints that are there.
    ///
    /// # Errors
    /// What the disk says.
    pub fn trim(&mut self, may_go: &mut dyn FnMut(SegmentInfo) -> bool) -> Result<(), LogError> {
        self.let_go(may_go)
    }

    /// The segments that hold something, oldest first.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let mut infos: Vec<_> = self.closed.iter().map(Closed::info).collect();
        if self.last_seq >= self.active.header.first_seq || self.active.header.has_checkpoint() {
            infos.push(self.active.close(self.last_seq).info());
        }
        infos
    }
}

/// Says what was done to which file when the disk failed.
fn io_error(what: &'static str, file: &str) -> impl FnOnce(io::Error) -> LogError {
    let file = file.to_owned();
    move |source| LogError::Io { what, file, source }
}
