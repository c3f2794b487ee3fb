//! A log as what was told then (alerts, acts, silences) and what was decided of it.
//!
//! What a person did to an incident is done to the one that its first alert is in now: numbers mean something else under
//! other rules. Repeats leave no trace in a log, so that an alert expired is a recorded word like any other; and rules that
//! wait for beats see those only that stopped then.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::outcome::{Outcome, Watcher};
use super::{Run, Site};
use crate::engine::{Act, Entity, Fact, Input, News, State};
use crate::model::incident::IncidentType;
use crate::model::{Actor, Alert, AlertStatus, Change, Fingerprint, IncidentId, Millis, Reason, Silence, Time};
use crate::ruleset::Ruleset;
use crate::storage::disk::Disk;
use crate::storage::log::{LogError, LogFiles, LogItem, Record};

/// What a log tells.
#[derive(Debug)]
pub struct History {
    events: Vec<(Time, Event)>,
    /// What was really decided.
    pub decided: Outcome,
    /// What began to fire from here on is counted.
    pub from: Time,
    /// The last record's time.
    pub ends: Time,
    /// How many words of senders there are, without repeats.
    pub alerts: u64,
}

#[derive(Clone, Debug)]
enum Event {
    Input(Input),
    /// What was done to an incident, which had this alert first.
    Act {
        first: Fingerprint,
        recorded: IncidentId,
        deed: Deed,
        by: Actor,
    },
}

#[derive(Clone, Debug)]
enum Deed {
    Acknowledge,
    Assign(Option<Arc<str>>),
    Resolve,
    Reopen,
    Close,
    Type(IncidentType, Arc<str>),
}

/// Reads a log. What began to fire before `since`, or before the log's oldest record, is played and not counted.
///
/// # Errors
/// A log that is damaged or cannot be read.
pub fn history<D: Disk>(log: &LogFiles<D>, since: Time) -> Result<History, LogError> {
    let mut reader = Reader::new(since);
    for item in log.read(0)? {
        match item? {
            LogItem::Entity(entity) => reader.state.add(entity),
            LogItem::Record(record) => reader.record(&record),
            // Nothing is passed over without leave, and none was given.
            LogItem::Skipped(_) => {}
        }
    }
    Ok(reader.finish())
}

/// What other rules make of the same events. `tell` hears now and then how many are done.
#[must_use]
pub fn replay(history: &History, rules: &Arc<Ruleset>, site: &Site, tell: &mut dyn FnMut(usize)) -> Outcome {
    const TELL_EVERY: usize = 4_096;
    let start = history.events.first().map_or(history.from, |(at, _)| *at);
    let mut run = Run::new(rules, site, start, history.from);
    for (done, (at, event)) in history.events.iter().enumerate() {
        match event {
            Event::Input(input) => run.input(*at, input.clone()),
            Event::Act { first, recorded, deed, by } => {
                run.advance(*at);
                if let Some(id) = counterpart(run.player.state(), *first, *recorded) {
                    run.input(*at, Input::Act { act: deed.on(id), by: by.clone() });
                }
            }
        }
        if done % TELL_EVERY == 0 {
            tell(done);
        }
    }
    run.advance(history.ends);
    run.finish()
}

impl History {
    /// How many events there are to play.
    #[must_use]
    pub fn events(&self) -> usize {
        self.events.len()
    }
}

impl Deed {
    fn on(&self, id: IncidentId) -> Act {
        match self {
            Deed::Acknowledge => Act::Acknowledge(id),
            Deed::Assign(assignee) => Act::Assign(id, assignee.clone()),
            Deed::Resolve => Act::Resolve(id),
            Deed::Reopen => Act::Reopen(id),
            Deed::Close => Act::Close(id),
            Deed::Type(to, why) => Act::SetType(id, *to, why.clone()),
        }
    }
}

/// The incident that has the alert which another one had first: that of the same number where it is one of several, else
/// the last that is open, else the last.
fn counterpart(state: &State, first: Fingerprint, recorded: IncidentId) -> Option<IncidentId> {
    let homes = &state.alert(first)?.incidents;
    let active = |id: &&IncidentId| state.incident(**id).is_some_and(|incident| incident.status.is_active());
    let same = homes.iter().find(|id| **id == recorded);
    same.or_else(|| homes.iter().rev().find(active)).or(homes.last()).copied()
}

struct Reader {
    since: Time,
    state: State,
    /// Built with the first record, when it is known where the log begins.
    watcher: Option<Watcher>,
    from: Time,
    events: Vec<(Time, Event)>,
    /// The alert that each incident had first.
    first: FxHashMap<IncidentId, Fingerprint>,
    alerts: u64,
}

impl Reader {
    fn new(since: Time) -> Reader {
        Reader {
            since,
            state: State::new(),
            watcher: None,
            from: since,
            events: Vec::new(),
            first: FxHashMap::default(),
            alerts: 0,
        }
    }

    fn record(&mut self, record: &Record) {
        let mut watcher = self.watcher.take().unwrap_or_else(|| self.begin());
        for (seq, fact) in (record.first_seq..).zip(&record.facts) {
            self.take(record.time, fact);
            self.state.apply(seq, record.time, fact);
            watcher.note(fact, &self.state);
        }
        watcher.end_step(&self.state);
        self.watcher = Some(watcher);
        // Nobody is told of changes here, and kept ones would fill the memory.
        drop(self.state.take_changes());
    }

    /// What a checkpoint says: what fires then is told at its time, silences are set, the rest is the past.
    fn begin(&mut self) -> Watcher {
        self.state.finish();
        let begins = self.state.time();
        if self.state.seq() > 0 {
            // What fires in the checkpoint began before it, by however little.
            self.from = self.since.max(begins + Millis(1));
        }
        let entities: Vec<Entity> = self.state.entities().collect();
        for entity in entities {
            match entity {
                Entity::Alert(record) => {
                    for id in &record.incidents {
                        self.first.entry(*id).or_insert(record.alert.fingerprint);
                    }
                    if record.is_firing() && !record.alert.is_heartbeat() {
                        self.events.push((begins, fires(&record.alert)));
                    }
                }
                Entity::Silence(silence) => self.events.push((begins, silenced(&silence, begins))),
                Entity::Change(change) => self.events.push((begins, changed(&change))),
                Entity::Heartbeat(heartbeat) => self.events.push((begins, beat(&heartbeat.name))),
                // What was usual then, the storm rules that are tried measure anew.
                Entity::Meta(_) | Entity::Incident(_) | Entity::Notification(_) | Entity::Usual(_) | Entity::Message(_) => {}
            }
        }
        Watcher::new(self.from)
    }

    fn take(&mut self, at: Time, fact: &Fact) {
        let by_hand = |reason: &Reason| match reason {
            Reason::Actor(actor) => Some(actor.clone()),
            _ => None,
        };
        let (incident, deed, by) = match fact {
            // The rules that are tried miss heartbeats themselves.
            Fact::AlertFired { alert } if alert.is_heartbeat() => return,
            Fact::AlertFired { alert } => return self.word(at, fires(alert)),
            Fact::AlertResolved { fingerprint, ends_at, expired } => {
                let told = self.state.alert(*fingerprint).filter(|record| !record.alert.is_heartbeat());
                let ended = told.map(|record| ends(&record.alert, *ends_at, *expired));
                return ended.into_iter().for_each(|event| self.word(at, event));
            }
            Fact::HeartbeatHeard { heartbeat, .. } => return self.events.push((at, beat(heartbeat))),
            Fact::ChangeRecorded { change } => return self.events.push((at, changed(change))),
            Fact::SilenceSet { silence } => return self.events.push((at, silenced(silence, at))),
            Fact::AlertJoined { incident, fingerprint, .. } => {
                self.first.entry(*incident).or_insert(*fingerprint);
                return;
            }
            Fact::IncidentAcknowledged { incident, by } => (incident, Deed::Acknowledge, Some(by.clone())),
            Fact::IncidentAssigned { incident, assignee, by } => (incident, Deed::Assign(assignee.clone()), Some(by.clone())),
            Fact::IncidentResolved { incident, reason, .. } => (incident, Deed::Resolve, by_hand(reason)),
            Fact::IncidentReopened { incident, reason } => (incident, Deed::Reopen, by_hand(reason)),
            Fact::IncidentClosed { incident, reason } => (incident, Deed::Close, by_hand(reason)),
            Fact::IncidentTypeSet { incident, said } => {
                (incident, Deed::Type(said.incident_type, said.why.clone()), Some(said.by.clone()))
            }
            _ => return,
        };
        if let (Some(first), Some(by)) = (self.first.get(incident), by) {
            self.events.push((at, Event::Act { first: *first, recorded: *incident, deed, by }));
        }
    }

    fn word(&mut self, at: Time, event: Event) {
        self.alerts += u64::from(at >= self.from);
        self.events.push((at, event));
    }

    fn finish(self) -> History {
        let decided = self.watcher.map(Watcher::finish).unwrap_or_default();
        History { events: self.events, decided, from: self.from, ends: self.state.time(), alerts: self.alerts }
    }
}

fn fires(alert: &Arc<Alert>) -> Event {
    Event::Input(Input::Alert(News { alert: alert.clone(), status: AlertStatus::Firing, ends_at: None, lasts: None }))
}

fn ends(alert: &Arc<Alert>, ends_at: Time, expired: bool) -> Event {
    Event::Input(if expired {
        Input::Expired { fingerprint: alert.fingerprint, expired_at: ends_at }
    } else {
        Input::Alert(News { alert: alert.clone(), status: AlertStatus::Resolved, ends_at: Some(ends_at), lasts: None })
    })
}

fn changed(change: &Arc<Change>) -> Event {
    Event::Input(Input::Act { act: Act::RecordChange(change.clone()), by: Actor::Engine })
}

/// A beat; where no rule names it any more, it is refused, and nothing comes of it.
fn beat(name: &Arc<str>) -> Event {
    Event::Input(Input::Act { act: Act::Beat(name.clone()), by: Actor::Engine })
}

/// A silence as it was set: whether it might cover everything was settled then. One that ended in the same moment was ended
/// by hand.
fn silenced(silence: &Arc<Silence>, at: Time) -> Event {
    let act = if silence.ends_at <= at { Act::EndSilence(silence.id) } else { Act::SetSilenceOfAll((**silence).clone()) };
    Event::Input(Input::Act { act, by: Actor::Engine })
}
