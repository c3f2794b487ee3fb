//! A view that was left behind, brought up to date from the log's files while the daemon runs.
//!
//! The records that the view lacks are read from the log and applied to a state of its own, loaded from the view: a second
//! state in memory for as long as it takes. Never decides when; the view's thread does.

use super::recent::ReadLog;
use super::recovery::{RecoverError, apply_record};
use crate::engine::{Entity, State};
use crate::model::Time;
use crate::storage::log::Record;
use crate::storage::view::{View, ViewBatch, ViewError};

/// Records that one step reads and writes.
const RECORDS_PER_STEP: usize = 10_000;

/// The side that writes; [`View`] in the program.
pub(super) trait WriteView: Send + 'static {
    fn write(&mut self, batches: &[ViewBatch]) -> Result<(), ViewError>;
    fn forget(&mut self, before: Time) -> Result<u64, ViewError>;
    /// Empties the write-ahead file.
    fn checkpoint(&mut self) -> Result<(), ViewError>;
    /// The state as the view has it.
    fn state(&mut self) -> Result<State, ViewError>;
}

impl WriteView for View {
    fn write(&mut self, batches: &[ViewBatch]) -> Result<(), ViewError> {
        View::write(self, batches)
    }

    fn forget(&mut self, before: Time) -> Result<u64, ViewError> {
        View::forget(self, before)
    }

    fn checkpoint(&mut self) -> Result<(), ViewError> {
        View::checkpoint(self)
    }

    fn state(&mut self) -> Result<State, ViewError> {
        let mut state = State::new();
        let meta = self.load(&mut |entity| state.add(entity))?;
        state.add(Entity::Meta(meta));
        state.finish();
        Ok(state)
    }
}

/// A catch-up under way.
pub(super) struct CatchUp {
    /// The state at the view's position.
    state: State,
}

impl CatchUp {
    /// Loads what the view has.
    ///
    /// # Errors
    /// What the view says.
    pub(super) fn begin(view: &mut impl WriteView) -> Result<CatchUp, RecoverError> {
        Ok(CatchUp { state: view.state()? })
    }

    /// The view's position.
    pub(super) fn seq(&self) -> u64 {
        self.state.seq()
    }

    /// Brings the view one transaction further, at most to `committed`: the log's files may have more, which is not yet synced.
    ///
    /// # Errors
    /// What the log or the view says, and a gap where the log was trimmed. The catch-up is of no use any more then.
    pub(super) fn step(&mut self, view: &mut impl WriteView, read_log: &ReadLog, committed: u64) -> Result<(), RecoverError> {
        if self.seq() >= committed {
            return Ok(());
        }
        let mut batches = Vec::new();
        for read in read_log(self.seq(), RECORDS_PER_STEP)?.iter().take_while(|read| read.last_seq() <= committed) {
            let record = Record { first_seq: read.first_seq, time: read.time, facts: read.facts.to_vec() };
            batches.push(apply_record(&mut self.state, record)?);
        }
        Ok(view.write(&batches)?)
    }
}
