//! What an incident probably comes from: things, ranked, each with its reasons as values that read as sentences.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::labels::Labels;
use super::time::Millis;

/// Causes that are kept of one incident.
pub const CAUSES_MAX: usize = 5;

/// One probable cause of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The thing, as [`thing`] names it.
    pub entity: Arc<str>,
    /// How much speaks for it, 1 to 100. Comparable within one incident, and no probability.
    pub score: u32,
    /// The weightiest first.
    pub reasons: Vec<CauseReason>,
}

/// One thing that speaks for a cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CauseReason {
    /// So many of so many other alerting things depend on it or are part of it.
    Carries { dependents: u32, of: u32 },
    /// It depends on things, and none of them alerts.
    Deepest,
    /// Services run on such things; so many of so many services that alert are in the same place.
    Beneath { services: u32, of: u32 },
    /// What its gravest alert says by its name.
    Says { alert: Arc<str>, symptom: Symptom },
    /// How long after the incident's first alert its own first one came.
    Came { after: Millis },
    /// It was changed so long before its first alert; for one that raises none, before the first of those that depend on it.
    Changed { kind: Arc<str>, summary: Arc<str>, before: Millis },
    /// It raises no alert, but so many of the so many things that depend on it do.
    Silent { dependents: u32, of: u32 },
}

/// How grave a condition is as a cause, by the words in the alert's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Symptom {
    /// It does not work or cannot be reached.
    Down,
    /// It has run out of something: disk, memory, connections.
    Saturated,
    /// What is asked of it fails.
    Failing,
    /// It is slow or behind, or its users notice.
    Slow,
    /// The name says nothing of that.
    Unclear,
    /// Nobody asks anything of it: the trouble is with those who do not.
    Starved,
}

/// Kinds of things that a name may say itself, before a slash.
const KINDS: [&str; 6] = ["service", "host", "rack", "cluster", "region", "external"];

/// The name of a service as a thing: `service/cart`, unless it says its kind itself, as `external/payments` does.
#[must_use]
pub fn thing(service: &str) -> Arc<str> {
    match service.split_once('/') {
        Some((kind, name)) if !name.is_empty() && KINDS.contains(&kind) => service.into(),
        _ => format!("service/{service}").into(),
    }
}

/// The name by which the catalogue knows a thing; other kinds than services it knows by the whole of it.
#[must_use]
pub fn catalogue_name(thing: &str) -> &str {
    thing.strip_prefix("service/").unwrap_or(thing)
}

/// Words for environments; those of one row mean the same.
const ENVIRONMENTS: [&[&str]; 5] = [
    &["prod", "production", "prd", "live"],
    &["staging", "stage", "stg", "preprod", "pre-production", "uat"],
    &["test", "testing", "qa"],
    &["dev", "development", "develop"],
    &["review", "preview", "sandbox"],
];

/// Whether two words for an environment certainly mean different ones. What neither of us knows might be another name.
#[must_use]
pub fn other_environment(one: &str, other: &str) -> bool {
    let row = |word: &str| ENVIRONMENTS.iter().position(|row| row.iter().any(|known| known.eq_ignore_ascii_case(word)));
    matches!((row(one), row(other)), (Some(one), Some(other)) if one != other)
}

/// The environment that an alert says it happens in; empty where it says none.
#[must_use]
pub fn environment_of(labels: &Labels) -> &str {
    first_of(labels, &["environment", "env"]).unwrap_or_default()
}

/// What an alert is about: what its label `entity` says; else its service; else its host, rack or cluster.
#[must_use]
pub fn thing_of(labels: &Labels) -> Option<Arc<str>> {
    if let Some(named) = first_of(labels, &["entity", "service"]) {
        return Some(thing(named));
    }
    if let Some(host) = host_of(labels) {
        return Some(format!("host/{host}").into());
    }
    let larger = ["rack", "cluster", "region"].into_iter().find(|name| !labels.get(name).is_empty())?;
    Some(format!("{larger}/{}", labels.get(larger)).into())
}

/// The larger things that an alert says it happens in, the narrowest first.
pub fn places_of(labels: &Labels) -> impl Iterator<Item = Arc<str>> + '_ {
    let host = host_of(labels).map(|host| format!("host/{host}").into());
    let larger = ["rack", "cluster"].into_iter().filter(|name| !labels.get(name).is_empty());
    host.into_iter().chain(larger.map(|name| format!("{name}/{}", labels.get(name)).into()))
}

/// The host of an alert; of an `instance` without the port, and not where that is an address of the web.
fn host_of(labels: &Labels) -> Option<&str> {
    let instance = || {
        let instance = labels.get("instance");
        let host = instance.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
        Some(host.map_or(instance, |(host, _)| host)).filter(|host| !host.is_empty() && !host.contains('/'))
    };
    first_of(labels, &["host", "node", "hostname"]).or_else(instance)
}

fn first_of<'a>(labels: &'a Labels, names: &[&str]) -> Option<&'a str> {
    names.iter().map(|name| labels.get(name)).find(|value| !value.is_empty())
}

/// Words of alert names, by what they say of the thing. Conservative: a word that could mean two things stands under the
/// lighter one or nowhere, and the gravest word of a name decides.
const WORDS: [(Symptom, &[&str]); 4] = [
    (
        Symptom::Down,
        &[
            "down",
            "unreachable",
            "unavailable",
            "offline",
            "dead",
            "died",
            "absent",
            "missing",
            "outage",
            "crash",
            "crashed",
            "crashing",
            "crashloop",
            "crashlooping",
            "lost",
            "expired",
            "panic",
            "stopped",
        ],
    ),
    (
        Symptom::Saturated,
        &[
            "full",
            "disk",
            "filesystem",
            "inode",
            "inodes",
            "volume",
            "storage",
            "memory",
            "oom",
            "killed",
            "swap",
            "cpu",
            "load",
            "saturation",
            "saturated",
            "exhausted",
            "exhaustion",
            "pressure",
            "connections",
            "quota",
            "capacity",
            "throttled",
            "throttling",
            "evictions",
            "pool",
        ],
    ),
    (
        Symptom::Failing,
        &[
            "error",
            "errors",
            "failed",
            "failing",
            "failure",
            "failures",
            "fails",
            "5xx",
            "exception",
            "exceptions",
            "rejected",
            "availability",
        ],
    ),
    (
        Symptom::Slow,
        &[
            "latency", "slow", "duration", "timeout", "timeouts", "lag", "behind", "delay", "delayed", "burn", "burnrate", "slo",
            "budget", "apdex", "queue", "backlog", "requests", "traffic",
        ],
    ),
];

/// A word of these and one of the next say together that nobody asks anything of a thing.
const NOTHING: &[&str] = &["no", "zero", "without"];
const ASKED: &[&str] = &["requests", "traffic", "messages", "calls", "operations", "orders", "queries"];

impl Symptom {
    /// What an alert's name says.
    #[must_use]
    pub fn of(alertname: &str) -> Symptom {
        let said = |known: &[&str]| words(alertname).any(|word| known.contains(&&*word));
        if said(NOTHING) && said(ASKED) {
            return Symptom::Starved;
        }
        WORDS.iter().find(|(_, known)| said(known)).map_or(Symptom::Unclear, |(symptom, _)| *symptom)
    }
}

/// The words of a name in `CamelCase`, `snake_case` or with spaces, in lower case. Capitals in a row are one word.
fn words(name: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut rest = name;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| !c.is_alphanumeric());
        let mut before: Option<char> = None;
        let mut chars = rest.char_indices().peekable();
        let mut end = rest.len();
        while let Some((place, c)) = chars.next() {
            let next_is_small = chars.peek().is_some_and(|(_, next)| next.is_lowercase());
            let begins = before.is_some_and(|before| c.is_uppercase() && (before.is_lowercase() || next_is_small));
            if begins || !c.is_alphanumeric() {
                end = place;
                break;
            }
            before = Some(c);
        }
        let (word, behind) = rest.split_at(end);
        rest = behind;
        (!word.is_empty())
            .then(|| if word.bytes().any(|b| b.is_ascii_uppercase()) { word.to_lowercase().into() } else { word.into() })
    })
}

impl Cause {
    /// `service/cart-db (72): nothing that it depends on alerts; …`, the weightiest reasons only.
    #[must_use]
    pub fn sentence(&self, reasons_max: usize) -> String {
        let reasons: Vec<String> = self.reasons.iter().take(reasons_max).map(ToString::to_string).collect();
        format!("{} ({}): {}", self.entity, self.score, reasons.join("; "))
    }
}

impl fmt::Display for CauseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CauseReason::Carries { dependents: 1, of: 1 } => f.write_str("the other thing that alerts depends on it"),
            CauseReason::Carries { dependents, of } if dependents == of => {
                write!(f, "all {of} other things that alert depend on it or are part of it")
            }
            CauseReason::Carries { dependents, of } => {
                write!(f, "{dependents} of the {of} other things that alert depend on it or are part of it")
            }
            CauseReason::Beneath { services: 1, of: 1 } => {
                f.write_str("services run on it, and the one that alerts is in its place")
            }
            CauseReason::Beneath { services, of } => {
                write!(f, "services run on it, and {services} of the {of} that alert are in its place")
            }
            CauseReason::Deepest => f.write_str("nothing that it depends on alerts"),
            CauseReason::Says { alert, symptom } => match symptom {
                Symptom::Down => write!(f, "{alert} says that it does not work or cannot be reached"),
                Symptom::Saturated => write!(f, "{alert} says that it runs out of something"),
                Symptom::Failing => write!(f, "{alert} says that what is asked of it fails"),
                Symptom::Slow => write!(f, "{alert} says that it is slow or behind"),
                Symptom::Unclear => write!(f, "it raises {alert}"),
                Symptom::Starved => write!(f, "{alert} says that nobody asks anything of it"),
            },
            CauseReason::Came { after: Millis::ZERO } => f.write_str("it alerted first, which the cause often does not"),
            CauseReason::Came { after } => write!(f, "it alerted {after} after the first"),
            CauseReason::Changed { kind, summary, before } => {
                write!(f, "{kind} {before} before the first alert of it or of what depends on it")?;
                if summary.is_empty() { Ok(()) } else { write!(f, ": {summary}") }
            }
            CauseReason::Silent { dependents: 1, of: 1 } => {
                f.write_str("it raises no alert itself, but the only thing that depends on it does")
            }
            CauseReason::Silent { dependents, of } if dependents == of => {
                write!(f, "it raises no alert itself, but all {of} things that depend on it do")
            }
            CauseReason::Silent { dependents, of } => {
                write!(f, "it raises no alert itself, but {dependents} of the {of} things that depend on it do")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_the_matter() {
        let cases = [
            ("NodeDown", Symptom::Down),
            ("KubePodCrashLooping", Symptom::Down),
            ("KubeAPIDown", Symptom::Down),
            ("certificate_expired", Symptom::Down),
            ("Prometheus target missing", Symptom::Down),
            ("NodeFilesystemAlmostFull", Symptom::Saturated),
            ("HostOutOfMemory", Symptom::Saturated),
            ("CPUThrottlingHigh", Symptom::Saturated),
            ("HighRequestErrorRate", Symptom::Failing),
            ("Http5xx", Symptom::Unclear),
            ("nginx-5xx-rate", Symptom::Failing),
            ("LowAvailability", Symptom::Failing),
            ("HighRequestLatency", Symptom::Slow),
            ("SLOBurnRateFast", Symptom::Slow),
            ("NoRequestsReceived", Symptom::Starved),
            ("HighRequests", Symptom::Slow),
            ("Downtown", Symptom::Unclear),
            ("Watchdog", Symptom::Unclear),
            ("", Symptom::Unclear),
        ];
        for (name, expected) in cases {
            assert_eq!(Symptom::of(name), expected, "{name}: {:?}", words(name).collect::<Vec<_>>());
        }
    }

    /// Labels, what an alert with them is about, and where it happens.
    type About<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>, &'a str);

    #[test]
    fn alerts_say_what_they_are_about() {
        let cases: [About; 9] = [
            (&[("service", "cart"), ("instance", "a:80"), ("cluster", "eu1")], Some("service/cart"), "host/a cluster/eu1"),
            (&[("service", "external/payments")], Some("external/payments"), ""),
            (&[("service", "team/cart")], Some("service/team/cart"), ""),
            (&[("entity", "host/a"), ("service", "cart")], Some("host/a"), ""),
            (&[("node", "a"), ("rack", "r1"), ("cluster", "eu1")], Some("host/a"), "host/a rack/r1 cluster/eu1"),
            (&[("instance", "a.example:9100")], Some("host/a.example"), "host/a.example"),
            (&[("instance", "https://a.example/health"), ("region", "eu")], Some("region/eu"), ""),
            (&[("cluster", "eu1")], Some("cluster/eu1"), "cluster/eu1"),
            (&[("alertname", "Odd")], None, ""),
        ];
        for (pairs, expected, places) in cases {
            let labels = Labels::from_pairs(pairs.iter().copied()).unwrap();
            assert_eq!(thing_of(&labels).as_deref(), expected, "{labels}");
            assert_eq!(places_of(&labels).collect::<Vec<_>>().join(" "), places, "{labels}");
        }
    }

    #[test]
    fn reasons_read_as_sentences() {
        let says = |symptom| CauseReason::Says { alert: "NodeDown".into(), symptom };
        let changed =
            |summary: &str| CauseReason::Changed { kind: "deploy".into(), summary: summary.into(), before: Millis::minutes(3) };
        let cases = [
            (CauseReason::Carries { dependents: 3, of: 4 }, "3 of the 4 other things that alert depend on it or are part of it"),
            (CauseReason::Carries { dependents: 4, of: 4 }, "all 4 other things that alert depend on it or are part of it"),
            (CauseReason::Carries { dependents: 1, of: 1 }, "the other thing that alerts depends on it"),
            (CauseReason::Beneath { services: 2, of: 3 }, "services run on it, and 2 of the 3 that alert are in its place"),
            (CauseReason::Deepest, "nothing that it depends on alerts"),
            (says(Symptom::Down), "NodeDown says that it does not work or cannot be reached"),
            (says(Symptom::Unclear), "it raises NodeDown"),
            (CauseReason::Came { after: Millis::ZERO }, "it alerted first, which the cause often does not"),
            (CauseReason::Came { after: Millis::seconds(40) }, "it alerted 40s after the first"),
            (changed(""), "deploy 3m before the first alert of it or of what depends on it"),
            (changed("v42"), "deploy 3m before the first alert of it or of what depends on it: v42"),
            (
                CauseReason::Silent { dependents: 3, of: 4 },
                "it raises no alert itself, but 3 of the 4 things that depend on it do",
            ),
        ];
        for (reason, expected) in cases {
            assert_eq!(reason.to_string(), expected);
        }
    }
}
