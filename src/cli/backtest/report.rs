//! What differs, for people and for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::cli::failure::Failure;
use crate::cli::screen::{Screen, Tone, clean};
use crate::model::IncidentId;
use crate::verify::backtest::outcome::Outcome;
use crate::verify::backtest::{Comparison, compare};

/// Examples of each difference that are shown.
const EXAMPLES_MAX: usize = 5;

/// What was played.
#[derive(Debug)]
pub(super) struct Played {
    /// Words of senders.
    pub(super) alerts: u64,
    /// Those that were not taken, and why the first of them were not.
    pub(super) rejected: u64,
    pub(super) faults: Vec<String>,
    /// `None` where there is nothing to compare with.
    pub(super) baseline: Option<Outcome>,
    pub(super) new: Outcome,
}

/// What was played, and what differs.
pub(super) struct Report<'p> {
    played: &'p Played,
    comparison: Comparison,
}

impl<'p> Report<'p> {
    pub(super) fn of(played: &'p Played) -> Report<'p> {
        let comparison = played.baseline.as_ref().map(|baseline| compare(baseline, &played.new)).unwrap_or_default();
        Report { played, comparison }
    }

    pub(super) fn as_json(&self) -> Value {
        let Report { played, comparison: it } = self;
        let before = |id: &IncidentId| incident(played.baseline.as_ref(), *id);
        let now = |id: &IncidentId| incident(Some(&played.new), *id);
        json!({
            "alerts": played.alerts,
            "rejected": played.rejected,
            "occurrences": played.new.occurrences.len(),
            "incidents": {
                "baseline": played.baseline.as_ref().map(|baseline| baseline.incidents.len()),
                "new": played.new.incidents.len(),
                "same": it.same,
            },
            "gained": it.gained.iter().map(now).collect::<Vec<_>>(),
            "lost": it.lost.iter().map(before).collect::<Vec<_>>(),
            "merged": it.merged.iter()
                .map(|(id, of)| json!({ "new": now(id), "baseline": of.iter().map(before).collect::<Vec<_>>() }))
                .collect::<Vec<_>>(),
            "split": it.split.iter()
                .map(|(id, into)| json!({ "baseline": before(id), "new": into.iter().map(now).collect::<Vec<_>>() }))
                .collect::<Vec<_>>(),
            "changed": it.changed.iter().map(|(id, to)| json!({ "baseline": before(id), "new": now(to) })).collect::<Vec<_>>(),
            "pages": self.pages(|outcome| &outcome.pages),
            "pages_by_team": self.pages(|outcome| &outcome.pages_by_team),
        })
    }

    /// Numbers under names, in both outcomes.
    fn pages(&self, of: impl Fn(&Outcome) -> &BTreeMap<Arc<str>, u64>) -> Value {
        let rows = self.counts(of).into_iter();
        rows.map(|(name, (baseline, new))| (name.to_string(), json!({ "baseline": baseline, "new": new }))).collect()
    }

    fn counts(&self, of: impl Fn(&Outcome) -> &BTreeMap<Arc<str>, u64>) -> BTreeMap<Arc<str>, (Option<u64>, u64)> {
        let before = self.played.baseline.as_ref().map(&of);
        let now = of(&self.played.new);
        let names: BTreeSet<&Arc<str>> = before.into_iter().flat_map(BTreeMap::keys).chain(now.keys()).collect();
        let count = |of: &BTreeMap<Arc<str>, u64>, name: &Arc<str>| of.get(name).copied().unwrap_or(0);
        names.into_iter().map(|name| (name.clone(), (before.map(|it| count(it, name)), count(now, name)))).collect()
    }

    /// Says what was not taken.
    pub(super) fn warn(&self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        for fault in &self.played.faults {
            writeln!(screen.err, "warning: {}", clean(fault))?;
        }
        for rule in &self.played.new.merged_too_much {
            let rule = clean(rule);
            writeln!(
                screen.err,
                "warning: the rule {rule} merges more incidents within an hour than limits.merges_per_hour; the others stood for themselves"
            )?;
        }
        if self.played.rejected > 0 {
            let of = counted(self.played.alerts, "alert");
            writeln!(screen.err, "note: {} of {of} were not taken", self.played.rejected)?;
        }
        Ok(())
    }

    pub(super) fn show(&self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let Report { played, comparison: it } = self;
        let rows =
            [("incidents", played.baseline.as_ref().map(|it| it.incidents.len() as u64), played.new.incidents.len() as u64)];
        let rows = rows.into_iter().map(|(name, before, now)| row(name, before, now));
        let pages =
            self.counts(|outcome| &outcome.pages).into_iter().map(|(name, it)| row(&format!("pages to {name}"), it.0, it.1));
        let teams = self.counts(|outcome| &outcome.pages_by_team).into_iter().map(|(name, it)| {
            let whose = if name.is_empty() { "pages without a team".to_owned() } else { format!("pages of team {name}") };
            row(&whose, it.0, it.1)
        });
        screen.table(&["COUNT", "BASELINE", "NEW", "MORE OR FEWER"], rows.chain(pages).chain(teams).collect())?;
        if let Some(baseline) = &played.baseline {
            let line = |of: &Outcome, id: &IncidentId| sentence(of, *id);
            let alone = |of: &Outcome, id: &IncidentId| format!("{}, first {}", sentence(of, *id), first_alert(of, *id));
            let lines = |of: &Outcome, ids: &[IncidentId]| ids.iter().map(|id| line(of, id)).collect::<Vec<_>>().join("; ");
            let new = &played.new;
            list(screen, "gained", it.gained.iter().map(|id| alone(new, id)))?;
            list(screen, "lost", it.lost.iter().map(|id| alone(baseline, id)))?;
            let merged = it.merged.iter().map(|(id, of)| format!("{} was {}", line(new, id), lines(baseline, of)));
            list(screen, "merged", merged)?;
            let split = it.split.iter().map(|(id, into)| format!("{} is now {}", line(baseline, id), lines(new, into)));
            list(screen, "split", split)?;
            let changed = it.changed.iter().map(|(id, to)| format!("{} is now {}", line(baseline, id), line(new, to)));
            list(screen, "changed", changed)?;
        }
        screen.line(&self.summary())?;
        Ok(())
    }

    fn summary(&self) -> String {
        let Report { played, comparison: it } = self;
        let heard =
            format!("{}, {}", counted(played.alerts, "alert"), counted(played.new.occurrences.len() as u64, "occurrence"));
        if played.baseline.is_none() {
            return format!("played: {heard}, {}", counted(played.new.incidents.len() as u64, "incident"));
        }
        let differ = [
            (it.gained.len(), "gained"),
            (it.lost.len(), "lost"),
            (it.merged.len(), "merged"),
            (it.split.len(), "split"),
            (it.changed.len(), "changed"),
        ];
        let differ: Vec<String> =
            differ.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        let differ = if differ.is_empty() { "no difference".to_owned() } else { differ.join(", ") };
        format!("played: {heard}; {} the same, {differ}", counted(it.same as u64, "incident"))
    }
}

/// A difference, with examples.
fn list(screen: &mut Screen<'_>, name: &str, lines: impl ExactSizeIterator<Item = String>) -> Result<(), Failure> {
    let count = lines.len();
    if count == 0 {
        return Ok(());
    }
    screen.line("")?;
    screen.heading(&format!("{name}: {count}"))?;
    for line in lines.take(EXAMPLES_MAX) {
        screen.line(&format!("  {}", clean(&line)))?;
    }
    if count > EXAMPLES_MAX {
        screen.line(&format!("  and {} more; --json has all", count - EXAMPLES_MAX))?;
    }
    Ok(())
}

fn row(name: &str, before: Option<u64>, now: u64) -> (Tone, Vec<String>) {
    let shown = before.map_or("-".to_owned(), |before| before.to_string());
    let more = match before {
        None => "-".to_owned(),
        Some(before) if before == now => "0".to_owned(),
        Some(before) if before < now => format!("+{}", now - before),
        Some(before) => format!("-{}", before - now),
    };
    (Tone::Plain, vec![name.to_owned(), shown, now.to_string(), more])
}

fn incident(of: Option<&Outcome>, id: IncidentId) -> Value {
    let Some((outcome, case)) = of.and_then(|outcome| Some((outcome, outcome.incidents.get(&id)?))) else { return Value::Null };
    let it = &case.incident;
    json!({
        "id": id.to_string(),
        "title": it.title,
        "rule": it.rule.name,
        "priority": it.priority,
        "team": it.team,
        "opened_at": it.opened_at.to_rfc3339(),
        "alerts": case.occurrences.len(),
        "first": first_alert(outcome, id),
    })
}

fn sentence(of: &Outcome, id: IncidentId) -> String {
    let Some(case) = of.incidents.get(&id) else { return id.to_string() };
    let count = counted(case.occurrences.len() as u64, "alert");
    format!("{id} \"{}\" ({count}, rule {})", case.incident.title, case.incident.rule.name)
}

fn first_alert(of: &Outcome, id: IncidentId) -> String {
    let place = of.incidents.get(&id).and_then(|case| case.occurrences.first().copied());
    place.and_then(|place| of.occurrences.get(place)).map_or(String::new(), |it| it.alert.labels.to_string())
}

fn counted(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}
