//! Why an alert is where it is, or why nobody hears of it.

use super::alert_rules::{Outcome, Verdict, ask, awaited, rule_named};
use super::words::{alert_name, incident_line, rule_name, suppression};
use super::{Explanation, Line, RULES_SHOWN_MAX, Records, cut, history};
use crate::model::{AlertRecord, Fingerprint, Reason};
use crate::ruleset::Ruleset;

/// Explains an alert; `None` for one that is not known.
#[must_use]
pub fn explain_alert(records: &Records, rules: &Ruleset, fingerprint: Fingerprint) -> Option<Explanation> {
    let record = records.alerts.get(&fingerprint)?;
    let verdicts = ask(rules, record, records);
    let home = record.incidents.iter().rev().find_map(|id| records.incidents.get(id));
    let mut answer = Explanation {
        kind: "alert",
        id: fingerprint.to_string(),
        title: format!("{}, {} since {}", alert_name(record), record.status.as_str(), record.fired_at),
        at: records.now,
        notes: records.notes(rules, record.fired_at, home.map(|incident| &incident.rule)),
        parts: Vec::new(),
    };
    answer.part("What is it?", identity(record));
    answer.part("Who keeps it quiet?", quiet(record, records));
    answer.part("Where is it?", whereabouts(record, records, rules, &verdicts));
    answer.part("What does each rule say?", rule_lines(&verdicts));
    answer.part("What happened to it?", history::lines(records, fingerprint));
    Some(answer)
}

fn identity(record: &AlertRecord) -> Vec<Line> {
    let alert = &record.alert;
    let from = if alert.is_report() {
        format!("reported by {}", alert.annotations.get("reporter"))
    } else if alert.is_heartbeat() {
        "raised by Quell".to_owned()
    } else {
        format!("sent by {}", alert.source)
    };
    let mut lines = vec![Line::new(format!("{from} as {}", alert.labels))];
    if alert.is_heartbeat() {
        lines.push(Line::new(alert.annotations.get("summary")));
    }
    if let Some(enriched) = &record.enriched {
        lines.push(Line::new(format!("rules see it as {enriched}")));
    }
    if let Some(ends_at) = record.ends_at {
        lines.push(Line::new(format!("it ended at {ends_at}")));
    }
    lines
}

/// Everything that suppresses it.
pub(super) fn quiet(record: &AlertRecord, records: &Records) -> Vec<Line> {
    let line = |by: &crate::model::Suppression| {
        let more = match &by.reason {
            Reason::Silence(id) => {
                let silence = records.silences.get(id);
                silence.map(|it| format!(" ({}, made by {})", it.comment, it.created_by)).unwrap_or_default()
            }
            Reason::Alert(source, _) => {
                let source = records.alerts.get(source);
                source.map(|it| format!(" (that is {})", alert_name(it))).unwrap_or_default()
            }
            _ => String::new(),
        };
        Line::new(format!("{}{more}", suppression(by))).because(&by.reason)
    };
    record.suppressed_by.iter().map(line).collect()
}

/// The incidents that it is in; or why it is in none.
fn whereabouts(record: &AlertRecord, records: &Records, rules: &Ruleset, verdicts: &[Verdict]) -> Vec<Line> {
    let mut lines = Vec::new();
    for id in &record.incidents {
        let line = match records.incidents.get(id) {
            Some(incident) => {
                let text = format!("{}; opened by {}, key {}", incident_line(incident), rule_name(&incident.rule), incident.key);
                Line::new(text).because(&Reason::Rule(incident.rule.clone()))
            }
            None => Line::new(format!("{id}, which has closed")),
        };
        lines.push(line);
    }
    if record.alert.is_report() && !record.incidents.is_empty() {
        let text = "a report joins the most urgent open incident on its service; without one, the first rule that matches and \
                    waits for nothing takes it";
        lines.push(Line::new(text));
    }
    lines.extend(record.waits().map(|waiting| {
        let what = awaited(rule_named(rules, &waiting.rule.name));
        let text = format!("it waits until {} under {}, as {}: {what}", waiting.until, rule_name(&waiting.rule), waiting.key);
        Line::new(text).because(&Reason::Rule(waiting.rule.clone()))
    }));
    if let Some(beat) = &record.beat {
        let text = format!("it is the beat of {}, to be heard of again within {}", rule_name(&beat.rule), beat.within);
        lines.push(Line::new(text).because(&Reason::Rule(beat.rule.clone())));
    }
    if lines.is_empty() {
        lines.push(Line::new(why_nowhere(record, verdicts)));
    }
    lines
}

fn why_nowhere(record: &AlertRecord, verdicts: &[Verdict]) -> String {
    let counted = verdicts.iter().find(|verdict| matches!(verdict.outcome, Outcome::Counts { .. }));
    match counted {
        _ if record.is_suppressed() => "in no incident: a suppressed alert opens and joins none".to_owned(),
        _ if !record.is_firing() => "in no incident: it ended before it was to join one".to_owned(),
        Some(verdict) => format!("in no incident: too few others came for {}", rule_name(&verdict.rule)),
        None => "in no incident: no rule took it".to_owned(),
    }
}

/// Each rule with its verdict.
pub(super) fn rule_lines(verdicts: &[Verdict]) -> Vec<Line> {
    let asked = verdicts.iter().filter(|verdict| !matches!(verdict.outcome, Outcome::Behind { .. }));
    let line = |verdict: &Verdict| {
        Line::new(format!("{}: {}", verdict.rule, verdict.outcome.words())).because(&Reason::Rule(verdict.rule.clone()))
    };
    cut(asked.map(line).collect(), RULES_SHOWN_MAX, "rules")
}
