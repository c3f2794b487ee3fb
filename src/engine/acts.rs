//! What people do to incidents, notifications and silences. An act that changes nothing is no fault: two people may
//! acknowledge at once, and the log's order says who was first.

use std::sync::Arc;

use crate::engine::{Act, Answer, Engine, Fact, Refusal};
use crate::model::{Actor, Incident, IncidentId, IncidentStatus, NotificationId, NotificationState, Reason, Silence, SilenceId};

impl Engine {
    pub(super) fn act(&mut self, act: Act, by: Actor) -> Result<Answer, Refusal> {
        match act {
            Act::Acknowledge(id) => self.acknowledge(id, &by),
            Act::Assign(id, assignee) => {
                if self.incident(id)?.assignee == assignee {
                    return Ok(Answer::Repeat);
                }
                Ok(self.done(Fact::IncidentAssigned { incident: id, assignee, by }))
            }
            Act::Comment(id, text) => {
                self.incident(id)?;
                Ok(self.done(Fact::IncidentCommented { incident: id, text, by }))
            }
            Act::Resolve(id) => {
                if self.incident(id)?.status == IncidentStatus::Resolved {
                    return Ok(Answer::Repeat);
                }
                self.resolve_incident(id, Reason::Actor(by));
                Ok(Answer::Done)
            }
            Act::Reopen(id) => self.reopen_by_hand(id, by),
            Act::Close(id) => {
                let incident = self.incident(id)?;
                if incident.status.is_active() {
                    return Err(Refusal::Forbidden(format!("{id} is {}; resolve it first", incident.status.as_str())));
                }
                Ok(self.done(Fact::IncidentClosed { incident: id, reason: Reason::Actor(by) }))
            }
            Act::SetType(id, to, why) => self.set_type(id, to, why, by),
            Act::RetryNotification(id) => self.retry(id, by),
            Act::SetSilence(silence) if !silence.matchers.is_empty() && silence.covers_everything() => Err(Refusal::Forbidden(
                "the silence would cover every alert; narrow its matchers, or say that it shall".to_owned(),
            )),
            Act::SetSilence(silence) | Act::SetSilenceOfAll(silence) => self.set_silence(silence),
            Act::EndSilence(id) => self.end_silence_early(id),
            Act::RecordChange(change) => Ok(self.record_change(&change)),
            Act::Report(alert) => self.report(alert),
            Act::Beat(name) => self.hear_heartbeat(&name, by),
        }
    }

    fn done(&mut self, fact: Fact) -> Answer {
        self.record(fact);
        Answer::Done
    }

    pub(super) fn incident(&self, id: IncidentId) -> Result<Arc<Incident>, Refusal> {
        self.state.incident(id).cloned().ok_or(Refusal::NoSuchIncident(id))
    }

    fn acknowledge(&mut self, id: IncidentId, by: &Actor) -> Result<Answer, Refusal> {
        match self.incident(id)?.status {
            IncidentStatus::Open => {
                self.record(Fact::IncidentAcknowledged { incident: id, by: by.clone() });
                self.tell_acknowledged(id, by);
                Ok(Answer::Done)
            }
            IncidentStatus::Acknowledged => Ok(Answer::Repeat),
            status => Err(Refusal::Forbidden(format!("{id} is {}", status.as_str()))),
        }
    }

    fn reopen_by_hand(&mut self, id: IncidentId, by: Actor) -> Result<Answer, Refusal> {
        let incident = self.incident(id)?;
        if incident.status.is_active() {
            return Err(Refusal::Forbidden(format!("{id} is {}", incident.status.as_str())));
        }
        self.record(Fact::IncidentReopened { incident: id, reason: Reason::Actor(by) });
        if let Some(record) = self.spokesman(id) {
            self.start_policies(id, &record, true);
            self.review_incident_pauses(id);
        }
        Ok(Answer::Done)
    }

    fn retry(&mut self, id: NotificationId, by: Actor) -> Result<Answer, Refusal> {
        let present = self.state.notifications.get(&id).ok_or(Refusal::NoSuchNotification(id))?;
        match present.state {
            NotificationState::Delivered => Err(Refusal::Forbidden("the notification has been delivered".to_owned())),
            NotificationState::Queued => Ok(Answer::Repeat),
            NotificationState::Failed | NotificationState::Dead => {
                Ok(self.done(Fact::NotificationRetried { notification: id, by }))
            }
        }
    }

    fn set_silence(&mut self, silence: Silence) -> Result<Answer, Refusal> {
        if silence.ends_at <= silence.starts_at {
            return Err(Refusal::Forbidden("the silence ends before it starts".to_owned()));
        }
        if silence.matchers.is_empty() {
            return Err(Refusal::Forbidden("the silence has no matchers".to_owned()));
        }
        let id = silence.id;
        self.record(Fact::SilenceSet { silence: Arc::new(silence) });
        self.review_silence(id);
        Ok(Answer::Done)
    }

    fn end_silence_early(&mut self, id: SilenceId) -> Result<Answer, Refusal> {
        let present = self.state.silences.get(&id).cloned().ok_or(Refusal::NoSuchSilence(id))?;
        if present.ends_at <= self.now {
            return Ok(Answer::Repeat);
        }
        let starts_at = present.starts_at.min(self.now);
        let ended = Silence { starts_at, ends_at: self.now, updated_at: self.now, ..(*present).clone() };
        self.record(Fact::SilenceSet { silence: Arc::new(ended) });
        self.review_silence(id);
        Ok(Answer::Done)
    }
}
