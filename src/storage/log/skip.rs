//! Damage that an operator has given up, named segment by segment.
//!
//! A damaged log is refused. Who cannot restore the files may name the segments whose damage is to be passed over; nothing else
//! is, so the permission for one damage never covers the next. What is passed over stays where it is, and [`super::verify()`]
//! names it as before.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::LogError;
use super::folder::segment_name;

/// The segments whose damage is passed over; none by default.
#[derive(Clone, Debug, Default)]
pub struct SkipDamage {
    files: Arc<[String]>,
}

impl SkipDamage {
    /// Segments by the names that checking the log gives them.
    #[must_use]
    pub fn in_segments(files: Vec<String>) -> SkipDamage {
        SkipDamage { files: files.into() }
    }

    pub(super) fn allows(&self, file: &str) -> bool {
        self.files.iter().any(|named| named == file)
    }

    /// Whether a fault of the folder may be passed over: only one of a segment before the newest sound one. Of the newest
    /// nobody knows how many facts it had, and without its end new facts would take positions that others have had.
    pub(super) fn covers(&self, fault: &LogError, newest: Option<u64>) -> bool {
        let newest = newest.map(segment_name);
        matches!(fault, LogError::Damaged { file, .. } if self.allows(file) && newest.is_some_and(|newest| *file < newest))
    }
}

/// A stretch of the log that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub file: String,
    /// Empty for a segment that is missing, or whose header cannot be read: all of it.
    pub bytes: Range<u64>,
    pub first_seq: u64,
    /// Less than the first when no fact is lost.
    pub last_seq: u64,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Skipped { file, bytes, first_seq, last_seq } = self;
        if bytes.is_empty() {
            write!(f, "all of {file}, sequence {first_seq} to {last_seq}")
        } else {
            write!(f, "bytes {} to {} of {file}, sequence {first_seq} to {last_seq}", bytes.start, bytes.end)
        }
    }
}
