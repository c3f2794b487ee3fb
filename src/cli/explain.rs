//! `quell explain`: why. Asks a running daemon; with `--at` or `--data`, looks into a data directory itself, which may be
//! one that no daemon runs on any more.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::client::{Client, ClientArgs, block_on};
use super::failure::Failure;
use super::screen::{Screen, clean, now};
use super::{log, site};
use crate::model::{Fingerprint, IncidentId, Labels, MatchOp, Matcher, NotificationId, Time};
use crate::ruleset::{self, Ruleset, parse_matchers};
use crate::storage::log::LogFiles;
use crate::storage::view::ViewReader;
use crate::verify::explain::{self, Question, Records};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// An alert (its fingerprint, or matchers as `alertname="DiskFull",host="a"`), an incident (INC-7) or a notification
    subject: String,
    /// A second alert: why are the two not together?
    other: Option<String>,
    /// As it was at a moment: 2026-01-05T10:00:00Z, or so long ago, as 2h. Reads the log of the data directory
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Look into this data directory instead of asking a daemon [with --at, default: the configured one]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The rules to ask, when a data directory is looked into [default: the configured ones]
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// The configuration [default: quell.yaml, if it is here]
    #[arg(long, env = "QUELL_CONFIG", hide_env_values = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// What is asked about.
#[derive(Debug)]
enum Subject {
    Alert(Fingerprint),
    Matching(Vec<Matcher>),
    Incident(IncidentId),
    Notification(NotificationId),
}

impl Subject {
    fn parse(text: &str) -> Result<Subject, Failure> {
        if let Some(id) = IncidentId::parse(text).filter(|_| !text.starts_with(|c: char| c.is_ascii_digit())) {
            return Ok(Subject::Incident(id));
        }
        if let Some(fingerprint) = Fingerprint::parse(text) {
            return Ok(Subject::Alert(fingerprint));
        }
        let unknown = || {
            let failure = Failure::usage(format!("`{text}` is no alert, incident or notification"));
            failure.hint("name an incident (INC-7), a notification (its id), or an alert (its fingerprint, or matchers: 'alertname=\"DiskFull\"')")
        };
        if text.contains(['=', '~']) {
            let matchers = parse_matchers(text).map_err(|fault| unknown().hint(fault.message))?;
            return Ok(Subject::Matching(matchers));
        }
        let id = NotificationId::parse(text).filter(|_| text.contains('-'));
        id.map(Subject::Notification).ok_or_else(unknown)
    }
}

/// Explains and prints.
pub(super) fn run(args: &Args, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let subject = Subject::parse(&args.subject)?;
    let other = args.other.as_deref().map(Subject::parse).transpose()?;
    let answer = if args.at.is_some() || args.data.is_some() {
        from_files(args, &subject, other.as_ref(), screen)?
    } else {
        block_on(from_daemon(&Client::new(&args.client)?, &subject, other.as_ref()))?
    };
    if args.json {
        screen.json(&answer)?;
    } else {
        write!(screen.out, "{}", explain::text(&answer, clean))?;
    }
    Ok(0)
}

async fn from_daemon(client: &Client, subject: &Subject, other: Option<&Subject>) -> Result<Value, Failure> {
    let (list, id) = match subject {
        Subject::Incident(id) => ("incidents", id.to_string()),
        Subject::Notification(id) => ("notifications", id.0.to_string()),
        Subject::Alert(fingerprint) => ("alerts", fingerprint.to_string()),
        Subject::Matching(matchers) => ("alerts", find_live(client, matchers).await?.to_string()),
    };
    let query = match other {
        None => Vec::new(),
        Some(_) if list != "alerts" => return Err(not_a_pair()),
        Some(Subject::Alert(fingerprint)) => vec![("with", fingerprint.to_string())],
        Some(Subject::Matching(matchers)) => vec![("with", find_live(client, matchers).await?.to_string())],
        Some(_) => return Err(not_a_pair()),
    };
    client.get(&["v1", list, &id, "explain"], &query).await
}

fn not_a_pair() -> Failure {
    Failure::usage("of two things, both must be alerts")
}

/// The one alert, firing or past, that the matchers mean.
async fn find_live(client: &Client, matchers: &[Matcher]) -> Result<Fingerprint, Failure> {
    let mut query = vec![("status", "all".to_owned()), ("limit", "1000".to_owned())];
    let equal = matchers.iter().filter(|matcher| matcher.op == MatchOp::Equal && !matcher.value.is_empty());
    query.extend(equal.map(|matcher| ("label", format!("{}:{}", matcher.name, matcher.value))));
    let answer = client.get(&["v1", "alerts"], &query).await?;
    let mut found: Vec<(Fingerprint, Labels)> = Vec::new();
    for alert in answer["alerts"].as_array().into_iter().flatten() {
        let pairs = alert["labels"].as_object().into_iter().flatten();
        let labels = Labels::from_pairs(pairs.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))));
        let fingerprint = alert["fingerprint"].as_str().and_then(Fingerprint::parse);
        found.extend(fingerprint.zip(labels));
    }
    one_of(matchers, found.iter().map(|(fingerprint, labels)| (*fingerprint, labels)))
}

/// The only alert that satisfies the matchers.
fn one_of<'a>(matchers: &[Matcher], alerts: impl Iterator<Item = (Fingerprint, &'a Labels)>) -> Result<Fingerprint, Failure> {
    let mut found: Vec<(Fingerprint, &Labels)> =
        alerts.filter(|(_, labels)| matchers.iter().all(|matcher| matcher.matches(labels))).collect();
    found.sort_by_key(|(fingerprint, _)| *fingerprint);
    found.dedup_by_key(|(fingerprint, _)| *fingerprint);
    match found[..] {
        [(fingerprint, _)] => Ok(fingerprint),
        [] => Err(Failure::new("no alert satisfies these matchers")),
        _ => {
            let line =
                |(fingerprint, labels): &(Fingerprint, &Labels)| format!("\n  {fingerprint} {}", clean(&labels.to_string()));
            let some: String = found.iter().take(10).map(line).collect();
            Err(Failure::new(format!("{} alerts satisfy these matchers:{some}", found.len())).hint("name one by its fingerprint"))
        }
    }
}

/// Reads the log, and of what has left the engine's memory, the view.
fn from_files(args: &Args, subject: &Subject, other: Option<&Subject>, screen: &mut Screen<'_>) -> Result<Value, Failure> {
    let config = site::load(args.config.as_deref(), &[], screen)?;
    let (data, folder) = (args.data.clone().unwrap_or(config.data), args.rules.clone().unwrap_or(config.rules));
    let at = args.at.as_deref().map(parse_moment).transpose()?;
    let files = log::open(&data).and_then(LogFiles::open).map_err(|error| {
        let failure = Failure::usage(format!("there is no log to read in {}: {error}", data.display()));
        failure.hint("--data names a daemon's data directory")
    })?;
    let mut records = Records::from_log(&files, at).map_err(|error| Failure::new(error.to_string()))?;
    // What is in the log alone can be told without it.
    let view = ViewReader::open(&data.join("view.db")).ok();
    let rules = rules(&folder, records.rules_digest)?;
    let alert = |subject: &Subject, records: &Records| match subject {
        Subject::Alert(fingerprint) => Ok(*fingerprint),
        Subject::Matching(matchers) => {
            one_of(matchers, records.alerts.values().map(|record| (record.alert.fingerprint, record.labels())))
        }
        _ => Err(not_a_pair()),
    };
    let question = match (other, subject) {
        (Some(other), _) => Question::Pair(alert(subject, &records)?, alert(other, &records)?),
        (None, Subject::Incident(id)) => Question::Incident(*id),
        (None, Subject::Notification(id)) => Question::Notification(*id),
        (None, subject) => Question::Alert(alert(subject, &records)?),
    };
    let explained = records.answer(question, &files, view.as_ref(), &rules).map_err(|error| Failure::new(error.to_string()))?;
    let moment = if at.is_some() { format!(" at {}", records.now) } else { String::new() };
    let unknown = || Failure::new(format!("`{}` was not known{moment}", args.subject));
    Ok(explained.ok_or_else(unknown)?.to_json())
}

/// A moment, or a length of time before now.
fn parse_moment(text: &str) -> Result<Time, Failure> {
    explain::moment(text, now()).ok_or_else(|| {
        Failure::usage(format!("--at {text:?} is no moment"))
            .hint("write it as `2026-01-05T10:00:00Z`, or as `2h` for two hours ago")
    })
}

/// The rules of a folder, under the names that decisions give their files. A daemon's digest of them depends on the path by
/// which it was told of the folder: of this one and the absolute one, that counts whose digest is the daemon's.
fn rules(folder: &Path, digest: Option<u64>) -> Result<Ruleset, Failure> {
    let rules = load_rules(folder)?;
    if digest.is_none_or(|digest| digest == rules.digest) {
        return Ok(rules);
    }
    let Ok(absolute) = folder.canonicalize() else { return Ok(rules) };
    Ok(Some(load_rules(&absolute)?).filter(|same| Some(same.digest) == digest).unwrap_or(rules))
}

fn load_rules(folder: &Path) -> Result<Ruleset, Failure> {
    let files = if folder.exists() {
        ruleset::read_files(&[folder.to_owned()]).map_err(|error| Failure::usage(format!("rules cannot be read: {error}")))?
    } else {
        Vec::new()
    };
    if files.is_empty() {
        return Ok(Ruleset::built_in());
    }
    let loaded = ruleset::load(&files, None, ruleset::Limits::default()).map_err(|found| {
        let first = found.iter().find(|diagnostic| diagnostic.code.is_error()).map_or(String::new(), ToString::to_string);
        Failure::new(format!("the rules do not load: {first}")).hint("`quell check` says all that is wrong with them")
    })?;
    let mut rules = loaded.ruleset;
    rules.name_files_below(folder);
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Millis;

    #[test]
    fn subjects_are_told_apart() {
        let kind = |text: &str| match Subject::parse(text) {
            Ok(Subject::Alert(_)) => "alert",
            Ok(Subject::Matching(_)) => "matchers",
            Ok(Subject::Incident(_)) => "incident",
            Ok(Subject::Notification(_)) => "notification",
            Err(failure) => {
                assert_eq!(failure.code, 2);
                "nothing"
            }
        };
        let cases = [
            ("INC-7", "incident"),
            ("inc-7", "incident"),
            ("0123456789abcdef", "alert"),
            ("0123456789012345", "alert"),
            ("abcdefgh-12", "notification"),
            ("alertname=\"A\",host=a", "matchers"),
            ("host=~\"a.*\"", "matchers"),
            ("host=~\"(\"", "nothing"),
            ("7", "nothing"),
            ("", "nothing"),
        ];
        for (text, expected) in cases {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn what_a_sender_wrote_cannot_make_a_line_of_its_own() {
        let line = serde_json::json!({ "text": "x\nnote: all is well\u{1b}[2J", "reason": null });
        let answer = serde_json::json!({
            "kind": "alert", "id": "1", "title": "a\nb", "notes": [], "parts": [{ "question": "Why?", "lines": [line] }],
        });
        assert_eq!(explain::text(&answer, clean), "alert a b (1)\n\nWhy?\n  x note: all is well [2J\n");
    }

    #[test]
    fn moments_are_absolute_or_ago() {
        assert_eq!(parse_moment("1970-01-01T00:00:01Z").unwrap(), Time(1_000));
        let ago = parse_moment("2h").unwrap();
        assert!(now().since(ago) >= Millis::hours(2) && now().since(ago) < Millis::hours(3));
        assert_eq!(parse_moment("yesterday").unwrap_err().code, 2);
    }

    #[test]
    fn matchers_must_mean_one_alert() {
        let matchers = parse_matchers("host=~\"a|b\"").unwrap();
        let labels = |host: &str| Labels::from_pairs([("host", host)]).unwrap();
        let (a, b, c) = (labels("a"), labels("b"), labels("c"));
        let find = |alerts: &[&Labels]| one_of(&matchers, alerts.iter().map(|labels| (labels.fingerprint(), *labels)));
        // The same alert fires again and again.
        assert_eq!(find(&[&a, &c, &a]).unwrap(), a.fingerprint());
        let several = find(&[&a, &b]).unwrap_err();
        assert!(several.message.starts_with("2 alerts satisfy") && several.message.contains("{host=\"b\"}"), "{several:?}");
        assert_eq!(find(&[&c]).unwrap_err().message, "no alert satisfies these matchers");
    }
}
