//! What Prometheus posts to Alertmanager's API: a list of alerts whose end decides their state.
//!
//! Go clients send year 0001 for a time that they leave unset, so every time before 1970 means "not set".

use std::borrow::Cow;

use super::intake::{Intake, Pairs, Reason, Said};
use super::wire::{BodyFault, Found, RawMap, Text, WireAlert, read_list};
use crate::model::{AlertStatus, Time};

/// Takes in a body: `[{"labels":{…},"annotations":{…},"startsAt":…,"endsAt":…,"generatorURL":…}]`.
///
/// # Errors
/// A body that is no list; what is wrong with one alert is noted in `intake`.
pub fn read(body: &str, intake: &mut Intake<'_>) -> Result<(), BodyFault> {
    let (alerts, found) = read_list(body, intake.limits().alerts_per_request)?;
    let mut times = Times::default();
    let meant = |item: Result<_, String>| {
        item.map_err(|error| (Reason::Shape, error)).and_then(|alert| said(alert, &found, &mut times, None))
    };
    intake.take_all(alerts.into_iter().map(meant).collect());
    Ok(())
}

/// The fields of an alert on the wire as they are meant. `status` is what the sender calls its state, where it does.
pub(super) fn said<'a>(
    alert: WireAlert<'a>,
    found: &'a Found<'a>,
    times: &mut Times,
    status: Option<AlertStatus>,
) -> Result<Said<'a>, (Reason, String)> {
    let labels = alert.labels.ok_or_else(|| (Reason::Missing, "labels in body is required".to_owned()))?;
    Ok(Said {
        labels: Pairs::Raw(found.map(labels)),
        annotations: Pairs::Raw(alert.annotations.map_or(RawMap::EMPTY, |raw| found.map(raw))),
        generator_url: alert.generator_url.map_or(Cow::Borrowed(""), |url| url.0),
        status,
        starts_at: times.starts.read("startsAt", alert.starts_at)?,
        ends_at: times.ends.read("endsAt", alert.ends_at)?,
        identity: None,
    })
}

/// Reads the times of a message's alerts. Most are those of the alert before: a rule's alerts begin together and are sent
/// together.
#[derive(Default)]
pub(super) struct Times {
    starts: Last,
    ends: Last,
}

/// The last time that was read, as text and as what it means.
#[derive(Default)]
struct Last {
    text: String,
    time: Option<Time>,
}

impl Last {
    fn read(&mut self, field: &str, text: Option<Text<'_>>) -> Result<Option<Time>, (Reason, String)> {
        let Some(Text(text)) = text.filter(|text| !text.0.is_empty()) else { return Ok(None) };
        if self.text != text {
            let Some(time) = Time::parse_rfc3339(&text) else {
                let start: String = text.chars().take(40).collect();
                return Err((Reason::Shape, format!("{field}: {start:?} is no RFC 3339 time")));
            };
            self.time = Some(time).filter(|time| *time > Time::EPOCH);
            self.text.clear();
            self.text.push_str(&text);
        }
        Ok(self.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_if_it_stood_alone() {
        let (one, other) = ("2026-01-05T00:00:00Z", "2026-01-05T00:00:01Z");
        let texts =
            [one, one, other, "", one, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "yesterday", "yesterday", one, other];
        let mut last = Last::default();
        for text in texts {
            let wire = || Some(Text(text.into()));
            assert_eq!(last.read("startsAt", wire()), Last::default().read("startsAt", wire()), "{text}");
            assert_eq!(last.read("startsAt", None), Ok(None));
        }
        assert_eq!(last.read("startsAt", Some(Text(one.into()))), Ok(Time::parse_rfc3339(one)));
    }
}
