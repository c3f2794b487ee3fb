//! `quell send`: one alert from the command line, or a file of them, as Alertmanager's clients send them.

use std::io::Read;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::client::{Client, ClientArgs, block_on};
use super::failure::Failure;
use super::incident::pair;
use super::screen::Screen;
use crate::model::Time;

#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  quell send alertname=DiskFull host=db-1 severity=warning --annotation summary='3 % left'\n  \
                        quell send alertname=DiskFull host=db-1 severity=warning --resolve\n  \
                        quell send --file alerts.json"
)]
pub(super) struct Args {
    /// The alert's labels, which are its identity; alertname and severity are customary
    #[arg(value_name = "NAME=VALUE", value_parser = pair, required_unless_present = "file")]
    labels: Vec<(String, String)>,
    /// Something to tell beside the labels; may be repeated
    #[arg(long = "annotation", value_name = "NAME=VALUE", value_parser = pair, conflicts_with = "file")]
    annotations: Vec<(String, String)>,
    /// Say that it is over
    #[arg(long, conflicts_with = "file")]
    resolve: bool,
    /// Send the alerts of a file in the form of Alertmanager's API v2; `-` reads stdin
    #[arg(long, value_name = "FILE", conflicts_with = "labels")]
    file: Option<PathBuf>,
    /// Print what was sent as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// Sends, and says how many alerts were taken.
pub(super) fn run(args: &Args, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let alerts = match &args.file {
        Some(file) => read(file)?,
        None => vec![alert(args, super::screen::now())],
    };
    let client = Client::new(&args.client)?;
    let alerts = Value::Array(alerts);
    block_on(client.post(&["api", "v2", "alerts"], &alerts))?;
    if args.json {
        screen.json(&json!({ "sent": alerts }))?;
    } else {
        let count = alerts.as_array().map_or(0, Vec::len);
        writeln!(screen.err, "{} took {count} alert{}", client.base(), if count == 1 { "" } else { "s" })?;
    }
    Ok(0)
}

fn alert(args: &Args, now: Time) -> Value {
    let object = |pairs: &[(String, String)]| -> Map<String, Value> {
        pairs.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect()
    };
    let mut alert = json!({ "labels": object(&args.labels), "annotations": object(&args.annotations) });
    if args.resolve {
        alert["endsAt"] = now.to_rfc3339().into();
    }
    alert
}

fn read(file: &PathBuf) -> Result<Vec<Value>, Failure> {
    let mut bytes = Vec::new();
    let name = file.display();
    let opened: Result<Box<dyn Read>, _> = if file.as_os_str() == "-" {
        Ok(Box::new(std::io::stdin()))
    } else {
        std::fs::File::open(file).map(|f| Box::new(f) as _)
    };
    opened.and_then(|mut reader| reader.read_to_end(&mut bytes)).map_err(|error| Failure::new(format!("{name}: {error}")))?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Array(alerts)) => Ok(alerts),
        Ok(alert @ Value::Object(_)) => Ok(vec![alert]),
        Ok(_) => Err(Failure::new(format!("{name}: expected a list of alerts"))),
        Err(error) => Err(Failure::new(format!("{name}: {error}"))),
    }
}
