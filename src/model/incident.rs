//! An incident: what people work on.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::alert::Severity;
use super::cause::Cause;
use super::id::IncidentId;
use super::labels::Labels;
use super::reason::{Actor, Reason, RuleRef};
use super::storm::Storm;
use super::time::{Millis, Time};

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IncidentStatus {
    Open,
    Acknowledged,
    Resolved,
    Closed,
}

impl IncidentStatus {
    /// The name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            IncidentStatus::Open => "open",
            IncidentStatus::Acknowledged => "acknowledged",
            IncidentStatus::Resolved => "resolved",
            IncidentStatus::Closed => "closed",
        }
    }

    /// Whether it still wants work: neither resolved nor closed.
    #[must_use]
    pub fn is_active(self) -> bool {
        matches!(self, IncidentStatus::Open | IncidentStatus::Acknowledged)
    }
}

/// What sort of incident it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IncidentType {
    Normal,
    /// Managers are told, and others become parts of it.
    Major,
}

impl IncidentType {
    pub const ALL: [IncidentType; 2] = [IncidentType::Normal, IncidentType::Major];

    /// The name in the API and in rules.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            IncidentType::Normal => "normal",
            IncidentType::Major => "major",
        }
    }
}

/// How an incident becomes a major one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MajorStep {
    /// It will be one then, if nothing gets better. `None`: something did.
    Planned(Option<Time>),
    /// It is one.
    Declared(Reason),
}

/// What somebody has said of an incident's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaidType {
    pub incident_type: IncidentType,
    /// In their words.
    pub why: Arc<str>,
    pub by: Actor,
}

/// Services that an incident names. Past that it is about a site and not about services, and the fifty-thousandth alert
/// must not copy a list of a thousand names.
pub const SERVICES_MAX: usize = 64;

/// Ended policies that an incident remembers. Rules that change at this rate have no policy to come back to.
pub const ENDED_POLICIES_MAX: usize = 8;

/// An incident as it stands: an immutable record, replaced as a whole when something changes. Its member list lies
/// apart (an alert knows its incidents), and what seldom changes lies in its [`Head`], shared between one record and the
/// next: so that the fifty-thousandth member costs what the second did, and a member costs few bytes.
///
/// The head's fields read and write like the incident's own; the first write to a shared head copies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    pub id: IncidentId,
    pub status: IncidentStatus,
    /// The worst severity among its firing alerts; of its last ones when none fires any more.
    pub severity: Severity,
    /// Every alert that it ever had.
    pub alerts_total: u32,
    /// Those that fire now, suppressed ones too.
    pub alerts_firing: u32,
    /// Those that fire now and are suppressed.
    pub alerts_suppressed: u32,
    pub updated_at: Time,
    /// When an alert last joined or came back; `window` counts from here.
    pub last_news_at: Time,
    /// The log position of its last change.
    pub version: u64,
    /// When it will resolve if nothing fires before.
    pub resolve_due: Option<Time>,
    /// How fast it grows, once it is large enough for that to mean anything.
    pub growth: Option<Growth>,
    pub head: Arc<Head>,
}

/// What of an incident does not change with each alert that joins it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub title: Arc<str>,
    /// 1 (critical) to 5 (planning), from the matrix of impact and urgency.
    pub priority: u8,
    /// 1 to 3.
    pub impact: u8,
    /// 1 to 3.
    pub urgency: u8,
    /// Why the priority is what it is, as a sentence.
    pub priority_reason: Reason,
    pub category: Arc<str>,
    pub subcategory: Option<Arc<str>>,
    pub team: Option<Arc<str>>,
    /// What decided category, subcategory and team, in this order; `None` where nothing has.
    pub classified_by: Arc<[Option<Reason>; 3]>,
    pub assignee: Option<Arc<str>>,
    /// The services of its alerts, sorted; the first [`SERVICES_MAX`] that came up.
    pub services: Arc<Vec<Arc<str>>>,
    /// The labels that all its alerts share.
    pub labels: Arc<Labels>,
    /// The rule that opened it.
    pub rule: RuleRef,
    /// The values of the rule's `by` labels.
    pub key: Arc<Labels>,
    pub parent: Option<IncidentId>,
    /// The rule that made it a part of that.
    pub parent_by: Option<RuleRef>,
    /// When it did.
    pub parent_at: Option<Time>,
    pub opened_at: Time,
    pub acknowledged_at: Option<Time>,
    pub acknowledged_by: Option<Arc<str>>,
    pub resolved_at: Option<Time>,
    pub closed_at: Option<Time>,
    /// From its rule, as it stood at the opening.
    pub window: Millis,
    /// From its rule: older than this, it takes no new alerts.
    pub max_age: Millis,
    /// From its rule: how long everything must stay resolved.
    pub resolve_after: Millis,
    /// When a lower priority takes hold if nothing worsens before.
    pub fall_due: Option<Time>,
    /// When it closes, once resolved.
    pub close_due: Option<Time>,
    /// When a title that depends on the members is rendered anew.
    pub retitle_due: Option<Time>,
    /// Its escalation policies under way.
    pub policies: Arc<Vec<PolicyRun>>,
    /// Receivers that were told of it and are owed a resolve, with what each calls it there.
    pub opened_at_receivers: Arc<Vec<OpenedAt>>,
    /// What it probably comes from, the likeliest first; `None` before anything was found.
    pub causes: Option<Arc<Vec<Cause>>>,
    /// When causes are looked for again.
    pub causes_due: Option<Time>,
    /// The storm that it is about.
    pub storm: Option<Arc<Storm>>,
    /// Why it is a major incident, if it is one.
    pub major: Option<Reason>,
    /// When it becomes one if nothing gets better before.
    pub major_due: Option<Time>,
    /// What somebody has said of that; no rule decides it any more.
    pub said_type: Option<Arc<SaidType>>,
    /// When it was last told that a part is kept from it by the limit on merges.
    pub merges_held: Option<Time>,
    /// Where it stands what to do, by the catalogue: for its likeliest cause, else for the service that it opened with.
    pub runbook: Option<Arc<str>>,
    /// Policies that were at work until a change of rules, the last to end last, for when they or their like come back.
    pub ended_policies: Option<Arc<Vec<PolicyRun>>>,
}

impl Deref for Incident {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

impl DerefMut for Incident {
    fn deref_mut(&mut self) -> &mut Head {
        Arc::make_mut(&mut self.head)
    }
}

impl Incident {
    /// An incident that has just been opened, at log position `seq`: nobody is in it, nothing is decided, and its windows
    /// and key are still to be set.
    #[must_use]
    pub fn opened(id: IncidentId, rule: RuleRef, title: Arc<str>, seq: u64, at: Time) -> Incident {
        let head = Head {
            title,
            priority: priority(3, 3),
            impact: 3,
            urgency: 3,
            priority_reason: Reason::Text("not yet prioritized".into()),
            category: "uncategorised".into(),
            subcategory: None,
            team: None,
            classified_by: Arc::default(),
            assignee: None,
            services: Arc::default(),
            labels: Arc::default(),
            rule,
            key: Arc::default(),
            parent: None,
            parent_by: None,
            parent_at: None,
            opened_at: at,
            acknowledged_at: None,
            acknowledged_by: None,
            resolved_at: None,
            closed_at: None,
            window: Millis::ZERO,
            max_age: Millis::ZERO,
            resolve_after: Millis::ZERO,
            fall_due: None,
            close_due: None,
            retitle_due: None,
            policies: Arc::default(),
            opened_at_receivers: Arc::default(),
            causes: None,
            causes_due: None,
            storm: None,
            major: None,
            major_due: None,
            said_type: None,
            merges_held: None,
            runbook: None,
            ended_policies: None,
        };
        Incident {
            id,
            status: IncidentStatus::Open,
            severity: Severity::Info,
            alerts_total: 0,
            alerts_firing: 0,
            alerts_suppressed: 0,
            updated_at: at,
            last_news_at: at,
            version: seq,
            resolve_due: None,
            growth: None,
            head: Arc::new(head),
        }
    }

    /// What sort of incident it is.
    #[must_use]
    pub fn incident_type(&self) -> IncidentType {
        if self.major.is_some() { IncidentType::Major } else { IncidentType::Normal }
    }

    /// What it probably comes from, the likeliest first.
    #[must_use]
    pub fn causes(&self) -> &[Cause] {
        self.causes.as_ref().map_or(&[], |causes| causes)
    }
}

/// How many alerts an incident had at the beginnings of the present and the last slot of time, each as long as half of
/// [`GROWTH_WITHIN`]: enough to see a doubling, at a cost that does not depend on how many alerts there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// When the present slot began.
    pub slot: Time,
    /// Alerts at the beginning of the slot before it.
    pub before: u32,
    /// Alerts at its own beginning.
    pub then: u32,
}

/// An incident grows while its alerts have at least doubled within this time.
pub const GROWTH_WITHIN: Millis = Millis::minutes(10);

/// Fewer alerts than this count as this many: that one alert became two is no growth.
pub const GROWTH_FROM: u32 = 10;

impl Growth {
    /// The counts as they are after an alert has joined, which makes `total` where there were `total - 1`.
    #[must_use]
    pub fn after_join(present: Option<Growth>, total: u32, now: Time) -> Option<Growth> {
        match present {
            Some(growth) => Some(growth.at(total - 1, now)),
            None if total >= GROWTH_FROM => Some(Growth { slot: slot_of(now), before: GROWTH_FROM, then: GROWTH_FROM }),
            None => None,
        }
    }

    /// From how many alerts an incident that has `total` now has at least doubled; `None` while it grows less.
    #[must_use]
    pub fn doubled_from(self, total: u32, now: Time) -> Option<u32> {
        let before = self.at(total, now).before;
        (total / 2 >= before).then_some(before)
    }

    /// The counts moved up to `now`; there have been `total` alerts since the last one joined.
    fn at(self, total: u32, now: Time) -> Growth {
        let slot = slot_of(now);
        match slot.since(self.slot) {
            Millis::ZERO => self,
            SLOT => Growth { slot, before: self.then, then: total },
            _ => Growth { slot, before: total, then: total },
        }
    }
}

const SLOT: Millis = Millis(GROWTH_WITHIN.0 / 2);

fn slot_of(now: Time) -> Time {
    Time(now.0 - now.0.rem_euclid(SLOT.0))
}

/// That a receiver has been told of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedAt {
    pub receiver: Arc<str>,
    /// The policy that told it.
    pub policy: Arc<str>,
    /// What the receiver calls the incident, where it told us (a ticket's `sys_id`).
    pub remote: Option<Arc<str>>,
    /// Whether the resolve has been queued.
    pub resolved: bool,
    /// Whether any policy that told it and has ended since closes what it opened; `None`: none has ended.
    pub closes: Option<bool>,
}

/// One escalation rule at work on one incident: the rule's plan as it stood when it began, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRun {
    pub rule: RuleRef,
    pub started_at: Time,
    pub steps: Vec<PolicyStep>,
    /// At most one update message in this time.
    pub update: Millis,
    /// Say it again after this time while it stays open.
    pub repeat: Option<Millis>,
    /// Whether what it opened is closed there.
    pub resolved: bool,
    /// When something worth an update has happened and may be sent.
    pub update_due: Option<Time>,
    /// When the last message other than a step went out.
    pub last_update_at: Option<Time>,
    /// When it is said again.
    pub repeat_due: Option<Time>,
    /// Since when the escalation pauses because everything that fires is suppressed.
    pub paused_at: Option<Time>,
    /// The moment that `after` counts from, where that is not `started_at`: pauses move it, and a policy that took over goes
    /// on where others ended.
    pub counts_from: Option<Time>,
}

impl PolicyRun {
    /// The moment that `after` counts from.
    #[must_use]
    pub fn clock(&self) -> Time {
        self.counts_from.unwrap_or(self.started_at)
    }

    /// Whether it has told this receiver of the incident.
    #[must_use]
    pub fn has_told(&self, opened: &OpenedAt) -> bool {
        let told = |step: &PolicyStep| step.state == StepState::Done && step.notify.contains(&opened.receiver);
        self.rule.name == opened.policy || self.steps.iter().any(told)
    }
}

/// One step of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyStep {
    pub due: Time,
    pub notify: Vec<Arc<str>>,
    /// Skipped when the incident is acknowledged by then.
    pub unless_acknowledged: bool,
    pub state: StepState,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    Waiting,
    Done,
    Skipped,
}

/// The matrix of ITIL practice: impact (rows) and urgency, 1 to 3 each, to priority 1 to 5.
#[must_use]
pub fn priority(impact: u8, urgency: u8) -> u8 {
    // The matrix of the defaults is exactly the sum: 1+1 is P1, 3+3 is P5.
    (impact.clamp(1, 3) + urgency.clamp(1, 3)).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::{Growth, Millis, Time};

    /// At which minute how many join.
    type Joins = &'static [(i64, u32)];

    /// Joins, and from how many the alerts have doubled after the last.
    #[test]
    fn growth_is_a_doubling_within_ten_minutes_from_ten() {
        let cases: [(&str, Joins, Option<u32>); 7] = [
            ("two are no growth", &[(0, 1), (1, 1)], None),
            ("nineteen at once are too few", &[(0, 19)], None),
            ("twenty at once", &[(0, 20)], Some(10)),
            ("ten, and ten more", &[(0, 10), (9, 10)], Some(10)),
            ("a hundred, and fifty more", &[(0, 100), (21, 50)], None),
            ("a hundred, and a hundred more", &[(0, 100), (21, 50), (24, 50)], Some(100)),
            ("one a minute for an hour", &[(0, 30), (11, 6), (17, 6), (23, 6)], None),
        ];
        for (name, joins, expected) in cases {
            let (mut growth, mut total, mut now) = (None, 0, Time(0));
            for (minute, count) in joins {
                now = Time(0) + Millis::minutes(*minute);
                for _ in 0..*count {
                    total += 1;
                    growth = Growth::after_join(growth, total, now);
                }
            }
            assert_eq!(growth.and_then(|growth| growth.doubled_from(total, now)), expected, "{name}");
            let later = now + Millis::minutes(10);
            assert_eq!(growth.and_then(|growth| growth.doubled_from(total, later)), None, "{name}, ten minutes later");
        }
    }

    #[test]
    fn priority_matrix() {
        let table = [[1, 2, 3], [2, 3, 4], [3, 4, 5]];
        for (row, impact) in table.iter().zip(1..) {
            for (expected, urgency) in row.iter().zip(1..) {
                assert_eq!(super::priority(impact, urgency), *expected, "impact {impact} urgency {urgency}");
            }
        }
    }
}
