//! What happened around an incident, taken from the log: the inputs, and what stood at quiet moments behind each change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{CaptureError, Related};
use crate::engine::{Act, Fact, State};
use crate::model::{
    Actor, Alert, AlertRecord, Fingerprint, Incident, IncidentId, Millis, NotificationKind, Reason, Silence, SilenceId, Time,
};
use crate::storage::disk::Disk;
use crate::storage::log::{LogFiles, LogItem, Record};

/// The daemon's timers run a little late, a test's do not. What is expected is looked at when nothing else has happened
/// for so long, ...
const QUIET: Millis = Millis::seconds(2);
/// ... and this long after the last thing that did.
const AFTER: Millis = Millis::seconds(1);

/// An incident's story.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub(super) alerts: Vec<Word>,
    pub(super) acts: Vec<(Time, Act, Arc<str>)>,
    /// Those that suppressed one of the alerts, as they were in the end.
    pub(super) silences: Vec<Arc<Silence>>,
    pub(super) checks: Vec<Seen>,
    /// The incidents, in order of opening.
    pub(super) incidents: Vec<IncidentId>,
}

/// What a sender said.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) at: Time,
    pub(super) alert: Arc<Alert>,
    pub(super) fires: bool,
    pub(super) expired: bool,
}

/// What stood at one moment.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) at: Time,
    pub(super) open: Vec<Arc<Incident>>,
    pub(super) notified: BTreeSet<Arc<str>>,
    pub(super) suppressed: Vec<Arc<AlertRecord>>,
}

/// Reads the story out of the log.
pub(super) fn record<D: Disk>(log: &LogFiles<D>, related: &Related) -> Result<Recorded, CaptureError> {
    let mut recorder = Recorder::new(related);
    for item in log.read(0)? {
        match item? {
            LogItem::Entity(entity) => {
                if let crate::engine::Entity::Silence(silence) = &entity {
                    recorder.silences.insert(silence.id, silence.clone());
                }
                recorder.state.add(entity);
                recorder.unfinished = true;
            }
            LogItem::Record(record) => recorder.record(&record),
            // Nothing is passed over without leave, and none was given.
            LogItem::Skipped(_) => {}
        }
    }
    recorder.look();
    let silencing = std::mem::take(&mut recorder.silencing);
    recorder.recorded.silences = silencing.iter().filter_map(|id| recorder.silences.remove(id)).collect();
    recorder.recorded.incidents = related.incidents.iter().copied().collect();
    Ok(recorder.recorded)
}

struct Recorder<'r> {
    related: &'r Related,
    recorded: Recorded,
    state: State,
    /// Entities have been added since the state was derived from them.
    unfinished: bool,
    /// The alerts of the story that have begun.
    begun: BTreeMap<Fingerprint, Arc<Alert>>,
    silences: BTreeMap<SilenceId, Arc<Silence>>,
    silencing: BTreeSet<SilenceId>,
    notified: BTreeSet<Arc<str>>,
    /// A step of a policy is being taken: its messages count, even to those who know already.
    stepping: bool,
    /// When something of the story happened last.
    last: Option<Time>,
    /// Something has happened that is worth a look.
    changed: bool,
}

impl<'r> Recorder<'r> {
    fn new(related: &'r Related) -> Recorder<'r> {
        Recorder {
            related,
            recorded: Recorded::default(),
            state: State::new(),
            unfinished: false,
            begun: BTreeMap::new(),
            silences: BTreeMap::new(),
            silencing: BTreeSet::new(),
            notified: BTreeSet::new(),
            stepping: false,
            last: None,
            changed: false,
        }
    }

    fn record(&mut self, record: &Record) {
        if std::mem::take(&mut self.unfinished) {
            self.state.finish();
        }
        let facts = || (record.first_seq..).zip(&record.facts);
        let ours = facts().any(|(seq, fact)| self.is_ours(seq, fact));
        if ours && self.changed && self.last.is_some_and(|last| record.time.since(last) > QUIET) {
            self.look();
        }
        for (seq, fact) in facts() {
            self.take(record.time, seq, fact);
            self.state.apply(seq, record.time, fact);
        }
        // Nobody is told of changes here, and kept ones would fill the memory.
        drop(self.state.take_changes());
        if ours {
            self.last = Some(record.time);
        }
    }

    fn is_ours(&self, seq: u64, fact: &Fact) -> bool {
        match fact {
            Fact::AlertFired { .. } => self.related.fired.contains(&seq),
            Fact::AlertEnriched { fingerprint, .. }
            | Fact::AlertSuppressed { fingerprint, .. }
            | Fact::AlertReleased { fingerprint, .. }
            | Fact::AlertWaiting { fingerprint, .. }
            | Fact::AlertWaitedInVain { fingerprint, .. }
            | Fact::AlertResolved { fingerprint, .. } => self.begun.contains_key(fingerprint),
            other => other.incident().is_some_and(|incident| self.related.incidents.contains(&incident)),
        }
    }

    fn take(&mut self, at: Time, seq: u64, fact: &Fact) {
        if let Fact::SilenceSet { silence } = fact {
            self.silences.insert(silence.id, silence.clone());
        }
        if let Fact::AlertFired { alert } = fact {
            self.begun.remove(&alert.fingerprint);
        }
        if !self.is_ours(seq, fact) {
            return;
        }
        match fact {
            Fact::AlertFired { alert } => {
                self.begun.insert(alert.fingerprint, alert.clone());
                self.recorded.alerts.push(Word { at, alert: alert.clone(), fires: true, expired: false });
            }
            Fact::AlertResolved { fingerprint, expired, .. } => {
                let alert = self.begun.get(fingerprint).cloned();
                self.recorded.alerts.extend(alert.map(|alert| Word { at, alert, fires: false, expired: *expired }));
            }
            Fact::AlertSuppressed { by, .. } => {
                if let Reason::Silence(id) = &by.reason {
                    self.silencing.insert(*id);
                }
                self.changed = true;
            }
            Fact::AlertReleased { .. } => self.changed = true,
            Fact::EscalationStepped { skipped, .. } => {
                self.stepping = !skipped;
                self.changed = true;
            }
            Fact::EscalationTold { .. } => self.stepping = false,
            // Who is told where no rule of a file fits is the configuration's matter.
            Fact::NotificationQueued { notification: n } => {
                let by_rule = matches!(&n.reason, Reason::Rule(rule) if rule.line > 0);
                if by_rule && n.kind == NotificationKind::Trigger && (self.stepping || !n.again) {
                    self.notified.insert(n.receiver.clone());
                }
            }
            other => self.take_change(at, other),
        }
    }

    /// What happened to an incident, and what a person did to it.
    fn take_change(&mut self, at: Time, fact: &Fact) {
        let by_hand = |reason: &Reason| match reason {
            Reason::Actor(actor) => Some(actor.clone()),
            _ => None,
        };
        let act = match fact {
            Fact::IncidentOpened { .. } => None,
            Fact::IncidentAcknowledged { incident, by } => Some((Act::Acknowledge(*incident), by.clone())),
            Fact::IncidentAssigned { incident, assignee, by } => Some((Act::Assign(*incident, assignee.clone()), by.clone())),
            Fact::IncidentCommented { incident, text, by } => Some((Act::Comment(*incident, text.clone()), by.clone())),
            Fact::IncidentResolved { incident, reason, .. } => by_hand(reason).map(|by| (Act::Resolve(*incident), by)),
            Fact::IncidentReopened { incident, reason } => by_hand(reason).map(|by| (Act::Reopen(*incident), by)),
            Fact::IncidentClosed { incident, reason } => by_hand(reason).map(|by| (Act::Close(*incident), by)),
            Fact::IncidentTypeSet { incident, said } => {
                Some((Act::SetType(*incident, said.incident_type, said.why.clone()), said.by.clone()))
            }
            _ => return,
        };
        self.changed = true;
        let name = |by: Actor| match by {
            Actor::Person(name) | Actor::Receiver(name) => name,
            Actor::Engine => Arc::from("quell"),
        };
        self.recorded.acts.extend(act.map(|(act, by)| (at, act, name(by))));
    }

    /// Notes what stands now, as of shortly after the last thing that happened.
    fn look(&mut self) {
        let Some(last) = self.last else { return };
        let incidents = self.related.incidents.iter().filter_map(|id| self.state.incident(*id));
        let open = incidents.filter(|incident| incident.status.is_active()).cloned().collect();
        let records = self.begun.keys().filter_map(|fingerprint| self.state.alert(*fingerprint));
        let suppressed = records.filter(|record| record.is_firing() && record.is_suppressed()).cloned().collect();
        let notified = std::mem::take(&mut self.notified);
        self.recorded.checks.push(Seen { at: last + AFTER, open, notified, suppressed });
        self.changed = false;
    }
}
