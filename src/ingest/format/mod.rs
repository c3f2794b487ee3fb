//! The forms of monitoring tools, one file each: a body in, [`Event`]s on one scale out.
//!
//! ```text
//! text ─▶ body: sniffed, JSON or form ─▶ field: typed access, placeholders absent ─▶ one file per tool ─▶ Event ─▶ intake
//! ```
//!
//! A tool's file knows what its fields mean and nothing else: no tables, no limits, no HTTP. What the tools have in common
//! lies beside them: [`json`] (the tree), [`field`] (access), [`paths`], [`moment`] (times), [`words`] (severities and tags),
//! [`states`] (the words of Nagios and its kin). What a body cannot be made to say is [`Unmapped`], with the field that was
//! missed; what it says besides alerts is an [`Aside`]. Prometheus, Alertmanager and `generic` are not here: they say labels, and need no reading.

mod body;
pub mod event;
pub mod field;
pub mod json;
mod moment;
pub mod paths;
mod states;
mod words;

mod azure_monitor;
mod checkmk;
pub mod cloudevents;
pub mod cloudwatch;
mod datadog;
mod dynatrace;
mod elastic;
mod gcp_monitoring;
mod grafana;
mod honeycomb;
mod icinga2;
mod librenms;
mod nagios;
mod netdata;
mod newrelic;
pub mod opsgenie;
pub mod pagerduty;
mod pingdom;
mod prtg;
mod sentry;
mod splunk;
mod statuscake;
mod uptime_kuma;
mod zabbix;

use hyper::HeaderMap;

pub use event::{Event, Key, State};
pub use field::{Field, Notes};
pub use json::Json;

use super::wire::BodyFault;
use crate::config::{Limits, Tool};
use crate::model::Change;

/// Why a body that is its sender's came to no alert: what is missing or strange, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmapped(pub String);

/// What a body says besides alerts. Each is counted by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aside {
    /// A trial message of the tool's own.
    Test,
    /// The tool asks whether it may send from a topic; `confirm` is what has to be opened before it does. Whoever has that may
    /// confirm, so it is written nowhere.
    Handshake { topic: String, confirm: String },
    /// A topic sends no more.
    Unsubscribed { topic: String },
    /// News of an alert that changes nothing: a comment, flapping, a planned downtime.
    Comment(String),
    /// So many alerts were cut off by the sender.
    Truncated(u64),
    /// Something was changed. Where it does not say when, that is [`crate::model::Time::EPOCH`], and the moment of arrival is meant.
    Change(Box<Change>),
}

impl Aside {
    /// The value of the metric's label.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Aside::Test => "test",
            Aside::Handshake { .. } => "handshake",
            Aside::Unsubscribed { .. } => "unsubscribed",
            Aside::Comment(_) => "comment",
            Aside::Truncated(_) => "truncated",
            Aside::Change(_) => "change",
        }
    }
}

/// Why a body came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// To be answered as accepted: who sent it cannot mend it.
    Unmapped(Unmapped),
    /// It claims to be from somebody whom it cannot be from.
    Forbidden(&'static str),
    TooMany,
}

/// What a body came to.
#[derive(Debug, Default)]
pub struct Reading<'a> {
    /// Each alert, or why one of a list is none.
    pub events: Vec<Result<Event, Unmapped>>,
    pub asides: Vec<Aside>,
    /// What was noted on the way.
    pub notes: Notes,
    body: Json<'a>,
}

/// Where a tool's reader puts what it finds.
#[derive(Debug, Default)]
pub struct Out {
    events: Vec<Result<Event, Unmapped>>,
    asides: Vec<Aside>,
    forbidden: Option<&'static str>,
}

impl Out {
    fn event(&mut self, event: Event) {
        self.events.push(Ok(event));
    }

    fn aside(&mut self, aside: Aside) {
        self.asides.push(aside);
    }

    /// Reads each item of a list; one that is strange costs that one only.
    fn each<'a>(&mut self, items: Vec<Field<'a>>, read: impl Fn(Field<'a>, &mut Out) -> Result<(), Unmapped>) {
        for item in items {
            if let Err(unmapped) = read(item, self) {
                self.events.push(Err(unmapped));
            }
        }
    }
}

impl<'a> Reading<'a> {
    /// A body that says no more than this.
    #[must_use]
    pub fn of(event: Event) -> Reading<'a> {
        Reading { events: vec![Ok(event)], ..Reading::default() }
    }

    /// The fields that nothing was made of, by their paths.
    #[must_use]
    pub fn unused(&self) -> Vec<String> {
        paths::unused(&self.body)
    }

    /// The body, with notes of what was used.
    #[must_use]
    pub fn body(&self) -> &Json<'a> {
        &self.body
    }
}

/// Reads a body of a tool.
///
/// # Errors
/// A body that the tool would not send, or that says too much.
pub fn read<'a>(tool: Tool, text: &'a str, headers: &HeaderMap, limits: &Limits) -> Result<Reading<'a>, Fault> {
    let body = body::parse(text, limits.json_depth).map_err(Fault::Unmapped)?;
    read_value(tool, body, headers, limits)
}

/// As [`read`], of a body that is parsed.
///
/// # Errors
/// As [`read`].
pub fn read_value<'a>(tool: Tool, body: Json<'a>, headers: &HeaderMap, limits: &Limits) -> Result<Reading<'a>, Fault> {
    let notes = Notes::default();
    let mut out = Out::default();
    notes.count_placeholders(&body);
    let field = Field::root(&body, &notes);
    let read = match tool {
        Tool::AzureMonitor => azure_monitor::read(field, &mut out),
        Tool::Checkmk => checkmk::read(field, &mut out),
        Tool::Cloudevents => cloudevents::read(field, headers, &mut out),
        Tool::Cloudwatch => cloudwatch::read(field, limits.json_depth, &mut out),
        Tool::Datadog => datadog::read(field, &mut out),
        Tool::Dynatrace => dynatrace::read(field, &mut out),
        Tool::Elastic => elastic::read(field, &mut out),
        Tool::GcpMonitoring => gcp_monitoring::read(field, &mut out),
        Tool::Grafana => grafana::read(field, &mut out),
        Tool::Honeycomb => honeycomb::read(field, &mut out),
        Tool::Icinga2 => icinga2::read(field, &mut out),
        Tool::Librenms => librenms::read(field, &mut out),
        Tool::Nagios => nagios::read(field, &mut out),
        Tool::Netdata => netdata::read(field, &mut out),
        Tool::Newrelic => newrelic::read(field, &mut out),
        Tool::Opsgenie => opsgenie::read(field, &mut out),
        Tool::PagerdutyEvents => pagerduty::read(field, &mut out),
        Tool::Pingdom => pingdom::read(field, &mut out),
        Tool::Prtg => prtg::read(field, &mut out),
        Tool::Sentry => sentry::read(field, &mut out),
        Tool::Splunk => splunk::read(field, &mut out),
        Tool::Statuscake => statuscake::read(field, &mut out),
        Tool::UptimeKuma => uptime_kuma::read(field, &mut out),
        Tool::Zabbix => zabbix::read(field, &mut out),
    };
    if let Err(unmapped) = read {
        out.events.push(Err(unmapped));
    }
    if let Some(why) = out.forbidden {
        return Err(Fault::Forbidden(why));
    }
    if out.events.len() > limits.alerts_per_request {
        return Err(Fault::TooMany);
    }
    Ok(Reading { events: out.events, asides: out.asides, notes, body })
}

/// Any body as JSON, for those who map it themselves.
///
/// # Errors
/// Text that is neither JSON nor a form.
pub fn parse(text: &str, depth: usize) -> Result<Json<'_>, BodyFault> {
    body::parse(text, depth).map_err(|unmapped| BodyFault::Unreadable(unmapped.0))
}
