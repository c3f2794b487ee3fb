//! The segment log.

use std::io;

use super::disk::Disk;
use crate::engine::{Entity, Fact};
use crate::model::Time;

/// Sizes of the log.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// Bytes of one segment file, made and zeroed beforehand.
    pub segment_bytes: u64,
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
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    pub last_seq: u64,
    pub last_time: Time,
    pub segments: usize,
    /// Bytes of a torn tail that were cut away.
    pub torn_bytes: u64,
}

/// The log, open for appending.
pub struct Log<D: Disk> {
    disk: D,
}

impl<D: Disk> Log<D> {
    /// Opens the log in `disk`, makes it where there is none, cuts a torn tail.
    ///
    /// # Errors
    /// Damage in the middle, foreign files, a newer version, what the disk says.
    pub fn open(disk: D, options: LogOptions) -> Result<(Log<D>, OpenReport), LogError> {
        let _ = options;
        let _ = &disk;
        todo!()
    }

    /// Adds one record to the batch; in memory until [`Log::commit`].
    pub fn append(&mut self, first_seq: u64, time: Time, facts: &[Fact]) {
        let _ = (first_seq, time, facts);
        todo!()
    }

    /// Writes the batch and syncs it. When this returns, the batch is durable.
    ///
    /// # Errors
    /// `Io` for a full or failing disk. After a failed sync, and after a failed write that could not be undone, the log is
    /// sealed; after a failed write that was undone (disk full) the batch is dropped and the next commit may succeed.
    pub fn commit(&mut self) -> Result<(), LogError> {
        todo!()
    }

    /// Everything from the record that holds `from_seq` on, in order. A checkpoint is given only when `from_seq` lies
    /// before the oldest record.
    ///
    /// # Errors
    /// What the disk says.
    pub fn read(&self, from_seq: u64) -> Result<LogReader<'_, D>, LogError> {
        let _ = from_seq;
        todo!()
    }

    /// Starts a new segment that begins with a checkpoint of the state as it stands behind `seq`, syncs it, and then lets
    /// segments go that lie wholly before it, oldest first, as long as `may_go` says so (told each segment's bytes and last time).
    ///
    /// # Errors
    /// What the disk says. The old segments stay then.
    pub fn checkpoint(
        &mut self,
        seq: u64,
        time: Time,
        entities: &mut dyn Iterator<Item = Entity>,
        may_go: &mut dyn FnMut(SegmentInfo) -> bool,
    ) -> Result<(), LogError> {
        let _ = (&self.disk, seq, time, entities, may_go);
        todo!()
    }

    /// The segments that hold something, oldest first.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        todo!()
    }
}

/// One segment in figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    pub file: String,
    pub bytes: u64,
    pub first_seq: u64,
    pub last_seq: u64,
    pub last_time: Time,
}

/// Reads a log from front to back.
pub struct LogReader<'a, D: Disk> {
    log: &'a Log<D>,
}

impl<D: Disk> Iterator for LogReader<'_, D> {
    type Item = Result<LogItem, LogError>;
    fn next(&mut self) -> Option<Self::Item> {
        let _ = &self.log;
        todo!()
    }
}
