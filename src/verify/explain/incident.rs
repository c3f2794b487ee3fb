//! Why an incident is there, what it is taken for, and who was told of it, or why nobody was.

use std::sync::Arc;

use super::alert::{quiet, rule_lines};
use super::alert_rules::ask;
use super::incident_rules::Case;
use super::words::{alert_name, incident_line, reason, rule_name, step};
use super::{Explanation, Line, RULES_SHOWN_MAX, Records, SHOWN_MAX, cut};
use crate::model::{AlertRecord, Incident, IncidentId, Matcher, NotificationKind, Reason, RuleRef};
use crate::ruleset::{Expression, Ruleset};
use crate::storage::view::TimelineEntry;

/// Explains an incident; `None` for one that is not known.
#[must_use]
pub fn explain_incident(records: &Records, rules: &Ruleset, id: IncidentId) -> Option<Explanation> {
    let incident = records.incidents.get(&id)?;
    let mut answer = Explanation {
        kind: "incident",
        id: id.to_string(),
        title: incident_line(incident),
        at: records.now,
        notes: records.notes(rules, incident.opened_at, Some(&incident.rule)),
        parts: Vec::new(),
    };
    parts(&mut answer, records, rules, incident);
    Some(answer)
}

/// All parts of an incident's explanation.
pub(super) fn parts(answer: &mut Explanation, records: &Records, rules: &Ruleset, incident: &Incident) {
    let members = records.members(incident.id);
    let case = Case { incident, members: &members, now: records.now };
    answer.part("Why is there an incident?", opening(records, incident));
    answer.part("Which alerts are in it?", alerts(records, &members));
    if let Some(first) = members.first() {
        answer.part("What does each correlate rule say of its first alert?", rule_lines(&ask(rules, first, records)));
    }
    answer.part("What is it taken for, and why?", classification(incident));
    answer.part("Why this priority?", priority(rules, incident, &case));
    answer.part("Who is told, and when?", escalation(records, rules, incident, &case));
    answer.part("Who has been told?", told(records, incident));
}

fn opening(records: &Records, incident: &Incident) -> Vec<Line> {
    let rule = &incident.rule;
    let text = format!("opened at {} by {}, key {}", incident.opened_at, rule_name(rule), incident.key);
    let mut lines = vec![Line::new(text).because(&Reason::Rule(rule.clone()))];
    if incident.status.is_active() {
        let text = format!(
            "it takes further alerts for {} after the last news ({}), until it is {} old",
            incident.window, incident.last_news_at, incident.max_age
        );
        lines.push(Line::new(text));
    }
    if let Some(parent) = incident.parent {
        lines.push(Line::new(format!("it is part of {parent}")));
    }
    match (&incident.said_type, &incident.major) {
        (Some(said), _) => {
            let (what, by) = (said.incident_type.as_str(), &said.by);
            lines.push(Line::new(format!("its type is {what}, says {by}: {}", said.why)).because(&Reason::Actor(by.clone())));
        }
        (None, Some(why)) => lines.push(Line::new(format!("it is a major incident: {}", reason(why))).because(why)),
        (None, None) => {}
    }
    let of_interest = [
        "incident_attached",
        "incident_detached",
        "merge_held",
        "incident_reopened",
        "incident_resolved",
        "incident_closed",
        "beat_missed",
        // Of what people report and of missed heartbeats only; other alerts' have no line.
        "alert_fired",
    ];
    lines.extend(moments(records, incident.id, &of_interest));
    lines
}

/// What an incident's timeline says of these kinds of moments.
fn moments(records: &Records, id: IncidentId, kinds: &[&str]) -> Vec<Line> {
    let entries = records.timelines.get(&id).into_iter().flatten();
    let entries = entries.filter(|entry| entry.at <= records.now && kinds.contains(&entry.kind.as_str()));
    let line = |entry: &TimelineEntry| Line::new(format!("{}: {}", entry.at, entry.text));
    cut(entries.map(line).collect(), SHOWN_MAX, "such moments")
}

fn alerts(records: &Records, members: &[Arc<AlertRecord>]) -> Vec<Line> {
    let line = |record: &Arc<AlertRecord>| {
        let quiet: Vec<String> = quiet(record, records).into_iter().map(|line| line.text).collect();
        let quiet = if quiet.is_empty() { String::new() } else { format!("; suppressed: {}", quiet.join("; ")) };
        Line::new(format!(
            "{}, {}, since {} ({}){quiet}",
            alert_name(record),
            record.status.as_str(),
            record.fired_at,
            record.alert.fingerprint
        ))
    };
    cut(members.iter().map(line).collect(), SHOWN_MAX, "alerts")
}

fn classification(incident: &Incident) -> Vec<Line> {
    let values = [
        ("category", Some(&incident.category)),
        ("subcategory", incident.subcategory.as_ref()),
        ("team", incident.team.as_ref()),
    ];
    let lines = values.into_iter().zip(incident.classified_by.iter()).filter_map(|((what, value), by)| {
        let value = value?;
        Some(match by {
            Some(by) => Line::new(format!("{what} {value}: {}", reason(by))).because(by),
            None => Line::new(format!("{what} {value}: nothing named another")),
        })
    });
    lines.collect()
}

fn priority(rules: &Ruleset, incident: &Incident, case: &Case<'_>) -> Vec<Line> {
    let (why, priority) = (&incident.priority_reason, incident.priority);
    let text = format!("P{priority} from impact {} and urgency {}: {}", incident.impact, incident.urgency, reason(why));
    let mut lines = vec![Line::new(text).because(why)];
    let by = match why {
        Reason::Rule(rule) => Some(&rule.name),
        _ => None,
    };
    let earlier = rules.prioritize.iter().take_while(|rule| Some(&rule.rule.name) != by);
    lines.extend(refusals(earlier.map(|rule| (&rule.rule, &*rule.matchers, rule.when.as_ref())), case));
    lines
}

fn escalation(records: &Records, rules: &Ruleset, incident: &Incident, case: &Case<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    for run in incident.policies.iter() {
        let counts = run.counts_from.map(|from| format!(", its times counted from {from}")).unwrap_or_default();
        let text = format!("{} applies since {}{counts}", rule_name(&run.rule), run.started_at);
        lines.push(Line::new(text).because(&Reason::Rule(run.rule.clone())));
        lines.extend(run.steps.iter().enumerate().map(|(number, it)| Line::new(step(number, it, run))));
        if let Some(paused_at) = run.paused_at {
            lines.push(Line::new(format!("it pauses since {paused_at}: every firing alert is suppressed")));
        }
    }
    if lines.is_empty() {
        lines.push(Line::new("nobody: no escalate rule fits, and there is no receiver named `default`"));
    }
    lines.extend(moments(records, incident.id, &["escalation_ended"]));
    let first = incident.policies.iter().map(|run| &run.rule.name).next();
    let earlier = rules.escalate.iter().take_while(|rule| Some(&rule.rule.name) != first);
    lines.extend(refusals(earlier.map(|rule| (&rule.rule, &*rule.matchers, rule.when.as_ref())), case));
    lines
}

/// Rules that do not hold, each with its first condition that fails.
fn refusals<'a>(rules: impl Iterator<Item = (&'a RuleRef, &'a [Matcher], Option<&'a Expression>)>, case: &Case<'_>) -> Vec<Line> {
    let line = |(rule, matchers, when): (&RuleRef, &[Matcher], Option<&Expression>)| {
        let said = match case.failing(matchers, when) {
            Some(why) => format!("not by {}: {why}", rule_name(rule)),
            None => format!("{} would hold now", rule_name(rule)),
        };
        Line::new(said).because(&Reason::Rule(rule.clone()))
    };
    cut(rules.map(line).collect(), RULES_SHOWN_MAX, "rules")
}

fn told(records: &Records, incident: &Incident) -> Vec<Line> {
    let ours = records.notifications.values().filter(|it| it.incident == incident.id);
    let line = |it: &Arc<crate::model::Notification>| {
        let again = if it.again && it.kind == NotificationKind::Trigger { " again" } else { "" };
        let (receiver, kind, state) = (&it.receiver, it.kind.as_str(), it.state.as_str());
        let id = it.id.external(&records.directory);
        let fault = it.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
        let text = format!("{receiver}, {kind}{again} at {}: {}; {state}{fault} ({id})", it.created_at, reason(&it.reason));
        Line::new(text).because(&it.reason)
    };
    let mut lines = cut(ours.map(line).collect(), 3 * SHOWN_MAX, "messages");
    if lines.is_empty() {
        lines.push(Line::new("nobody"));
    }
    lines
}
