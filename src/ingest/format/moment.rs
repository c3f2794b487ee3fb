//! Moments in all the shapes that tools write them.

use crate::model::Time;

/// RFC 3339 of any precision, also with `+0000` for the offset; numbers since 1970 in seconds, milliseconds, microseconds
/// or nanoseconds, which of them their size tells; and a date and time without a zone, which is UTC. `None` for anything
/// else, and for years before 1970: year 0001 is "not yet" to programs written in Go.
///
/// Formats whose times are local and name no zone do not ask this: a moment an hour off is worse than none.
pub(super) fn parse(text: &str) -> Option<Time> {
    let time = match text.parse::<f64>() {
        Ok(number) => from_number(text, number)?,
        Err(_) => Time::parse_rfc3339(text).or_else(|| Time::parse_rfc3339(&completed(text)?))?,
    };
    Some(time).filter(|time| *time > Time::EPOCH)
}

/// Each unit's numbers of our time are a thousand times those of the one before.
#[expect(clippy::cast_possible_truncation, reason = "below year 2262 in milliseconds by the comparison before")]
fn from_number(text: &str, number: f64) -> Option<Time> {
    const SECONDS_MAX: f64 = 1e11;
    let units = [(SECONDS_MAX, 1_000.0), (SECONDS_MAX * 1e3, 1.0), (SECONDS_MAX * 1e6, 1e-3), (SECONDS_MAX * 1e9, 1e-6)];
    let (_, millis) = units.into_iter().find(|(max, _)| number < *max)?;
    if number <= 0.0 {
        return None;
    }
    // Whole numbers of small units are exact beyond what a float keeps.
    if let (Ok(whole), true) = (text.parse::<i64>(), millis < 1.0) {
        return Some(Time(if millis < 1e-4 { whole / 1_000_000 } else { whole / 1_000 }));
    }
    Some(Time((number * millis).round() as i64))
}

/// The offset with its colon, or `Z` where there is none.
fn completed(text: &str) -> Option<String> {
    let (day, clock) = text.split_at_checked(10)?;
    let clock = clock.strip_prefix(['T', ' '])?;
    match clock.find(['+', '-']) {
        None if clock.is_ascii() => Some(format!("{day}T{clock}Z")),
        Some(at) if clock.len() == at + 5 => {
            let (clock, offset) = clock.split_at_checked(at)?;
            let (hours, minutes) = offset.split_at_checked(3)?;
            Some(format!("{day}T{clock}{hours}:{minutes}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_a_moment() {
        let cases = [
            ("1778751870", Some("2026-05-14T09:44:30.000Z")),
            ("1778751955210", Some("2026-05-14T09:45:55.210Z")),
            ("1778751740118204", Some("2026-05-14T09:42:20.118Z")),
            ("1778751740118204999", Some("2026-05-14T09:42:20.118Z")),
            ("1778751835.214", Some("2026-05-14T09:43:55.214Z")),
            ("2026-05-14T09:40:21.447+0000", Some("2026-05-14T09:40:21.447Z")),
            ("2026-05-14T11:40:21.447+0200", Some("2026-05-14T09:40:21.447Z")),
            ("2026-05-14T09:47:08.5512034Z", Some("2026-05-14T09:47:08.551Z")),
            ("2026-05-14 09:46:48.302", Some("2026-05-14T09:46:48.302Z")),
            ("2026-05-14T09:46:52", Some("2026-05-14T09:46:52.000Z")),
            ("0001-01-01T00:00:00Z", None),
            ("-1", None),
            ("0", None),
            ("1e300", None),
            ("NaN", None),
            ("14/05/2026 09:39:10", None),
            ("Thu May 14 09:50:10 UTC 2026", None),
            ("2026-05-14", None),
            ("soon", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).map(Time::to_rfc3339).as_deref(), expected, "{text}");
        }
    }
}
