//! Where a site's files are (flags win over `QUELL_…`, that over `quell.yaml`), and the commands that work on those files
//! alone: `check` and `log`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::screen::Screen;
use super::{check, log};
use crate::app::ReadConfig;
use crate::config::{self, Config};
use crate::ruleset::{Code, pages};
use crate::verify::recorded;

/// The configuration that is read when none is named and this one is here.
const USUAL_CONFIG: &str = "quell.yaml";

/// Reads the configuration; its warnings go to stderr. `flags` are keys and values that win over file and environment.
pub(super) fn load(named: Option<&Path>, flags: &[(&str, Option<String>)], screen: &mut Screen<'_>) -> Result<Config, Failure> {
    let (config, warnings) = reader(named, flags)().map_err(|faults| {
        // A file that is not there, or a flag that makes no sense, is the command line's fault.
        let is_usage = faults.iter().all(|fault| fault.code == "unreadable" || fault.place.starts_with("--"));
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let failure = Failure::new(format!("the configuration cannot be used\n{}", faults.join("\n")));
        if is_usage { Failure { code: 2, ..failure } } else { failure }
    })?;
    for warning in warnings {
        writeln!(screen.err, "warning: {warning}")?;
    }
    Ok(config)
}

/// What reads the configuration, now and again: the same file, variables and flags.
pub(super) fn reader(named: Option<&Path>, flags: &[(&str, Option<String>)]) -> ReadConfig {
    let named = named.map(Path::to_path_buf);
    let flags = flags.iter().filter_map(|(key, value)| Some(((*key).to_owned(), value.clone()?))).collect();
    Box::new(move || {
        let env: BTreeMap<String, String> =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
        config::load(find(named.as_deref()).as_deref(), &env, &flags)
    })
}

/// The configuration that is named, or the usual one if it is here.
pub(super) fn find(named: Option<&Path>) -> Option<PathBuf> {
    let usual = Path::new(USUAL_CONFIG);
    named.map(Path::to_path_buf).or_else(|| usual.exists().then(|| usual.to_path_buf()))
}

#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    /// Rule files and folders of them [default: the configured rules]
    paths: Vec<PathBuf>,
    /// Print the page of a code instead: what it means, why it matters, examples
    #[arg(long, value_name = "CODE", exclusive = true)]
    explain: Option<String>,
    /// Hold the rules against the alerts that are recorded in this data directory, too
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Hold the rules against the alerts of this file, too: one JSON object a line, in the form of Alertmanager's API
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    alerts: Option<PathBuf>,
    /// The configuration, whose receivers rules may name [default: quell.yaml, if it is here]
    #[arg(long, env = "QUELL_CONFIG", hide_env_values = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Count warnings as errors
    #[arg(long)]
    strict: bool,
    /// Print findings as JSON
    #[arg(long)]
    json: bool,
}

impl CheckArgs {
    /// Checks rule files, or explains what a check has said.
    pub(super) fn run(self, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        if let Some(code) = &self.explain {
            return explain_code(code, screen);
        }
        let config = load(self.config.as_deref(), &[], screen)?;
        let known = find(self.config.as_deref()).is_some();
        let receivers: Vec<Arc<str>> = config.receivers.iter().map(|receiver| receiver.name.clone()).collect();
        let alerts = match (&self.data, &self.alerts) {
            (Some(data), _) => Some(recorded::from_view(&data.join("view.db"))),
            (None, Some(file)) => Some(recorded::from_lines(file)),
            (None, None) => None,
        };
        let unreadable = |error| Failure::usage(format!("recorded alerts cannot be read: {error}"));
        let alerts = alerts.transpose().map_err(unreadable)?;
        let paths = if self.paths.is_empty() { vec![config.rules] } else { self.paths };
        let against = check::Against { receivers: known.then_some(receivers.as_slice()), alerts: alerts.as_deref() };
        Ok(check::run(&paths, against, self.json, self.strict, screen.out, screen.err)?)
    }
}

fn explain_code(code: &str, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let Some(known) = Code::parse(code) else {
        let [first, .., last] = Code::ALL else { return Err(Failure::usage("there are no codes")) };
        let hint = format!("codes stand in brackets before what is found: {} to {}", first.as_str(), last.as_str());
        return Err(Failure::usage(format!("there is no code `{code}`")).hint(hint));
    };
    writeln!(screen.out, "{}", pages::page(known))?;
    Ok(0)
}

#[derive(Debug, Subcommand)]
pub(super) enum LogCommand {
    /// Read the whole log and say whether all of it is sound
    Verify(VerifyArgs),
    /// Print what is in the log, one fact a line
    Dump(DumpArgs),
}

/// Which data directory.
#[derive(Args, Debug)]
pub(super) struct DataArgs {
    /// The data directory [default: the configured one]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration [default: quell.yaml, if it is here]
    #[arg(long, env = "QUELL_CONFIG", hide_env_values = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    place: DataArgs,
    /// Make the state that the log gives, too, and print it as one number: the same wherever the log is the same
    #[arg(long)]
    state: bool,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct DumpArgs {
    #[command(flatten)]
    place: DataArgs,
    /// Begin at this log position
    #[arg(long, default_value_t = 0, value_name = "SEQ")]
    from: u64,
    /// Print each fact as one JSON object
    #[arg(long)]
    json: bool,
}

impl LogCommand {
    /// Looks into the log.
    pub(super) fn run(self, screen: &mut Screen<'_>) -> Result<u8, Failure> {
        match self {
            LogCommand::Verify(args) => {
                let how = log::Check { state: args.state, json: args.json };
                Ok(log::verify(&args.place.find(screen)?, how, &log::progress_bar(), screen.out, screen.err)?)
            }
            LogCommand::Dump(args) => Ok(log::dump(&args.place.find(screen)?, args.from, args.json, screen.out, screen.err)?),
        }
    }
}

impl DataArgs {
    /// A folder that is named needs no configuration.
    fn find(self, screen: &mut Screen<'_>) -> Result<PathBuf, Failure> {
        match self.data {
            Some(data) => Ok(data),
            None => Ok(load(self.config.as_deref(), &[], screen)?.data),
        }
    }
}
