//! What was committed: the last of it in memory, so that an event stream that was away for a moment reads no files, and the rest from
//! the log's files, read beside the thread that writes them.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::handle::Committed;
use crate::storage::disk::Disk;
use crate::storage::log::{LogError, LogFiles, LogItem, SkipDamage};

/// Facts kept at most; about 2 MB.
const FACTS_MAX: usize = 10_000;

/// The newest commits without a gap, ending at the present.
#[derive(Debug, Default)]
pub(super) struct Recent {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    commits: VecDeque<Arc<Committed>>,
    facts: usize,
}

impl Recent {
    pub(super) fn push(&self, commit: Arc<Committed>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.facts += commit.facts.len();
        kept.commits.push_back(commit);
        while kept.facts > FACTS_MAX && kept.commits.len() > 1 {
            kept.facts -= kept.commits.pop_front().map_or(0, |oldest| oldest.facts.len());
        }
    }

    /// What was committed behind `seq`, at most `limit` commits. `None` when that reaches back further than the memory does.
    pub(super) fn since(&self, seq: u64, limit: usize) -> Option<Vec<Arc<Committed>>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.commits.front()?.first_seq > seq + 1 {
            return None;
        }
        let from = kept.commits.partition_point(|commit| commit.last_seq() <= seq);
        Some(kept.commits.range(from..).take(limit).cloned().collect())
    }
}

/// Reads committed facts behind a log position, at most so many commits, from the log's files.
pub type ReadLog = Arc<dyn Fn(u64, usize) -> Result<Vec<Arc<Committed>>, LogError> + Send + Sync>;

/// A reader of the log in the folder that `open` opens. It sees what is written, synced or not: who asks must leave out what is
/// not committed yet.
///
/// Damage in the segments that `skip` names is passed over, as it was at the start.
pub fn read_log<D: Disk>(open: impl Fn() -> io::Result<D> + Send + Sync + 'static, skip: SkipDamage) -> ReadLog {
    Arc::new(move |seq, limit| {
        let opening = |source| LogError::Io { what: "opening", file: "the log's folder".to_owned(), source };
        let files = LogFiles::open_skipping(open().map_err(opening)?, skip.clone())?;
        let mut commits = Vec::new();
        for item in files.read(seq + 1)? {
            if let LogItem::Record(record) = item? {
                let facts = Arc::new(record.facts);
                commits.push(Arc::new(Committed { first_seq: record.first_seq, time: record.time, facts }));
            }
            if commits.len() >= limit {
                break;
            }
        }
        Ok(commits)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Fact;
    use crate::model::Time;

    fn commit(first_seq: u64, facts: usize) -> Arc<Committed> {
        let fact = Fact::RulesLoaded { digest: 0, rules: 0 };
        Arc::new(Committed { first_seq, time: Time(0), facts: Arc::new(vec![fact; facts]) })
    }

    fn seqs(found: Option<Vec<Arc<Committed>>>) -> Option<Vec<u64>> {
        found.map(|commits| commits.iter().map(|commit| commit.first_seq).collect())
    }

    #[test]
    fn gives_what_lies_behind_a_position_and_says_when_it_cannot() {
        let recent = Recent::default();
        assert_eq!(seqs(recent.since(0, 9)), None, "an empty memory knows nothing");
        for (first, facts) in [(11, 2), (13, 1), (14, 3)] {
            recent.push(commit(first, facts));
        }
        let cases = [
            (9, 9, None),
            (10, 9, Some(vec![11, 13, 14])),
            (11, 9, Some(vec![11, 13, 14])),
            (12, 9, Some(vec![13, 14])),
            (12, 1, Some(vec![13])),
            (16, 9, Some(vec![])),
            (99, 9, Some(vec![])),
        ];
        for (seq, limit, expected) in cases {
            assert_eq!(seqs(recent.since(seq, limit)), expected, "behind {seq}");
        }
    }

    #[test]
    fn keeps_a_bounded_number_of_facts() {
        let recent = Recent::default();
        recent.push(commit(1, 10));
        recent.push(commit(11, FACTS_MAX));
        assert_eq!(seqs(recent.since(5, 9)), None);
        assert_eq!(seqs(recent.since(10, 9)), Some(vec![11]));
    }
}
