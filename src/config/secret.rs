//! A value that cannot be printed.

use std::fmt;
use std::sync::Arc;

/// A password, token or key. Has no way to be shown but [`Secret::expose`], so that each use of it stands out.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: &str) -> Secret {
        Secret(value.into())
    }

    /// The value itself, to be handed to whoever must have it and to nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `given` is this secret, in a time that does not tell where they differ.
    #[must_use]
    pub fn is(&self, given: &[u8]) -> bool {
        use sha2::{Digest, Sha256};
        // Digests are of equal length and tell nothing of the secret, so comparing them leaks nothing worth having.
        Sha256::digest(self.0.as_bytes()) == Sha256::digest(given)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}
