//! Messages that were authentic and could not be mapped: kept before they are answered, so that nothing is lost by a mapping
//! that is wrong. Which ones, and what of them; trying them again is in `replay`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::{HeaderMap, StatusCode};
use prometheus::IntCounter;

use super::answer::Fault;
use super::intake::{Rejected, Sorted};
use super::route::IngestState;
use super::source::{Format, Source};
use crate::config::{Config, Secret};
use crate::metrics::Metrics;
use crate::model::Time;
use crate::storage::disk::FolderDisk;
use crate::storage::rejects::{KeepError, Kept, Reject, Rejects, Verdict};

/// The folder in the data directory.
const FOLDER: &str = "rejects";

/// A shorter token is no secret, and may be a part of any word.
const SECRET_BYTES_MIN: usize = 6;

/// What stands in the place of a token.
const MASKED: &str = "[masked]";

/// Headers that say something of the body, by the beginning of their names. Never one that may hold a token.
const HEADERS: [&str; 2] = ["content-type", "ce-"];

/// Bytes of a header that is kept, and how many are.
const HEADER_BYTES_MAX: usize = 1_000;
const HEADERS_MAX: usize = 32;

/// The kept messages of all sources.
pub(super) struct Shelf {
    folder: PathBuf,
    count_max: usize,
    bytes_max: u64,
    /// `None` until there is anything: a site on which all is well has no folder of these.
    rejects: Mutex<Option<Rejects<FolderDisk>>>,
    /// Tokens, also those of before a reload: no body is kept with one of these in it.
    secrets: Mutex<Vec<Secret>>,
    /// How many there are of each source that ever had one, so that a count falls to 0 and does not stay where it was.
    counted: Mutex<BTreeMap<String, i64>>,
    metrics: Arc<Metrics>,
}

impl Shelf {
    /// What was kept before. Files that cannot be read are told in the log, and stay.
    ///
    /// # Errors
    /// When the folder is there and cannot be looked through.
    pub(super) fn open(config: &Config, metrics: Arc<Metrics>) -> io::Result<Shelf> {
        let store = Shelf {
            folder: config.data.join(FOLDER),
            count_max: config.limits.rejects,
            bytes_max: config.limits.reject_bytes,
            rejects: Mutex::new(None),
            secrets: Mutex::default(),
            counted: Mutex::default(),
            metrics,
        };
        store.mask_tokens_of(config);
        if store.folder.exists() {
            *store.lock() = Some(store.open_folder()?);
            store.measure();
        }
        Ok(store)
    }

    /// Masks these tokens, too, from now on.
    pub(super) fn mask_tokens_of(&self, config: &Config) {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let of_sources = config.sources.iter().flat_map(|source| &source.tokens);
        for token in of_sources.chain(config.tokens.iter().map(|it| &it.token)) {
            if !secrets.contains(token) {
                secrets.push(token.clone());
            }
        }
    }

    /// Does something with the kept messages; gives the default where there are none.
    pub(super) fn with<T: Default>(&self, look: impl FnOnce(&mut Rejects<FolderDisk>) -> T) -> T {
        self.lock().as_mut().map_or_else(T::default, look)
    }

    /// Whether any of this source are kept.
    pub(super) fn has(&self, source: &str) -> bool {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).get(source).is_some_and(|count| *count > 0)
    }

    /// All of them, the oldest first.
    pub(super) fn list(&self) -> Vec<Reject> {
        self.with(|rejects| rejects.iter().cloned().collect())
    }

    /// Lets go of them; gives those that were there.
    pub(super) fn discard(&self, ids: &[String]) -> io::Result<Vec<Reject>> {
        let removed = match self.lock().as_mut() {
            Some(rejects) => rejects.remove(ids),
            None => Ok(Vec::new()),
        };
        self.measure();
        removed
    }

    fn keep(
        &self,
        source: &str,
        body: &str,
        headers: Vec<(String, String)>,
        verdict: Verdict,
        now: Time,
    ) -> Result<Kept, KeepError> {
        let body = {
            let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
            masked(body, &secrets)
        };
        let kept = {
            let mut rejects = self.lock();
            if rejects.is_none() {
                *rejects = Some(self.open_folder()?);
            }
            let Some(rejects) = rejects.as_mut() else { return Err(io::Error::other("no folder").into()) };
            rejects.keep(source, &body, headers, verdict, now)
        };
        self.measure();
        let kept = kept?;
        for gone in &kept.fallen_out {
            if is_news(&self.metrics.rejects_surplus_total.with_label_values(&[&gone.source])) {
                let (source, reject) = (&*gone.source, &*gone.id);
                tracing::warn!(source, reject, "a message that could not be mapped is lost: there are more than are kept");
            }
        }
        Ok(kept)
    }

    fn open_folder(&self) -> io::Result<Rejects<FolderDisk>> {
        let (rejects, damaged) = Rejects::open(FolderDisk::open(&self.folder)?, self.count_max, self.bytes_max)?;
        for what in damaged {
            tracing::error!(folder = %self.folder.display(), what, "a kept message cannot be read; the file stays");
        }
        Ok(rejects)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Rejects<FolderDisk>>> {
        self.rejects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn measure(&self) {
        let mut counts = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counts.values_mut().for_each(|count| *count = 0);
        self.with(|rejects| rejects.iter().for_each(|it| *counts.entry(it.source.clone()).or_default() += 1));
        for (source, count) in counts.iter() {
            self.metrics.rejects.with_label_values(&[source]).set(*count);
        }
    }
}

impl IngestState {
    /// Keeps a message that a better mapping might take more of. Gives its id once it is on disk; `None` where there is nothing to keep.
    ///
    /// # Errors
    /// 503 when the disk does not take it, 413 when it is too long to be kept: then it must not be acknowledged.
    pub(super) async fn keep_rejected(
        &self,
        source: &Source,
        body: &str,
        headers: &HeaderMap,
        sorted: &Sorted,
    ) -> Result<Option<String>, Fault> {
        // Who says labels needs no mapping, and is told what is wrong with them.
        let is_mapped = matches!(source.format, Format::Generic(_) | Format::Tool(_));
        let Some(verdict) = verdict(&sorted.rejected, sorted.alerts).filter(|_| is_mapped) else { return Ok(None) };
        let (store, now) = (self.store.clone(), self.engine.now());
        let (name, body, headers) = (source.name.clone(), body.to_owned(), headers_of(headers));
        let kept = tokio::task::spawn_blocking(move || store.keep(&name, &body, headers, verdict, now)).await;
        match kept.unwrap_or_else(|error| Err(io::Error::other(error).into())) {
            Ok(kept) => {
                if is_news(&self.metrics.rejects_kept_total.with_label_values(&[&source.name])) {
                    let error = sorted.rejected.first().map(|it| &*it.message);
                    tracing::warn!(source = &*source.name, reject = kept.id, error, "a message could not be mapped; it is kept");
                }
                Ok(Some(kept.id))
            }
            Err(KeepError::TooLarge(_)) => {
                let message = "the body cannot be mapped, and is too large to be kept";
                Err(Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "reject_too_large", message))
            }
            Err(KeepError::Io(error)) => {
                tracing::error!(%error, source = &*source.name, "a message that cannot be mapped could not be kept");
                Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, "storage", &format!("the message could not be stored: {error}")))
            }
        }
    }
}

/// What a mapping is to blame for among what was not taken.
fn verdict(rejected: &[Rejected], alerts: usize) -> Option<Verdict> {
    let mut failed: Vec<usize> = rejected.iter().filter(|it| it.reason.is_of_mapping()).map(|it| it.index).collect();
    failed.sort_unstable();
    let error = rejected.iter().find(|it| it.reason.is_of_mapping())?.message.clone();
    Some(Verdict { error, failed, alerts })
}

/// Counts one more, and says whether that is worth a line in our own log: the first, the second, the fourth, the eighth, …
/// A sender that can be made no sense of must not fill the log.
fn is_news(counter: &IntCounter) -> bool {
    counter.inc();
    counter.get().is_power_of_two()
}

fn headers_of(headers: &HeaderMap) -> Vec<(String, String)> {
    let is_wanted = |name: &str| HEADERS.iter().any(|wanted| name.starts_with(wanted));
    let said = headers.iter().filter(|(name, value)| is_wanted(name.as_str()) && value.len() <= HEADER_BYTES_MAX);
    said.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))).take(HEADERS_MAX).collect()
}

/// The body without our tokens, however they are written: some senders repeat in the body what let them in.
fn masked<'a>(body: &'a str, secrets: &[Secret]) -> Cow<'a, str> {
    let mut text = Cow::Borrowed(body);
    for secret in secrets.iter().map(Secret::expose).filter(|secret| secret.len() >= SECRET_BYTES_MIN) {
        let json = serde_json::Value::from(secret).to_string();
        let percent: String = secret.bytes().fold(String::new(), |text, byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text + &char::from(byte).to_string(),
            _ => text + &format!("%{byte:02X}"),
        });
        for written in [secret, json.trim_matches('"'), &percent] {
            if text.contains(written) {
                text = Cow::Owned(text.replace(written, MASKED));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_masked_however_they_are_written() {
        let secrets = [Secret::new("s3 cr\"t/key"), Secret::new("short")];
        let cases = [
            (r#"{"routing_key":"s3 cr\"t/key","x":"short"}"#, r#"{"routing_key":"[masked]","x":"short"}"#),
            ("key=s3%20cr%22t%2Fkey&b=1", "key=[masked]&b=1"),
            ("s3 cr\"t/key s3 cr\"t/key", "[masked] [masked]"),
            ("nothing", "nothing"),
        ];
        for (body, expected) in cases {
            assert_eq!(masked(body, &secrets), expected);
        }
    }

    #[test]
    fn only_headers_that_say_something_of_the_body_are_kept() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("authorization", "Bearer x"), ("content-type", "text/plain"), ("ce-type", "alert"), ("cookie", "y")]
        {
            headers.insert(name, value.parse().unwrap());
        }
        headers.insert("ce-long", "x".repeat(2_000).parse().unwrap());
        let mut kept = headers_of(&headers);
        kept.sort();
        assert_eq!(kept, [("ce-type".to_owned(), "alert".to_owned()), ("content-type".to_owned(), "text/plain".to_owned())]);
    }
}
