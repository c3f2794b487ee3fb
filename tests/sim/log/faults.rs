//! Failing operations: a full disk, errors of each kind at each operation, syncs that fail.

use std::io::ErrorKind;

use quell::model::Time;
use quell::storage::log::{Log, LogError};

use super::{OPTIONS, World, comment};
use crate::disk::{Op, SimDisk};
use crate::for_each_seed;

#[test]
fn the_nth_operation_fails_for_every_n() {
    for_each_seed(4, |seed| {
        let steps = 25;
        let mut whole = World::new(seed);
        whole.run(steps);
        for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
            for n in 1..=whole.disk.operations() {
                let mut world = World::new(seed);
                world.disk.fail_operation(n, kind);
                world.run(steps);
                world.log = None;
                if world.random.one_in(2) {
                    world.disk.power_cycle(&mut world.random);
                } else {
                    world.disk.kill_process();
                }
                world.run(4);
                world.log = None;
                assert!(world.reopen(), "operation {n} failed with {kind}");
            }
        }
    });
}

#[test]
fn a_full_disk_drops_batches_and_recovers_by_itself() {
    for_each_seed(100, |seed| {
        let mut world = World::new(seed);
        for _ in 0..6 {
            world.run(6);
            let free = usize::try_from(world.random.below(3_000)).unwrap();
            world.disk.set_capacity(Some(world.disk.used_bytes() + free));
            for _ in 0..8 {
                if world.log.is_some() {
                    world.commit();
                }
            }
            world.disk.set_capacity(None);
            if world.log.is_some() {
                let before = world.acked.len();
                world.commit();
                assert!(world.acked.len() > before, "with space again, the next commit succeeds");
            }
        }
        world.log = None;
        world.disk.power_cycle(&mut world.random);
        assert!(world.reopen());
    });
}

/// A log with one committed record.
fn log_with_one_record() -> (SimDisk, Log<SimDisk>) {
    let disk = SimDisk::default();
    let (mut log, _) = Log::open(disk.clone(), OPTIONS).unwrap();
    log.append(1, Time(1), &[comment("first")]);
    log.commit().unwrap();
    (disk, log)
}

#[test]
fn a_failed_sync_seals_and_is_not_tried_again() {
    let (disk, mut log) = log_with_one_record();
    // A commit is one write and one sync.
    disk.fail_operation(2, ErrorKind::Other);
    log.append(2, Time(2), &[comment("second")]);
    let error = log.commit().unwrap_err();
    assert_eq!(error.to_string(), "syncing 00000000000000000001.log: other error");
    assert_eq!(disk.failed(), [Op::Sync]);
    let operations = disk.operations();
    log.append(2, Time(2), &[comment("second")]);
    assert!(matches!(log.commit(), Err(LogError::Sealed { file }) if file == "00000000000000000001.log"));
    assert_eq!(disk.operations(), operations, "nothing more is asked of the disk");
}

#[test]
fn what_a_failed_sync_left_in_memory_only_is_made_durable_when_it_is_read_again() {
    let (disk, mut log) = log_with_one_record();
    disk.fail_operation(2, ErrorKind::Other);
    log.append(2, Time(2), &[comment("second")]);
    log.commit().unwrap_err();
    drop(log);
    disk.kill_process();
    let (log, report) = Log::open(disk.clone(), OPTIONS).unwrap();
    assert_eq!(report.last_seq, 2, "the system still has it in memory");
    drop(log);
    disk.power_cycle(&mut crate::random::Random::new(1));
    let (_, report) = Log::open(disk, OPTIONS).unwrap();
    assert_eq!(report.last_seq, 2, "and now on the disk");
}

#[test]
fn a_failed_write_is_undone_and_the_next_commit_succeeds() {
    let (disk, mut log) = log_with_one_record();
    disk.fail_operation(1, ErrorKind::StorageFull);
    log.append(2, Time(2), &[comment("dropped"), comment("dropped")]);
    assert!(matches!(log.commit(), Err(LogError::Io { what: "writing", .. })));
    assert_eq!(disk.failed(), [Op::Write]);
    log.append(2, Time(3), &[comment("second")]);
    log.commit().unwrap();
    drop(log);
    let (log, report) = Log::open(disk, OPTIONS).unwrap();
    assert_eq!((report.last_seq, report.torn_bytes, log.read(0).unwrap().count()), (2, 0, 2));
}

#[test]
fn a_write_that_cannot_be_undone_seals() {
    let (disk, mut log) = log_with_one_record();
    disk.fail_operation(1, ErrorKind::StorageFull);
    disk.cut_power_at(2);
    log.append(2, Time(2), &[comment("lost")]);
    assert!(matches!(log.commit(), Err(LogError::Io { .. })));
    assert!(matches!(log.commit(), Err(LogError::Sealed { .. })));
}

#[test]
fn records_out_of_order_are_refused_with_their_batch() {
    let (_, mut log) = log_with_one_record();
    log.append(2, Time(2), &[comment("second")]);
    log.append(4, Time(2), &[comment("not the third")]);
    assert!(matches!(log.commit(), Err(LogError::OutOfOrder { expected: 3, got: 4 })));
    log.append(2, Time(2), &[comment("second")]);
    log.commit().unwrap();
    let error = log.checkpoint(1, Time(3), &mut std::iter::empty(), &mut |_| true).unwrap_err();
    assert!(matches!(error, LogError::OutOfOrder { expected: 2, got: 1 }));
}
