//! `quell notification`: the outbox.

use clap::{Args, Subcommand};
use serde_json::json;

use super::client::{Client, ClientArgs, block_on};
use super::failure::Failure;
use super::incident::{Actor, Look, entries, say_if_more};
use super::screen::{Clock, Screen, Tone, text};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List notifications, newest first
    List(ListArgs),
    /// Put notifications that were given up back into the queue
    Retry(RetryArgs),
}

#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// queued, delivered, failed, dead (several by comma), or all
    #[arg(long, default_value = "all")]
    state: String,
    /// Only those to one receiver
    #[arg(long)]
    receiver: Option<String>,
    /// Only those about one incident, such as INC-1042
    #[arg(long)]
    incident: Option<String>,
    /// How many, 1 to 1,000
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    /// Go on behind an earlier list
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(super) struct RetryArgs {
    /// The notifications, by id
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    actor: Actor,
    /// Print the notifications as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// Runs one of the commands.
pub(super) fn run(command: Command, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    match command {
        Command::List(args) => list(&args, screen),
        Command::Retry(args) => retry(&args, screen),
    }
}

fn list(args: &ListArgs, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let client = Client::new(&args.client)?;
    let mut query = vec![("state", args.state.clone()), ("limit", args.limit.to_string())];
    let filters = [("receiver", &args.receiver), ("incident", &args.incident), ("cursor", &args.cursor)];
    query.extend(filters.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    let answer = block_on(client.get(&["v1", "notifications"], &query))?;
    if args.look.json {
        screen.json(&answer)?;
        return Ok(0);
    }
    if entries(&answer, "notifications").is_empty() {
        writeln!(screen.err, "no such notifications")?;
    }
    let clock = Clock::new(args.look.utc);
    let rows = entries(&answer, "notifications").iter().map(|it| {
        let tone = match it["state"].as_str() {
            Some("dead") => Tone::Alarm,
            Some("failed") => Tone::Notice,
            _ => Tone::Plain,
        };
        let fields = ["id", "incident", "receiver", "kind", "state", "attempts"];
        let mut row: Vec<String> = fields.iter().map(|field| text(&it[field])).collect();
        row.extend([clock.show(&it["created_at"]), text(&it["error"])]);
        (tone, row)
    });
    screen.table(&["ID", "INCIDENT", "RECEIVER", "KIND", "STATE", "ATTEMPTS", "CREATED", "ERROR"], rows.collect())?;
    say_if_more(screen, &answer, "notifications")?;
    Ok(0)
}

fn retry(args: &RetryArgs, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let client = Client::new(&args.client)?;
    let body = json!({ "by": args.actor.name });
    block_on(async {
        for id in &args.ids {
            let notification = client.post(&["v1", "notifications", id, "retry"], &body).await?;
            if args.json {
                screen.json(&notification)?;
            } else {
                screen.line(&format!("{} is {}", text(&notification["id"]), text(&notification["state"])))?;
            }
        }
        Ok(0)
    })
}
