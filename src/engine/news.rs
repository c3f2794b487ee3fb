//! What a sender's word means: a new occurrence, a resolve, or nothing that was not known.

use std::sync::Arc;

use crate::engine::flapping::is_flapping;
use crate::engine::inhibit::Parts;
use crate::engine::{Answer, Engine, Fact, News, Refusal};
use crate::model::{Alert, AlertStatus, Fingerprint, IncidentId, Millis, Time};

impl Engine {
    pub(super) fn take_news(&mut self, news: News) -> Result<Answer, Refusal> {
        let fingerprint = news.alert.fingerprint;
        let present = self.state.alert(fingerprint);
        let fires = present.is_some_and(|record| record.is_firing());
        match news.status {
            AlertStatus::Resolved if fires => {
                let ends_at = news.ends_at.unwrap_or(self.now).min(self.now);
                self.resolve_alert(fingerprint, ends_at, false);
                Ok(Answer::New)
            }
            // Resolved already, or never heard of: there is nothing to end.
            AlertStatus::Resolved => Ok(Answer::Repeat),
            // An identity that leaves labels out may fire again with others: that is news of the same occurrence.
            AlertStatus::Firing if fires && present.is_some_and(|record| record.alert.labels == news.alert.labels) => {
                Ok(Answer::Repeat)
            }
            AlertStatus::Firing if !fires && self.state.firing() >= self.options.active_alerts => {
                Err(Refusal::Limit("active_alerts"))
            }
            AlertStatus::Firing => {
                self.fire(news.alert, news.lasts, fires);
                Ok(Answer::New)
            }
        }
    }

    /// Takes an alert that begins to fire, or fires on under other labels where it `fires` already.
    pub(super) fn fire(&mut self, alert: Arc<Alert>, lasts: Option<Millis>, fires: bool) {
        let fingerprint = alert.fingerprint;
        // Where it fires already, under other labels, its part under those ends here.
        let left = if fires { self.leave_inhibitions(fingerprint) } else { Parts::default() };
        self.leave_conditions(fingerprint);
        self.leave_ties(fingerprint);
        if !fires {
            self.leave_old_incidents(fingerprint, alert.starts_at);
        }
        self.record(Fact::AlertFired { alert });
        if let Some(within) = lasts {
            self.record(Fact::AlertLasts { fingerprint, within });
        }
        self.enrich(fingerprint);
        self.enter_conditions(fingerprint);
        self.enter_ties_again(fingerprint);
        if !fires {
            self.count_change(fingerprint);
        }
        let entered = self.suppress_news(fingerprint);
        self.review_targets(&entered, fingerprint);
        self.review_targets(&left, fingerprint);
        self.hear_beat(fingerprint);
        self.admit(fingerprint, true);
    }

    /// An alert that is about to fire again leaves the incidents whose rules say that it was away for too long. One that began
    /// before it ended, by its sender's word, was never away: what ended it was a message that came late, or silence.
    fn leave_old_incidents(&mut self, fingerprint: Fingerprint, starts_at: Time) {
        let Some(record) = self.state.alert(fingerprint) else { return };
        let Some(ended) = record.ends_at.filter(|ended| starts_at > *ended) else { return };
        let away = self.now.since(ended);
        let too_long = |id: &IncidentId| {
            let incident = self.state.incident(*id)?;
            let back_within = self.rule_of(incident)?.back_within?;
            (away >= back_within).then(|| (*id, incident.rule.clone()))
        };
        let left: Vec<_> = record.incidents.iter().filter_map(too_long).collect();
        for (incident, rule) in left {
            self.record(Fact::AlertLeft { incident, fingerprint, rule });
        }
    }

    /// The end of an alert that was not known when it came. Mostly it never is; but its beginning may have been on its way to the
    /// log then.
    pub(super) fn end_unknown(&mut self, fingerprint: Fingerprint, ends_at: Time) -> Answer {
        let begun = self.state.alert(fingerprint).filter(|record| record.is_firing());
        if begun.is_none_or(|record| record.alert.starts_at > ends_at) {
            return Answer::Repeat;
        }
        self.resolve_alert(fingerprint, ends_at.min(self.now), false);
        Answer::New
    }

    /// Nothing was heard of a firing alert for too long.
    pub(super) fn expire(&mut self, fingerprint: Fingerprint, expired_at: Time) -> Answer {
        if !self.state.alert(fingerprint).is_some_and(|record| record.is_firing()) {
            return Answer::Repeat;
        }
        self.resolve_alert(fingerprint, expired_at.min(self.now), true);
        Answer::New
    }

    pub(super) fn resolve_alert(&mut self, fingerprint: Fingerprint, ends_at: Time, expired: bool) {
        let left = self.leave_inhibitions(fingerprint);
        let flaps = self.state.alert(fingerprint).is_some_and(|record| is_flapping(record));
        self.record(Fact::AlertResolved { fingerprint, ends_at, expired });
        self.end_conditions(fingerprint);
        self.count_change(fingerprint);
        self.review_targets(&left, fingerprint);
        let incidents = self.state.alert(fingerprint).map(|record| record.incidents.clone()).unwrap_or_default();
        for id in &incidents {
            self.alert_left(*id, flaps);
        }
        self.stop_beat(fingerprint, expired);
    }
}
