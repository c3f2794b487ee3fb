//! Messages of monitoring tools against the tables. They differ from labels that a Prometheus sends in three ways: what
//! makes an alert is a key beside its labels, a later message may say less than the first (or more), and an alert may be
//! acknowledged where it was raised.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Fault, Intake, Pairs, Parsed, Pending, Reason, Took};
use crate::ingest::check;
use crate::ingest::format::{Event, Key, State};
use crate::model::{AlertStatus, Fingerprint, Labels};
use crate::runtime::live::{Entry, Heard, NEVER, Seen, Word};

/// Messages without a key so far.
static FRESH: AtomicU64 = AtomicU64::new(0);

/// Bytes of an annotation that are kept: a tool's long text must not cost its alert.
const ANNOTATION_BYTES: usize = 2_000;

impl Intake<'_> {
    /// Takes one message. An acknowledgement is noted besides, for whoever can act on it.
    pub fn take_event(&mut self, index: usize, event: &Event) {
        if self.was_taken(index) {
            return;
        }
        match self.try_event(index, event) {
            Ok(Took::News) => {}
            Ok(Took::Repeat) => self.repeats += 1,
            Err((reason, message)) => self.reject(index, reason, message),
        }
    }

    /// The identity of an alert that a source calls by this key. The source is part of it: two servers number alike.
    #[must_use]
    pub fn keyed(&self, key: &str) -> Fingerprint {
        let pairs = [("alert_key", key), ("source", &*self.source.name)];
        Labels::from_pairs(pairs).unwrap_or_default().fingerprint()
    }

    /// A key for a message that has none: of its moment and its place in our own count, so that two are never one.
    #[must_use]
    pub fn fresh_key(&self, index: usize) -> String {
        if let Some(again) = self.again {
            // However often the same message is tried, it is one alert.
            return format!("{}/{index}", again.id);
        }
        let count = FRESH.fetch_add(1, Ordering::Relaxed);
        let unseeded = format!("{}/{count}/{index}", self.now.0);
        format!("{:016x}{:016x}", self.live.raw_key(self.source.key, &unseeded), self.live.raw_key(!self.source.key, &unseeded))
    }

    fn try_event(&mut self, index: usize, event: &Event) -> Result<Took, Fault> {
        let labels = Pairs::Parsed(self.said_labels(event));
        let fingerprint = match &event.key {
            Key::Said(key) => self.keyed(key),
            Key::Labels => check::labels(&labels, self.source, self.limits)?.fingerprint(),
            Key::Fresh => return Err((Reason::Missing, "the message has no key".to_owned())),
        };
        let known = self.live.alert(fingerprint);
        let is_described = !event.labels.is_empty();
        let status = if event.state == State::Resolved { AlertStatus::Resolved } else { AlertStatus::Firing };
        if self.is_past(fingerprint, status) {
            return Ok(Took::Repeat);
        }
        if event.state == State::Acknowledged {
            self.acknowledged.push(fingerprint);
            if !(is_described || self.tells_all) || known.as_ref().is_some_and(|entry| !entry.record.is_firing()) {
                return Ok(Took::Repeat);
            }
        }
        let heard = self.heard_event(event, status);
        if known.as_ref().is_some_and(|entry| is_old(event, entry)) {
            return Ok(Took::Repeat);
        }
        let annotations = || said_annotations(event, known.as_ref());
        let (source, limits) = (self.source, self.limits);
        let checked = || check::labels(&labels, source, limits);
        let pending = Pending { index, word: Word { fingerprint, raw_key: None, heard }, lasts: event.timeout };
        if self.tells_all {
            let labels = if is_described { checked()? } else { Labels::default() };
            return self.announce(&annotations(), &event.url, labels, pending);
        }
        let seen = if self.is_fresh(fingerprint) { Seen::News } else { self.live.seen(fingerprint, &heard) };
        if seen == Seen::Unknown
            && let Some(took) = self.take_unknown(index, fingerprint, &heard)
        {
            return Ok(took);
        }
        match (seen, &known) {
            (Seen::Repeat | Seen::Reworded, Some(entry)) if heard.status == AlertStatus::Firing && entry.record.is_firing() => {
                let labels = overlaid(&entry.record.alert.labels, &labels, checked)?;
                if let Some(labels) = labels.filter(|labels| *labels != entry.record.alert.labels) {
                    // Worse, or better, or no data: rules decide anew.
                    return self.announce(&annotations(), &event.url, labels, pending);
                }
                if seen == Seen::Reworded {
                    self.reword(fingerprint, &annotations(), &event.url, &heard)
                } else {
                    Ok(Took::Repeat)
                }
            }
            (Seen::Repeat | Seen::Reworded, _) => Ok(Took::Repeat),
            (Seen::News | Seen::Unknown, Some(entry)) if !is_described => {
                self.announce(&annotations(), &event.url, entry.record.alert.labels.clone(), pending)
            }
            // Of something that nobody has described there is nothing to say.
            (Seen::News | Seen::Unknown, None) if !is_described => Ok(Took::Repeat),
            (Seen::News | Seen::Unknown, _) => {
                let labels = checked()?;
                self.announce(&annotations(), &event.url, labels, pending)
            }
        }
    }

    /// The labels of a message, with those that its scale makes. `no_data` is always said, so that it ends.
    fn said_labels<'e>(&self, event: &'e Event) -> Parsed<'e> {
        let is_scaled = event.key != Key::Labels;
        let severity = event.severity.filter(|_| is_scaled);
        let mut pairs = Vec::with_capacity(event.labels.len() + 2);
        for (name, value) in event.labels.iter().filter(|(name, _)| severity.is_none() || name != "severity") {
            pairs.push((Cow::Borrowed(&**name), shortened(value, self.limits.label_value_bytes)));
        }
        if let Some(severity) = severity {
            pairs.push(("severity".into(), severity.as_str().into()));
        }
        if is_scaled {
            pairs.push(("no_data".into(), if event.no_data { "true" } else { "" }.into()));
        }
        pairs
    }

    fn heard_event(&self, event: &Event, status: AlertStatus) -> Heard {
        let (now, arrived) = (self.now, self.arrived());
        let at = event.at.unwrap_or(arrived).min(arrived);
        let starts_at = event.since.unwrap_or(at).min(at);
        let timeout = event.timeout.or(self.source.timeout);
        let expires_at = timeout.map_or(NEVER, |timeout| arrived + timeout);
        let ran_out = self.has_run_out(status, expires_at);
        Heard {
            status: if ran_out { AlertStatus::Resolved } else { status },
            starts_at,
            ends_at: if ran_out { expires_at } else { at },
            expires_at,
            by_timeout: true,
            dated: event.at.is_some() || event.since.is_some(),
            wording: self.live.wording_of(event.annotations.iter().map(|(name, value)| (&**name, &**value)), &event.url),
            now,
        }
    }
}

/// Whether a message is older than the end that is known: order is not promised, and what is over stays over.
fn is_old(event: &Event, entry: &Entry) -> bool {
    let Some((at, ended)) = event.at.zip(entry.record.ends_at) else { return false };
    // What ended because nothing was heard of it may be heard of again.
    let ran_out = ended == entry.expires_at;
    !entry.record.is_firing() && event.state != State::Resolved && at <= ended && !ran_out
}

/// What was known with what is said now: a message that carries less takes nothing away, but what it says to be empty. The
/// source's own labels are in what was known, and give way to all that was ever said. `None` where nothing of it is new.
fn overlaid(known: &Labels, said: &Pairs<'_>, checked: impl FnOnce() -> Result<Labels, Fault>) -> Result<Option<Labels>, Fault> {
    let Pairs::Parsed(pairs) = said else { return Ok(None) };
    if pairs.iter().all(|(name, value)| known.get(name) == value) {
        return Ok(None);
    }
    let is_said = |name: &str| pairs.iter().any(|(said, _)| said == name);
    let new = if pairs.iter().all(|(_, value)| value.is_empty()) { Labels::default() } else { checked()? };
    let (new, kept) = (new.iter().filter(|(name, _)| is_said(name)), known.iter().filter(|(name, _)| !is_said(name)));
    Labels::from_pairs(new.chain(kept)).map(Some).ok_or_else(|| (Reason::Labels, "too long".to_owned()))
}

fn said_annotations<'a>(event: &'a Event, known: Option<&'a Entry>) -> Pairs<'a> {
    let mut pairs: Parsed<'a> =
        event.annotations.iter().map(|(name, value)| (Cow::Borrowed(&**name), shortened(value, ANNOTATION_BYTES))).collect();
    if let Some(entry) = known.filter(|entry| entry.record.is_firing()) {
        let is_missing = |(name, _): &(&str, &str)| !event.annotations.iter().any(|(said, _)| said == name);
        let missing = entry.annotations().iter().filter(is_missing);
        pairs.extend(missing.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))));
    }
    Pairs::Parsed(pairs)
}

fn shortened(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(bytes_max.saturating_sub('…'.len_utf8()));
    Cow::Owned(format!("{}…", &text[..end]))
}
