//! Everything live, in concurrent tables: what dedup asks for each alert and what lists walk.
//!
//! The engine's thread writes here after each sync ([`Live::publish`]); connections read, and move what repeats move
//! ([`Live::seen`]: expiry, last word, count). A lost repeat costs nothing, so nothing here is durable: the log has the
//! records, and a start publishes them again. No guard of a table is ever held across another call on it or an await.

mod dedup;
mod parts;
mod seed;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use dashmap::DashMap;

pub use dedup::{Heard, Seen, Word};

use crate::config::{Config, SourceConfig};
use crate::engine::entity::Changes;
use crate::model::alert::{HEARTBEATS, REPORTS};
use crate::model::{
    AlertRecord, AlertStatus, Change, Fingerprint, Heartbeat, Incident, IncidentId, Keyed, KeyedSet, Labels, MessageId, Millis,
    Notification, NotificationId, Silence, SilenceId, TakenMessage, Time,
};
use crate::ruleset::Ruleset;
use seed::Seed;

/// The moment at which an alert expires whose sender always says "resolved" itself.
pub const NEVER: Time = Time(i64::MAX);

/// Label texts remembered for one alert: a pair of senders may order labels differently, more than two do not matter.
const RAW_KEYS: usize = 2;

/// Alerts that are published before others have their turn at the table: a silence may change half a million.
const PUBLISHED_AT_ONCE: usize = 1_024;

/// A set of alerts; [`Live::set`] makes one.
pub type FingerprintSet = KeyedSet<Fingerprint>;

/// The tables. Written by the engine's thread after each sync, read by everybody.
#[derive(Debug)]
pub struct Live {
    seed: Seed,
    /// Seeded hash of an alert's label text as it came, to its fingerprint.
    raw: DashMap<u64, Fingerprint, Keyed>,
    /// Boxed: a table is more than half empty at times and copied as it grows, which cost 150 bytes an alert.
    alerts: DashMap<Fingerprint, Box<Entry>, Keyed>,
    incidents: DashMap<IncidentId, Arc<Incident>, Keyed>,
    notifications: DashMap<NotificationId, Arc<Notification>, Keyed>,
    silences: DashMap<SilenceId, Arc<Silence>, Keyed>,
    reported: DashMap<Arc<str>, Arc<Change>, Keyed>,
    /// Messages that were taken of late.
    messages: DashMap<(Arc<str>, MessageId), Arc<TakenMessage>, Keyed>,
    heartbeats: DashMap<Arc<str>, Arc<Heartbeat>, Keyed>,
    /// The rules in force, for those who explain; nothing here decides by them.
    rules: RwLock<InForce>,
    /// By the source's name; also of those that are no longer configured and have alerts still.
    senders: RwLock<BTreeMap<Arc<str>, Arc<Sender>>>,
    /// The time-out of those.
    strangers_timeout: Millis,
    firing: AtomicI64,
    suppressed: AtomicI64,
    /// No firing alert expires before this, so a sweep before it has nothing to find. May be too early, never too late.
    next_expiry: AtomicI64,
}

/// One alert: its record, and what repeats move without the engine. Flat, and about 90 bytes: there are half a million.
#[derive(Clone, Debug)]
pub struct Entry {
    pub record: Arc<AlertRecord>,
    /// When it counts as resolved if nothing more is heard.
    pub expires_at: Time,
    pub last_seen: Time,
    /// The earliest beginning that any sender gave for this occurrence.
    pub starts_at: Time,
    pub repeats: u32,
    /// Whether `expires_at` is our own timeout and not the sender's word.
    by_timeout: bool,
    /// Hash of the annotations and link last sent; 0 before the first repeat.
    wording: u64,
    /// What was last sent, where it differs from the record.
    reworded: Option<Arc<Wording>>,
    raw: [u64; RAW_KEYS],
}

/// The rules in force.
#[derive(Clone, Debug, Default)]
pub struct InForce {
    pub rules: Arc<Ruleset>,
    /// When they took effect; `None` where that was before the start.
    pub since: Option<Time>,
}

/// What a sender may change on an alert without making it news.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Wording {
    pub annotations: Labels,
    pub generator_url: Box<str>,
}

/// What is known of one source.
#[derive(Debug)]
struct Sender {
    /// [`NEVER`] for senders that always say "resolved" themselves.
    timeout: AtomicI64,
    firing: AtomicI64,
}

impl Sender {
    fn new(timeout: Option<Millis>) -> Sender {
        Sender { timeout: AtomicI64::new(number(timeout)), firing: AtomicI64::new(0) }
    }

    fn timeout(&self) -> Option<Millis> {
        Some(Millis(self.timeout.load(Ordering::Relaxed))).filter(|timeout| timeout.0 != NEVER.0)
    }
}

fn number(timeout: Option<Millis>) -> i64 {
    timeout.map_or(NEVER.0, |timeout| timeout.0)
}

/// The time-outs of all sources that a configuration has.
fn timeouts(config: &Config) -> BTreeMap<Arc<str>, Option<Millis>> {
    let configured = config.sources.iter().map(|source| (source.name.clone(), source.timeout(config.resolve_timeout)));
    // What people report, and what Quell raises itself, is ended by a word, and not repeated.
    configured.chain([SourceConfig::OWN, REPORTS, HEARTBEATS].map(|name| (name.into(), None))).collect()
}

impl Entry {
    /// The newest annotations that were sent.
    #[must_use]
    pub fn annotations(&self) -> &Labels {
        self.reworded.as_ref().map_or(&self.record.alert.annotations, |wording| &wording.annotations)
    }

    /// The newest link to the sender's page of this alert; empty when it gave none.
    #[must_use]
    pub fn generator_url(&self) -> &str {
        self.reworded.as_ref().map_or(&self.record.alert.generator_url, |wording| &wording.generator_url)
    }

    fn of(record: Arc<AlertRecord>, timeout: Option<Millis>, now: Time) -> Entry {
        // A beat is missed after its rule's time, whatever its source's is.
        let timeout = record.beat.as_ref().map(|beat| beat.within).or(record.lasts()).or(timeout);
        Entry {
            expires_at: match record.status {
                AlertStatus::Firing => timeout.map_or(NEVER, |timeout| now + timeout),
                // Nothing tells any more whether it ran out; see `dedup` on late words.
                AlertStatus::Resolved => record.ends_at.unwrap_or(now),
            },
            last_seen: now,
            starts_at: record.alert.starts_at,
            repeats: 0,
            by_timeout: true,
            wording: 0,
            reworded: None,
            raw: [0; RAW_KEYS],
            record,
        }
    }

    /// Takes the alert's new record.
    fn update(&mut self, record: &Arc<AlertRecord>, sender: &Sender, now: Time) {
        if self.record.fired_seq != record.fired_seq {
            *self = Entry { raw: self.raw, ..Entry::of(record.clone(), sender.timeout(), now) };
            return;
        }
        // One that a change of rules has made a beat has a whole beat's time.
        let begins = record.beat.as_ref().filter(|beat| record.is_firing() && self.record.beat.as_ref() != Some(beat));
        if let Some(beat) = begins {
            self.expires_at = now + beat.within;
        }
        self.record = record.clone();
    }
}

impl Live {
    /// Empty tables for these sources.
    #[must_use]
    pub fn new(config: &Config) -> Live {
        let seed = Seed::random();
        let senders = timeouts(config).into_iter().map(|(name, timeout)| (name, Arc::new(Sender::new(timeout))));
        Live {
            raw: DashMap::default(),
            alerts: DashMap::default(),
            seed,
            incidents: DashMap::default(),
            notifications: DashMap::default(),
            silences: DashMap::default(),
            reported: DashMap::default(),
            messages: DashMap::default(),
            heartbeats: DashMap::default(),
            rules: RwLock::default(),
            senders: RwLock::new(senders.collect()),
            strangers_timeout: config.resolve_timeout,
            firing: AtomicI64::new(0),
            suppressed: AtomicI64::new(0),
            next_expiry: AtomicI64::new(i64::MAX),
        }
    }

    /// Takes the sources of a configuration from now on. Alerts of one whose time-out is another now have all of it from `now`, as
    /// after a start.
    pub fn configure(&self, config: &Config, now: Time) {
        let mut wanted = timeouts(config);
        let mut changed: BTreeMap<Arc<str>, Option<Millis>> = BTreeMap::new();
        {
            let mut senders = self.senders.write().unwrap_or_else(PoisonError::into_inner);
            for (name, sender) in senders.iter() {
                let timeout = wanted.remove(name).unwrap_or(Some(self.strangers_timeout));
                if sender.timeout.swap(number(timeout), Ordering::Relaxed) != number(timeout) {
                    changed.insert(name.clone(), timeout);
                }
            }
            senders.extend(wanted.into_iter().map(|(name, timeout)| (name, Arc::new(Sender::new(timeout)))));
        }
        if changed.is_empty() {
            return;
        }
        for mut entry in self.alerts.iter_mut() {
            let record = &entry.record;
            let ours = entry.by_timeout && record.is_firing() && record.beat.is_none() && record.lasts().is_none();
            if let Some(timeout) = changed.get(&entry.record.alert.source).filter(|_| ours) {
                entry.expires_at = timeout.map_or(NEVER, |timeout| now + timeout);
                self.next_expiry.fetch_min(entry.expires_at.0, Ordering::AcqRel);
            }
        }
    }

    /// The longest that an alert of any source fires without being heard of, but for those that fire for ever.
    #[must_use]
    pub fn longest_timeout(&self) -> Millis {
        let senders = self.senders.read().unwrap_or_else(PoisonError::into_inner);
        senders.values().filter_map(|sender| sender.timeout()).max().unwrap_or_default()
    }

    /// An empty set of alerts, as safe from senders who choose their labels as the tables are.
    #[must_use]
    pub fn set(&self) -> FingerprintSet {
        FingerprintSet::default()
    }

    /// Publishes what the engine changed. A new occurrence of an alert gets the full timeout of its source from `now`;
    /// so publishing the loaded state after a start lets nothing expire before its sender had time to speak.
    pub fn publish(&self, changes: &Changes, now: Time) {
        // Alerts of one source come together.
        for of_source in changes.alerts.chunk_by(|a, b| a.alert.source == b.alert.source) {
            let sender = self.sender(&of_source[0].alert.source);
            of_source.chunks(PUBLISHED_AT_ONCE).for_each(|some| self.publish_alerts(some, &sender, now));
        }
        for fingerprint in &changes.forgotten_alerts {
            self.forget_alert(*fingerprint);
        }
        changes.incidents.iter().for_each(|incident| drop(self.incidents.insert(incident.id, incident.clone())));
        changes.forgotten_incidents.iter().for_each(|id| drop(self.incidents.remove(id)));
        changes.notifications.iter().for_each(|it| drop(self.notifications.insert(it.id, it.clone())));
        changes.forgotten_notifications.iter().for_each(|id| drop(self.notifications.remove(id)));
        changes.silences.iter().for_each(|silence| drop(self.silences.insert(silence.id, silence.clone())));
        changes.forgotten_silences.iter().for_each(|id| drop(self.silences.remove(id)));
        changes.reported.iter().for_each(|it| drop(self.reported.insert(it.id.clone(), it.clone())));
        changes.forgotten_reported.iter().for_each(|id| drop(self.reported.remove(id)));
        changes.messages.iter().for_each(|it| drop(self.messages.insert((it.source.clone(), it.id), it.clone())));
        changes.forgotten_messages.iter().for_each(|key| drop(self.messages.remove(key)));
        changes.heartbeats.iter().for_each(|it| drop(self.heartbeats.insert(it.name.clone(), it.clone())));
        changes.forgotten_heartbeats.iter().for_each(|name| drop(self.heartbeats.remove(name)));
    }

    /// Shows the rules that are in force from now on; `since` where they took effect while this program ran.
    pub fn publish_rules(&self, rules: Arc<Ruleset>, since: Option<Time>) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = InForce { rules, since };
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> InForce {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Firing alerts of which nothing was heard until they expired, with that moment. For the shell to submit, about
    /// once a second; the same ones come again until the engine has resolved them.
    #[must_use]
    pub fn expired(&self, now: Time) -> Vec<(Fingerprint, Time)> {
        if self.next_expiry.load(Ordering::Acquire) > now.0 {
            return Vec::new();
        }
        // Raised first and lowered to what the sweep finds, so that an alert that comes during the sweep still counts.
        self.next_expiry.store(i64::MAX, Ordering::Release);
        let (mut expired, mut next) = (Vec::new(), i64::MAX);
        for entry in &self.alerts {
            // The record lies elsewhere in memory: looked at only where the time could matter, which is seldom.
            let matters = entry.expires_at <= now || entry.expires_at.0 < next;
            if !matters || !entry.record.is_firing() {
                continue;
            }
            next = next.min(entry.expires_at.0);
            if entry.expires_at <= now {
                expired.push((*entry.key(), entry.expires_at));
            }
        }
        self.next_expiry.fetch_min(next, Ordering::AcqRel);
        expired.sort_unstable();
        expired
    }

    /// One alert.
    #[must_use]
    pub fn alert(&self, fingerprint: Fingerprint) -> Option<Entry> {
        self.alerts.get(&fingerprint).map(|entry| Entry::clone(&entry))
    }

    /// The alerts that `keep` accepts, in no order. `keep` runs inside the table: it must not call on it.
    pub fn alerts(&self, keep: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        self.alerts.iter().filter(|entry| keep(entry)).map(|entry| Entry::clone(&entry)).collect()
    }

    /// One incident.
    #[must_use]
    pub fn incident(&self, id: IncidentId) -> Option<Arc<Incident>> {
        self.incidents.get(&id).map(|entry| entry.value().clone())
    }

    /// All incidents in memory, in no order.
    #[must_use]
    pub fn incidents(&self) -> Vec<Arc<Incident>> {
        self.incidents.iter().map(|entry| entry.value().clone()).collect()
    }

    /// One notification.
    #[must_use]
    pub fn notification(&self, id: NotificationId) -> Option<Arc<Notification>> {
        self.notifications.get(&id).map(|entry| entry.value().clone())
    }

    /// All notifications in memory, in no order.
    #[must_use]
    pub fn notifications(&self) -> Vec<Arc<Notification>> {
        self.notifications.iter().map(|entry| entry.value().clone()).collect()
    }

    /// One silence.
    #[must_use]
    pub fn silence(&self, id: SilenceId) -> Option<Arc<Silence>> {
        self.silences.get(&id).map(|entry| entry.value().clone())
    }

    /// All silences in memory, in no order.
    #[must_use]
    pub fn silences(&self) -> Vec<Arc<Silence>> {
        self.silences.iter().map(|entry| entry.value().clone()).collect()
    }

    /// One change that was reported.
    #[must_use]
    pub fn reported_one(&self, id: &str) -> Option<Arc<Change>> {
        self.reported.get(id).map(|entry| entry.value().clone())
    }

    /// All reported changes in memory, in no order.
    #[must_use]
    pub fn reported(&self) -> Vec<Arc<Change>> {
        self.reported.iter().map(|entry| entry.value().clone()).collect()
    }

    /// A message of a source that was taken already and is still remembered at `now`.
    #[must_use]
    pub fn taken(&self, source: &Arc<str>, id: MessageId, now: Time) -> Option<Arc<TakenMessage>> {
        self.messages.get(&(source.clone(), id)).map(|entry| entry.value().clone()).filter(|message| message.until > now)
    }

    /// One heartbeat, if it was heard of.
    #[must_use]
    pub fn heartbeat(&self, name: &str) -> Option<Arc<Heartbeat>> {
        self.heartbeats.get(name).map(|entry| entry.value().clone())
    }

    /// How many alerts fire.
    #[must_use]
    pub fn firing(&self) -> usize {
        count(&self.firing)
    }

    /// How many alerts fire and are suppressed.
    #[must_use]
    pub fn suppressed(&self) -> usize {
        count(&self.suppressed)
    }

    /// How many alerts of one source fire.
    #[must_use]
    pub fn firing_of(&self, source: &str) -> usize {
        self.senders.read().unwrap_or_else(PoisonError::into_inner).get(source).map_or(0, |sender| count(&sender.firing))
    }

    fn sender(&self, source: &Arc<str>) -> Arc<Sender> {
        if let Some(sender) = self.senders.read().unwrap_or_else(PoisonError::into_inner).get(source) {
            return sender.clone();
        }
        let mut senders = self.senders.write().unwrap_or_else(PoisonError::into_inner);
        senders.entry(source.clone()).or_insert_with(|| Arc::new(Sender::new(Some(self.strangers_timeout)))).clone()
    }

    /// Publishes alerts of one source.
    fn publish_alerts(&self, records: &[Arc<AlertRecord>], sender: &Sender, now: Time) {
        let fingerprints: Vec<Fingerprint> = records.iter().map(|record| record.alert.fingerprint).collect();
        let (mut firing, mut suppressed, mut next_expiry) = (0, 0, i64::MAX);
        parts::change(&self.alerts, &fingerprints, |place, present| {
            let record = &records[place];
            let was = present.as_ref().map_or((0, 0), |entry| counted(&entry.record));
            let is = counted(record);
            (firing, suppressed) = (firing + is.0 - was.0, suppressed + is.1 - was.1);
            let (expires_at, new) = if let Some(entry) = present {
                entry.update(record, sender, now);
                (entry.expires_at, None)
            } else {
                let entry = Entry::of(record.clone(), sender.timeout(), now);
                (entry.expires_at, Some(Box::new(entry)))
            };
            if record.is_firing() {
                next_expiry = next_expiry.min(expires_at.0);
            }
            new
        });
        // Once for all of them: these numbers are everybody's.
        self.firing.fetch_add(firing, Ordering::Relaxed);
        sender.firing.fetch_add(firing, Ordering::Relaxed);
        self.suppressed.fetch_add(suppressed, Ordering::Relaxed);
        self.next_expiry.fetch_min(next_expiry, Ordering::AcqRel);
    }

    fn forget_alert(&self, fingerprint: Fingerprint) {
        let Some((_, entry)) = self.alerts.remove(&fingerprint) else { return };
        let (fires, suppressed) = counted(&entry.record);
        self.firing.fetch_sub(fires, Ordering::Relaxed);
        self.sender(&entry.record.alert.source).firing.fetch_sub(fires, Ordering::Relaxed);
        self.suppressed.fetch_sub(suppressed, Ordering::Relaxed);
        for key in entry.raw {
            self.raw.remove_if(&key, |_, owner| *owner == fingerprint);
        }
    }
}

/// What a record adds to the numbers of firing and of suppressed alerts.
fn counted(record: &AlertRecord) -> (i64, i64) {
    (i64::from(record.status == AlertStatus::Firing), i64::from(record.is_firing() && record.is_suppressed()))
}

fn count(number: &AtomicI64) -> usize {
    usize::try_from(number.load(Ordering::Relaxed)).unwrap_or(0)
}
