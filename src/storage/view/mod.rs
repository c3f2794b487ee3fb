//! The view: SQLite in WAL mode behind the log. History for queries, entities for a quick start; rebuildable from the log.

use std::path::Path;
use std::sync::Arc;

use crate::engine::entity::{Changes, Meta};
use crate::engine::{Entity, Fact};
use crate::model::{AlertRecord, Fingerprint, Incident, IncidentId, Notification, Time};

/// What the view could not do.
#[derive(Debug, thiserror::Error)]
#[error("view.db: {0}")]
pub struct ViewError(#[from] pub rusqlite::Error);

/// What one commit of the log means for the view.
#[derive(Clone, Debug)]
pub struct ViewBatch {
    pub first_seq: u64,
    pub time: Time,
    pub facts: Arc<Vec<Fact>>,
    /// The records as they stand behind these facts.
    pub changes: Arc<Changes>,
    pub meta: Meta,
}

/// The writing side; one in the program.
pub struct View {}

/// The reading side; cheap to open, one for each thread that asks.
pub struct ViewReader {}

/// A line of an incident's timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    pub seq: u64,
    pub at: Time,
    /// The fact's name in snake case.
    pub kind: String,
    pub text: String,
    pub actor: Option<String>,
    /// The rule, silence or alert that decided, as JSON.
    pub reason: Option<String>,
}

impl View {
    /// Opens or makes the view.
    ///
    /// # Errors
    /// What SQLite says; a damaged file is an error (the caller deletes and rebuilds it).
    pub fn open(path: &Path) -> Result<View, ViewError> {
        let _ = path;
        todo!()
    }

    /// How far the view has applied the log, and the state as it stood there: everything that is live.
    ///
    /// # Errors
    /// What SQLite says, and records that cannot be read.
    pub fn load(&self, each: &mut dyn FnMut(Entity)) -> Result<Meta, ViewError> {
        let _ = each;
        todo!()
    }

    /// Applies batches in one transaction.
    ///
    /// # Errors
    /// What SQLite says; nothing is applied then.
    pub fn write(&mut self, batches: &[ViewBatch]) -> Result<(), ViewError> {
        let _ = batches;
        todo!()
    }

    /// Deletes history older than `before`: resolved alerts, closed incidents with their timelines, done notifications.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn forget(&mut self, before: Time) -> Result<u64, ViewError> {
        let _ = before;
        todo!()
    }
}

impl ViewReader {
    /// Opens the view for reading.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn open(path: &Path) -> Result<ViewReader, ViewError> {
        let _ = path;
        todo!()
    }

    /// # Errors
    /// What SQLite says.
    pub fn incident(&self, id: IncidentId) -> Result<Option<Incident>, ViewError> {
        let _ = id;
        todo!()
    }

    /// Incidents with ids below `before`, newest first, that `keep` accepts.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn incidents(
        &self,
        before: Option<IncidentId>,
        limit: usize,
        keep: &mut dyn FnMut(&Incident) -> bool,
    ) -> Result<Vec<Incident>, ViewError> {
        let _ = (before, limit, keep);
        todo!()
    }

    /// Occurrences that began before log position `before`, newest first, that `keep` accepts; all alerts or one.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn alerts(
        &self,
        of: Option<Fingerprint>,
        before: Option<u64>,
        limit: usize,
        keep: &mut dyn FnMut(&AlertRecord) -> bool,
    ) -> Result<Vec<AlertRecord>, ViewError> {
        let _ = (of, before, limit, keep);
        todo!()
    }

    /// # Errors
    /// What SQLite says.
    pub fn incident_alerts(&self, id: IncidentId, limit: usize) -> Result<Vec<AlertRecord>, ViewError> {
        let _ = (id, limit);
        todo!()
    }

    /// Notifications with ids below `before`, newest first, that `keep` accepts.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn notifications(
        &self,
        before: Option<u64>,
        limit: usize,
        keep: &mut dyn FnMut(&Notification) -> bool,
    ) -> Result<Vec<Notification>, ViewError> {
        let _ = (before, limit, keep);
        todo!()
    }

    /// An incident's timeline behind log position `after`, oldest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn timeline(&self, id: IncidentId, after: u64, limit: usize) -> Result<Vec<TimelineEntry>, ViewError> {
        let _ = (id, after, limit);
        todo!()
    }
}
