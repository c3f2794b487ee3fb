//! The clocks that the shell reads, and the one time that the log lives in.
//!
//! [`Clock`] is the wall clock with a steady one beside it. [`LogClock`] makes log time of both: it follows the wall clock,
//! but never goes backwards. Nothing else in `runtime` asks the system for the time.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::{Millis, Time};

/// What the clocks show at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Civil time; may jump either way.
    pub wall: Time,
    /// Time since some beginning; only ever grows, at the speed of time.
    pub steady: Millis,
}

/// A pair of clocks, the system's or a test's.
#[derive(Clone)]
pub struct Clock {
    read: Arc<dyn Fn() -> Reading + Send + Sync>,
    /// What the wall clock showed when the steady one began.
    began: Time,
}

impl Clock {
    /// The system's clocks.
    #[must_use]
    pub fn system() -> Clock {
        let start = Instant::now();
        Clock::new(move || {
            // A clock before 1970 reads as 1970; one past the year 292 million does not occur.
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            Reading {
                wall: Time(i64::try_from(wall).unwrap_or(i64::MAX)),
                steady: Millis(i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX)),
            }
        })
    }

    /// Clocks that show what `read` says.
    pub fn new(read: impl Fn() -> Reading + Send + Sync + 'static) -> Clock {
        let first = read();
        Clock { read: Arc::new(read), began: first.wall - first.steady }
    }

    /// Civil time now.
    #[must_use]
    pub fn now(&self) -> Time {
        self.read().wall
    }

    /// Time that only ever goes on evenly, whatever becomes of the wall clock; equal to civil time until that is set. For
    /// waits and intervals of this process.
    #[must_use]
    pub fn even(&self) -> Time {
        self.began + self.read().steady
    }

    /// Both clocks now.
    #[must_use]
    pub fn read(&self) -> Reading {
        (self.read)()
    }
}

/// Log time: stamped once for each batch, never backwards.
///
/// While the wall clock stands behind what the log has seen (it was set back, or was wrong before), log time goes on at half
/// the steady clock's speed until the wall clock has caught up. Standing still instead would stop every escalation.
pub(super) struct LogClock {
    clock: Clock,
    last: Time,
    before: Reading,
    /// Log time and the steady clock as the wall clock fell behind.
    behind_since: Option<(Time, Millis)>,
}

/// A moment of log time, and what the wall clock did since the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) time: Time,
    pub(super) wall: Time,
    /// How far the wall clock moved since the last stamp; negative when it was set back.
    pub(super) moved: Millis,
    /// How much further log time went than time did.
    pub(super) jumped: Millis,
}

impl LogClock {
    /// A log time that goes on from `last`, the time of the log's last record.
    pub(super) fn new(clock: Clock, last: Time) -> LogClock {
        let before = clock.read();
        LogClock { clock, last, before, behind_since: None }
    }

    pub(super) fn stamp(&mut self) -> Stamp {
        let now = self.clock.read();
        let before = self.last;
        if now.wall >= self.last {
            self.behind_since = None;
            self.last = now.wall;
        } else {
            let (time, steady) = *self.behind_since.get_or_insert((self.last, self.before.steady));
            self.last = self.last.max(time + Millis((now.steady.0 - steady.0) / 2));
        }
        let moved = now.wall.since(self.before.wall);
        let passed = now.steady.0 - self.before.steady.0;
        let jumped = Millis(self.last.since(before).0.saturating_sub(passed).max(0));
        self.before = now;
        Stamp { time: self.last, wall: now.wall, moved, jumped }
    }

    /// How long to wait until log time reaches `due`, if no clock jumps meanwhile.
    pub(super) fn until(&self, due: Time) -> Duration {
        let wall = self.clock.now();
        let ms = if wall >= self.last { due.since(wall).0 } else { due.since(self.last).0.saturating_mul(2) };
        Duration::from_millis(ms.max(0).unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn log_time_follows_the_wall_clock_and_never_goes_back() {
        let reading = Arc::new(Mutex::new(Reading { wall: Time(1_000_000), steady: Millis(0) }));
        let shown = reading.clone();
        let mut log = LogClock::new(Clock::new(move || *shown.lock().unwrap()), Time(1_000_500));
        // (what the steady clock moves, where the wall clock stands, log time)
        let steps = [
            (100, 1_000_100, 1_000_550), // the log knows a later time: half speed
            (100, 1_000_200, 1_000_600),
            (1_000, 1_001_200, 1_001_200), // caught up
            (10, 4_601_200, 4_601_200),    // an hour forward
            (10, 1_001_220, 4_601_205),    // and back again
            (1, 1_001_221, 4_601_205),
            (1, 1_001_222, 4_601_206),
            (0, 0, 4_601_206),                 // to 1970
            (7_200_000, 1_000_000, 8_201_206), // two hours at half speed
            (7_200_000, 15_000_000, 15_000_000),
        ];
        for (moves, wall, expected) in steps {
            {
                let mut reading = reading.lock().unwrap();
                *reading = Reading { wall: Time(wall), steady: Millis(reading.steady.0 + moves) };
            }
            assert_eq!(log.stamp().time, Time(expected), "at wall {wall}");
        }
    }

    #[test]
    fn waits_as_long_as_log_time_needs() {
        let clock = || Clock::new(|| Reading { wall: Time(10_000), steady: Millis(0) });
        let cases = [(10_000, 9_000, 0), (10_000, 12_500, 2_500), (11_000, 12_500, 3_000)];
        for (last, due, ms) in cases {
            let log = LogClock::new(clock(), Time(last));
            assert_eq!(log.until(Time(due)), Duration::from_millis(ms), "from {last} to {due}");
        }
    }

    #[test]
    fn a_stamp_says_how_far_log_time_ran_ahead_of_time() {
        let reading = Arc::new(Mutex::new(Reading { wall: Time(1_000), steady: Millis(0) }));
        let shown = reading.clone();
        let clock = Clock::new(move || *shown.lock().unwrap());
        let mut log = LogClock::new(clock.clone(), Time(1_000));
        // (steady clock, wall clock, jumped, even time)
        for (steady, wall, jumped, even) in [
            (500, 1_500, 0, 1_500),
            (600, 61_600, 60_000, 1_600),
            (1_600, 2_600, 0, 2_600),
            (1_700, 61_700, 0, 2_700),
            (1_800, 71_800, 9_550, 2_800),
        ] {
            *reading.lock().unwrap() = Reading { wall: Time(wall), steady: Millis(steady) };
            assert_eq!((log.stamp().jumped, clock.even()), (Millis(jumped), Time(even)), "at wall {wall}");
        }
    }

    #[test]
    fn a_stamp_says_how_far_the_wall_clock_moved() {
        let reading = Arc::new(Mutex::new(Reading { wall: Time(5_000), steady: Millis(0) }));
        let shown = reading.clone();
        let mut log = LogClock::new(Clock::new(move || *shown.lock().unwrap()), Time(0));
        for (wall, moved) in [(6_000, 1_000), (6_000, 0), (2_000, -4_000), (9_000, 7_000)] {
            reading.lock().unwrap().wall = Time(wall);
            assert_eq!(log.stamp().moved, Millis(moved), "at wall {wall}");
        }
    }
}
