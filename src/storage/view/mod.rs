//! The view: SQLite in WAL mode behind the log. History for queries, entities for a quick start; rebuildable from the log.
//!
//! Owns `view.db` and nothing else. It never decides, and nothing is lost with it: the log is the truth, the view says
//! how far it has followed, and a view that cannot be read is deleted and written again.
//!
//! - [`schema`]: the tables, and the checks on opening.
//! - [`mod@write`]: what a batch of facts and records means for the rows.
//! - [`alerts`]: the occurrences of alerts, which lie in blocks.
//! - [`packed`]: how those are packed.
//! - [`timeline`]: a fact as a sentence in the timelines that it belongs to.
//! - [`blocks`]: timeline entries as they are stored.
//! - [`joins`]: alerts that joined incidents.
//! - [`numbered`]: texts that stand in a row once and are meant many times.
//! - [`reader`]: history, asked by others while the writer writes.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use rustc_hash::FxHashMap;

use super::record::{self, DecodeError};
use crate::engine::entity::{Changes, Meta};
use crate::engine::{Entity, Fact};
use crate::model::{Fingerprint, Time};

mod alerts;
mod blocks;
mod forget;
mod joins;
mod numbered;
mod packed;
mod reader;
mod schema;
mod timeline;
mod write;

#[cfg(test)]
mod tests;

pub use reader::ViewReader;

/// What the view could not do. The remedy for all of them that last is to delete the file: it is written again from the log.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    #[error("view.db: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("view.db: table {table}, row {row}: {source}")]
    Record { table: &'static str, row: i64, source: DecodeError },
    #[error("view.db: incident {incident}: its timeline is damaged: {source}")]
    Timeline { incident: u64, source: serde_json::Error },
    #[error("view.db has schema {found} of application {application:#x}; this program knows schema {known} of its own")]
    Schema { application: i64, found: i64, known: i64 },
}

/// What one commit of the log means for the view.
#[derive(Clone, Debug)]
pub struct ViewBatch {
    pub first_seq: u64,
    pub time: Time,
    pub facts: Arc<Vec<Fact>>,
    /// The records as they stand behind these facts.
    pub changes: Arc<Changes>,
    pub meta: Meta,
}

/// The writing side; one in the program.
pub struct View {
    connection: Connection,
    /// The last fact that the file holds.
    applied_seq: u64,
    /// The row of each live alert; `None` until somebody needs it. An index on the fingerprints of live alerts would
    /// cost two microseconds for each new alert, this costs 36 bytes.
    live_alerts: Option<LiveAlerts>,
    scratch: write::Scratch,
}

/// `fired_seq` by fingerprint.
type LiveAlerts = FxHashMap<Fingerprint, u64>;

/// A line of an incident's timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    pub seq: u64,
    pub at: Time,
    /// The fact's name in snake case.
    pub kind: String,
    pub text: String,
    pub actor: Option<String>,
    /// The rule, silence or alert that decided, as JSON.
    pub reason: Option<String>,
}

impl View {
    /// Opens or makes the view.
    ///
    /// # Errors
    /// What SQLite says, and a schema of another version; a damaged file is an error (the caller deletes and rebuilds it).
    pub fn open(path: &Path) -> Result<View, ViewError> {
        let connection = schema::open_writer(path)?;
        let applied_seq = read_meta(&connection)?.seq;
        Ok(View { connection, applied_seq, live_alerts: None, scratch: write::Scratch::default() })
    }

    /// How far the view has applied the log, and the state as it stood there: everything that is live, alerts in order
    /// of firing.
    ///
    /// # Errors
    /// What SQLite says, and records that cannot be read.
    pub fn load(&mut self, each: &mut dyn FnMut(Entity)) -> Result<Meta, ViewError> {
        // One transaction, so that all of it is of one moment.
        let transaction = self.connection.transaction()?;
        let meta = read_meta(&transaction)?;
        let mut live_alerts = LiveAlerts::default();
        load_table(&transaction, "incident", each)?;
        alerts::load(&transaction, &mut |record| {
            live_alerts.insert(record.alert.fingerprint, record.fired_seq);
            each(Entity::Alert(Arc::new(record)));
        })?;
        for table in ["notification", "silence", "change", "usual", "message", "heartbeat"] {
            load_table(&transaction, table, each)?;
        }
        transaction.commit()?;
        self.live_alerts = Some(live_alerts);
        Ok(meta)
    }

    /// Applies batches in one transaction. Batches that the view has already are skipped.
    ///
    /// # Errors
    /// What SQLite says; nothing is applied then.
    pub fn write(&mut self, batches: &[ViewBatch]) -> Result<(), ViewError> {
        let fresh: Vec<&ViewBatch> = batches.iter().filter(|batch| batch.meta.seq > self.applied_seq).collect();
        let Some(last) = fresh.last() else { return Ok(()) };
        // Taken out for the time being: when the write fails, it is read again from the rows.
        let mut live_alerts = match self.live_alerts.take() {
            Some(known) => known,
            None => read_live_alerts(&self.connection)?,
        };
        write::apply(&mut self.connection, &mut live_alerts, &mut self.scratch, self.applied_seq, &fresh)?;
        self.live_alerts = Some(live_alerts);
        self.applied_seq = last.meta.seq;
        Ok(())
    }

    /// Deletes history older than `before`: resolved alerts, closed incidents with their timelines, done notifications.
    /// Nothing that is live. The number of deleted records.
    ///
    /// # Errors
    /// What SQLite says. What was deleted until then stays deleted.
    pub fn forget(&mut self, before: Time) -> Result<u64, ViewError> {
        forget::forget(&mut self.connection, before)
    }

    /// Brings the write-ahead file into the database and empties it, as far as readers let it. For quiet moments.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn checkpoint(&mut self) -> Result<(), ViewError> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// The last fact that the view holds.
    #[must_use]
    pub fn applied_seq(&self) -> u64 {
        self.applied_seq
    }
}

fn read_meta(connection: &Connection) -> Result<Meta, ViewError> {
    let sql = "SELECT directory, seq, time, last_incident, last_notification, rules_digest FROM meta";
    let found = connection.query_row(sql, [], |row| {
        Ok(Meta {
            directory: row.get::<_, Arc<str>>(0)?,
            seq: row.get::<_, i64>(1)?.cast_unsigned(),
            time: Time(row.get(2)?),
            last_incident: row.get::<_, i64>(3)?.cast_unsigned(),
            last_notification: row.get::<_, i64>(4)?.cast_unsigned(),
            rules_digest: row.get::<_, Option<i64>>(5)?.map(i64::cast_unsigned),
        })
    });
    match found {
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(Meta::default()),
        other => Ok(other?),
    }
}

fn read_live_alerts(connection: &Connection) -> Result<LiveAlerts, ViewError> {
    let mut live = LiveAlerts::default();
    alerts::load(connection, &mut |record| {
        live.insert(record.alert.fingerprint, record.fired_seq);
    })?;
    Ok(live)
}

fn load_table(connection: &Connection, table: &'static str, each: &mut dyn FnMut(Entity)) -> Result<(), ViewError> {
    let mut statement =
        connection.prepare(&format!("SELECT rowid, record_version, record FROM {table} WHERE live = 1 ORDER BY rowid"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each(read_record(table, row)?);
    }
    Ok(())
}

/// Reads the entity of a row of the form `rowid, record_version, record`.
fn read_record(table: &'static str, row: &rusqlite::Row<'_>) -> Result<Entity, ViewError> {
    let version: u8 = row.get(1)?;
    let bytes = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
    record::decode_entity(version, bytes).map_err(|source| ViewError::Record {
        table,
        row: row.get(0).unwrap_or_default(),
        source,
    })
}
