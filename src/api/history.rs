//! The way to the view: a few readers, each used by one blocking call at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::problem::Problem;
use crate::storage::view::{ViewError, ViewReader};

/// Queries of history that run at once; the others wait. Keeps a burst of slow queries from taking every blocking thread.
const READERS_MAX: usize = 4;

/// Readers of the view, opened when first needed and kept.
pub(super) struct History {
    path: PathBuf,
    idle: Arc<Mutex<Vec<ViewReader>>>,
    permits: Arc<Semaphore>,
}

impl History {
    /// Opens nothing yet.
    pub(super) fn new(path: PathBuf) -> History {
        History { path, idle: Arc::default(), permits: Arc::new(Semaphore::new(READERS_MAX)) }
    }

    /// Runs one query off the serving threads.
    ///
    /// # Errors
    /// 503 when the view cannot be read; the reason goes to the log, not to the client.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        query: impl FnOnce(&ViewReader) -> Result<T, ViewError> + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = self.permits.clone().acquire_owned().await;
        let (path, idle) = (self.path.clone(), self.idle.clone());
        let answer = tokio::task::spawn_blocking(move || {
            let reader = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let reader = reader.map_or_else(|| ViewReader::open(&path), Ok)?;
            let answer = query(&reader)?;
            // A reader that has failed is not put back: the view may have been replaced.
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
            drop(permit);
            Ok::<T, ViewError>(answer)
        });
        match answer.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(unreadable(&error)),
            Err(panicked) => Err(unreadable(&panicked)),
        }
    }
}

fn unreadable(error: &dyn std::error::Error) -> Problem {
    tracing::error!(error = %error, "history cannot be read");
    Problem::unavailable("history", "history cannot be read at the moment; what is live still can")
}
