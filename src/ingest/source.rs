//! A configured sender as requests need it: everything that can be worked out once is.

use std::sync::Arc;

use prometheus::IntCounter;

use super::auth::Auth;
use super::generic::Mapping;
use super::watch::Watched;
use crate::config::{ConfigError, HandshakeConfig, SourceConfig, SourceFormat, Tool};
use crate::metrics::Metrics;
use crate::model::{Labels, Millis};
use crate::runtime::Live;

/// A sender.
#[derive(Debug)]
pub struct Source {
    pub name: Arc<str>,
    /// What its messages must prove.
    pub(super) auth: Auth,
    /// What it grants to senders that ask first.
    pub(super) handshake: HandshakeConfig,
    /// Added to every alert that lacks them.
    pub labels: Labels,
    /// How long an alert fires without being heard of again.
    pub timeout: Option<Millis>,
    /// [`Live::source_key`].
    pub key: u64,
    pub format: Format,
    /// What is watched of it.
    pub(super) watched: Watched,
    pub(super) received: IntCounter,
    pub(super) repeats: IntCounter,
    /// Those of the repeats that came behind their end.
    pub(super) late: IntCounter,
    pub(super) new: IntCounter,
}

/// In which form it writes, with what reading that takes.
#[derive(Debug)]
pub enum Format {
    Prometheus,
    Alertmanager,
    Generic(Box<Mapping>),
    /// A monitoring tool's own; [`super::format`] reads it.
    Tool(Tool),
}

impl Format {
    /// The word for it in the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Format::Prometheus => "prometheus",
            Format::Alertmanager => "alertmanager",
            Format::Generic(_) => "generic",
            Format::Tool(tool) => tool.name(),
        }
    }
}

impl Source {
    /// # Errors
    /// A template of a `generic` source that does not compile; a secret that is not of its scheme's form.
    pub fn new(config: &SourceConfig, resolve_timeout: Millis, live: &Live, metrics: &Metrics) -> Result<Source, ConfigError> {
        let format = match (config.format, &config.map) {
            (SourceFormat::Prometheus, _) => Format::Prometheus,
            (SourceFormat::Alertmanager, _) => Format::Alertmanager,
            (SourceFormat::Tool(tool), _) => Format::Tool(tool),
            (SourceFormat::Generic, map) => {
                Format::Generic(Box::new(Mapping::new(&config.name, &map.clone().unwrap_or_default())?))
            }
        };
        let name = [&*config.name];
        Ok(Source {
            name: config.name.clone(),
            auth: Auth::new(config)?,
            handshake: config.handshake.clone(),
            labels: config.labels.clone(),
            timeout: config.timeout(resolve_timeout),
            key: live.source_key(&config.name),
            format,
            watched: Watched::new(config),
            received: metrics.alerts_received_total.with_label_values(&name),
            repeats: metrics.alerts_repeats_total.with_label_values(&name),
            late: metrics.alerts_late_total.with_label_values(&name),
            new: metrics.alerts_new_total.with_label_values(&name),
        })
    }
}
