//! Everything that can happen or be decided. What is not a variant here does not exist.
//!
//! A fact carries all that is needed to apply it: recovery never decides again, so the rule's windows and the policy's
//! plan are in the fact, not looked up in rules that may have changed since.

use std::sync::Arc;

use crate::model::alert::Beat;
use crate::model::incident::{MajorStep, SaidType};
use crate::model::{
    Actor, Alert, AlertKind, Cause, Change, Fingerprint, IncidentId, Labels, Millis, Notification, NotificationId, PolicyRun,
    Reason, RuleRef, Silence, SilenceId, Suppression, TakenMessage, Time,
};

/// One fact. Large and rare parts lie elsewhere: the two facts of a new alert are moved several times on their way.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// The data directory came to be. First fact of every log.
    Created {
        directory: Arc<str>,
    },
    /// A ruleset took effect that is not the one before.
    RulesLoaded {
        digest: u64,
        rules: u32,
    },

    /// An alert began to fire: what its sender said.
    AlertFired {
        alert: Arc<Alert>,
    },
    /// Rules changed its labels to these.
    AlertEnriched {
        fingerprint: Fingerprint,
        labels: Labels,
        rules: Vec<RuleRef>,
    },
    /// Something suppresses it from now on.
    AlertSuppressed {
        fingerprint: Fingerprint,
        by: Suppression,
    },
    /// That suppression ended.
    AlertReleased {
        fingerprint: Fingerprint,
        by: Suppression,
    },
    /// It waits under a threshold.
    AlertWaiting {
        fingerprint: Fingerprint,
        rule: RuleRef,
        key: Labels,
        until: Time,
    },
    /// The threshold was not reached in time; the alert goes on (`alone`) or ends there.
    AlertWaitedInVain {
        fingerprint: Fingerprint,
        rule: RuleRef,
        dropped: bool,
    },
    /// It resolved: by its sender's word, or because nothing was heard of it until `ends_at`.
    AlertResolved {
        fingerprint: Fingerprint,
        ends_at: Time,
        expired: bool,
    },
    /// Resolved long ago and in no incident that could come back; its record leaves the memory.
    AlertForgotten {
        fingerprint: Fingerprint,
    },

    /// It changed between firing and resolved, and rules count that: changes up to `since` are forgotten, and all but the
    /// last `most`. None of these is looked at any more after `kept_until`.
    AlertChangeCounted {
        fingerprint: Fingerprint,
        since: Time,
        most: u32,
        kept_until: Time,
    },
    /// It changed so often that it flaps from now on, until it has not changed for `until_stable`.
    AlertFlapping {
        fingerprint: Fingerprint,
        rule: RuleRef,
        changes: u32,
        within: Millis,
        until_stable: Millis,
    },

    /// It came as a step of a sequence, behind all steps before it; the last one must come before `until`.
    SequenceStepped {
        fingerprint: Fingerprint,
        rule: RuleRef,
        key: Labels,
        step: u32,
        until: Time,
    },
    /// It is a rule's beat from now on, or none any more; or it is known when it will be missed.
    AlertBeats {
        fingerprint: Fingerprint,
        beat: Option<Box<Beat>>,
    },
    /// It fires for so long without being heard of, whatever the time of its source is.
    AlertLasts {
        fingerprint: Fingerprint,
        within: Millis,
    },
    /// A beat was missed: nothing was heard of it for as long as its rule says, and the incident is about that.
    BeatMissed {
        incident: IncidentId,
        fingerprint: Fingerprint,
        rule: RuleRef,
        within: Millis,
    },

    /// An incident came to be.
    IncidentOpened {
        incident: IncidentId,
        rule: RuleRef,
        key: Labels,
        title: Arc<str>,
        window: Millis,
        max_age: Millis,
        resolve_after: Millis,
        /// The closed or long resolved incident that this one is a recurrence of.
        recurrence_of: Option<IncidentId>,
        /// Where it stands what to do about the service that it opens with.
        runbook: Option<Arc<str>>,
    },
    /// An alert joined it, or came back to it.
    AlertJoined {
        incident: IncidentId,
        fingerprint: Fingerprint,
        rule: RuleRef,
    },
    /// It is about to fire again after so long that it is another matter: the incident has it no more.
    AlertLeft {
        incident: IncidentId,
        fingerprint: Fingerprint,
        rule: RuleRef,
    },
    /// An alert belongs to both: this incident is part of the older one, whose counts leave its alerts out.
    IncidentAttached {
        incident: IncidentId,
        parent: IncidentId,
        fingerprint: Fingerprint,
        rule: RuleRef,
    },
    /// Its title was rendered anew.
    IncidentTitled {
        incident: IncidentId,
        title: Arc<str>,
    },
    /// A title that depends on the members will be rendered anew at `due`.
    IncidentRetitlePlanned {
        incident: IncidentId,
        due: Time,
    },
    IncidentClassified {
        incident: IncidentId,
        category: Arc<str>,
        subcategory: Option<Arc<str>>,
        team: Option<Arc<str>>,
        /// For category, subcategory, team.
        reasons: Arc<[Option<Reason>; 3]>,
    },
    IncidentPrioritized {
        incident: IncidentId,
        impact: u8,
        urgency: u8,
        reason: Reason,
    },
    /// A lower priority would fit; it takes hold at `due`. `None`: the fall is off again.
    IncidentFallPlanned {
        incident: IncidentId,
        due: Option<Time>,
    },
    IncidentAcknowledged {
        incident: IncidentId,
        by: Actor,
    },
    IncidentAssigned {
        incident: IncidentId,
        assignee: Option<Arc<str>>,
        by: Actor,
    },
    IncidentCommented {
        incident: IncidentId,
        text: Arc<str>,
        by: Actor,
    },
    /// Nothing fires any more; it resolves at `due` if it stays so. `None`: something fired again.
    IncidentResolvePlanned {
        incident: IncidentId,
        due: Option<Time>,
    },
    IncidentResolved {
        incident: IncidentId,
        reason: Reason,
        close_due: Time,
    },
    IncidentReopened {
        incident: IncidentId,
        reason: Reason,
    },
    IncidentClosed {
        incident: IncidentId,
        reason: Reason,
    },
    /// No escalation rule fits and there is no receiver named `default`.
    IncidentWithoutPolicy {
        incident: IncidentId,
    },

    EscalationStarted {
        incident: IncidentId,
        run: Box<PolicyRun>,
    },
    EscalationStepped {
        incident: IncidentId,
        rule: Arc<str>,
        step: u32,
        skipped: bool,
    },
    /// An update is worth sending and goes out at `due`.
    EscalationUpdatePlanned {
        incident: IncidentId,
        rule: Arc<str>,
        due: Time,
    },
    /// Updated or said again just now; `repeat_due` is when it is said next.
    EscalationTold {
        incident: IncidentId,
        rule: Arc<str>,
        repeat_due: Option<Time>,
    },
    /// All that fires is suppressed; nothing is sent until that ends.
    EscalationPaused {
        incident: IncidentId,
        rule: Arc<str>,
    },
    /// Something fires unsuppressed again; what is left of the plan moves by the length of the pause.
    EscalationContinued {
        incident: IncidentId,
        rule: Arc<str>,
        paused_for: Millis,
    },

    /// The policy applies no more: the rules have it no longer, or one fits where none did. Whom it has told is told the end.
    EscalationEnded {
        incident: IncidentId,
        rule: RuleRef,
        reason: Reason,
    },

    NotificationQueued {
        notification: Arc<Notification>,
    },
    NotificationDelivered {
        notification: NotificationId,
        attempts: u32,
        remote: Option<Arc<str>>,
    },
    NotificationFailed {
        notification: NotificationId,
        attempts: u32,
        error: Arc<str>,
        retry_at: Time,
    },
    NotificationDead {
        notification: NotificationId,
        attempts: u32,
        error: Arc<str>,
    },
    /// Put back into the queue by hand.
    NotificationRetried {
        notification: NotificationId,
        by: Actor,
    },
    /// Delivered or dead long ago; its record leaves the memory.
    NotificationForgotten {
        notification: NotificationId,
    },

    /// A silence was made, changed or ended early (`ends_at` moved).
    SilenceSet {
        silence: Arc<Silence>,
    },
    /// Ended long ago; its record leaves the memory.
    SilenceForgotten {
        silence: SilenceId,
    },

    /// A change was reported, or news of one.
    ChangeRecorded {
        change: Arc<Change>,
    },
    /// Its record leaves the memory: it is long ago, or (`surplus`) there are too many younger ones.
    ChangeForgotten {
        change: Arc<str>,
        surplus: bool,
    },
    /// The incident's causes will be looked for at `due`. `None`: they were, and are what they were before.
    IncidentCausesPlanned {
        incident: IncidentId,
        due: Option<Time>,
    },
    /// What it probably comes from, the likeliest first.
    IncidentCausesFound {
        incident: IncidentId,
        causes: Arc<Vec<Cause>>,
        /// Where it stands what to do about the likeliest; `None`: as before.
        runbook: Option<Arc<str>>,
    },

    /// The incident is about a storm: so many alerts within the rule's time where `usual` is usual. `kinds` had come up before.
    StormBegan {
        incident: IncidentId,
        rule: RuleRef,
        alerts: u32,
        usual: u32,
        level: u32,
        within: Millis,
        kinds: Vec<AlertKind>,
    },
    /// The first alert of its kind in the storm; it went on to later rules as well (`passed`), or there were enough that did.
    StormKindSeen {
        incident: IncidentId,
        of: AlertKind,
        passed: bool,
    },
    /// Less than half of what made it a storm comes now.
    StormEnded {
        incident: IncidentId,
        alerts: u32,
    },
    /// How many alerts usually come in one place of a storm rule, up to `at`; 0 for one that need not be remembered.
    UsualMeasured {
        rule: Arc<str>,
        key: Labels,
        milli_per_hour: u32,
        at: Time,
    },
    /// It is a major incident, or will be.
    IncidentMajor {
        incident: IncidentId,
        step: MajorStep,
    },
    /// Somebody has said whether it is a major incident. That holds against whatever rules and numbers say.
    IncidentTypeSet {
        incident: IncidentId,
        said: SaidType,
    },
    /// It is no part of that one any more, which took it when it became major and has been called off.
    IncidentDetached {
        incident: IncidentId,
        parent: IncidentId,
    },
    /// The rule has made so many incidents parts of others within an hour that this one is kept from being the next.
    MergeHeld {
        incident: IncidentId,
        child: IncidentId,
        rule: RuleRef,
        merges: u32,
    },

    /// A message whose sender has proved itself was taken; the same one again is none. What need not be remembered any more
    /// is forgotten by this, and of the message's source the oldest beyond `most`.
    MessageTaken {
        message: Arc<TakenMessage>,
        most: u32,
    },
    /// A heartbeat was heard of; it is missed if it is not heard of again within this.
    HeartbeatHeard {
        heartbeat: Arc<str>,
        within: Millis,
        by: Actor,
    },
    /// It is missed; an alert about that follows.
    HeartbeatMissed {
        heartbeat: Arc<str>,
        rule: RuleRef,
    },
    /// It is missed at another time than was thought. `None`: no rule names it any more, and its record leaves the memory.
    HeartbeatPlanned {
        heartbeat: Arc<str>,
        within: Millis,
        due: Option<Time>,
    },
}

impl Fact {
    /// The name in timelines, event streams and `log dump`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Fact::Created { .. } => "created",
            Fact::RulesLoaded { .. } => "rules_loaded",
            Fact::AlertFired { .. } => "alert_fired",
            Fact::AlertEnriched { .. } => "alert_enriched",
            Fact::AlertSuppressed { .. } => "alert_suppressed",
            Fact::AlertReleased { .. } => "alert_released",
            Fact::AlertWaiting { .. } => "alert_waiting",
            Fact::AlertWaitedInVain { .. } => "alert_waited_in_vain",
            Fact::AlertResolved { .. } => "alert_resolved",
            Fact::AlertForgotten { .. } => "alert_forgotten",
            Fact::AlertChangeCounted { .. } => "alert_change_counted",
            Fact::AlertFlapping { .. } => "alert_flapping",
            Fact::SequenceStepped { .. } => "sequence_stepped",
            Fact::AlertBeats { .. } => "alert_beats",
            Fact::AlertLasts { .. } => "alert_lasts",
            Fact::BeatMissed { .. } => "beat_missed",
            Fact::IncidentOpened { .. } => "incident_opened",
            Fact::AlertJoined { .. } => "alert_joined",
            Fact::AlertLeft { .. } => "alert_left",
            Fact::IncidentAttached { .. } => "incident_attached",
            Fact::IncidentTitled { .. } => "incident_titled",
            Fact::IncidentRetitlePlanned { .. } => "incident_retitle_planned",
            Fact::IncidentClassified { .. } => "incident_classified",
            Fact::IncidentPrioritized { .. } => "incident_prioritized",
            Fact::IncidentFallPlanned { .. } => "incident_fall_planned",
            Fact::IncidentAcknowledged { .. } => "incident_acknowledged",
            Fact::IncidentAssigned { .. } => "incident_assigned",
            Fact::IncidentCommented { .. } => "incident_commented",
            Fact::IncidentResolvePlanned { .. } => "incident_resolve_planned",
            Fact::IncidentResolved { .. } => "incident_resolved",
            Fact::IncidentReopened { .. } => "incident_reopened",
            Fact::IncidentClosed { .. } => "incident_closed",
            Fact::IncidentWithoutPolicy { .. } => "incident_without_policy",
            Fact::EscalationStarted { .. } => "escalation_started",
            Fact::EscalationStepped { .. } => "escalation_stepped",
            Fact::EscalationUpdatePlanned { .. } => "escalation_update_planned",
            Fact::EscalationTold { .. } => "escalation_told",
            Fact::EscalationPaused { .. } => "escalation_paused",
            Fact::EscalationContinued { .. } => "escalation_continued",
            Fact::EscalationEnded { .. } => "escalation_ended",
            Fact::NotificationQueued { .. } => "notification_queued",
            Fact::NotificationDelivered { .. } => "notification_delivered",
            Fact::NotificationFailed { .. } => "notification_failed",
            Fact::NotificationDead { .. } => "notification_dead",
            Fact::NotificationRetried { .. } => "notification_retried",
            Fact::NotificationForgotten { .. } => "notification_forgotten",
            Fact::SilenceSet { .. } => "silence_set",
            Fact::SilenceForgotten { .. } => "silence_forgotten",
            Fact::ChangeRecorded { .. } => "change_recorded",
            Fact::ChangeForgotten { .. } => "change_forgotten",
            Fact::IncidentCausesPlanned { .. } => "incident_causes_planned",
            Fact::IncidentCausesFound { .. } => "incident_causes_found",
            Fact::StormBegan { .. } => "storm_began",
            Fact::StormKindSeen { .. } => "storm_kind_seen",
            Fact::StormEnded { .. } => "storm_ended",
            Fact::UsualMeasured { .. } => "usual_measured",
            Fact::IncidentMajor { .. } => "incident_major",
            Fact::IncidentTypeSet { .. } => "incident_type_set",
            Fact::IncidentDetached { .. } => "incident_detached",
            Fact::MergeHeld { .. } => "merge_held",
            Fact::MessageTaken { .. } => "message_taken",
            Fact::HeartbeatHeard { .. } => "heartbeat_heard",
            Fact::HeartbeatMissed { .. } => "heartbeat_missed",
            Fact::HeartbeatPlanned { .. } => "heartbeat_planned",
        }
    }

    /// The incident whose timeline this belongs to, where the fact itself says so. Facts about an alert belong to the
    /// timelines of the incidents that the alert is in; facts about a notification to its incident's.
    #[must_use]
    pub fn incident(&self) -> Option<IncidentId> {
        match self {
            Fact::IncidentOpened { incident, .. }
            | Fact::AlertJoined { incident, .. }
            | Fact::AlertLeft { incident, .. }
            | Fact::BeatMissed { incident, .. }
            | Fact::IncidentAttached { incident, .. }
            | Fact::IncidentTitled { incident, .. }
            | Fact::IncidentRetitlePlanned { incident, .. }
            | Fact::IncidentClassified { incident, .. }
            | Fact::IncidentPrioritized { incident, .. }
            | Fact::IncidentFallPlanned { incident, .. }
            | Fact::IncidentAcknowledged { incident, .. }
            | Fact::IncidentAssigned { incident, .. }
            | Fact::IncidentCommented { incident, .. }
            | Fact::IncidentResolvePlanned { incident, .. }
            | Fact::IncidentResolved { incident, .. }
            | Fact::IncidentReopened { incident, .. }
            | Fact::IncidentClosed { incident, .. }
            | Fact::IncidentWithoutPolicy { incident }
            | Fact::IncidentCausesPlanned { incident, .. }
            | Fact::IncidentCausesFound { incident, .. }
            | Fact::IncidentMajor { incident, .. }
            | Fact::IncidentTypeSet { incident, .. }
            | Fact::IncidentDetached { incident, .. }
            | Fact::MergeHeld { incident, .. }
            | Fact::StormBegan { incident, .. }
            | Fact::StormKindSeen { incident, .. }
            | Fact::StormEnded { incident, .. }
            | Fact::EscalationStarted { incident, .. }
            | Fact::EscalationStepped { incident, .. }
            | Fact::EscalationUpdatePlanned { incident, .. }
            | Fact::EscalationTold { incident, .. }
            | Fact::EscalationPaused { incident, .. }
            | Fact::EscalationContinued { incident, .. }
            | Fact::EscalationEnded { incident, .. } => Some(*incident),
            Fact::NotificationQueued { notification } => Some(notification.incident),
            _ => None,
        }
    }
}
