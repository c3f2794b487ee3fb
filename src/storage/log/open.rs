//! Opening: looks at the folder, finds where the newest segment ends, cuts a torn tail.

use std::io;

use super::batch::Batch;
use super::commit::{Active, new_segment, write_zeros};
use super::folder::{TEMPORARY, segment_name, survey};
use super::format::{KIND_FACTS, RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::scan::{Behind, Scanner, Step, find_record, look_behind};
use super::{Log, LogError, LogOptions, OpenReport, SkipDamage, io_error};
use crate::model::Time;
use crate::storage::disk::{Disk, DiskFile};
use crate::storage::record::RECORD_VERSION;

pub(super) fn open<D: Disk>(disk: D, options: LogOptions, skip: SkipDamage) -> Result<(Log<D>, OpenReport), LogError> {
    let found = survey(&disk)?;
    let closed = found.closed().collect();
    let newest = found.segments.last().map(|header| header.first_seq);
    if let Some(fault) = found.faults.into_iter().find(|fault| !skip.covers(fault, newest)) {
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
        Some(newest) => open_newest(&disk, *newest, &skip)?,
        None => (new_segment(&disk, TEMPORARY, FIRST)?, 0, 0),
    };
    sync_folder()?;
    let batch = Batch::new(last_seq + 1);
    let log = Log { disk, options, closed, active, batch, last_seq, spare: found.spare, sealed: None, skip };
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
fn open_newest<D: Disk>(disk: &D, header: SegmentHeader, skip: &SkipDamage) -> Result<(Active<D::File>, u64, u64), LogError> {
    let name = segment_name(header.first_seq);
    let file = disk.open(&name, false).map_err(io_error("opening", &name))?;
    let file_bytes = file.len().map_err(io_error("measuring", &name))?;
    let mut scanner = Scanner::new(file, header.generation, header.records_at, None);
    let mut next_seq = header.first_seq;
    let mut last_time = header.before_time;
    let mut commit_at = header.records_at;
    let (stop, behind) = loop {
        let at = scanner.pos();
        let stop = match scanner.step().map_err(io_error("reading", &name))? {
            Step::Record(record) => {
                next_seq = check_facts(&record, &name, at, next_seq)?;
                last_time = record.time;
                commit_at = at.saturating_sub(u64::from(record.back));
                continue;
            }
            stop => stop,
        };
        let behind = look_behind(scanner.file(), header.generation, at).map_err(io_error("reading", &name))?;
        let Behind::LaterCommit { seq } = behind else { break (stop, behind) };
        match find_facts(scanner.file(), &header, at, next_seq).map_err(io_error("reading", &name))? {
            Some((sound_at, sound_seq)) if skip.allows(&name) => {
                scanner.go_to(sound_at);
                next_seq = sound_seq;
            }
            _ => {
                let what = lost_before(stop, seq);
                return Err(LogError::Damaged { file: name, offset: at, after_seq: next_seq - 1, what });
            }
        }
    };
    let end = scanner.pos();
    let mut file = scanner.into_file();
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

/// The next whole record of facts behind a bad place, and its sequence, which is not before `next_seq`.
pub(super) fn find_facts(
    file: &impl DiskFile,
    header: &SegmentHeader,
    bad_at: u64,
    next_seq: u64,
) -> io::Result<Option<(u64, u64)>> {
    let found = find_record(file, header.generation, bad_at, |_, record| record.kind == KIND_FACTS && record.seq >= next_seq)?;
    Ok(found.map(|(at, record)| (at, record.seq)))
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
