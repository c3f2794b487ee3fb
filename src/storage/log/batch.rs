//! Records that wait for their commit, as the bytes that will be written.

use super::LogError;
use super::format::{self, KIND_FACTS, PAYLOAD_BYTES_MAX, RECORD_HEADER_BYTES, RecordHeader};
use crate::engine::Fact;
use crate::model::Time;
use crate::storage::record::{RECORD_VERSION, encode_facts};

/// Memory that the batch keeps between commits.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// One batch; its memory is used again.
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Where each record begins.
    starts: Vec<usize>,
    next_seq: u64,
    last_time: Time,
    /// Why this batch cannot be committed.
    fault: Option<LogError>,
}

impl Batch {
    /// An empty batch whose first record will have this sequence.
    pub(super) fn new(next_seq: u64) -> Batch {
        Batch { bytes: Vec::new(), starts: Vec::new(), next_seq, last_time: Time(0), fault: None }
    }

    /// Empties it.
    pub(super) fn begin(&mut self, next_seq: u64) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES_MAX);
        self.starts.clear();
        self.next_seq = next_seq;
        self.fault = None;
    }

    pub(super) fn append(&mut self, first_seq: u64, time: Time, facts: &[Fact]) {
        if facts.is_empty() || self.fault.is_some() {
            return;
        }
        if first_seq != self.next_seq {
            self.fault = Some(LogError::OutOfOrder { expected: self.next_seq, got: first_seq });
            return;
        }
        let Ok(count) = u32::try_from(facts.len()) else {
            self.fault = Some(LogError::TooLarge { bytes: facts.len(), most: PAYLOAD_BYTES_MAX });
            return;
        };
        let start = self.bytes.len();
        let header = RecordHeader {
            payload_bytes: 0,
            generation: 0,
            // A batch is far below 4 GiB: the runtime bounds what waits.
            back: u32::try_from(start).unwrap_or(u32::MAX),
            seq: first_seq,
            time,
            count,
            version: RECORD_VERSION,
            kind: KIND_FACTS,
        };
        if let Err(fault) = put_record(&mut self.bytes, header, |bytes| encode_facts(facts, bytes)) {
            self.fault = Some(fault);
            return;
        }
        if header.back == u32::MAX {
            self.fault = Some(LogError::TooLarge { bytes: self.bytes.len(), most: u32::MAX as usize });
            return;
        }
        self.starts.push(start);
        self.next_seq += u64::from(count);
        self.last_time = time;
    }

    pub(super) fn take_fault(&mut self) -> Option<LogError> {
        self.fault.take()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Bytes of all records.
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The sequence behind its last record.
    pub(super) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The time of its last record.
    pub(super) fn last_time(&self) -> Time {
        self.last_time
    }

    /// The records, complete for this segment, with as many zeros behind them.
    pub(super) fn finish(&mut self, generation: u32, zeros: usize) -> &[u8] {
        let length = self.bytes.len();
        for (i, start) in self.starts.iter().enumerate() {
            let end = self.starts.get(i + 1).copied().unwrap_or(length);
            format::stamp(&mut self.bytes[*start..end], generation);
        }
        self.bytes.resize(length + zeros, 0);
        &self.bytes
    }
}

/// Appends one record, complete but for generation and CRC.
///
/// # Errors
/// `TooLarge`; `bytes` is then as it was.
pub(super) fn put_record(
    bytes: &mut Vec<u8>,
    mut header: RecordHeader,
    payload: impl FnOnce(&mut Vec<u8>),
) -> Result<(), LogError> {
    let start = bytes.len();
    bytes.resize(start + RECORD_HEADER_BYTES, 0);
    payload(bytes);
    let payload_bytes = bytes.len() - start - RECORD_HEADER_BYTES;
    match u32::try_from(payload_bytes) {
        Ok(n) if payload_bytes <= PAYLOAD_BYTES_MAX => header.payload_bytes = n,
        _ => {
            bytes.truncate(start);
            return Err(LogError::TooLarge { bytes: payload_bytes, most: PAYLOAD_BYTES_MAX });
        }
    }
    bytes.resize(start + format::record_bytes(payload_bytes), 0);
    header.write(&mut bytes[start..]);
    Ok(())
}
