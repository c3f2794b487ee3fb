//! Keyed hashes of texts: see [`crate::model::keyed`] on why.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_secret;

/// Bytes of XXH3's secret.
const SECRET_BYTES: usize = 192;

/// This process's own randomness; never leaves it.
pub(super) struct Seed {
    secret: [u8; SECRET_BYTES],
}

impl Seed {
    /// Draws from the operating system, through the standard library's own defence against hash flooding.
    pub(super) fn random() -> Seed {
        let source = RandomState::new();
        let mut secret = [0; SECRET_BYTES];
        for (i, chunk) in secret.chunks_exact_mut(8).enumerate() {
            chunk.copy_from_slice(&source.hash_one(i).to_le_bytes());
        }
        Seed { secret }
    }

    /// The hash of a text under this seed; never 0, which stands for "none".
    pub(super) fn hash(&self, text: &[u8]) -> u64 {
        xxh3_64_with_secret(text, &self.secret).max(1)
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<seed>")
    }
}
