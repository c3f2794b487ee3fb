//! Checkpoints: a new segment that begins with the whole state, after which older segments may go.

use super::batch::put_record;
use super::commit::Active;
use super::folder::{Closed, SPARE, TEMPORARY, begin_name, segment_name};
use super::format::{ALIGN_BYTES, KIND_CHECKPOINT_END, KIND_ENTITY, RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader, stamp};
use super::{Log, LogError, SegmentInfo, io_error};
use crate::engine::Entity;
use crate::model::Time;
use crate::storage::disk::{Disk, DiskFile};
use crate::storage::record::{RECORD_VERSION, encode_entity};

/// Bytes gathered for one write.
const CHUNK_BYTES: usize = 1 << 20;

impl<D: Disk> Log<D> {
    /// Makes a segment that begins with these entities the newest one. Until its name is synced the old one stays the
    /// newest, in memory and on the disk.
    pub(super) fn write_checkpoint(&mut self, time: Time, entities: &mut dyn Iterator<Item = Entity>) -> Result<(), LogError> {
        // A segment without records would have the same name: the new one takes its place.
        let replaces = self.active.header.first_seq == self.last_seq + 1;
        let header = if replaces {
            SegmentHeader { generation: self.active.header.generation + 1, ..self.active.header }
        } else {
            self.trim_active()?;
            self.next_header()
        };
        let made = self.write_temporary(header, time, entities).inspect_err(|_| {
            // A file that cannot be removed either is removed at the next start.
            self.disk.remove(TEMPORARY).ok();
        })?;
        self.sync_folder()?;
        if !replaces {
            self.closed.push(self.active.close(self.last_seq));
        }
        self.active = made;
        Ok(())
    }

    /// Writes the new segment under its temporary name, syncs it, and gives it its own.
    fn write_temporary(
        &self,
        mut header: SegmentHeader,
        time: Time,
        entities: &mut dyn Iterator<Item = Entity>,
    ) -> Result<Active<D::File>, LogError> {
        let writing = |source| LogError::Io { what: "writing", file: TEMPORARY.to_owned(), source };
        let mut file = self.disk.open(TEMPORARY, true).map_err(io_error("making", TEMPORARY))?;
        file.set_len(0).map_err(io_error("emptying", TEMPORARY))?;
        let record = |count, kind| RecordHeader {
            payload_bytes: 0,
            generation: 0,
            back: 0,
            seq: self.last_seq,
            time,
            count,
            version: RECORD_VERSION,
            kind,
        };
        let mut at = SEGMENT_HEADER_BYTES as u64;
        let mut buffer = Vec::with_capacity(CHUNK_BYTES);
        header.entities = 0;
        for entity in entities {
            let start = buffer.len();
            put_record(&mut buffer, record(1, KIND_ENTITY), |bytes| encode_entity(&entity, bytes))?;
            stamp(&mut buffer[start..], header.generation);
            header.entities += 1;
            if buffer.len() >= CHUNK_BYTES {
                file.write_at(at, &buffer).map_err(writing)?;
                at += buffer.len() as u64;
                buffer.clear();
            }
        }
        let start = buffer.len();
        put_record(&mut buffer, record(header.entities, KIND_CHECKPOINT_END), |bytes| bytes.push(0))?;
        stamp(&mut buffer[start..], header.generation);
        header.records_at = at + buffer.len() as u64;
        buffer.resize(buffer.len() + ALIGN_BYTES, 0);
        file.write_at(at, &buffer).map_err(writing)?;
        file.write_at(0, &header.to_bytes()).map_err(writing)?;
        file.sync().map_err(io_error("syncing", TEMPORARY))?;
        let name = segment_name(header.first_seq);
        self.disk.rename(TEMPORARY, &name).map_err(io_error("naming", &name))?;
        let file_bytes = header.records_at + ALIGN_BYTES as u64;
        Ok(Active { file, header, end: header.records_at, file_bytes, last_time: self.active.last_time })
    }

    /// Lets old segments go, oldest first, down to one that begins with a checkpoint.
    pub(super) fn let_go(&mut self, may_go: &mut dyn FnMut(SegmentInfo) -> bool) -> Result<(), LogError> {
        let free = self.closed.iter().take_while(|segment| may_go(segment.info())).count();
        let begins_well = |at: usize| self.closed.get(at).map_or(self.active.header, |closed| closed.header).has_checkpoint();
        let Some(kept) = (1..=free).rev().find(|at| begins_well(*at)) else { return Ok(()) };
        let begin = self.closed.get(kept).map_or(self.active.header.first_seq, |segment| segment.header.first_seq);
        let name = begin_name(begin);
        self.disk.open(&name, true).map_err(io_error("making", &name))?;
        self.sync_folder()?;
        // From here on they are no part of the log. What cannot be removed now is removed at the next start.
        let former = begin_name(self.closed[0].header.first_seq);
        for segment in self.closed.drain(..kept).collect::<Vec<_>>() {
            self.retire(&segment)?;
        }
        if self.disk.list().map_err(io_error("listing", "the log folder"))?.contains(&former) {
            self.disk.remove(&former).map_err(io_error("removing", &former))?;
        }
        self.sync_folder()
    }

    /// Makes a segment the spare file, or removes it when there is one already or it is too large for that.
    fn retire(&mut self, segment: &Closed) -> Result<(), LogError> {
        let name = segment_name(segment.header.first_seq);
        if self.spare || segment.bytes > self.options.segment_bytes {
            return self.disk.remove(&name).map_err(io_error("removing", &name));
        }
        self.disk.rename(&name, SPARE).map_err(io_error("setting aside", &name))?;
        self.spare = true;
        Ok(())
    }
}
