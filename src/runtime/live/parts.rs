//! Many keys of a table at once. Each part of it is locked once for all of its keys: a lock waits for all memory that was asked for
//! before it, so that one for each key makes every look-up wait on its own, and together they wait for all at the same time
//! (see [`crate::model::ahead`]).

use std::hash::Hash;
use std::hint::black_box;

use dashmap::{DashMap, SharedValue};

use super::Live;
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
        look(&self.alerts, fingerprints, |some| {
            // The second loop has the addresses that the first has read.
            black_box(some.iter().fold(0, |sum, (_, it)| sum ^ it.last_seen.0 ^ it.expires_at.0 ^ it.raw[0].cast_signed()));
            black_box(some.iter().fold(0, |sum, (_, it)| sum ^ it.record.fired_seq));
        });
    }
}

/// A key by its place in a list, with its hash and the number of its part of the table.
#[derive(Clone, Copy)]
struct Key {
    part: usize,
    /// All of it, on the machines of 64 bits that Quell is built for.
    hash: usize,
    place: usize,
}

/// The keys by the parts of the table; within one, in the order of the list. By counting: a sort took as long as the look-ups.
fn by_part<K: Hash + Eq, V>(table: &DashMap<K, V, Keyed>, keys: &[K]) -> Vec<Key> {
    let mut nexts = vec![0; table.shards().len()];
    let found = |(place, key): (usize, &K)| {
        let hash = table.hash_usize(key);
        Key { part: table.determine_shard(hash), hash, place }
    };
    let all: Vec<Key> = keys.iter().enumerate().map(found).collect();
    for key in &all {
        nexts[key.part] += 1;
    }
    let mut begin = 0;
    for next in &mut nexts {
        begin += std::mem::replace(next, begin);
    }
    let mut sorted = vec![Key { part: 0, hash: 0, place: 0 }; all.len()];
    for key in all {
        let next = &mut nexts[key.part];
        sorted[*next] = key;
        *next += 1;
    }
    sorted
}

/// Shows `each` what `table` has under `keys`, by their places in the list. `each` runs inside the table: it must not call on it.
fn look<K: Hash + Eq, V>(table: &DashMap<K, V, Keyed>, keys: &[K], mut each: impl FnMut(&[(usize, &V)])) {
    for of_part in by_part(table, keys).chunk_by(|a, b| a.part == b.part) {
        let part = table.shards()[of_part[0].part].read();
        let find = |it: &Key| {
            let (_, value) = part.get(it.hash as u64, |(key, _)| *key == keys[it.place])?;
            Some((it.place, value.get()))
        };
        let found: Vec<(usize, &V)> = of_part.iter().filter_map(find).collect();
        each(&found);
    }
}

/// Lets `each` change what `table` has under `keys`, by their places in the list; what it gives for a key that the table has not
/// is put in. Of one key, the first in the list comes first. `each` runs inside the table: it must not call on it.
pub(super) fn change<K: Hash + Eq + Copy, V>(
    table: &DashMap<K, V, Keyed>,
    keys: &[K],
    mut each: impl FnMut(usize, Option<&mut V>) -> Option<V>,
) {
    for of_part in by_part(table, keys).chunk_by(|a, b| a.part == b.part) {
        let mut part = table.shards()[of_part[0].part].write();
        black_box(of_part.iter().filter(|it| part.get(it.hash as u64, |(key, _)| *key == keys[it.place]).is_some()).count());
        for it in of_part {
            let key = keys[it.place];
            match part.get_mut(it.hash as u64, |(known, _)| *known == key) {
                Some((_, value)) => drop(each(it.place, Some(value.get_mut()))),
                None => {
                    if let Some(value) = each(it.place, None) {
                        part.insert(it.hash as u64, (key, SharedValue::new(value)), |(key, _)| table.hash_usize(key) as u64);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Many keys at once, some of them twice, are as one after the other.
        #[test]
        fn a_change_of_many_is_that_of_each(batches in proptest::collection::vec(proptest::collection::vec(0..60_u64, 0..80), 0..6)) {
            let (table, mut expected) = (DashMap::<u64, Vec<usize>, Keyed>::default(), BTreeMap::<u64, Vec<usize>>::new());
            for keys in &batches {
                // Every third is only looked for.
                change(&table, keys, |place, present| match present {
                    Some(places) => {
                        places.push(place);
                        None
                    }
                    None => (keys[place] % 3 > 0).then(|| vec![place]),
                });
                for (place, key) in keys.iter().enumerate().filter(|(_, key)| *key % 3 > 0) {
                    expected.entry(*key).or_default().push(place);
                }
                let wanted: Vec<u64> = (0..60).collect();
                let mut found = BTreeMap::new();
                look(&table, &wanted, |some| found.extend(some.iter().map(|(place, places)| (wanted[*place], (*places).clone()))));
                prop_assert_eq!(&found, &expected);
                prop_assert!(wanted.iter().all(|key| table.get(key).is_some() == expected.contains_key(key)), "where DashMap finds them");
            }
        }
    }
}
