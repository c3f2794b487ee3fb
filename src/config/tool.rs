//! The monitoring tools whose own form is read: the closed list of their names, and how an alert of each ends.

use crate::model::Millis;

/// A tool that posts in a form of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tool {
    AzureMonitor,
    Checkmk,
    Cloudevents,
    Cloudwatch,
    Datadog,
    Dynatrace,
    Elastic,
    GcpMonitoring,
    Grafana,
    Honeycomb,
    Icinga2,
    Librenms,
    Nagios,
    Netdata,
    Newrelic,
    Opsgenie,
    PagerdutyEvents,
    Pingdom,
    Prtg,
    Sentry,
    Splunk,
    Statuscake,
    UptimeKuma,
    Zabbix,
}

/// How an alert of a tool comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The tool says so.
    Message,
    /// The tool never says so, or not always: the alert ends when nothing was heard of it for this long.
    Timeout(Millis),
}

impl Tool {
    /// All of them, by name.
    pub const ALL: [Tool; 24] = [
        Tool::AzureMonitor,
        Tool::Checkmk,
        Tool::Cloudevents,
        Tool::Cloudwatch,
        Tool::Datadog,
        Tool::Dynatrace,
        Tool::Elastic,
        Tool::GcpMonitoring,
        Tool::Grafana,
        Tool::Honeycomb,
        Tool::Icinga2,
        Tool::Librenms,
        Tool::Nagios,
        Tool::Netdata,
        Tool::Newrelic,
        Tool::Opsgenie,
        Tool::PagerdutyEvents,
        Tool::Pingdom,
        Tool::Prtg,
        Tool::Sentry,
        Tool::Splunk,
        Tool::Statuscake,
        Tool::UptimeKuma,
        Tool::Zabbix,
    ];

    /// The word for it in `format`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Tool::AzureMonitor => "azure-monitor",
            Tool::Checkmk => "checkmk",
            Tool::Cloudevents => "cloudevents",
            Tool::Cloudwatch => "cloudwatch",
            Tool::Datadog => "datadog",
            Tool::Dynatrace => "dynatrace",
            Tool::Elastic => "elastic",
            Tool::GcpMonitoring => "gcp-monitoring",
            Tool::Grafana => "grafana",
            Tool::Honeycomb => "honeycomb",
            Tool::Icinga2 => "icinga2",
            Tool::Librenms => "librenms",
            Tool::Nagios => "nagios",
            Tool::Netdata => "netdata",
            Tool::Newrelic => "newrelic",
            Tool::Opsgenie => "opsgenie",
            Tool::PagerdutyEvents => "pagerduty-events-v2",
            Tool::Pingdom => "pingdom",
            Tool::Prtg => "prtg",
            Tool::Sentry => "sentry",
            Tool::Splunk => "splunk",
            Tool::Statuscake => "statuscake",
            Tool::UptimeKuma => "uptime-kuma",
            Tool::Zabbix => "zabbix",
        }
    }

    /// How its alerts end, unless the source's `resolve_after` says otherwise. Most tools repeat what fires after hours or
    /// never, so that silence says nothing of them.
    #[must_use]
    pub fn ending(self) -> Ending {
        match self {
            // No word of an end exists: a search that finds nothing sends nothing.
            Tool::Splunk => Ending::Timeout(Millis::hours(1)),
            // An issue alert ends only when somebody resolves the issue, which many are never.
            Tool::Sentry => Ending::Timeout(Millis::hours(24)),
            _ => Ending::Message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_differ() {
        assert!(Tool::ALL.windows(2).all(|two| two[0].name() < two[1].name()));
    }
}
