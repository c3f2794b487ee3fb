//! Alerts that were recorded: one a line, as Alertmanager's `GET /api/v2/alerts` gives them, with the moment of their arrival
//! in `updatedAt`. They go the way of posted ones (the same reading, the same limits, the same table of what is known), but
//! in the time of their arrival. Opens no file and submits nothing: whoever decides tells the table what came of it.

use std::sync::Arc;

use serde::Deserialize;

use super::intake::{Intake, Pending};
use super::prometheus;
use super::source::Source;
use super::wire::{Found, Raw, Text, WireAlert, shorten};
use crate::config::{Config, ConfigError, Limits, SourceConfig};
use crate::engine::{Changes, Input};
use crate::metrics::Metrics;
use crate::model::{Fingerprint, Time};
use crate::runtime::Live;

/// What is known of the alerts of a recording, as its lines come.
#[derive(Debug)]
pub struct Recording {
    live: Arc<Live>,
    source: Source,
    limits: Limits,
    now: Time,
}

/// One line, read.
#[derive(Debug)]
pub struct Line<'a> {
    /// When it arrived.
    pub at: Time,
    alert: WireAlert<'a>,
}

/// A `GettableAlert`. Its `status` says what an Alertmanager had made of it, and is nobody's word here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Gettable<'a> {
    #[serde(borrow)]
    labels: Option<Raw<'a>>,
    #[serde(borrow)]
    annotations: Option<Raw<'a>>,
    #[serde(borrow)]
    starts_at: Option<Text<'a>>,
    #[serde(borrow)]
    ends_at: Option<Text<'a>>,
    #[serde(borrow, rename = "generatorURL")]
    generator_url: Option<Text<'a>>,
    #[serde(borrow)]
    updated_at: Option<Text<'a>>,
}

impl Recording {
    /// A recording of which nothing has been heard yet. Its sender is the source `prometheus`, with the labels that a
    /// configuration gives it.
    ///
    /// # Errors
    /// As [`Source::new`].
    pub fn new(config: &Config) -> Result<Recording, ConfigError> {
        let live = Arc::new(Live::new(config));
        let usual = SourceConfig::prometheus();
        let named = config.sources.iter().find(|source| source.name == usual.name).unwrap_or(&usual);
        let source = Source::new(named, config.resolve_timeout, &live, &Metrics::default())?;
        Ok(Recording { live, source, limits: config.limits.clone(), now: Time::EPOCH })
    }

    /// Reads a line. The order of the lines is that of their arrival: one that claims to be earlier than those before it has
    /// come with the last of them.
    ///
    /// # Errors
    /// What is wrong with it, in words. It counts as not said.
    pub fn read<'a>(&mut self, text: &'a str) -> Result<Line<'a>, String> {
        let read: Gettable<'a> = serde_json::from_str(text).map_err(|error| shorten(error.to_string()))?;
        let arrived = read.updated_at.as_ref().map(|text| {
            Time::parse_rfc3339(&text.0).ok_or_else(|| shorten(format!("updatedAt: {:?} is no RFC 3339 time", text.0)))
        });
        let at = self.now.max(arrived.transpose()?.unwrap_or(self.now));
        if at == Time::EPOCH {
            return Err("updatedAt, the moment of arrival, is missing".to_owned());
        }
        self.now = at;
        let Gettable { labels, annotations, starts_at, ends_at, generator_url, .. } = read;
        Ok(Line { at, alert: WireAlert { labels, annotations, starts_at, ends_at, generator_url, status: None } })
    }

    /// The alerts that nothing was heard of until they expired, by the time of the last line: the soonest first, each with
    /// its moment.
    #[must_use]
    pub fn expired(&self) -> Vec<(Time, Fingerprint)> {
        let mut expired: Vec<_> = self.live.expired(self.now).into_iter().map(|(alert, at)| (at, alert)).collect();
        expired.sort_unstable();
        expired
    }

    /// Looks a line up: news are for the engine, and then for [`Recording::decided`] and [`Recording::learn`]; a repeat is
    /// nothing.
    ///
    /// # Errors
    /// What is wrong with its alert, in words.
    pub fn take(&self, line: Line<'_>) -> Result<Option<(Input, Pending)>, String> {
        let found = Found::default();
        let said =
            prometheus::said(line.alert, &found, &mut prometheus::Times::default(), None).map_err(|(_, message)| message)?;
        let mut intake = Intake::new(&self.live, &self.source, &self.limits, line.at);
        intake.take(0, &said);
        let mut sorted = intake.finish();
        if let Some(rejected) = sorted.rejected.pop() {
            return Err(rejected.message);
        }
        Ok(sorted.news.pop().zip(sorted.pending.pop()))
    }

    /// Notes what has been decided at a moment, for the lines to come.
    pub fn decided(&self, changes: &Changes, at: Time) {
        self.live.publish(changes, at);
    }

    /// Notes what the sender of news has said of it besides, once that is decided.
    pub fn learn(&self, pending: &Pending) {
        self.live.learn(std::iter::once(&pending.word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::News;
    use crate::model::{AlertRecord, AlertStatus};

    const A: &str = r#""labels":{"alertname":"A"}"#;

    /// Lines of an alert, each with what it is: the times are seconds of one minute.
    #[test]
    fn lines_are_taken_as_posts_are() {
        let cases: &[(&str, &str)] = &[
            (r#""updatedAt":"2026-01-05T00:00:01Z","startsAt":"2026-01-05T00:00:00Z","endsAt":"2026-01-05T00:04:00Z""#, "fires"),
            (r#""updatedAt":"2026-01-05T00:00:31Z","startsAt":"2026-01-05T00:00:00Z","endsAt":"2026-01-05T00:04:30Z""#, "repeat"),
            (r#""updatedAt":"2026-01-05T00:00:40Z","endsAt":"2026-01-05T00:00:40Z""#, "resolves"),
            (r#""updatedAt":"2026-01-05T00:00:41Z","endsAt":"2026-01-05T00:00:40Z""#, "repeat"),
            // A late one says itself that it is over.
            (r#""updatedAt":"2026-01-05T00:00:50Z","endsAt":"2026-01-05T00:00:30Z""#, "repeat"),
            (r#""updatedAt":"2026-01-05T00:00:30Z","endsAt":"0001-01-01T00:00:00Z""#, "fires"),
            (r#""updatedAt":"2026-01-05T00:05:51Z""#, "expired at 2026-01-05T00:05:50.000Z, fires"),
            (r#""updatedAt":"soon""#, "updatedAt: \"soon\" is no RFC 3339 time"),
            (r#""startsAt":"2026-01-05T00:06:00Z","endsAt":"2026-01-05T00:05:55Z""#, "start time must be before end time"),
        ];
        let mut recording = Recording::new(&Config::default()).unwrap();
        let (mut seq, mut last): (u64, Option<News>) = (0, None);
        for (text, expected) in cases {
            let text = format!("{{{A},{text},\"status\":{{\"state\":\"active\"}}}}");
            let mut said = String::new();
            let line = recording.read(&text);
            for (at, _) in recording.expired() {
                said = format!("expired at {at}, ");
                let over = News { status: AlertStatus::Resolved, ends_at: Some(at), ..last.take().unwrap() };
                recording.decided(&Changes { alerts: vec![record(&over, seq)], ..Changes::default() }, at);
            }
            match line.and_then(|line| recording.take(line)) {
                Ok(None) => said.push_str("repeat"),
                Ok(Some((Input::Alert(news), pending))) => {
                    said.push_str(if news.status == AlertStatus::Firing { "fires" } else { "resolves" });
                    seq += 1;
                    let changes = Changes { alerts: vec![record(&news, seq)], ..Changes::default() };
                    recording.decided(&changes, pending.word.heard.now);
                    recording.learn(&pending);
                    last = Some(news);
                }
                Ok(other) => panic!("{other:?}"),
                Err(why) => said.push_str(&why),
            }
            assert_eq!(&said, expected, "{text}");
        }
        assert!(recording.read("{}").is_ok(), "comes with the one before it");
        let nothing_before = Recording::new(&Config::default()).unwrap().read("{}").unwrap_err();
        assert_eq!(nothing_before, "updatedAt, the moment of arrival, is missing");
    }

    fn record(news: &News, seq: u64) -> Arc<AlertRecord> {
        Arc::new(AlertRecord {
            status: news.status,
            ends_at: news.ends_at,
            ..AlertRecord::firing(news.alert.clone(), seq, news.alert.starts_at)
        })
    }
}
