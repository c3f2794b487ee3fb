//! `quell backtest`: what other rules would have done with what has happened. Reads files and the log of a data directory,
//! which a daemon may be writing; changes nothing, and no message leaves.

mod alerts;
mod report;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use indicatif::{ProgressBar, ProgressStyle};

use super::failure::Failure;
use super::screen::{Screen, now};
use super::{log, site};
use crate::api;
use crate::config::Config;
use crate::engine::EngineOptions;
use crate::model::{Change, Millis, Time};
use crate::ruleset::{self, Ruleset, SourceFile};
use crate::storage::log::{LogError, LogFiles};
use crate::verify::backtest::outcome::Outcome;
use crate::verify::backtest::{self, Site, assignments, topology};
use report::{Played, Report};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Rule files and folders of them, to try
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Rules to compare with [default: what was really decided; with --alerts: nothing]
    #[arg(long, num_args = 1.., value_name = "PATH")]
    baseline: Vec<PathBuf>,
    /// How far back to look in the log of the data directory: `30d`, `12h` [default: 30d]
    #[arg(long, value_name = "TIME", conflicts_with = "alerts")]
    since: Option<String>,
    /// Play a file instead: one alert a line, as Alertmanager's API v2 gives them, arrived at `updatedAt`
    #[arg(long, value_name = "FILE")]
    alerts: Option<PathBuf>,
    /// Add the services of an inventory (JSON) to the catalogue
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// Changes that were made meanwhile, one a line, as `POST /v1/changes` takes them
    #[arg(long, value_name = "FILE", requires = "alerts")]
    changes: Option<PathBuf>,
    /// Write which alert went into which incident under the new rules, one JSON object a line
    #[arg(long, value_name = "FILE")]
    assignments: Option<PathBuf>,
    /// The data directory whose log is played [default: the configured one]
    #[arg(long, value_name = "DIR", conflicts_with = "alerts")]
    data: Option<PathBuf>,
    /// The configuration: receivers, limits, labels of the source `prometheus` [default: quell.yaml, if it is here]
    #[arg(long, env = "QUELL_CONFIG", hide_env_values = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

/// How far back to look when nothing is said.
const USUAL_TIME: Millis = Millis::hours(30 * 24);

/// Plays what has happened. The exit code is 0 whatever differs; 1 if something cannot be read or rules do not load.
pub(super) fn run(args: &Args, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let config = site::load(args.config.as_deref(), &[], screen)?;
    let known = site::find(args.config.as_deref()).is_some();
    let receivers: Vec<Arc<str>> = config.receivers.iter().map(|receiver| receiver.name.clone()).collect();
    let inventory = args.topology.as_deref().map(read_topology).transpose()?;
    let load = |paths: &[PathBuf]| load(paths, inventory.as_ref().map(|read| &read.rules), known.then_some(receivers.as_slice()));
    let new = load(&args.rules)?;
    let baseline = if args.baseline.is_empty() { None } else { Some(load(&args.baseline)?) };
    let options = EngineOptions {
        active_alerts: config.limits.active_alerts,
        alerts_per_incident: config.limits.alerts_per_incident,
        merges_per_hour: config.limits.merges_per_hour,
        ..EngineOptions::default()
    };
    let silences = inventory.map(|read| read.silences).unwrap_or_default();
    let changes = args.changes.as_deref().map(read_changes).transpose()?.unwrap_or_default();
    let trial = Trial { new, baseline, site: Site { options, receivers, silences }, changes };
    let played = match &args.alerts {
        Some(path) => trial.play_file(path, &config)?,
        None => trial.play_log(args.data.as_ref().unwrap_or(&config.data), since(args.since.as_deref())?)?,
    };
    if let Some(path) = &args.assignments {
        write_assignments(path, &played.new)?;
    }
    let report = Report::of(&played);
    report.warn(screen)?;
    if args.json {
        screen.json(&report.as_json())?;
    } else {
        report.show(screen)?;
    }
    Ok(0)
}

/// The rules on trial.
struct Trial {
    new: Arc<Ruleset>,
    baseline: Option<Arc<Ruleset>>,
    site: Site,
    /// Reported changes, in order.
    changes: Vec<Arc<Change>>,
}

impl Trial {
    fn play_file(&self, path: &Path, config: &Config) -> Result<Played, Failure> {
        let unreadable = |error: std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
        let bytes = File::open(path).and_then(|file| file.metadata()).map_err(unreadable)?.len();
        let bar = progress(bytes, "bytes");
        let play = |rules: &Arc<Ruleset>, tell: &mut (dyn FnMut(u64) + Send)| {
            alerts::play(path, rules, &self.site, config, &self.changes, tell)
        };
        let (new, baseline) = thread::scope(|scope| {
            let other = self.baseline.as_ref().map(|rules| scope.spawn(|| play(rules, &mut |_| {})));
            let new = play(&self.new, &mut |done| bar.set_position(done));
            (new, other.map(|other| other.join().expect("playing does not panic")))
        });
        bar.finish_and_clear();
        let (new, baseline) = (new?, baseline.transpose()?);
        Ok(Played {
            alerts: new.lines,
            faults: new.faults,
            rejected: new.rejected,
            baseline: baseline.map(|played| played.outcome),
            new: new.outcome,
        })
    }

    fn play_log(&self, data: &Path, back: Millis) -> Result<Played, Failure> {
        if !data.join("log").exists() {
            let failure = Failure::usage(format!("there is no log in {}", data.display()));
            return Err(failure.hint("--data names a daemon's data directory; --alerts plays a file"));
        }
        let refused = |error: LogError| Failure::new(error.to_string());
        let files = log::open(data).and_then(LogFiles::open).map_err(refused)?;
        let history = backtest::history(&files, now() - back).map_err(refused)?;
        let bar = progress(history.events() as u64, "events");
        let play = |rules: &Arc<Ruleset>, tell: &mut dyn FnMut(usize)| backtest::replay(&history, rules, &self.site, tell);
        let (new, other) = thread::scope(|scope| {
            let other = self.baseline.as_ref().map(|rules| scope.spawn(|| play(rules, &mut |_| {})));
            let new = play(&self.new, &mut |done| bar.set_position(done as u64));
            (new, other.map(|other| other.join().expect("playing does not panic")))
        });
        bar.finish_and_clear();
        let baseline = Some(other.unwrap_or(history.decided));
        Ok(Played { alerts: history.alerts, faults: Vec::new(), rejected: 0, baseline, new })
    }
}

fn since(text: Option<&str>) -> Result<Millis, Failure> {
    let Some(text) = text else { return Ok(USUAL_TIME) };
    Millis::parse(text).filter(|length| *length > Millis::ZERO).ok_or_else(|| {
        Failure::usage(format!("`{text}` is no length of time")).hint("write `30d`, `12h` or `90m`, counted back from now")
    })
}

fn read_topology(path: &Path) -> Result<topology::Read, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    topology::read(&SourceFile { name: path.display().to_string(), text }).map_err(Failure::new)
}

/// Reads reported changes, one a line, in order of their moments. A bad one ends it: a cause that is missing is not noticed.
fn read_changes(path: &Path) -> Result<Vec<Arc<Change>>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    let by: Arc<str> = "backtest".into();
    let read = |(line, number): (&str, usize)| {
        let change =
            api::read_change(line, &by).map_err(|fault| Failure::new(format!("{}:{number}: {fault}", path.display())))?;
        Ok(Arc::new(change))
    };
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let mut changes: Vec<Arc<Change>> = lines.map(read).collect::<Result<_, Failure>>()?;
    changes.sort_by_key(|change| change.started_at);
    Ok(changes)
}

fn load(paths: &[PathBuf], inventory: Option<&SourceFile>, receivers: Option<&[Arc<str>]>) -> Result<Arc<Ruleset>, Failure> {
    let mut files = ruleset::read_files(paths).map_err(|error| Failure::usage(format!("the rules cannot be read: {error}")))?;
    files.extend(inventory.filter(|file| !file.text.is_empty()).cloned());
    match ruleset::load(&files, receivers, ruleset::Limits::default()) {
        // What rules are warned of is for `quell check` to say.
        Ok(loaded) => Ok(Arc::new(loaded.ruleset)),
        Err(found) => {
            let text = |name: &str| files.iter().find(|file| file.name == name).map_or("", |file| &file.text);
            let shown: Vec<String> = found.iter().map(|diagnostic| diagnostic.render(text(&diagnostic.file))).collect();
            Err(Failure::new(format!("the rules do not load\n{}", shown.join("\n\n"))))
        }
    }
}

/// A bar for stderr, which shows itself on a terminal only.
fn progress(length: u64, unit: &str) -> ProgressBar {
    let counts = if unit == "bytes" { "{bytes} of {total_bytes}" } else { "{pos} of {len} {msg}" };
    let bar = ProgressBar::new(length).with_message(unit.to_owned());
    // The template is a constant; were it faulty, the plain bar would do.
    match ProgressStyle::with_template(&format!("playing {{wide_bar}} {counts}, {{eta}} to go")) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn write_assignments(path: &Path, outcome: &Outcome) -> Result<(), Failure> {
    let written = File::create(path).and_then(|file| {
        let mut out = BufWriter::new(file);
        assignments::write(outcome, &mut out)?;
        out.flush()
    });
    written.map_err(|error| Failure::new(format!("{} cannot be written: {error}", path.display())))
}

/// The moment at which a file's alerts begin to count: all of them do.
const BEGINNING: Time = Time::EPOCH;
