//! Ends that came while nothing was known of their alerts: order is not promised, and what is over when it begins must page
//! nobody. Each source has its own, so that a loud one pushes out no other's. Decides nothing about alerts that are known:
//! those have their end on record, and `runtime::live::dedup` looks there.
//!
//! Two ask for them: a beginning that comes late, by its sender's own times, and a kept message that is tried again, by the
//! moment of its arrival.

use std::collections::BTreeMap;

use crate::model::{Fingerprint, KeyedMap, Millis, Time};
use crate::runtime::live::Heard;

/// How long an end waits for its beginning. A word that was overtaken is late by seconds, and by minutes where its sender found
/// no room here and tries again; whoever says an hour later that something fires means it.
pub(super) const REMEMBERED: Millis = Millis::minutes(15);

/// The ends of one source that are remembered, at most: as many as one request may bring, and about a megabyte.
const ENDS_MAX: usize = 10_000;

/// The ends of one source, the newest [`ENDS_MAX`].
#[derive(Debug, Default)]
pub(super) struct Ends {
    by_alert: KeyedMap<Fingerprint, End>,
    /// The same in the order in which they were told, so that the oldest is found without a search.
    in_order: BTreeMap<u64, Fingerprint>,
    told: u64,
}

/// One end.
#[derive(Debug)]
struct End {
    told_at: Time,
    /// By its sender's clock: the newest beginning that is over, or the end where none was given. `None` where the sender gave
    /// no time at all: its clock cannot be compared with ours.
    over_to: Option<Time>,
    /// Its place in the order.
    place: u64,
}

impl Ends {
    /// An alert that nothing is known of was said to be over.
    pub(super) fn tell(&mut self, alert: Fingerprint, heard: &Heard) {
        self.put(alert, heard.dated.then_some(heard.starts_at), heard.now);
    }

    /// Takes up what was known before a restart: the alerts, each with the moment at which its end was told.
    pub(super) fn of(told: impl Iterator<Item = (Fingerprint, Time)>) -> Ends {
        let mut told: Vec<(Time, Fingerprint)> = told.map(|(alert, told_at)| (told_at, alert)).collect();
        told.sort_unstable();
        let mut ends = Ends::default();
        for (told_at, alert) in told {
            ends.put(alert, None, told_at);
        }
        ends
    }

    fn put(&mut self, alert: Fingerprint, over_to: Option<Time>, told_at: Time) {
        let place = self.told;
        self.told += 1;
        let before = self.by_alert.insert(alert, End { told_at, over_to, place });
        if let (Some(before), Some(end)) = (before, self.by_alert.get_mut(&alert)) {
            // The end of an older occurrence may come behind that of a newer one.
            end.over_to = end.over_to.max(before.over_to);
            self.in_order.remove(&before.place);
        }
        self.in_order.insert(place, alert);
        if self.by_alert.len() > ENDS_MAX {
            self.forget_oldest();
        }
    }

    /// Whether a word that an alert fires, arrived at this moment, is an old one: the alert began, by its sender's clock, no
    /// later than what is over.
    pub(super) fn is_late(&self, alert: Fingerprint, began: Time, arrived: Time) -> bool {
        let Some(end) = self.by_alert.get(&alert) else { return false };
        end.over_to.is_some_and(|over_to| began <= over_to) && arrived.since(end.told_at) <= REMEMBERED
    }

    /// Whether an alert was said to be over at this moment or later.
    pub(super) fn has_ended_since(&self, alert: Fingerprint, moment: Time) -> bool {
        self.by_alert.get(&alert).is_some_and(|end| moment <= end.told_at)
    }

    /// Lets go of those that were told before a moment.
    pub(super) fn forget_before(&mut self, moment: Time) {
        let is_old = |ends: &Ends, alert: &Fingerprint| ends.by_alert.get(alert).is_some_and(|end| end.told_at < moment);
        while self.in_order.first_key_value().is_some_and(|(_, alert)| is_old(self, alert)) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, alert)) = self.in_order.pop_first() {
            self.by_alert.remove(&alert);
        }
    }

    /// The alerts, each with the moment at which its end was told.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Fingerprint, Time)> {
        self.by_alert.iter().map(|(alert, end)| (*alert, end.told_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AlertStatus;

    const A: Fingerprint = Fingerprint(1);

    fn at(seconds: i64) -> Time {
        Time(1_800_000_000_000) + Millis::seconds(seconds)
    }

    /// An end that came at a second; `began` as its sender dates it.
    fn heard(began: Option<i64>, now: i64) -> Heard {
        Heard {
            status: AlertStatus::Resolved,
            starts_at: at(began.unwrap_or(now)),
            ends_at: at(now),
            expires_at: at(now + 300),
            by_timeout: true,
            dated: began.is_some(),
            wording: 1,
            now: at(now),
        }
    }

    /// Ends in order (the beginning that they gave, when they came), a beginning (when it was, when it came), whether it is late.
    #[test]
    fn late_is_what_began_no_later_than_what_is_over() {
        type Case<'a> = (&'a str, &'a [(Option<i64>, i64)], (i64, i64), bool);
        let cases: &[Case<'_>] = &[
            ("nothing is over", &[], (0, 5), false),
            ("the same beginning", &[(Some(0), 60)], (0, 65), true),
            ("an older one", &[(Some(0), 60)], (-600, 65), true),
            ("a newer one", &[(Some(0), 60)], (1, 65), false),
            ("the end has no date", &[(None, 60)], (0, 65), false),
            ("in the last moment of its time", &[(Some(0), 60)], (0, 960), true),
            ("behind its time", &[(Some(0), 60)], (0, 961), false),
            ("told twice: the time counts from the second", &[(Some(0), 60), (Some(0), 120)], (0, 1_020), true),
            ("of two occurrences the newer counts", &[(Some(0), 60), (Some(100), 110)], (100, 120), true),
            ("also where its end came first", &[(Some(100), 110), (Some(0), 111)], (100, 120), true),
            ("an end without a date takes none away", &[(Some(0), 60), (None, 70)], (0, 75), true),
        ];
        for (name, ends, (began, now), expected) in cases {
            let mut known = Ends::default();
            for (began, now) in *ends {
                known.tell(A, &heard(*began, *now));
            }
            let is_late = |alert: Fingerprint| known.is_late(alert, at(*began), at(*now));
            assert_eq!((is_late(A), is_late(Fingerprint(2))), (*expected, false), "{name}");
        }
    }

    #[test]
    fn the_oldest_goes_and_what_is_told_again_is_new() {
        let mut known = Ends::default();
        let told = |known: &mut Ends, number: u64, now: i64| known.tell(Fingerprint(number), &heard(Some(0), now));
        let count = u64::try_from(ENDS_MAX).unwrap();
        for number in 0..count {
            told(&mut known, number, 1);
        }
        told(&mut known, 0, 2);
        // One and the same, however often, takes no place of another's.
        for _ in 0..count {
            told(&mut known, 0, 3);
        }
        assert_eq!((known.by_alert.len(), known.in_order.len()), (ENDS_MAX, ENDS_MAX));
        told(&mut known, count, 4);
        told(&mut known, count + 1, 5);
        let is_late = |known: &Ends, number: u64| known.is_late(Fingerprint(number), at(0), at(6));
        let late: Vec<bool> = [0, 1, 2, 3, count, count + 1].map(|number| is_late(&known, number)).into();
        assert_eq!(late, [true, false, false, true, true, true]);
        assert_eq!((known.by_alert.len(), known.in_order.len()), (ENDS_MAX, ENDS_MAX));
        known.forget_before(at(4));
        let mut left: Vec<u64> = known.iter().map(|(alert, _)| alert.0).collect();
        left.sort_unstable();
        assert_eq!((left, known.in_order.len()), (vec![count, count + 1], 2));
    }

    /// Over a restart the moments stay, for kept messages; the senders' times do not.
    #[test]
    fn what_was_kept_is_for_messages_that_are_tried_again() {
        let known = Ends::of([(A, at(60)), (Fingerprint(2), at(50))].into_iter());
        let since = |moment: i64| known.has_ended_since(A, at(moment));
        assert_eq!((since(59), since(60), since(61)), (true, true, false));
        assert!(!known.is_late(A, at(0), at(61)));
        assert_eq!(known.in_order.values().copied().collect::<Vec<_>>(), [Fingerprint(2), A], "the oldest first");
    }
}
