//! Messages that prove where they come from are taken once. What was taken is in [`Live`], which the log fills, so a start
//! forgets nothing; what is being taken at this moment is here.
//!
//! A message that comes again is answered as good, without effect, only where it certainly is the one that was taken: its sender
//! has not heard our answer. Where it may be another one that happens to be equal, or one that somebody has recorded, it is
//! refused: whoever gets a 2xx believes that somebody was told.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{MessageId, TakenMessage, Time};
use crate::runtime::Live;
use crate::signature::{Again, Proof};

/// A message by its source and id.
type Key = (Arc<str>, MessageId);

/// Messages that are being taken, over all connections.
#[derive(Debug, Default)]
pub(super) struct Underway {
    underway: Arc<Mutex<HashSet<Key>>>,
}

/// What is to be done with a message.
#[derive(Debug)]
pub(super) enum Met {
    /// It is to be taken, and remembered with what it said.
    New(Ticket),
    /// It was taken; its sender does not know it.
    Taken,
    /// It was taken, or an equal one was.
    Replayed,
    /// It is being taken at this moment, and nobody knows how that ends.
    Underway,
}

/// The right to take a message, given back when dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    message: Arc<TakenMessage>,
    underway: Arc<Mutex<HashSet<Key>>>,
}

impl Underway {
    /// Looks whether a message came before.
    pub(super) fn meet(&self, source: &Arc<str>, proof: &Proof, live: &Live, now: Time) -> Met {
        let key = (source.clone(), proof.id);
        if !lock(&self.underway).insert(key) {
            return Met::Underway;
        }
        let message = TakenMessage { source: source.clone(), id: proof.id, sent_at: proof.sent_at, until: proof.until };
        // From here on it is given back. Only now is asked what was taken: what was under way before is there by now.
        let ticket = Ticket { message: Arc::new(message), underway: self.underway.clone() };
        match (live.taken(source, proof.id, now), proof.again) {
            (None, _) => Met::New(ticket),
            (Some(_), Again::Same) => Met::Taken,
            (Some(known), Again::RetryIfLater) if known.sent_at < proof.sent_at => Met::Taken,
            (Some(_), Again::RetryIfLater | Again::Unclear) => Met::Replayed,
        }
    }
}

impl Ticket {
    /// What is to be remembered.
    pub(super) fn message(&self) -> Arc<TakenMessage> {
        self.message.clone()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.underway).remove(&(self.message.source.clone(), self.message.id));
    }
}

fn lock(underway: &Mutex<HashSet<Key>>) -> std::sync::MutexGuard<'_, HashSet<Key>> {
    underway.lock().unwrap_or_else(PoisonError::into_inner)
}
