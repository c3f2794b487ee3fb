//! The messages that were taken of late, by source: a bounded number of each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{MessageId, TakenMessage, Time};

/// Messages in memory.
#[derive(Debug, Default)]
pub(in crate::engine) struct Messages {
    sources: BTreeMap<Arc<str>, OfSource>,
}

#[derive(Debug, Default)]
struct OfSource {
    by_id: BTreeMap<MessageId, Arc<TakenMessage>>,
    /// In order of being forgotten.
    by_end: BTreeSet<(Time, MessageId)>,
}

impl Messages {
    pub(super) fn insert(&mut self, message: &Arc<TakenMessage>) {
        let of_source = self.sources.entry(message.source.clone()).or_default();
        of_source.by_end.insert((message.until, message.id));
        if let Some(before) = of_source.by_id.insert(message.id, message.clone())
            && before.until != message.until
        {
            of_source.by_end.remove(&(before.until, before.id));
        }
    }

    /// Takes out what need not be remembered any more, of all sources, and then the first to be forgotten of one source
    /// while it has more than `most`.
    pub(super) fn forget(&mut self, now: Time, source: &str, most: u32) -> Vec<(Arc<str>, MessageId)> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut forgotten = Vec::new();
        for (name, of_source) in &mut self.sources {
            let most = if **name == *source { most } else { usize::MAX };
            while let Some(&(until, id)) = of_source.by_end.first()
                && (until <= now || of_source.by_end.len() > most)
            {
                of_source.by_end.pop_first();
                of_source.by_id.remove(&id);
                forgotten.push((name.clone(), id));
            }
        }
        self.sources.retain(|_, of_source| !of_source.by_id.is_empty());
        forgotten
    }

    pub(in crate::engine) fn get(&self, source: &str, id: MessageId) -> Option<&Arc<TakenMessage>> {
        self.sources.get(source)?.by_id.get(&id)
    }

    /// All of them, in order of source and id.
    pub(in crate::engine) fn all(&self) -> impl Iterator<Item = &Arc<TakenMessage>> {
        self.sources.values().flat_map(|of_source| of_source.by_id.values())
    }
}
