//! History, asked by others while the writer writes. Each question is one statement or one transaction, so it sees one
//! moment of the view.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, Params, Row, params};

use super::alerts::Occurrences;
use super::joins::{self, Columns};
use super::write::key;
use super::{TimelineEntry, ViewError, blocks, read_record, schema};
use crate::engine::Entity;
use crate::model::{AlertRecord, Fingerprint, Incident, IncidentId, Notification, Time};

/// The reading side; cheap to open, one for each thread that asks. What is live is newer in the runtime's tables.
pub struct ViewReader {
    connection: Connection,
}

impl ViewReader {
    /// Opens the view for reading.
    ///
    /// # Errors
    /// What SQLite says, also when there is no such file; a schema of another version.
    pub fn open(path: &Path) -> Result<ViewReader, ViewError> {
        Ok(ViewReader { connection: schema::open_reader(path)? })
    }

    /// One incident, live or past.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn incident(&self, id: IncidentId) -> Result<Option<Incident>, ViewError> {
        let sql = "SELECT id, record_version, record FROM incident WHERE id = ?1";
        let found = self.collect("incident", sql, [key(id.0)], 1, &mut |entity| match entity {
            Entity::Incident(incident) => Some(Arc::unwrap_or_clone(incident)),
            _ => None,
        })?;
        Ok(found.into_iter().next())
    }

    /// Incidents with ids below `before`, newest first, that `keep` accepts.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn incidents(
        &self,
        before: Option<IncidentId>,
        limit: usize,
        keep: &mut dyn FnMut(&Incident) -> bool,
    ) -> Result<Vec<Incident>, ViewError> {
        let sql = "SELECT id, record_version, record FROM incident WHERE id < ?1 ORDER BY id DESC";
        self.collect("incident", sql, [before.map_or(i64::MAX, |id| key(id.0))], limit, &mut |entity| match entity {
            Entity::Incident(incident) if keep(&incident) => Some(Arc::unwrap_or_clone(incident)),
            _ => None,
        })
    }

    /// Past occurrences that began before log position `before`, newest first, that `keep` accepts; of all alerts or one.
    ///
    /// Past means forgotten by the running program, or followed by another occurrence of the same alert. What is not past
    /// is in the runtime's table, and an index that finds it here would cost each new alert as much as all its other rows.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn alerts(
        &self,
        of: Option<Fingerprint>,
        before: Option<u64>,
        limit: usize,
        keep: &mut dyn FnMut(&AlertRecord) -> bool,
    ) -> Result<Vec<AlertRecord>, ViewError> {
        let before = before.map_or(i64::MAX, key);
        match of {
            None => {
                let sql = "SELECT fired_seq FROM alert WHERE live = 0 AND fired_seq < ?1 ORDER BY fired_seq DESC";
                self.occurrences(sql, [before], limit, keep)
            }
            Some(fingerprint) => {
                let sql =
                    "SELECT fired_seq FROM alert WHERE live = 0 AND fingerprint = ?1 AND fired_seq < ?2 ORDER BY fired_seq DESC";
                self.occurrences(sql, params![key(fingerprint.0), before], limit, keep)
            }
        }
    }

    /// The newest occurrences of all alerts, live and past, newest first, that `keep` accepts.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn newest_alerts(&self, limit: usize, keep: &mut dyn FnMut(&AlertRecord) -> bool) -> Result<Vec<AlertRecord>, ViewError> {
        let sql =
            "SELECT first_seq + (value ->> 0) FROM alert_block, json_each(summary) ORDER BY first_seq DESC, json_each.key DESC";
        self.occurrences(sql, [], limit, keep)
    }

    /// The occurrences that are or were in an incident, in order of firing.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn incident_alerts(&self, id: IncidentId, limit: usize) -> Result<Vec<AlertRecord>, ViewError> {
        let sql = "SELECT first_seq + (value ->> 0) - (value ->> 2) FROM join_block, json_each(joins) WHERE incident = ?1
             UNION SELECT value FROM member_block, json_each(member_block.alerts) WHERE incident = ?1 ORDER BY 1";
        self.occurrences(sql, [key(id.0)], limit, &mut |_| true)
    }

    /// Notifications with ids below `before`, newest first, that `keep` accepts.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn notifications(
        &self,
        before: Option<u64>,
        limit: usize,
        keep: &mut dyn FnMut(&Notification) -> bool,
    ) -> Result<Vec<Notification>, ViewError> {
        let sql = "SELECT id, record_version, record FROM notification WHERE id < ?1 ORDER BY id DESC";
        self.collect("notification", sql, [before.map_or(i64::MAX, key)], limit, &mut |entity| match entity {
            Entity::Notification(notification) if keep(&notification) => Some(Arc::unwrap_or_clone(notification)),
            _ => None,
        })
    }

    /// An incident's timeline behind log position `after`, oldest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn timeline(&self, id: IncidentId, after: u64, limit: usize) -> Result<Vec<TimelineEntry>, ViewError> {
        let damaged = |source| ViewError::Timeline { incident: id.0, source };
        // Each of both is in order: a row's entries all stand before those of the next one.
        let sql = "SELECT entries FROM timeline_block WHERE incident = ?1 AND last_seq > ?2 ORDER BY first_seq";
        let mut entries =
            self.entries(sql, id, after, limit, &|row| Ok(blocks::read_block(text(row, 0)?).map_err(damaged)?.collect()))?;
        let sql = "SELECT first_seq, at, rule, reason, names, joins FROM join_block WHERE incident = ?1 AND last_seq > ?2
             ORDER BY id";
        entries.extend(self.entries(sql, id, after, limit, &|row| {
            let (first_seq, at) = (row.get::<_, i64>(0)?.cast_unsigned(), Time(row.get(1)?));
            let (rule, reason, names, joins) = (text(row, 2)?, text(row, 3)?, text(row, 4)?, text(row, 5)?);
            joins::read(&Columns { first_seq, at, rule, reason, names, joins }).map_err(damaged)
        })?);
        entries.sort_by_key(|entry| entry.seq);
        entries.truncate(limit);
        Ok(entries)
    }

    /// The first `limit` entries behind `after`, from rows that each hold several.
    fn entries(
        &self,
        sql: &str,
        id: IncidentId,
        after: u64,
        limit: usize,
        read: &dyn Fn(&Row<'_>) -> Result<Vec<TimelineEntry>, ViewError>,
    ) -> Result<Vec<TimelineEntry>, ViewError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([key(id.0), key(after)])?;
        let mut entries = Vec::new();
        while entries.len() < limit
            && let Some(row) = rows.next()?
        {
            entries.extend(read(row)?.into_iter().filter(|entry| entry.seq > after).take(limit - entries.len()));
        }
        Ok(entries)
    }

    /// The first `limit` occurrences that `keep` accepts, of those whose log positions a query gives.
    fn occurrences(
        &self,
        sql: &str,
        params: impl Params,
        limit: usize,
        keep: &mut dyn FnMut(&AlertRecord) -> bool,
    ) -> Result<Vec<AlertRecord>, ViewError> {
        // Of one moment, though it asks several times.
        let moment = self.connection.unchecked_transaction()?;
        let mut occurrences = Occurrences::of(&moment);
        let mut statement = moment.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(row) = rows.next()?
        {
            // An alert that joined and was not known any more has no number.
            let Some(fired_seq) = row.get::<_, Option<i64>>(0)? else { continue };
            found.extend(occurrences.get(fired_seq.cast_unsigned())?.filter(|record| keep(record)));
        }
        Ok(found)
    }

    /// The first `limit` records of a query that `pick` takes.
    fn collect<T>(
        &self,
        table: &'static str,
        sql: &str,
        params: impl Params,
        limit: usize,
        pick: &mut dyn FnMut(Entity) -> Option<T>,
    ) -> Result<Vec<T>, ViewError> {
        let mut found = Vec::new();
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        while found.len() < limit {
            let Some(row) = rows.next()? else { break };
            found.extend(pick(read_record(table, row)?));
        }
        Ok(found)
    }
}

/// A text of a row that is looked at only for the moment.
fn text<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r str, ViewError> {
    Ok(row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?)
}
