//! Damage that is no torn tail: it is found, named with file and place, and never read as if it were nothing.

use quell::model::Time;
use quell::storage::disk::Disk;
use quell::storage::log::{Log, LogError, LogOptions, verify};
use quell::storage::record::RECORD_VERSION;

use super::{comment, meta};
use crate::disk::SimDisk;
use crate::random::Random;

pub(super) const SMALL: LogOptions = LogOptions { segment_bytes: 512 };
pub(super) const FIRST: &str = "00000000000000000001.log";
pub(super) const SECOND: &str = "00000000000000000007.log";
pub(super) const THIRD: &str = "00000000000000000013.log";

/// Three segments: two closed ones of six records, and the newest with the rest.
pub(super) fn three_segments() -> SimDisk {
    let disk = SimDisk::default();
    let (mut log, _) = Log::open(disk.clone(), SMALL).unwrap();
    for seq in 1..=16 {
        log.append(seq, Time(1), &[comment("some words to read")]);
        log.commit().unwrap();
    }
    let names: Vec<_> = log.segments().into_iter().map(|segment| segment.file).collect();
    assert_eq!(names, [FIRST, SECOND, THIRD]);
    disk
}

/// Opens and reads everything; the first error.
fn first_error(disk: &SimDisk) -> Option<LogError> {
    match Log::open(disk.copy(), SMALL) {
        Err(e) => Some(e),
        Ok((log, _)) => match log.read(0) {
            Err(e) => Some(e),
            Ok(mut reader) => reader.find_map(Result::err),
        },
    }
}

/// Everything that checking finds, as text.
fn found(disk: &SimDisk) -> Vec<String> {
    let before: Vec<_> = disk.list().unwrap().iter().map(|name| disk.bytes(name)).collect();
    let faults: Vec<_> = verify(disk).unwrap().faults().map(ToString::to_string).collect();
    let after: Vec<_> = disk.list().unwrap().iter().map(|name| disk.bytes(name)).collect();
    assert_eq!(before, after, "checking changes nothing");
    faults
}

#[test]
fn a_flipped_bit_in_any_byte_of_a_closed_segment_is_found() {
    let whole = three_segments();
    assert_eq!(found(&whole), Vec::<String>::new());
    let mut random = Random::new(7);
    for name in [FIRST, SECOND] {
        for at in 0..whole.bytes(name).len() {
            let disk = whole.copy();
            disk.edit(name, |bytes| bytes[at] ^= 1 << random.below(8));
            let faults = found(&disk);
            assert!(faults.iter().any(|fault| fault.starts_with(name)), "byte {at} of {name}: {faults:?}");
            assert!(first_error(&disk).is_some(), "byte {at} of {name} was read as if nothing were wrong");
        }
    }
}

#[test]
fn a_closed_segment_of_any_other_length_is_found() {
    let whole = three_segments();
    for length in 0..whole.bytes(FIRST).len() {
        let disk = whole.copy();
        disk.edit(FIRST, |bytes| bytes.truncate(length));
        assert!(found(&disk).iter().any(|fault| fault.starts_with(FIRST)), "{length}");
        assert!(first_error(&disk).is_some(), "{length}");
    }
    let disk = whole.copy();
    disk.edit(FIRST, |bytes| bytes.resize(bytes.len() + 8, 0));
    assert!(first_error(&disk).is_some());
}

#[test]
fn each_damage_is_named() {
    type Edit = fn(&SimDisk);
    let cases: [(Edit, &str); 10] = [
        (
            |disk| disk.remove(SECOND).unwrap(),
            "00000000000000000007.log is damaged at byte 0 (after sequence 6): missing; 00000000000000000013.log follows on it",
        ),
        (
            |disk| disk.remove(FIRST).unwrap(),
            "00000000000000000001.log is damaged at byte 0 (after sequence 0): missing; the log begins with it",
        ),
        (
            |disk| disk.edit(SECOND, |bytes| bytes.fill(0)),
            "00000000000000000007.log is damaged at byte 0 (after sequence 6): zeros where the segment's header should be",
        ),
        (
            |disk| disk.edit(SECOND, |bytes| bytes[64..].fill(0)),
            "00000000000000000007.log is damaged at byte 64 (after sequence 6): zeros where a record should be",
        ),
        (
            |disk| disk.edit(SECOND, Vec::clear),
            "00000000000000000007.log is damaged at byte 0 (after sequence 6): shorter than a segment's header",
        ),
        (
            |disk| disk.put("00000000000000000099.log", disk.bytes(SECOND)),
            "00000000000000000099.log is damaged at byte 0 (after sequence 98): it is a copy of, or was, 00000000000000000007.log",
        ),
        (
            |disk| disk.put(SECOND, disk.bytes(FIRST)),
            "00000000000000000007.log is damaged at byte 0 (after sequence 6): it is a copy of, or was, 00000000000000000001.log",
        ),
        (|disk| disk.put("notes.txt", Vec::new()), "notes.txt does not belong in the log folder"),
        (|disk| disk.put("7.log", Vec::new()), "7.log does not belong in the log folder"),
        (
            |disk| disk.edit(SECOND, |bytes| bytes[0..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0")),
            "00000000000000000007.log is damaged at byte 0 (after sequence 6): it does not begin as a segment does",
        ),
    ];
    for (edit, expected) in cases {
        let disk = three_segments();
        edit(&disk);
        assert!(found(&disk).contains(&expected.to_owned()), "{:?}", found(&disk));
        assert!(first_error(&disk).is_some(), "{expected}");
    }
}

#[test]
fn only_a_spare_file_left_is_no_new_log() {
    let disk = SimDisk::default();
    disk.put("spare", vec![0; 512]);
    assert_eq!(
        first_error(&disk).unwrap().to_string(),
        "00000000000000000001.log is damaged at byte 0 (after sequence 0): missing; the log begins with it"
    );
}

#[test]
fn damage_before_the_last_commit_of_the_newest_segment_is_no_torn_tail() {
    let name = "00000000000000000013.log";
    let whole = three_segments();
    let record_bytes = (whole.bytes(FIRST).len() - 64) / 6;
    let mut cut = 0;
    for at in 64..64 + 4 * record_bytes {
        let disk = whole.copy();
        disk.edit(name, |bytes| bytes[at] ^= 0x10);
        if at < 64 + 3 * record_bytes {
            assert!(matches!(first_error(&disk), Some(LogError::Damaged { file, .. }) if file == name), "byte {at}");
            assert_eq!(found(&disk).len(), 1, "byte {at}");
        } else {
            // The last commit: nothing behind it says that it was whole once.
            let (_, report) = Log::open(disk, SMALL).unwrap();
            assert_eq!(report.last_seq, 15, "byte {at}");
            cut += 1;
        }
    }
    assert_eq!(cut, record_bytes);
}

/// Puts a right checksum on the record at `at`, as `format.rs` describes it.
fn seal_record(bytes: &mut [u8], at: usize) {
    let payload = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let end = at + (40 + payload).next_multiple_of(8);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[at..at + 4]);
    crc.update(&bytes[at + 8..end]);
    bytes[at + 4..at + 8].copy_from_slice(&crc.finalize().to_le_bytes());
}

#[test]
fn records_with_right_checksums_and_wrong_content_are_found() {
    let version = "00000000000000000001.log was written by a newer version of quell (record version 9, this program knows 2)";
    let cases: [(usize, u8, &str); 5] = [
        (36, 9, version),
        (37, 7, "00000000000000000001.log is damaged at byte 64 (after sequence 0): a record of kind 7 where facts should be"),
        (16, 2, "00000000000000000001.log is damaged at byte 64 (after sequence 0): sequence 2 where 1 should be"),
        (32, 2, "00000000000000000001.log is damaged at byte 64 (after sequence 0): 1 facts where the record says 2"),
        (40, 0x80, "00000000000000000001.log is damaged at byte 64 (after sequence 0): facts: field 0 is missing"),
    ];
    for (at, value, expected) in cases {
        let disk = three_segments();
        disk.edit(FIRST, |bytes| {
            bytes[64 + at] = value;
            seal_record(bytes, 64);
        });
        assert!(found(&disk).contains(&expected.to_owned()), "{:?}", found(&disk));
        assert_eq!(first_error(&disk).unwrap().to_string(), expected);
    }
}

#[test]
fn a_newer_record_in_the_newest_segment_keeps_the_log_closed() {
    let disk = SimDisk::default();
    let (mut log, _) = Log::open(disk.clone(), SMALL).unwrap();
    log.append(1, Time(1), &[comment("of the future")]);
    log.commit().unwrap();
    disk.edit(FIRST, |bytes| {
        bytes[64 + 36] = RECORD_VERSION + 1;
        seal_record(bytes, 64);
    });
    assert!(matches!(Log::open(disk, SMALL), Err(LogError::Newer { known: RECORD_VERSION, .. })));
}

#[test]
fn a_damaged_checkpoint_is_found() {
    let disk = SimDisk::default();
    let (mut log, _) = Log::open(disk.clone(), SMALL).unwrap();
    log.append(1, Time(1), &[comment("before")]);
    log.commit().unwrap();
    log.checkpoint(1, Time(2), &mut [meta(1, 1), meta(1, 2), meta(1, 3)].into_iter(), &mut |_| true).unwrap();
    log.append(2, Time(3), &[comment("behind")]);
    log.commit().unwrap();
    drop(log);
    let name = "00000000000000000002.log";
    let records_at = u64::from_le_bytes(disk.bytes(name)[32..40].try_into().unwrap());
    for at in 0..usize::try_from(records_at).unwrap() {
        let damaged = disk.copy();
        damaged.edit(name, |bytes| bytes[at] ^= 4);
        assert!(matches!(first_error(&damaged), Some(LogError::Damaged { file, .. }) if file == name), "byte {at}");
        assert_eq!(found(&damaged).len(), 1, "byte {at}");
    }
    // A version that is newer, in the middle of the checkpoint.
    disk.edit(name, |bytes| {
        bytes[64 + 36] = RECORD_VERSION + 1;
        seal_record(bytes, 64);
    });
    assert!(matches!(first_error(&disk), Some(LogError::Newer { .. })));
}
