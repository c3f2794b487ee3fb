//! `quell heartbeat`: what is to be heard of again and again.

use clap::{Args, Subcommand};
use serde_json::json;

use super::client::{Client, ClientArgs, block_on};
use super::failure::Failure;
use super::incident::{Look, entries};
use super::screen::{Clock, Screen, Tone, text};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the heartbeats that rule files name, and when each was heard of last
    List(ListArgs),
    /// Say that one is there, as a job does at its end
    Send(SendArgs),
}

#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// new (never heard of), beating, missed; several by comma [default: all]
    #[arg(long)]
    state: Option<String>,
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(super) struct SendArgs {
    /// The heartbeats, by name
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Print the heartbeats as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// Runs one of the commands.
pub(super) fn run(command: Command, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    match command {
        Command::List(args) => list(&args, screen),
        Command::Send(args) => send(&args, screen),
    }
}

fn list(args: &ListArgs, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let client = Client::new(&args.client)?;
    let query: Vec<(&str, String)> = args.state.iter().map(|state| ("state", state.clone())).collect();
    let answer = block_on(client.get(&["v1", "heartbeats"], &query))?;
    if args.look.json {
        screen.json(&answer)?;
        return Ok(0);
    }
    let heartbeats = entries(&answer, "heartbeats");
    if heartbeats.is_empty() {
        let asked = if query.is_empty() { "no rule file names a heartbeat" } else { "no such heartbeats" };
        writeln!(screen.err, "{asked}")?;
    }
    let clock = Clock::new(args.look.utc);
    let rows = heartbeats.iter().map(|it| {
        let tone = match it["state"].as_str() {
            Some("missed") => Tone::Alarm,
            Some("new") => Tone::Faint,
            _ => Tone::Plain,
        };
        let incidents: Vec<String> = entries(it, "incidents").iter().map(text).collect();
        let incidents = if incidents.is_empty() { "-".to_owned() } else { incidents.join(" ") };
        let row = ["name", "state", "every", "grace"].map(|field| text(&it[field]));
        (tone, row.into_iter().chain([clock.show(&it["last_at"]), incidents]).collect())
    });
    screen.table(&["NAME", "STATE", "EVERY", "GRACE", "HEARD", "INCIDENTS"], rows.collect())?;
    Ok(0)
}

fn send(args: &SendArgs, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let client = Client::new(&args.client)?;
    block_on(async {
        for name in &args.names {
            let heartbeat = client.post(&["v1", "heartbeats", name], &json!({})).await?;
            if args.json {
                screen.json(&heartbeat)?;
            } else {
                let line =
                    format!("{} is heard of, and is to be again by {}", text(&heartbeat["name"]), text(&heartbeat["due_at"]));
                screen.line(&super::screen::clean(&line))?;
            }
        }
        Ok(0)
    })
}
