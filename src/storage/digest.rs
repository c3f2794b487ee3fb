//! The whole state as one number. The same log gives the same number on every processor, in every build and however many
//! threads there are, so that two machines that should agree can be held against each other by 32 digits.
//!
//! It is made of the state's parts as a checkpoint writes them, in their fixed order. A version of Quell that knows more of
//! an alert or an incident writes them otherwise: numbers of different versions say nothing of each other.

use std::fmt;

use xxhash_rust::xxh3::Xxh3;

use super::disk::Disk;
use super::log::{LogError, LogFiles, LogItem};
use super::record::encode_entity;
use crate::engine::State;

/// The number, and where in the log it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateDigest {
    /// The last fact that the state includes.
    pub seq: u64,
    pub digest: u128,
}

impl StateDigest {
    /// The number of a state.
    #[must_use]
    pub fn of(state: &State) -> StateDigest {
        let (mut hash, mut bytes) = (Xxh3::new(), Vec::new());
        for entity in state.entities() {
            bytes.clear();
            encode_entity(&entity, &mut bytes);
            // With its length, so that no byte can belong to one part as well as to the next.
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(&bytes);
        }
        StateDigest { seq: state.seq(), digest: hash.digest128() }
    }

    /// The number of the state that a log gives: its checkpoint, if it begins with one, and everything behind it.
    ///
    /// # Errors
    /// A log that is damaged or cannot be read.
    pub fn of_log<D: Disk>(log: &LogFiles<D>) -> Result<StateDigest, LogError> {
        let mut state = State::new();
        let mut begun = false;
        for item in log.read(0)? {
            match item? {
                LogItem::Entity(entity) => state.add(entity),
                LogItem::Record(record) => {
                    if !std::mem::replace(&mut begun, true) {
                        state.finish();
                    }
                    for (seq, fact) in (record.first_seq..).zip(&record.facts) {
                        state.apply(seq, record.time, fact);
                    }
                    // Nobody is told of changes here, and kept ones would fill the memory.
                    drop(state.take_changes());
                }
                // Nothing is passed over without leave, and none was given.
                LogItem::Skipped(_) => {}
            }
        }
        Ok(StateDigest::of(&state))
    }
}

/// The number as 32 hexadecimal digits.
impl fmt::Display for StateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.digest)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::Fact;
    use crate::model::{Alert, Labels, Time};
    use crate::storage::disk::FolderDisk;
    use crate::storage::log::{Log, LogOptions};

    const AT: Time = Time(1_767_571_200_000);

    fn fired(number: u32) -> Fact {
        let labels = Labels::from_pairs([("alertname", "A"), ("host", format!("h{number}").as_str())]).unwrap();
        let alert = Alert {
            fingerprint: labels.fingerprint(),
            labels,
            annotations: Labels::default(),
            generator_url: "".into(),
            source: "test".into(),
            starts_at: AT,
        };
        Fact::AlertFired { alert: Arc::new(alert) }
    }

    #[test]
    fn a_log_gives_the_number_of_its_state_whole_or_behind_a_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, _) = Log::open(FolderDisk::open(folder.path()).unwrap(), LogOptions { segment_bytes: 4096 }).unwrap();
        let mut state = State::new();
        let mut numbers = Vec::new();
        let read = || StateDigest::of_log(&LogFiles::open(FolderDisk::open_read_only(folder.path()).unwrap()).unwrap());
        for seq in 1..=20 {
            let facts = if seq == 1 { [Fact::Created { directory: "d".into() }] } else { [fired(u32::try_from(seq).unwrap())] };
            log.append(seq, AT, &facts);
            log.commit().unwrap();
            state.apply(seq, AT, &facts[0]);
            numbers.push(StateDigest::of(&state));
            assert_eq!(read().unwrap(), numbers[numbers.len() - 1]);
        }
        // No two of them are the same.
        let mut different: Vec<u128> = numbers.iter().map(|number| number.digest).collect();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), numbers.len());

        let entities: Vec<_> = state.entities().collect();
        log.checkpoint(20, AT, &mut entities.into_iter(), &mut |_| true).unwrap();
        assert_eq!(read().unwrap(), numbers[19], "nothing but the checkpoint is left");
        log.append(21, AT, &[fired(21)]);
        log.commit().unwrap();
        state.apply(21, AT, &fired(21));
        assert_eq!(read().unwrap(), StateDigest::of(&state));
        assert_eq!(read().unwrap().to_string().len(), 32);
    }
}
