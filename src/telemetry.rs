//! What the program says of itself while it runs: lines to stderr, for people or as JSON.
//!
//! `QUELL_LOG` filters by target: `info` (the default), `warn,quell::ingest=debug`. No spans, no per-alert lines: both cost on the
//! hot path.

use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<LogFormat, String> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(format!("{text:?} is neither text nor json")),
        }
    }
}

/// Begins to write lines. A filter that cannot be read is named and `info` taken in its place; a second call changes nothing.
pub fn init(format: LogFormat, filter: Option<&str>) {
    let (targets, fault) = match filter.unwrap_or("info").parse::<Targets>() {
        Ok(targets) => (targets, None),
        Err(error) => (Targets::new().with_default(LevelFilter::INFO), Some(error)),
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines = match format {
        LogFormat::Text => lines.with_filter(targets).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(targets).boxed(),
    };
    // The first caller's choice stands.
    drop(tracing_subscriber::registry().with(lines).try_init());
    if let Some(error) = fault {
        tracing::warn!(%error, "QUELL_LOG cannot be read; logging at info");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_plain_targets() {
        use tracing::Level;
        let cases = [
            ("info", "quell::ingest", Level::INFO, true),
            ("info", "quell::ingest", Level::DEBUG, false),
            ("warn,quell::ingest=debug", "quell::ingest", Level::DEBUG, true),
            ("warn,quell::ingest=debug", "quell::runtime", Level::INFO, false),
        ];
        for (filter, target, level, expected) in cases {
            let targets: Targets = filter.parse().unwrap();
            assert_eq!(targets.would_enable(target, &level), expected, "{filter}: {target} {level}");
        }
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        assert!("xml".parse::<LogFormat>().is_err());
    }
}
