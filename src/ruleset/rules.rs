//! The compiled form of rule files: what the engine runs. Durations are resolved, expressions compiled, defaults filled in.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::alert_index::AlertIndex;
use super::expression::Expression;
use super::index::MatcherIndex;
use super::inhibition::Inhibition;
use super::schedule::Schedule;
use super::services::Catalogue;
use super::table::Table;
use super::template::Template;
use crate::model::incident::IncidentType;
use crate::model::{Labels, Matcher, Millis, RuleRef};

/// All rules of all files, in order, with the indexes that find those which hold for an alert.
#[derive(Debug, Default)]
pub struct Ruleset {
    /// Hash over the names and texts of all files; 0 for the built-in rules alone.
    pub digest: u64,
    pub catalogue: Catalogue,
    /// Over the matchers of all rules but those that enrich or classify.
    pub alert_index: AlertIndex,
    pub enrich: Vec<EnrichRule>,
    /// Numbers are positions in `enrich`.
    pub enrich_index: MatcherIndex,
    pub suppress: Vec<SuppressRule>,
    /// The suppress rules that inhibit.
    pub inhibition: Inhibition,
    /// Ends with the built-in `default`, unless a file has a rule of that name (which then stands where the file has it).
    pub correlate: Vec<CorrelateRule>,
    /// The position in `correlate` of the rule that each step of a sequence belongs to.
    pub sequence_steps: Vec<u32>,
    pub classify: Vec<ClassifyRule>,
    /// Numbers are positions in `classify`.
    pub classify_index: MatcherIndex,
    pub prioritize: Vec<PrioritizeRule>,
    pub escalate: Vec<EscalateRule>,
    /// By name.
    pub heartbeats: BTreeMap<Arc<str>, HeartbeatRule>,
}

/// Changes labels. Every enrich rule that matches applies, in order, each seeing what those before it have set.
#[derive(Debug)]
pub struct EnrichRule {
    pub rule: RuleRef,
    pub matchers: Vec<Matcher>,
    /// What of its expression no matcher says.
    pub when: Option<Expression>,
    /// Label and what it becomes; an empty result takes the label away.
    pub set: Vec<(Arc<str>, Template)>,
    /// Labels that the row for the alert gives; a rule has this or `set`.
    pub table: Option<Arc<Table>>,
    /// Applies only where what the alert is about was changed no longer ago than this.
    pub changed: Option<Millis>,
}

/// Suppresses alerts while something holds.
#[derive(Debug)]
pub struct SuppressRule {
    pub rule: RuleRef,
    /// Which alerts it suppresses (for inhibition: its target).
    pub matchers: Vec<Matcher>,
    /// What of its expression (for inhibition: about the target) no matcher says.
    pub when: Option<Expression>,
    pub how: SuppressHow,
}

/// While what an alert is suppressed.
#[derive(Debug)]
pub enum SuppressHow {
    /// While a firing alert matches `source` and agrees on the labels `equal`. An alert that is both source and target is
    /// not inhibited by one that is both, too.
    Inhibit { source: Vec<Matcher>, equal: Vec<Arc<str>> },
    /// While the schedule covers the present.
    During(Schedule),
    /// For so long after it began to fire.
    Hold(Millis),
    /// While it changes too often.
    Flapping(Flapping),
}

/// When an alert counts as flapping, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flapping {
    /// Changes between firing and resolved, the first firing included.
    pub changes: u32,
    pub within: Millis,
    /// It flaps until it has not changed for so long.
    pub until_stable: Millis,
}

/// Groups alerts into incidents. The first rule that matches takes the alert; with `go_on` later ones see it too.
#[derive(Debug)]
pub struct CorrelateRule {
    pub rule: RuleRef,
    pub matchers: Vec<Matcher>,
    /// What of its expression no matcher says.
    pub when: Option<Expression>,
    /// One incident for each combination of these labels' values; none: one incident for all.
    pub by: Vec<Arc<str>>,
    pub window: Millis,
    pub max_age: Millis,
    pub resolve_after: Millis,
    /// An alert that was away for so long does not come back to its incident, but is decided anew.
    pub back_within: Option<Millis>,
    pub threshold: Option<Threshold>,
    /// The alerts that match are beats: an incident opens when none has been heard of for so long.
    pub absent: Option<Millis>,
    /// Opens only when alerts come in this order.
    pub sequence: Option<Sequence>,
    /// Incidents of services that are near each other are one.
    pub topology: Option<Topology>,
    /// One incident takes all while far more comes than is usual.
    pub storm: Option<StormRule>,
    /// Its alerts join the incident of another one that they are tied to: by the first of these that holds.
    pub ties: Vec<Tie>,
    /// How long an alert that is tied to nothing waits for others before it opens an incident.
    pub wait: Millis,
    /// `continue: true` in the file.
    pub go_on: bool,
    /// Sees `by.<label>`, `incident.count`, `labels.<label>` (those of the alert that opens; rendered anew, those that all
    /// alerts share).
    pub title: Template,
}

impl CorrelateRule {
    /// Whether it puts an alert into an incident at once, whatever else comes.
    #[must_use]
    pub fn waits_for_nothing(&self) -> bool {
        let waits = self.threshold.is_some() || self.absent.is_some() || self.sequence.is_some() || self.storm.is_some();
        !waits && self.ties.is_empty()
    }
}

/// What must come after what.
#[derive(Debug)]
pub struct Sequence {
    /// At least two. What the rule itself asks in matchers, each asks as well.
    pub steps: Vec<SequenceStep>,
    /// From the first step to the last.
    pub within: Millis,
    /// Earlier steps are held until the time is over, instead of going on to later rules.
    pub hold: bool,
}

/// What one step of a sequence must be.
#[derive(Debug)]
pub struct SequenceStep {
    pub matchers: Vec<Matcher>,
    /// What must be true of the alert besides; and the rule's own `when`.
    pub when: Option<Expression>,
}

/// Which services are near enough, and how long their trouble counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topology {
    pub hops: u8,
    pub within: Millis,
}

/// What makes a storm, and what goes past it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StormRule {
    /// So many times what is usual.
    pub above: u32,
    /// And so many alerts at least.
    pub least: u32,
    pub within: Millis,
    /// So long an alert waits for a storm before it goes on to the later rules. `None`: as long as there is no sign of one, not
    /// at all.
    pub hold: Option<Millis>,
    /// The first alerts of so many kinds go on to the later rules as well.
    pub pass: u32,
}

/// What ties an alert to another one, which an incident has.
#[derive(Debug)]
pub struct Tie {
    pub how: TieHow,
    /// The other one began to fire less long than this before it.
    pub within: Millis,
    /// What the other one must be besides.
    pub to: Vec<Matcher>,
    /// How many such alerts the incident must have.
    pub alerts: u32,
    /// The label that says how long an alert's condition had lasted when it fired. Then the tie compares when conditions
    /// began, in either direction, and not when alerts did.
    pub lag: Option<Arc<str>>,
}

/// What two alerts have in common.
#[derive(Debug)]
pub enum TieHow {
    /// The values of these labels, none of them missing.
    Same(Vec<Arc<str>>),
    /// The things that this label names are at most so many hops apart in the catalogue; none: they are the same.
    Near { label: Arc<str>, hops: u8 },
}

/// How many are needed before an incident opens.
#[derive(Debug)]
pub struct Threshold {
    pub count: u32,
    /// Count distinct values of this label, or firing alerts where absent.
    pub distinct: Option<Arc<str>>,
    /// Count each time that an alert begins to fire, whether or not it still does.
    pub firings: bool,
    pub within: Millis,
    pub otherwise: Otherwise,
}

/// What becomes of an alert that has waited in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// It goes on to the later rules.
    Alone,
    /// It ends there.
    Drop,
}

/// Names what an incident is about. Each field is set by the first rule that matches and names it.
#[derive(Debug)]
pub struct ClassifyRule {
    pub rule: RuleRef,
    /// True if some firing alert of the incident satisfies all.
    pub matchers: Vec<Matcher>,
    /// What must be true of the incident besides.
    pub when: Option<Expression>,
    pub category: Option<Arc<str>>,
    pub subcategory: Option<Arc<str>>,
    pub team: Option<Arc<str>>,
}

/// Sets impact and urgency (1 to 3); what it does not name is derived.
#[derive(Debug)]
pub struct PrioritizeRule {
    pub rule: RuleRef,
    pub matchers: Vec<Matcher>,
    /// What must be true of the incident besides.
    pub when: Option<Expression>,
    pub impact: Option<u8>,
    pub urgency: Option<u8>,
    /// Whether the incident is a major one.
    pub incident_type: Option<IncidentType>,
}

/// Who is told, when, how often.
#[derive(Debug)]
pub struct EscalateRule {
    pub rule: RuleRef,
    pub matchers: Vec<Matcher>,
    /// What must be true of the incident besides.
    pub when: Option<Expression>,
    pub wait: Millis,
    pub steps: Vec<EscalateStep>,
    pub update: Millis,
    pub repeat: Option<Millis>,
    pub resolved: bool,
    /// `continue: true` in the file.
    pub go_on: bool,
}

/// One step of an escalation.
#[derive(Debug)]
pub struct EscalateStep {
    /// Counted from the incident's opening.
    pub after: Millis,
    pub unless_acknowledged: bool,
    pub notify: Vec<Arc<str>>,
}

/// What is to be heard of again and again, and raises an alert where it is not.
#[derive(Debug)]
pub struct HeartbeatRule {
    pub rule: RuleRef,
    pub every: Millis,
    /// So much later is still in time.
    pub grace: Millis,
    /// Of the alert about its being missed.
    pub labels: Labels,
}

impl HeartbeatRule {
    /// It must be heard of again within this.
    #[must_use]
    pub fn within(&self) -> Millis {
        Millis(self.every.0.saturating_add(self.grace.0))
    }
}

impl Ruleset {
    /// How many rules there are, of all stages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.enrich.len()
            + self.suppress.len()
            + self.correlate.len()
            + self.classify.len()
            + self.prioritize.len()
            + self.escalate.len()
            + self.heartbeats.len()
    }

    /// How many of them stand in files; the others are built in.
    #[must_use]
    pub fn len_in_files(&self) -> usize {
        let built_in = |rule: &RuleRef| rule.line == 0;
        let correlate = self.correlate.iter().filter(|it| built_in(&it.rule)).count();
        self.len() - correlate - self.classify.iter().filter(|it| built_in(&it.rule)).count()
    }

    /// Shortens the files' names to what they are below `folder`, as decisions will name them: the folder is everybody's, and
    /// a timeline is read on a phone.
    pub fn name_files_below(&mut self, folder: &Path) {
        let enrich = self.enrich.iter_mut().map(|it| &mut it.rule);
        let suppress = self.suppress.iter_mut().map(|it| &mut it.rule);
        let correlate = self.correlate.iter_mut().map(|it| &mut it.rule);
        let classify = self.classify.iter_mut().map(|it| &mut it.rule);
        let prioritize = self.prioritize.iter_mut().map(|it| &mut it.rule);
        let escalate = self.escalate.iter_mut().map(|it| &mut it.rule);
        let heartbeats = self.heartbeats.values_mut().map(|it| &mut it.rule);
        let of_stages = enrich.chain(suppress).chain(correlate).chain(classify).chain(prioritize).chain(escalate);
        for rule in of_stages.chain(heartbeats) {
            let path = Path::new(&*rule.file);
            // The folder may be one file; then its name is all there is below it.
            let below = path.strip_prefix(folder).ok().filter(|below| !below.as_os_str().is_empty());
            let short = below.or_else(|| path.file_name().map(Path::new).filter(|_| path == folder));
            if let Some(short) = short {
                *rule = RuleRef::new(rule.name.clone(), &*short.to_string_lossy(), rule.line);
            }
        }
    }

    /// The most hops of the catalogue that any rule looks.
    #[must_use]
    pub fn hops(&self) -> u8 {
        let of_tie = |tie: &Tie| match tie.how {
            TieHow::Near { hops, .. } => hops,
            TieHow::Same(_) => 0,
        };
        let ties = self.correlate.iter().flat_map(|rule| rule.ties.iter().map(of_tie));
        let topologies = self.correlate.iter().filter_map(|rule| rule.topology.map(|topology| topology.hops));
        ties.chain(topologies).max().unwrap_or(0)
    }

    /// Whether there is no rule at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The longest time that any rule waits for a beat, if any does.
    #[must_use]
    pub fn longest_beat(&self) -> Option<Millis> {
        self.correlate.iter().filter_map(|rule| rule.absent).max()
    }

    /// Whether any rule counts changes.
    #[must_use]
    pub fn counts_changes(&self) -> bool {
        self.suppress.iter().any(|rule| matches!(rule.how, SuppressHow::Flapping(_)))
    }
}
