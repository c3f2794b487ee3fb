//! Facts and entities to bytes and back: CBOR with numbered fields, so that old logs stay readable.
//!
//! Owns the wire form of everything that the log and the view keep. Never compresses, never checks sums, never looks at
//! a sequence: that is the log's part.
//!
//! The rules of the form, version 2:
//! - A struct is an array; a field's number is its place in it. A variant of an enum is an array whose element 0 is the
//!   variant's number. The tables in `record/model.rs`, `record/facts.rs` and `record/entities.rs` are the form.
//! - Numbers are never used twice. A new field goes to the end and must be optional: older records lack it, and read as
//!   `None`. A reader passes over fields behind those that it knows.
//! - What stands at the top is always a struct: `[[fact, …]]` for the facts of one input, `[variant, entity]` for an entity.
//! - Moments and lengths are integer milliseconds, label sets one text as [`Labels::encoded`](crate::model::Labels::encoded)
//!   makes it, ids integers, a silence's id 16 bytes. Expressions are kept as written and compiled again.
//!
//! Version 1 had label sets as `[name, value, name, value, …]`; all else was the same, and it reads as ever.
//!
//! Golden bytes of each version lie in `tests/golden/log`.

mod entities;
mod facts;
mod json;
mod model;
mod wire;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::engine::{Entity, Fact};
use json::Json;
use wire::{Fields, Out, Reader, Wire};

/// The version that [`encode_facts`] and [`encode_entity`] write.
pub const RECORD_VERSION: u8 = 2;

/// Why bytes could not be read as facts or an entity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

/// Appends the facts of one input, as one record's payload.
pub fn encode_facts(facts: &[Fact], out: &mut Vec<u8>) {
    let mut out = Out::new(out);
    out.array(1);
    out.list(facts);
}

/// Reads a payload of [`encode_facts`].
///
/// # Errors
/// Bytes that are not such a payload; a version newer than ours.
pub fn decode_facts(version: u8, bytes: &[u8]) -> Result<Vec<Fact>, DecodeError> {
    check_version(version)?;
    let mut reader = Reader::new(bytes);
    let mut fields = Fields::begin(&mut reader, "facts")?;
    let facts = fields.next(0)?;
    fields.end()?;
    check_end(&reader, bytes)?;
    Ok(facts)
}

/// Appends one entity.
pub fn encode_entity(entity: &Entity, out: &mut Vec<u8>) {
    entity.put(&mut Out::new(out));
}

/// Reads one entity.
///
/// # Errors
/// As [`decode_facts`].
pub fn decode_entity(version: u8, bytes: &[u8]) -> Result<Entity, DecodeError> {
    check_version(version)?;
    let mut reader = Reader::new(bytes);
    let entity = Entity::take(&mut reader)?;
    check_end(&reader, bytes)?;
    Ok(entity)
}

/// A fact as people and other programs read it: `kind` beside its fields, ids and times in their text forms, labels as
/// an object, absent things `null`.
#[must_use]
pub fn to_json(fact: &Fact) -> Value {
    fact.json()
}

fn check_version(version: u8) -> Result<(), DecodeError> {
    if version == 0 || version > RECORD_VERSION {
        return Err(DecodeError(format!("record version {version} is not known (this program knows {RECORD_VERSION})")));
    }
    Ok(())
}

fn check_end(reader: &Reader<'_>, bytes: &[u8]) -> Result<(), DecodeError> {
    if reader.position() != bytes.len() {
        return Err(DecodeError(format!("{} bytes too many", bytes.len() - reader.position())));
    }
    Ok(())
}
