//! What the intake shows of its sources, and what people may have done with the messages that it could not take. A seam:
//! who lists them knows nothing of formats, and who reads messages nothing of lists.

use std::future::Future;
use std::io;
use std::pin::Pin;

use super::handle::SubmitError;
use crate::model::{Millis, Time};
use crate::storage::rejects::Reject;

/// A source at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    pub name: String,
    pub format: &'static str,
    /// When it last sent anything.
    pub heard_at: Option<Time>,
    pub silent_after: Option<Millis>,
    /// Whether it has said nothing for longer than that.
    pub silent: bool,
    /// When a test message of its tool came last.
    pub test_at: Option<Time>,
    /// How many came.
    pub tests: u64,
    /// Fields that used to be in its messages and are not any more, each with when it was missed.
    pub missing: Vec<(String, Time)>,
    /// Alerts of it that fire.
    pub firing: usize,
    /// Messages of it that could not be taken and are kept.
    pub rejects: usize,
}

/// What became of a kept message that was tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// All of it was taken; it is kept no longer.
    Taken { new: u64, repeats: u64 },
    /// Not all of it was taken; it stays, for this reason.
    Stays { error: String },
    /// There is none of this id.
    Unknown,
}

/// Why kept messages could not be tried again, or let go.
#[derive(Debug, thiserror::Error)]
pub enum RejectsError {
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error("the kept messages cannot be used: {0}")]
    Io(#[from] io::Error),
}

/// An answer that takes its time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, RejectsError>> + Send + 'a>>;

/// The sources, and the messages that could not be taken.
pub trait Sources: Send + Sync {
    /// Every source, in the order of the configuration.
    fn statuses(&self) -> Vec<SourceStatus>;
    /// Every kept message, the oldest first.
    fn rejects(&self) -> Vec<Reject>;
    /// The body of one; `None` where there is none of this id.
    fn body(&self, id: String) -> Answer<'_, Option<String>>;
    /// Tries them again with the formats and mappings of now, the oldest first. What was done before a fault stays done.
    fn replay(&self, ids: Vec<String>) -> Answer<'_, Vec<(String, Replayed)>>;
    /// Lets go of them; gives those that were there.
    fn discard(&self, ids: Vec<String>) -> Answer<'_, Vec<Reject>>;
}
