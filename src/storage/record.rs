//! Facts and entities to bytes and back: CBOR with numbered fields, so that old logs stay readable.

use crate::engine::{Entity, Fact};

/// The version that [`encode_facts`] writes.
pub const RECORD_VERSION: u8 = 1;

/// Why bytes could not be read as facts or an entity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

/// Appends the facts of one input, as one record's payload.
pub fn encode_facts(facts: &[Fact], out: &mut Vec<u8>) {
    let _ = (facts, out);
    todo!()
}

/// Reads a payload of [`encode_facts`].
///
/// # Errors
/// Bytes that are not such a payload; a version newer than ours.
pub fn decode_facts(version: u8, bytes: &[u8]) -> Result<Vec<Fact>, DecodeError> {
    let _ = (version, bytes);
    todo!()
}

/// Appends one entity.
pub fn encode_entity(entity: &Entity, out: &mut Vec<u8>) {
    let _ = (entity, out);
    todo!()
}

/// Reads one entity.
///
/// # Errors
/// As [`decode_facts`].
pub fn decode_entity(version: u8, bytes: &[u8]) -> Result<Entity, DecodeError> {
    let _ = (version, bytes);
    todo!()
}
