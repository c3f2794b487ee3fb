//! What people see: tables, times, colour. Text that came in alerts is stripped of control characters first, because a
//! sender must not be able to move anyone's cursor.

use std::io::{self, Write};
use std::time::SystemTime;

use comfy_table::{Table, presets};
use serde_json::Value;

use crate::model::{Millis, Time};

/// Where a command writes.
pub(super) struct Screen<'a> {
    /// Data.
    pub(super) out: &'a mut dyn Write,
    /// Everything else.
    pub(super) err: &'a mut dyn Write,
    pub(super) colour: bool,
    /// Whether `out` is a terminal.
    pub(super) is_terminal: bool,
}

/// How a line stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Heading,
    /// Wants somebody now.
    Alarm,
    /// Wants somebody today.
    Notice,
    /// Is done.
    Faint,
}

impl Screen<'_> {
    /// Prints JSON for programs: one value, indented.
    pub(super) fn json(&mut self, value: &Value) -> io::Result<()> {
        writeln!(self.out, "{value:#}")
    }

    /// Prints one line of text.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// Prints a heading.
    pub(super) fn heading(&mut self, text: &str) -> io::Result<()> {
        let line = self.toned(text, Tone::Heading);
        self.line(&line)
    }

    /// Prints a table: a heading, then the rows, each in its tone. Nothing when there are no rows.
    pub(super) fn table(&mut self, columns: &[&str], rows: Vec<(Tone, Vec<String>)>) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let tones: Vec<Tone> = std::iter::once(Tone::Heading).chain(rows.iter().map(|(tone, _)| *tone)).collect();
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(columns.to_vec());
        for (_, row) in rows {
            table.add_row(row.iter().map(|cell| clean(cell)).collect::<Vec<String>>());
        }
        for (line, tone) in table.lines().zip(tones) {
            let line = self.toned(line.trim(), tone);
            self.line(&line)?;
        }
        Ok(())
    }

    /// The text as it stands out, where there is colour.
    pub(super) fn toned(&self, text: &str, tone: Tone) -> String {
        let code = match tone {
            _ if !self.colour => return text.to_owned(),
            Tone::Plain => return text.to_owned(),
            Tone::Heading => "1",
            Tone::Alarm => "31",
            Tone::Notice => "33",
            Tone::Faint => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// The text on one line, without anything that a terminal would obey.
pub(super) fn clean(text: &str) -> String {
    // Bidirectional controls reorder what follows; they can make a line say the opposite.
    let is_unsafe =
        |c: char| c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if is_unsafe(c) { ' ' } else { c }).collect()
}

/// A field of an answer as text; a dash for what is absent.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// This machine's clock.
pub(super) fn now() -> Time {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Time(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}

/// How times are shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Clock {
    /// How long ago, seen from this moment.
    Ago(Time),
    /// As the API gives them, in UTC.
    Utc,
}

impl Clock {
    /// Relative to now, or in UTC.
    pub(super) fn new(utc: bool) -> Clock {
        if utc { Clock::Utc } else { Clock::Ago(now()) }
    }

    /// A time of an answer as text; a dash for what is absent.
    pub(super) fn show(self, value: &Value) -> String {
        match (self, value.as_str().and_then(Time::parse_rfc3339)) {
            (Clock::Ago(now), Some(time)) => format!("{} ago", roughly(now.since(time))),
            _ => text(value),
        }
    }
}

/// A length of time in its largest unit, as people say it. Below zero (clocks differ) counts as nothing.
fn roughly(length: Millis) -> String {
    let seconds = length.0.max(0) / 1_000;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_their_largest_unit() {
        let cases = [
            (-5, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (7_199, "119m"),
            (7_200, "2h"),
            (172_799, "47h"),
            (172_800, "2d"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(roughly(Millis::seconds(seconds)), expected);
        }
    }

    #[test]
    fn a_sender_cannot_move_the_cursor() {
        assert_eq!(clean("a\x1b[2Jb\r\nc\u{202e}d"), "a [2Jb  c d");
    }
}
