//! Which segments of the log may go, and when a checkpoint is due that lets them.
//!
//! A log begins with a checkpoint, so its beginning can only move from one to the next. They are written a quarter of what is
//! kept apart: the log is trimmed in quarters, and is a quarter larger or older at most than it should be.

use std::collections::BTreeSet;

use crate::config::Retention;
use crate::model::{Millis, Time};
use crate::storage::log::SegmentInfo;

/// The files that may go, always a beginning of the log: those past their age, and the oldest while all together hold too many bytes.
/// A segment that the view has yet to read stays until the log is twice as large as it should be.
pub(super) fn plan(segments: &[SegmentInfo], now: Time, retention: &Retention, view_seq: u64) -> BTreeSet<String> {
    let mut bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
    let mut plan = BTreeSet::new();
    // The newest is being written.
    for segment in segments.iter().take(segments.len().saturating_sub(1)) {
        let too_old = segment.last_time < now - retention.age;
        let too_much = bytes > retention.log_bytes;
        let unread = segment.last_seq > view_seq && bytes <= retention.log_bytes.saturating_mul(2);
        if unread || !(too_old || too_much) {
            break;
        }
        bytes -= segment.bytes;
        plan.insert(segment.file.clone());
    }
    plan
}

/// Whether a quarter of what is kept was written since the newest checkpoint.
pub(super) fn checkpoint_is_due(segments: &[SegmentInfo], now: Time, retention: &Retention) -> bool {
    let behind = segments.iter().rposition(|segment| segment.checkpoint).map_or(0, |at| at + 1);
    let since = &segments[behind..];
    let bytes: u64 = since.iter().map(|segment| segment.bytes).sum();
    let old = since.first().is_some_and(|oldest| oldest.last_time < now - Millis(retention.age.0 / 4));
    bytes > retention.log_bytes / 4 || old
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four segments of 100 bytes, ten facts each, ending at 10 s, 20 s, 30 s, 40 s.
    fn segments() -> Vec<SegmentInfo> {
        let segment = |n: u64| SegmentInfo {
            file: n.to_string(),
            bytes: 100,
            first_seq: n * 10 - 9,
            last_seq: n * 10,
            last_time: Time(n.cast_signed() * 10_000),
            checkpoint: false,
        };
        (1..=4).map(segment).collect()
    }

    #[test]
    fn checkpoints_are_a_quarter_of_what_is_kept_apart() {
        // (the segment that begins with a checkpoint, age s, bytes, due)
        let cases = [
            (None, 600, 10_000, false),
            (None, 600, 1_500, true),
            (None, 164, 10_000, false),
            (None, 156, 10_000, true),
            (Some(0), 600, 1_100, true),
            (Some(0), 600, 1_300, false),
            (Some(0), 116, 10_000, true),
            (Some(0), 124, 10_000, false),
            (Some(3), 1, 1, false), // nothing since
        ];
        for (checkpoint, age, log_bytes, due) in cases {
            let mut segments = segments();
            if let Some(at) = checkpoint {
                segments[at].checkpoint = true;
            }
            let retention = Retention { age: Millis::seconds(age), log_bytes };
            let is_due = checkpoint_is_due(&segments, Time(50_000), &retention);
            assert_eq!(is_due, due, "checkpoint {checkpoint:?}, age {age}, bytes {log_bytes}");
        }
        assert!(!checkpoint_is_due(&[], Time(0), &Retention { age: Millis::seconds(1), log_bytes: 1 }));
    }

    #[test]
    fn the_oldest_go_by_age_and_by_bytes_but_not_before_the_view_has_read_them() {
        let segments = segments();
        // (age s, bytes, view's position, those that go)
        let cases: [(i64, u64, u64, &[&str]); 8] = [
            (60, 1_000, 40, &[]),
            (25, 1_000, 40, &["1", "2"]),
            (0, 1_000, 40, &["1", "2", "3"]), // never the one that is written
            (60, 300, 40, &["1"]),
            (60, 100, 40, &["1", "2", "3"]),
            (25, 1_000, 15, &["1"]),
            (60, 300, 5, &[]),
            (60, 150, 5, &["1"]), // more than twice the limit: the view has to do without
        ];
        for (age, log_bytes, view_seq, expected) in cases {
            let retention = Retention { age: Millis::seconds(age), log_bytes };
            let plan = plan(&segments, Time(50_000), &retention, view_seq);
            assert_eq!(plan.iter().collect::<Vec<_>>(), expected, "age {age}, bytes {log_bytes}, view at {view_seq}");
        }
    }
}
