//! One question, asked of records out of a log: beside them stands what only the view still has, and an alert's whole history.

use std::path::Path;

use super::{Explanation, Records, RecordsError, explain_alert, explain_incident, explain_notification, explain_pair};
use crate::model::{Fingerprint, IncidentId, NotificationId, Time};
use crate::ruleset::Ruleset;
use crate::storage::disk::{Disk, FolderDisk};
use crate::storage::log::{LogError, LogFiles};
use crate::storage::view::{ViewError, ViewReader};

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    Alert(Fingerprint),
    Pair(Fingerprint, Fingerprint),
    Incident(IncidentId),
    Notification(NotificationId),
}

/// Why a question about what the log says has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QuestionError {
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error(transparent)]
    View(#[from] ViewError),
}

impl From<LogError> for QuestionError {
    fn from(error: LogError) -> QuestionError {
        QuestionError::Records(error.into())
    }
}

/// Answers a question about a moment: the log in the folder is replayed up to it.
///
/// # Errors
/// A log or a view that cannot be read, or a log that does not go back so far.
pub fn replay(
    folder: &Path,
    view: &ViewReader,
    rules: &Ruleset,
    question: Question,
    at: Time,
) -> Result<Option<Explanation>, QuestionError> {
    let disk = FolderDisk::open_read_only(folder).map_err(|source| LogError::Io {
        what: "opening",
        file: folder.display().to_string(),
        source,
    })?;
    let log = LogFiles::open(disk)?;
    let mut records = Records::from_log(&log, Some(at))?;
    records.answer(question, &log, Some(view), rules)
}

impl Records {
    /// Answers a question from these records, which came out of `log`. What the log alone says can be told without the view.
    /// `None` when the moment did not know what is asked about.
    ///
    /// # Errors
    /// A log or a view that cannot be read.
    pub fn answer<D: Disk>(
        &mut self,
        question: Question,
        log: &LogFiles<D>,
        view: Option<&ViewReader>,
        rules: &Ruleset,
    ) -> Result<Option<Explanation>, QuestionError> {
        Ok(match question {
            Question::Alert(fingerprint) => {
                view.map_or(Ok(()), |view| self.read_alert(view, fingerprint))?;
                self.read_history(log, fingerprint)?;
                explain_alert(self, rules, fingerprint)
            }
            Question::Pair(one, other) => {
                for fingerprint in [one, other] {
                    view.map_or(Ok(()), |view| self.read_alert(view, fingerprint))?;
                }
                explain_pair(self, rules, one, other)
            }
            Question::Incident(id) => {
                view.map_or(Ok(()), |view| self.read_incident(view, id))?;
                explain_incident(self, rules, id)
            }
            Question::Notification(id) => {
                view.map_or(Ok(()), |view| self.read_notification(view, id))?;
                explain_notification(self, rules, id)
            }
        })
    }
}
