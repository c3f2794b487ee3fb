//! Heartbeats that rule files name, and that tell of themselves: a job that is done, a machine that is up.
//!
//! One that is not heard of in time raises an alert of Quell's own, which goes the way of any other; the next beat resolves
//! it. One that was never heard of is not missed, as with the beats of `absent` rules (`heartbeat`), which are alerts
//! themselves. Unlike those each beat is written down: a job that runs once a day must be missed however often Quell
//! was started since.

use std::sync::Arc;

use crate::engine::{Answer, Engine, Fact, Refusal};
use crate::model::alert::HEARTBEATS;
use crate::model::{Actor, Alert, Fingerprint, Heartbeat, Labels, Millis};
use crate::ruleset::HeartbeatRule;

/// A beat so soon behind another says nothing new: a sender that has run wild must not fill the log.
const SAME_BEAT: Millis = Millis::seconds(1);

/// What is found due so long after its moment was due while nobody listened: Quell was stopped, the machine asleep, the disk
/// full. Beats may have come to a closed door, so that it gets its whole time once more.
const NOBODY_LISTENED: Millis = Millis::minutes(1);

impl Engine {
    /// A heartbeat says that it is there.
    pub(super) fn hear_heartbeat(&mut self, name: &Arc<str>, by: Actor) -> Result<Answer, Refusal> {
        let Some(rule) = self.rules.heartbeats.get(name) else { return Err(Refusal::NoSuchHeartbeat(name.clone())) };
        let within = rule.within();
        let same = |known: &Arc<Heartbeat>| known.missed_at.is_none() && self.now.since(known.last_at) < SAME_BEAT;
        if self.state.heartbeats.get(name).is_some_and(same) {
            return Ok(Answer::Repeat);
        }
        self.record(Fact::HeartbeatHeard { heartbeat: name.clone(), within, by });
        self.end_miss(name);
        Ok(Answer::Done)
    }

    /// Misses what has not been heard of in time. Of each due one something is written down, so that none is due again.
    pub(super) fn miss_due_heartbeats(&mut self) {
        for (due, name) in self.state.heartbeats.due(self.now) {
            let rules = self.rules.clone();
            match rules.heartbeats.get(&name) {
                Some(rule) if self.now.since(due) < NOBODY_LISTENED => {
                    self.record(Fact::HeartbeatMissed { heartbeat: name.clone(), rule: rule.rule.clone() });
                    self.raise(rule, &name);
                }
                Some(rule) => {
                    let within = rule.within();
                    self.record(Fact::HeartbeatPlanned { heartbeat: name, within, due: Some(self.now + within) });
                }
                None => self.forget(&name),
            }
        }
    }

    /// After a change of rules: what no rule names any more is forgotten, and other times hold from now on.
    pub(super) fn review_heartbeats(&mut self) {
        let rules = self.rules.clone();
        let known: Vec<Arc<Heartbeat>> = self.state.heartbeats().cloned().collect();
        for heartbeat in known {
            let name = heartbeat.name.clone();
            let Some(rule) = rules.heartbeats.get(&name) else {
                self.forget(&name);
                continue;
            };
            match heartbeat.due {
                Some(due) if rule.within() != heartbeat.within => {
                    // From the beat on; where that has gone by, from now on.
                    let moved = due + Millis(rule.within().0 - heartbeat.within.0);
                    let due = if moved > self.now { moved } else { self.now + rule.within() };
                    self.record(Fact::HeartbeatPlanned { heartbeat: name, within: rule.within(), due: Some(due) });
                }
                // Its alert was lost with a damaged stretch of the log.
                None if !self.is_raised(&name) => self.raise(rule, &name),
                _ => {}
            }
        }
    }

    fn forget(&mut self, name: &Arc<str>) {
        self.end_miss(name);
        self.record(Fact::HeartbeatPlanned { heartbeat: name.clone(), within: Millis::ZERO, due: None });
    }

    fn raise(&mut self, rule: &HeartbeatRule, name: &str) {
        if let Some(heartbeat) = self.state.heartbeats.get(name)
            && !self.is_raised(name)
        {
            let alert = missed(rule, heartbeat);
            self.fire(Arc::new(alert), None, false);
        }
    }

    fn is_raised(&self, name: &str) -> bool {
        self.state.alert(identity(name)).is_some_and(|record| record.is_firing())
    }

    fn end_miss(&mut self, name: &str) {
        if self.is_raised(name) {
            self.resolve_alert(identity(name), self.now, false);
        }
    }
}

fn identity(name: &str) -> Fingerprint {
    Alert::keyed(HEARTBEATS, name)
}

/// The alert about a heartbeat that is missed.
fn missed(rule: &HeartbeatRule, heartbeat: &Heartbeat) -> Alert {
    let name = &heartbeat.name;
    let grace = if rule.grace > Millis::ZERO { format!(" and {} of grace", rule.grace) } else { String::new() };
    let summary = format!("nothing was heard of {name} since {}; it is expected every {}{grace}", heartbeat.last_at, rule.every);
    Alert {
        fingerprint: identity(name),
        labels: rule.labels.clone(),
        annotations: Labels::from_pairs([("summary", summary.as_str())]).unwrap_or_default(),
        generator_url: "".into(),
        source: HEARTBEATS.into(),
        starts_at: heartbeat.last_at + rule.within(),
    }
}
