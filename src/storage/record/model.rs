//! The wire form of the model's types. The numbers are for ever.

use super::DecodeError;
use super::wire::{Fields, Out, Reader, Wire, array, decode_error, fields, variants, words};
use crate::model::alert::{Beat, Extras, FlapSpell, Flaps, Step, Waiting};
use crate::model::cause::Symptom;
use crate::model::incident::{Growth, Head, IncidentType, MajorStep, OpenedAt, PolicyStep, SaidType, StepState};
use crate::model::{
    Actor, Alert, AlertKind, AlertRecord, AlertStatus, Cause, CauseReason, Change, Fingerprint, Heartbeat, Incident, IncidentId,
    IncidentStatus, Labels, MatchOp, Matcher, MessageId, Millis, Notification, NotificationId, NotificationKind,
    NotificationState, PolicyRun, Reason, RulePlace, RuleRef, Severity, Silence, SilenceId, Storm, Suppression, SuppressionKind,
    TakenMessage, Time, Usual,
};

words!(AlertStatus { 0 Firing, 1 Resolved });
words!(IncidentStatus { 0 Open, 1 Acknowledged, 2 Resolved, 3 Closed });
words!(IncidentType { 0 Normal, 1 Major });
words!(MatchOp { 0 Equal, 1 NotEqual, 2 Matches, 3 NotMatches });
words!(NotificationKind { 0 Trigger, 1 Update, 2 Acknowledge, 3 Resolve });
words!(NotificationState { 0 Queued, 1 Delivered, 2 Failed, 3 Dead });
words!(Severity { 0 Critical, 1 High, 2 Medium, 3 Low, 4 Info });
words!(StepState { 0 Waiting, 1 Done, 2 Skipped });
words!(Symptom { 0 Down, 1 Saturated, 2 Failing, 3 Slow, 4 Unclear, 5 Starved });
words!(SuppressionKind { 0 Silence, 1 Inhibition, 2 Maintenance, 3 Flapping, 4 Hold });

variants!(Actor { 0 Engine, 1 Person(1 name), 2 Receiver(1 name) });
variants!(Reason { 0 Rule(1 rule), 1 Silence(1 silence), 2 Alert(1 alert, 2 rule), 3 Actor(1 actor), 4 Text(1 text) });
variants!(CauseReason {
    0 Carries { 1 dependents, 2 of },
    1 Deepest,
    2 Says { 1 alert, 2 symptom },
    3 Came { 1 after },
    4 Changed { 1 kind, 2 summary, 3 before },
    5 Silent { 1 dependents, 2 of },
    6 Beneath { 1 services, 2 of },
});
variants!(MajorStep { 0 Planned(1 due), 1 Declared(1 reason) });

fields!(RulePlace { 0 name, 1 file, 2 line });

impl Wire for RuleRef {
    fn put(&self, out: &mut Out<'_>) {
        RulePlace::put(self, out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<RuleRef, DecodeError> {
        RulePlace::take(reader).map(RuleRef::from)
    }
}

#[cfg(test)]
impl super::tests::Sample for RuleRef {
    fn sample(from: &mut super::tests::Source<'_>) -> RuleRef {
        RulePlace::sample(from).into()
    }
}

fields!(Suppression { 0 kind, 1 reason, 2 until });
fields!(Alert { 0 fingerprint, 1 labels, 2 annotations, 3 generator_url, 4 source, 5 starts_at });
fields!(Waiting { 0 rule, 1 key, 2 since, 3 until, 4 also });
fields!(FlapSpell { 0 rule, 1 until_stable, 2 until });
fields!(Flaps { 0 changes, 1 kept_until, 2 spells });
fields!(Beat { 0 rule, 1 key, 2 within, 3 due });
fields!(Step { 0 rule, 1 key, 2 step, 3 at, 4 until, 5 seq });
fields!(Extras { 0 steps, 1 lasts });
fields!(AlertRecord {
    0 alert,
    1 enriched,
    2 status,
    3 fired_seq,
    4 fired_at,
    5 ends_at,
    6 suppressed_by,
    7 incidents,
    8 waiting,
    9 flaps,
    10 beat,
    11 extras,
});
fields!(SaidType { 0 incident_type, 1 why, 2 by });
fields!(Growth { 0 slot, 1 before, 2 then });
fields!(OpenedAt { 0 receiver, 1 policy, 2 remote, 3 resolved, 4 closes });
fields!(PolicyStep { 0 due, 1 notify, 2 unless_acknowledged, 3 state });
fields!(PolicyRun {
    0 rule,
    1 started_at,
    2 steps,
    3 update,
    4 repeat,
    5 resolved,
    6 update_due,
    7 last_update_at,
    8 repeat_due,
    9 paused_at,
    10 counts_from,
});
fields!(Incident {
    0 id,
    1 title,
    2 status,
    3 priority,
    4 impact,
    5 urgency,
    6 priority_reason,
    7 severity,
    8 category,
    9 subcategory,
    10 team,
    11 classified_by,
    12 assignee,
    13 services,
    14 labels,
    15 rule,
    16 key,
    17 alerts_total,
    18 alerts_firing,
    19 alerts_suppressed,
    20 parent,
    21 opened_at,
    22 updated_at,
    23 acknowledged_at,
    24 acknowledged_by,
    25 resolved_at,
    26 closed_at,
    27 last_news_at,
    28 version,
    29 window,
    30 max_age,
    31 resolve_after,
    32 resolve_due,
    33 fall_due,
    34 close_due,
    35 retitle_due,
    36 policies,
    37 opened_at_receivers,
    38 growth,
    39 causes,
    40 causes_due,
    41 storm,
    42 major,
    43 major_due,
    44 runbook,
    45 parent_by,
    46 said_type,
    47 parent_at,
    48 merges_held,
    49 ended_policies,
} of own {
    id, status, severity, alerts_total, alerts_firing, alerts_suppressed, updated_at, last_news_at, version, resolve_due, growth
} with head: Head {
    title, priority, impact, urgency, priority_reason, category, subcategory, team, classified_by, assignee, services, labels, rule, key, parent, opened_at, acknowledged_at, acknowledged_by, resolved_at, closed_at, window, max_age, resolve_after, fall_due, close_due, retitle_due, policies, opened_at_receivers, causes, causes_due, storm, major, major_due, runbook, parent_by, said_type, parent_at, merges_held, ended_policies
});
fields!(Notification {
    0 id,
    1 incident,
    2 receiver,
    3 kind,
    4 reason,
    5 again,
    6 state,
    7 attempts,
    8 created_at,
    9 delivered_at,
    10 retry_at,
    11 error,
});
fields!(AlertKind { 0 alertname, 1 service });
fields!(Storm { 0 began_at, 1 level, 2 kinds, 3 passed, 4 ended_at });
fields!(Usual { 0 rule, 1 key, 2 milli_per_hour, 3 at });
fields!(TakenMessage { 0 source, 1 id, 2 sent_at, 3 until });
fields!(Cause { 0 entity, 1 score, 2 reasons });
fields!(Heartbeat { 0 name, 1 last_at, 2 within, 3 due, 4 missed_at });
fields!(Change { 0 id, 1 kind, 2 things, 3 cluster, 4 started_at, 5 ended_at, 6 summary, 7 url, 8 reported_by, 9 environment, 10 author });
fields!(Silence { 0 id, 1 matchers, 2 starts_at, 3 ends_at, 4 updated_at, 5 created_by, 6 comment });

/// Types that are one number in a coat.
macro_rules! newtypes {
    ($($type:ident)+) => {$(
        impl Wire for $type {
            fn put(&self, out: &mut Out<'_>) {
                self.0.put(out);
            }

            fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Wire::take(reader).map($type)
            }
        }
    )+};
}

newtypes!(Fingerprint IncidentId NotificationId Time Millis);

/// Ids of 16 bytes.
macro_rules! long_ids {
    ($($type:ident $name:literal)+) => {$(
        impl Wire for $type {
            fn put(&self, out: &mut Out<'_>) {
                out.bytes(&self.0.to_be_bytes());
            }

            fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let bytes = reader.bytes().map_err(decode_error(concat!($name, " id")))?;
                let bytes = bytes.try_into().map_err(|_| DecodeError(concat!("a ", $name, " id has 16 bytes").into()))?;
                Ok($type(u128::from_be_bytes(bytes)))
            }
        }
    )+};
}

long_ids!(SilenceId "silence" MessageId "message");

impl Wire for Labels {
    fn put(&self, out: &mut Out<'_>) {
        out.text(self.encoded());
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.datatype().map_err(decode_error("labels"))? == minicbor::data::Type::Array {
            return take_labels_as_array(reader);
        }
        let text = reader.str().map_err(decode_error("labels"))?;
        Labels::decode(text).ok_or_else(|| DecodeError("labels: a text that no set of labels has".into()))
    }
}

/// Until version 1 they were written as an array of names and values in turn.
fn take_labels_as_array(reader: &mut Reader<'_>) -> Result<Labels, DecodeError> {
    let length = array(reader, "labels")?;
    if length % 2 != 0 {
        return Err(DecodeError("labels: a name without a value".into()));
    }
    let mut pairs = Vec::with_capacity(usize::try_from(length.min(64) / 2).unwrap_or(0));
    for _ in 0..length / 2 {
        let name = reader.str().map_err(decode_error("labels"))?;
        pairs.push((name, reader.str().map_err(decode_error("labels"))?));
    }
    Labels::from_unsorted(&mut pairs).ok_or_else(|| DecodeError("labels: too long".into()))
}

impl Wire for Matcher {
    fn put(&self, out: &mut Out<'_>) {
        out.array(3);
        self.name.put(out);
        self.op.put(out);
        self.value.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut fields = Fields::begin(reader, "Matcher")?;
        let name: Box<str> = fields.next(0)?;
        let op = fields.next(1)?;
        let value: Box<str> = fields.next(2)?;
        fields.end()?;
        Matcher::new(&name, op, &value).map_err(|e| DecodeError(format!("matcher on {name}: {e}")))
    }
}
