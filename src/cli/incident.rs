//! `quell incident`: list incidents and work on them.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::client::{Client, ClientArgs, block_on};
use super::failure::Failure;
use super::screen::{Clock, Screen, Tone, text};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List incidents, newest first
    List(ListArgs),
    /// Show one incident with its timeline and alerts
    Show(ShowArgs),
    /// Report what is wrong: it joins the open incident on its service, or opens one
    Report(ReportArgs),
    /// Acknowledge: somebody works on it, escalation stops
    #[command(visible_alias = "acknowledge")]
    Ack(ActArgs),
    /// Resolve by hand
    Resolve(ActArgs),
    /// Add a comment to the timeline
    Comment(CommentArgs),
    /// Assign to a person
    Assign(AssignArgs),
    /// Open a resolved incident again
    Reopen(ActArgs),
    /// Close a resolved incident for good
    Close(ActArgs),
    /// Declare a major incident: managers are told, related incidents become its parts
    Major(MajorArgs),
}

#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// open, acknowledged, snoozed, on_hold, resolved, closed, cancelled (several by comma), or all
    /// [default: those that still want work]
    #[arg(long)]
    status: Option<String>,
    /// 1 to 5, several by comma
    #[arg(long)]
    priority: Option<String>,
    /// The team that they belong to
    #[arg(long)]
    team: Option<String>,
    /// A service that they touch
    #[arg(long)]
    service: Option<String>,
    /// A label that all alerts of the incident share; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
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
pub(super) struct ShowArgs {
    /// The incident, such as INC-1042
    id: String,
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(super) struct ReportArgs {
    /// What is wrong, in a few words
    #[arg(required = true, value_name = "TITLE")]
    words: Vec<String>,
    /// The service that it is about
    #[arg(long)]
    service: Option<String>,
    /// critical, high, medium, low or info [default: medium]
    #[arg(long)]
    severity: Option<String>,
    /// What else there is to say
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Where there is more to see
    #[arg(long = "link", value_name = "URL")]
    link: Option<String>,
    /// A further label, as cluster; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// The same key again is the same report, for scripts that may have to send it twice
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    actor: Actor,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(super) struct ActArgs {
    /// The incidents, such as INC-1042
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    actor: Actor,
    /// Print the incidents as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(super) struct CommentArgs {
    /// The incident, such as INC-1042
    id: String,
    /// What to say
    #[arg(required = true, value_name = "TEXT")]
    words: Vec<String>,
    #[command(flatten)]
    actor: Actor,
    /// Print the incident as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(super) struct AssignArgs {
    /// The incident, such as INC-1042
    id: String,
    /// To whom
    #[arg(required_unless_present = "nobody")]
    assignee: Option<String>,
    /// Take the assignee away
    #[arg(long, conflicts_with = "assignee")]
    nobody: bool,
    #[command(flatten)]
    actor: Actor,
    /// Print the incident as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(super) struct MajorArgs {
    /// The incident, such as INC-1042
    id: String,
    /// Why, for the timeline
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// It is none: take back what a rule, the numbers or a person said
    #[arg(long)]
    undo: bool,
    #[command(flatten)]
    actor: Actor,
    /// Print the incident as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// Who acts.
#[derive(Args, Debug)]
pub(super) struct Actor {
    /// Your name for the timeline, while the daemon has no tokens
    #[arg(long = "by", env = "USER", hide_env = true, value_name = "NAME")]
    pub(super) name: Option<String>,
}

/// How answers are shown.
#[derive(Args, Debug)]
pub(super) struct Look {
    /// Print the daemon's JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Show times in UTC, not how long ago
    #[arg(long)]
    pub(super) utc: bool,
}

/// Runs one of the commands.
pub(super) fn run(command: Command, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    match command {
        Command::List(args) => list(&args, screen),
        Command::Show(args) => show(&args, screen),
        Command::Report(args) => report(&args, screen),
        Command::Ack(args) => plain_act("acknowledge", &args, screen),
        Command::Resolve(args) => plain_act("resolve", &args, screen),
        Command::Reopen(args) => plain_act("reopen", &args, screen),
        Command::Close(args) => plain_act("close", &args, screen),
        Command::Comment(args) => {
            let body = [("text", Value::from(args.words.join(" ")))];
            acts("comment", &[args.id], &body, &args.actor, args.json, &args.client, screen)
        }
        Command::Major(args) => {
            let said = if args.undo { "normal" } else { "major" };
            let body = [("type", said.into()), ("reason", args.reason.into())];
            acts("type", &[args.id], &body, &args.actor, args.json, &args.client, screen)
        }
        Command::Assign(args) => {
            let body = [("assignee", args.assignee.map_or(Value::Null, Value::from))];
            acts("assign", &[args.id], &body, &args.actor, args.json, &args.client, screen)
        }
    }
}

fn list(args: &ListArgs, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let client = Client::new(&args.client)?;
    let filters = [
        ("status", &args.status),
        ("priority", &args.priority),
        ("team", &args.team),
        ("service", &args.service),
        ("cursor", &args.cursor),
    ];
    let mut query: Vec<(&str, String)> = filters.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
    query.extend(args.labels.iter().map(|(name, value)| ("label", format!("{name}:{value}"))));
    query.push(("limit", args.limit.to_string()));
    let answer = block_on(client.get(&["v1", "incidents"], &query))?;
    if args.look.json {
        screen.json(&answer)?;
        return Ok(0);
    }
    if entries(&answer, "incidents").is_empty() {
        let asked = if query.len() > 1 { "no such incidents" } else { "no incidents want work; --status all lists the others" };
        writeln!(screen.err, "{asked}")?;
    }
    table(screen, entries(&answer, "incidents"), Clock::new(args.look.utc))?;
    say_if_more(screen, &answer, "incidents")?;
    Ok(0)
}

fn show(args: &ShowArgs, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let client = Client::new(&args.client)?;
    let id = args.id.as_str();
    let (incident, timeline, alerts) = block_on(async {
        let everything = [("limit", "1000".to_owned())];
        Ok((
            client.get(&["v1", "incidents", id], &[]).await?,
            client.get(&["v1", "incidents", id, "timeline"], &everything).await?,
            client.get(&["v1", "incidents", id, "alerts"], &everything).await?,
        ))
    })?;
    if args.look.json {
        let all = serde_json::json!({ "incident": incident, "timeline": timeline["entries"], "alerts": alerts["alerts"] });
        screen.json(&all)?;
        return Ok(0);
    }
    let clock = Clock::new(args.look.utc);
    screen.heading(&super::screen::clean(&format!("{}  {}", text(&incident["id"]), text(&incident["title"]))))?;
    for (name, value) in facts(&incident, clock) {
        screen.line(&format!("  {name:<13} {}", super::screen::clean(&value)))?;
    }
    let causes = entries(&incident, "causes");
    if !causes.is_empty() {
        screen.heading("\nProbable causes")?;
        let rows = causes.iter().map(|cause| {
            let reasons: Vec<String> = entries(cause, "reasons").iter().map(text).collect();
            (Tone::Plain, vec![text(&cause["score"]), text(&cause["entity"]), reasons.join("; ")])
        });
        screen.table(&["SCORE", "CAUSE", "WHY"], rows.collect())?;
    }
    screen.heading("\nTimeline")?;
    let rows =
        entries(&timeline, "entries").iter().map(|entry| (Tone::Plain, vec![clock.show(&entry["at"]), text(&entry["text"])]));
    screen.table(&["WHEN", "WHAT"], rows.collect())?;
    screen.heading("\nAlerts")?;
    let rows = entries(&alerts, "alerts").iter().map(|alert| {
        let tone = if alert["status"] == "firing" { Tone::Plain } else { Tone::Faint };
        let names = alert["labels"].as_object().into_iter().flatten().filter(|(name, _)| *name != "alertname");
        let labels: Vec<String> = names.map(|(name, value)| format!("{name}={}", text(value))).collect();
        (
            tone,
            vec![text(&alert["status"]), text(&alert["labels"]["alertname"]), labels.join(" "), clock.show(&alert["starts_at"])],
        )
    });
    screen.table(&["STATUS", "ALERT", "LABELS", "BEGAN"], rows.collect())?;
    for (page, what, path) in [(&timeline, "timeline entries", "timeline"), (&alerts, "alerts", "alerts")] {
        if let Some(cursor) = page["next"].as_str() {
            let url = format!("{}v1/incidents/{id}/{path}?cursor={cursor}", client.base());
            writeln!(screen.err, "there are more {what} than these; the rest is at {url}")?;
        }
    }
    Ok(0)
}

fn report(args: &ReportArgs, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let client = Client::new(&args.client)?;
    if args.key.as_ref().is_some_and(|key| key.trim().is_empty() || !key.chars().all(|c| c.is_ascii_graphic() || c == ' ')) {
        return Err(Failure::usage("--key: visible ASCII characters are expected"));
    }
    let labels: Map<String, Value> = args.labels.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let body = serde_json::json!({
        "title": args.words.join(" "),
        "service": args.service,
        "severity": args.severity,
        "description": args.description,
        "url": args.link,
        "labels": labels,
        "by": args.actor.name,
    });
    let answer = block_on(client.post_once(&["v1", "incidents"], &body, args.key.as_deref()))?;
    if args.json {
        screen.json(&answer)?;
        return Ok(0);
    }
    let incident = &answer["incident"];
    let said = match (answer["outcome"].as_str(), incident.is_object()) {
        (Some("suppressed"), _) => {
            let by =
                entries(&answer["alert"], "suppressed_by").iter().map(|by| format!("{} {}", text(&by["kind"]), text(&by["id"])));
            format!("taken, and quiet while this lasts: {}", by.collect::<Vec<String>>().join(", "))
        }
        (Some(outcome), true) => {
            format!("{} {outcome}: P{}, {}", text(&incident["id"]), incident["priority"], text(&incident["title"]))
        }
        _ => "this report had come before".to_owned(),
    };
    screen.line(&super::screen::clean(&said))?;
    Ok(0)
}

fn plain_act(act: &str, args: &ActArgs, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    acts(act, &args.ids, &[], &args.actor, args.json, &args.client, screen)
}

/// Does one act to each incident in turn; stops at the first that is refused.
fn acts(
    act: &str,
    ids: &[String],
    fields: &[(&str, Value)],
    actor: &Actor,
    json: bool,
    client: &ClientArgs,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let client = Client::new(client)?;
    let mut body: Map<String, Value> = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    body.insert("by".to_owned(), actor.name.clone().into());
    let body = Value::Object(body);
    block_on(async {
        for id in ids {
            let incident = client.post(&["v1", "incidents", id, act], &body).await?;
            if json {
                screen.json(&incident)?;
            } else {
                let line = format!("{} is {}: {}", text(&incident["id"]), text(&incident["status"]), text(&incident["title"]));
                screen.line(&super::screen::clean(&line))?;
            }
        }
        Ok(0)
    })
}

/// Prints incidents as a table.
pub(super) fn table(screen: &mut Screen<'_>, incidents: &[Value], clock: Clock) -> Result<(), Failure> {
    let rows = incidents.iter().map(|incident| {
        let tone = match (incident["status"].as_str(), incident["priority"].as_u64()) {
            (Some("resolved" | "closed" | "cancelled"), _) => Tone::Faint,
            (Some("open"), Some(1)) => Tone::Alarm,
            (Some("open"), Some(2)) => Tone::Notice,
            _ => Tone::Plain,
        };
        let alerts = format!("{}/{}", incident["alerts"]["firing"], incident["alerts"]["total"]);
        let row = vec![
            text(&incident["id"]),
            format!("P{}", incident["priority"]),
            text(&incident["status"]),
            text(&incident["title"]),
            alerts,
            text(&incident["category"]),
            text(&incident["team"]),
            clock.show(&incident["opened_at"]),
        ];
        (tone, row)
    });
    screen.table(&["ID", "PRIO", "STATUS", "TITLE", "FIRING", "CATEGORY", "TEAM", "OPENED"], rows.collect())?;
    Ok(())
}

/// The entries of a page.
pub(super) fn entries<'a>(page: &'a Value, name: &str) -> &'a [Value] {
    page[name].as_array().map_or(&[], Vec::as_slice)
}

/// Says on stderr that a list goes on, and how to see the rest.
pub(super) fn say_if_more(screen: &mut Screen<'_>, page: &Value, what: &str) -> Result<(), Failure> {
    if let Some(cursor) = page["next"].as_str() {
        writeln!(screen.err, "there are more {what}; go on with --cursor {cursor}")?;
    }
    Ok(())
}

/// `name=value`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn facts(incident: &Value, clock: Clock) -> Vec<(&'static str, String)> {
    let labels = |value: &Value| {
        let pairs = value.as_object().into_iter().flatten().map(|(name, value)| format!("{name}={}", text(value)));
        pairs.collect::<Vec<String>>().join(" ")
    };
    let services = entries(incident, "services").iter().map(text).collect::<Vec<String>>().join(", ");
    let category = [&incident["category"], &incident["subcategory"]].into_iter().filter_map(Value::as_str);
    vec![
        ("status", text(&incident["status"])),
        ("type", text(&incident["type"])),
        ("priority", format!("P{} (impact {}, urgency {})", incident["priority"], incident["impact"], incident["urgency"])),
        ("severity", text(&incident["severity"])),
        ("category", category.collect::<Vec<&str>>().join(" / ")),
        ("team", text(&incident["team"])),
        ("assignee", text(&incident["assignee"])),
        ("services", if services.is_empty() { "-".to_owned() } else { services }),
        ("runbook", text(&incident["runbook"])),
        ("labels", labels(&incident["labels"])),
        ("rule", format!("{} {}", text(&incident["rule"]), labels(&incident["key"]))),
        ("alerts", format!("{} firing of {}", incident["alerts"]["firing"], incident["alerts"]["total"])),
        ("opened", clock.show(&incident["opened_at"])),
        ("acknowledged", clock.show(&incident["acknowledged_at"])),
        ("resolved", clock.show(&incident["resolved_at"])),
    ]
}
