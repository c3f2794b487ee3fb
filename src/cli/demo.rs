//! `quell demo`: a storm played into a fresh daemon, and what became of it.
//!
//! The daemon is this very program, started with `serve` on a folder of its own that is deleted at the end; the storm is
//! posted to it as Prometheus would, only faster; pager and chat are a listener here that counts. What is printed at the
//! end is what the daemon itself says over its API.

mod daemon;
mod sink;
mod storm;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::client::{Client, block_on};
use super::failure::Failure;
use super::incident::{entries, table};
use super::screen::{Clock, Screen, now};
use daemon::Daemon;
use sink::Sink;

/// The rules that the demo runs under.
const RULES: &str = include_str!("demo/rules.yaml");
/// Its configuration; `PORT` becomes that of the listener.
const CONFIG: &str = include_str!("demo/quell.yaml");

/// How long the last pages may take after the storm.
const PAGES_PATIENCE: Duration = Duration::from_secs(20);
/// How often the daemon is asked whether they have gone out.
const PAGES_POLL: Duration = Duration::from_millis(100);

#[derive(clap::Args, Debug)]
#[command(after_help = "The daemon runs on a free port with a temporary folder. On a terminal it goes on serving until Ctrl-C, \
                        so that you can look around with `quell incident`; otherwise the command ends by itself.")]
pub(super) struct Args {
    /// Print the rules that the demo runs under, and do nothing else
    #[arg(long)]
    rules: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    /// End when the storm has been shown, also on a terminal
    #[arg(long)]
    once: bool,
}

/// Plays the storm.
pub(super) fn run(args: &Args, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    if args.rules {
        screen.out.write_all(RULES.as_bytes())?;
        return Ok(0);
    }
    block_on(async {
        tokio::select! {
            outcome = play(args, screen) => outcome,
            // The daemon dies with the future that is dropped here.
            () = interrupted() => Ok(0),
        }
    })
}

async fn play(args: &Args, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let sink = Sink::default();
    let port = sink.listen().await?.port();
    let daemon = Daemon::start(&CONFIG.replace("PORT", &port.to_string()), RULES).await?;
    let client = Client::local(&daemon.url)?;
    if !args.json {
        let rules = RULES.lines().filter(|line| line.starts_with("  - name:")).count();
        writeln!(screen.err, "quell serves at {} with {rules} rules (`quell demo --rules` prints them)", daemon.url)?;
        writeln!(screen.err, "playing {} minutes of an outage …", storm::MINUTES)?;
    }

    let (began, end) = (Instant::now(), now());
    let mut messages = 0;
    for minute in 0..storm::MINUTES {
        let alerts = storm::minute(minute, end);
        messages += alerts.len();
        client.post(&["api", "v2", "alerts"], &Value::Array(alerts)).await?;
    }
    let took = began.elapsed();
    wait_for_pages(&client).await?;

    let metrics = client.get_text(&["metrics"]).await?;
    let outcome = Outcome {
        messages,
        took,
        repeats: sum_of_metric(&metrics, "quell_alerts_repeats_total", ""),
        held: sum_of_metric(&metrics, "quell_suppressions_total", r#"kind="hold""#),
        alerts: client.get(&["v1", "alerts"], &[("limit", "all".to_owned())]).await?,
        incidents: client.get(&["v1", "incidents"], &[("status", "all".to_owned())]).await?,
        pages: sink.taken("pager"),
        chats: sink.taken("chat"),
    };
    if args.json {
        screen.json(&outcome.json(&daemon.url))?;
    } else {
        outcome.show(screen)?;
    }
    if !screen.is_terminal || args.once {
        return Ok(0);
    }
    writeln!(screen.err, "\nStill serving at {}. Try, in another window:", daemon.url)?;
    let quell = own_name();
    writeln!(screen.err, "  export QUELL_URL={}\n  {quell} incident show INC-1\n  {quell} incident ack INC-1", daemon.url)?;
    writeln!(screen.err, "Ctrl-C ends it; nothing is kept.")?;
    std::future::pending().await
}

/// How this program was called, for commands to copy: a newcomer has no `quell` in the path yet.
fn own_name() -> String {
    std::env::args().next().filter(|name| name.contains('/')).unwrap_or_else(|| "quell".to_owned())
}

/// What became of the storm.
struct Outcome {
    messages: usize,
    took: Duration,
    repeats: u64,
    /// Spikes that were held back.
    held: u64,
    alerts: Value,
    incidents: Value,
    pages: usize,
    chats: usize,
}

impl Outcome {
    fn json(&self, url: &str) -> Value {
        json!({
            "url": url,
            "messages": self.messages,
            "repeats": self.repeats,
            "held": self.held,
            "alerts": { "firing": entries(&self.alerts, "alerts").len(), "suppressed": self.suppressed() },
            "incidents": self.incidents["incidents"],
            "pages": self.pages,
            "chats": self.chats,
        })
    }

    fn show(&self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let incidents = entries(&self.incidents, "incidents");
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        screen.heading("\nWhat came in, and what became of it")?;
        let lines = [
            (self.messages, format!("alerts were posted in {:.1} s", self.took.as_secs_f64())),
            (count(self.repeats), "of them were repeats, which end there".to_owned()),
            (count(self.held), "brief spikes were held back until they were over; nobody hears of them".to_owned()),
            (entries(&self.alerts, "alerts").len(), "different alerts fire at the end".to_owned()),
            (self.suppressed(), "of them are suppressed: they are on a node that is down".to_owned()),
            (incidents.len(), "incidents are for people to work on".to_owned()),
            (self.pages, "messages went to the pager".to_owned()),
            (self.chats, "messages went to the chat".to_owned()),
        ];
        for (number, what) in lines {
            screen.line(&format!("{number:>6}  {what}"))?;
        }
        screen.heading("\nThe incidents")?;
        table(screen, incidents, Clock::new(false))
    }

    fn suppressed(&self) -> usize {
        let is_suppressed = |alert: &&Value| alert["suppressed_by"].as_array().is_some_and(|by| !by.is_empty());
        entries(&self.alerts, "alerts").iter().filter(is_suppressed).count()
    }
}

/// Waits until some message has gone out and none is owed any more.
async fn wait_for_pages(client: &Client) -> Result<(), Failure> {
    let deadline = Instant::now() + PAGES_PATIENCE;
    // The rules collect for a second before the first message, so the outbox is empty at first.
    sleep(Duration::from_millis(1_500)).await;
    loop {
        let owed = client.get(&["v1", "notifications"], &[("state", "queued,failed".to_owned())]).await?;
        let all = client.get(&["v1", "notifications"], &[("limit", "1".to_owned())]).await?;
        if entries(&owed, "notifications").is_empty() && !entries(&all, "notifications").is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Failure::new("the daemon still owes messages; this should not happen on this machine alone"));
        }
        sleep(PAGES_POLL).await;
    }
}

/// The sum over all children of one metric in Prometheus' text form whose labels contain `label`.
fn sum_of_metric(text: &str, name: &str, label: &str) -> u64 {
    let value = |line: &str| {
        let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
        let is_it = labels.is_empty() || labels.starts_with('{');
        value.parse::<u64>().ok().filter(|_| is_it && labels.contains(label))
    };
    text.lines().filter_map(value).sum()
}

/// Waits for Ctrl-C, or for being asked to end.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        // Without handlers the signals end the process as ever.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_the_children_of_a_metric() {
        let text = "# HELP a_total x\na_total{source=\"x\"} 3\na_total{source=\"y\"} 4\na_total_more 9\nb_total 5\n";
        for (name, label, expected) in [("a_total", "", 7), ("a_total", "source=\"y\"", 4), ("b_total", "", 5), ("c", "", 0)] {
            assert_eq!(sum_of_metric(text, name, label), expected, "{name} {label}");
        }
    }
}
