//! Retention: history that is old enough goes. Owns deletions and never touches what is live.

use rusqlite::{Connection, ToSql, Transaction, params};

use super::ViewError;
use crate::model::Time;

/// Rows that one transaction looks at, so that the write-ahead file stays small while much is deleted.
const ROWS_PER_STEP: i64 = 5_000;
/// The same for blocks of alerts, a page each.
const BLOCKS_PER_STEP: i64 = 250;

/// A table with history in it.
struct Table {
    name: &'static str,
    /// Its key, in whose order its rows came to be.
    key: &'static str,
    /// When a row came to be: with the first one younger than the limit the search ends.
    began: &'static str,
    /// When a row of history was done.
    ended: &'static str,
    /// Whether it is no history yet.
    live: &'static str,
}

/// A block goes as a whole: an occurrence without its row would stand as it was at first.
const LIVE_BLOCK: &str = "EXISTS (SELECT 1 FROM alert_block_live AS live WHERE live.first_seq = alert_block.first_seq)";
const ENDED_OF_BLOCK: &str = "(SELECT max(ends_at) FROM alert WHERE fired_seq BETWEEN first_seq AND last_seq)";

const TABLES: [Table; 5] = [
    Table { name: "alert_block", key: "first_seq", began: "fired_at", ended: ENDED_OF_BLOCK, live: LIVE_BLOCK },
    Table { name: "incident", key: "id", began: "opened_at", ended: "updated_at", live: "live" },
    Table { name: "notification", key: "id", began: "created_at", ended: "coalesce(delivered_at, created_at)", live: "live" },
    Table { name: "silence", key: "rowid", began: "0", ended: "ends_at", live: "live" },
    Table { name: "change", key: "rowid", began: "0", ended: "coalesce(ended_at, started_at)", live: "live" },
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
    let rows = if *name == "alert_block" { BLOCKS_PER_STEP } else { ROWS_PER_STEP };
    Ok(connection.prepare_cached(&sql)?.query_row(params![behind, rows, before.0], |row| row.get(0))?)
}

fn delete_step(connection: &mut Connection, table: &Table, behind: i64, to: i64, before: Time) -> Result<u64, ViewError> {
    let Table { name, key, ended, live, .. } = table;
    let old = format!("FROM {name} WHERE {key} > ?1 AND {key} <= ?2 AND NOT {live} AND {ended} < ?3");
    let bounds: &[&dyn ToSql] = params![behind, to, before.0];
    let transaction = connection.transaction()?;
    if table.name == "incident" {
        for part in ["timeline_block", "join_block", "member_block"] {
            transaction.execute(&format!("DELETE FROM {part} WHERE incident IN (SELECT id {old})"), bounds)?;
        }
    }
    if table.name == "alert_block" {
        let deleted = delete_blocks(&transaction, &old, bounds)?;
        transaction.commit()?;
        return Ok(deleted);
    }
    let deleted = transaction.execute(&format!("DELETE {old}"), bounds)?;
    transaction.commit()?;
    Ok(deleted as u64)
}

/// Deletes blocks of alerts, and what has become of each of theirs.
fn delete_blocks(transaction: &Transaction<'_>, old: &str, bounds: &[&dyn ToSql]) -> Result<u64, ViewError> {
    let mut blocks = transaction.prepare_cached(&format!("SELECT first_seq, last_seq {old}"))?;
    let blocks: Vec<(i64, i64)> = blocks.query_map(bounds, |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut deleted = 0;
    for (first, last) in blocks {
        transaction.prepare_cached("DELETE FROM alert_block WHERE first_seq = ?1")?.execute([first])?;
        deleted += transaction.prepare_cached("DELETE FROM alert WHERE fired_seq BETWEEN ?1 AND ?2")?.execute([first, last])?;
    }
    Ok(deleted as u64)
}
