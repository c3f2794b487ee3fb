//! `quell.yaml`: what differs from site to site. Layers: built-in defaults, file, `QUELL_…` environment, flags.
//!
//! [`Config`] is the resolved form: validated, bounded, secrets read; [`load()`] makes it, `section` reads one map of it.
//! Every key and default is described in docs/configuration.md. Nothing here listens, connects or logs.

mod auth;
mod error;
mod generic;
mod load;
mod receivers;
pub mod secret;
mod section;
#[cfg(test)]
mod tests;
mod tool;
mod yaml;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

pub use auth::{HandshakeConfig, Scheme, SignatureConfig, SnsConfig};
pub use error::{ConfigError, Warning};
pub use load::{DEFAULTS, check_exposure, load, load_text};
pub use secret::Secret;
pub use tool::{Ending, Tool};

use crate::model::{Labels, Millis};

/// Everything that a site can set.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    /// A second port, which speaks TLS.
    pub tls: Option<TlsConfig>,
    /// Serve on a public address without a token.
    pub insecure: bool,
    pub data: PathBuf,
    pub rules: PathBuf,
    /// Our own address as people reach it, for links in messages.
    pub external_url: Option<String>,
    pub sources: Vec<SourceConfig>,
    pub receivers: Vec<ReceiverConfig>,
    /// Tokens for the API's write calls.
    pub tokens: Vec<TokenConfig>,
    pub limits: Limits,
    pub retention: Retention,
    pub outbound: Outbound,
    /// How long an alert fires without being heard of again.
    pub resolve_timeout: Millis,
}

/// What a site has that sets nothing.
impl Default for Config {
    fn default() -> Config {
        let nothing = BTreeMap::new();
        let (config, _) = load_text("", "", &nothing, &nothing).expect("the built-in defaults are whole, as a test shows");
        config
    }
}

/// The port that speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    pub listen: SocketAddr,
    /// Our certificate and those behind it, in PEM.
    pub certificate: String,
    pub key: Secret,
    /// The authorities whose certificates clients may show, in PEM.
    pub client_ca: Option<String>,
}

/// A sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceConfig {
    pub name: Arc<str>,
    pub format: SourceFormat,
    /// Any of them opens it; more than one while it is being changed.
    pub tokens: Vec<Secret>,
    /// The header that a token comes in, where its sender cannot set `Authorization`.
    pub token_header: Option<String>,
    /// The field of the body that a token comes in, where its sender can set nothing else.
    pub token_field: Option<String>,
    pub signature: Option<SignatureConfig>,
    /// For `cloudwatch`.
    pub sns: Option<SnsConfig>,
    /// Names of which the certificate that a client shows must have one; none where it need not show any.
    pub client_certificate: Vec<String>,
    /// For `cloudevents`.
    pub handshake: HandshakeConfig,
    /// Added to every alert that lacks them.
    pub labels: Labels,
    /// For `generic`.
    pub map: Option<GenericMap>,
    /// How long an alert fires without being heard of again, where the site says so.
    pub resolve_after: Option<Millis>,
    /// How long it may say nothing at all before that is an alert; `None`: for ever.
    pub silent_after: Option<Millis>,
    /// Whether a field that used to be in its messages and is not any more is an alert.
    pub drift: bool,
}

impl SourceConfig {
    /// The source of Quell's own alerts. No sender can have this name.
    pub const OWN: &str = "quell";

    /// The source that is always there: who posts to Alertmanager's API.
    #[must_use]
    pub fn prometheus() -> SourceConfig {
        SourceConfig {
            name: "prometheus".into(),
            format: SourceFormat::Prometheus,
            tokens: Vec::new(),
            token_header: None,
            token_field: None,
            signature: None,
            sns: None,
            client_certificate: Vec::new(),
            handshake: HandshakeConfig::default(),
            labels: Labels::default(),
            map: None,
            resolve_after: None,
            silent_after: None,
            drift: true,
        }
    }

    /// Whether nobody has to prove anything to be heard.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.tokens.is_empty()
            && self.signature.is_none()
            && self.sns.as_ref().is_none_or(|sns| sns.raw)
            && self.client_certificate.is_empty()
    }

    /// How long an alert of this source fires without being heard of again. `None` where the sender says "resolved"
    /// itself and does not repeat what fires (Alertmanager repeats after hours), unless `resolve_after` sets it.
    #[must_use]
    pub fn timeout(&self, resolve_timeout: Millis) -> Option<Millis> {
        let usual = match self.format {
            SourceFormat::Prometheus => Some(resolve_timeout),
            SourceFormat::Alertmanager => None,
            SourceFormat::Generic => self.map.as_ref().and_then(|map| map.resolve_after),
            SourceFormat::Tool(tool) => match tool.ending() {
                Ending::Message => None,
                Ending::Timeout(length) => Some(length),
            },
        };
        self.resolve_after.or(usual)
    }
}

/// In which form a sender writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceFormat {
    Prometheus,
    Alertmanager,
    Generic,
    Tool(Tool),
}

/// How a `generic` source's JSON becomes alerts; every value is a template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenericMap {
    pub each: Option<String>,
    pub labels: Vec<(String, String)>,
    pub annotations: Vec<(String, String)>,
    pub status: Option<String>,
    pub starts_at: Option<String>,
    pub ends_at: Option<String>,
    pub identity: Vec<String>,
    pub resolve_after: Option<Millis>,
}

/// A named receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverConfig {
    pub name: Arc<str>,
    pub kind: ReceiverKind,
}

/// What a receiver is, with its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiverKind {
    Pagerduty { url: String, routing_key: Secret },
    Webhook { url: String, secret: Option<Secret> },
    AlertmanagerWebhook { url: String, max_alerts: u32, send_resolved: bool, bearer: Option<Secret> },
    Email(EmailConfig),
    Servicenow(ServicenowConfig),
    Log,
}

/// An SMTP server and whom to write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailConfig {
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub from: String,
    pub to: Vec<String>,
}

/// How a mail connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// STARTTLS, refused where not offered. The default on port 587 and 25.
    Starttls,
    /// TLS from the first byte. The default on port 465.
    Implicit,
    /// None; warned of.
    Off,
}

/// A ServiceNow instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicenowConfig {
    pub url: String,
    pub user: String,
    pub password: Secret,
    pub assignment_group: Option<String>,
    pub caller_id: Option<String>,
    pub close_code: String,
    /// Quell's category to theirs, for names that differ.
    pub categories: Vec<(String, String)>,
}

/// Someone who may write through the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenConfig {
    pub name: Arc<str>,
    pub token: Secret,
}

/// Every limit: name, default, unit. What happens at each is said in docs/configuration.md.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body, after decompression.
    pub body_bytes: usize,
    pub alerts_per_request: usize,
    pub labels_per_alert: usize,
    pub label_name_bytes: usize,
    pub label_value_bytes: usize,
    /// Labels and annotations of one alert together.
    pub alert_bytes: usize,
    pub json_depth: usize,
    pub connections: usize,
    /// Connections from one address.
    pub connections_per_address: usize,
    /// From connecting to the first request's headers.
    pub first_header_timeout: Millis,
    pub header_timeout: Millis,
    pub body_timeout: Millis,
    pub active_alerts: usize,
    pub active_alerts_per_source: usize,
    pub alerts_per_incident: u32,
    /// Incidents that one rule makes parts of others within an hour.
    pub merges_per_hour: usize,
    /// Reported changes in memory.
    pub changes: usize,
    /// How long a reported change stays there.
    pub changes_kept: Millis,
    /// Messages of one source that are remembered, so that none is taken twice.
    pub messages_per_source: u32,
    /// Alerts that wait for the engine.
    pub queue_alerts: usize,
    pub rules: usize,
    pub rule_file_bytes: usize,
    /// Messages that could not be taken and are kept.
    pub rejects: usize,
    /// Bytes of their bodies together.
    pub reject_bytes: u64,
}

/// How long things are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Resolved alerts, closed incidents, delivered notifications in the view; log segments.
    pub age: Millis,
    /// Bytes of the log, beyond which its oldest segments go, behind a checkpoint.
    pub log_bytes: u64,
}

/// Where receivers may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// Anywhere but link-local addresses.
    Open,
    /// Public addresses only.
    PublicOnly,
}
