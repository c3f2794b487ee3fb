//! `quell serve`: the daemon.

use std::path::PathBuf;

use super::failure::Failure;
use super::screen::Screen;
use super::site;
use crate::app;
use crate::runtime::StartError;
use crate::storage::log::SkipDamage;
use crate::telemetry::{self, LogFormat};

#[derive(clap::Args, Debug)]
#[command(after_help = "Everything works with no file at all: alerts of Prometheus and Alertmanager are taken on \
                        127.0.0.1:9093 and grouped by alertname and service.")]
pub(super) struct Args {
    /// The configuration [default: quell.yaml, if it is here]
    #[arg(long, env = "QUELL_CONFIG", hide_env_values = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of rule files [default: rules]
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// The folder for everything durable [default: data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:9093]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Serve on a public address without tokens
    #[arg(long)]
    insecure: bool,
    /// Start in spite of damage in this segment of the log, as `quell log verify` names it; its facts are lost. May be repeated
    #[arg(long, value_name = "SEGMENT")]
    skip_damage: Vec<String>,
    /// How the daemon writes its own log, to stderr
    #[arg(long, default_value = "text", value_name = "text|json")]
    log_format: LogFormat,
}

/// Runs the daemon until it is told to stop.
pub(super) fn run(args: Args, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let path = |path: Option<PathBuf>| path.map(|path| path.to_string_lossy().into_owned());
    let flags = [
        ("rules", path(args.rules)),
        ("data", path(args.data)),
        ("listen", args.listen),
        ("insecure", args.insecure.then(|| "true".to_owned())),
    ];
    telemetry::init(args.log_format, std::env::var("QUELL_LOG").ok().as_deref());
    let config = site::load(args.config.as_deref(), &flags, screen)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let read = site::reader(args.config.as_deref(), &flags);
    runtime.block_on(app::serve(config, read, SkipDamage::in_segments(args.skip_damage))).map_err(|error| failure(&error))?;
    Ok(0)
}

fn failure(error: &anyhow::Error) -> Failure {
    let failure = Failure::new(format!("{error:#}"));
    match error.downcast_ref::<StartError>().and_then(StartError::damaged_segment) {
        Some(segment) => failure.hint(format!(
            "restore the log from backup; or, if there is none, start with --skip-damage {segment} and lose the facts in the \
             damaged place (quell log verify lists all of it)"
        )),
        None => failure,
    }
}
