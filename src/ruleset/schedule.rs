//! Recurring windows of time in a time zone: `during: { days: [sun], from: "02:00", to: "04:00", zone: Europe/Berlin }`.
//!
//! A window is meant by the wall clock. It begins on each of its days at `from` and ends at `to`, on the next day where
//! `from` is not before `to`. Where clocks are put forward, a time that does not exist means the moment of the change;
//! where they are put back, a window begins at the first and ends at the last moment that shows its time. So a window is
//! never cut short by a change, and one that lies wholly in the missing hour does not take place.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};

use crate::model::Time;

/// A recurring window.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// On which weekdays it begins, Monday first.
    days: [bool; 7],
    /// Minutes after midnight, 0 to 1439.
    from: u16,
    /// Minutes after midnight, 0 to 1440.
    to: u16,
    zone: TimeZone,
}

/// Days that [`Schedule::next_start`] looks ahead: a weekly window can fall into a missing hour, but not thrice in a row.
const DAYS_AHEAD: i32 = 22;

impl Schedule {
    /// A window on `days` (Monday first) between two times in minutes after midnight.
    #[must_use]
    pub fn new(days: [bool; 7], from: u16, to: u16, zone: TimeZone) -> Schedule {
        Schedule { days, from, to, zone }
    }

    /// If `now` lies inside the window, when this window ends; otherwise `None`. Windows that touch count as one, for as
    /// far as a week ahead.
    #[must_use]
    pub fn covers_until(&self, now: Time) -> Option<Time> {
        let mut end = self.window_over(now)?.1;
        for _ in 0..7 {
            match self.window_over(end) {
                Some((_, later)) => end = later,
                None => break,
            }
        }
        Some(end)
    }

    /// When the window next begins, strictly after `now`; `None` if it never does again. A beginning inside another
    /// window is none.
    #[must_use]
    pub fn next_start(&self, now: Time) -> Option<Time> {
        let today = self.date(now)?;
        (-1..=DAYS_AHEAD)
            .filter_map(|days| self.window_on(today.checked_add(days.days()).ok()?))
            .map(|(start, _)| start)
            .find(|start| *start > now && self.window_over(Time(start.0 - 1)).is_none())
    }

    /// The window that `now` lies in: the one of today, yesterday (which may last past midnight) or, where a change of
    /// clocks has moved it, tomorrow.
    fn window_over(&self, now: Time) -> Option<(Time, Time)> {
        let today = self.date(now)?;
        (-1..=1)
            .filter_map(|days| self.window_on(today.checked_add(days.days()).ok()?))
            .filter(|(start, end)| *start <= now && now < *end)
            .max_by_key(|(_, end)| *end)
    }

    /// The window that begins on `date`, if that is one of its days.
    fn window_on(&self, date: Date) -> Option<(Time, Time)> {
        if !self.days[usize::from(date.weekday().to_monday_zero_offset().unsigned_abs())] {
            return None;
        }
        let end_date = if self.from < self.to { date } else { date.tomorrow().ok()? };
        let start = self.moment(at(date, self.from)?, Fold::First)?;
        let end = self.moment(at(end_date, self.to)?, Fold::Last)?;
        (start < end).then_some((start, end))
    }

    fn date(&self, now: Time) -> Option<Date> {
        Some(self.zone.to_datetime(Timestamp::from_millisecond(now.0).ok()?).date())
    }

    /// The moment at which the wall clock shows `shown`.
    fn moment(&self, shown: DateTime, fold: Fold) -> Option<Time> {
        let ambiguous = self.zone.to_ambiguous_timestamp(shown);
        let timestamp = match (ambiguous.offset(), fold) {
            (AmbiguousOffset::Unambiguous { offset }, _) => offset.to_timestamp(shown),
            (AmbiguousOffset::Fold { before, .. }, Fold::First) => before.to_timestamp(shown),
            (AmbiguousOffset::Fold { after, .. }, Fold::Last) => after.to_timestamp(shown),
            (AmbiguousOffset::Gap { after, .. }, _) => {
                // Read with the later offset, a missing time lies just before the change.
                let before = after.to_timestamp(shown).ok()?;
                Ok(self.zone.following(before).next()?.timestamp())
            }
        };
        timestamp.ok().map(|t| Time(t.as_millisecond()))
    }
}

/// Which of two equal wall-clock times is meant.
#[derive(Clone, Copy)]
enum Fold {
    First,
    Last,
}

/// Reads `HH:MM`, 00:00 to 24:00, as minutes after midnight.
///
/// # Errors
/// `None` for anything else.
#[must_use]
pub fn parse_clock(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        let two_digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        two_digits.then(|| text.parse::<u16>().ok())?
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (minutes < 60 && hours * 60 + minutes <= 24 * 60).then_some(hours * 60 + minutes)
}

/// The weekday's place in a week that begins on Monday, by its English name, whole or its first three letters.
///
/// # Errors
/// `None` for any other word.
#[must_use]
pub fn parse_day(text: &str) -> Option<usize> {
    const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let word = text.to_ascii_lowercase();
    DAYS.iter().position(|day| *day == word || day[..3] == word)
}

/// Finds a time zone by its IANA name among those compiled in, so that one rule means one thing on every host.
///
/// # Errors
/// `None` for a name that is not known.
#[must_use]
pub fn find_zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok()
}

fn at(date: Date, minutes: u16) -> Option<DateTime> {
    let (hour, minute) = (i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?);
    match hour {
        24 => Some(date.tomorrow().ok()?.at(0, 0, 0, 0)),
        _ => Some(date.at(hour, minute, 0, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(days: &str, from: &str, to: &str, zone: &str) -> Schedule {
        let mut set = [false; 7];
        days.split(' ').for_each(|day| set[parse_day(day).unwrap()] = true);
        Schedule::new(set, parse_clock(from).unwrap(), parse_clock(to).unwrap(), find_zone(zone).unwrap())
    }

    fn time(text: &str) -> Time {
        Time::parse_rfc3339(&format!("{text}Z")).unwrap()
    }

    const ALL: &str = "mon tue wed thu fri sat sun";

    /// Days, from, to, zone; now in UTC; the end of the window that covers it; the next start after it.
    type Case = (&'static str, &'static str, &'static str, &'static str, &'static str, Option<&'static str>, &'static str);

    fn check(cases: &[Case]) {
        for (days, from, to, zone, now, end, next) in cases {
            let schedule = schedule(days, from, to, zone);
            let shown = |t: Time| t.to_string()[..19].to_owned();
            let name = format!("{days} {from}-{to} {zone} at {now}");
            assert_eq!(schedule.covers_until(time(now)).map(shown).as_deref(), *end, "covers: {name}");
            assert_eq!(schedule.next_start(time(now)).map(shown).as_deref(), Some(*next), "next: {name}");
        }
    }

    #[test]
    fn ordinary_days() {
        // 2026-01-04 is a Sunday.
        check(&[
            ("sun", "02:00", "04:00", "UTC", "2026-01-04T01:59:59", None, "2026-01-04T02:00:00"),
            ("sun", "02:00", "04:00", "UTC", "2026-01-04T02:00:00", Some("2026-01-04T04:00:00"), "2026-01-11T02:00:00"),
            ("sun", "02:00", "04:00", "UTC", "2026-01-04T03:59:59", Some("2026-01-04T04:00:00"), "2026-01-11T02:00:00"),
            ("sun", "02:00", "04:00", "UTC", "2026-01-04T04:00:00", None, "2026-01-11T02:00:00"),
            ("sun", "02:00", "04:00", "UTC", "2026-01-05T03:00:00", None, "2026-01-11T02:00:00"),
            ("mon wed", "10:00", "24:00", "UTC", "2026-01-05T23:59:59", Some("2026-01-06T00:00:00"), "2026-01-07T10:00:00"),
            ("mon", "00:00", "24:00", "Asia/Tokyo", "2026-01-04T15:00:00", Some("2026-01-05T15:00:00"), "2026-01-11T15:00:00"),
        ]);
    }

    #[test]
    fn past_midnight() {
        check(&[
            ("fri", "22:00", "06:00", "UTC", "2026-01-10T05:59:59", Some("2026-01-10T06:00:00"), "2026-01-16T22:00:00"),
            ("fri", "22:00", "06:00", "UTC", "2026-01-09T05:00:00", None, "2026-01-09T22:00:00"),
            ("fri", "22:00", "00:00", "UTC", "2026-01-09T23:00:00", Some("2026-01-10T00:00:00"), "2026-01-16T22:00:00"),
            (ALL, "22:00", "06:00", "UTC", "2026-01-09T12:00:00", None, "2026-01-09T22:00:00"),
        ]);
    }

    #[test]
    fn windows_that_touch_are_one() {
        check(&[
            ("sat sun", "00:00", "24:00", "UTC", "2026-01-03T12:00:00", Some("2026-01-05T00:00:00"), "2026-01-10T00:00:00"),
            ("sat sun", "18:00", "18:00", "UTC", "2026-01-03T19:00:00", Some("2026-01-05T18:00:00"), "2026-01-10T18:00:00"),
        ]);
        let always = schedule(ALL, "00:00", "24:00", "Europe/Berlin");
        assert_eq!(always.next_start(time("2026-01-03T12:00:00")), None);
        assert_eq!(always.covers_until(time("2026-01-03T12:00:00")), Some(time("2026-01-10T23:00:00")));
    }

    #[test]
    fn berlin_puts_its_clocks_forward() {
        // On Sunday 2026-03-29 02:00 CET becomes 03:00 CEST, at 01:00 UTC.
        check(&[
            ("sun", "02:00", "04:00", "Europe/Berlin", "2026-03-29T00:59:59", None, "2026-03-29T01:00:00"),
            ("sun", "02:00", "04:00", "Europe/Berlin", "2026-03-29T01:00:00", Some("2026-03-29T02:00:00"), "2026-04-05T00:00:00"),
            ("sun", "01:30", "02:30", "Europe/Berlin", "2026-03-29T00:30:00", Some("2026-03-29T01:00:00"), "2026-04-04T23:30:00"),
            ("sun", "02:30", "03:30", "Europe/Berlin", "2026-03-29T01:00:00", Some("2026-03-29T01:30:00"), "2026-04-05T00:30:00"),
            ("sun", "02:15", "02:45", "Europe/Berlin", "2026-03-29T00:30:00", None, "2026-04-05T00:15:00"),
            ("sat", "22:00", "06:00", "Europe/Berlin", "2026-03-29T03:59:59", Some("2026-03-29T04:00:00"), "2026-04-04T20:00:00"),
        ]);
    }

    #[test]
    fn berlin_puts_its_clocks_back() {
        // On Sunday 2026-10-25 03:00 CEST becomes 02:00 CET, at 01:00 UTC.
        check(&[
            ("sun", "02:00", "04:00", "Europe/Berlin", "2026-10-25T00:00:00", Some("2026-10-25T03:00:00"), "2026-11-01T01:00:00"),
            ("sun", "02:15", "02:45", "Europe/Berlin", "2026-10-25T01:20:00", Some("2026-10-25T01:45:00"), "2026-11-01T01:15:00"),
            ("sun", "02:15", "02:45", "Europe/Berlin", "2026-10-25T00:14:59", None, "2026-10-25T00:15:00"),
            ("sun", "01:00", "02:30", "Europe/Berlin", "2026-10-25T00:45:00", Some("2026-10-25T01:30:00"), "2026-11-01T00:00:00"),
        ]);
    }

    #[test]
    fn a_whole_day_that_a_zone_left_out() {
        // Samoa went over the date line: there was no Friday 2011-12-30.
        let schedule = schedule("fri", "10:00", "11:00", "Pacific/Apia");
        assert_eq!(schedule.next_start(time("2011-12-24T00:00:00")), Some(time("2012-01-05T20:00:00")));
    }

    #[test]
    fn words_are_read_strictly() {
        let clocks = [("00:00", Some(0)), ("24:00", Some(1440)), ("09:05", Some(545))];
        let bad_clocks = ["24:01", "9:00", "12:60", "12", "", "+1:00", "12:00:00", "aa:bb"];
        for (text, minutes) in clocks.into_iter().chain(bad_clocks.map(|text| (text, None))) {
            assert_eq!(parse_clock(text), minutes, "{text}");
        }
        for (text, day) in [("mon", Some(0)), ("Sunday", Some(6)), ("su", None), ("monda", None), ("", None)] {
            assert_eq!(parse_day(text), day, "{text}");
        }
        assert!(find_zone("Europe/Berlin").is_some() && find_zone("Europe/Bärlin").is_none() && find_zone("").is_none());
    }
}
