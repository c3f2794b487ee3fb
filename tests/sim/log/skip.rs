//! Damage that the operator has named is passed over, all of it is said, and nothing of it is used again.

use quell::model::Time;
use quell::storage::disk::Disk;
use quell::storage::log::{Log, LogError, LogItem, SkipDamage, Skipped, verify};

use super::damage::{FIRST, SECOND, SMALL, THIRD, three_segments};
use super::{comment, meta};
use crate::disk::SimDisk;
use crate::random::Random;

fn skip(files: &[&str]) -> SkipDamage {
    SkipDamage::in_segments(files.iter().map(|file| (*file).to_owned()).collect())
}

/// A log, the sequences that it has, and what was passed over.
type Read = (Log<SimDisk>, Vec<u64>, Vec<Skipped>);

/// Opens the log with these segments given up and reads it all.
fn read(disk: &SimDisk, files: &[&str]) -> Result<Read, LogError> {
    let (log, _) = Log::open_skipping(disk.clone(), SMALL, skip(files))?;
    let (mut seqs, mut skipped) = (Vec::new(), Vec::new());
    for item in log.read(1)? {
        match item? {
            LogItem::Record(record) => seqs.push(record.first_seq),
            LogItem::Skipped(stretch) => skipped.push(stretch),
            LogItem::Entity(entity) => panic!("{entity:?}"),
        }
    }
    Ok((log, seqs, skipped))
}

/// Every sequence up to `last` was either read or is in a stretch that was named, in order.
fn check_whole(seqs: &[u64], skipped: &[Skipped], last: u64, context: &str) {
    let mut all: Vec<u64> = skipped.iter().flat_map(|stretch| stretch.first_seq..=stretch.last_seq).collect();
    all.extend(seqs);
    all.sort_unstable();
    assert!(all.iter().copied().eq(1..=last), "{context}: {seqs:?} {skipped:?}");
}

#[test]
fn a_flipped_bit_costs_its_record_and_no_other() {
    let whole = three_segments();
    let record_bytes = (whole.bytes(FIRST).len() - 64) / 6;
    let mut random = Random::new(11);
    for name in [FIRST, SECOND] {
        for at in (64..whole.bytes(name).len()).step_by(3) {
            let disk = whole.copy();
            disk.edit(name, |bytes| bytes[at] ^= 1 << random.below(8));
            let context = format!("byte {at} of {name}");
            let others: Vec<&str> = [FIRST, SECOND, THIRD].into_iter().filter(|other| *other != name).collect();
            assert!(matches!(read(&disk, &others), Err(LogError::Damaged { .. })), "{context}: nobody gave it up");

            let (mut log, seqs, skipped) = read(&disk, &[name]).unwrap();
            check_whole(&seqs, &skipped, 16, &context);
            let record_at = at - (at - 64) % record_bytes;
            let [stretch] = &skipped[..] else { panic!("{context}: {skipped:?}") };
            assert_eq!(stretch.file, name, "{context}");
            assert_eq!(stretch.bytes, record_at as u64..(record_at + record_bytes) as u64, "{context}");
            assert_eq!((stretch.first_seq, seqs.len()), (stretch.last_seq, 15), "{context}");

            log.append(17, Time(2), &[comment("later")]);
            log.commit().unwrap();
            drop(log);
            let (_, seqs, skipped) = read(&disk, &[name]).unwrap();
            check_whole(&seqs, &skipped, 17, &context);
            let named = verify(&disk).unwrap();
            assert_eq!(named.faults().count(), 1, "{context}: checking still names it");
        }
    }
}

#[test]
fn a_stretch_in_the_newest_segment_is_passed_over_and_its_positions_stay_taken() {
    let whole = three_segments();
    let record_bytes = (whole.bytes(FIRST).len() - 64) / 6;
    for (first, count) in [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (2, 1)] {
        let disk = whole.copy();
        let from = 64 + first * record_bytes;
        disk.edit(THIRD, |bytes| bytes[from..from + count * record_bytes].fill(0xa5));
        assert!(matches!(Log::open(disk.copy(), SMALL), Err(LogError::Damaged { .. })));
        let (mut log, seqs, skipped) = read(&disk, &[THIRD]).unwrap();
        check_whole(&seqs, &skipped, 16, "the newest segment");
        assert_eq!(skipped.len(), 1);
        assert_eq!(skipped[0].bytes, from as u64..(from + count * record_bytes) as u64);
        log.append(16, Time(2), &[comment("a position that was taken")]);
        assert!(matches!(log.commit(), Err(LogError::OutOfOrder { expected: 17, got: 16 })));
    }
}

#[test]
fn each_damage_of_a_segment_is_passed_over_when_it_is_named() {
    type Edit = fn(&SimDisk);
    let cases: [(&str, Edit, &str); 7] = [
        ("missing", |disk| disk.remove(SECOND).unwrap(), "all of 00000000000000000007.log, sequence 7 to 12"),
        ("zeros", |disk| disk.edit(SECOND, |bytes| bytes.fill(0)), "all of 00000000000000000007.log, sequence 7 to 12"),
        ("empty", |disk| disk.edit(SECOND, Vec::clear), "all of 00000000000000000007.log, sequence 7 to 12"),
        ("a copy", |disk| disk.put(SECOND, disk.bytes(FIRST)), "all of 00000000000000000007.log, sequence 7 to 12"),
        (
            "zeros behind the header",
            |disk| disk.edit(SECOND, |bytes| bytes[64..].fill(0)),
            "bytes 64 to 496 of 00000000000000000007.log, sequence 7 to 12",
        ),
        (
            "cut",
            |disk| disk.edit(SECOND, |bytes| bytes.truncate(300)),
            "bytes 280 to 496 of 00000000000000000007.log, sequence 10 to 12",
        ),
        ("longer", |disk| disk.edit(SECOND, |bytes| bytes.resize(bytes.len() + 80, 7)), ""),
    ];
    for (what, edit, expected) in cases {
        let disk = three_segments();
        edit(&disk);
        assert!(read(&disk, &[]).is_err() && read(&disk, &[FIRST, THIRD]).is_err(), "{what}");
        let (log, seqs, skipped) = read(&disk, &[SECOND]).unwrap();
        check_whole(&seqs, &skipped, 16, what);
        assert_eq!(skipped.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "), expected, "{what}");
        assert_eq!(log.segments().last().unwrap().last_seq, 16, "{what}");
        assert!(verify(&disk).unwrap().faults().count() > 0, "{what}");
    }
}

/// Without the newest segment's header nobody knows how many positions are taken; a foreign file is the operator's to remove.
#[test]
fn some_damage_is_refused_whatever_is_named() {
    type Edit = fn(&SimDisk);
    let cases: [(Edit, &str); 3] = [
        (|disk| disk.edit(THIRD, |bytes| bytes[3] ^= 1), THIRD),
        (|disk| disk.put("notes.txt", Vec::new()), "notes.txt"),
        (|disk| disk.put("00000000000000000099.log", disk.bytes(SECOND)), "00000000000000000099.log"),
    ];
    for (edit, name) in cases {
        let disk = three_segments();
        edit(&disk);
        assert!(read(&disk, &[FIRST, SECOND, THIRD, name]).is_err(), "{name}");
    }
}

#[test]
fn a_damaged_checkpoint_is_never_passed_over() {
    let disk = SimDisk::default();
    let (mut log, _) = Log::open(disk.clone(), SMALL).unwrap();
    log.append(1, Time(1), &[comment("before")]);
    log.commit().unwrap();
    log.checkpoint(1, Time(2), &mut [meta(1, 1), meta(1, 2)].into_iter(), &mut |_| true).unwrap();
    log.append(2, Time(3), &[comment("behind")]);
    log.commit().unwrap();
    let name = "00000000000000000002.log";
    disk.edit(name, |bytes| bytes[80] ^= 4);
    let (log, _) = Log::open_skipping(disk, SMALL, skip(&[name])).unwrap();
    assert!(matches!(log.read(1).unwrap().find_map(Result::err), Some(LogError::Damaged { .. })));
    assert_eq!(log.read(2).unwrap().filter_map(Result::ok).count(), 1, "who has the state needs no checkpoint");
}
