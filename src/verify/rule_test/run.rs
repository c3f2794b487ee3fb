//! Plays one test and compares what became of it with what was expected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::pattern::{AlertPattern, IncidentPattern};
use super::{Check, RESOLVE_TIMEOUT, RuleTest, SENT_EACH, Word};
use crate::engine::{Fact, Input, News, Refusal};
use crate::model::incident::{PolicyStep, StepState};
use crate::model::{
    Actor, Alert, AlertRecord, AlertStatus, Fingerprint, Incident, Millis, NotificationKind, PolicyRun, Reason, Suppression,
};
use crate::ruleset::Ruleset;
use crate::verify::player::Player;

/// Alerts of one incident that are shown.
const ALERTS_SHOWN: usize = 5;

/// A moment at which a test failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// From the test's start.
    pub at: Millis,
    /// The line of the test file that was not met.
    pub line: u32,
    pub differences: Vec<Difference>,
    /// Every incident that was open then, as lines.
    pub open: Vec<Vec<String>>,
    /// Every alert that was suppressed then.
    pub suppressed: Vec<String>,
}

/// One thing that is not as it was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `INC-1 priority`
    pub what: String,
    pub expected: String,
    pub got: String,
    /// The rule, with file and line, or what else decided.
    pub reason: Option<String>,
}

/// Plays a test under rules. Empty: it has passed.
#[must_use]
pub fn run(test: &RuleTest, rules: &Arc<Ruleset>) -> Vec<Failure> {
    let mut player = Player::new(rules, test.start);
    let (mut failures, mut facts) = (Vec::new(), Vec::new());
    for event in timeline(test) {
        match event.what {
            What::Input(input) => {
                let answer = player.input(test.start + event.at, input, &mut facts);
                if let Err(refusal) = answer {
                    let difference = Difference {
                        what: "the act".to_owned(),
                        expected: "that it is done".to_owned(),
                        got: format!("refused: {}", refusal_text(&refusal)),
                        reason: None,
                    };
                    failures.push(failure(event.at, event.line, vec![difference], &player));
                }
            }
            What::Check(check) => {
                player.advance(test.start + event.at, &mut facts);
                let differences = differences(check, &player, &facts);
                facts.clear();
                if !differences.is_empty() {
                    failures.push(failure(event.at, event.line, differences, &player));
                }
            }
        }
    }
    failures
}

/// Something that happens in a test.
struct Event<'t> {
    at: Millis,
    line: u32,
    what: What<'t>,
}

enum What<'t> {
    Input(Input),
    Check(&'t Check),
}

/// Everything that happens, in order: at one moment first the alerts, then the acts, then the checks.
fn timeline(test: &RuleTest) -> Vec<Event<'_>> {
    let alerts = alert_inputs(test).into_iter().map(|(at, input)| Event { at, line: test.line, what: What::Input(input) });
    let acts = test.acts.iter().map(|line| {
        let input = Input::Act { act: line.act.clone(), by: Actor::Person(line.by.clone()) };
        Event { at: line.at, line: line.line, what: What::Input(input) }
    });
    let checks = test.checks.iter().map(|check| Event { at: check.at, line: check.line, what: What::Check(check) });
    let mut events: Vec<Event<'_>> = alerts.chain(acts).chain(checks).collect();
    // The sort keeps the order of what is equal.
    events.sort_by_key(|event| event.at);
    events
}

/// What the engine hears of the senders: what the daemon's dedup table would let by, and what would expire there. Repeats
/// are not among it, so a day of them costs nothing.
fn alert_inputs(test: &RuleTest) -> Vec<(Millis, Input)> {
    let mut inputs = Vec::new();
    let mut alive: BTreeMap<Fingerprint, Alive> = BTreeMap::new();
    for line in &test.alerts {
        let (at, fingerprint) = (line.at, line.alert.fingerprint);
        let over = alive.get(&fingerprint).and_then(|alive| alive.expires).filter(|expires| *expires <= at);
        if let Some(expires) = over {
            alive.remove(&fingerprint);
            inputs.push((expires, expired(test, fingerprint, expires)));
        }
        match (line.word, alive.get_mut(&fingerprint)) {
            (Word::Fires, None) => {
                alive.insert(fingerprint, Alive { since: at, expires: None });
                inputs.push((at, news(&line.alert, AlertStatus::Firing, test, at)));
            }
            // A sender that was silent for a while is back before anybody has noticed.
            (Word::Fires, Some(alive)) => *alive = Alive { since: at, expires: None },
            (Word::Resolves, Some(_)) => {
                alive.remove(&fingerprint);
                inputs.push((at, news(&line.alert, AlertStatus::Resolved, test, at)));
            }
            (Word::Stops, Some(alive)) if alive.expires.is_none() => {
                alive.expires = Some(Millis(last_word(alive.since, at).0 + RESOLVE_TIMEOUT.0));
            }
            (Word::Resolves, None) | (Word::Stops, _) => {}
        }
    }
    for (fingerprint, alive) in alive {
        inputs.extend(alive.expires.map(|expires| (expires, expired(test, fingerprint, expires))));
    }
    inputs.sort_by_key(|(at, _)| *at);
    inputs
}

/// What [`alert_inputs`] gives, in words.
#[cfg(test)]
pub(super) fn told(test: &RuleTest) -> Vec<String> {
    let word = |input: &Input| match input {
        Input::Alert(news) if news.status == AlertStatus::Firing => "fires",
        Input::Alert(_) => "resolves",
        _ => "expires",
    };
    alert_inputs(test).iter().map(|(at, input)| format!("{} {at}", word(input))).collect()
}

/// An alert that is sent each minute.
struct Alive {
    /// When it was sent first in this row.
    since: Millis,
    /// When it expires, once its sender has fallen silent.
    expires: Option<Millis>,
}

/// When an alert was sent last, before its sender falls silent at `stop`.
fn last_word(since: Millis, stop: Millis) -> Millis {
    let sent_for = (stop.0 - since.0 - 1).max(0);
    Millis(since.0 + sent_for - sent_for % SENT_EACH.0)
}

fn news(alert: &Arc<Alert>, status: AlertStatus, test: &RuleTest, at: Millis) -> Input {
    let ends_at = (status == AlertStatus::Resolved).then_some(test.start + at);
    Input::Alert(News { alert: alert.clone(), status, ends_at })
}

fn expired(test: &RuleTest, fingerprint: Fingerprint, at: Millis) -> Input {
    Input::Expired { fingerprint, expired_at: test.start + at }
}

fn refusal_text(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NoSuchIncident(id) => format!("there is no incident {id}"),
        Refusal::NoSuchNotification(id) => format!("there is no notification {}", id.0),
        Refusal::NoSuchSilence(id) => format!("there is no silence {id}"),
        Refusal::Forbidden(why) => why.clone(),
        Refusal::Limit(name) => format!("the limit {name} is reached"),
    }
}

fn failure(at: Millis, line: u32, differences: Vec<Difference>, player: &Player) -> Failure {
    let open = open(player).map(|incident| describe(incident, player)).collect();
    let suppressed = suppressed(player).into_iter().map(describe_suppressed).collect();
    Failure { at, line, differences, open, suppressed }
}

fn open(player: &Player) -> impl Iterator<Item = &Arc<Incident>> {
    player.state().incidents().filter(|incident| incident.status.is_active())
}

/// In the order in which they began to fire.
fn suppressed(player: &Player) -> Vec<&Arc<AlertRecord>> {
    let mut found: Vec<_> = player.state().alerts().filter(|record| record.is_firing() && record.is_suppressed()).collect();
    found.sort_by_key(|record| record.fired_seq);
    found
}

fn differences(check: &Check, player: &Player, facts: &[Fact]) -> Vec<Difference> {
    let mut found = Vec::new();
    if let Some(expected) = &check.incidents {
        let open: Vec<&Incident> = open(player).map(|incident| &**incident).collect();
        found.append(&mut incident_differences(expected, &open));
    }
    if let Some(expected) = &check.notified {
        found.extend(notified_difference(expected, facts));
    }
    if let Some(expected) = &check.suppressed {
        found.append(&mut suppressed_differences(expected, &suppressed(player)));
    }
    found
}

fn incident_differences(expected: &[IncidentPattern], open: &[&Incident]) -> Vec<Difference> {
    if expected.len() == open.len() {
        return expected.iter().zip(open).flat_map(|(expected, incident)| expected.differences(incident)).collect();
    }
    let what = || "open incidents".to_owned();
    let counts = Difference { what: what(), expected: expected.len().to_string(), got: open.len().to_string(), reason: None };
    // Which of them it is that is missing or too many can be seen from what finds no partner.
    let (missing, extra) = without_partners(expected, open, |pattern, incident| pattern.holds(incident));
    let missing = missing.map(|pattern| Difference {
        what: "an incident".to_owned(),
        expected: pattern.to_string(),
        got: "none like it".to_owned(),
        reason: None,
    });
    let extra = extra.map(|incident| Difference {
        what: incident.id.to_string(),
        expected: "no such incident".to_owned(),
        got: format!("{:?}", incident.title),
        reason: Some(format!("rule {}", incident.rule)),
    });
    std::iter::once(counts).chain(missing).chain(extra).collect()
}

/// First messages and further steps; updates, repetitions and what closes them are none.
fn notified_difference(expected: &[Arc<str>], facts: &[Fact]) -> Option<Difference> {
    let mut told: BTreeMap<&Arc<str>, BTreeSet<String>> = BTreeMap::new();
    let mut stepping = false;
    for fact in facts {
        match fact {
            Fact::EscalationStepped { skipped, .. } => stepping = !skipped,
            Fact::EscalationTold { .. } => stepping = false,
            Fact::NotificationQueued { notification: n } if n.kind == NotificationKind::Trigger && (stepping || !n.again) => {
                told.entry(&n.receiver).or_default().insert(format!("{} by {}", n.incident, reason_text(&n.reason)));
            }
            _ => {}
        }
    }
    let expected: BTreeSet<&Arc<str>> = expected.iter().collect();
    if told.keys().copied().eq(expected.iter().copied()) {
        return None;
    }
    let unexpected: Vec<String> = told
        .iter()
        .filter(|(receiver, _)| !expected.contains(*receiver))
        .map(|(receiver, of)| format!("{receiver} was told of {}", of.iter().cloned().collect::<Vec<_>>().join(" and ")))
        .collect();
    Some(Difference {
        what: "notified".to_owned(),
        expected: listed(expected.into_iter()),
        got: listed(told.into_keys()),
        reason: (!unexpected.is_empty()).then(|| unexpected.join("; ")),
    })
}

fn listed<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> String {
    format!("[{}]", names.map(|name| &**name).collect::<Vec<_>>().join(", "))
}

fn suppressed_differences(expected: &[AlertPattern], suppressed: &[&Arc<AlertRecord>]) -> Vec<Difference> {
    let (missing, extra) = without_partners(expected, suppressed, |pattern, record| pattern.holds(record));
    let what = || "suppressed".to_owned();
    let missing = missing.map(|pattern| Difference {
        what: what(),
        expected: pattern.to_string(),
        got: "none like it".to_owned(),
        reason: None,
    });
    let extra = extra.map(|record| Difference {
        what: what(),
        expected: "no such alert".to_owned(),
        got: record.labels().to_string(),
        reason: Some(suppressions(record)),
    });
    missing.chain(extra).collect()
}

/// Pairs expectations with things so that as many as can be have a partner, and gives what is left over of both. One
/// expectation may fit several things, so the first that fits may have to go to another one (Kuhn's matching).
fn without_partners<'a, P, T>(
    expected: &'a [P],
    things: &'a [T],
    fits: impl Fn(&P, &T) -> bool,
) -> (impl Iterator<Item = &'a P>, impl Iterator<Item = &'a T>) {
    fn pair<P, T>(
        number: usize,
        expected: &[P],
        things: &[T],
        fits: &impl Fn(&P, &T) -> bool,
        partner: &mut [Option<usize>],
        seen: &mut [bool],
    ) -> bool {
        for (at, thing) in things.iter().enumerate() {
            if seen[at] || !fits(&expected[number], thing) {
                continue;
            }
            seen[at] = true;
            let free = match partner[at] {
                None => true,
                Some(other) => pair(other, expected, things, fits, partner, seen),
            };
            if free {
                partner[at] = Some(number);
                return true;
            }
        }
        false
    }
    let mut partner: Vec<Option<usize>> = vec![None; things.len()];
    for number in 0..expected.len() {
        pair(number, expected, things, &fits, &mut partner, &mut vec![false; things.len()]);
    }
    let paired: BTreeSet<usize> = partner.iter().copied().flatten().collect();
    let missing = expected.iter().enumerate().filter(move |(number, _)| !paired.contains(number)).map(|(_, pattern)| pattern);
    let extra = things.iter().zip(partner).filter(|(_, partner)| partner.is_none()).map(|(thing, _)| thing);
    (missing, extra)
}

/// An open incident for people: what it is, why it is there, who is told, which alerts are in it.
fn describe(incident: &Incident, player: &Player) -> Vec<String> {
    let category = match &incident.subcategory {
        Some(subcategory) => format!("{}/{subcategory}", incident.category),
        None => incident.category.to_string(),
    };
    let team = incident.team.as_deref().unwrap_or("none");
    let mut lines = vec![
        format!(
            "{} {} P{} {category}, team {team}, {} of {} alerts fire: {}",
            incident.id,
            incident.status.as_str(),
            incident.priority,
            incident.alerts_firing,
            incident.alerts_total,
            incident.title
        ),
        format!("opened by rule {}, key {}", incident.rule, incident.key),
        format!("priority from {}", reason_text(&incident.priority_reason)),
    ];
    if incident.policies.is_empty() {
        lines.push("told nobody: no escalation rule fits".to_owned());
    }
    lines.extend(incident.policies.iter().map(|run| describe_policy(run, incident)));
    let mut alerts: Vec<_> = player.state().alerts().filter(|record| record.incidents.contains(&incident.id)).collect();
    alerts.sort_by_key(|record| record.fired_seq);
    lines.extend(alerts.iter().take(ALERTS_SHOWN).map(|record| format!("alert {} {}", record.labels(), record.status.as_str())));
    if alerts.len() > ALERTS_SHOWN {
        lines.push(format!("and {} more alerts", alerts.len() - ALERTS_SHOWN));
    }
    lines
}

fn describe_policy(run: &PolicyRun, incident: &Incident) -> String {
    let step = |step: &PolicyStep| {
        let state = match step.state {
            StepState::Done => "told",
            StepState::Skipped => "left out",
            StepState::Waiting => "waits for",
        };
        format!("; step after {}: {state} {}", step.due.since(incident.opened_at), step.notify.join(", "))
    };
    let steps: String = run.steps.iter().map(step).collect();
    let paused = if run.paused_at.is_some() { "; paused, because all that fires is suppressed" } else { "" };
    format!("escalation rule {}{steps}{paused}", run.rule)
}

fn describe_suppressed(record: &Arc<AlertRecord>) -> String {
    format!("{} by {}", record.labels(), suppressions(record))
}

fn suppressions(record: &AlertRecord) -> String {
    let one = |by: &Suppression| format!("{} ({})", by.kind.as_str(), reason_text(&by.reason));
    record.suppressed_by.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Why something was decided, with the rule's file and line.
pub(super) fn reason_text(reason: &Reason) -> String {
    match reason {
        Reason::Rule(rule) | Reason::Alert(_, rule) => format!("rule {rule}"),
        Reason::Silence(id) => format!("silence {id}"),
        Reason::Actor(actor) => format!("by {actor}"),
        Reason::Text(text) => text.to_string(),
    }
}
