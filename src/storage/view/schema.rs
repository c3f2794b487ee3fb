//! The tables of the view and the checks on opening it. Owns SQL that makes and configures; never reads or writes rows.
//!
//! Tables have names in the singular and hold what the program needs, most of it in `record` (the bytes of
//! `storage::record`); the SQL views in the plural are for people who open the file with `sqlite3`.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::ViewError;

/// The version of [`TABLES`], kept in `user_version`. A view of another version is built anew from the log.
const SCHEMA_VERSION: i64 = 7;

/// "Quel" as SQLite's `application_id`, so that a foreign database is not taken for a view.
const APPLICATION_ID: i64 = 0x5175_656c;

/// Rows are keyed by log position or by running number, so that new ones are always appended: a row keyed by a hash
/// costs ten times as much. For the same reason no index covers a live alert's fingerprint (the writer keeps those in memory),
/// and alerts, timelines and members are kept as one row for many of a write, not for each.
const TABLES: &str = "
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    directory TEXT NOT NULL,
    seq INTEGER NOT NULL,
    time INTEGER NOT NULL,
    last_incident INTEGER NOT NULL,
    last_notification INTEGER NOT NULL,
    rules_digest INTEGER
) STRICT;

-- The occurrences of alerts that one write brought, as they stood then: records for the program (their length in four bytes,
-- the lowest first, and a block of LZ4), and for people the JSON array `summary` of
-- [fired_seq, fingerprint, name, starts_at, fired_at, kind, ends_at]: fired_seq counted from first_seq, times from `at`; a name's
-- place in the array `names`, and that of [status, source] in `kinds`. An array may end before its kind, which is 0 then,
-- and before ends_at.
CREATE TABLE alert_block (
    first_seq INTEGER PRIMARY KEY,
    last_seq INTEGER NOT NULL,
    alerts INTEGER NOT NULL,
    at INTEGER NOT NULL,
    fired_at INTEGER NOT NULL,
    names TEXT NOT NULL,
    kinds TEXT NOT NULL,
    summary TEXT NOT NULL,
    record_version INTEGER NOT NULL,
    records BLOB NOT NULL
) STRICT;

-- The blocks of which the running program still holds any occurrence.
CREATE TABLE alert_block_live (
    first_seq INTEGER PRIMARY KEY
) STRICT;

-- What has become of an occurrence since its block was written. live: the running program still holds it.
CREATE TABLE alert (
    fired_seq INTEGER PRIMARY KEY,
    live INTEGER NOT NULL,
    fingerprint INTEGER NOT NULL,
    status TEXT,
    ends_at INTEGER,
    record_version INTEGER,
    state BLOB
) STRICT;
CREATE INDEX alert_history ON alert (fingerprint, fired_seq) WHERE live = 0;

CREATE TABLE incident (
    id INTEGER PRIMARY KEY,
    live INTEGER NOT NULL,
    status TEXT NOT NULL,
    priority INTEGER NOT NULL,
    team TEXT,
    title TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    record_version INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT;
CREATE INDEX incident_live ON incident (live) WHERE live = 1;

-- The alerts that one write found to have joined one incident by one rule: lines of its timeline, and its members. `joins` is a
-- JSON array of [seq, at, back, name, thing]: seq counted from first_seq, the moment from `at`, the occurrence's fired_seq
-- backwards from seq (null where it was not known any more); in words it is the name of this place in `names`, and the thing.
CREATE TABLE join_block (
    id INTEGER PRIMARY KEY,
    incident INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    rule TEXT NOT NULL,
    reason TEXT NOT NULL,
    names TEXT NOT NULL,
    joins TEXT NOT NULL
) STRICT;
CREATE INDEX join_block_incident ON join_block (incident);

-- The occurrences that one write found to be in an incident without joining it, since their alerts were in it before, as a
-- JSON array of their fired_seq.
CREATE TABLE member_block (
    id INTEGER PRIMARY KEY,
    incident INTEGER NOT NULL,
    alerts TEXT NOT NULL
) STRICT;
CREATE INDEX member_block_incident ON member_block (incident);

-- The entries that one write added to one incident's timeline, as a JSON array.
CREATE TABLE timeline_block (
    incident INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    entries TEXT NOT NULL,
    PRIMARY KEY (incident, first_seq)
) STRICT;

CREATE TABLE notification (
    id INTEGER PRIMARY KEY,
    live INTEGER NOT NULL,
    incident INTEGER NOT NULL,
    receiver TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    delivered_at INTEGER,
    error TEXT,
    record_version INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT;
CREATE INDEX notification_live ON notification (live) WHERE live = 1;

CREATE TABLE silence (
    id TEXT PRIMARY KEY,
    live INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    comment TEXT NOT NULL,
    starts_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    record_version INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT;

-- Reported changes, such as deployments.
CREATE TABLE change (
    id TEXT PRIMARY KEY,
    live INTEGER NOT NULL,
    kind TEXT NOT NULL,
    things TEXT NOT NULL,
    summary TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    record_version INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT;

-- How many alerts are usual where.
CREATE TABLE usual (
    rule TEXT NOT NULL,
    key TEXT NOT NULL,
    live INTEGER NOT NULL,
    milli_per_hour INTEGER NOT NULL,
    record_version INTEGER NOT NULL,
    record BLOB NOT NULL,
    UNIQUE (rule, key)
) STRICT;

-- Messages that were taken of late and are not taken again.
CREATE TABLE message (
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    live INTEGER NOT NULL,
    until INTEGER NOT NULL,
    record_version INTEGER NOT NULL,
    record BLOB NOT NULL,
    UNIQUE (source, id)
) STRICT;

-- When each heartbeat was heard of last.
CREATE TABLE heartbeat (
    name TEXT PRIMARY KEY,
    live INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    missed_at INTEGER,
    record_version INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT;

CREATE VIEW alerts AS
    SELECT first_seq + (value ->> 0) AS fired_seq, printf('%016x', value ->> 1) AS fingerprint,
        names ->> (value ->> 2) AS name,
        coalesce(alert.status, kinds ->> printf('$[%d][0]', value ->> 5)) AS status,
        kinds ->> printf('$[%d][1]', value ->> 5) AS source, coalesce(alert.live, 1) AS live,
        strftime('%Y-%m-%dT%H:%M:%fZ', (at + (value ->> 3)) / 1000.0, 'unixepoch') AS starts_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', (at + (value ->> 4)) / 1000.0, 'unixepoch') AS fired_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', iif(alert.status IS NULL, at + (value ->> 6), alert.ends_at) / 1000.0, 'unixepoch')
            AS ends_at
    FROM alert_block, json_each(alert_block.summary) LEFT JOIN alert ON alert.fired_seq = first_seq + (value ->> 0);
CREATE VIEW incidents AS
    SELECT 'INC-' || id AS id, status, priority, team, title, live,
        strftime('%Y-%m-%dT%H:%M:%fZ', opened_at / 1000.0, 'unixepoch') AS opened_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', updated_at / 1000.0, 'unixepoch') AS updated_at
    FROM incident;
CREATE VIEW members AS
    SELECT 'INC-' || incident AS incident, first_seq + (value ->> 0) - (value ->> 2) AS fired_seq
    FROM join_block, json_each(join_block.joins)
    UNION
    SELECT 'INC-' || incident AS incident, value AS fired_seq FROM member_block, json_each(member_block.alerts);
CREATE VIEW timeline AS
    SELECT 'INC-' || incident AS incident, value ->> '$.seq' AS seq,
        strftime('%Y-%m-%dT%H:%M:%fZ', (value ->> '$.at') / 1000.0, 'unixepoch') AS at,
        value ->> '$.kind' AS kind, value ->> '$.text' AS text, value ->> '$.actor' AS actor, value ->> '$.reason' AS reason
    FROM timeline_block, json_each(timeline_block.entries)
    UNION ALL
    SELECT 'INC-' || incident AS incident, first_seq + (value ->> 0) AS seq,
        strftime('%Y-%m-%dT%H:%M:%fZ', (join_block.at + (value ->> 1)) / 1000.0, 'unixepoch') AS at, 'alert_joined' AS kind,
        'alert ' || (names ->> (value ->> 3)) || (value ->> 4) || ' joined (' || rule || ')' AS text, NULL AS actor, reason
    FROM join_block, json_each(join_block.joins);
CREATE VIEW notifications AS
    SELECT id, 'INC-' || incident AS incident, receiver, kind, state, live,
        strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch') AS created_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', delivered_at / 1000.0, 'unixepoch') AS delivered_at, error
    FROM notification;
CREATE VIEW silences AS
    SELECT id, created_by, comment, live,
        strftime('%Y-%m-%dT%H:%M:%fZ', starts_at / 1000.0, 'unixepoch') AS starts_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', ends_at / 1000.0, 'unixepoch') AS ends_at
    FROM silence;
CREATE VIEW changes AS
    SELECT id, kind, things, summary, live,
        strftime('%Y-%m-%dT%H:%M:%fZ', started_at / 1000.0, 'unixepoch') AS started_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', ended_at / 1000.0, 'unixepoch') AS ended_at
    FROM change;
CREATE VIEW heartbeats AS
    SELECT name, live,
        strftime('%Y-%m-%dT%H:%M:%fZ', last_at / 1000.0, 'unixepoch') AS last_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', missed_at / 1000.0, 'unixepoch') AS missed_at
    FROM heartbeat;
";

/// Opens the view for writing; makes its tables where there are none.
///
/// # Errors
/// What SQLite says; a schema that is not ours.
pub(super) fn open_writer(path: &Path) -> Result<Connection, ViewError> {
    let mut connection = Connection::open(path)?;
    configure(&connection)?;
    // Large pages: a new alert costs 4 µs with these and 5.5 with SQLite's 4 KiB, most of it system calls for each page.
    connection.pragma_update(None, "page_size", 16 << 10)?;
    let is_new = connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get::<_, bool>(0))?;
    if !is_new {
        // Before anything is changed in a file that may be somebody else's.
        check(&connection)?;
    }
    // NORMAL syncs at checkpoints only; what a power failure takes from the view comes again from the log.
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    // A checkpoint for every 32 MiB, so that pages which several transactions touch are copied once.
    connection.pragma_update(None, "wal_autocheckpoint", 2_000)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.pragma_update(None, "cache_size", -16_000)?;
    if is_new {
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        transaction.commit()?;
    }
    Ok(connection)
}

/// Opens an existing view for reading.
///
/// # Errors
/// What SQLite says; a schema that is not ours.
pub(super) fn open_reader(path: &Path) -> Result<Connection, ViewError> {
    // Connections are not shared between threads, so SQLite's own mutex is not needed.
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    configure(&connection)?;
    check(&connection)?;
    Ok(connection)
}

fn configure(connection: &Connection) -> Result<(), ViewError> {
    // Readers and the writer never wait for each other in WAL mode; this is for somebody with `sqlite3` at the file.
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

fn check(connection: &Connection) -> Result<(), ViewError> {
    let (application, found) = versions(connection)?;
    if application == APPLICATION_ID && found == SCHEMA_VERSION {
        Ok(())
    } else {
        Err(ViewError::Schema { application, found, known: SCHEMA_VERSION })
    }
}

/// Whose file it is, and of which version.
fn versions(connection: &Connection) -> Result<(i64, i64), ViewError> {
    let application = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    Ok((application, connection.pragma_query_value(None, "user_version", |row| row.get(0))?))
}
