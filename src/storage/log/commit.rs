//! The newest segment: writing a batch into it, undoing what failed, going on to the next segment.

use super::folder::{Closed, SPARE, TEMPORARY, segment_name};
use super::format::{ALIGN_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::{Log, LogError, io_error};
use crate::model::Time;
use crate::storage::disk::{Disk, DiskFile};

/// How far ahead of the writing a segment is zeroed.
const ZEROED_AHEAD_BYTES: u64 = 1 << 20;

/// The segment that is written to.
pub(super) struct Active<F> {
    pub(super) file: F,
    pub(super) header: SegmentHeader,
    /// Where the next record goes.
    pub(super) end: u64,
    /// Bytes of the file; those behind `end` are zeroed, or from an earlier life.
    pub(super) file_bytes: u64,
    /// The time of the last record.
    pub(super) last_time: Time,
}

impl<F> Active<F> {
    pub(super) fn name(&self) -> String {
        segment_name(self.header.first_seq)
    }

    /// What it is once it is closed.
    pub(super) fn close(&self, last_seq: u64) -> Closed {
        Closed { header: self.header, bytes: self.end, last_seq, last_time: self.last_time, followed: true }
    }
}

impl<D: Disk> Log<D> {
    /// Writes and syncs the batch; the caller empties it.
    pub(super) fn write_batch(&mut self) -> Result<(), LogError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        // An empty segment takes a batch of any size: the next one would have the same name.
        let fits = self.active.end + self.batch.len() <= self.options.segment_bytes;
        if !fits && self.active.end > self.active.header.records_at {
            self.rotate()?;
        }
        let name = self.active.name();
        let records_end = self.active.end + self.batch.len();
        let zeros = self.zeros_behind(records_end);
        let bytes = self.batch.finish(self.active.header.generation, zeros);
        let written = bytes.len() as u64;
        if let Err(source) = self.active.file.write_at(self.active.end, bytes) {
            self.undo(written);
            return Err(LogError::Io { what: "writing", file: name, source });
        }
        self.sync_active()?;
        self.active.file_bytes = self.active.file_bytes.max(self.active.end + written);
        self.active.end = records_end;
        self.active.last_time = self.batch.last_time();
        self.last_seq = self.batch.next_seq() - 1;
        Ok(())
    }

    /// How many zeros to write behind the batch: the mark of the end, or up to the next step when the file must grow.
    fn zeros_behind(&self, records_end: u64) -> usize {
        let mark_end = records_end + ALIGN_BYTES as u64;
        let zeroed_to = if mark_end <= self.active.file_bytes {
            mark_end
        } else {
            (records_end + ZEROED_AHEAD_BYTES).min(self.options.segment_bytes).max(mark_end)
        };
        usize::try_from(zeroed_to - records_end).unwrap_or(ALIGN_BYTES)
    }

    /// Takes back a write that failed somewhere within `written` bytes behind the end. Zeros are synced, so that nothing
    /// of the dropped batch can come back behind the next one. If that fails too, the log is sealed.
    fn undo(&mut self, written: u64) {
        let zeroed_to = (self.active.end + written).min(self.active.file_bytes);
        let undone = self
            .active
            .file
            .set_len(self.active.file_bytes)
            .and_then(|()| write_zeros(&mut self.active.file, self.active.end, zeroed_to))
            .and_then(|()| self.active.file.sync());
        if undone.is_err() {
            self.sealed = Some(self.active.name());
        }
    }

    /// Syncs the newest segment. A failed sync is never tried again: the system may have dropped the pages and would
    /// then say that all is well.
    pub(super) fn sync_active(&mut self) -> Result<(), LogError> {
        self.active.file.sync().map_err(|source| {
            let file = self.active.name();
            self.sealed = Some(file.clone());
            LogError::Io { what: "syncing", file, source }
        })
    }

    pub(super) fn sync_folder(&mut self) -> Result<(), LogError> {
        self.disk.sync_folder().map_err(|source| {
            self.sealed = Some("the log folder".to_owned());
            LogError::Io { what: "syncing", file: "the log folder".to_owned(), source }
        })
    }

    /// Closes the newest segment and goes on in a new one.
    fn rotate(&mut self) -> Result<(), LogError> {
        self.trim_active()?;
        let header = self.next_header();
        let active = self.make_segment(header)?;
        self.closed.push(self.active.close(self.last_seq));
        self.active = active;
        Ok(())
    }

    /// The header of the segment that follows on the newest one, without checkpoint.
    pub(super) fn next_header(&self) -> SegmentHeader {
        SegmentHeader {
            first_seq: self.last_seq + 1,
            generation: self.active.header.generation + 1,
            entities: 0,
            records_at: SEGMENT_HEADER_BYTES as u64,
            before_seq: self.active.header.first_seq,
            before_bytes: self.active.end,
            before_time: self.active.last_time,
        }
    }

    /// Cuts the newest segment behind its last record, as a closed one ends. It can still be written to afterwards.
    pub(super) fn trim_active(&mut self) -> Result<(), LogError> {
        // Also where the length is right already: it may be so in memory only, when a sync failed before the last start.
        let name = self.active.name();
        self.active.file.set_len(self.active.end).map_err(io_error("trimming", &name))?;
        self.active.file_bytes = self.active.end;
        self.sync_active()
    }

    /// Makes a segment, out of the spare file where there is one. It is whole and synced before it gets its name.
    fn make_segment(&mut self, header: SegmentHeader) -> Result<Active<D::File>, LogError> {
        let origin = if self.spare { SPARE } else { TEMPORARY };
        // Whatever goes wrong from here on, the next try starts from a new file.
        self.spare = false;
        let active = new_segment(&self.disk, origin, header).inspect_err(|_| {
            // A file that cannot be removed either is removed at the next start.
            self.disk.remove(origin).ok();
        })?;
        self.sync_folder()?;
        Ok(active)
    }
}

/// Makes a segment in the file `origin` and gives it its name; the caller syncs the folder.
pub(super) fn new_segment<D: Disk>(disk: &D, origin: &str, header: SegmentHeader) -> Result<Active<D::File>, LogError> {
    let mut file = disk.open(origin, true).map_err(io_error("making", origin))?;
    if origin == TEMPORARY {
        file.set_len(0).map_err(io_error("emptying", origin))?;
    }
    let mut bytes = header.to_bytes().to_vec();
    bytes.resize(SEGMENT_HEADER_BYTES + ALIGN_BYTES, 0);
    file.write_at(0, &bytes).map_err(io_error("writing", origin))?;
    file.sync().map_err(io_error("syncing", origin))?;
    let file_bytes = file.len().map_err(io_error("measuring", origin))?;
    disk.rename(origin, &segment_name(header.first_seq)).map_err(io_error("naming", origin))?;
    Ok(Active { file, header, end: header.records_at, file_bytes, last_time: header.before_time })
}

/// Writes zeros from one offset to another.
pub(super) fn write_zeros(file: &mut impl DiskFile, from: u64, to: u64) -> std::io::Result<()> {
    let zeros = vec![0; usize::try_from((to.saturating_sub(from)).min(ZEROED_AHEAD_BYTES)).unwrap_or(ALIGN_BYTES)];
    let mut at = from;
    while at < to {
        let n = zeros.len().min(usize::try_from(to - at).unwrap_or(zeros.len()));
        file.write_at(at, &zeros[..n])?;
        at += n as u64;
    }
    Ok(())
}
