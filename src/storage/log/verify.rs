//! Checking a log: every byte of it, changing nothing.

use super::folder::segment_name;
use super::read::{LogReader, Piece, patient_survey, pieces};
use super::{LogError, LogItem, SkipDamage};
use crate::storage::disk::Disk;

/// What checking found.
#[derive(Debug, Default)]
pub struct Verification {
    /// Every segment whose header can be read, oldest first.
    pub segments: Vec<SegmentCheck>,
    /// What is wrong with the folder: names, headers, lengths, gaps.
    pub folder_faults: Vec<LogError>,
}

/// What checking found in one segment.
#[derive(Debug)]
pub struct SegmentCheck {
    pub file: String,
    pub first_seq: u64,
    /// The last good one; one less than the first when there is none.
    pub last_seq: u64,
    pub records: u64,
    pub facts: u64,
    /// Parts of the checkpoint at its beginning.
    pub entities: u64,
    /// What is wrong; nothing behind it was looked at.
    pub fault: Option<LogError>,
}

impl Verification {
    /// Everything that is wrong.
    pub fn faults(&self) -> impl Iterator<Item = &LogError> {
        self.folder_faults.iter().chain(self.segments.iter().filter_map(|segment| segment.fault.as_ref()))
    }
}

/// Reads every segment of a log, also of one that a running daemon writes.
///
/// # Errors
/// When the folder cannot be looked at. Damage is in the answer.
pub fn verify<D: Disk>(disk: &D) -> Result<Verification, LogError> {
    verify_telling(disk, &mut |_, _| {})
}

/// As [`verify`]; `tell` hears how many segments are read, out of how many, before each of them and at the end.
///
/// # Errors
/// As [`verify`].
pub fn verify_telling<D: Disk>(disk: &D, tell: &mut dyn FnMut(usize, usize)) -> Result<Verification, LogError> {
    let found = patient_survey(disk)?;
    let pieces = pieces(&found);
    let count = pieces.len();
    let mut segments = Vec::with_capacity(count);
    for piece in pieces {
        tell(segments.len(), count);
        segments.push((piece.header, check(disk, piece)));
    }
    tell(count, count);
    if segments.iter().any(|(_, check)| check.fault.is_some()) {
        // A segment that a running daemon let go meanwhile, or is using again, is no damage.
        let still = patient_survey(disk)?.segments;
        segments.retain(|(header, check)| check.fault.is_none() || still.contains(header));
    }
    Ok(Verification { segments: segments.into_iter().map(|(_, check)| check).collect(), folder_faults: found.faults })
}

fn check<D: Disk>(disk: &D, piece: Piece) -> SegmentCheck {
    let first_seq = piece.header.first_seq;
    let mut check = SegmentCheck {
        file: segment_name(first_seq),
        first_seq,
        last_seq: first_seq - 1,
        records: 0,
        facts: 0,
        entities: 0,
        fault: None,
    };
    // From before the first sequence, so that the checkpoint is read too.
    match LogReader::new(disk, vec![piece], first_seq - 1, &SkipDamage::default()) {
        Err(fault) => check.fault = Some(fault),
        Ok(reader) => {
            for item in reader {
                match item {
                    Ok(LogItem::Entity(_)) => check.entities += 1,
                    Ok(LogItem::Record(record)) => {
                        check.records += 1;
                        check.facts += record.facts.len() as u64;
                        check.last_seq += record.facts.len() as u64;
                    }
                    // Checking passes over nothing.
                    Ok(LogItem::Skipped(_)) => {}
                    Err(fault) => check.fault = Some(fault),
                }
            }
        }
    }
    check
}
