//! The log on the simulated disk, held against a model: a plain list of the records that were acknowledged.
//!
//! After every reopening: everything acknowledged is there, in order, and nothing else but (after a crash within a
//! commit) the first records of that commit.

mod damage;
mod faults;
mod power;
mod skip;
mod steady;

use std::collections::BTreeMap;

use quell::engine::entity::Meta;
use quell::engine::{Entity, Fact};
use quell::model::{Actor, IncidentId, Time};
use quell::storage::log::{Log, LogError, LogItem, LogOptions, Record};

use crate::disk::SimDisk;
use crate::random::Random;

/// Small, so that a few commits fill one.
pub(crate) const OPTIONS: LogOptions = LogOptions { segment_bytes: 4096 };

/// A log, what it was told, and what it said.
pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) random: Random,
    pub(crate) log: Option<Log<SimDisk>>,
    /// Every record whose commit returned `Ok`, or that a reopened log had.
    pub(crate) acked: Vec<Record>,
    /// The records of a commit that did not return `Ok`.
    pending: Vec<Record>,
    /// By sequence, the checkpoints that were begun there.
    checkpoints: BTreeMap<u64, Vec<Vec<Entity>>>,
    /// The log may begin at most here: older records may be gone.
    may_begin_at: u64,
    pub(crate) reopenings: u64,
    pub(crate) torn_tails: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        World {
            disk: SimDisk::default(),
            random: Random::new(seed),
            log: None,
            acked: Vec::new(),
            pending: Vec::new(),
            checkpoints: BTreeMap::new(),
            may_begin_at: 1,
            reopenings: 0,
            torn_tails: 0,
        }
    }

    pub(crate) fn last_seq(&self) -> u64 {
        self.acked.last().map_or(0, |record| record.first_seq + record.facts.len() as u64 - 1)
    }

    /// Runs random steps until they are done or the power goes.
    pub(crate) fn run(&mut self, steps: u32) {
        for _ in 0..steps {
            if self.log.is_none() && !self.reopen() {
                return;
            }
            match self.random.below(12) {
                0 => self.checkpoint(),
                1 => {
                    self.log = None;
                }
                _ => self.commit(),
            }
            if self.disk.is_off() {
                self.log = None;
                return;
            }
        }
    }

    /// Opens the log and holds it against the model. Only what the disk says may stand in the way, and only once.
    pub(crate) fn reopen(&mut self) -> bool {
        for _ in 0..2 {
            match self.try_reopen() {
                Ok(()) => return true,
                Err(LogError::Io { .. }) if self.disk.is_off() => return false,
                Err(LogError::Io { .. }) if !self.disk.failed().is_empty() => {}
                Err(other) => panic!("the log does not open: {other}"),
            }
        }
        panic!("the log does not open at the second try");
    }

    fn try_reopen(&mut self) -> Result<(), LogError> {
        let (log, report) = Log::open(self.disk.clone(), OPTIONS)?;
        let items = log.read(0)?.collect::<Result<Vec<_>, _>>()?;
        self.reopenings += 1;
        self.torn_tails += u64::from(report.torn_bytes > 0);
        let mut entities = Vec::new();
        let mut records = Vec::new();
        for item in items {
            match item {
                LogItem::Entity(entity) => {
                    assert!(records.is_empty(), "a checkpoint among records");
                    entities.push(entity);
                }
                LogItem::Record(record) => records.push(record),
                LogItem::Skipped(stretch) => panic!("passed over: {stretch}"),
            }
        }
        let begins_at = records.first().map_or(report.last_seq + 1, |record| record.first_seq);
        assert!(begins_at <= self.may_begin_at, "begins at {begins_at}, may at {}", self.may_begin_at);
        if begins_at > 1 || !entities.is_empty() {
            let begun = self.checkpoints.get(&(begins_at - 1)).expect("a checkpoint was begun where the log begins");
            assert!(begun.contains(&entities), "the checkpoint is none that was written");
        }
        let kept: Vec<&Record> = self.acked.iter().filter(|record| record.first_seq >= begins_at).collect();
        assert!(records.len() >= kept.len(), "{} records, {} acknowledged", records.len(), kept.len());
        let (old, new) = records.split_at(kept.len());
        assert!(old.iter().eq(kept), "acknowledged records changed");
        assert!(self.pending.starts_with(new), "records that nobody wrote");
        self.acked.extend_from_slice(new);
        self.pending.clear();
        assert_eq!(report.last_seq, self.last_seq());
        if let Some(last) = self.acked.last() {
            assert_eq!(report.last_time, last.time);
        }
        self.log = Some(log);
        Ok(())
    }

    /// Appends some records and commits them.
    pub(crate) fn commit(&mut self) {
        let mut next_seq = self.last_seq() + 1;
        let count = 1 + self.random.below(5);
        self.pending.clear();
        for _ in 0..count {
            let record = record(next_seq, &mut self.random);
            next_seq += record.facts.len() as u64;
            self.pending.push(record);
        }
        let log = self.log.as_mut().expect("the log is open");
        for record in &self.pending {
            log.append(record.first_seq, record.time, &record.facts);
        }
        match log.commit() {
            Ok(()) => self.acked.append(&mut self.pending),
            Err(e) => self.after_error(&e),
        }
    }

    /// Writes a checkpoint; now and then old segments may go.
    fn checkpoint(&mut self) {
        let seq = self.last_seq();
        let entities: Vec<Entity> = (0..self.random.below(40)).map(|i| meta(seq, i)).collect();
        self.checkpoints.entry(seq).or_default().push(entities.clone());
        let go = self.random.one_in(2);
        if go {
            self.may_begin_at = self.may_begin_at.max(seq + 1);
        }
        let log = self.log.as_mut().expect("the log is open");
        match log.checkpoint(seq, Time(1), &mut entities.into_iter(), &mut |_| go) {
            Ok(()) => {}
            Err(e) => self.after_error(&e),
        }
    }

    /// An error is the disk's, never an invention. The log is sealed, or what was pending is dropped for good.
    fn after_error(&mut self, error: &LogError) {
        assert!(matches!(error, LogError::Io { .. }), "{error}");
        let log = self.log.as_mut().expect("the log is open");
        match log.commit() {
            Ok(()) => self.pending.clear(),
            Err(LogError::Sealed { .. }) => {
                log.append(self.acked.last().map_or(1, |r| r.first_seq + 1), Time(0), &[comment("too late")]);
                assert!(matches!(log.commit(), Err(LogError::Sealed { .. })), "sealed for good");
                self.log = None;
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// A record with one to three facts; now and then one larger than a segment.
pub(crate) fn record(first_seq: u64, random: &mut Random) -> Record {
    let facts = (0..=random.below(3)).map(|_| {
        let length = if random.one_in(60) { 5_000 } else { random.below(300) };
        comment(&"x".repeat(usize::try_from(length).unwrap()))
    });
    Record { first_seq, time: Time(i64::try_from(first_seq).unwrap() * 1_000), facts: facts.collect() }
}

pub(crate) fn comment(text: &str) -> Fact {
    Fact::IncidentCommented { incident: IncidentId(1), text: text.into(), by: Actor::Engine }
}

pub(crate) fn meta(seq: u64, i: u64) -> Entity {
    Entity::Meta(Meta { directory: "sim".into(), seq, time: Time(7), last_incident: i, ..Meta::default() })
}
