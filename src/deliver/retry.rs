//! When a notification is tried again, and when a receiver that keeps failing is left in peace. Pure: time and chance are
//! arguments, so that the simulation and a replay see the same schedule.

use super::{Delivery, Fault};
use crate::model::{Millis, Time};

/// The longest wait between two attempts at a pager.
pub const PAGER_WAIT_MAX: Millis = Millis::seconds(30);
/// The longest wait between two attempts at any other receiver.
pub const OTHER_WAIT_MAX: Millis = Millis::minutes(5);
/// A receiver that asks for more patience than this does not get it.
pub const RETRY_AFTER_MAX: Millis = Millis::hours(1);
/// A notification older than this is dead.
pub const AGE_MAX: Millis = Millis::hours(24);
/// Failures in a row that open a breaker.
pub const BREAKER_FAILURES: u32 = 10;
/// How often an open breaker lets one attempt through.
pub const PROBE_INTERVAL: Millis = Millis::seconds(30);

const FIRST_WAIT: Millis = Millis::seconds(1);

/// What becomes of a notification that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is tried again, at this moment.
    At(Time),
    /// No attempt would fall within its first 24 hours any more.
    Dead,
}

/// Decides on a notification whose attempt number `attempts` (from 1) failed at `now`.
///
/// Waits double from 1 s to the cap; of each wait the second half is left to chance, drawn from `seed`, so that
/// notifications that failed together do not come back together. A receiver's own `retry_after` is obeyed instead, within
/// 1 s to 1 h, plus at most 1 s of chance. There is no limit on attempts, so being throttled uses up nothing.
#[must_use]
pub fn next(attempts: u32, is_pager: bool, seed: u64, now: Time, retry_after: Option<Millis>, created_at: Time) -> Next {
    let chance = mix(seed, attempts);
    let wait = if let Some(asked) = retry_after {
        Millis(asked.0.clamp(FIRST_WAIT.0, RETRY_AFTER_MAX.0) + below(chance, FIRST_WAIT.0))
    } else {
        let cap = if is_pager { PAGER_WAIT_MAX } else { OTHER_WAIT_MAX };
        // 2^16 s is past every cap.
        let doubled = (FIRST_WAIT.0 << attempts.saturating_sub(1).min(16)).min(cap.0);
        Millis(doubled / 2 + below(chance, doubled / 2))
    };
    let at = now + wait;
    if at > created_at + AGE_MAX { Next::Dead } else { Next::At(at) }
}

/// Reads a `Retry-After` header: whole seconds, or a date.
///
/// # Errors
/// `None` for anything else. A date that is past gives zero.
#[must_use]
pub fn parse_retry_after(text: &str, now: Time) -> Option<Millis> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit are more patience than anybody gets.
        return Some(text.parse::<i64>().map_or(RETRY_AFTER_MAX, |s| Millis(s.saturating_mul(1_000))));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Millis(date.timestamp().as_millisecond().saturating_sub(now.0).max(0)))
}

/// Keeps a receiver that does not answer from being called by everything that waits for it.
///
/// Ten failures in a row open it, one refusal of our credentials does so at once; then one attempt each 30 s may
/// pass until one succeeds. Messages that the receiver refuses and throttling are answers: it is alive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    failures: u32,
    /// Set while open: when the next attempt may pass.
    probe_at: Option<Time>,
}

impl Breaker {
    /// Whether an attempt may be made at `now`. While open, a `true` takes the probe: whoever asks next waits.
    pub fn admit(&mut self, now: Time) -> bool {
        match self.probe_at {
            None => true,
            Some(at) if now >= at => {
                self.probe_at = Some(now + PROBE_INTERVAL);
                true
            }
            Some(_) => false,
        }
    }

    /// Learns what came of an attempt that ended at `now`.
    pub fn learn(&mut self, delivery: &Delivery, now: Time) {
        let fault = match delivery {
            Delivery::Taken { .. } => None,
            Delivery::TryAgain { fault, .. } | Delivery::Refused { fault, .. } => Some(*fault),
        };
        match fault {
            None | Some(Fault::Rejected) => *self = Breaker::default(),
            Some(Fault::Throttled | Fault::Config | Fault::Address) => {}
            Some(Fault::Auth) => self.fail(BREAKER_FAILURES, now),
            Some(Fault::Network | Fault::Server) => self.fail(1, now),
        }
    }

    /// Whether it is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.probe_at.is_some()
    }

    /// When the next attempt may pass, while it is open.
    #[must_use]
    pub fn probe_at(&self) -> Option<Time> {
        self.probe_at
    }

    fn fail(&mut self, weight: u32, now: Time) {
        self.failures = self.failures.saturating_add(weight);
        if self.failures >= BREAKER_FAILURES {
            self.probe_at = Some(now + PROBE_INTERVAL);
        }
    }
}

/// A well-spread number from a seed and a count (the finalizer of SplitMix64).
fn mix(seed: u64, count: u32) -> u64 {
    let mut z = seed.wrapping_add(u64::from(count).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// `chance` brought into 0 to `limit`, both included. `limit` is never negative.
fn below(chance: u64, limit: i64) -> i64 {
    let range = limit.unsigned_abs() + 1;
    i64::try_from(chance % range).expect("a remainder of at most limit, which is an i64")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Time = Time(1_767_571_200_000);

    fn wait(next: Next) -> i64 {
        match next {
            Next::At(at) => at.0 - NOW.0,
            Next::Dead => panic!("dead"),
        }
    }

    #[test]
    fn waits_double_to_the_cap() {
        // Attempts made, pager or not, longest wait; the shortest is half of it.
        for (attempts, is_pager, longest) in [
            (1, true, 1_000),
            (2, true, 2_000),
            (5, true, 16_000),
            (6, true, 30_000),
            (60, true, 30_000),
            (1, false, 1_000),
            (6, false, 32_000),
            (9, false, 256_000),
            (10, false, 300_000),
            (u32::MAX, false, 300_000),
        ] {
            let waits: Vec<i64> = (0..200).map(|seed| wait(next(attempts, is_pager, seed, NOW, None, NOW))).collect();
            let (low, high) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            assert!(*low >= longest / 2 && *high <= longest, "{attempts} {is_pager}: {low}..{high}");
            assert!(high - low > longest / 4, "{attempts} {is_pager}: no spread in {low}..{high}");
        }
    }

    #[test]
    fn the_receivers_own_time_is_obeyed_within_reason() {
        for (asked, from, to) in [
            (Millis(0), 1_000, 2_000),
            (Millis::seconds(30), 30_000, 31_000),
            (Millis::hours(24), 3_600_000, 3_601_000),
            (Millis(i64::MAX), 3_600_000, 3_601_000),
            (Millis(-5), 1_000, 2_000),
        ] {
            let wait = wait(next(1, true, 7, NOW, Some(asked), NOW));
            assert!((from..=to).contains(&wait), "{asked:?}: {wait}");
        }
    }

    #[test]
    fn a_day_old_notification_is_dead() {
        let made = |hours: i64, minutes: i64| NOW - Millis::hours(hours) - Millis::minutes(minutes);
        assert!(matches!(next(300, false, 1, NOW, None, made(23, 50)), Next::At(_)));
        assert_eq!(next(300, false, 1, NOW, None, made(24, 0)), Next::Dead);
        assert_eq!(next(1, true, 1, NOW, Some(Millis::hours(1)), made(23, 30)), Next::Dead);
    }

    #[test]
    fn retry_after_in_both_forms() {
        for (text, expected) in [
            ("30", Some(30_000)),
            (" 0 ", Some(0)),
            ("86400", Some(86_400_000)),
            ("99999999999999999999", Some(3_600_000)),
            ("Mon, 05 Jan 2026 00:02:00 GMT", Some(120_000)),
            ("Sun, 04 Jan 2026 23:00:00 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse_retry_after(text, NOW), expected.map(Millis), "{text:?}");
        }
    }

    fn failed(fault: Fault) -> Delivery {
        Delivery::TryAgain { fault, error: String::new(), retry_after: None }
    }

    #[test]
    fn breaker_opens_after_ten_in_a_row_and_probes() {
        let mut breaker = Breaker::default();
        for _ in 0..9 {
            breaker.learn(&failed(Fault::Server), NOW);
        }
        assert!(breaker.admit(NOW) && !breaker.is_open());
        breaker.learn(&failed(Fault::Network), NOW);
        assert!(breaker.is_open() && !breaker.admit(NOW));
        let later = NOW + PROBE_INTERVAL;
        assert_eq!(breaker.probe_at(), Some(later));
        assert!(breaker.admit(later), "the probe");
        assert!(!breaker.admit(later), "only one");
        breaker.learn(&failed(Fault::Server), later);
        assert!(!breaker.admit(later + Millis::seconds(29)) && breaker.admit(later + PROBE_INTERVAL));
        breaker.learn(&Delivery::Taken { remote: None }, later);
        assert_eq!(breaker, Breaker::default());
    }

    #[test]
    fn what_counts_as_a_failure() {
        for (fault, opens_after) in [
            (Fault::Network, Some(10)),
            (Fault::Server, Some(10)),
            (Fault::Auth, Some(1)),
            (Fault::Throttled, None),
            (Fault::Rejected, None),
            (Fault::Address, None),
            (Fault::Config, None),
        ] {
            let mut breaker = Breaker::default();
            let opened = (1..=20).find(|_| {
                breaker.learn(&failed(fault), NOW);
                breaker.is_open()
            });
            assert_eq!(opened, opens_after, "{fault:?}");
        }
    }

    proptest! {
        #[test]
        fn never_early_never_too_late(
            attempts in 1u32.., pager: bool, seed: u64, asked in proptest::option::of(any::<i64>()), age in 0i64..100_000_000,
        ) {
            let created = NOW - Millis(age);
            let cap = if pager { PAGER_WAIT_MAX } else { OTHER_WAIT_MAX };
            match next(attempts, pager, seed, NOW, asked.map(Millis), created) {
                Next::At(at) => {
                    let wait = at.since(NOW);
                    prop_assert!(wait >= Millis(500) && at <= created + AGE_MAX);
                    match asked {
                        Some(asked) => prop_assert!(wait.0 >= asked.min(RETRY_AFTER_MAX.0) && wait.0 <= RETRY_AFTER_MAX.0 + 1_000),
                        None => prop_assert!(wait <= cap),
                    }
                }
                Next::Dead => prop_assert!(age > AGE_MAX.0 - RETRY_AFTER_MAX.0 - 1_000),
            }
            prop_assert_eq!(
                next(attempts, pager, seed, NOW, asked.map(Millis), created),
                next(attempts, pager, seed, NOW, asked.map(Millis), created)
            );
        }

        #[test]
        fn any_retry_after_is_read_or_left(text in "\\PC{0,40}") {
            if let Some(wait) = parse_retry_after(&text, NOW) {
                prop_assert!(wait >= Millis::ZERO);
            }
        }
    }
}
