//! Which segments of the log may go.

use std::collections::BTreeSet;

use crate::config::Retention;
use crate::model::Time;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Millis;

    #[test]
    fn the_oldest_go_by_age_and_by_bytes_but_not_before_the_view_has_read_them() {
        // Four segments of 100 bytes, ten facts each, ending at 10 s, 20 s, 30 s, 40 s.
        let segments: Vec<SegmentInfo> = (1..=4u64)
            .map(|n| SegmentInfo {
                file: n.to_string(),
                bytes: 100,
                first_seq: n * 10 - 9,
                last_seq: n * 10,
                last_time: Time(n.cast_signed() * 10_000),
            })
            .collect();
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
