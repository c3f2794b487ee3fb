//! Sources as a daemon sees them, and the messages that it could not take.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::client::{Client, ClientArgs, block_on};
use crate::cli::failure::Failure;
use crate::cli::incident::{Actor, Look, entries, say_if_more};
use crate::cli::screen::{Clock, Screen, Tone, clean, text};

#[derive(Args, Debug)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct RejectsArgs {
    /// Only those of one source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
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
pub(in crate::cli) struct ShowArgs {
    /// The message, by id
    id: String,
    /// Print nothing but the body, as it came
    #[arg(long, conflicts_with = "json")]
    body: bool,
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct ReplayArgs {
    /// The messages, by id
    #[arg(required_unless_present = "source", value_name = "ID")]
    ids: Vec<String>,
    /// All of one source
    #[arg(long, value_name = "NAME", conflicts_with = "ids")]
    source: Option<String>,
    #[command(flatten)]
    actor: Actor,
    /// Print what became of them as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct DropArgs {
    /// The messages, by id
    #[arg(required_unless_present = "source", value_name = "ID")]
    ids: Vec<String>,
    /// All of one source
    #[arg(long, value_name = "NAME", conflicts_with = "ids")]
    source: Option<String>,
    #[command(flatten)]
    actor: Actor,
    /// Print which were dropped as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) fn list(args: &ListArgs, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let client = Client::new(&args.client)?;
    let answer = block_on(client.get(&["v1", "sources"], &[]))?;
    if args.look.json {
        screen.json(&answer)?;
        return Ok(0);
    }
    let clock = Clock::new(args.look.utc);
    let rows = entries(&answer, "sources").iter().map(|it| {
        let missing: Vec<String> = entries(it, "missing").iter().map(|it| text(&it["field"])).collect();
        let is_odd = it["silent"] == true || !missing.is_empty() || it["rejects"].as_u64() > Some(0);
        let heard = clock.show(&it["heard_at"]);
        let row = vec![
            text(&it["name"]),
            text(&it["format"]),
            if it["silent"] == true { format!("{heard}, silent") } else { heard },
            text(&it["firing"]),
            text(&it["rejects"]),
            clock.show(&it["test_at"]),
            if missing.is_empty() { "-".to_owned() } else { missing.join(" ") },
        ];
        (if is_odd { Tone::Notice } else { Tone::Plain }, row)
    });
    screen.table(&["NAME", "FORMAT", "HEARD", "FIRING", "REJECTS", "TEST", "MISSING"], rows.collect())?;
    Ok(0)
}

pub(super) fn rejects(args: &RejectsArgs, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let client = Client::new(&args.client)?;
    let mut query = vec![("limit", args.limit.to_string())];
    let filters = [("source", &args.source), ("cursor", &args.cursor)];
    query.extend(filters.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    let answer = block_on(client.get(&["v1", "rejects"], &query))?;
    if args.look.json {
        screen.json(&answer)?;
        return Ok(0);
    }
    if entries(&answer, "rejects").is_empty() {
        writeln!(screen.err, "no messages are kept: all that came could be taken")?;
    }
    let clock = Clock::new(args.look.utc);
    let rows = entries(&answer, "rejects").iter().map(|it| {
        let failed = format!("{} of {}", it["failed"], it["alerts"]);
        let row = vec![
            text(&it["id"]),
            text(&it["source"]),
            clock.show(&it["last_at"]),
            text(&it["times"]),
            // Of what could not be read at all nobody knows how many there are.
            if it["alerts"] == 0 { "all".to_owned() } else { failed },
            text(&it["bytes"]),
            text(&it["error"]),
        ];
        (Tone::Plain, row)
    });
    screen.table(&["ID", "SOURCE", "CAME", "TIMES", "NOT TAKEN", "BYTES", "ERROR"], rows.collect())?;
    say_if_more(screen, &answer, "messages")?;
    Ok(0)
}

pub(super) fn show(args: &ShowArgs, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let client = Client::new(&args.client)?;
    let answer = block_on(client.get(&["v1", "rejects", &args.id], &[]))?;
    let body = text(&answer["body"]);
    if args.look.json {
        screen.json(&answer)?;
        return Ok(0);
    }
    if args.body {
        // For files and other programs; on a terminal it is shown as below.
        write!(screen.out, "{}", if screen.is_terminal { lines(&body) } else { body })?;
        return Ok(0);
    }
    let clock = Clock::new(args.look.utc);
    screen.heading(&clean(&format!("{}  {}", text(&answer["id"]), text(&answer["source"]))))?;
    let came = match answer["times"].as_u64() {
        Some(2..) => {
            format!(
                "{} times, first {}, last {}",
                answer["times"],
                clock.show(&answer["first_at"]),
                clock.show(&answer["last_at"])
            )
        }
        _ => clock.show(&answer["first_at"]),
    };
    screen.line(&format!("  came   {came}"))?;
    screen.line(&format!("  error  {}", clean(&text(&answer["error"]))))?;
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        screen.line(&format!("  header {}: {}", clean(name), clean(&text(value))))?;
    }
    screen.line("")?;
    screen.line(&lines(&body))?;
    Ok(0)
}

/// 0 when all of them were taken, 1 when some stay.
pub(super) fn replay(args: &ReplayArgs, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let client = Client::new(&args.client)?;
    let body = which(&args.ids, args.source.as_deref(), &args.actor);
    let answer = block_on(client.post(&["v1", "rejects", "replay"], &body))?;
    let replayed = entries(&answer, "replayed");
    let failed = replayed.iter().filter(|it| it["state"] != "taken").count();
    if args.json {
        screen.json(&answer)?;
        return Ok(u8::from(failed > 0));
    }
    if replayed.is_empty() {
        writeln!(screen.err, "no messages of this source are kept")?;
    }
    for it in replayed {
        let what = match it["state"].as_str() {
            Some("taken") => format!("taken, {} new, {} repeats", it["new"], it["repeats"]),
            Some("stays") => format!("stays: {}", text(&it["error"])),
            _ => text(&it["error"]),
        };
        screen.line(&clean(&format!("{}  {what}", text(&it["id"]))))?;
    }
    Ok(u8::from(failed > 0))
}

/// 0 when all of them were there.
pub(super) fn discard(args: &DropArgs, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let client = Client::new(&args.client)?;
    let body = which(&args.ids, args.source.as_deref(), &args.actor);
    let answer = block_on(client.post(&["v1", "rejects", "drop"], &body))?;
    let dropped = entries(&answer, "dropped");
    if args.json {
        screen.json(&answer)?;
    } else {
        for id in dropped {
            screen.line(&clean(&format!("{}  dropped", text(id))))?;
        }
    }
    let missing: Vec<&String> = args.ids.iter().filter(|id| !dropped.iter().any(|it| it == id.as_str())).collect();
    for id in &missing {
        writeln!(screen.err, "{}: there is no kept message of this id", clean(id))?;
    }
    Ok(u8::from(!missing.is_empty()))
}

fn which(ids: &[String], source: Option<&str>, actor: &Actor) -> Value {
    match source {
        Some(source) => json!({ "source": source, "by": actor.name }),
        None => json!({ "ids": ids, "by": actor.name }),
    }
}

/// A text of several lines, without anything that a terminal would obey.
fn lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<String>>().join("\n")
}
