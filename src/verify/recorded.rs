//! Alerts that really came, for holding rules against them: from a daemon's view, or from a file with one alert a line.
//!
//! Only reads. Of an alert that came often the newest occurrence counts: rules look at labels, and these are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::model::{Alert, Labels, Time};
use crate::storage::view::{ViewError, ViewReader};

/// Alerts that are kept, each with other labels: more say nothing new of a rule, and all rules look at each.
pub const ALERTS_MAX: usize = 10_000;
/// Bytes of one line.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// The source of alerts in a file, which says none.
const SOURCE: &str = "file";

/// Why recorded alerts cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    #[error(transparent)]
    View(#[from] ViewError),
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}:{line}: {why}", path.display())]
    Line { path: PathBuf, line: usize, why: String },
}

/// The newest alerts of a daemon's view.
///
/// # Errors
/// When the view is not there, or is none.
pub fn from_view(view: &Path) -> Result<Vec<Arc<Alert>>, RecordedError> {
    let mut known = BTreeSet::new();
    let records = ViewReader::open(view)?.newest_alerts(ALERTS_MAX, &mut |record| known.insert(record.alert.fingerprint))?;
    Ok(records.into_iter().map(|record| record.alert).collect())
}

/// The alerts of a file in the form of Alertmanager's API, one JSON object a line.
///
/// # Errors
/// The file, or the line that is no alert.
pub fn from_lines(path: &Path) -> Result<Vec<Arc<Alert>>, RecordedError> {
    let unreadable = |source| RecordedError::Read { path: path.to_owned(), source };
    let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut known = BTreeSet::new();
    let mut alerts = Vec::new();
    let mut text = String::new();
    for line in 1.. {
        text.clear();
        let read = reader.by_ref().take(LINE_BYTES_MAX).read_line(&mut text).map_err(unreadable)?;
        if read == 0 || alerts.len() == ALERTS_MAX {
            break;
        }
        if text.trim().is_empty() {
            continue;
        }
        let alert = parse(&text).map_err(|why| RecordedError::Line { path: path.to_owned(), line, why })?;
        if known.insert(alert.fingerprint) {
            alerts.push(Arc::new(alert));
        }
    }
    Ok(alerts)
}

/// What of a line counts here.
#[derive(Deserialize)]
struct Line {
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

fn parse(text: &str) -> Result<Alert, String> {
    let line: Line = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let set =
        |pairs: &BTreeMap<String, String>| Labels::from_pairs(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let labels = set(&line.labels).filter(|labels| !labels.is_empty()).ok_or("an alert without labels, or with too many")?;
    Ok(Alert {
        fingerprint: labels.fingerprint(),
        labels,
        annotations: set(&line.annotations).ok_or("more annotations than an alert can have")?,
        generator_url: "".into(),
        source: SOURCE.into(),
        starts_at: Time(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_once_each_and_faults_have_a_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.ndjson");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            from_lines(&path).map(|alerts| alerts.iter().map(|alert| alert.labels.to_string()).collect::<Vec<_>>().join(" "))
        };
        let good = "{\"labels\":{\"a\":\"1\"},\"updatedAt\":\"2026-01-05T00:00:00Z\"}\n\n{\"labels\":{\"a\":\"2\"}}\n{\"labels\":{\"a\":\"1\"}}";
        assert_eq!(read(good).unwrap(), "{a=\"1\"} {a=\"2\"}");
        for (bad, place) in [("{\"labels\":{\"a\":\"1\"}}\n{}", ":2: missing field"), ("{\"labels\":{}}", ":1: an alert without")]
        {
            let error = read(bad).unwrap_err().to_string();
            assert!(error.contains(place), "{error}");
        }
        assert!(from_lines(Path::new("none")).is_err() && from_view(Path::new("none")).is_err());
    }
}
