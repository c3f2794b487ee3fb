//! Why two alerts are not in one incident: what each rule says to both, and what keeps them apart where one rule has both.

use std::sync::Arc;

use super::alert_rules::{Verdict, ask, taker};
use super::words::{alert_name, incident_line, rule_name};
use super::{Explanation, Line, RULES_SHOWN_MAX, Records, alert_rules, cut, ties};
use crate::model::{AlertRecord, Fingerprint, Incident, Labels, Reason, RuleRef};
use crate::ruleset::Ruleset;

/// Explains two alerts; `None` if one of them is not known.
#[must_use]
pub fn explain_pair(records: &Records, rules: &Ruleset, one: Fingerprint, other: Fingerprint) -> Option<Explanation> {
    let (one, other) = (records.alerts.get(&one)?, records.alerts.get(&other)?);
    let verdicts = [ask(rules, one, records), ask(rules, other, records)];
    let home = one.incidents.iter().chain(&other.incidents).find_map(|id| records.incidents.get(id));
    let mut answer = Explanation {
        kind: "pair",
        id: format!("{} {}", one.alert.fingerprint, other.alert.fingerprint),
        title: format!("{} (one) and {} (other)", alert_name(one), alert_name(other)),
        at: records.now,
        notes: records.notes(rules, one.fired_at.min(other.fired_at), home.map(|incident| &incident.rule)),
        parts: Vec::new(),
    };
    answer.part("Are they together?", together(one, other, records));
    answer.part("What keeps them apart?", apart([one, other], &verdicts, records, rules));
    answer.part("What does each rule say?", rule_lines(&verdicts));
    Some(answer)
}

fn together(one: &AlertRecord, other: &AlertRecord, records: &Records) -> Vec<Line> {
    let shared: Vec<_> = one.incidents.iter().filter(|id| other.incidents.contains(id)).collect();
    if !shared.is_empty() {
        let line = |id: &&crate::model::IncidentId| match records.incidents.get(*id) {
            Some(incident) => {
                let text = format!("yes, in {}; {}, key {}", incident_line(incident), rule_name(&incident.rule), incident.key);
                Line::new(text).because(&Reason::Rule(incident.rule.clone()))
            }
            None => Line::new(format!("yes, in {id}, which has closed")),
        };
        return shared.iter().map(line).collect();
    }
    let homes = |record: &AlertRecord| {
        let names: Vec<String> = record.incidents.iter().map(ToString::to_string).collect();
        if names.is_empty() { "in no incident".to_owned() } else { format!("in {}", names.join(", ")) }
    };
    let mut lines = vec![Line::new(format!("no: one is {}, the other {}", homes(one), homes(other)))];
    let parents = |record: &AlertRecord| -> Vec<_> {
        let homes = record.incidents.iter().filter_map(|id| records.incidents.get(id));
        homes.flat_map(|incident| [Some(incident.id), incident.parent]).flatten().collect()
    };
    let of_other = parents(other);
    if let Some(whole) = parents(one).into_iter().find(|id| of_other.contains(id)) {
        lines.push(Line::new(format!("but both belong to {whole}, as parts of it")));
    }
    lines
}

/// The reasons that rules have nothing to do with first, then the rules'.
fn apart(both: [&Arc<AlertRecord>; 2], verdicts: &[Vec<Verdict>; 2], records: &Records, rules: &Ruleset) -> Vec<Line> {
    if both[0].incidents.iter().any(|id| both[1].incidents.contains(id)) {
        return Vec::new();
    }
    let mut lines = Vec::new();
    for (name, record) in ["one", "the other"].into_iter().zip(both) {
        for line in super::alert::quiet(record, records) {
            lines.push(Line { text: format!("{name} is suppressed and joins nothing: {}", line.text), ..line });
        }
        lines.extend(record.waits().map(|waiting| {
            let what = alert_rules::awaited(alert_rules::rule_named(rules, &waiting.rule.name));
            let text = format!("{name} waits until {} under {}: {what}", waiting.until, rule_name(&waiting.rule));
            Line::new(text).because(&Reason::Rule(waiting.rule.clone()))
        }));
    }
    let [first, second] = [0, 1].map(|place| found_by(both[place], &verdicts[place], records));
    match (first, second) {
        (Some(one), Some(other)) if one.0.name == other.0.name => {
            match alert_rules::rule_named(rules, &one.0.name).filter(|rule| !rule.ties.is_empty()) {
                Some(rule) => {
                    let because = Reason::Rule(rule.rule.clone());
                    let found = ties::untied(rule, both[0], both[1], &rules.catalogue);
                    let line = |why| Line::new(format!("{}: {why}", rule_name(&rule.rule))).because(&because);
                    lines.extend(found.into_iter().map(line));
                }
                None => lines.extend(same_rule(one, other, both, records)),
            }
        }
        (Some((one, _)), Some((other, _))) => {
            lines.push(Line::new(format!("different rules take them: {} and {}", rule_name(one), rule_name(other))));
        }
        (Some((rule, _)), None) => lines.push(Line::new(format!("{} takes one, and no rule the other", rule_name(rule)))),
        (None, Some((rule, _))) => lines.push(Line::new(format!("{} takes the other, and no rule the one", rule_name(rule)))),
        (None, None) => lines.push(Line::new("no rule takes either")),
    }
    lines
}

/// The rule by which an alert came into its incident, with the key; or the one that says now that it takes it.
fn found_by<'a>(record: &AlertRecord, verdicts: &'a [Verdict], records: &'a Records) -> Option<(&'a RuleRef, &'a Labels)> {
    let home = record.incidents.iter().find_map(|id| records.incidents.get(id));
    home.map(|incident| (&incident.rule, &*incident.key)).or_else(|| taker(verdicts))
}

/// One rule takes both: the key differs, or the time.
fn same_rule(one: (&RuleRef, &Labels), other: (&RuleRef, &Labels), both: [&Arc<AlertRecord>; 2], records: &Records) -> Vec<Line> {
    let (rule, because) = (rule_name(one.0), Reason::Rule(one.0.clone()));
    if one.1 != other.1 {
        let mut names: Vec<&str> = one.1.iter().chain(other.1.iter()).map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        let differing = names.into_iter().filter(|name| one.1.get(name) != other.1.get(name));
        let line = |name| format!("{rule} groups by `{name}`, which is {:?} and {:?}", one.1.get(name), other.1.get(name));
        return differing.map(|name| Line::new(line(name)).because(&because)).collect();
    }
    let home = |record: &AlertRecord| {
        let homes = record.incidents.iter().filter_map(|id| records.incidents.get(id));
        homes.filter(|incident| incident.rule.name == one.0.name).min_by_key(|incident| incident.opened_at).cloned()
    };
    let homes = [home(both[0]), home(both[1])];
    let [Some(first), Some(second)] = homes else { return Vec::new() };
    let (earlier, later) =
        if (first.opened_at, first.id) <= (second.opened_at, second.id) { (first, second) } else { (second, first) };
    vec![
        Line::new(format!("{rule} takes both, with the same key; {}", why_not_joined(&earlier, &later, records)))
            .because(&because),
    ]
}

/// Why an incident of the same group did not take the alert that opened a later one.
fn why_not_joined(earlier: &Incident, later: &Incident, records: &Records) -> String {
    let (id, opened) = (earlier.id, later.opened_at);
    if let Some(closed) = earlier.closed_at.filter(|closed| *closed <= opened) {
        return format!("{id} had closed at {closed}, before {} opened", later.id);
    }
    let age = opened.since(earlier.opened_at);
    if age >= earlier.max_age {
        return format!("{id} was {age} old when {} opened, and takes alerts for {} at most", later.id, earlier.max_age);
    }
    let before = records.members(id).iter().map(|record| record.fired_at).filter(|at| *at < opened).max();
    let quiet = opened.since(before.unwrap_or(earlier.opened_at));
    if quiet >= earlier.window {
        return format!("{id} had had no news for {quiet} when {} opened, and its window is {}", later.id, earlier.window);
    }
    format!("{id} took no more when {} opened: it was resolved or full", later.id)
}

/// Each rule with what it says to both. Rules that neither is asked by are left out.
fn rule_lines(verdicts: &[Vec<Verdict>; 2]) -> Vec<Line> {
    let behind = |verdict: &Verdict| matches!(verdict.outcome, alert_rules::Outcome::Behind { .. });
    let asked = verdicts[0].iter().zip(&verdicts[1]).filter(|(one, other)| !(behind(one) && behind(other)));
    let line = |(one, other): (&Verdict, &Verdict)| {
        let text = if one.outcome == other.outcome {
            format!("{}: both: {}", one.rule, one.outcome.words())
        } else {
            format!("{}: one: {}; other: {}", one.rule, one.outcome.words(), other.outcome.words())
        };
        Line::new(text).because(&Reason::Rule(one.rule.clone()))
    };
    cut(asked.map(line).collect(), RULES_SHOWN_MAX, "rules")
}
