//! What the rest of the program may ask of the running engine.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::live::Live;
use crate::engine::{Answer, Fact, Input, Refusal};
use crate::model::Time;

/// A cheap, cloneable way to the running engine.
#[derive(Clone)]
pub struct Handle {
    // the runtime's own
    live: Arc<Live>,
}

/// Facts that are on disk now, in log order, with the log time they share.
#[derive(Debug)]
pub struct Committed {
    pub first_seq: u64,
    pub time: Time,
    pub facts: Vec<Fact>,
}

/// Why a submission got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// The queue to the engine is full: 429 with `Retry-After`.
    Overloaded,
    /// The disk is full or failing: 503.
    Storage(Arc<str>),
    /// The daemon is stopping: 503.
    Stopping,
}

impl Handle {
    /// The concurrent table of everything live.
    #[must_use]
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Hands inputs to the engine and waits until what it decided on them is on disk and published in [`Live`].
    /// One answer for each input, in order.
    ///
    /// # Errors
    /// When nothing of it could be taken or synced.
    pub async fn submit(&self, inputs: Vec<Input>) -> Result<Vec<Result<Answer, Refusal>>, SubmitError> {
        let _ = inputs;
        todo!()
    }

    /// Everything that is committed from now on. A slow listener loses the oldest and is told so (it then reads the log).
    #[must_use]
    pub fn committed(&self) -> broadcast::Receiver<Arc<Committed>> {
        todo!()
    }

    /// The wall clock as the runtime reads it; the same that stamps inputs.
    #[must_use]
    pub fn now(&self) -> Time {
        todo!()
    }
}
