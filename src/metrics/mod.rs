//! Quell's own metrics: one table with name, labels and help of every one; the unit is the name's ending.
//!
//! Alert labels never become metric labels: what a sender may choose freely must not decide our memory.
//! Children of labelled metrics are resolved once by whoever counts often, never per alert.

mod process;

use prometheus::{Encoder, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};
use prometheus::{Histogram, HistogramVec};

macro_rules! metrics {
    ($( $kind:ident $field:ident [$($label:literal),*] $help:literal ; )*) => {
        /// Every metric, each under the name `quell_<field>`.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            $( #[doc = $help] pub $field: metrics!(@type $kind), )*
        }

        impl Default for Metrics {
            fn default() -> Metrics {
                let registry = Registry::new();
                $( let $field = metrics!(@make $kind concat!("quell_", stringify!($field)), $help, [$($label),*]);
                   // Names are unique: they are the fields of one struct.
                   registry.register(Box::new($field.clone())).expect("a metric of a new name"); )*
                Metrics { registry, $( $field ),* }
            }
        }

        /// Name, kind, labels and help of every metric, for the documentation and its test.
        pub const TABLE: &[(&str, &str, &[&str], &str)] = &[ $( (concat!("quell_", stringify!($field)), stringify!($kind), &[$($label),*], $help) ),* ];
    };
    (@type counter) => { IntCounter };
    (@type counters) => { IntCounterVec };
    (@type gauge) => { IntGauge };
    (@type gauges) => { IntGaugeVec };
    (@type histogram) => { Histogram };
    (@type histograms) => { HistogramVec };
    (@make counter $name:expr, $help:literal, []) => { IntCounter::new($name, $help).expect("a valid metric name") };
    (@make counters $name:expr, $help:literal, $labels:expr) => { IntCounterVec::new(Opts::new($name, $help), &$labels).expect("a valid metric name") };
    (@make gauge $name:expr, $help:literal, []) => { IntGauge::new($name, $help).expect("a valid metric name") };
    (@make gauges $name:expr, $help:literal, $labels:expr) => { IntGaugeVec::new(Opts::new($name, $help), &$labels).expect("a valid metric name") };
    (@make histogram $name:expr, $help:literal, []) => { Histogram::with_opts(HistogramOpts::new($name, $help).buckets(SECONDS.to_vec())).expect("a valid metric name") };
    (@make histograms $name:expr, $help:literal, $labels:expr) => { HistogramVec::new(HistogramOpts::new($name, $help).buckets(SECONDS.to_vec()), &$labels).expect("a valid metric name") };
}

/// Buckets of every duration, seconds: from a commit on a fast disk to a pager that does not answer.
const SECONDS: [f64; 14] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0];

metrics! {
    // ingest: received = repeats + new + rejected
    counters alerts_received_total ["source"] "Alerts that senders posted";
    counters alerts_repeats_total ["source"] "Alerts that were known already in the state they were sent in";
    counters alerts_late_total ["source"] "Alerts, among the repeats, that were said to fire after their end had been told, of which nothing else was known";
    counters alerts_new_total ["source"] "Alerts that began to fire or resolved";
    counters alerts_rejected_total ["source", "reason"] "Alerts that were refused, by reason";
    counters requests_rejected_total ["reason"] "Requests that were refused as a whole, by reason";
    counters source_messages_total ["source", "kind"] "Messages of monitoring tools that are no alert, by kind";
    counters source_severities_unknown_total ["source"] "Words for a severity that stand for none";
    counters source_placeholders_total ["source"] "Fields that held a variable which their sender did not replace";
    gauges source_heard_timestamp_seconds ["source"] "When a source last sent anything, Unix time";
    gauges source_silent ["source"] "Whether a source has said nothing for longer than its silent_after";
    gauges source_fields_missing ["source"] "Fields that used to be in a source's messages and are not any more";
    gauges rejects ["source"] "Messages that could not be taken and are kept";
    counters rejects_kept_total ["source"] "Messages that could not be taken and were kept, the same one again included";
    counters rejects_surplus_total ["source"] "Messages that had to go before their time because too many could not be taken";
    counters rejects_replayed_total ["source", "outcome"] "Kept messages that were tried again, by outcome";
    gauge connections [] "Open connections of clients";
    counters connections_refused_total ["reason"] "Connections that were closed before a request was taken, by reason";
    // engine and log
    gauge alerts_firing [] "Alerts that fire";
    gauge alerts_suppressed [] "Alerts that fire and are suppressed";
    gauges incidents ["status"] "Incidents by status, without closed ones";
    counter incidents_opened_total [] "Incidents opened";
    counter incidents_without_policy_total [] "Incidents that no escalation rule fits while no receiver is named default";
    counter merges_held_total [] "Times that an incident was kept from further parts because a rule merges too much";
    counter changes_recorded_total [] "Changes that were reported, and news of them";
    counter messages_surplus_total [] "Messages that were forgotten before their time because their source sent too many";
    counters changes_ignored_total ["format"] "Bodies of other tools that told of no change, by tool";
    counter heartbeats_heard_total [] "Beats that were recorded";
    counter heartbeats_missed_total [] "Times that a heartbeat was missed";
    gauges heartbeats ["state"] "Heartbeats of the rules in force: new, beating, missed";
    counter reports_total [] "Reports of people";
    counter changes_surplus_total [] "Changes that left the memory before their time because there were too many";
    counters suppressions_total ["kind"] "Suppressions of alerts begun, by kind";
    gauge engine_queue_alerts [] "Inputs that wait for the engine";
    counter engine_facts_total [] "Facts recorded";
    histogram log_commit_seconds [] "Time to write and sync one batch of the log";
    counter log_commits_total [] "Batches of the log synced";
    counter log_commit_failures_total [] "Batches of the log that could not be synced";
    counter log_lost_facts_total [] "Facts lost to damage of the log that was skipped at this start, as ordered";
    gauge log_bytes [] "Bytes of the log's segments";
    gauge view_behind_facts [] "Facts that the view has yet to apply";
    counter view_failures_total [] "Writes to the view that failed";
    // rules
    gauge rules [] "Rules in force";
    gauge rules_last_reload_successful [] "Whether the last reload of the rules took effect";
    gauge rules_last_reload_success_timestamp_seconds [] "When the rules last took effect, Unix time";
    // deliver
    gauges notifications_owed ["receiver"] "Notifications queued or to be tried again";
    counters notification_attempts_total ["receiver", "outcome"] "Attempts to deliver, by outcome";
    counters notifications_total ["receiver", "kind"] "Notifications delivered";
    gauges notifications_dead ["receiver"] "Notifications given up and not retried by hand";
    counter notification_repeats_total [] "Attempts after a start whose notification may have been taken before";
    histograms notification_seconds ["receiver"] "Time of one attempt to deliver";
    gauges receiver_breaker_open ["receiver"] "Whether a receiver's breaker is open";
    // API
    counters http_requests_total ["handler", "code"] "Requests answered, by handler and status";
    histograms http_request_seconds ["handler"] "Time to answer a request";
    // process
    gauges build_info ["version"] "Always 1; the version is a label";
    gauge start_time_seconds [] "When this process started, Unix time";
    gauge resident_memory_bytes [] "Resident memory of the process";
    gauge open_fds [] "Open file descriptors of the process";
}

impl Metrics {
    /// The exposition text that Prometheus scrapes, with what the process uses at this moment.
    #[must_use]
    pub fn expose(&self) -> Vec<u8> {
        process::observe(self);
        let mut text = Vec::new();
        // Writing to memory cannot fail, and every family was registered by this struct.
        TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("metrics as text");
        text
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");

    /// The table as a document for people.
    fn document() -> String {
        let mut text = String::from(
            "# Metrics\n\n`GET /metrics` answers these in Prometheus' text format. The unit is the name's ending. Alert labels never \
             become labels here.\n\nAlerts add up: `quell_alerts_received_total` = `quell_alerts_repeats_total` + \
             `quell_alerts_new_total` + `quell_alerts_rejected_total`.\n\n| name | kind | labels | what |\n| --- | --- | --- | --- |\n",
        );
        for (name, kind, labels, help) in TABLE {
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            writeln!(text, "| `{name}` | {} | {} | {help} |", kind.trim_end_matches('s'), labels.join(", ")).unwrap();
        }
        text
    }

    #[test]
    fn the_document_is_the_table() {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(DOCUMENT, document()).unwrap();
        }
        let written = std::fs::read_to_string(DOCUMENT).unwrap_or_default();
        assert!(written == document(), "docs/metrics.md is not the table; UPDATE_GOLDEN=1 writes it anew");
    }

    #[test]
    fn names_follow_prometheus_customs() {
        for (name, kind, labels, help) in TABLE {
            assert_eq!(name.ends_with("_total"), kind.starts_with("counter"), "{name}: counters and only they end in _total");
            assert!(!kind.starts_with("histogram") || name.ends_with("_seconds"), "{name}: histograms are of seconds");
            assert_eq!(kind.ends_with('s'), !labels.is_empty(), "{name}");
            assert!(!help.ends_with('.') && help.starts_with(char::is_uppercase), "{name}: {help}");
        }
    }
}
