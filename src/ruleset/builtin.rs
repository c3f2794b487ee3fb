//! The rules that are there without any file: how alerts group and what an incident is about.
//!
//! Both come after all rules of files, and a file's rule with the name of a built-in one takes its place. Categories and
//! teams are those that service desks use; each is told by words in the alert's name, then in its `job` or `service`.
//! Nothing here names a subcategory: fields are set one by one, and a guess of ours would end up under a category of yours.

use std::sync::Arc;

use super::rules::{ClassifyRule, CorrelateRule};
use super::schema::correlate::{MAX_AGE, WINDOW};
use super::template::Template;
use crate::model::{MatchOp, Matcher, Millis, RuleRef};

/// The name of the built-in correlate rule.
pub(super) const DEFAULT: &str = "default";

/// The name of the rule that opens an incident for a person's report where no other does.
const REPORT: &str = "report";

/// What stands for a rule where a person's report joins the open incident on its service.
pub const SAME_SERVICE: &str = "same-service";

const TITLE: &str = "{{ by.alertname or 'Alert' }}{% if by.service %} on {{ by.service }}{% endif %}";

/// Category, default team, and the words in an alert's name that decide. The first row with a hit counts, so what names a
/// thing exactly (a database) stands before what could be anything (a latency).
const BY_ALERTNAME: [(&str, &str, &str); 11] = [
    (
        "monitoring",
        "observability",
        "watchdog|dead.?man|heartbeat|absent|target.*(down|missing)|scrape|exporter|prometheus|alertmanager|thanos|mimir|loki|grafana|telemetry|blackbox",
    ),
    (
        "security",
        "security",
        "intrusion|malware|brute.?force|siem|falco|vulnerab|cve-|unauthori[sz]ed|ddos|ransom|exfiltrat|\\bwaf\\b|\\bids\\b",
    ),
    (
        "database",
        "dba",
        "postgres|pgbouncer|patroni|mysql|mariadb|galera|oracle|mssql|sql.?server|mongo|redis|cassandra|elastic|opensearch|clickhouse|couchdb|etcd|database|replicat(ion|a).*lag|slow.?quer|deadlock",
    ),
    (
        "storage",
        "platform",
        "filesystem|disk|raid|backup|volume|snapshot|ceph|zfs|gluster|inode|\\bnfs\\b|\\bs3\\b|minio|velero|smart.*(error|fail)",
    ),
    (
        "network",
        "network",
        "if_?oper|link.?down|interface|\\bbgp|ospf|packet|\\bdns|coredns|dhcp|\\bvpn|switch|router|firewall|network|traefik|haproxy|nginx|envoy|load.?balancer|icmp|\\bping",
    ),
    (
        "platform",
        "platform",
        "kube|\\bpod|container|docker|deployment|daemonset|statefulset|replicaset|cert(ificate)?|helm|argo|vault|consul|nomad|\\bvm\\b|hypervisor|esxi|quota|autoscal|istio|linkerd",
    ),
    ("user_service", "service-desk", "smtp|imap|e?mail|postfix|ldap|\\bsso\\b|keycloak|printer|voip|telephon"),
    ("facility", "facility", "\\bups\\b|crac|cooling|humidity|smoke|door|\\bpdu\\b|generator"),
    ("business", "business", "order|payment|checkout|revenue|cart|partner|feed|conversion"),
    (
        "application",
        "application",
        "5xx|error.?(rate|ratio|budget)|http|exception|apdex|latency|response.?time|queue|rabbitmq|kafka|nats|cron|job|batch|slo|crash|request|jvm|gc\\b|thread|probe",
    ),
    (
        "server",
        "platform",
        "host|node|instance|server|cpu|memory|\\bload|swap|oom|ipmi|temperature|fan|\\bntp|clock|reboot|systemd|unreachable",
    ),
];

/// The same by the words in `job` and `service`, for alerts whose name says nothing.
const BY_SERVICE: [(&str, &str, &str); 5] = [
    (
        "database",
        "dba",
        "postgres|mysql|mariadb|oracle|mssql|mongo|redis|cassandra|elastic|clickhouse|etcd|database|(^|[-_.])db($|[-_.])",
    ),
    ("network", "network", "snmp|switch|router|firewall|dns|haproxy|nginx|gateway"),
    ("platform", "platform", "kube|container|cert|vault|consul"),
    ("business", "business", "payment|checkout|order|billing"),
    ("server", "platform", "node|windows_exporter"),
];

/// The correlate rule that takes what no other took.
pub(super) fn correlate() -> CorrelateRule {
    CorrelateRule {
        rule: RuleRef::built_in(DEFAULT),
        matchers: Vec::new(),
        when: None,
        by: vec!["alertname".into(), "service".into()],
        window: WINDOW,
        max_age: MAX_AGE,
        resolve_after: Millis::ZERO,
        back_within: None,
        threshold: None,
        absent: None,
        sequence: None,
        topology: None,
        storm: None,
        ties: Vec::new(),
        wait: Millis::ZERO,
        go_on: false,
        title: Template::compile(TITLE).expect("a test compiles it"),
    }
}

/// The rule that opens an incident for a person's report where every rule that matches would wait for others.
#[must_use]
pub fn report_rule() -> CorrelateRule {
    CorrelateRule { rule: RuleRef::built_in(REPORT), ..correlate() }
}

/// The classify rules that come last.
pub(super) fn classify() -> impl Iterator<Item = ClassifyRule> {
    let by_name = BY_ALERTNAME.iter().map(|row| ("alertname", "", row));
    let by_service = BY_SERVICE.iter().flat_map(|row| [("service", "-by-service", row), ("job", "-by-job", row)]);
    by_name.chain(by_service).map(|(label, suffix, (category, team, words))| ClassifyRule {
        rule: RuleRef::built_in(&format!("{category}{suffix}")),
        matchers: vec![Matcher::new(label, MatchOp::Matches, &format!("(?i).*({words}).*")).expect("a test compiles it")],
        when: None,
        category: Some(Arc::from(*category)),
        subcategory: None,
        team: Some(Arc::from(*team)),
    })
}
