//! What each fact does to the state. Decides nothing: all that is needed is in the fact, or was in the state before.

use std::sync::Arc;

use super::State;
use super::change::Contribution;
use super::members::Members;
use super::policies::{end_policy, go_on, note_receiver, start_policy};
use super::timers::Timer;
use crate::engine::fact::Fact;
use crate::model::alert::{Beat, Extras, FlapSpell, Flaps, Step};
use crate::model::incident::{Growth, IncidentType, MajorStep, SERVICES_MAX, SaidType, StepState, priority};
use crate::model::{
    Actor, Alert, AlertRecord, AlertStatus, Fingerprint, Heartbeat, Incident, IncidentId, IncidentStatus, Labels, Notification,
    NotificationId, NotificationKind, NotificationState, PolicyRun, Reason, Severity, Silence, SilenceId, Storm, Time, Usual,
};

impl State {
    /// Applies the fact at log position `seq`, recorded at `now`.
    pub fn apply(&mut self, seq: u64, now: Time, fact: &Fact) {
        self.meta.seq = seq;
        self.meta.time = now;
        match fact {
            Fact::Created { directory } => self.meta.directory = directory.clone(),
            Fact::RulesLoaded { digest, .. } => self.meta.rules_digest = Some(*digest),

            Fact::AlertFired { alert } => self.fire(seq, now, alert),
            Fact::AlertEnriched { fingerprint, labels, .. } => {
                self.change_alert(seq, now, *fingerprint, |record| record.enriched = Some(Box::new(labels.clone())));
            }
            Fact::AlertSuppressed { fingerprint, by } => self.change_alert(seq, now, *fingerprint, |record| {
                record.suppressed_by.retain(|present| !present.same_origin(by));
                record.suppressed_by.push(by.clone());
            }),
            Fact::AlertReleased { fingerprint, by } => self.change_alert(seq, now, *fingerprint, |record| {
                record.suppressed_by.retain(|present| !present.same_origin(by));
            }),
            Fact::AlertWaiting { fingerprint, rule, key, until } => self.wait(seq, now, *fingerprint, rule, key, *until),
            Fact::AlertWaitedInVain { fingerprint, rule, .. } => self.stop_waiting_under(seq, now, *fingerprint, &rule.name),
            Fact::AlertResolved { fingerprint, ends_at, .. } => {
                self.stop_waiting(seq, now, *fingerprint);
                self.stop_beating(*fingerprint);
                self.change_alert(seq, now, *fingerprint, |record| {
                    record.status = AlertStatus::Resolved;
                    record.ends_at = Some(*ends_at);
                    record.suppressed_by.clear();
                });
            }
            Fact::AlertChangeCounted { fingerprint, since, most, kept_until } => {
                self.change_alert(seq, now, *fingerprint, |record| count_change(record, now, *since, *most, *kept_until));
            }
            Fact::AlertFlapping { fingerprint, rule, until_stable, .. } => self.change_alert(seq, now, *fingerprint, |record| {
                if let Some(flaps) = &mut record.flaps {
                    let (rule, until_stable) = (rule.clone(), *until_stable);
                    flaps.spells.push(FlapSpell { rule, until_stable, until: now + until_stable });
                }
            }),
            Fact::SequenceStepped { fingerprint, rule, key, step, until } => {
                let step = Step { rule: rule.clone(), key: key.clone(), step: *step, at: now, until: *until, seq };
                self.step(seq, now, *fingerprint, step);
            }
            Fact::AlertLasts { fingerprint, within } => self.change_alert(seq, now, *fingerprint, |record| {
                record.extras.get_or_insert_default().lasts = Some(*within);
            }),
            Fact::AlertBeats { fingerprint, beat } => {
                self.stop_beating(*fingerprint);
                self.change_alert(seq, now, *fingerprint, |record| record.beat.clone_from(beat));
                self.start_beating(*fingerprint);
            }
            // Nothing is worse than what nobody watches any more, whatever a watchdog's own severity says.
            Fact::BeatMissed { incident, .. } => {
                self.change_incident(seq, now, *incident, |i| {
                    i.severity = Severity::Critical;
                    i.last_news_at = now;
                });
            }
            Fact::AlertForgotten { fingerprint } => {
                if let Some(last) = self.alerts.remove(fingerprint) {
                    for step in last.steps() {
                        self.forget_step(step);
                    }
                    for id in &last.incidents {
                        if let Some(members) = self.members.get_mut(id) {
                            members.remove(*fingerprint);
                        }
                    }
                    self.touched.forgotten_alerts.push(last);
                }
            }

            Fact::IncidentOpened { .. } => self.open(seq, now, fact),
            Fact::AlertJoined { incident, fingerprint, rule } => self.join(seq, now, *incident, *fingerprint, &rule.name),
            Fact::AlertLeft { incident, fingerprint, .. } => {
                let is_in = self.alerts.get(fingerprint).is_some_and(|record| record.incidents.contains(incident));
                if let Some(members) = self.members.get_mut(incident).filter(|_| is_in) {
                    members.remove(*fingerprint);
                }
                // It does not fire, so that no incident counts it.
                self.change_alert(seq, now, *fingerprint, |record| record.leave(*incident));
            }
            Fact::IncidentAttached { incident, parent, rule, .. } => {
                self.change_incident(seq, now, *incident, |i| {
                    i.parent = Some(*parent);
                    i.parent_by = Some(rule.clone());
                    i.parent_at = Some(now);
                    i.major_due = None;
                });
                self.children.entry(*parent).or_default().insert(*incident);
                self.merges.entry(rule.name.clone()).or_default().insert((now, *incident));
            }
            Fact::IncidentDetached { incident, .. } => {
                self.leave_parent(*incident);
                self.change_incident(seq, now, *incident, |i| (i.parent, i.parent_by, i.parent_at) = (None, None, None));
            }
            Fact::MergeHeld { incident, .. } => self.change_incident(seq, now, *incident, |i| i.merges_held = Some(now)),
            Fact::IncidentTitled { incident, title } => self.change_incident(seq, now, *incident, |i| {
                i.title = title.clone();
                i.retitle_due = None;
            }),
            Fact::IncidentCausesPlanned { incident, due } => {
                self.change_incident(seq, now, *incident, |i| i.causes_due = *due);
            }
            Fact::IncidentCausesFound { incident, causes, runbook } => self.change_incident(seq, now, *incident, |i| {
                i.causes = Some(causes.clone());
                if runbook.is_some() {
                    i.runbook.clone_from(runbook);
                }
                i.causes_due = None;
            }),
            Fact::IncidentRetitlePlanned { incident, due } => {
                self.change_incident(seq, now, *incident, |i| i.retitle_due = Some(*due));
            }
            Fact::IncidentClassified { incident, category, subcategory, team, reasons } => {
                self.change_incident(seq, now, *incident, |i| {
                    i.category = category.clone();
                    i.subcategory.clone_from(subcategory);
                    i.team.clone_from(team);
                    i.classified_by.clone_from(reasons);
                });
            }
            Fact::IncidentPrioritized { incident, impact, urgency, reason } => {
                self.change_incident(seq, now, *incident, |i| {
                    i.impact = *impact;
                    i.urgency = *urgency;
                    i.priority = priority(*impact, *urgency);
                    i.priority_reason = reason.clone();
                    i.fall_due = None;
                });
            }
            Fact::IncidentFallPlanned { incident, due } => {
                self.change_incident(seq, now, *incident, |i| i.fall_due = *due);
            }
            Fact::IncidentAcknowledged { incident, by } => self.change_incident(seq, now, *incident, |i| {
                i.status = IncidentStatus::Acknowledged;
                i.acknowledged_at = Some(now);
                i.acknowledged_by = Some(by.to_string().into());
                for run in Arc::make_mut(&mut i.policies) {
                    run.repeat_due = None;
                }
            }),
            Fact::IncidentAssigned { incident, assignee, .. } => {
                self.change_incident(seq, now, *incident, |i| i.assignee.clone_from(assignee));
            }
            Fact::IncidentCommented { incident, .. } => self.change_incident(seq, now, *incident, |_| {}),
            // The counter of it is the shell's; the timeline has the fact.
            Fact::IncidentWithoutPolicy { incident } => self.change_incident(seq, now, *incident, |_| {}),
            Fact::IncidentResolvePlanned { incident, due } => {
                self.change_incident(seq, now, *incident, |i| i.resolve_due = *due);
            }
            Fact::IncidentResolved { incident, close_due, reason } => self.change_incident(seq, now, *incident, |i| {
                i.status = IncidentStatus::Resolved;
                i.resolved_at = Some(now);
                i.close_due = Some(*close_due);
                i.resolve_due = None;
                i.fall_due = None;
                i.retitle_due = None;
                i.causes_due = None;
                i.major_due = None;
                i.policies = Arc::default();
                i.ended_policies = None;
                // The receiver that resolved it knows.
                if let Reason::Actor(Actor::Receiver(name)) = reason {
                    let receivers = Arc::make_mut(&mut i.opened_at_receivers);
                    receivers.iter_mut().filter(|opened| opened.receiver == *name).for_each(|it| it.resolved = true);
                }
            }),
            Fact::IncidentReopened { incident, reason } => self.change_incident(seq, now, *incident, |i| {
                i.status = IncidentStatus::Open;
                i.resolved_at = None;
                i.acknowledged_at = None;
                i.acknowledged_by = None;
                i.close_due = None;
                // A person's word is no news of an alert, which alone prolongs the window.
                if matches!(reason, Reason::Alert(..)) {
                    i.last_news_at = now;
                }
            }),
            Fact::IncidentClosed { incident, .. } => self.close(seq, now, *incident),

            Fact::EscalationStarted { incident, run } => self.change_incident(seq, now, *incident, |i| start_policy(i, run)),
            Fact::EscalationEnded { incident, rule, .. } => {
                self.change_incident(seq, now, *incident, |i| end_policy(i, &rule.name));
            }
            Fact::EscalationStepped { incident, rule, step, skipped } => self.change_policy(seq, now, *incident, rule, |run| {
                if let Some(step) = run.steps.get_mut(*step as usize) {
                    step.state = if *skipped { StepState::Skipped } else { StepState::Done };
                }
            }),
            Fact::EscalationUpdatePlanned { incident, rule, due } => {
                self.change_policy(seq, now, *incident, rule, |run| run.update_due = Some(*due));
            }
            Fact::EscalationTold { incident, rule, repeat_due } => self.change_policy(seq, now, *incident, rule, |run| {
                run.update_due = None;
                run.last_update_at = Some(now);
                run.repeat_due = *repeat_due;
            }),
            Fact::EscalationPaused { incident, rule } => {
                self.change_policy(seq, now, *incident, rule, |run| run.paused_at = Some(now));
            }
            Fact::EscalationContinued { incident, rule, paused_for } => {
                self.change_incident(seq, now, *incident, |i| go_on(i, rule, *paused_for));
            }

            Fact::NotificationQueued { notification } => self.queue(seq, now, notification),
            Fact::NotificationDelivered { notification, attempts, remote } => {
                self.change_notification(*notification, |n| {
                    n.state = NotificationState::Delivered;
                    n.attempts = *attempts;
                    n.delivered_at = Some(now);
                    n.retry_at = None;
                    n.error = None;
                });
                if remote.is_some() {
                    self.name_remote(seq, now, *notification, remote.as_ref());
                }
            }
            Fact::NotificationFailed { notification, attempts, error, retry_at } => {
                self.change_notification(*notification, |n| {
                    n.state = NotificationState::Failed;
                    n.attempts = *attempts;
                    n.error = Some(error.clone());
                    n.retry_at = Some(*retry_at);
                });
            }
            Fact::NotificationDead { notification, attempts, error } => self.change_notification(*notification, |n| {
                n.state = NotificationState::Dead;
                n.attempts = *attempts;
                n.error = Some(error.clone());
                n.retry_at = None;
            }),
            Fact::NotificationRetried { notification, .. } => self.change_notification(*notification, |n| {
                n.state = NotificationState::Queued;
                n.created_at = now;
                n.retry_at = Some(now);
            }),
            Fact::NotificationForgotten { notification } => {
                if let Some(last) = self.notifications.remove(notification) {
                    self.touched.forgotten_notifications.push(last);
                }
            }

            Fact::IncidentTypeSet { incident, said } => self.set_type(seq, now, *incident, said),
            Fact::IncidentMajor { incident, step: MajorStep::Planned(due) } => {
                self.change_incident(seq, now, *incident, |i| i.major_due = *due);
            }
            Fact::IncidentMajor { incident, step: MajorStep::Declared(reason) } => {
                self.majors.insert(*incident);
                self.change_incident(seq, now, *incident, |i| {
                    i.major = Some(reason.clone());
                    i.major_due = None;
                });
            }
            Fact::StormBegan { incident, level, kinds, .. } => self.change_incident(seq, now, *incident, |i| {
                let storm = Storm { began_at: now, level: *level, kinds: kinds.clone(), passed: 0, ended_at: None };
                i.storm = Some(Arc::new(storm));
            }),
            Fact::StormKindSeen { incident, of: kind, passed } => self.change_incident(seq, now, *incident, |i| {
                if let Some(storm) = i.storm.as_mut().map(Arc::make_mut) {
                    storm.kinds.push(kind.clone());
                    storm.passed += u32::from(*passed);
                }
            }),
            Fact::StormEnded { incident, .. } => self.change_incident(seq, now, *incident, |i| {
                if let Some(storm) = i.storm.as_mut().map(Arc::make_mut) {
                    storm.ended_at = Some(now);
                }
            }),
            Fact::UsualMeasured { rule, key, milli_per_hour, at } => {
                let usual = Usual { rule: rule.clone(), key: key.clone(), milli_per_hour: *milli_per_hour, at: *at };
                self.measure(Arc::new(usual));
            }

            Fact::MessageTaken { message, most } => {
                self.messages.insert(message);
                self.touched.messages.push(message.clone());
                let forgotten = self.messages.forget(now, &message.source, *most);
                self.touched.forgotten_messages.extend(forgotten);
            }
            Fact::ChangeRecorded { change } => {
                self.touched.reported.push(change.id.clone());
                self.reported.insert(change.clone());
            }
            Fact::ChangeForgotten { change, .. } => {
                self.touched.forgotten_reported.extend(self.reported.remove(change));
            }

            Fact::HeartbeatHeard { heartbeat: name, within, .. } => {
                let (name, within, due) = (name.clone(), *within, Some(now + *within));
                self.put_heartbeat(Heartbeat { name, last_at: now, within, due, missed_at: None });
            }
            Fact::HeartbeatMissed { heartbeat, .. } => {
                self.change_heartbeat(heartbeat, |it| (it.due, it.missed_at) = (None, Some(now)));
            }
            Fact::HeartbeatPlanned { heartbeat, within, due: due @ Some(_) } => {
                self.change_heartbeat(heartbeat, |it| (it.within, it.due) = (*within, *due));
            }
            Fact::HeartbeatPlanned { heartbeat, due: None, .. } => self.forget_heartbeat(heartbeat),

            Fact::SilenceSet { silence } => self.set_silence(silence),
            Fact::SilenceForgotten { silence } => self.forget_silence(*silence),
        }
    }

    fn fire(&mut self, seq: u64, now: Time, alert: &Arc<Alert>) {
        self.stop_waiting(seq, now, alert.fingerprint);
        let old = self.alerts.get(&alert.fingerprint);
        let incidents = old.map(|old| old.incidents.clone()).unwrap_or_default();
        // Other labels of an alert that fires already are no new beginning.
        let flaps = old.and_then(|old| old.flaps.clone());
        let beat = old.and_then(|old| old.beat.clone()).map(|beat| Box::new(Beat { due: None, ..*beat }));
        // How long the last occurrence would have fired says nothing of this one.
        let steps = old.and_then(|old| old.extras.clone()).filter(|extras| !extras.steps.is_empty());
        let extras = steps.map(|extras| Box::new(Extras { lasts: None, ..*extras }));
        let began = old.filter(|old| old.is_firing()).map(|old| old.fired_at);
        let active = |id: &&IncidentId| self.incidents.get(id).is_some_and(|incident| incident.status.is_active());
        let waiting_for_it: Vec<IncidentId> = incidents.iter().filter(active).copied().collect();
        for id in &waiting_for_it {
            self.change_incident(seq, now, *id, |incident| {
                incident.last_news_at = now;
                incident.resolve_due = None;
            });
        }
        let record =
            AlertRecord { incidents, flaps, beat, extras, ..AlertRecord::firing(alert.clone(), seq, began.unwrap_or(now)) };
        self.put_alert(seq, now, Arc::new(record));
        self.start_beating(alert.fingerprint);
    }

    fn open(&mut self, seq: u64, now: Time, fact: &Fact) {
        let Fact::IncidentOpened { incident: id, rule, key, title, window, max_age, resolve_after, runbook, recurrence_of: _ } =
            fact
        else {
            return;
        };
        let mut incident = Incident::opened(*id, rule.clone(), title.clone(), seq, now);
        incident.key = Arc::new(key.clone());
        incident.window = *window;
        incident.max_age = *max_age;
        incident.resolve_after = *resolve_after;
        incident.runbook.clone_from(runbook);
        self.meta.last_incident = id.0;
        self.groups.entry((rule.name.clone(), key.clone())).or_default().push(*id);
        self.members.insert(*id, Members::default());
        self.incidents.insert(*id, Arc::new(incident));
        self.touched.incident(*id);
    }

    fn join(&mut self, seq: u64, now: Time, id: IncidentId, fingerprint: Fingerprint, rule: &str) {
        // With `continue`, one rule may take an alert while it still waits under others.
        self.stop_waiting_under(seq, now, fingerprint, rule);
        // Nothing that the alert's timers or its other incidents count changes, so this is done in one go: joining is most
        // of what a storm costs.
        let Some(record) = self.alerts.get_mut(&fingerprint) else { return };
        Arc::make_mut(record).enter(id);
        // Held for the incident's sake; nothing changes the alert meanwhile.
        let record = record.clone();
        self.touched.alert(fingerprint);
        let members = self.members.entry(id).or_default();
        members.add(fingerprint);
        let counts = Contribution::of(&record);
        let worst = members.count(Contribution::NONE, counts);
        let new_service = self.note_service(id, record.labels().get("service"));
        if self.incidents.get(&id).is_some_and(|incident| incident.resolve_due.is_some()) {
            self.change_incident(seq, now, id, |incident| incident.resolve_due = None);
        }
        self.count_in_incident(seq, now, id, |incident| {
            counts.move_counts(Contribution::NONE, incident, worst);
            let labels = record.labels();
            if incident.alerts_total == 0 {
                incident.labels = Arc::new(labels.clone());
            } else if !incident.labels.is_empty() && !labels.contains(&incident.labels) {
                incident.labels = Arc::new(incident.labels.common(labels));
            }
            if let Some(service) = new_service
                && let Err(place) = incident.services.binary_search(&service)
            {
                Arc::make_mut(&mut incident.services).insert(place, service);
            }
            incident.alerts_total += 1;
            incident.growth = Growth::after_join(incident.growth, incident.alerts_total, now);
            incident.last_news_at = now;
        });
    }

    /// Notes that an incident is about a service; gives it back if that is news and there is room. Asks the table of services
    /// and not the incident's own list, whose names lie all over the memory: a search in it took a microsecond an alert.
    fn note_service(&mut self, id: IncidentId, service: &str) -> Option<Arc<str>> {
        let incident = self.incidents.get(&id)?;
        if service.is_empty() || incident.services.len() >= SERVICES_MAX {
            return None;
        }
        if let Some((name, about)) = self.by_service.get_key_value(service) {
            if about.contains(&id) {
                return None;
            }
            let name = name.clone();
            self.by_service.entry(name.clone()).or_default().insert(id);
            return Some(name);
        }
        let name: Arc<str> = service.into();
        self.by_service.entry(name.clone()).or_default().insert(id);
        Some(name)
    }

    fn leave_parent(&mut self, id: IncidentId) {
        let Some(incident) = self.incidents.get(&id) else { return };
        if let Some(siblings) = incident.parent.and_then(|parent| self.children.get_mut(&parent)) {
            siblings.remove(&id);
        }
        if let (Some(rule), Some(at)) = (&incident.parent_by, incident.parent_at)
            && let Some(merges) = self.merges.get_mut(&rule.name)
        {
            merges.remove(&(at, id));
        }
    }

    /// What somebody says of an incident's type takes the place of all that was found out.
    fn set_type(&mut self, seq: u64, now: Time, id: IncidentId, said: &SaidType) {
        let is_major = said.incident_type == IncidentType::Major;
        if is_major {
            self.majors.insert(id);
        } else {
            self.majors.remove(&id);
        }
        self.change_incident(seq, now, id, |incident| {
            incident.major = is_major.then(|| Reason::Actor(said.by.clone()));
            incident.major_due = None;
            incident.said_type = Some(Arc::new(said.clone()));
        });
    }

    fn close(&mut self, seq: u64, now: Time, id: IncidentId) {
        self.change_incident(seq, now, id, |incident| {
            incident.status = IncidentStatus::Closed;
            incident.closed_at = Some(now);
            incident.close_due = None;
        });
        self.leave_parent(id);
        let Some(incident) = self.incidents.remove(&id) else { return };
        self.majors.remove(&id);
        self.children.remove(&id);
        for fingerprint in self.members.remove(&id).unwrap_or_default().iter() {
            self.change_alert(seq, now, fingerprint, |record| record.leave(id));
        }
        for service in incident.services.iter() {
            if let Some(others) = self.by_service.get_mut(service) {
                others.remove(&id);
                if others.is_empty() {
                    self.by_service.remove(service);
                }
            }
        }
        let group = (incident.rule.name.clone(), Labels::clone(&incident.key));
        if let Some(others) = self.groups.get_mut(&group) {
            others.retain(|other| *other != id);
            if others.is_empty() {
                self.groups.remove(&group);
            }
        }
        self.touched.closed.push(incident);
    }

    fn change_policy(&mut self, seq: u64, now: Time, id: IncidentId, rule: &str, change: impl FnOnce(&mut PolicyRun)) {
        self.change_incident(seq, now, id, |incident| {
            if let Some(run) = Arc::make_mut(&mut incident.policies).iter_mut().find(|run| &*run.rule.name == rule) {
                change(run);
            }
        });
    }

    fn queue(&mut self, seq: u64, now: Time, notification: &Arc<Notification>) {
        self.meta.last_notification = notification.id.0;
        self.notifications.insert(notification.id, notification.clone());
        self.touched.notifications.push(notification.id);
        let kind = notification.kind;
        if matches!(kind, NotificationKind::Trigger | NotificationKind::Resolve) {
            self.change_incident(seq, now, notification.incident, |incident| {
                note_receiver(incident, notification, kind);
            });
        }
    }

    fn name_remote(&mut self, seq: u64, now: Time, id: NotificationId, remote: Option<&Arc<str>>) {
        let Some((incident, receiver)) = self.notifications.get(&id).map(|n| (n.incident, n.receiver.clone())) else { return };
        self.change_incident(seq, now, incident, |incident| {
            for opened in Arc::make_mut(&mut incident.opened_at_receivers).iter_mut().filter(|opened| opened.receiver == receiver)
            {
                opened.remote = remote.cloned();
            }
        });
    }

    fn change_notification(&mut self, id: NotificationId, change: impl FnOnce(&mut Notification)) {
        if let Some(notification) = self.notifications.get_mut(&id) {
            change(Arc::make_mut(notification));
            self.touched.notifications.push(id);
        }
    }

    fn set_silence(&mut self, silence: &Arc<Silence>) {
        self.forget_silence_timers(silence.id);
        self.timers.insert(silence.starts_at, Timer::SilenceStarts(silence.id));
        self.timers.insert(silence.ends_at, Timer::SilenceEnds(silence.id));
        self.silences.insert(silence.id, silence.clone());
        self.touched.silences.push(silence.id);
    }

    fn forget_silence(&mut self, id: SilenceId) {
        self.forget_silence_timers(id);
        if let Some(last) = self.silences.remove(&id) {
            self.touched.forgotten_silences.push(last);
        }
    }

    fn measure(&mut self, usual: Arc<Usual>) {
        let place = (usual.rule.clone(), usual.key.clone());
        if usual.milli_per_hour == 0 {
            self.usual.remove(&place);
        } else {
            self.usual.insert(place, usual.clone());
        }
        self.touched.usual.push(usual);
    }

    fn forget_silence_timers(&mut self, id: SilenceId) {
        if let Some(old) = self.silences.get(&id) {
            self.timers.remove(old.starts_at, Timer::SilenceStarts(id));
            self.timers.remove(old.ends_at, Timer::SilenceEnds(id));
        }
    }
}

/// Adds a change to those that rules count, and prolongs the spells that it falls into.
fn count_change(record: &mut AlertRecord, now: Time, since: Time, most: u32, kept_until: Time) {
    let empty = || Box::new(Flaps { changes: Vec::new(), kept_until, spells: Vec::new() });
    let flaps = record.flaps.get_or_insert_with(empty);
    flaps.kept_until = kept_until;
    flaps.changes.retain(|change| *change > since);
    flaps.changes.push(now);
    let surplus = flaps.changes.len().saturating_sub(most as usize);
    flaps.changes.drain(..surplus);
    flaps.spells.retain(|spell| spell.until > now);
    for spell in &mut flaps.spells {
        spell.until = now + spell.until_stable;
    }
}
