//! The files of the log folder: their names, and whether they fit together.

use super::format::{HeaderFault, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::{LogError, SegmentInfo, io_error};
use crate::model::Time;
use crate::storage::disk::{Disk, DiskFile};
use crate::storage::record::RECORD_VERSION;

/// A former segment that waits to be used again.
pub(super) const SPARE: &str = "spare";
/// A segment in the making. One that is found at the start was never part of the log.
pub(super) const TEMPORARY: &str = "new.tmp";

/// A segment that takes no more records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed {
    pub(super) header: SegmentHeader,
    pub(super) bytes: u64,
    pub(super) last_seq: u64,
    pub(super) last_time: Time,
    /// Whether the segment behind it is there; where it is missing, nobody knows where this one should end.
    pub(super) followed: bool,
}

impl Closed {
    pub(super) fn info(&self) -> SegmentInfo {
        SegmentInfo {
            file: segment_name(self.header.first_seq),
            bytes: self.bytes,
            first_seq: self.header.first_seq,
            last_seq: self.last_seq,
            last_time: self.last_time,
            checkpoint: self.header.has_checkpoint(),
        }
    }
}

/// The name of the segment that begins with this sequence.
pub(super) fn segment_name(first_seq: u64) -> String {
    format!("{first_seq:020}.log")
}

/// The name of the empty file that says that the log begins at this sequence, and that older segments are to be removed.
/// It is made before they are, so that a power cut in between leaves no log that begins without a checkpoint.
pub(super) fn begin_name(first_seq: u64) -> String {
    format!("{first_seq:020}.begin")
}

fn seq_of(name: &str) -> Option<u64> {
    name.split('.').next()?.parse().ok().filter(|seq| *seq > 0)
}

/// What lies in the log folder.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Segments with a good header, oldest first.
    pub(super) segments: Vec<SegmentHeader>,
    /// Bytes of each of them.
    lengths: Vec<u64>,
    pub(super) spare: bool,
    pub(super) temporary: bool,
    /// Where the log begins: 1, or where segments were let go last.
    pub(super) begin: u64,
    /// Files of segments that were let go, and marks of former beginnings.
    pub(super) leftovers: Vec<String>,
    /// Everything that is wrong with names, headers and lengths.
    pub(super) faults: Vec<LogError>,
}

impl Survey {
    /// All segments but the newest.
    pub(super) fn closed(&self) -> impl Iterator<Item = Closed> + '_ {
        self.segments.windows(2).zip(&self.lengths).map(|(pair, length)| {
            let followed = pair[1].before_seq == pair[0].first_seq;
            Closed {
                header: pair[0],
                bytes: if followed { pair[1].before_bytes } else { *length },
                last_seq: pair[1].first_seq - 1,
                last_time: pair[1].before_time,
                followed,
            }
        })
    }
}

/// Looks at the folder: names, headers, lengths, and whether each segment follows on the one before.
///
/// # Errors
/// What the disk says. Everything that is wrong with the files themselves is in [`Survey::faults`].
pub(super) fn survey<D: Disk>(disk: &D) -> Result<Survey, LogError> {
    let names = disk.list().map_err(io_error("listing", "the log folder"))?;
    let begin = names.iter().filter_map(|name| seq_of(name).filter(|seq| begin_name(*seq) == *name)).max().unwrap_or(1);
    let mut survey = Survey { begin, ..Survey::default() };
    for name in names {
        match (name.as_str(), seq_of(&name)) {
            (SPARE, _) => survey.spare = true,
            (TEMPORARY, _) => survey.temporary = true,
            (_, Some(seq)) if segment_name(seq) == name || begin_name(seq) == name => {
                if seq < begin {
                    survey.leftovers.push(name);
                } else if segment_name(seq) == name {
                    let file = disk.open(&name, false).map_err(io_error("opening", &name))?;
                    match read_header(&file, &name, seq)? {
                        Ok(header) => {
                            survey.segments.push(header);
                            survey.lengths.push(file.len().map_err(io_error("measuring", &name))?);
                        }
                        Err(fault) => survey.faults.push(fault),
                    }
                }
            }
            _ => survey.faults.push(LogError::Foreign { file: name }),
        }
    }
    check_chain(&mut survey);
    Ok(survey)
}

fn read_header(file: &impl DiskFile, name: &str, seq: u64) -> Result<Result<SegmentHeader, LogError>, LogError> {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    let n = file.read_at(0, &mut bytes).map_err(io_error("reading", name))?;
    let damaged = |what: String| LogError::Damaged { file: name.to_owned(), offset: 0, after_seq: seq - 1, what };
    Ok(match SegmentHeader::from_bytes(&bytes[..n]) {
        Ok(header) if header.first_seq == seq => Ok(header),
        Ok(header) => Err(damaged(format!("it is a copy of, or was, {}", segment_name(header.first_seq)))),
        Err(HeaderFault::Damaged(what)) => Err(damaged(what.to_owned())),
        Err(HeaderFault::Newer(version)) => Err(LogError::Newer {
            file: name.to_owned(),
            version: u8::try_from(version).unwrap_or(u8::MAX),
            known: RECORD_VERSION,
        }),
    })
}

/// Holds each segment against what the next one's header says of it.
fn check_chain(survey: &mut Survey) {
    let mut faults = Vec::new();
    let mut damaged = |first_seq: u64, offset: u64, after_seq: u64, what: String| {
        faults.push(LogError::Damaged { file: segment_name(first_seq), offset, after_seq, what });
    };
    let (begin, oldest) = (survey.begin, survey.segments.first());
    // With other faults, the oldest segment may be there and unreadable.
    let is_new = begin == 1 && oldest.is_none() && !survey.spare;
    if survey.faults.is_empty() && !is_new && oldest.is_none_or(|oldest| oldest.first_seq != begin) {
        damaged(begin, 0, begin - 1, "missing; the log begins with it".to_owned());
    }
    if let Some(oldest) = oldest.filter(|oldest| oldest.first_seq == begin && begin > 1 && !oldest.has_checkpoint()) {
        damaged(oldest.first_seq, 0, begin - 1, "the log begins with it, yet it has no checkpoint".to_owned());
    }
    for (pair, bytes) in survey.segments.windows(2).zip(&survey.lengths) {
        let (before, next) = (pair[0], pair[1]);
        if next.before_seq != before.first_seq {
            let what = format!("missing; {} follows on it", segment_name(next.first_seq));
            damaged(next.before_seq, 0, next.before_seq.saturating_sub(1), what);
        } else if next.before_bytes != *bytes {
            let what = format!("the file has {bytes} bytes where it had {}", next.before_bytes);
            damaged(before.first_seq, next.before_bytes.min(*bytes), before.first_seq - 1, what);
        }
    }
    for (header, bytes) in survey.segments.iter().zip(&survey.lengths) {
        if header.records_at > *bytes {
            let what = "the file ends within its checkpoint".to_owned();
            damaged(header.first_seq, *bytes, header.first_seq - 1, what);
        }
    }
    survey.faults.append(&mut faults);
}
