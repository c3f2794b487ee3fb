//! Occurrences of alerts: how they were when they were first written, by the block, and what has become of each since.
//!
//! A storm brings thousands of new alerts a second, and a row of its own for each cost a third of all that a new alert costs.
//! So those that one write brings lie together in rows of one page, packed: alerts of a storm differ little. What changes later
//! is a small row for each occurrence: without what its sender said, which never changes and stays in the block.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use rustc_hash::FxHashMap;

use super::numbered::Numbered;
use super::packed::Packer;
use super::write::{encode, key, last_of_each, put_json, text};
use super::{LiveAlerts, ViewBatch, ViewError, packed};
use crate::engine::{Entity, Fact};
use crate::model::{Alert, AlertRecord, Fingerprint, Labels, Time};
use crate::storage::record::{self, RECORD_VERSION};

/// Bytes of a block as it is stored. With its other columns a row fits into one page then, and no chain of further pages hangs
/// on it; where packing comes to less than was expected, one does.
const BLOCK_BYTES_MAX: usize = 15_900;

/// Bytes of a block's records before they are packed, so that whoever wants one alert need not unpack megabytes.
const RECORDS_BYTES_MAX: usize = 128 << 10;

/// What a text takes up in a JSON array besides itself.
const QUOTED_BYTES: usize = 3;

/// Behind each other in a block: the occurrence's log position, the length of its record, the record.
const HEAD_BYTES: usize = 12;

/// The alerts that a write's batches have changed.
pub(super) struct Changed<'a> {
    past: Vec<Past>,
    /// In order of firing: those that the view has already, then the new ones.
    records: Vec<&'a Arc<AlertRecord>>,
    /// Where the new ones begin.
    new: usize,
    /// How many are in blocks that were written or begun.
    in_blocks: usize,
    block: Block<'a>,
    blob: Vec<u8>,
}

impl<'a> Changed<'a> {
    /// Of batches of which the view has what stands before `applied_seq`; `live` follows.
    pub(super) fn of(live: &mut LiveAlerts, applied_seq: u64, batches: &[&'a ViewBatch]) -> Changed<'a> {
        let past = follow(live, batches);
        let all = batches.iter().flat_map(|batch| &batch.changes.alerts);
        let before = |record: &&Arc<AlertRecord>| record.fired_seq <= applied_seq;
        let mut records = last_of_each(all.clone().filter(before), |record| record.fired_seq);
        let new = records.len();
        let rest = all.filter(|record| !before(record));
        // A checkpoint brings alerts from all over the log, and none of its facts.
        let facts = batches.iter().map(|batch| batch.facts.len() as u64).sum::<u64>();
        let is_dense = batches.last().is_none_or(|last| last.meta.seq - applied_seq <= facts);
        if is_dense {
            records.extend(in_order(rest, applied_seq + 1));
        } else {
            records.extend(last_of_each(rest, |record| record.fired_seq));
        }
        Changed { past, records, new, in_blocks: new, block: Block::default(), blob: Vec::new() }
    }

    /// Puts the new ones that fired up to a log position into blocks. Whoever has just looked at their batch has them near.
    ///
    /// # Errors
    /// What SQLite says.
    pub(super) fn write_up_to(&mut self, transaction: &Transaction<'_>, seq: u64) -> Result<(), ViewError> {
        while let Some(record) = self.records.get(self.in_blocks).filter(|record| record.fired_seq <= seq) {
            let bytes = encode(&Entity::Alert(Arc::clone(record)), &mut self.blob);
            if !self.block.has_room(bytes) {
                self.block.finish(transaction)?;
            }
            self.block.add(record, bytes);
            self.in_blocks += 1;
        }
        Ok(())
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// What SQLite says.
    pub(super) fn finish(mut self, transaction: &Transaction<'_>) -> Result<(), ViewError> {
        self.write_up_to(transaction, u64::MAX)?;
        self.block.finish(transaction)?;
        let (known, new) = self.records.split_at(self.new);
        write_states(transaction, known)?;
        retire(transaction, &self.past, new)
    }
}

/// The last record of each occurrence, in order of firing; all of them fired at `first_seq` or not far behind. Each has its place
/// by its number: sorting took as long as packing a block.
fn in_order<'a>(
    records: impl Iterator<Item = &'a Arc<AlertRecord>>,
    first_seq: u64,
) -> impl Iterator<Item = &'a Arc<AlertRecord>> {
    let mut places: Vec<Option<&Arc<AlertRecord>>> = Vec::new();
    for record in records {
        let place = usize::try_from(record.fired_seq - first_seq).expect("facts of one write, which memory holds");
        if places.len() <= place {
            places.resize(place + 1, None);
        }
        places[place] = Some(record);
    }
    places.into_iter().flatten()
}

/// An occurrence that is no longer the live one of its alert.
struct Past {
    fired_seq: u64,
    fingerprint: Fingerprint,
    /// When that was.
    at: Time,
}

/// Follows which occurrence of each alert is the live one. Those that no longer are: forgotten, or replaced by a new one of
/// the same alert.
fn follow(live: &mut LiveAlerts, batches: &[&ViewBatch]) -> Vec<Past> {
    let (mut past, mut keys) = (Vec::new(), Vec::new());
    for batch in batches {
        let at = batch.time;
        // First, so that they are read together from wherever they lie.
        keys.clear();
        keys.extend(batch.changes.alerts.iter().map(|record| (record.alert.fingerprint, record.fired_seq)));
        for (fingerprint, present) in keys.iter().copied() {
            let before = live.insert(fingerprint, present).filter(|fired_seq| *fired_seq != present);
            past.extend(before.map(|fired_seq| Past { fired_seq, fingerprint, at }));
        }
        let forgotten_at = forgotten_at(batch);
        for fingerprint in batch.changes.forgotten_alerts.iter().copied() {
            // An alert that fired again behind that is a new occurrence, and stays.
            let forgotten_seq = forgotten_at.get(&fingerprint).copied().unwrap_or(batch.meta.seq);
            if live.get(&fingerprint).is_some_and(|fired_seq| *fired_seq <= forgotten_seq) {
                past.extend(live.remove(&fingerprint).map(|fired_seq| Past { fired_seq, fingerprint, at }));
            }
        }
    }
    past
}

/// The log positions at which a batch forgets alerts.
fn forgotten_at(batch: &ViewBatch) -> FxHashMap<Fingerprint, u64> {
    if batch.changes.forgotten_alerts.is_empty() {
        return FxHashMap::default();
    }
    let facts = batch.facts.iter().zip(batch.first_seq..);
    let position = |(fact, seq): (&Fact, u64)| match fact {
        Fact::AlertForgotten { fingerprint } => Some((*fingerprint, seq)),
        _ => None,
    };
    facts.filter_map(position).collect()
}

/// A block that is being filled.
#[derive(Default)]
struct Block<'a> {
    records: Vec<u8>,
    packer: Packer,
    /// For people: a JSON array of what the SQL view `alerts` shows, with numbers for names and kinds.
    summary: Vec<u8>,
    names: Numbered<&'a str>,
    /// Status and source.
    kinds: Numbered<(&'a str, &'a str)>,
    /// About how many bytes both have as JSON.
    texts_bytes: usize,
    first: Option<(u64, Time)>,
    last: Option<(u64, Time)>,
    count: i64,
}

impl<'a> Block<'a> {
    fn has_room(&self, record: &[u8]) -> bool {
        let records = self.records.len() + HEAD_BYTES + record.len();
        let stored = self.packer.expected(records) + self.summary.len() + self.texts_bytes;
        records <= RECORDS_BYTES_MAX && stored <= BLOCK_BYTES_MAX || self.count == 0
    }

    fn add(&mut self, record: &'a AlertRecord, bytes: &[u8]) {
        let AlertRecord { alert, status, fired_seq, fired_at, ends_at, .. } = record;
        let length = u32::try_from(bytes.len()).expect("an alert has limits far below 4 GiB");
        self.records.extend_from_slice(&fired_seq.to_le_bytes());
        self.records.extend_from_slice(&length.to_le_bytes());
        self.records.extend_from_slice(bytes);
        let (name, kind) = (record.labels().get("alertname"), (status.as_str(), &*alert.source));
        let (names, kinds) = (self.names.all().len(), self.kinds.all().len());
        let (name_number, kind_number) = (self.names.number(name), self.kinds.number(kind));
        if self.names.all().len() > names {
            self.texts_bytes += name.len() + QUOTED_BYTES;
        }
        if self.kinds.all().len() > kinds {
            self.texts_bytes += kind.0.len() + kind.1.len() + 3 * QUOTED_BYTES;
        }
        let (first_seq, at) = *self.first.get_or_insert((*fired_seq, *fired_at));
        let begin =
            (fired_seq - first_seq, key(alert.fingerprint.0), name_number, alert.starts_at.since(at).0, fired_at.since(at).0);
        self.summary.push(if self.count == 0 { b'[' } else { b',' });
        match (kind_number, ends_at) {
            (0, None) => put_json(&mut self.summary, &begin),
            (kind, ends_at) => {
                let (seq, fingerprint, name, starts_at, fired_at) = begin;
                let ends_at = ends_at.map(|ends_at| ends_at.since(at).0);
                put_json(&mut self.summary, &(seq, fingerprint, name, starts_at, fired_at, kind, ends_at));
            }
        }
        self.last = Some((*fired_seq, *fired_at));
        self.count += 1;
    }

    /// Writes the block, if there is anything in it, and empties it.
    fn finish(&mut self, transaction: &Transaction<'_>) -> Result<(), ViewError> {
        let (Some((first, at)), Some((last, fired_at))) = (self.first.take(), self.last.take()) else { return Ok(()) };
        self.summary.push(b']');
        let (mut names, mut kinds) = (Vec::new(), Vec::new());
        put_json(&mut names, &self.names.all());
        put_json(&mut kinds, &self.kinds.all());
        let records = self.packer.pack(&self.records);
        transaction
            .prepare_cached(
                "INSERT INTO alert_block
                     (first_seq, last_seq, alerts, at, fired_at, names, kinds, summary, record_version, records)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                key(first),
                key(last),
                self.count,
                at.0,
                fired_at.0,
                text(&names),
                text(&kinds),
                text(&self.summary),
                RECORD_VERSION,
                records
            ])?;
        transaction.prepare_cached("INSERT INTO alert_block_live (first_seq) VALUES (?1)")?.execute([key(first)])?;
        self.records.clear();
        self.summary.clear();
        self.names.clear();
        self.kinds.clear();
        self.texts_bytes = 0;
        self.count = 0;
        Ok(())
    }
}

fn write_states(transaction: &Transaction<'_>, records: &[&Arc<AlertRecord>]) -> Result<(), ViewError> {
    let mut blob = Vec::new();
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO alert (fired_seq, live, fingerprint, status, ends_at, record_version, state) VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (fired_seq) DO UPDATE SET live = 1, status = ?3, ends_at = ?4, record_version = ?5, state = ?6",
    )?;
    for record in records {
        let state = AlertRecord { alert: Arc::new(said_elsewhere(&record.alert)), ..AlertRecord::clone(record) };
        let (fired_seq, fingerprint, status) = (key(record.fired_seq), key(record.alert.fingerprint.0), record.status.as_str());
        let blob = encode(&Entity::Alert(Arc::new(state)), &mut blob);
        upsert.execute(params![fired_seq, fingerprint, status, record.ends_at.map(|at| at.0), RECORD_VERSION, blob])?;
    }
    Ok(())
}

/// What stands in a state for what the sender said, which the block has.
fn said_elsewhere(alert: &Alert) -> Alert {
    Alert {
        fingerprint: alert.fingerprint,
        labels: Labels::default(),
        annotations: Labels::default(),
        generator_url: "".into(),
        source: "".into(),
        starts_at: Time(0),
    }
}

/// Marks occurrences as history.
fn retire(transaction: &Transaction<'_>, past: &[Past], new: &[&Arc<AlertRecord>]) -> Result<(), ViewError> {
    if past.is_empty() {
        return Ok(());
    }
    let mut retire = transaction.prepare_cached(
        "INSERT INTO alert (fired_seq, live, fingerprint, ends_at) VALUES (?1, 0, ?2, ?3)
         ON CONFLICT (fired_seq) DO UPDATE SET live = 0, ends_at = coalesce(ends_at, ?3)",
    )?;
    let mut block_of = transaction.prepare_cached("SELECT max(first_seq) FROM alert_block WHERE first_seq <= ?1")?;
    let mut blocks: BTreeSet<i64> = BTreeSet::new();
    for Past { fired_seq, fingerprint, at } in past {
        let record = new.binary_search_by_key(fired_seq, |record| record.fired_seq).ok().map(|place| new[place]);
        let ends_at = record.and_then(|record| record.ends_at).unwrap_or(*at);
        retire.execute([key(*fired_seq), key(fingerprint.0), ends_at.0])?;
        blocks.extend(block_of.query_row([key(*fired_seq)], |row| row.get::<_, Option<i64>>(0))?);
    }
    // Counted anew and not down: a commit that the view has in part is applied once more.
    let mut end = transaction.prepare_cached(
        "DELETE FROM alert_block_live WHERE first_seq = ?1 AND (SELECT alerts FROM alert_block WHERE first_seq = ?1) <=
             (SELECT count(*) FROM alert WHERE live = 0
              AND fired_seq BETWEEN ?1 AND (SELECT last_seq FROM alert_block WHERE first_seq = ?1))",
    )?;
    for block in blocks {
        end.execute([block])?;
    }
    Ok(())
}

/// What has become of an occurrence since its block was written; the record is `None` where nothing has.
struct State {
    live: bool,
    version: u8,
    record: Option<Vec<u8>>,
}

/// Gives each live alert, in order of firing.
///
/// # Errors
/// What SQLite says, and records that cannot be read.
pub(super) fn load(connection: &Connection, each: &mut dyn FnMut(AlertRecord)) -> Result<(), ViewError> {
    let mut blocks = connection.prepare(
        "SELECT first_seq, last_seq, record_version, records FROM alert_block_live JOIN alert_block USING (first_seq)
         ORDER BY first_seq",
    )?;
    let mut states =
        connection.prepare("SELECT fired_seq, live, record_version, state FROM alert WHERE fired_seq BETWEEN ?1 AND ?2")?;
    let (mut rows, mut block) = (blocks.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        let (first, last, version): (i64, i64, u8) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let mut changed = FxHashMap::default();
        let mut found = states.query([first, last])?;
        while let Some(row) = found.next()? {
            let version = row.get::<_, Option<u8>>(2)?.unwrap_or_default();
            changed.insert(row.get::<_, i64>(0)?, State { live: row.get(1)?, version, record: row.get(3)? });
        }
        let packed = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        for (fired_seq, bytes) in records(unpack(first, packed, &mut block)?) {
            let state = changed.get(&key(fired_seq));
            if state.is_none_or(|state| state.live) {
                each(together(fired_seq, (version, bytes), state)?);
            }
        }
    }
    Ok(())
}

/// The records of the block of the row `first`, unpacked into `block`.
fn unpack<'b>(first: i64, packed: &[u8], block: &'b mut Vec<u8>) -> Result<&'b [u8], ViewError> {
    packed::unpack(packed, block).map_err(|source| ViewError::Record { table: "alert_block", row: first, source })
}

/// The records of a block, as bytes, each with its occurrence's log position.
fn records(mut block: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let (fired_seq, rest) = block.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (record, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        block = rest;
        Some((u64::from_le_bytes(*fired_seq), record))
    })
}

/// The record of an occurrence, from its block and what has become of it since.
fn together(fired_seq: u64, first: (u8, &[u8]), state: Option<&State>) -> Result<AlertRecord, ViewError> {
    let first_record = decode("alert_block", fired_seq, first.0, first.1)?;
    match state.and_then(|state| Some((state.version, state.record.as_deref()?))) {
        None => Ok(first_record),
        Some((version, bytes)) => Ok(AlertRecord { alert: first_record.alert, ..decode("alert", fired_seq, version, bytes)? }),
    }
}

fn decode(table: &'static str, fired_seq: u64, version: u8, bytes: &[u8]) -> Result<AlertRecord, ViewError> {
    let fault = |source| ViewError::Record { table, row: key(fired_seq), source };
    match record::decode_entity(version, bytes).map_err(fault)? {
        Entity::Alert(record) => Ok(Arc::unwrap_or_clone(record)),
        _ => Err(fault(record::DecodeError("another entity where an alert should be".into()))),
    }
}

/// Reads single occurrences. Keeps the last block: who asks for one often asks for its neighbours.
pub(super) struct Occurrences<'c> {
    connection: &'c Connection,
    block: Option<(u64, u64, u8, Vec<u8>)>,
}

impl<'c> Occurrences<'c> {
    pub(super) fn of(connection: &'c Connection) -> Occurrences<'c> {
        Occurrences { connection, block: None }
    }

    /// One occurrence; `None` for one that retention has deleted.
    ///
    /// # Errors
    /// What SQLite says, and a record that cannot be read.
    pub(super) fn get(&mut self, fired_seq: u64) -> Result<Option<AlertRecord>, ViewError> {
        if !self.block.as_ref().is_some_and(|(first, last, _, _)| (*first..=*last).contains(&fired_seq)) {
            let sql = "SELECT first_seq, last_seq, record_version, records FROM alert_block WHERE first_seq <= ?1
                 ORDER BY first_seq DESC LIMIT 1";
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query([key(fired_seq)])?;
            self.block = match rows.next()? {
                None => None,
                Some(row) => {
                    let (first, last): (i64, i64) = (row.get(0)?, row.get(1)?);
                    let mut block = Vec::new();
                    unpack(first, row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?, &mut block)?;
                    Some((first.cast_unsigned(), last.cast_unsigned(), row.get(2)?, block))
                }
            };
        }
        let Some((_, _, version, block)) = &self.block else { return Ok(None) };
        let Some((_, bytes)) = records(block).find(|(at, _)| *at == fired_seq) else { return Ok(None) };
        let state = self
            .connection
            .prepare_cached("SELECT live, record_version, state FROM alert WHERE fired_seq = ?1")?
            .query_row([key(fired_seq)], |row| {
                let version = row.get::<_, Option<u8>>(1)?.unwrap_or_default();
                Ok(State { live: row.get(0)?, version, record: row.get(2)? })
            })
            .optional()?;
        together(fired_seq, (*version, bytes), state.as_ref()).map(Some)
    }
}
