//! The bytes of a segment file. All numbers are little-endian. CRCs are CRC-32/ISO-HDLC (polynomial 0x04C11DB7 reflected
//! to 0xEDB88320, begun and ended with all ones), as in zip and Ethernet.
//!
//! A segment file is named by the sequence of the first fact that it may hold, `00000000000000000001.log`: a header, then
//! (in one made by a checkpoint) the checkpoint, then records, each at a multiple of 8 bytes, until eight zero bytes or
//! the end of the file. What lies behind the eight zeros of the newest segment is zeros, or what the file held in an
//! earlier life; a closed segment ends with its last record.
//!
//! Beside segments the folder may hold `spare` (a former segment that waits to be used again), `new.tmp` (a segment in
//! the making, worthless after a crash) and an empty `00000000000000000042.begin` (the log begins at 42: older segments
//! were let go, and those that are still there are to be removed). Anything else does not belong there.
//!
//! | at | bytes | header of a segment |
//! | ---: | ---: | --- |
//! | 0 | 8 | `QUELLSEG` |
//! | 8 | 2 | version of this format: 1 |
//! | 10 | 2 | zero |
//! | 12 | 4 | CRC of the header's other 60 bytes |
//! | 16 | 8 | first sequence, as in the file's name |
//! | 24 | 4 | generation: one more than that of the segment made before. Records carry it, so that those of a file's earlier life are never taken for new ones |
//! | 28 | 4 | entities in the checkpoint at its beginning |
//! | 32 | 8 | where the records begin: 64, or behind the checkpoint |
//! | 40 | 8 | first sequence of the segment before; 0 when there was none |
//! | 48 | 8 | bytes of the segment before |
//! | 56 | 8 | time of the last record before, milliseconds since 1970 |
//!
//! | at | bytes | record |
//! | ---: | ---: | --- |
//! | 0 | 4 | bytes of the payload, never 0 |
//! | 4 | 4 | CRC of bytes 0 to 4, then of everything from byte 8 to the end of the padding |
//! | 8 | 4 | generation of the segment |
//! | 12 | 4 | bytes back to the beginning of the commit that this record belongs to; 0 in a checkpoint |
//! | 16 | 8 | sequence of its first fact; in a checkpoint, of the last fact that the state includes |
//! | 24 | 8 | time, milliseconds since 1970 |
//! | 32 | 4 | number of facts; for a checkpoint's end, of entities |
//! | 36 | 1 | version of the payload's form |
//! | 37 | 1 | kind: 1 facts, 2 entity, 3 end of the checkpoint |
//! | 38 | 2 | zero |
//! | 40 | | payload as [`crate::storage::record`] writes it (a checkpoint's end: one zero byte), then zeros to a multiple of 8 |
//!
//! A real record, the first of a log, `Created { directory: "demo" }` at 2026-01-05T00:00:00Z in generation 1:
//!
//! ```text
//! 09000000 5d3ef8b9 01000000 00000000     9 bytes; CRC; generation 1; begins its commit
//! 0100000000000000 0018748b9b010000       sequence 1; 1,767,571,200,000 ms
//! 01000000 01 01 0000                     one fact; version 1; kind 1
//! 81 81 82 01 64 64656d6f                 [[[1, "demo"]]]
//! 00000000000000                          padding
//! ```
//!
//! Why a record points back to its commit: of a commit that was under way when the power went, any part may be on the
//! disk, so a bad record with good ones behind it can be an innocent torn tail. But a commit is only begun when the one
//! before is synced. So a good record of a *later* commit behind a bad place proves damage.

use crate::model::Time;

/// Bytes of a segment's header.
pub(super) const SEGMENT_HEADER_BYTES: usize = 64;
/// Bytes of a record before its payload.
pub(super) const RECORD_HEADER_BYTES: usize = 40;
/// Records begin at multiples of this; as many zero bytes end a segment.
pub(super) const ALIGN_BYTES: usize = 8;
/// A payload longer than this is refused, so that a damaged length cannot ask for all memory.
pub(super) const PAYLOAD_BYTES_MAX: usize = 1 << 28;
/// The version of the segments that this program writes.
pub(super) const FORMAT_VERSION: u16 = 1;

const MAGIC: &[u8; 8] = b"QUELLSEG";

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) first_seq: u64,
    pub(super) generation: u32,
    /// Entities in the checkpoint at its beginning.
    pub(super) entities: u32,
    /// Where the records begin; more than the header only behind a checkpoint.
    pub(super) records_at: u64,
    /// First sequence of the segment before; 0 when there was none.
    pub(super) before_seq: u64,
    /// Bytes of the segment before.
    pub(super) before_bytes: u64,
    /// Time of the last record before.
    pub(super) before_time: Time,
}

/// Why 64 bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderFault {
    Damaged(&'static str),
    Newer(u16),
}

impl SegmentHeader {
    pub(super) fn to_bytes(self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_seq.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.generation.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.entities.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.records_at.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.before_seq.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.before_bytes.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.before_time.0.to_le_bytes());
        let crc = header_crc(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<SegmentHeader, HeaderFault> {
        if bytes.len() < SEGMENT_HEADER_BYTES {
            return Err(HeaderFault::Damaged("shorter than a segment's header"));
        }
        if bytes.iter().take(SEGMENT_HEADER_BYTES).all(|b| *b == 0) {
            return Err(HeaderFault::Damaged("zeros where the segment's header should be"));
        }
        if &bytes[0..8] != MAGIC {
            return Err(HeaderFault::Damaged("it does not begin as a segment does"));
        }
        if u32_at(bytes, 12) != header_crc(&bytes[..SEGMENT_HEADER_BYTES]) {
            return Err(HeaderFault::Damaged("the checksum of the segment's header is wrong"));
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version > FORMAT_VERSION {
            return Err(HeaderFault::Newer(version));
        }
        Ok(SegmentHeader {
            first_seq: u64_at(bytes, 16),
            generation: u32_at(bytes, 24),
            entities: u32_at(bytes, 28),
            records_at: u64_at(bytes, 32),
            before_seq: u64_at(bytes, 40),
            before_bytes: u64_at(bytes, 48),
            before_time: Time(i64_at(bytes, 56)),
        })
    }

    /// Whether it begins with a checkpoint.
    pub(super) fn has_checkpoint(&self) -> bool {
        self.records_at > SEGMENT_HEADER_BYTES as u64
    }
}

/// The kinds of records, by number.
pub(super) const KIND_FACTS: u8 = 1;
pub(super) const KIND_ENTITY: u8 = 2;
pub(super) const KIND_CHECKPOINT_END: u8 = 3;

/// A record but for its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) payload_bytes: u32,
    pub(super) generation: u32,
    /// Bytes back to the beginning of its commit.
    pub(super) back: u32,
    pub(super) seq: u64,
    pub(super) time: Time,
    pub(super) count: u32,
    pub(super) version: u8,
    pub(super) kind: u8,
}

impl RecordHeader {
    /// Writes the header, without CRC, into the first bytes of `record`.
    pub(super) fn write(&self, record: &mut [u8]) {
        record[0..4].copy_from_slice(&self.payload_bytes.to_le_bytes());
        record[8..12].copy_from_slice(&self.generation.to_le_bytes());
        record[12..16].copy_from_slice(&self.back.to_le_bytes());
        record[16..24].copy_from_slice(&self.seq.to_le_bytes());
        record[24..32].copy_from_slice(&self.time.0.to_le_bytes());
        record[32..36].copy_from_slice(&self.count.to_le_bytes());
        record[36] = self.version;
        record[37] = self.kind;
    }

    /// Reads the header at the beginning of `bytes`, which has at least [`RECORD_HEADER_BYTES`]. Believes everything.
    pub(super) fn read(bytes: &[u8]) -> RecordHeader {
        RecordHeader {
            payload_bytes: u32_at(bytes, 0),
            generation: u32_at(bytes, 8),
            back: u32_at(bytes, 12),
            seq: u64_at(bytes, 16),
            time: Time(i64_at(bytes, 24)),
            count: u32_at(bytes, 32),
            version: bytes[36],
            kind: bytes[37],
        }
    }

    /// Bytes of the whole record with its padding.
    pub(super) fn record_bytes(&self) -> usize {
        record_bytes(self.payload_bytes as usize)
    }
}

/// Bytes of a whole record with a payload of this length.
pub(super) fn record_bytes(payload_bytes: usize) -> usize {
    (RECORD_HEADER_BYTES + payload_bytes).next_multiple_of(ALIGN_BYTES)
}

/// Puts generation and CRC into a record that is otherwise complete. The generation comes last because only the commit
/// knows into which segment the record goes.
pub(super) fn stamp(record: &mut [u8], generation: u32) {
    record[8..12].copy_from_slice(&generation.to_le_bytes());
    let crc = record_crc(record);
    record[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Whether the CRC of a whole record is right.
pub(super) fn is_whole(record: &[u8]) -> bool {
    u32_at(record, 4) == record_crc(record)
}

fn record_crc(record: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&record[0..4]);
    crc.update(&record[8..]);
    crc.finalize()
}

fn header_crc(header: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[0..12]);
    crc.update(&header[16..]);
    crc.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    u64_at(bytes, at).cast_signed()
}
