//! What a batch of facts and records means for the rows. One transaction; a record that changed many times is written once.

use std::ops::Range;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use rustc_hash::{FxHashMap, FxHashSet};

use super::blocks::{BLOCK_ENTRIES_MAX, NewEntry};
use super::joins::{self, Joins};
use super::timeline::{self, Context};
use super::{LiveAlerts, ViewBatch, ViewError, alerts};
use crate::engine::entity::{Changes, Meta};
use crate::engine::{Entity, Fact};
use crate::model::incident::Head;
use crate::model::{Change, Heartbeat, IncidentId, Notification, Silence, Usual, ahead, incident};
use crate::storage::record::{self, RECORD_VERSION};

/// Applies `batches`, all of them beyond `applied_seq`, in one transaction.
///
/// # Errors
/// What SQLite says; nothing is applied then, and `live` is no longer what the rows say.
pub(super) fn apply(
    connection: &mut Connection,
    live: &mut LiveAlerts,
    scratch: &mut Scratch,
    applied_seq: u64,
    batches: &[&ViewBatch],
) -> Result<(), ViewError> {
    let Some(last) = batches.last() else { return Ok(()) };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut changed = alerts::Changed::of(live, applied_seq, batches);
    // First, because it asks the rows for what was before.
    write_timeline(&transaction, scratch, applied_seq, batches, &mut changed)?;
    changed.finish(&transaction)?;
    write_incidents(&transaction, batches)?;
    write_notifications(&transaction, batches)?;
    write_silences(&transaction, batches)?;
    write_changes(&transaction, batches)?;
    write_usual(&transaction, batches)?;
    write_messages(&transaction, batches)?;
    write_heartbeats(&transaction, batches)?;
    write_meta(&transaction, &last.meta)?;
    transaction.commit()?;
    Ok(())
}

/// Buffers of writing, kept because fresh memory for some megabytes costs more than filling them.
#[derive(Default)]
pub(super) struct Scratch {
    /// The JSON of all entries, one behind the other: a text for each would cost as much as making it.
    texts: Vec<u8>,
    entries: Vec<TimelineEntry>,
    joins: joins::Buffers,
    members: Vec<(IncidentId, u64)>,
}

/// Buffers that have grown larger in a storm are given back.
pub(super) const TEXTS_KEPT_MAX: usize = 16 << 20;
pub(super) const ENTRIES_KEPT_MAX: usize = 100_000;

impl Scratch {
    fn clear(&mut self) {
        let Scratch { texts, entries, joins, members } = self;
        joins.clear();
        texts.clear();
        texts.shrink_to(TEXTS_KEPT_MAX);
        entries.clear();
        entries.shrink_to(ENTRIES_KEPT_MAX);
        members.clear();
        members.shrink_to(ENTRIES_KEPT_MAX);
    }
}

fn write_timeline(
    transaction: &Transaction<'_>,
    scratch: &mut Scratch,
    applied_seq: u64,
    batches: &[&ViewBatch],
    alerts: &mut alerts::Changed<'_>,
) -> Result<(), ViewError> {
    scratch.clear();
    let Scratch { texts, entries, joins, members } = scratch;
    let mut priorities = Priorities { transaction, set: FxHashMap::default() };
    let mut joins = Joins::new(joins);
    for batch in batches {
        // Its alerts and its facts have lain far from this processor for a while.
        ahead::records(batch.changes.alerts.iter().map(|record| &**record));
        std::hint::black_box(batch.facts.iter().filter(|fact| matches!(fact, Fact::AlertJoined { .. })).count());
        let mut context = Context::of(&batch.changes);
        for (fact, seq) in batch.facts.iter().zip(batch.first_seq..).filter(|(_, seq)| *seq > applied_seq) {
            let start = texts.len();
            if let Some(joined) = timeline::join(fact, &context) {
                joins.add(seq, batch.time, &joined);
                continue;
            }
            context.priority_before = priorities.before(fact)?;
            let Some(told) = timeline::tell(fact, &context) else { continue };
            let entry =
                NewEntry { seq, at: batch.time.0, kind: fact.kind(), text: &told.text, actor: told.actor, reason: told.reason };
            put_json(texts, &entry);
            let json = start..texts.len();
            entries.extend(told.incidents.as_slice().iter().map(|incident| TimelineEntry {
                incident: *incident,
                seq,
                json: json.clone(),
            }));
        }
        members.extend(came_back(batch));
        alerts.write_up_to(transaction, batch.meta.seq)?;
    }
    if !members.is_empty() {
        let joined: FxHashSet<(IncidentId, u64)> = joins.members().collect();
        members.retain(|member| !joined.contains(member));
    }
    write_entries(transaction, texts, entries)?;
    joins.write(transaction)?;
    write_members(transaction, members)
}

/// An entry of one incident's timeline, with the place of its JSON among all texts of the write.
struct TimelineEntry {
    incident: IncidentId,
    seq: u64,
    json: Range<usize>,
}

/// In order of incident and log position, as one number: half the time of comparing two.
fn incident_and_seq(incident: IncidentId, seq: u64) -> u128 {
    u128::from(incident.0) << 64 | u128::from(seq)
}

fn write_entries(transaction: &Transaction<'_>, texts: &[u8], entries: &mut [TimelineEntry]) -> Result<(), ViewError> {
    entries.sort_unstable_by_key(|entry| incident_and_seq(entry.incident, entry.seq));
    let mut insert = transaction
        .prepare_cached("INSERT INTO timeline_block (incident, first_seq, last_seq, entries) VALUES (?1, ?2, ?3, ?4)")?;
    let mut array = Vec::new();
    for of_incident in entries.chunk_by(|a, b| a.incident == b.incident) {
        for block in of_incident.chunks(BLOCK_ENTRIES_MAX) {
            let (first, last) = (&block[0], &block[block.len() - 1]);
            put_list(&mut array, block, |array, entry| array.extend_from_slice(&texts[entry.json.clone()]));
            insert.execute(params![key(first.incident.0), key(first.seq), key(last.seq), text(&array)])?;
        }
    }
    Ok(())
}

pub(super) fn put_json(texts: &mut Vec<u8>, value: &impl serde::Serialize) {
    serde_json::to_writer(texts, value).expect("numbers and text, which JSON can always hold");
}

/// The incidents of new occurrences. Those of alerts that were in them before are not joined.
fn came_back(batch: &ViewBatch) -> impl Iterator<Item = (IncidentId, u64)> + '_ {
    let new = batch.changes.alerts.iter().filter(|record| record.fired_seq >= batch.first_seq);
    new.flat_map(|record| record.incidents.iter().map(|incident| (*incident, record.fired_seq)))
}

/// One row for each incident that has new members: a row for each member cost a microsecond more an alert.
fn write_members(transaction: &Transaction<'_>, members: &mut Vec<(IncidentId, u64)>) -> Result<(), ViewError> {
    members.sort_unstable();
    members.dedup();
    let mut insert = transaction.prepare_cached("INSERT INTO member_block (incident, alerts) VALUES (?1, ?2)")?;
    let mut array = Vec::new();
    for of_incident in members.chunk_by(|a, b| a.0 == b.0) {
        array.clear();
        let fired: Vec<u64> = of_incident.iter().map(|(_, fired_seq)| *fired_seq).collect();
        put_json(&mut array, &fired);
        insert.execute(params![key(of_incident[0].0.0), text(&array)])?;
    }
    Ok(())
}

/// A JSON array of what `put` puts for each item, in a buffer.
pub(super) fn put_list<T>(array: &mut Vec<u8>, items: &[T], mut put: impl FnMut(&mut Vec<u8>, &T)) {
    array.clear();
    array.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            array.push(b',');
        }
        put(array, item);
    }
    array.push(b']');
}

/// Bytes that are known to be text, as SQLite takes text.
pub(super) fn text(bytes: &[u8]) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Text(bytes))
}

/// The priorities that incidents had before a fact: from this write, else from their rows.
struct Priorities<'a> {
    transaction: &'a Transaction<'a>,
    set: FxHashMap<IncidentId, u8>,
}

impl Priorities<'_> {
    /// The priority before `fact`, and takes note of the one it sets.
    fn before(&mut self, fact: &Fact) -> Result<Option<u8>, ViewError> {
        let Fact::IncidentPrioritized { incident, impact, urgency, .. } = fact else { return Ok(None) };
        let before = match self.set.insert(*incident, incident::priority(*impact, *urgency)) {
            Some(known) => Some(known),
            None => self
                .transaction
                .prepare_cached("SELECT priority FROM incident WHERE id = ?1")?
                .query_row([key(incident.0)], |row| row.get(0))
                .optional()?,
        };
        Ok(before)
    }
}

fn write_incidents(transaction: &Transaction<'_>, batches: &[&ViewBatch]) -> Result<(), ViewError> {
    let mut blob = Vec::new();
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO incident (id, live, status, priority, team, title, opened_at, updated_at, record_version, record)
         VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (id) DO UPDATE SET status = ?2, priority = ?3, team = ?4, title = ?5, updated_at = ?7, record_version = ?8,
             record = ?9",
    )?;
    for incident in last_of_each(batches.iter().flat_map(|batch| &batch.changes.incidents), |incident| incident.id.0) {
        let blob = encode(&Entity::Incident(incident.clone()), &mut blob);
        let (status, opened_at, updated_at) = (incident.status.as_str(), incident.opened_at.0, incident.updated_at.0);
        let Head { priority, team, title, .. } = &*incident.head;
        let id = key(incident.id.0);
        upsert.execute(params![id, status, priority, team, title, opened_at, updated_at, RECORD_VERSION, blob])?;
    }
    let forgotten = forgotten(batches, |changes| &changes.forgotten_incidents).map(|id| key(id.0));
    retire(transaction, "UPDATE incident SET live = 0 WHERE id = ?1", forgotten)
}

fn write_notifications(transaction: &Transaction<'_>, batches: &[&ViewBatch]) -> Result<(), ViewError> {
    let mut blob = Vec::new();
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO notification (id, live, incident, receiver, kind, state, created_at, delivered_at, error, record_version, record)
         VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (id) DO UPDATE SET live = 1, state = ?5, delivered_at = ?7, error = ?8, record_version = ?9, record = ?10",
    )?;
    for notification in
        last_of_each(batches.iter().flat_map(|batch| &batch.changes.notifications), |notification| notification.id.0)
    {
        let Notification { id, incident, receiver, kind, state, created_at, delivered_at, error, .. } = &**notification;
        let blob = encode(&Entity::Notification(notification.clone()), &mut blob);
        upsert.execute(params![
            key(id.0),
            key(incident.0),
            receiver,
            kind.as_str(),
            state.as_str(),
            created_at.0,
            delivered_at.map(|time| time.0),
            error,
            RECORD_VERSION,
            blob,
        ])?;
    }
    let forgotten = forgotten(batches, |changes| &changes.forgotten_notifications).map(|id| key(id.0));
    retire(transaction, "UPDATE notification SET live = 0 WHERE id = ?1", forgotten)
}

fn write_silences(transaction: &Transaction<'_>, batches: &[&ViewBatch]) -> Result<(), ViewError> {
    let mut blob = Vec::new();
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO silence (id, live, created_by, comment, starts_at, ends_at, record_version, record)
         VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (id) DO UPDATE SET live = 1, created_by = ?2, comment = ?3, starts_at = ?4, ends_at = ?5, record_version = ?6,
             record = ?7",
    )?;
    for silence in last_of_each(batches.iter().flat_map(|batch| &batch.changes.silences), |silence| silence.id) {
        let Silence { id, created_by, comment, starts_at, ends_at, .. } = &**silence;
        let blob = encode(&Entity::Silence(silence.clone()), &mut blob);
        upsert.execute(params![id.to_string(), created_by, comment, starts_at.0, ends_at.0, RECORD_VERSION, blob])?;
    }
    let forgotten = forgotten(batches, |changes| &changes.forgotten_silences).map(ToString::to_string);
    retire(transaction, "UPDATE silence SET live = 0 WHERE id = ?1", forgotten)
}

fn write_changes(transaction: &Transaction<'_>, batches: &[&ViewBatch]) -> Result<(), ViewError> {
    let mut blob = Vec::new();
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO change (id, live, kind, things, summary, started_at, ended_at, record_version, record)
         VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (id) DO UPDATE SET live = 1, kind = ?2, things = ?3, summary = ?4, started_at = ?5, ended_at = ?6,
             record_version = ?7, record = ?8",
    )?;
    for change in last_of_each(batches.iter().flat_map(|batch| &batch.changes.reported), |change| change.id.clone()) {
        let Change { id, kind, things, summary, started_at, ended_at, .. } = &**change;
        let blob = encode(&Entity::Change(change.clone()), &mut blob);
        let things = things.join(" ");
        upsert.execute(params![id, kind, things, summary, started_at.0, ended_at.map(|time| time.0), RECORD_VERSION, blob])?;
    }
    retire(transaction, "UPDATE change SET live = 0 WHERE id = ?1", forgotten(batches, |changes| &changes.forgotten_reported))
}

/// What is remembered no more leaves no history.
fn write_usual(transaction: &Transaction<'_>, batches: &[&ViewBatch]) -> Result<(), ViewError> {
    let mut blob = Vec::new();
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO usual (rule, key, live, milli_per_hour, record_version, record) VALUES (?1, ?2, 1, ?3, ?4, ?5)
         ON CONFLICT (rule, key) DO UPDATE SET milli_per_hour = ?3, record_version = ?4, record = ?5",
    )?;
    let mut delete = transaction.prepare_cached("DELETE FROM usual WHERE rule = ?1 AND key = ?2")?;
    let place = |usual: &Usual| (usual.rule.clone(), usual.key.to_string());
    for usual in last_of_each(batches.iter().flat_map(|batch| &batch.changes.usual), |usual| place(usual)) {
        let (rule, key) = place(usual);
        if usual.milli_per_hour == 0 {
            delete.execute(params![rule, key])?;
        } else {
            let blob = encode(&Entity::Usual(usual.clone()), &mut blob);
            upsert.execute(params![rule, key, usual.milli_per_hour, RECORD_VERSION, blob])?;
        }
    }
    Ok(())
}

/// As of what is usual, nothing is kept of a message that is forgotten. One may be forgotten and come again within the batches.
fn write_messages(transaction: &Transaction<'_>, batches: &[&ViewBatch]) -> Result<(), ViewError> {
    let mut blob = Vec::new();
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO message (source, id, live, until, record_version, record) VALUES (?1, ?2, 1, ?3, ?4, ?5)
         ON CONFLICT (source, id) DO UPDATE SET until = ?3, record_version = ?4, record = ?5",
    )?;
    let mut delete = transaction.prepare_cached("DELETE FROM message WHERE source = ?1 AND id = ?2")?;
    for batch in batches {
        for message in &batch.changes.messages {
            let blob = encode(&Entity::Message(message.clone()), &mut blob);
            upsert.execute(params![message.source, message.id.to_string(), message.until.0, RECORD_VERSION, blob])?;
        }
        for (source, id) in &batch.changes.forgotten_messages {
            delete.execute(params![source, id.to_string()])?;
        }
    }
    Ok(())
}

/// What is awaited no more leaves no history.
fn write_heartbeats(transaction: &Transaction<'_>, batches: &[&ViewBatch]) -> Result<(), ViewError> {
    let mut blob = Vec::new();
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO heartbeat (name, live, last_at, missed_at, record_version, record) VALUES (?1, 1, ?2, ?3, ?4, ?5)
         ON CONFLICT (name) DO UPDATE SET live = 1, last_at = ?2, missed_at = ?3, record_version = ?4, record = ?5",
    )?;
    for heartbeat in last_of_each(batches.iter().flat_map(|batch| &batch.changes.heartbeats), |heartbeat| heartbeat.name.clone())
    {
        let Heartbeat { name, last_at, missed_at, .. } = &**heartbeat;
        let blob = encode(&Entity::Heartbeat(heartbeat.clone()), &mut blob);
        upsert.execute(params![name, last_at.0, missed_at.map(|time| time.0), RECORD_VERSION, blob])?;
    }
    let forgotten = forgotten(batches, |changes| &changes.forgotten_heartbeats);
    retire(transaction, "DELETE FROM heartbeat WHERE name = ?1", forgotten)
}

fn write_meta(transaction: &Transaction<'_>, meta: &Meta) -> Result<(), ViewError> {
    let mut replace = transaction.prepare_cached(
        "REPLACE INTO meta (one, directory, seq, time, last_incident, last_notification, rules_digest)
         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let (incident, notification) = (key(meta.last_incident), key(meta.last_notification));
    replace.execute(params![meta.directory, key(meta.seq), meta.time.0, incident, notification, meta.rules_digest.map(key)])?;
    Ok(())
}

/// The last record of each key, in order of the keys, so that rows are written in the order of their table.
pub(super) fn last_of_each<'a, T, K: Ord>(records: impl Iterator<Item = &'a T>, key: impl Fn(&T) -> K) -> Vec<&'a T> {
    // With the key beside it: the records lie all over the memory.
    let mut records: Vec<(K, &T)> = records.map(|record| (key(record), record)).collect();
    // Stable: of one key, the later record stays behind the earlier one.
    records.sort_by(|a, b| a.0.cmp(&b.0));
    records.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1 = later.1;
        }
        same
    });
    records.into_iter().map(|(_, record)| record).collect()
}

/// What all batches have forgotten.
fn forgotten<'a, T: 'a>(batches: &[&'a ViewBatch], of: impl Fn(&'a Changes) -> &'a Vec<T>) -> impl Iterator<Item = &'a T> {
    batches.iter().flat_map(move |batch| of(&batch.changes))
}

/// Marks rows as history, or deletes them.
fn retire<K: rusqlite::ToSql>(
    transaction: &Transaction<'_>,
    update: &str,
    keys: impl Iterator<Item = K>,
) -> Result<(), ViewError> {
    let mut update = transaction.prepare_cached(update)?;
    for key in keys {
        update.execute([key])?;
    }
    Ok(())
}

/// The bytes of an entity, in the buffer of the one before.
pub(super) fn encode<'a>(entity: &Entity, buffer: &'a mut Vec<u8>) -> &'a [u8] {
    buffer.clear();
    record::encode_entity(entity, buffer);
    buffer
}

/// A number as SQLite keeps it; fingerprints use all 64 bits.
pub(super) fn key(number: u64) -> i64 {
    number.cast_signed()
}
