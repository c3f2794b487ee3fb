//! The demo's storm: what a Prometheus would send during eighteen bad minutes of a small shop. The same at every run.
//!
//! A database primary dies, the services that need it fail, a rack loses power at the same time, disks fill because of
//! the logs, a certificate is about to end, and the usual brief spikes go on as if nothing were wrong. As Prometheus does,
//! everything that fires is sent again each minute.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::{Millis, Time};

/// Minutes that the storm lasts.
pub(super) const MINUTES: u32 = 18;

/// One alert of the storm: what it says, and when it fires.
struct Trouble {
    labels: BTreeMap<&'static str, String>,
    summary: String,
    /// The minute in which it begins.
    from: u32,
    /// The minute in which it is over; none: it outlasts the storm.
    until: Option<u32>,
}

/// What is sent in one minute: the body of a POST to Alertmanager's API. `end` is the moment at which the storm ends.
pub(super) fn minute(minute: u32, end: Time) -> Vec<Value> {
    let at = |minute: u32| end - Millis::minutes(i64::from(MINUTES - minute));
    let heard =
        troubles().into_iter().filter(|trouble| trouble.from <= minute && trouble.until.is_none_or(|until| minute <= until));
    heard
        .map(|trouble| {
            // Prometheus has an alert believed for four minutes and moves that end each time. Here it is an hour, so that
            // there is something to look at when the storm is over.
            let believed_until = end + Millis::minutes(60 + i64::from(minute));
            let ends = trouble.until.filter(|until| *until == minute).map_or(believed_until, at);
            json!({
                "labels": trouble.labels,
                "annotations": { "summary": trouble.summary },
                "startsAt": at(trouble.from).to_rfc3339(),
                "endsAt": ends.to_rfc3339(),
                "generatorURL": "http://prometheus.example/graph",
            })
        })
        .collect()
}

/// Everything that goes wrong.
fn troubles() -> Vec<Trouble> {
    let mut all = Vec::new();
    database(&mut all);
    shop(&mut all);
    rack(&mut all);
    disks(&mut all);
    spikes(&mut all);
    all.push(trouble(
        2,
        None,
        &[("alertname", "CertificateEndsSoon"), ("service", "status-page"), ("severity", "info")],
        "the certificate of status.example ends in 20 days".to_owned(),
    ));
    all
}

/// The primary of the orders' database stops; its replicas and its backup notice.
fn database(all: &mut Vec<Trouble>) {
    let of = |name, host: &str, severity| {
        [
            ("alertname", name),
            ("cluster", "eu1"),
            ("host", host),
            ("region", "eu"),
            ("service", "orders-db"),
            ("severity", severity),
        ]
        .map(|(name, value)| (name, value.to_owned()))
    };
    let mut add = |from, labels: [(&'static str, String); 6], summary: &str| {
        all.push(Trouble { labels: labels.into(), summary: summary.to_owned(), from, until: None });
    };
    add(0, of("PostgresDown", "db-1", "critical"), "the primary does not answer");
    for (replica, minute) in [("db-2", 1), ("db-3", 1), ("db-4", 2)] {
        add(minute, of("ReplicationBroken", replica, "critical"), "the replica has lost its primary");
        add(minute + 2, of("ReplicationLag", replica, "warning"), "the replica is 120 s behind");
    }
    add(4, of("BackupFailed", "db-4", "warning"), "the hourly backup has failed");
}

/// Four services of the shop, six pods each, cannot do without that database.
fn shop(all: &mut Vec<Trouble>) {
    for (n, service) in ["checkout", "cart", "payments", "shipping"].into_iter().enumerate() {
        for pod in 0..6 {
            let from = 1 + u32::try_from(n).unwrap_or(0) / 2 + pod % 2;
            let instance = format!("{service}-{pod}");
            for (alertname, severity, what) in [
                ("HighErrorRate", "critical", "fails 40 % of its requests"),
                ("HighLatency", "warning", "takes 8 s for a request"),
            ] {
                let labels = [
                    ("alertname", alertname),
                    ("pod", instance.as_str()),
                    ("region", "eu"),
                    ("service", service),
                    ("severity", severity),
                    ("tier", "shop"),
                ];
                all.push(trouble(from, None, &labels, format!("{instance} {what}")));
            }
        }
    }
}

/// A rack loses power: three nodes, and every pod on them.
fn rack(all: &mut Vec<Trouble>) {
    for node in 1..=3 {
        let node = format!("node-{node}");
        let labels = [("alertname", "NodeDown"), ("node", node.as_str()), ("rack", "b7"), ("severity", "critical")];
        all.push(trouble(3, None, &labels, format!("{node} cannot be reached")));
        for pod in 0..8 {
            let pod = format!("worker-{node}-{pod}");
            let labels = [
                ("alertname", "PodNotReady"),
                ("node", node.as_str()),
                ("pod", pod.as_str()),
                ("service", "worker"),
                ("severity", "warning"),
            ];
            all.push(trouble(4, None, &labels, format!("{pod} is not ready")));
        }
    }
}

/// The errors fill the logs, the logs fill the disks.
fn disks(all: &mut Vec<Trouble>) {
    for host in 0..7 {
        let host = format!("web-{host}");
        let labels = [("alertname", "DiskFilling"), ("host", host.as_str()), ("region", "eu"), ("severity", "warning")];
        all.push(trouble(6, None, &labels, format!("{host} will run out of space in 4 h")));
    }
}

/// Each minute some host is busy, and is not any more in the next.
fn spikes(all: &mut Vec<Trouble>) {
    for minute in 0..MINUTES - 1 {
        for n in 0..3 {
            let host = format!("batch-{}", (minute * 5 + n * 3) % 11);
            let minute_text = minute.to_string();
            let labels =
                [("alertname", "HighCpu"), ("host", host.as_str()), ("run", minute_text.as_str()), ("severity", "warning")];
            all.push(trouble(minute, Some(minute + 1), &labels, format!("{host} is at 97 % CPU")));
        }
    }
}

fn trouble(from: u32, until: Option<u32>, labels: &[(&'static str, &str)], summary: String) -> Trouble {
    Trouble { labels: labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(), summary, from, until }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn about_fifteen_hundred_messages_on_a_hundred_and_fifty_alerts() {
        let end = Time(1_767_571_200_000);
        let messages: Vec<Value> = (0..MINUTES).flat_map(|m| minute(m, end)).collect();
        let alerts: BTreeSet<String> = messages.iter().map(|message| message["labels"].to_string()).collect();
        assert_eq!((messages.len(), alerts.len()), (1_477, 142));
        assert_eq!(messages, (0..MINUTES).flat_map(|m| minute(m, end)).collect::<Vec<Value>>());
        for message in &messages {
            assert!(message["startsAt"].as_str() < message["endsAt"].as_str(), "{message}");
        }
    }

    #[test]
    fn what_is_over_is_said_once() {
        let over: Vec<Value> = minute(1, Time(1_767_571_200_000)).into_iter().filter(|m| m["labels"]["run"] == "0").collect();
        assert_eq!(over.len(), 3);
        assert!(over.iter().all(|message| message["endsAt"].as_str() < Some("2026-01-05T00:00:00.000Z")), "{over:?}");
    }
}
