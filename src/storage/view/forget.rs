//! Retention: history that is old enough goes. Owns deletions and never touches what is live.

use rusqlite::{Connection, params};

use super::ViewError;
use crate::model::Time;

/// Rows that one transaction looks at, so that the write-ahead file stays small while much is deleted.
const ROWS_PER_STEP: i64 = 5_000;

/// A table with history in it.
struct Table {
    name: &'static str,
    /// Its key, in whose order its rows came to be.
    key: &'static str,
    /// When a row came to be: with the first one younger than the limit the search ends.
    began: &'static str,
    /// When a row of history was done.
    ended: &'static str,
}

const TABLES: [Table; 5] = [
    Table { name: "alert", key: "fired_seq", began: "fired_at", ended: "coalesce(ends_at, fired_at)" },
    Table { name: "incident", key: "id", began: "opened_at", ended: "updated_at" },
    Table { name: "notification", key: "id", began: "created_at", ended: "coalesce(delivered_at, created_at)" },
    Table { name: "silence", key: "rowid", began: "0", ended: "ends_at" },
    Table { name: "change", key: "rowid", began: "0", ended: "coalesce(ended_at, started_at)" },
];

/// Deletes what was done before `before`. The number of deleted records.
///
/// # Errors
/// What SQLite says.
pub(super) fn forget(connection: &mut Connection, before: Time) -> Result<u64, ViewError> {
    let mut deleted = 0;
    for table in &TABLES {
        let mut behind = i64::MIN;
        while let Some(step) = next_step(connection, table, behind, before)? {
            deleted += delete_step(connection, table, behind, step, before)?;
            behind = step;
        }
    }
    Ok(deleted)
}

/// The last key of the next rows that began before the limit; `None` when there are no more.
fn next_step(connection: &Connection, table: &Table, behind: i64, before: Time) -> Result<Option<i64>, ViewError> {
    let Table { name, key, began, .. } = table;
    let sql = format!(
        "SELECT max(key) FROM (SELECT {key} AS key, {began} AS began FROM {name} WHERE {key} > ?1 ORDER BY {key} LIMIT ?2)
         WHERE began < ?3"
    );
    Ok(connection.prepare_cached(&sql)?.query_row(params![behind, ROWS_PER_STEP, before.0], |row| row.get(0))?)
}

fn delete_step(connection: &mut Connection, table: &Table, behind: i64, to: i64, before: Time) -> Result<u64, ViewError> {
    let Table { name, key, ended, .. } = table;
    let old = format!("FROM {name} WHERE {key} > ?1 AND {key} <= ?2 AND live = 0 AND {ended} < ?3");
    let bounds = params![behind, to, before.0];
    let transaction = connection.transaction()?;
    if table.name == "incident" {
        for part in ["timeline_block", "member_block"] {
            transaction.execute(&format!("DELETE FROM {part} WHERE incident IN (SELECT id {old})"), bounds)?;
        }
    }
    let deleted = transaction.execute(&format!("DELETE {old}"), bounds)?;
    transaction.commit()?;
    Ok(deleted as u64)
}
