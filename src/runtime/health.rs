//! How the runtime is: what the readiness probe and `status` say.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How the runtime is, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The last fact on disk.
    pub seq: u64,
    /// The last fact in the view.
    pub view_seq: u64,
    /// Why nothing can be written now, if so. The runtime keeps trying.
    pub storage_fault: Option<Arc<str>>,
}

/// The present state, written by the threads and read by everybody.
#[derive(Debug, Default)]
pub(super) struct Health {
    seq: AtomicU64,
    view_seq: AtomicU64,
    storage_fault: Mutex<Option<Arc<str>>>,
}

impl Health {
    pub(super) fn status(&self) -> Status {
        Status { seq: self.seq(), view_seq: self.view_seq(), storage_fault: self.storage_fault() }
    }

    /// The last fact on disk.
    pub(super) fn seq(&self) -> u64 {
        self.seq.load(Ordering::SeqCst)
    }

    pub(super) fn set_seq(&self, seq: u64) {
        self.seq.store(seq, Ordering::SeqCst);
    }

    pub(super) fn view_seq(&self) -> u64 {
        self.view_seq.load(Ordering::Acquire)
    }

    pub(super) fn set_view_seq(&self, seq: u64) {
        self.view_seq.store(seq, Ordering::Release);
    }

    /// Facts that the log has and the view has not.
    pub(super) fn view_behind(&self) -> u64 {
        self.seq().saturating_sub(self.view_seq())
    }

    pub(super) fn storage_fault(&self) -> Option<Arc<str>> {
        self.storage_fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_storage_fault(&self, fault: Option<Arc<str>>) {
        *self.storage_fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}
