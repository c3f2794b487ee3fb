//! Tables whose keys outsiders choose. Senders name alerts and services as they like, so no such table may be keyed by a
//! hash that they could compute beforehand: a hundred thousand labels that collide would make each look-up walk through
//! all of them.
//!
//! The key is this process's own, and nothing but speed depends on it: whoever walks such a table sorts what it finds.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;

/// A map with keys that outsiders choose.
pub type KeyedMap<K, V> = HashMap<K, V, Keyed>;

/// A set of what outsiders choose.
pub type KeyedSet<K> = HashSet<K, Keyed>;

/// Hashes with two secret multiplications: a 64-bit number in 2 ns, against SipHash's 10. (One alone leaves a pattern in
/// numbers that grow evenly.)
#[derive(Clone, Copy)]
pub struct Keyed {
    add: u64,
    multiply: u64,
}

impl Default for Keyed {
    fn default() -> Keyed {
        static KEY: OnceLock<Keyed> = OnceLock::new();
        *KEY.get_or_init(|| {
            // Draws from the operating system, through the standard library's own defence.
            let source = RandomState::new();
            Keyed { add: source.hash_one("add"), multiply: source.hash_one("multiply") | 1 }
        })
    }
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<key>")
    }
}

impl BuildHasher for Keyed {
    type Hasher = KeyedHasher;

    fn build_hasher(&self) -> KeyedHasher {
        KeyedHasher { state: self.add, multiply: self.multiply }
    }
}

/// The state of one hash.
pub struct KeyedHasher {
    state: u64,
    multiply: u64,
}

impl Hasher for KeyedHasher {
    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.state = fold(self.state ^ number, self.multiply);
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            // With its length, which is below eight: texts that differ by a zero at the end are different.
            self.write_u64(u64::from_le_bytes(word) | (rest.len() as u64) << 56);
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        fold(self.state, self.multiply)
    }
}

/// Both halves of the product: each bit of the result depends on all bits of both numbers.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::hash::Hash;

    use rustc_hash::FxBuildHasher;

    use super::*;

    /// How many of the keys share the fullest of 4,096 places. A table takes its place by the lowest bits of a hash, and one in
    /// parts takes its part by the highest.
    fn fullest<K: Hash>(hasher: &impl BuildHasher, keys: &[K]) -> usize {
        let mut places: BTreeMap<(bool, u64), usize> = BTreeMap::new();
        for key in keys {
            let hash = hasher.hash_one(key);
            *places.entry((false, hash % 4_096)).or_default() += 1;
            *places.entry((true, hash >> 52)).or_default() += 1;
        }
        places.into_values().max().unwrap_or(0)
    }

    /// Row 54: keys that an outsider has made collide under a hash without a key are spread here like any others.
    #[test]
    fn chosen_keys_do_not_collide() {
        // What the multiplication of rustc-hash undoes: hashes that differ in their lower bits only, which it rotates upwards.
        let mut inverse = 1_u64;
        let constant = FxBuildHasher.hash_one(1_u64).rotate_right(26);
        for _ in 0..6 {
            inverse = inverse.wrapping_mul(2_u64.wrapping_sub(constant.wrapping_mul(inverse)));
        }
        let chosen: Vec<u64> = (0..4_096_u64).map(|n| n.wrapping_mul(inverse)).collect();
        assert_eq!(fullest(&FxBuildHasher, &chosen), 4_096, "no attack at all: the test shows nothing");
        assert!(fullest(&Keyed::default(), &chosen) < 20);
    }

    #[test]
    fn usual_keys_are_spread() {
        let numbers: Vec<u64> = (0..4_096).map(|n| n << 20).collect();
        let texts: Vec<String> = (0..4_096).map(|n| format!("service-with-a-name-{n}")).collect();
        let pairs: Vec<(String, u64)> = (0..4_096).map(|n| ("a".to_owned(), n)).collect();
        let keyed = Keyed::default();
        for (what, fullest) in
            [("numbers", fullest(&keyed, &numbers)), ("texts", fullest(&keyed, &texts)), ("pairs", fullest(&keyed, &pairs))]
        {
            assert!(fullest < 20, "{what}: {fullest} in one place");
        }
    }

    #[test]
    fn texts_that_differ_at_the_end_have_other_hashes() {
        let keyed = Keyed::default();
        let texts = ["", "\0", "\0\0", "a", "a\0", "a\0\0\0\0\0\0", "a\0\0\0\0\0\0\0", "abcdefgh", "abcdefgh\0"];
        let hashes: std::collections::BTreeSet<u64> = texts.iter().map(|text| keyed.hash_one(text)).collect();
        assert_eq!(hashes.len(), texts.len());
    }
}
