//! The wire form of facts. The numbers are for ever: a fact that is no more keeps its number, unused.

use super::json::{Json, object};
use super::wire::variants;
use crate::engine::Fact;

/// One table for bytes and JSON, so that neither can forget a field.
macro_rules! facts {
    ($($variant_number:literal $variant:ident { $($number:literal $field:ident),+ }),+ $(,)?) => {
        variants!(Fact { $($variant_number $variant { $($number $field),+ }),+ });

        impl Json for Fact {
            fn json(&self) -> serde_json::Value {
                match self {
                    $(Fact::$variant { $($field),+ } => {
                        object([("kind", self.kind().json()), $((stringify!($field), $field.json())),+])
                    })+
                }
            }
        }

        #[cfg(test)]
        pub(super) const KINDS: usize = [$($variant_number),+].len();
    };
}

facts! {
    1 Created { 1 directory },
    2 RulesLoaded { 1 digest, 2 rules },
    3 AlertFired { 1 alert },
    4 AlertEnriched { 1 fingerprint, 2 labels, 3 rules },
    5 AlertSuppressed { 1 fingerprint, 2 by },
    6 AlertReleased { 1 fingerprint, 2 by },
    7 AlertWaiting { 1 fingerprint, 2 rule, 3 key, 4 until },
    8 AlertWaitedInVain { 1 fingerprint, 2 rule, 3 dropped },
    9 AlertResolved { 1 fingerprint, 2 ends_at, 3 expired },
    10 AlertForgotten { 1 fingerprint },
    11 IncidentOpened { 1 incident, 2 rule, 3 key, 4 title, 5 window, 6 max_age, 7 resolve_after, 8 recurrence_of, 9 runbook },
    12 AlertJoined { 1 incident, 2 fingerprint, 3 rule },
    13 IncidentTitled { 1 incident, 2 title },
    14 IncidentRetitlePlanned { 1 incident, 2 due },
    15 IncidentClassified { 1 incident, 2 category, 3 subcategory, 4 team, 5 reasons },
    16 IncidentPrioritized { 1 incident, 2 impact, 3 urgency, 4 reason },
    17 IncidentFallPlanned { 1 incident, 2 due },
    18 IncidentAcknowledged { 1 incident, 2 by },
    19 IncidentAssigned { 1 incident, 2 assignee, 3 by },
    20 IncidentCommented { 1 incident, 2 text, 3 by },
    21 IncidentResolvePlanned { 1 incident, 2 due },
    22 IncidentResolved { 1 incident, 2 reason, 3 close_due },
    23 IncidentReopened { 1 incident, 2 reason },
    24 IncidentClosed { 1 incident, 2 reason },
    25 IncidentWithoutPolicy { 1 incident },
    26 EscalationStarted { 1 incident, 2 run },
    27 EscalationStepped { 1 incident, 2 rule, 3 step, 4 skipped },
    28 EscalationUpdatePlanned { 1 incident, 2 rule, 3 due },
    29 EscalationTold { 1 incident, 2 rule, 3 repeat_due },
    30 EscalationPaused { 1 incident, 2 rule },
    31 EscalationContinued { 1 incident, 2 rule, 3 paused_for },
    32 NotificationQueued { 1 notification },
    33 NotificationDelivered { 1 notification, 2 attempts, 3 remote },
    34 NotificationFailed { 1 notification, 2 attempts, 3 error, 4 retry_at },
    35 NotificationDead { 1 notification, 2 attempts, 3 error },
    36 NotificationRetried { 1 notification, 2 by },
    37 NotificationForgotten { 1 notification },
    38 SilenceSet { 1 silence },
    39 SilenceForgotten { 1 silence },
    40 AlertChangeCounted { 1 fingerprint, 2 since, 3 most, 4 kept_until },
    41 AlertFlapping { 1 fingerprint, 2 rule, 3 changes, 4 within, 5 until_stable },
    42 AlertBeats { 1 fingerprint, 2 beat },
    43 BeatMissed { 1 incident, 2 fingerprint, 3 rule, 4 within },
    45 IncidentAttached { 1 incident, 2 parent, 3 fingerprint, 4 rule },
    50 SequenceStepped { 1 fingerprint, 2 rule, 3 key, 4 step, 5 until },
    51 ChangeRecorded { 1 change },
    52 ChangeForgotten { 1 change, 2 surplus },
    53 IncidentCausesPlanned { 1 incident, 2 due },
    54 IncidentCausesFound { 1 incident, 2 causes, 3 runbook },
    55 StormBegan { 1 incident, 2 rule, 3 alerts, 4 usual, 5 level, 6 within, 7 kinds },
    56 StormKindSeen { 1 incident, 2 of, 3 passed },
    57 StormEnded { 1 incident, 2 alerts },
    58 UsualMeasured { 1 rule, 2 key, 3 milli_per_hour, 4 at },
    59 IncidentMajor { 1 incident, 2 step },
    60 AlertLeft { 1 incident, 2 fingerprint, 3 rule },
    61 IncidentTypeSet { 1 incident, 2 said },
    62 IncidentDetached { 1 incident, 2 parent },
    63 MergeHeld { 1 incident, 2 child, 3 rule, 4 merges },
    64 HeartbeatHeard { 1 heartbeat, 2 within, 3 by },
    65 HeartbeatMissed { 1 heartbeat, 2 rule },
    66 HeartbeatPlanned { 1 heartbeat, 2 within, 3 due },
    67 EscalationEnded { 1 incident, 2 rule, 3 reason },
    70 MessageTaken { 1 message, 2 most },
    75 AlertLasts { 1 fingerprint, 2 within },
}
