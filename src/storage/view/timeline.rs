//! A fact as a sentence in incidents' timelines, written to be read at night by somebody who was just woken.
//!
//! Owns the wording and which facts are worth a line; never decides, stores nothing. Plans (`…_planned`), bookkeeping and
//! what another line already says leave none: an alert's `alert_fired` stands in the same second as its `alert_joined`.

use std::fmt;

use rustc_hash::FxHashMap;

use super::blocks::ReasonJson;
use crate::engine::Fact;
use crate::engine::entity::Changes;
use crate::model::alert::Step;
use crate::model::incident::{self, IncidentType, MajorStep, PolicyRun, PolicyStep, SaidType, StepState};
use crate::model::{
    Actor, AlertRecord, Fingerprint, IncidentId, Millis, Notification, NotificationId, Reason, RulePlace, RuleRef, Suppression,
};

/// The labels that say which thing an alert is about, the most telling first.
const THING_LABELS: [&str; 8] = ["host", "instance", "node", "pod", "device", "database", "service", "job"];

/// The rule by which a report joins the open incident on its service, as [`RuleWords`] has it.
const BY_SERVICE: &str = "built-in rule same-service";

/// Attempts that failed are told at the first, second, fourth, eighth, … time: a receiver that is down for a day fails
/// thousands of times.
fn is_worth_telling(attempts: u32) -> bool {
    attempts.is_power_of_two()
}

/// What a sentence needs beyond its fact: the records as they stand behind the facts of the same commit.
pub(super) struct Context<'a> {
    /// In order of fingerprint: a commit has them so, and a search costs less than a table made for each commit.
    alerts: Vec<(Fingerprint, &'a AlertRecord)>,
    pub notifications: FxHashMap<NotificationId, &'a Notification>,
    /// The priority that the incident had, for a fact that sets one.
    pub priority_before: Option<u8>,
}

impl<'a> Context<'a> {
    /// The records of one commit, ready to be asked.
    pub(super) fn of(changes: &'a Changes) -> Context<'a> {
        let mut alerts: Vec<(Fingerprint, &AlertRecord)> =
            changes.alerts.iter().map(|record| (record.alert.fingerprint, &**record)).collect();
        // Stable: of one alert, the present record stays behind one that has left.
        alerts.sort_by_key(|(fingerprint, _)| *fingerprint);
        Context {
            alerts,
            notifications: changes.notifications.iter().map(|notification| (notification.id, &**notification)).collect(),
            priority_before: None,
        }
    }

    /// The record of an alert that the commit has changed.
    pub(super) fn alert(&self, fingerprint: Fingerprint) -> Option<&'a AlertRecord> {
        let behind = self.alerts.partition_point(|(other, _)| *other <= fingerprint);
        let (found, record) = *self.alerts.get(behind.checked_sub(1)?)?;
        (found == fingerprint).then_some(record)
    }
}

/// A fact, told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told<'a> {
    /// The incidents in whose timelines it stands.
    pub incidents: Incidents<'a>,
    pub text: String,
    pub actor: Option<&'a str>,
    pub reason: Option<ReasonJson<'a>>,
}

/// The incidents that a fact is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incidents<'a> {
    One([IncidentId; 1]),
    Two([IncidentId; 2]),
    All(&'a [IncidentId]),
}

impl Incidents<'_> {
    pub(super) fn as_slice(&self) -> &[IncidentId] {
        match self {
            Incidents::One(one) => one,
            Incidents::Two(two) => two,
            Incidents::All(all) => all,
        }
    }
}

/// That an alert joined an incident.
pub(super) struct Joined<'a> {
    pub incident: IncidentId,
    pub rule: &'a RuleRef,
    /// The occurrence that joined; `None` for one that is not known any more.
    pub fired_seq: Option<u64>,
    pub name: AlertName<'a>,
}

/// The fact that an alert joined an incident; `None` for every other.
pub(super) fn join<'a>(fact: &'a Fact, context: &Context<'a>) -> Option<Joined<'a>> {
    let Fact::AlertJoined { incident, fingerprint, rule } = fact else { return None };
    let record = context.alert(*fingerprint);
    let name = AlertName::of_record(*fingerprint, record);
    Some(Joined { incident: *incident, rule, fired_seq: record.map(|record| record.fired_seq), name })
}

/// The sentence for an alert that joined, by its name and its rule as [`RuleWords`] has it.
pub(super) fn joined_words(name: &str, rule: &str) -> String {
    if rule == BY_SERVICE {
        return format!("report {name} joined, because the incident was open on its service");
    }
    format!("alert {name} joined ({rule})")
}

/// Tells a fact; `None` for one that no timeline shows.
pub(super) fn tell<'a>(fact: &'a Fact, context: &Context<'a>) -> Option<Told<'a>> {
    match fact {
        Fact::AlertFired { alert } if alert.is_report() => {
            let (by, description) = (alert.annotations.get("reporter"), alert.annotations.get("description"));
            let behind = if description.is_empty() { "" } else { ": " };
            let text = |report| format!("{by} reports {report}{behind}{description}");
            about_alert(alert.fingerprint, context, text).map(|told| Told { actor: Some(by), ..told })
        }
        Fact::AlertFired { alert } if alert.is_heartbeat() => {
            about_alert(alert.fingerprint, context, |_| alert.annotations.get("summary").to_owned())
        }
        Fact::AlertSuppressed { fingerprint, by } => {
            let until = by.until.map(|until| format!(" until {until}")).unwrap_or_default();
            let why = suppression_words(by);
            about_alert(*fingerprint, context, |alert| format!("alert {alert} is suppressed{until} ({why})"))
                .map(|told| told.because(&by.reason))
        }
        Fact::AlertReleased { fingerprint, by } => {
            let why = suppression_words(by);
            about_alert(*fingerprint, context, |alert| format!("alert {alert} is no longer suppressed ({why})"))
                .map(|told| told.because(&by.reason))
        }
        Fact::AlertWaitedInVain { fingerprint, rule, dropped: false } => {
            let why = RuleWords(rule);
            about_alert(*fingerprint, context, |alert| format!("alert {alert} waited in vain for others like it ({why})"))
                .map(|told| told.because_of_rule(rule))
        }
        Fact::AlertFlapping { fingerprint, rule, changes, within, until_stable } => {
            let why = RuleWords(rule);
            about_alert(*fingerprint, context, |alert| {
                format!("alert {alert} flaps: {changes} changes within {within}; it is quiet until it has been stable for {until_stable} ({why})")
            })
            .map(|told| told.because_of_rule(rule))
        }
        Fact::SequenceStepped { fingerprint, rule, step: Step::FIRING, .. } => {
            let why = RuleWords(rule);
            about_alert(*fingerprint, context, |alert| format!("alert {alert} has begun to fire once more ({why} counts that)"))
                .map(|told| told.because_of_rule(rule))
        }
        Fact::SequenceStepped { fingerprint, rule, step, .. } => {
            let why = RuleWords(rule);
            about_alert(*fingerprint, context, |alert| {
                format!("alert {alert} is step {} of a sequence ({why})", u64::from(*step) + 1)
            })
            .map(|told| told.because_of_rule(rule))
        }
        Fact::BeatMissed { incident, fingerprint, rule, within } => {
            let alert = AlertName::of(*fingerprint, context);
            let text = format!("nothing was heard of {alert} for {within} ({})", RuleWords(rule));
            Some(in_incident(*incident, text).because_of_rule(rule))
        }
        Fact::AlertResolved { fingerprint, ends_at, expired } => about_alert(*fingerprint, context, |alert| match expired {
            true => format!("alert {alert} expired: nothing was heard of it until {ends_at}"),
            false => format!("alert {alert} resolved"),
        }),
        Fact::IncidentOpened { incident, rule, title, recurrence_of, .. } => {
            let again = recurrence_of.map(|earlier| format!(", a recurrence of {earlier}")).unwrap_or_default();
            Some(in_incident(*incident, format!("opened ({}){again}: {title}", RuleWords(rule))).because_of_rule(rule))
        }
        Fact::AlertLeft { incident, fingerprint, rule } => {
            let alert = AlertName::of(*fingerprint, context);
            let text = format!("alert {alert} fires again after so long that it is another matter ({})", RuleWords(rule));
            Some(in_incident(*incident, text).because_of_rule(rule))
        }
        Fact::IncidentAttached { incident, parent, fingerprint, rule } => {
            let alert = AlertName::of(*fingerprint, context);
            let text = format!("{incident} is part of {parent}, because of alert {alert} ({})", RuleWords(rule));
            Some(Told { incidents: Incidents::Two([*incident, *parent]), ..in_incident(*incident, text) }.because_of_rule(rule))
        }
        Fact::IncidentTitled { incident, title } => Some(in_incident(*incident, format!("title is now: {title}"))),
        Fact::IncidentTypeSet { incident, said: SaidType { incident_type, why, by } } => {
            let what = match incident_type {
                IncidentType::Major => "declared a major incident",
                IncidentType::Normal => "declared no major incident",
            };
            Some(in_incident(*incident, format!("{what} by {by}: {why}")).by(by))
        }
        Fact::MergeHeld { incident, child, rule, merges } => {
            let text = format!(
                "{child} is not made a part of {incident}, nor are others: {} has merged {merges} incidents within an hour",
                RuleWords(rule)
            );
            Some(Told { incidents: Incidents::Two([*incident, *child]), ..in_incident(*incident, text) }.because_of_rule(rule))
        }
        Fact::IncidentDetached { incident, parent } => {
            let text = format!("{incident} is no part of {parent} any more, which is no major incident");
            Some(Told { incidents: Incidents::Two([*incident, *parent]), ..in_incident(*incident, text) })
        }
        Fact::IncidentMajor { incident, step: MajorStep::Declared(reason) } => {
            Some(ended(*incident, "now a major incident", reason))
        }
        Fact::StormBegan { incident, rule, alerts, usual, within, .. } => {
            let text = format!("a storm: {alerts} alerts within {within}, where {usual} are usual ({})", RuleWords(rule));
            Some(in_incident(*incident, text).because_of_rule(rule))
        }
        Fact::StormKindSeen { incident, of: kind, passed } => {
            let goes = if *passed { "and goes on to the later rules" } else { "and stays here: enough others have gone on" };
            Some(in_incident(*incident, format!("{kind} is new in the storm {goes}")))
        }
        Fact::StormEnded { incident, alerts } => {
            Some(in_incident(*incident, format!("the storm is over: {alerts} alerts within its rule's time")))
        }
        Fact::IncidentCausesFound { incident, causes, .. } => {
            let likeliest = causes.first()?;
            let others: Vec<&str> = causes[1..].iter().map(|cause| &*cause.entity).collect();
            let behind = if others.is_empty() { String::new() } else { format!("; less likely {}", others.join(", ")) };
            let text = format!("probable cause: {}{behind}", likeliest.sentence(usize::MAX));
            Some(in_incident(*incident, text))
        }
        Fact::IncidentClassified { incident, category, subcategory, team, reasons } => {
            let text = classified_words(category, subcategory.as_deref(), team.as_deref(), reasons);
            let told = in_incident(*incident, text);
            Some(match reasons.iter().flatten().next() {
                Some(reason) => told.because(reason),
                None => told,
            })
        }
        Fact::IncidentPrioritized { incident, impact, urgency, reason } => {
            let priority = incident::priority(*impact, *urgency);
            let change = match context.priority_before {
                None => "is",
                Some(before) if priority < before => "raised to",
                Some(before) if priority > before => "lowered to",
                Some(_) => "stays",
            };
            let why = match reason {
                Reason::Text(text) => text.to_string(),
                other => format!("impact {impact}, urgency {urgency} ({})", reason_words(other)),
            };
            Some(in_incident(*incident, format!("priority {change} P{priority}: {why}")).because(reason))
        }
        Fact::IncidentAcknowledged { incident, by } => Some(in_incident(*incident, format!("acknowledged by {by}")).by(by)),
        Fact::IncidentAssigned { incident, assignee: Some(assignee), by } => {
            Some(in_incident(*incident, format!("assigned to {assignee} by {by}")).by(by))
        }
        Fact::IncidentAssigned { incident, assignee: None, by } => {
            Some(in_incident(*incident, format!("assigned to nobody by {by}")).by(by))
        }
        Fact::IncidentCommented { incident, text, by } => Some(in_incident(*incident, format!("{by}: {text}")).by(by)),
        Fact::IncidentResolved { incident, reason, .. } => Some(ended(*incident, "resolved", reason)),
        Fact::IncidentReopened { incident, reason } => Some(ended(*incident, "reopened", reason)),
        Fact::IncidentClosed { incident, reason } => Some(ended(*incident, "closed", reason)),
        Fact::IncidentWithoutPolicy { incident } => {
            Some(in_incident(*incident, "nobody is told: no escalation rule fits, and no receiver is named default".to_owned()))
        }
        Fact::EscalationStarted { incident, run } => {
            let text = format!("escalation began ({}): {}", RuleWords(&run.rule), plan_words(run));
            Some(in_incident(*incident, text).because_of_rule(&run.rule))
        }
        Fact::EscalationStepped { incident, rule, step, skipped: true } => Some(in_incident(
            *incident,
            format!("step {} of {rule} left out: the incident is acknowledged", u64::from(*step) + 1),
        )),
        Fact::EscalationPaused { incident, rule } => {
            Some(in_incident(*incident, format!("escalation {rule} pauses: every firing alert is suppressed")))
        }
        Fact::EscalationContinued { incident, rule, paused_for } => {
            Some(in_incident(*incident, format!("escalation {rule} goes on, {} later than planned", length_words(*paused_for))))
        }
        Fact::EscalationEnded { incident, rule, reason } => {
            let why = match reason {
                Reason::Rule(fits) => format!("{} fits now", RuleWords(fits)),
                other => reason_words(other),
            };
            Some(in_incident(*incident, format!("escalation ended ({}): {why}", RuleWords(rule))).because_of_rule(rule))
        }
        Fact::NotificationQueued { notification } => {
            let (receiver, kind) = (&notification.receiver, notification.kind.as_str());
            let again = if notification.again { " again" } else { "" };
            let told = in_incident(notification.incident, format!("{receiver} is to be told{again} ({kind})"));
            Some(told.because(&notification.reason))
        }
        Fact::NotificationDelivered { notification, remote, .. } => {
            about_notification(*notification, context, |receiver, kind| {
                let remote = remote.as_ref().map(|name| format!(", there called {name}")).unwrap_or_default();
                format!("{receiver} was told ({kind}){remote}")
            })
        }
        Fact::NotificationFailed { notification, attempts, error, retry_at } if is_worth_telling(*attempts) => {
            about_notification(*notification, context, |receiver, kind| {
                format!("{receiver} could not be told ({kind}), attempt {attempts}: {error}; tried again at {retry_at}")
            })
        }
        Fact::NotificationDead { notification, attempts, error } => {
            about_notification(*notification, context, |receiver, kind| {
                format!("{receiver} was not told ({kind}): given up after attempt {attempts}: {error}")
            })
        }
        Fact::NotificationRetried { notification, by } => about_notification(*notification, context, |receiver, kind| {
            format!("{receiver} is tried again ({kind}), asked for by {by}")
        })
        .map(|told| told.by(by)),
        // Told in fewer words, see `join`: a storm has one for each alert.
        Fact::AlertJoined { .. }
        | Fact::Created { .. }
        | Fact::RulesLoaded { .. }
        | Fact::AlertFired { .. }
        | Fact::AlertEnriched { .. }
        | Fact::AlertWaiting { .. }
        | Fact::AlertWaitedInVain { dropped: true, .. }
        | Fact::AlertForgotten { .. }
        | Fact::AlertChangeCounted { .. }
        | Fact::AlertBeats { .. }
        | Fact::AlertLasts { .. }
        | Fact::IncidentRetitlePlanned { .. }
        | Fact::IncidentCausesPlanned { .. }
        | Fact::ChangeRecorded { .. }
        | Fact::UsualMeasured { .. }
        | Fact::MessageTaken { .. }
        | Fact::HeartbeatHeard { .. }
        | Fact::HeartbeatMissed { .. }
        | Fact::HeartbeatPlanned { .. }
        | Fact::IncidentMajor { step: MajorStep::Planned(_), .. }
        | Fact::ChangeForgotten { .. }
        | Fact::IncidentFallPlanned { .. }
        | Fact::IncidentResolvePlanned { .. }
        | Fact::EscalationStepped { skipped: false, .. }
        | Fact::EscalationUpdatePlanned { .. }
        | Fact::EscalationTold { .. }
        | Fact::NotificationFailed { .. }
        | Fact::NotificationForgotten { .. }
        | Fact::SilenceSet { .. }
        | Fact::SilenceForgotten { .. } => None,
    }
}

impl<'a> Told<'a> {
    fn because(self, reason: &'a Reason) -> Told<'a> {
        let actor = match reason {
            Reason::Actor(actor) => Some(actor_name(actor)),
            _ => self.actor,
        };
        Told { reason: ReasonJson::of(reason), actor, ..self }
    }

    fn because_of_rule(self, rule: &'a RuleRef) -> Told<'a> {
        Told { reason: Some(ReasonJson::rule(rule)), ..self }
    }

    fn by(self, actor: &'a Actor) -> Told<'a> {
        Told { actor: Some(actor_name(actor)), ..self }
    }
}

fn in_incident<'a>(incident: IncidentId, text: String) -> Told<'a> {
    Told { incidents: Incidents::One([incident]), text, actor: None, reason: None }
}

/// A line in the timelines of all incidents that the alert is in; none where it is in none.
fn about_alert<'a>(
    fingerprint: Fingerprint,
    context: &Context<'a>,
    words: impl FnOnce(AlertName<'a>) -> String,
) -> Option<Told<'a>> {
    let record = context.alert(fingerprint)?;
    if record.incidents.is_empty() {
        return None;
    }
    let text = words(AlertName::of(fingerprint, context));
    Some(Told { incidents: Incidents::All(&record.incidents), text, actor: None, reason: None })
}

fn about_notification<'a>(
    id: NotificationId,
    context: &Context<'a>,
    words: impl FnOnce(&str, &str) -> String,
) -> Option<Told<'a>> {
    let notification = context.notifications.get(&id)?;
    Some(in_incident(notification.incident, words(&notification.receiver, notification.kind.as_str())))
}

/// `resolved by ann`, `resolved: all alerts resolved`, `closed (rule …)`.
fn ended<'a>(incident: IncidentId, what: &str, reason: &'a Reason) -> Told<'a> {
    let text = match reason {
        Reason::Actor(actor) => format!("{what} by {actor}"),
        Reason::Text(text) => format!("{what}: {text}"),
        other => format!("{what} ({})", reason_words(other)),
    };
    in_incident(incident, text).because(reason)
}

/// `HighLatency on host a`; the fingerprint where the alert has no name or is not known any more. Written where it
/// goes without a text of its own: this is done for every alert of a storm.
pub(super) struct AlertName<'a> {
    fingerprint: Fingerprint,
    name: &'a str,
    /// The label that says which thing it is about, and its value; both empty where none does.
    thing: (&'a str, &'a str),
}

impl<'a> AlertName<'a> {
    fn of(fingerprint: Fingerprint, context: &Context<'a>) -> AlertName<'a> {
        AlertName::of_record(fingerprint, context.alert(fingerprint))
    }

    fn of_record(fingerprint: Fingerprint, record: Option<&'a AlertRecord>) -> AlertName<'a> {
        let Some(record) = record else { return AlertName { fingerprint, name: "", thing: ("", "") } };
        let labels = record.labels();
        let mut things = THING_LABELS.iter().map(|name| (*name, labels.get(name)));
        let thing = things.find(|(_, value)| !value.is_empty()).unwrap_or_default();
        AlertName { fingerprint, name: labels.get("alertname"), thing }
    }

    /// As it is displayed, into a buffer, but for the thing that it is about, which is given back: a formatter asks five times
    /// for what is known to be text.
    pub(super) fn put_apart(&self, text: &mut String) -> &'a str {
        if self.name.is_empty() {
            text.push_str(&self.fingerprint.to_string());
        }
        text.push_str(self.name);
        let (label, value) = self.thing;
        if !label.is_empty() {
            for part in [" on ", label, " "] {
                text.push_str(part);
            }
        }
        value
    }
}

impl fmt::Display for AlertName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        let thing = self.put_apart(&mut text);
        text.push_str(thing);
        f.write_str(&text)
    }
}

/// `rule database-cluster, rules.yaml:7`.
pub(super) struct RuleWords<'a>(pub &'a RuleRef);

impl fmt::Display for RuleWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RulePlace { name, file, line } = &**self.0;
        match line {
            0 => write!(f, "built-in rule {name}"),
            _ => write!(f, "rule {name}, {file}:{line}"),
        }
    }
}

fn reason_words(reason: &Reason) -> String {
    match reason {
        Reason::Rule(rule) => RuleWords(rule).to_string(),
        Reason::Silence(id) => format!("silence {id}"),
        Reason::Alert(fingerprint, rule) => format!("alert {fingerprint} by {}", RuleWords(rule)),
        Reason::Actor(actor) => actor.to_string(),
        Reason::Text(text) => text.to_string(),
    }
}

/// `inhibition by alert … by rule …`; a silence needs no further name for its kind.
fn suppression_words(by: &Suppression) -> String {
    match &by.reason {
        reason @ Reason::Silence(_) => reason_words(reason),
        reason => format!("{}: {}", by.kind.as_str(), reason_words(reason)),
    }
}

/// `classified as database / replication (rule …), team dba (rule …)`; a reason is named once where it decided all.
fn classified_words(category: &str, subcategory: Option<&str>, team: Option<&str>, reasons: &[Option<Reason>; 3]) -> String {
    let because = |reason: &Option<Reason>| reason.as_ref().map(|r| format!(" ({})", reason_words(r))).unwrap_or_default();
    let [category_reason, subcategory_reason, team_reason] = reasons;
    let (kind, kind_reason) = match subcategory {
        None => (category.to_owned(), category_reason),
        Some(sub) if category_reason == subcategory_reason => (format!("{category} / {sub}"), category_reason),
        Some(sub) => (format!("{category}{} / {sub}", because(category_reason)), subcategory_reason),
    };
    match team {
        None => format!("classified as {kind}{}", because(kind_reason)),
        Some(team) if team_reason == kind_reason => format!("classified as {kind}, team {team}{}", because(team_reason)),
        Some(team) => format!("classified as {kind}{}, team {team}{}", because(kind_reason), because(team_reason)),
    }
}

/// `dba-pager at once, dba-lead and boss after 15m unless acknowledged`; of a policy that took over also `dba-pager told before`.
fn plan_words(run: &PolicyRun) -> String {
    let words = |step: &PolicyStep| {
        match step.state {
            StepState::Done => return format!("{} told before", step.notify.join(" and ")),
            StepState::Skipped => return format!("{} left out as it is acknowledged", step.notify.join(" and ")),
            StepState::Waiting => {}
        }
        let when = match step.due.since(run.clock()) {
            Millis(..=0) => "at once".to_owned(),
            length => format!("after {}", length_words(length)),
        };
        let unless = if step.unless_acknowledged { " unless acknowledged" } else { "" };
        format!("{} {when}{unless}", step.notify.join(" and "))
    };
    run.steps.iter().map(words).collect::<Vec<_>>().join(", ")
}

/// A length without its milliseconds, where it has seconds.
fn length_words(length: Millis) -> Millis {
    if length.0 < 1_000 { length } else { Millis(length.0 - length.0 % 1_000) }
}

fn actor_name(actor: &Actor) -> &str {
    match actor {
        Actor::Engine => "quell",
        Actor::Person(name) | Actor::Receiver(name) => name,
    }
}

#[cfg(test)]
mod tests;
