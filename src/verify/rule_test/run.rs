//! Plays one test and compares what became of it with what was expected.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compare::differences;
use super::describe::{incident_lines, suppressed_line};
use super::{Check, RESOLVE_TIMEOUT, RuleTest, SENT_EACH, Word};
use crate::engine::{Input, News, Refusal};
use crate::model::{Actor, Alert, AlertRecord, AlertStatus, Fingerprint, Incident, Millis};
use crate::ruleset::Ruleset;
use crate::verify::player::Player;

/// Of what there was at the moment of a failure, and of the differences, as many are shown: a storm that went wrong would
/// fill the screen with what all looks alike.
const SHOWN_MAX: usize = 20;

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
    Input::Alert(News { alert: alert.clone(), status, ends_at, lasts: None })
}

fn expired(test: &RuleTest, fingerprint: Fingerprint, at: Millis) -> Input {
    Input::Expired { fingerprint, expired_at: test.start + at }
}

fn refusal_text(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NoSuchIncident(id) => format!("there is no incident {id}"),
        Refusal::NoSuchNotification(id) => format!("there is no notification {}", id.0),
        Refusal::NoSuchSilence(id) => format!("there is no silence {id}"),
        Refusal::NoSuchHeartbeat(name) => format!("no rule file has a heartbeat `{name}`"),
        Refusal::Forbidden(why) => why.clone(),
        Refusal::Limit(name) => format!("the limit {name} is reached"),
    }
}

fn failure(at: Millis, line: u32, mut differences: Vec<Difference>, player: &Player) -> Failure {
    let more = differences.len().saturating_sub(SHOWN_MAX);
    differences.truncate(SHOWN_MAX);
    if more > 0 {
        let what = "and so on".to_owned();
        differences.push(Difference { what, expected: "no more".to_owned(), got: format!("{more} more"), reason: None });
    }
    let mut open_incidents = open(player);
    let mut open: Vec<Vec<String>> =
        open_incidents.by_ref().take(SHOWN_MAX).map(|incident| incident_lines(incident, player)).collect();
    open.extend(and_more(open_incidents.count()).map(|line| vec![line]));
    let records = suppressed(player);
    let mut suppressed: Vec<String> = records.iter().take(SHOWN_MAX).map(|record| suppressed_line(record)).collect();
    suppressed.extend(and_more(records.len().saturating_sub(SHOWN_MAX)));
    Failure { at, line, differences, open, suppressed }
}

fn and_more(count: usize) -> Option<String> {
    (count > 0).then(|| format!("and {count} more"))
}

/// All that is neither resolved nor closed, in order of opening.
pub(super) fn open(player: &Player) -> impl Iterator<Item = &Arc<Incident>> {
    player.state().incidents().filter(|incident| incident.status.is_active())
}

/// What fires and is suppressed, in the order in which it began to fire.
pub(super) fn suppressed(player: &Player) -> Vec<&Arc<AlertRecord>> {
    let mut found: Vec<_> = player.state().alerts().filter(|record| record.is_firing() && record.is_suppressed()).collect();
    found.sort_by_key(|record| record.fired_seq);
    found
}
