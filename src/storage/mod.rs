//! Durability: the segment log (the truth) and the view behind it (SQLite, rebuildable).
//!
//! Owns bytes on disk and nothing else: it never decides, never reads a clock, spawns no task.
//!
//! - [`disk`]: the few file operations that durability needs; a real disk, and a simulated one for tests.
//! - [`digest`]: the state that a log gives, as one number.
//! - [`record`]: facts and entities to bytes and back, with numbered fields.
//! - [`log`]: segment files of records, group commit, recovery, verification.
//! - [`view`]: SQLite behind the log: history for queries, entities for a quick start.
//! - [`rejects`]: messages that could not be taken, as files beside the log.

pub mod digest;
pub mod disk;
pub mod log;
pub mod record;
pub mod rejects;
pub mod view;
