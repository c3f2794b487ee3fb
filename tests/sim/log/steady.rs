//! The log when nothing fails: reading from anywhere, checkpoints and trimming, spare files, a reader beside a writer,
//! the golden bytes of a segment.

use std::fmt::Write;
use std::path::Path;

use quell::engine::Fact;
use quell::model::Time;
use quell::storage::disk::{Disk, FolderDisk};
use quell::storage::log::{Log, LogFiles, LogItem, LogOptions, Record, SegmentInfo, verify};

use super::{OPTIONS, World, comment, meta};
use crate::disk::SimDisk;
use crate::for_each_seed;

fn records(items: impl Iterator<Item = Result<LogItem, quell::storage::log::LogError>>) -> Vec<Record> {
    items
        .filter_map(|item| match item.unwrap() {
            LogItem::Record(record) => Some(record),
            LogItem::Entity(_) | LogItem::Skipped(_) => None,
        })
        .collect()
}

#[test]
fn reads_from_any_sequence_and_verifies() {
    for_each_seed(20, |seed| {
        let mut world = World::new(seed);
        world.run(40);
        if world.log.is_none() {
            assert!(world.reopen());
        }
        let log = world.log.as_ref().unwrap();
        let first = log.segments().first().map_or(1, |segment| segment.first_seq);
        let files = LogFiles::open(world.disk.clone()).unwrap();
        for from in first..=world.last_seq() + 1 {
            let expected: Vec<Record> = world
                .acked
                .iter()
                .filter(|r| r.first_seq >= first && r.first_seq + r.facts.len() as u64 > from)
                .cloned()
                .collect();
            assert_eq!(records(log.read(from).unwrap()), expected, "from {from}");
            assert_eq!(records(files.read(from).unwrap()), expected, "from {from}, beside");
        }
        let checked = verify(&world.disk).unwrap();
        assert_eq!(checked.faults().count(), 0);
        assert_eq!(checked.segments.last().unwrap().last_seq, world.last_seq());
    });
}

fn commit(log: &mut Log<SimDisk>, seq: u64, text: &str) {
    log.append(seq, Time(i64::try_from(seq).unwrap()), &[comment(text)]);
    log.commit().unwrap();
}

#[test]
fn segments_go_only_behind_a_checkpoint_and_are_used_again() {
    let disk = SimDisk::default();
    let (mut log, _) = Log::open(disk.clone(), OPTIONS).unwrap();
    let text = "x".repeat(900);
    for seq in 1..=20 {
        commit(&mut log, seq, &text);
    }
    let before = log.segments();
    assert_eq!((before.len(), before[0].first_seq, before[0].last_seq, before[0].last_time), (5, 1, 4, Time(4)));
    assert_eq!(before[4].last_seq, 20);

    // The first two may go, but the third has no checkpoint: all stay.
    let mut asked: Vec<SegmentInfo> = Vec::new();
    let mut first_two = |info: SegmentInfo| {
        asked.push(info.clone());
        info.first_seq <= 5
    };
    log.checkpoint(20, Time(20), &mut [meta(20, 1), meta(20, 2)].into_iter(), &mut first_two).unwrap();
    assert_eq!(asked, before[..3]);
    assert_eq!(log.segments().len(), 6);

    commit(&mut log, 21, &text);
    log.checkpoint(21, Time(21), &mut [meta(21, 3)].into_iter(), &mut |info| info.first_seq <= 20).unwrap();
    let left: Vec<u64> = log.segments().iter().map(|segment| segment.first_seq).collect();
    assert_eq!(left, [21, 22]);
    assert!(disk.list().unwrap().contains(&"spare".to_owned()));
    let items: Vec<LogItem> = log.read(0).unwrap().map(Result::unwrap).collect();
    assert_eq!(items[..2], [LogItem::Entity(meta(20, 1)), LogItem::Entity(meta(20, 2))]);
    assert_eq!(records(log.read(0).unwrap()).len(), 1);
    assert!(matches!(log.read(21).unwrap().next(), Some(Ok(LogItem::Record(record))) if record.first_seq == 21));

    // The spare file holds old records; none of them comes back in its new life.
    for seq in 22..=29 {
        commit(&mut log, seq, &text);
    }
    assert!(!disk.list().unwrap().contains(&"spare".to_owned()));
    drop(log);
    let (log, report) = Log::open(disk, OPTIONS).unwrap();
    assert_eq!((report.last_seq, report.torn_bytes), (29, 0));
    assert_eq!(records(log.read(0).unwrap()).len(), 9);
}

#[test]
fn a_reader_beside_the_writer_sees_what_is_there_when_it_looks() {
    let disk = SimDisk::default();
    let (mut log, _) = Log::open(disk.clone(), OPTIONS).unwrap();
    commit(&mut log, 1, "one");
    let files = LogFiles::open(disk.clone()).unwrap();
    let mut reader = files.read(0).unwrap();
    assert!(matches!(reader.next(), Some(Ok(LogItem::Record(record))) if record.first_seq == 1));
    commit(&mut log, 2, "two");
    commit(&mut log, 3, "three");
    assert_eq!(records(reader).len(), 2, "a place read ahead is looked at again");
    assert_eq!(records(files.read(3).unwrap()).len(), 1);
    assert_eq!(verify(&disk).unwrap().faults().count(), 0);
}

#[test]
fn real_files_hold_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Log::open(FolderDisk::open(folder.path()).unwrap(), LogOptions::default()).unwrap();
    let (mut log, report) = open();
    assert_eq!(report.last_seq, 0);
    log.append(1, Time(5), &[comment("one"), comment("two")]);
    log.append(3, Time(6), &[comment("three")]);
    log.commit().unwrap();
    drop(log);
    let (log, report) = open();
    assert_eq!((report.last_seq, report.last_time, report.segments, report.torn_bytes), (3, Time(6), 1, 0));
    assert_eq!(records(log.read(3).unwrap()).len(), 1);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// The files of a small log: a segment with the record of `format.rs`, and one that a checkpoint made.
fn golden_log() -> SimDisk {
    let disk = SimDisk::default();
    let (mut log, _) = Log::open(disk.clone(), LogOptions { segment_bytes: 512 }).unwrap();
    log.append(1, Time(1_767_571_200_000), &[Fact::Created { directory: "demo".into() }]);
    log.append(2, Time(1_767_571_201_000), &[comment("two facts"), comment("in one record")]);
    log.commit().unwrap();
    log.checkpoint(3, Time(1_767_571_202_000), &mut [meta(3, 1)].into_iter(), &mut |_| false).unwrap();
    commit(&mut log, 4, "behind the checkpoint");
    disk
}

/// Bytes as lines of 64 hex digits.
fn hex_lines(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(32) {
        for byte in line {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
    }
    text
}

/// The files of a golden log, from their digits.
fn golden_disk(folder: &Path, names: &[String]) -> SimDisk {
    let disk = SimDisk::default();
    for name in names {
        let golden = std::fs::read_to_string(folder.join(format!("{name}.hex"))).unwrap();
        let digits: Vec<u8> = golden.bytes().filter(|b| *b != b'\n').collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        disk.put(name, digits.chunks(2).map(byte).collect());
    }
    disk
}

#[test]
fn golden_segments_read_and_write_as_ever() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/log");
    let present = golden_log();
    let names = present.list().unwrap();
    for name in &names {
        let path = golden.join("v2").join(format!("{name}.hex"));
        let lines = hex_lines(&present.bytes(name));
        if std::env::var_os("QUELL_GOLDEN").is_some_and(|v| v == "write") {
            std::fs::write(&path, &lines).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap();
        assert_eq!(lines, golden, "the form of segments changed: that needs a new format version");
    }
    // Version 1 is written no more, and reads for ever.
    for version in ["v1", "v2"] {
        let read = records(LogFiles::open(golden_disk(&golden.join(version), &names)).unwrap().read(1).unwrap());
        assert_eq!(read[0].facts, [Fact::Created { directory: "demo".into() }], "{version}");
        assert_eq!(read[1].facts, [comment("two facts"), comment("in one record")], "{version}");
        assert_eq!((read[2].first_seq, read.len()), (4, 3), "{version}");
    }
}
