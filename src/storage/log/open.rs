//! Opening: looks at the folder, finds where the newest segment ends, cuts a torn tail.

use super::batch::Batch;
use super::commit::{Active, new_segment, write_zeros};
use super::folder::{TEMPORARY, segment_name, survey};
use super::format::{KIND_FACTS, RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::scan::{Behind, Scanner, Step, look_behind};
use super::{Log, LogError, LogOptions, OpenReport, io_error};
use crate::model::Time;
use crate::storage::disk::{Disk, DiskFile};
use crate::storage::record::RECORD_VERSION;

pub(super) fn open<D: Disk>(disk: D, options: LogOptions) -> Result<(Log<D>, OpenReport), LogError> {
    let found = survey(&disk)?;
    let closed = found.closed().collect();
    if let Some(fault) = found.faults.into_iter().next() {
        return Err(fault);
    }
    let sync_folder = || disk.sync_folder().map_err(io_error("syncing", "the log folder"));
    // What a killed process made or renamed and did not sync must not vanish after it has been acted upon.
    sync_folder()?;
    let temporary = found.temporary.then(|| TEMPORARY.to_owned());
    for name in found.leftovers.into_iter().chain(temporary) {
        disk.remove(&name).map_err(io_error("removing", &name))?;
    }
    let (active, last_seq, torn_bytes) = match found.segments.last() {
        Some(newest) => open_newest(&disk, *newest)?,
        None => (new_segment(&disk, TEMPORARY, FIRST)?, 0, 0),
    };
    sync_folder()?;
    let log = Log { disk, options, closed, active, batch: Batch::new(last_seq + 1), last_seq, spare: found.spare, sealed: None };
    let report = OpenReport { last_seq, last_time: log.active.last_time, segments: log.closed.len() + 1, torn_bytes };
    Ok((log, report))
}

/// The header of the first segment of all.
const FIRST: SegmentHeader = SegmentHeader {
    first_seq: 1,
    generation: 1,
    entities: 0,
    records_at: SEGMENT_HEADER_BYTES as u64,
    before_seq: 0,
    before_bytes: 0,
    before_time: Time(0),
};

/// Opens the newest segment; says its last sequence and how many bytes were torn.
fn open_newest<D: Disk>(disk: &D, header: SegmentHeader) -> Result<(Active<D::File>, u64, u64), LogError> {
    let name = segment_name(header.first_seq);
    let file = disk.open(&name, false).map_err(io_error("opening", &name))?;
    let file_bytes = file.len().map_err(io_error("measuring", &name))?;
    let mut scanner = Scanner::new(file, header.generation, header.records_at, None);
    let mut next_seq = header.first_seq;
    let mut last_time = header.before_time;
    let mut commit_at = header.records_at;
    let stop = loop {
        let at = scanner.pos();
        match scanner.step().map_err(io_error("reading", &name))? {
            Step::Record(record) => {
                next_seq = check_facts(&record, &name, at, next_seq)?;
                last_time = record.time;
                commit_at = at.saturating_sub(u64::from(record.back));
            }
            stop => break stop,
        }
    };
    let end = scanner.pos();
    let mut file = scanner.into_file();
    let behind = look_behind(&file, header.generation, end).map_err(io_error("reading", &name))?;
    if let Behind::LaterCommit { seq } = behind {
        let what = lost_before(stop, seq);
        return Err(LogError::Damaged { file: name, offset: end, after_seq: next_seq - 1, what });
    }
    let torn = matches!(stop, Step::Bad(_)) || behind == Behind::SameCommit;
    if torn {
        // Zeros to the very end: nothing of the torn commit may come to stand behind a later one.
        write_zeros(&mut file, end, file_bytes).map_err(io_error("cutting the torn tail of", &name))?;
    }
    // Also what a killed process wrote and did not sync must not vanish after it has been read. Its sync may even have
    // failed, and then a second one does nothing; so the last commit is written again before it is synced.
    let mut last_commit = vec![0; usize::try_from(end - commit_at).unwrap_or(0)];
    file.read_at(commit_at, &mut last_commit).map_err(io_error("reading", &name))?;
    file.write_at(commit_at, &last_commit).map_err(io_error("writing", &name))?;
    file.sync().map_err(io_error("syncing", &name))?;
    let torn_bytes = if torn { file_bytes - end } else { 0 };
    Ok((Active { file, header, end, file_bytes, last_time }, next_seq - 1, torn_bytes))
}

/// Says what is wrong at a bad place that a later commit lies behind.
pub(super) fn lost_before(stop: Step, later_seq: u64) -> String {
    let here = if let Step::Bad(what) = stop { what } else { "zeros where a record should be" };
    format!("{here}, yet a later commit, of sequence {later_seq}, stands behind it")
}

/// Checks that a record holds the facts that come next; says the sequence behind it.
///
/// # Errors
/// `Newer`; `Damaged` for a record of another kind, and for one that does not follow on the one before.
pub(super) fn check_facts(record: &RecordHeader, file: &str, offset: u64, next_seq: u64) -> Result<u64, LogError> {
    check_version(record, file)?;
    let damaged = |what: String| LogError::Damaged { file: file.to_owned(), offset, after_seq: next_seq - 1, what };
    if record.kind != KIND_FACTS || record.count == 0 {
        return Err(damaged(format!("a record of kind {} where facts should be", record.kind)));
    }
    if record.seq != next_seq {
        return Err(damaged(format!("sequence {} where {next_seq} should be", record.seq)));
    }
    Ok(next_seq + u64::from(record.count))
}

pub(super) fn check_version(record: &RecordHeader, file: &str) -> Result<(), LogError> {
    if record.version > RECORD_VERSION {
        return Err(LogError::Newer { file: file.to_owned(), version: record.version, known: RECORD_VERSION });
    }
    Ok(())
}
