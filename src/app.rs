//! The daemon as a whole: builds every part from the configuration, runs, drains, stops.
//!
//! Owns the order of these things and the process' signals; everything else belongs to the parts.

mod sources;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::api::{self, ApiState};
use crate::config::{self, Config};
use crate::deliver;
use crate::ingest::{self, Doors, IngestState, TlsDoor};
use crate::metrics::Metrics;
use crate::ruleset::{self, Ruleset, SourceFile};
use crate::runtime::{self, Clock, Handle, LoadRules, Parts, Receivers};
use crate::storage::disk::{FolderDisk, FolderLock};
use crate::storage::log::{LogOptions, SkipDamage};

pub use sources::ReadConfig;

/// How long the threads may take to end once everything is answered; what the view has not written by then, the next start
/// reads from the log.
const STOP_PATIENCE: Duration = Duration::from_secs(4);

/// Runs the daemon until SIGTERM or SIGINT. `read` reads the configuration again when that is asked for. Damage of the log is
/// passed over only in the segments that `skip_damage` names.
///
/// # Errors
/// Why it did not start, or what made it impossible to go on. The process must end then with a code other than 0.
pub async fn serve(config: Config, read: ReadConfig, skip_damage: SkipDamage) -> anyhow::Result<()> {
    config::check_exposure(&config).map_err(|error| anyhow::anyhow!("{error}"))?;
    deliver::install_crypto();
    let config = Arc::new(config);
    let metrics = Arc::new(Metrics::default());
    let receivers = build_receivers(&config)?;

    // Bound before anything is made or written, so that a taken port leaves no trace; served when the state is recovered. Who
    // connects meanwhile waits instead of being refused.
    let listener = TcpListener::bind(config.listen).await.with_context(|| format!("cannot listen on {}", config.listen))?;
    let tls = match &config.tls {
        Some(tls) => Some(TlsDoor::bind(tls).await.map_err(|error| anyhow::anyhow!(error))?),
        None => None,
    };
    let tls_address = tls.as_ref().map(TlsDoor::address).transpose()?;
    let log_folder = config.data.join("log");
    let disk = FolderDisk::open(&log_folder).with_context(|| format!("{}", log_folder.display()))?;
    let _lock = FolderLock::take(&config.data)?;
    let address = listener.local_addr()?;

    let mut runtime = runtime::start(Parts {
        config: config.clone(),
        metrics: metrics.clone(),
        clock: Clock::system(),
        disk,
        read_log: runtime::read_log(move || FolderDisk::open_read_only(&log_folder), skip_damage.clone()),
        receivers,
        load: rules_loader(&config),
        log_options: LogOptions::default(),
        skip_damage,
    })
    .await?;
    let handle = runtime.handle().clone();
    let shutdown = handle.shutdown().clone();
    let fetcher = deliver::Fetcher::new(&deliver::Context::new(config.outbound)).map_err(|error| anyhow::anyhow!(error))?;
    let ingest = IngestState::new(handle.clone(), &config, metrics.clone(), Arc::new(Amazon(fetcher)));
    let ingest = Arc::new(ingest.map_err(|error| anyhow::anyhow!("{error}"))?);
    handle.load_on_request(sources::loader(ingest.clone(), config.clone(), read));
    let router = api::router(ApiState::new(Arc::new(handle.clone()), ingest.clone(), metrics, config.clone()));
    let looking = tokio::spawn(ingest.clone().look_after_sources(shutdown.clone()));
    let stopping = shutdown.clone();
    let doors = Doors { plain: listener, tls };
    let mut server =
        tokio::spawn(async move { ingest::serve(doors, ingest, router, async move { stopping.wait().await }).await });
    heed_signals(handle.clone())?;
    tell_systemd(&[NotifyState::Ready]);
    // The words "listening on" are what scripts and tests wait for.
    tracing::info!("listening on {address}");
    if let Some(address) = tls_address {
        tracing::info!("listening with TLS on {address}");
    }
    let data = tracing::field::display(config.data.display());
    tracing::info!(version = env!("CARGO_PKG_VERSION"), data, receivers = config.receivers.len(), "quell is ready");
    advise(&config, &handle, address);

    let ended_early = tokio::select! {
        biased;
        () = shutdown.wait() => None,
        fault = runtime.failed() => {
            tracing::error!(fault, "stopping at once: nothing more can be acknowledged");
            bail!(fault);
        }
        ended = &mut server => Some(ended),
    };
    let is_over = ended_early.is_some();
    if let Some(ended) = ended_early {
        ended.context("the server panicked")??;
        // Told to stop a moment ago, it may be done before the order is seen here.
        if !shutdown.is_triggered() {
            bail!("the server ended by itself");
        }
    }
    tracing::info!("stopping");
    tell_systemd(&[NotifyState::Stopping]);
    // Requests under way and pages that are due both need the engine, so it ends behind them.
    let serving = async move { if is_over { Ok(Ok(())) } else { server.await } };
    let (ended, looked, ()) = tokio::join!(serving, looking, runtime.drain());
    looked.context("who looks after the sources panicked")?;
    ended.context("the server panicked")??;
    if tokio::time::timeout(STOP_PATIENCE, runtime.stop()).await.is_err() {
        tracing::warn!("the view is not written to its end; the next start reads the rest from the log");
    }
    tracing::info!("stopped");
    Ok(())
}

/// The way to Amazon's host for messages of SNS: as receivers are called.
struct Amazon(deliver::Fetcher);

impl ingest::Outgoing for Amazon {
    fn get<'a>(&'a self, url: &'a str, bytes_max: usize) -> ingest::Calling<'a> {
        Box::pin(self.0.get(url, bytes_max))
    }
}

/// What a newcomer may want to know next, and everybody should: whether anybody will be told.
fn advise(config: &Config, handle: &Handle, address: SocketAddr) {
    if config.receivers.is_empty() {
        tracing::warn!("no receiver is configured: incidents are kept and shown, and nobody is told of them");
    }
    let live = handle.live();
    if live.firing() == 0 && live.incidents().is_empty() {
        let test = "quell send alertname=Test severity=critical";
        tracing::info!(
            "nothing has come in yet; point Prometheus at this address as at an Alertmanager, or try: {test} --url http://{address}"
        );
    }
}

/// Builds every configured receiver. All faults are named at once.
fn build_receivers(config: &Config) -> anyhow::Result<Receivers> {
    let context = deliver::Context::new(config.outbound);
    let mut receivers = Receivers::new();
    let mut faults = Vec::new();
    for receiver in &config.receivers {
        match deliver::build(receiver, &context) {
            Ok(built) => drop(receivers.insert(receiver.name.clone(), built.into())),
            Err(fault) => faults.push(fault.to_string()),
        }
    }
    if faults.is_empty() { Ok(receivers) } else { bail!(faults.join("\n")) }
}

/// Reads and compiles the rule files; their faults come as the compiler's text. A folder that is not there holds no rules.
fn rules_loader(config: &Config) -> LoadRules {
    let folder = config.rules.clone();
    let receivers: Vec<Arc<str>> = config.receivers.iter().map(|receiver| receiver.name.clone()).collect();
    let limits = ruleset::Limits {
        rules_max: config.limits.rules,
        file_bytes_max: config.limits.rule_file_bytes,
        ..ruleset::Limits::default()
    };
    Arc::new(move || load_rules(&folder, &receivers, limits))
}

fn load_rules(folder: &Path, receivers: &[Arc<str>], limits: ruleset::Limits) -> Result<Arc<Ruleset>, String> {
    let files = if folder.exists() {
        ruleset::read_files(&[folder.to_owned()]).map_err(|error| error.to_string())?
    } else {
        tracing::info!(folder = %folder.display(), "there is no folder of rules; only the built-in rule groups alerts");
        Vec::new()
    };
    match ruleset::load(&files, Some(receivers), limits) {
        Ok(mut loaded) => {
            for warning in &loaded.warnings {
                tracing::warn!("{}", render(warning, &files));
            }
            loaded.ruleset.name_files_below(folder);
            tracing::info!(rules = loaded.ruleset.len_in_files(), files = files.len(), "rules loaded");
            Ok(Arc::new(loaded.ruleset))
        }
        Err(faults) => Err(faults.iter().map(|fault| render(fault, &files)).collect::<Vec<_>>().join("\n")),
    }
}

fn render(diagnostic: &ruleset::Diagnostic, files: &[SourceFile]) -> String {
    let text = files.iter().find(|file| *file.name == *diagnostic.file).map_or("", |file| &file.text);
    diagnostic.render(text)
}

/// SIGTERM and SIGINT stop, SIGHUP reloads rules and sources.
fn heed_signals(handle: Handle) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => {
                    let since_boot = NotifyState::monotonic_usec_now().unwrap_or(NotifyState::MonotonicUsec(0));
                    tell_systemd(&[NotifyState::Reloading, since_boot]);
                    // The reloading task has told log and metrics what came of it.
                    drop(handle.reload().await);
                    tell_systemd(&[NotifyState::Ready]);
                }
            }
        }
        handle.shutdown().trigger();
    });
    Ok(())
}

/// Says how the service is to systemd, where it runs under it.
fn tell_systemd(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told");
    }
}
