//! Reading ahead in the tables: what is about to be asked for one by one is looked at together, so that the memory it lies on
//! comes near at once (see [`crate::model::ahead`]). A lock waits for all reads before it, so that single questions never do.

use std::hash::Hash;
use std::hint::black_box;

use dashmap::DashMap;

use super::{Entry, Live};
use crate::model::{Fingerprint, Keyed};

impl Live {
    /// The alerts that label texts belong to, as [`Live::known`] says it of each.
    #[must_use]
    pub fn all_known(&self, raw_keys: &[u64]) -> Vec<Option<Fingerprint>> {
        let mut found = vec![None; raw_keys.len()];
        look(&self.raw, raw_keys, |some| {
            for (place, fingerprint) in some {
                found[*place] = Some(**fingerprint);
            }
        });
        found
    }

    /// Brings near what the table of alerts has of these, and the places of those that it has not.
    pub fn bring_near(&self, fingerprints: &[Fingerprint]) {
        look(&self.alerts, fingerprints, |some: &[(usize, &Box<Entry>)]| {
            // Each loop has the addresses that the one before has read.
            black_box(some.iter().fold(0, |sum, (_, entry)| sum ^ entry.last_seen.0 ^ entry.expires_at.0 ^ entry.raw[0].cast_signed()));
            black_box(some.iter().fold(0, |sum, (_, entry)| sum ^ entry.record.fired_seq));
        });
    }

    /// Brings the places of label texts near.
    pub fn bring_texts_near(&self, raw_keys: &[u64]) {
        look(&self.raw, raw_keys, |some| {
            black_box(some.len());
        });
    }
}

/// Shows `each` what `table` has under `keys`, by their places in the list: all that one part of the table has, under one lock.
fn look<K: Hash + Eq, V>(table: &DashMap<K, V, Keyed>, keys: &[K], mut each: impl FnMut(&[(usize, &V)])) {
    let mut by_shard: Vec<(usize, usize, usize)> = keys
        .iter()
        .enumerate()
        .map(|(place, key)| {
            let hash = table.hash_usize(key);
            (table.determine_shard(hash), hash, place)
        })
        .collect();
    by_shard.sort_unstable_by_key(|(shard, _, _)| *shard);
    for of_shard in by_shard.chunk_by(|a, b| a.0 == b.0) {
        let shard = table.shards()[of_shard[0].0].read();
        let find = |(_, hash, place): &(usize, usize, usize)| {
            let (_, value) = shard.get(*hash as u64, |(key, _)| *key == keys[*place])?;
            Some((*place, value.get()))
        };
        let found: Vec<(usize, &V)> = of_shard.iter().filter_map(find).collect();
        each(&found);
    }
}
