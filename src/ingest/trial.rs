//! What a message of a source would become, without taking it in: the same reading, the same limits, against empty tables.

use hyper::HeaderMap;

use super::format::{self, Aside};
use super::intake::{Intake, Rejected};
use super::source::{Format, Source};
use super::wire::BodyFault;
use super::{alertmanager, generic, prometheus, tools};
use crate::config::{Config, ConfigError, SourceConfig};
use crate::engine::{Input, News};
use crate::metrics::Metrics;
use crate::model::{Fingerprint, Time};
use crate::runtime::Live;

/// What it would become.
#[derive(Debug, Default)]
pub struct Trial {
    /// Every alert, also one whose end is told and whose beginning was not.
    pub alerts: Vec<News>,
    /// Those that were acknowledged at their sender's.
    pub acknowledged: Vec<Fingerprint>,
    pub rejected: Vec<Rejected>,
    /// What it says besides alerts.
    pub asides: Vec<Aside>,
    /// The fields that nothing was made of; `None` where the format has labels, and all of them count.
    pub unused: Option<Vec<String>>,
    /// Fields that held a variable which their sender did not replace.
    pub placeholders: u64,
    /// Words for a severity that stand for none.
    pub unknown_severities: Vec<String>,
    /// Why the whole would be refused.
    pub refused: Option<String>,
}

/// Reads a message as if it came to that source now.
///
/// # Errors
/// As [`Source::new`].
pub fn read(config: &Config, source: &SourceConfig, text: &str, headers: &HeaderMap, now: Time) -> Result<Trial, ConfigError> {
    let (live, metrics) = (Live::new(config), Metrics::default());
    let source = Source::new(source, config.resolve_timeout, &live, &metrics)?;
    let mut intake = Intake::new(&live, &source, &config.limits, now).telling_all();
    let mut trial = Trial::default();
    let read = match &source.format {
        Format::Prometheus => prometheus::read(text, &mut intake),
        Format::Alertmanager => alertmanager::read(text, &mut intake),
        Format::Generic(mapping) => {
            trial.unused = format::parse(text, config.limits.json_depth).ok().map(|body| mapping.unused(&body));
            generic::read(text, mapping, &mut intake)
        }
        Format::Tool(tool) => {
            match format::read(*tool, text, headers, &config.limits) {
                Ok(reading) => {
                    trial.unused = Some(reading.unused());
                    trial.placeholders = reading.notes.placeholders();
                    trial.unknown_severities = reading.notes.unknown_severities();
                    trial.asides = tools::take_reading(reading, &source, &mut intake, &metrics);
                }
                Err(format::Fault::Unmapped(unmapped)) => trial.refused = Some(unmapped.0),
                Err(format::Fault::Forbidden(why)) => trial.refused = Some(why.to_owned()),
                Err(format::Fault::TooMany) => trial.refused = Some("too many alerts in one request".to_owned()),
            }
            Ok(())
        }
    };
    match read {
        Ok(()) => {}
        Err(BodyFault::Unreadable(why)) => trial.refused = Some(why),
        Err(BodyFault::TooMany) => trial.refused = Some("too many alerts in one request".to_owned()),
    }
    let sorted = intake.finish();
    trial.alerts =
        sorted.news.into_iter().filter_map(|input| if let Input::Alert(news) = input { Some(news) } else { None }).collect();
    trial.acknowledged = sorted.acknowledged;
    trial.rejected = sorted.rejected;
    Ok(trial)
}
