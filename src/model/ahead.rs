//! Reading ahead: brings what lies all over the memory near, many things at a time.
//!
//! A line of memory that no cache holds takes up to a quarter of a microsecond, and code that goes from pointer to pointer waits
//! for each of them. Read so that none waits for another, ten take little longer than one. Nothing but speed depends on it.

use std::hint::black_box;

use super::alert::{Alert, AlertRecord};

/// Bytes of a line of memory on the processors that matter.
const LINE: usize = 64;

/// A text; what is given back means nothing, and is there to be asked for.
#[must_use]
pub fn text(text: &str) -> u64 {
    let bytes = text.as_bytes();
    (0..bytes.len()).step_by(LINE).fold(0, |sum, at| sum ^ u64::from(bytes[at]))
}

/// What alerts say of themselves.
pub fn alerts<'a>(alerts: impl Iterator<Item = &'a Alert> + Clone) {
    // Each loop has the addresses that the one before has read.
    let mut sum = alerts.clone().fold(0, |sum, alert| sum ^ alert.fingerprint.0 ^ alert.starts_at.0.cast_unsigned());
    for alert in alerts {
        sum ^= text(alert.labels.encoded()) ^ text(alert.annotations.encoded()) ^ text(&alert.generator_url);
    }
    black_box(sum);
}

/// The counts of those who hold records, and the alerts in them.
pub fn counts<'a>(records: impl Iterator<Item = &'a AlertRecord> + Clone) {
    black_box(records.clone().fold(0, |sum, record| sum ^ record.fired_seq));
    black_box(records.fold(0, |sum, record| sum ^ record.alert.fingerprint.0));
}

/// What is known of alerts, and their labels.
pub fn labels<'a>(records: impl Iterator<Item = &'a AlertRecord> + Clone) {
    counts(records.clone());
    black_box(records.fold(0, |sum, record| sum ^ text(record.labels().encoded())));
}

/// What is known of alerts, and what they say of themselves.
pub fn records<'a>(records: impl Iterator<Item = &'a AlertRecord> + Clone) {
    black_box(records.clone().fold(0, |sum, record| sum ^ record.fired_seq ^ record.incidents.len() as u64));
    alerts(records.map(|record| &*record.alert));
}
