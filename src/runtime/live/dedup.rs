//! Dedup: is this word of a sender news, or has it been said before?
//!
//! | the table has | the sender says | it is |
//! | --- | --- | --- |
//! | nothing | firing | news; a repeat if its source has ended it before (the intake's: `ingest::ends`) |
//! | nothing | resolved | a repeat, unless its beginning is with the engine already; the intake remembers it for a while |
//! | firing | firing | a repeat: it moves the expiry, and may bring other annotations |
//! | firing | resolved | news; a repeat if it ended before this occurrence began |
//! | resolved | resolved | a repeat |
//! | resolved | firing | news; a repeat if it is an old word on the occurrence that has ended |
//!
//! Times merge as Alertmanager merges them: the earliest beginning wins; an end that a sender gave is never brought
//! forward by another sender of the same alert, our own timeout is.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Entry, Live, Wording, parts};
use crate::model::{AlertStatus, Fingerprint, Time};

/// What a sender said of one alert, as far as dedup must know.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    pub status: AlertStatus,
    pub starts_at: Time,
    /// When it ended; for a resolved alert.
    pub ends_at: Time,
    /// When it expires unless it is heard of again; for a firing alert.
    pub expires_at: Time,
    /// Whether `expires_at` is our own timeout and not the sender's word.
    pub by_timeout: bool,
    /// Whether the sender names the state in words and gave a time of its own, so that a late word can be told from a new
    /// one: `starts_at` is by the sender's clock then, of an end without a beginning its moment. Where the end decides the
    /// state (Prometheus), a late word says itself that it is over.
    pub dated: bool,
    /// [`Live::wording_key`] of what was sent.
    pub wording: u64,
    pub now: Time,
}

/// What a sender said of an alert that is news, to be remembered once that is committed.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    pub fingerprint: Fingerprint,
    /// [`Live::raw_key`] of its labels, where they came as JSON.
    pub raw_key: Option<u64>,
    pub heard: Heard,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Known; nothing is left to do.
    Repeat,
    /// Known, but the annotations or the link are others than last time: parse them and [`Live::reword`].
    Reworded,
    /// To be submitted to the engine.
    News,
    /// Nothing is known of it: news if it fires and was not ended before; else there is nothing to resolve, but for what the engine
    /// has not committed yet.
    Unknown,
}

impl Live {
    /// The key of a label text as it came from one source. Sources are kept apart because each may add labels of its own.
    #[must_use]
    pub fn raw_key(&self, source_key: u64, labels: &str) -> u64 {
        (self.seed.hash(labels.as_bytes()) ^ source_key).max(1)
    }

    /// The key of a source, for [`Live::raw_key`]; to be asked once.
    #[must_use]
    pub fn source_key(&self, source: &str) -> u64 {
        self.seed.hash(source.as_bytes())
    }

    /// The key of annotations and link as they came.
    #[must_use]
    pub fn wording_key(&self, annotations: &str, generator_url: &str) -> u64 {
        let link = if generator_url.is_empty() { 0 } else { self.seed.hash(generator_url.as_bytes()).rotate_left(32) };
        (self.seed.hash(annotations.as_bytes()) ^ link).max(1)
    }

    /// As [`Live::wording_key`], of annotations one by one.
    #[must_use]
    pub fn wording_of<'a>(&self, annotations: impl Iterator<Item = (&'a str, &'a str)>, generator_url: &str) -> u64 {
        // An odd number, so that nothing is lost by it; where a text stands counts.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let texts = annotations.flat_map(|(name, value)| [name, value]).chain([generator_url]);
        texts.fold(0, |key: u64, text| (key.rotate_left(23) ^ self.seed.hash(text.as_bytes())).wrapping_mul(SPREAD)).max(1)
    }

    /// The alert that this label text belongs to. Most repeats need to have no more read of them than its hash.
    #[must_use]
    pub fn known(&self, raw_key: u64) -> Option<Fingerprint> {
        self.raw.get(&raw_key).map(|found| *found)
    }

    /// Whether this is news. What is a repeat is counted here, and moves the expiry.
    #[must_use]
    pub fn seen(&self, fingerprint: Fingerprint, heard: &Heard) -> Seen {
        let Some(mut entry) = self.alerts.get_mut(&fingerprint) else { return Seen::Unknown };
        let firing = entry.record.is_firing();
        let repeat = match heard.status {
            AlertStatus::Firing => firing || is_late(&entry, heard),
            AlertStatus::Resolved => !firing || heard.ends_at < entry.starts_at,
        };
        if !repeat {
            return Seen::News;
        }
        entry.repeats = entry.repeats.saturating_add(1);
        entry.last_seen = entry.last_seen.max(heard.now);
        if !firing || heard.status == AlertStatus::Resolved {
            return Seen::Repeat;
        }
        self.expire(&mut entry, heard);
        entry.starts_at = entry.starts_at.min(heard.starts_at);
        if entry.wording == heard.wording { Seen::Repeat } else { Seen::Reworded }
    }

    /// Keeps what a sender says now of a firing alert, where it differs from what it said first.
    pub fn reword(&self, fingerprint: Fingerprint, key: u64, wording: Wording) {
        if let Some(mut entry) = self.alerts.get_mut(&fingerprint) {
            let first = &entry.record.alert;
            let as_first = first.annotations == wording.annotations && first.generator_url == wording.generator_url;
            entry.reworded = (!as_first).then(|| Arc::new(wording));
            entry.wording = key;
        }
    }

    /// Keeps what senders said of alerts that were news and are committed now: their own ends, and their label texts.
    pub fn learn<'w>(&self, words: impl Iterator<Item = &'w Word>) {
        let words: Vec<&Word> = words.collect();
        let fingerprints: Vec<Fingerprint> = words.iter().map(|word| word.fingerprint).collect();
        let (mut texts, mut owners, mut gone) = (Vec::with_capacity(words.len()), Vec::with_capacity(words.len()), Vec::new());
        parts::change(&self.alerts, &fingerprints, |place, entry| {
            let (entry, Word { fingerprint, raw_key, heard }) = (entry?, words[place]);
            if heard.status == AlertStatus::Firing && entry.record.is_firing() {
                self.expire(entry, heard);
                entry.wording = heard.wording;
            }
            if let Some((key, oldest)) = raw_key.and_then(|key| Some((key, note_text(entry, key)?))) {
                texts.push(key);
                owners.push(*fingerprint);
                gone.extend(Some((oldest, *fingerprint)).filter(|(oldest, _)| *oldest != 0));
            }
            None
        });
        parts::change(&self.raw, &texts, |place, present| match present {
            Some(present) => {
                *present = owners[place];
                None
            }
            None => Some(owners[place]),
        });
        // One that had to go may have come again behind that.
        gone.retain(|(text, owner)| !self.alerts.get(owner).is_some_and(|entry| entry.raw.contains(text)));
        for (text, owner) in gone {
            self.raw.remove_if(&text, |_, present| *present == owner);
        }
    }

    fn expire(&self, entry: &mut Entry, heard: &Heard) {
        if let Some(beat) = &entry.record.beat {
            // However long its sender believes in it: a beat is missed after its rule's time.
            entry.expires_at = heard.now + beat.within;
            entry.by_timeout = true;
            self.lower_next_expiry(entry.expires_at);
            return;
        }
        let earlier = !entry.by_timeout && heard.expires_at < entry.expires_at;
        if !earlier {
            entry.expires_at = heard.expires_at;
            self.lower_next_expiry(heard.expires_at);
        }
        entry.by_timeout = heard.by_timeout;
    }

    /// Notes when an entry expires that the caller holds. Mostly others expire before it, and a look is cheaper than a write to
    /// what everybody reads. A sweep that raises the number either comes to the entry behind the caller, or has left it before,
    /// and then the raised number is what the caller sees.
    fn lower_next_expiry(&self, at: Time) {
        if self.next_expiry.load(Ordering::Relaxed) > at.0 {
            self.next_expiry.fetch_min(at.0, Ordering::AcqRel);
        }
    }

    /// Remembers a label text of an alert; the oldest one goes.
    pub fn remember(&self, fingerprint: Fingerprint, key: u64) {
        let noted = self.alerts.get_mut(&fingerprint).and_then(|mut entry| note_text(&mut entry, key));
        // No two tables are held at once.
        let Some(oldest) = noted else { return };
        if oldest != 0 {
            self.raw.remove_if(&oldest, |_, owner| *owner == fingerprint);
        }
        self.raw.insert(key, fingerprint);
    }
}

/// Notes a label text with its alert, and gives the one that goes for it, 0 for none; `None` where it was noted already.
fn note_text(entry: &mut Entry, key: u64) -> Option<u64> {
    if entry.raw.contains(&key) {
        return None;
    }
    entry.raw.rotate_right(1);
    Some(std::mem::replace(&mut entry.raw[0], key))
}

/// Whether a "firing" is an old word on the occurrence that has ended: the same beginning, dated by the sender. What
/// ended because nothing was heard of it is another matter: then any word is welcome.
fn is_late(entry: &Entry, heard: &Heard) -> bool {
    let ran_out = entry.record.ends_at == Some(entry.expires_at);
    heard.dated && heard.starts_at <= entry.starts_at && !ran_out
}
