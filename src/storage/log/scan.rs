//! Reads one segment's records from front to back, in bounded memory, believing nothing.

use std::io;
use std::ops::Range;

use super::format::{ALIGN_BYTES, PAYLOAD_BYTES_MAX, RECORD_HEADER_BYTES, RecordHeader, is_whole};
use crate::storage::disk::DiskFile;

/// Bytes read at once.
const CHUNK_BYTES: usize = 256 << 10;

/// A place in one segment.
pub(super) struct Scanner<F> {
    file: F,
    generation: u32,
    /// Where the records end, where that is known.
    end: Option<u64>,
    /// Where the next record begins.
    pos: u64,
    /// Its first `filled` bytes are those of the file from `buffer_at` on.
    buffer: Vec<u8>,
    filled: usize,
    buffer_at: u64,
    /// The payload of the last record, within the buffer.
    payload: Range<usize>,
}

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A whole record; its sum is right.
    Record(RecordHeader),
    /// The end: of the known length, or of the file, or eight zeros.
    End,
    /// Neither.
    Bad(&'static str),
}

impl<F: DiskFile> Scanner<F> {
    pub(super) fn new(file: F, generation: u32, pos: u64, end: Option<u64>) -> Scanner<F> {
        Scanner { file, generation, end, pos, buffer: Vec::new(), filled: 0, buffer_at: pos, payload: 0..0 }
    }

    /// Where the next record begins; after a bad step, where the bad place is.
    pub(super) fn pos(&self) -> u64 {
        self.pos
    }

    /// The payload of the record that the last step gave.
    pub(super) fn payload(&self) -> &[u8] {
        &self.buffer[self.payload.clone()]
    }

    pub(super) fn file(&self) -> &F {
        &self.file
    }

    pub(super) fn into_file(self) -> F {
        self.file
    }

    /// Goes to another place; forgets what it has read ahead.
    pub(super) fn go_to(&mut self, pos: u64) {
        self.pos = pos;
        self.refresh();
    }

    /// Forgets what it has read ahead, because the file may have grown since.
    pub(super) fn refresh(&mut self) {
        self.filled = 0;
        self.buffer_at = self.pos;
    }

    /// Goes on by one record, if a good one stands here.
    pub(super) fn step(&mut self) -> io::Result<Step> {
        if self.end == Some(self.pos) {
            return Ok(Step::End);
        }
        let here = self.fill(RECORD_HEADER_BYTES)?;
        let ahead = &self.buffer[here..self.filled];
        if ahead.iter().take(ALIGN_BYTES).all(|b| *b == 0) {
            return Ok(if self.end.is_some() { Step::Bad("zeros where a record should be") } else { Step::End });
        }
        if ahead.len() < RECORD_HEADER_BYTES {
            return Ok(Step::Bad("the record is cut off"));
        }
        let header = RecordHeader::read(ahead);
        if !is_plausible(&header, self.generation) {
            return Ok(Step::Bad("it is no record of this segment"));
        }
        let bytes = header.record_bytes();
        let record_end = self.pos + bytes as u64;
        if record_end > self.end.map_or_else(|| self.file.len(), Ok)? {
            return Ok(Step::Bad("the record is cut off"));
        }
        let here = self.fill(bytes)?;
        match self.buffer[..self.filled].get(here..here + bytes) {
            None => return Ok(Step::Bad("the record is cut off")),
            Some(record) if !is_whole(record) => return Ok(Step::Bad("the record's checksum is wrong")),
            Some(_) => {}
        }
        let payload_at = here + RECORD_HEADER_BYTES;
        self.payload = payload_at..payload_at + header.payload_bytes as usize;
        self.pos = record_end;
        Ok(Step::Record(header))
    }

    /// Has at least `wanted` bytes from the place on in the buffer, fewer only at the end of the file; says where the
    /// place is in it.
    fn fill(&mut self, wanted: usize) -> io::Result<usize> {
        let here = usize::try_from(self.pos - self.buffer_at).unwrap_or(usize::MAX).min(self.filled);
        if self.filled - here >= wanted {
            return Ok(here);
        }
        self.buffer.copy_within(here..self.filled, 0);
        self.filled -= here;
        self.buffer_at = self.pos;
        if self.buffer.len() < wanted.max(CHUNK_BYTES) {
            let mut larger = vec![0; wanted.max(CHUNK_BYTES)];
            larger[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
            self.buffer = larger;
        }
        self.filled += self.file.read_at(self.buffer_at + self.filled as u64, &mut self.buffer[self.filled..])?;
        Ok(0)
    }
}

fn is_plausible(header: &RecordHeader, generation: u32) -> bool {
    header.generation == generation && (1..=PAYLOAD_BYTES_MAX).contains(&(header.payload_bytes as usize))
}

/// What lies behind a place where the records seem to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// No record of this segment.
    Nothing,
    /// Whole records, but of the commit that ended here: the power went during it.
    SameCommit,
    /// A whole record of a later commit: what is missing here was synced once.
    LaterCommit { seq: u64 },
}

/// Looks for whole records behind `bad_at`, to the end of the file.
///
/// # Errors
/// What the disk says.
pub(super) fn look_behind(file: &impl DiskFile, generation: u32, bad_at: u64) -> io::Result<Behind> {
    let mut same_commit = false;
    let later = find_record(file, generation, bad_at, |at, header| {
        let is_later = at.saturating_sub(u64::from(header.back)) > bad_at;
        same_commit |= !is_later;
        is_later
    })?;
    Ok(match later {
        Some((_, header)) => Behind::LaterCommit { seq: header.seq },
        None if same_commit => Behind::SameCommit,
        None => Behind::Nothing,
    })
}

/// The first whole record behind `bad_at` that is wanted, and where it begins.
///
/// # Errors
/// What the disk says.
pub(super) fn find_record(
    file: &impl DiskFile,
    generation: u32,
    bad_at: u64,
    mut is_wanted: impl FnMut(u64, &RecordHeader) -> bool,
) -> io::Result<Option<(u64, RecordHeader)>> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut chunk_at = bad_at + ALIGN_BYTES as u64;
    loop {
        let n = file.read_at(chunk_at, &mut chunk)?;
        let mut at = 0;
        while at + RECORD_HEADER_BYTES <= n {
            let header = RecordHeader::read(&chunk[at..]);
            let record_at = chunk_at + at as u64;
            let mut bytes = ALIGN_BYTES;
            if is_plausible(&header, generation) && is_whole_at(file, record_at, &header)? {
                if is_wanted(record_at, &header) {
                    return Ok(Some((record_at, header)));
                }
                bytes = header.record_bytes();
            }
            at += bytes;
        }
        if n < chunk.len() {
            return Ok(None);
        }
        chunk_at += at as u64;
    }
}

fn is_whole_at(file: &impl DiskFile, at: u64, header: &RecordHeader) -> io::Result<bool> {
    if at + header.record_bytes() as u64 > file.len()? {
        return Ok(false);
    }
    let mut record = vec![0; header.record_bytes()];
    Ok(file.read_at(at, &mut record)? == record.len() && is_whole(&record))
}
