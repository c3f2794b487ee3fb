//! Quell's own alerts: a source that has fallen silent, and a field that is missing from its messages. They come in as
//! those of any sender, from the source `quell`, so that rules, silences and receivers are theirs as well.
//!
//! What ought to fire is compared with what fires, each second: nothing is lost by a restart, a full disk or a full queue.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::intake::{Intake, Pairs, Parsed, Said};
use super::route::IngestState;
use super::source::{Format, Source};
use super::watch;
use crate::config::SourceConfig;
use crate::model::{AlertStatus, Fingerprint, Labels, Millis};
use crate::runtime::Shutdown;
use crate::storage::disk::{FolderDisk, read_whole, replace};

/// The names of the alerts.
const SILENT: &str = "QuellSourceSilent";
const DRIFT: &str = "QuellSourceDrift";

/// The file in the data directory.
const FILE: &str = "sources.json";

/// How often sources are looked after.
const EVERY: Duration = Duration::from_secs(1);

/// The most of a time between two looks that counts as silence: who was stopped, or busy, has not heard.
const STEP_MAX: Millis = Millis::seconds(5);

/// Looks between two writes of what is known.
const LOOKS_PER_WRITE: u32 = 5;

/// What fires of Quell's own, as the last look left it.
pub(super) struct Own {
    source: Source,
    folder: PathBuf,
    fires: Mutex<BTreeMap<Fingerprint, Labels>>,
}

/// An alert that ought to fire.
struct Wanted {
    labels: Labels,
    summary: String,
    description: &'static str,
}

impl Own {
    pub(super) fn new(source: Source, folder: PathBuf) -> Own {
        Own { source, folder, fires: Mutex::default() }
    }

    /// The configuration of the source that they come from.
    pub(super) fn config() -> SourceConfig {
        // Its alerts are ended by a word.
        SourceConfig {
            name: SourceConfig::OWN.into(),
            format: crate::config::SourceFormat::Alertmanager,
            ..SourceConfig::prometheus()
        }
    }
}

impl IngestState {
    /// Looks after the sources until the word comes that the daemon stops.
    pub async fn look_after_sources(self: Arc<Self>, shutdown: Shutdown) {
        let mut last = self.engine.even();
        let mut written = String::new();
        let mut looks = 0;
        loop {
            let is_over = tokio::select! {
                () = tokio::time::sleep(EVERY) => false,
                () = shutdown.wait() => true,
            };
            let now = self.engine.even();
            let passed = Millis(now.since(last).0.clamp(0, STEP_MAX.0));
            last = now;
            if !is_over {
                self.look(passed).await;
            }
            looks += 1;
            if is_over || looks % LOOKS_PER_WRITE == 0 {
                written = self.write_if_new(written).await;
            }
            if is_over {
                return;
            }
        }
    }

    /// Lets time pass for each source, and raises and ends what has come to be so, or not to be.
    pub(super) async fn look(&self, passed: Millis) {
        let now = self.engine.now();
        let sources = self.sources();
        for source in sources.iter() {
            let asked = if let Format::Generic(mapping) = &source.format { Some(mapping.watched()) } else { None };
            source.watched.pass(passed, asked, now);
            if !self.store.has(&source.name) {
                source.watched.forget_ends(now);
            }
            self.measure(source);
        }
        let mut wanted: BTreeMap<Fingerprint, Wanted> = BTreeMap::new();
        for alert in sources.iter().flat_map(|source| wanted_of(source)) {
            wanted.insert(alert.labels.fingerprint(), alert);
        }
        let live = self.engine.live();
        let fires = |fingerprint: Fingerprint| live.alert(fingerprint).is_some_and(|entry| entry.record.is_firing());
        let over: Vec<Labels> = {
            let known = self.own.fires.lock().unwrap_or_else(PoisonError::into_inner);
            known.iter().filter(|(it, _)| !wanted.contains_key(it) && fires(**it)).map(|(_, labels)| labels.clone()).collect()
        };
        let begins = wanted.iter().filter(|(it, _)| !fires(**it)).map(|(_, alert)| alert);
        let mut intake = Intake::new(live, &self.own.source, &self.limits, now);
        let mut index = 0..;
        let mut take = |said: &Said<'_>| intake.take(index.next().unwrap_or_default(), said);
        for alert in begins {
            take(&alert.said());
        }
        for labels in &over {
            take(&said(labels, Vec::new(), AlertStatus::Resolved));
        }
        let sorted = intake.finish();
        if !sorted.news.is_empty() {
            let outcome = self.commit(sorted).await;
            match &outcome.failed {
                None => self.count(&self.own.source, &outcome),
                // The next look tries again.
                Some(error) => tracing::debug!(%error, "an alert of our own could not be raised or ended yet"),
            }
        }
        // What is over and could not be said stays known, so that it is said at the next look.
        let mut known = self.own.fires.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|it, _| wanted.contains_key(it) || fires(*it));
        known.extend(wanted.into_iter().map(|(fingerprint, alert)| (fingerprint, alert.labels)));
    }

    /// Takes up where the process before has ended: what was written, and what fires.
    pub(super) fn remember_sources(&self) {
        let all = self.sources();
        let sources = || all.iter().map(|source| (&*source.name, &source.watched));
        let disk = FolderDisk::open_read_only(&self.own.folder);
        match disk.and_then(|disk| read_whole(&disk, FILE)).map(|bytes| watch::read(&bytes, sources())) {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::warn!(file = FILE, why, "what was known of the sources cannot be read; it begins anew"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(file = FILE, %error, "what was known of the sources cannot be read; it begins anew"),
        }
        let mut known = self.own.fires.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in
            self.engine.live().alerts(|entry| &*entry.record.alert.source == SourceConfig::OWN && entry.record.is_firing())
        {
            let alert = &entry.record.alert;
            if let Some(source) = self.source_named(alert.labels.get("source")) {
                match alert.labels.get("alertname") {
                    SILENT => source.watched.was_silent(),
                    DRIFT => source.watched.was_missing(alert.labels.get("field"), alert.starts_at),
                    _ => {}
                }
            }
            known.insert(alert.fingerprint, alert.labels.clone());
        }
    }

    fn measure(&self, source: &Source) {
        let name = [&*source.name];
        let metrics = &self.metrics;
        if let Some(at) = source.watched.heard_at() {
            metrics.source_heard_timestamp_seconds.with_label_values(&name).set(at.0 / 1_000);
        }
        metrics.source_silent.with_label_values(&name).set(i64::from(source.watched.is_silent()));
        let missing = i64::try_from(source.watched.missing().len()).unwrap_or(i64::MAX);
        metrics.source_fields_missing.with_label_values(&name).set(missing);
    }

    /// Writes what is known of the sources where it is not what was written; gives what is written now.
    pub(super) async fn write_if_new(&self, written: String) -> String {
        let sources = self.sources();
        let text = watch::write(sources.iter().map(|source| (&*source.name, &source.watched, self.store.has(&source.name))));
        if text == written {
            return written;
        }
        let (folder, bytes) = (self.own.folder.clone(), text.clone().into_bytes());
        let wrote = tokio::task::spawn_blocking(move || replace(&FolderDisk::open(&folder)?, FILE, &bytes)).await;
        match wrote.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => text,
            Err(error) => {
                tracing::warn!(file = FILE, %error, "what is known of the sources could not be written; tried again");
                written
            }
        }
    }
}

impl Wanted {
    fn said(&self) -> Said<'_> {
        let annotations = vec![("summary".into(), (&*self.summary).into()), ("description".into(), self.description.into())];
        said(&self.labels, annotations, AlertStatus::Firing)
    }
}

/// What ought to fire of one source.
fn wanted_of(source: &Source) -> Vec<Wanted> {
    let labels = |name: &str, severity: &str, field: &str| {
        let pairs = [("alertname", name), ("source", &*source.name), ("severity", severity), ("field", field)];
        Labels::from_pairs(pairs.into_iter().filter(|(_, value)| !value.is_empty())).unwrap_or_default()
    };
    let mut wanted = Vec::new();
    if let Some(after) = source.watched.silent_after.filter(|_| source.watched.is_silent()) {
        wanted.push(Wanted {
            labels: labels(SILENT, "high", ""),
            summary: format!("Source {} has sent nothing for {after}", source.name),
            description: "Either all is well and its sender says nothing then, or the sender, the network between or its token \
                          is broken. Ends with the next message.",
        });
    }
    wanted.extend(source.watched.missing().into_iter().map(|(field, _)| Wanted {
        labels: labels(DRIFT, "medium", &field),
        summary: format!("Messages of source {} have no `{field}` any more", source.name),
        description: "It used to be in each message, and what is made of it is missing in alerts now: somebody may have edited a \
                      template at the sender's, or updated it. Ends when the field comes again, when the mapping does not use \
                      it any more, or after a week.",
    }));
    wanted
}

fn said<'a>(labels: &'a Labels, annotations: Parsed<'a>, status: AlertStatus) -> Said<'a> {
    Said {
        labels: Pairs::Parsed(labels.iter().map(|(name, value)| (name.into(), value.into())).collect()),
        annotations: Pairs::Parsed(annotations),
        generator_url: "".into(),
        status: Some(status),
        starts_at: None,
        ends_at: None,
        identity: None,
    }
}
