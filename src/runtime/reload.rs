//! New rules while running: on request (SIGHUP, HTTP) and when the files change. On request only, with them, what else a
//! [loader](LoadMore) reads: who edits `quell.yaml` may not be done yet.
//!
//! Loading happens here, beside the engine; a set of files that does not load changes nothing. One that does takes effect as a
//! single input between two log positions.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use super::handle::Handle;
use crate::engine::Input;
use crate::metrics::Metrics;
use crate::ruleset::{self, Ruleset};

/// How often the files are looked at. Asking is sturdier than being told: watchers lose files on atomic renames and on
/// the symlink swaps of mounted configuration.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Loads the rules; the error is every fault as text for people.
pub type LoadRules = Arc<dyn Fn() -> Result<Arc<Ruleset>, String> + Send + Sync>;

/// Loads what is not the rules; the error is every fault as text for people. Nothing takes effect by loading.
pub type LoadMore = Arc<dyn Fn() -> Result<Loaded, String> + Send + Sync>;

/// What was loaded besides the rules.
pub struct Loaded {
    /// Puts it in force, and says what is.
    pub apply: Box<dyn FnOnce() -> String + Send>,
    /// What is configured otherwise than at the start and cannot be changed while running.
    pub waiting: Vec<&'static str>,
}

/// Where the answer to a request goes.
pub(super) type ReloadRequest = oneshot::Sender<Result<String, String>>;

/// The reloading task.
pub(super) struct Reloader {
    pub(super) handle: Handle,
    pub(super) load: LoadRules,
    pub(super) folder: PathBuf,
    /// The digest of the files as they were before the rules in force were loaded, so that a change since then is noticed.
    pub(super) seen: Option<u64>,
    pub(super) metrics: Arc<Metrics>,
}

impl Reloader {
    /// Serves requests and watches the files until the daemon stops.
    pub(super) async fn run(self, mut requests: mpsc::Receiver<ReloadRequest>) {
        let mut seen = self.seen;
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shutdown = self.handle.shutdown().clone();
        loop {
            let request = tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => Some(request),
                    None => return,
                },
                _ = look.tick() => None,
                () = shutdown.wait() => return,
            };
            // Taken before loading: a change during the load is seen at the next look.
            let digest = self.digest().await;
            if request.is_none() && digest == seen {
                continue;
            }
            seen = digest;
            let result = self.reload(request.is_some()).await;
            self.report(&result);
            if let Some(request) = request {
                // Who asked may have gone.
                drop(request.send(result));
            }
        }
    }

    async fn reload(&self, is_asked: bool) -> Result<String, String> {
        let (load, more) = (self.load.clone(), self.handle.loads_more().filter(|_| is_asked));
        let loading = tokio::task::spawn_blocking(move || {
            let more = more.map(|load| load()).transpose()?;
            let rules = load().map_err(|faults| match more.as_ref().map_or(&[][..], |more| &more.waiting) {
                [] => faults,
                waiting => format!("{faults}\n{}", told_to_wait(waiting)),
            })?;
            Ok::<_, String>((more, rules))
        });
        let (more, rules) = loading.await.map_err(|error| format!("loading ended early: {error}"))??;
        let (count, in_files) = (rules.len(), rules.len_in_files());
        self.handle.submit(vec![Input::Rules(rules)]).await.map_err(|error| format!("not recorded: {error}"))?;
        set_rules(&self.metrics, count, self.handle.now());
        let built_in = count - in_files;
        let mut told = format!("rules reloaded: {in_files} of the files are in force, and {built_in} built-in ones");
        let Some(Loaded { apply, waiting }) = more else { return Ok(told) };
        told = format!("{told}; {}; receivers, tokens, limits and all else are those of the start", apply());
        if !waiting.is_empty() {
            told = format!("{told}: {}", told_to_wait(&waiting));
        }
        Ok(told)
    }

    fn report(&self, result: &Result<String, String>) {
        match result {
            Ok(what) => tracing::info!("{what}"),
            Err(faults) => {
                self.metrics.rules_last_reload_successful.set(0);
                tracing::error!("not reloaded, all stays as it was:\n{faults}");
            }
        }
    }

    async fn digest(&self) -> Option<u64> {
        let folder = self.folder.clone();
        tokio::task::spawn_blocking(move || digest(&folder)).await.ok().flatten()
    }
}

/// Who asks for a reload should not think that these took effect.
fn told_to_wait(waiting: &[&str]) -> String {
    let keys: Vec<String> = waiting.iter().map(|key| format!("`{key}`")).collect();
    format!("{} of quell.yaml changed since then and take effect at the next start", keys.join(", "))
}

/// Shows in the metrics that so many rules took effect.
pub(super) fn set_rules(metrics: &Metrics, count: usize, now: crate::model::Time) {
    metrics.rules.set(i64::try_from(count).unwrap_or(i64::MAX));
    metrics.rules_last_reload_successful.set(1);
    metrics.rules_last_reload_success_timestamp_seconds.set(now.0 / 1_000);
}

/// A number that changes when a rule file does. A folder that is not there has one too. `None` while the files cannot be read;
/// that is a change too, and loading says what is wrong.
pub(super) fn digest(folder: &Path) -> Option<u64> {
    let files = if folder.exists() { ruleset::read_files(&[folder.to_owned()]).ok()? } else { Vec::new() };
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    for file in &files {
        for part in [&file.name, &file.text] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
    }
    Some(hash.digest())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_digest_changes_with_any_file() {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("rules");
        let mut digests = vec![digest(&rules).unwrap()];
        fs::create_dir(&rules).unwrap();
        assert_eq!(digest(&rules).unwrap(), digests[0], "an empty folder has no rules either");
        let rewritten = [("a.yaml", "x"), ("b.yaml", ""), ("a.yaml", "y"), ("b.yaml", "y"), ("c.yaml", "1")];
        let table = [("b.yaml", "table: t.csv"), ("t.csv", "a"), ("t.csv", "b")];
        for (file, content) in rewritten.into_iter().chain(table) {
            fs::write(rules.join(file), content).unwrap();
            digests.push(digest(&rules).unwrap());
        }
        fs::rename(rules.join("c.yaml"), rules.join("d.yaml")).unwrap();
        digests.push(digest(&rules).unwrap());
        fs::write(rules.join("a.test.yaml"), "x").unwrap();
        assert_eq!(digest(&rules).unwrap(), *digests.last().unwrap(), "no rule changed");
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), 10);
    }
}
