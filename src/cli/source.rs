//! `quell source`: what sources' messages become, and what became of them.

mod kept;

use std::io::Read;
use std::path::{Path, PathBuf};

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::failure::Failure;
use super::screen::{Screen, clean};
use super::site;
use crate::config::{Config, SourceConfig};
use crate::engine::News;
use crate::ingest::format::Aside;
use crate::ingest::trial::{self, Trial};
use crate::model::{AlertRecord, AlertStatus, Labels, Severity};
use crate::storage::view::ViewReader;

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// List sources: when they were heard, what is missing, what could not be taken
    List(kept::ListArgs),
    /// List messages that could not be taken and are kept, newest first
    Rejects(kept::RejectsArgs),
    /// Show one kept message with its body
    Show(kept::ShowArgs),
    /// Try kept messages again, with the mappings that the daemon has now
    Replay(kept::ReplayArgs),
    /// Let go of kept messages for good
    Drop(kept::DropArgs),
    /// Show what a message becomes: its alerts, what it would merge with, which fields are not used
    Test(TestArgs),
}

#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  quell source test message.json --source batch-jobs")]
pub(super) struct TestArgs {
    /// The message's body, as its sender posts it; `-` reads stdin
    file: PathBuf,
    /// The source that it is for
    #[arg(long, value_name = "NAME")]
    source: String,
    /// A header of the message, for formats that say something there; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The data directory whose alerts it would meet [default: the configured one]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration [default: quell.yaml, if it is here]
    #[arg(long, env = "QUELL_CONFIG", hide_env_values = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print what it becomes as JSON
    #[arg(long)]
    json: bool,
}

/// Runs one command.
pub(super) fn run(command: &Command, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    match command {
        Command::List(args) => kept::list(args, screen),
        Command::Rejects(args) => kept::rejects(args, screen),
        Command::Show(args) => kept::show(args, screen),
        Command::Replay(args) => kept::replay(args, screen),
        Command::Drop(args) => kept::discard(args, screen),
        Command::Test(args) => test(args, screen),
    }
}

/// 0 when all of the message is understood, 1 when part of it is not.
fn test(args: &TestArgs, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let config = site::load(args.config.as_deref(), &[], screen)?;
    let source = find(&config, &args.source)?;
    let text = text_of(&args.file)?;
    let headers: HeaderMap = args.headers.iter().cloned().collect();
    let trial = trial::read(&config, source, &text, &headers, super::screen::now())
        .map_err(|error| Failure::new(format!("the source cannot be used: {error}")))?;
    // A directory that is not there has no alerts; one that is named has to be.
    let view = view(args.data.as_deref(), &config.data)?;
    let known = |news: &News| -> Option<AlertRecord> {
        let mut same = |record: &AlertRecord| record.alert.fingerprint == news.alert.fingerprint;
        view.as_ref()?.newest_alerts(1, &mut same).ok()?.pop()
    };
    let alerts: Vec<(&News, Option<AlertRecord>)> = trial.alerts.iter().map(|news| (news, known(news))).collect();
    if args.json {
        screen.json(&as_json(source, &trial, &alerts))?;
    } else {
        print(&trial, &alerts, screen)?;
    }
    Ok(u8::from(trial.refused.is_some() || !trial.rejected.is_empty()))
}

fn find<'c>(config: &'c Config, name: &str) -> Result<&'c SourceConfig, Failure> {
    config.sources.iter().find(|source| &*source.name == name).ok_or_else(|| {
        let names: Vec<&str> = config.sources.iter().map(|source| &*source.name).collect();
        Failure::usage(format!("there is no source `{name}`")).hint(format!("there are: {}", names.join(", ")))
    })
}

fn text_of(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(file).map(|read| text = read)
    };
    read.map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    Ok(text)
}

fn view(named: Option<&Path>, usual: &Path) -> Result<Option<ViewReader>, Failure> {
    let path = named.unwrap_or(usual).join("view.db");
    match ViewReader::open(&path) {
        Ok(view) => Ok(Some(view)),
        Err(error) if named.is_some() => Err(Failure::usage(format!("{} cannot be read: {error}", path.display()))),
        Err(_) => Ok(None),
    }
}

fn as_json(source: &SourceConfig, trial: &Trial, alerts: &[(&News, Option<AlertRecord>)]) -> Value {
    let labels = |labels: &Labels| -> Value { labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect() };
    let known = |record: &AlertRecord| {
        let incidents: Vec<String> = record.incidents.iter().map(ToString::to_string).collect();
        json!({ "status": record.status.as_str(), "labels": labels(&record.alert.labels), "incidents": incidents })
    };
    let alert = |(news, record): &(&News, Option<AlertRecord>)| {
        json!({
            "fingerprint": news.alert.fingerprint.to_string(),
            "status": news.status.as_str(),
            "acknowledged": trial.acknowledged.contains(&news.alert.fingerprint),
            "severity": Severity::of(&news.alert.labels).as_str(),
            "labels": labels(&news.alert.labels),
            "annotations": labels(&news.alert.annotations),
            "generator_url": &*news.alert.generator_url,
            "starts_at": news.alert.starts_at.to_rfc3339(),
            "ends_at": news.ends_at.map(crate::model::Time::to_rfc3339),
            "known": record.as_ref().map(known),
        })
    };
    let rejected: Vec<Value> = trial.rejected.iter().map(|it| json!({ "index": it.index, "error": it.message })).collect();
    json!({
        "source": &*source.name,
        "alerts": alerts.iter().map(alert).collect::<Vec<_>>(),
        "messages": trial.asides.iter().map(Aside::kind).collect::<Vec<_>>(),
        "rejected": rejected,
        "refused": trial.refused,
        "unused": trial.unused,
        "placeholders": trial.placeholders,
        "unknown_severities": trial.unknown_severities,
    })
}

fn print(trial: &Trial, alerts: &[(&News, Option<AlertRecord>)], screen: &mut Screen<'_>) -> Result<(), Failure> {
    if let Some(why) = &trial.refused {
        screen.line(&format!("not understood: {}", clean(why)))?;
    }
    for rejected in &trial.rejected {
        screen.line(&format!("alert {}: not understood: {}", rejected.index, clean(&rejected.message)))?;
    }
    for aside in &trial.asides {
        screen.line(&format!("no alert: {}", aside.kind()))?;
    }
    for (news, record) in alerts {
        let acknowledged = if trial.acknowledged.contains(&news.alert.fingerprint) { ", acknowledged" } else { "" };
        screen.heading(&format!("{} {}{acknowledged}", news.alert.fingerprint, news.status.as_str()))?;
        for (name, value) in news.alert.labels.iter() {
            screen.line(&format!("  {name}: {}", clean(value)))?;
        }
        for (name, value) in news.alert.annotations.iter() {
            screen.line(&format!("  @{name}: {}", clean(value)))?;
        }
        let moment = match (news.status, news.ends_at) {
            (AlertStatus::Resolved, Some(ends_at)) => format!("ended {}", ends_at.to_rfc3339()),
            _ => format!("since {}", news.alert.starts_at.to_rfc3339()),
        };
        screen.line(&format!("  {moment}"))?;
        screen.line(&format!("  {}", merges(record.as_ref())))?;
    }
    if trial.placeholders > 0 {
        screen.line(&format!("variables that were not replaced: {}", trial.placeholders))?;
    }
    if !trial.unknown_severities.is_empty() {
        screen.line(&format!("words that are no severity: {}", clean(&trial.unknown_severities.join(", "))))?;
    }
    if let Some(unused) = trial.unused.as_ref().filter(|unused| !unused.is_empty()) {
        screen.line(&format!("not used: {}", clean(&unused.join(" "))))?;
    }
    Ok(())
}

/// What an alert would meet.
fn merges(record: Option<&AlertRecord>) -> String {
    let Some(record) = record else { return "is known nowhere: an alert of its own".to_owned() };
    let incidents: Vec<String> = record.incidents.iter().map(ToString::to_string).collect();
    let place = if incidents.is_empty() { String::new() } else { format!(" in {}", incidents.join(", ")) };
    format!("is known, {}{place}", record.status.as_str())
}

/// `NAME: VALUE`.
fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("NAME: VALUE is expected")?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|error| error.to_string())?;
    Ok((name, HeaderValue::from_str(value.trim()).map_err(|error| error.to_string())?))
}
