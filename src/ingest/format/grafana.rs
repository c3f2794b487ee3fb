//! Grafana's unified alerting, version 1: Alertmanager's webhook with more fields.
//!
//! Its labels are the identity, so that the fingerprint is the one that Grafana says, and the one that an Alertmanager says
//! which gets the same alert. An alert for "no data" has other labels; it is keyed by its rule.

use super::{Aside, Event, Field, Out, State, Unmapped, words};

const NO_DATA: &str = "DatasourceNoData";
const ERROR: &str = "DatasourceError";

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    if !body.get("alerts").is_list() {
        let old = body.is_there("ruleId") || body.is_there("evalMatches");
        let what = if old { "this is the form of Grafana before version 9" } else { "`alerts` is missing" };
        return Err(Unmapped(what.to_owned()));
    }
    if let Some(missing) = body.number("truncatedAlerts").filter(|missing| *missing > 0.0) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "above 0, and a count")]
        out.aside(Aside::Truncated(missing as u64));
    }
    out.each(body.list("alerts"), alert);
    Ok(())
}

fn alert(alert: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let state = match alert.need("status")?.as_str() {
        "firing" => State::Firing,
        "resolved" => State::Resolved,
        other => return Err(Unmapped(format!("`status` {other:?} is neither firing nor resolved"))),
    };
    let labels = alert.pairs("labels");
    let name = labels.iter().find(|(name, _)| name == "alertname").map(|(_, value)| value.clone());
    let name = name.ok_or_else(|| Unmapped("`labels.alertname` is missing".to_owned()))?;
    // A trial has this name and no rule; the page to try a contact point gives it.
    if name == "TestAlert" && !alert.is_there("ruleUID") {
        out.aside(Aside::Test);
        return Ok(());
    }
    let kind = if name == NO_DATA { Some("no-data") } else { (name == ERROR).then_some("error") };
    let mut event = match (kind, alert.text("ruleUID")) {
        (Some(kind), Some(rule)) => Event::new(format!("rule:{rule}/{kind}"), state).note("rule", Some(rule)),
        _ => Event::unkeyed(state),
    };
    let word = labels.iter().find(|(name, _)| name == "severity").map(|(_, value)| value.as_str());
    let severity = words::severity(alert.notes(), word, &[]);
    let ends_at = alert.time("endsAt").filter(|_| state == State::Resolved);
    let starts_at = alert.time("startsAt");
    event = event.severity(severity).no_data(kind == Some("no-data")).since(starts_at).at(ends_at.or(starts_at));
    event.labels = labels;
    event.annotations.extend(alert.pairs("annotations"));
    for (name, path) in [("dashboard", "panelURL"), ("dashboard", "dashboardURL"), ("values", "valueString")] {
        event = event.note(name, alert.text(path));
    }
    out.event(event.link(alert.text("generatorURL")));
    Ok(())
}
