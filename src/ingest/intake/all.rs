//! The alerts of one message together: each step is done for all of them before the next, so that what one waits for (a line of
//! memory, a byte of a hash) another waits for at the same time.

use super::{Fault, Identified, Intake, LookedUp, Said};
use crate::ingest::check;
use crate::model::{Fingerprint, Labels};

impl Intake<'_> {
    /// Takes all alerts of a message, or notes what is wrong with one.
    pub fn take_all(&mut self, all: Vec<Result<Said<'_>, Fault>>) {
        self.begin(all.len());
        let looked_up = match all.as_slice() {
            // Nobody to wait together with.
            [Ok(said)] => vec![self.look_up(said)],
            _ => self.look_all_up(&all),
        };
        for (index, (said, looked_up)) in all.into_iter().zip(looked_up).enumerate() {
            match said {
                Ok(said) => self.take_looked_up(index, &said, looked_up),
                Err((reason, message)) => self.reject(index, reason, message),
            }
        }
    }

    fn look_all_up(&self, all: &[Result<Said<'_>, Fault>]) -> Vec<LookedUp> {
        let mut looked_up: Vec<LookedUp> = all.iter().map(|_| LookedUp::default()).collect();
        let keys = all.iter().enumerate().filter_map(|(place, said)| Some((place, self.raw_key(said.as_ref().ok()?)?)));
        let (places, keys): (Vec<usize>, Vec<u64>) = keys.unzip();
        let found = self.live.all_known(&keys);
        let mut read: Vec<(usize, Labels)> = Vec::new();
        for ((place, key), known) in places.into_iter().zip(keys).zip(&found) {
            looked_up[place] = LookedUp { raw_key: Some(key), known: *known, identified: None };
            // What cannot be read is found out once more by whoever says so.
            if known.is_none()
                && let Ok(said) = &all[place]
                && said.identity.is_none()
                && let Ok(labels) = check::labels(&said.labels, self.source, self.limits)
            {
                read.push((place, labels));
            }
        }
        let identities = Labels::fingerprints(&read.iter().map(|(_, labels)| labels).collect::<Vec<_>>());
        let near: Vec<Fingerprint> = found.into_iter().flatten().chain(identities.iter().copied()).collect();
        self.live.bring_near(&near);
        for ((place, labels), fingerprint) in read.into_iter().zip(identities) {
            looked_up[place].identified = Some(Identified { labels, fingerprint });
        }
        looked_up
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{Config, SourceConfig};
    use crate::ingest::prometheus;
    use crate::ingest::source::Source;
    use crate::ingest::wire::read_list;
    use crate::metrics::Metrics;
    use crate::model::Time;
    use crate::runtime::Live;

    /// New ones (more than four, in any order, with escapes and without), one of them twice, some that cannot be taken.
    const BODY: &str = r#"[
        {"labels":{"alertname":"A","host":"a"}},
        {"labels":{"host":"b","alertname":"A"},"annotations":{"summary":"\u00fc"}},
        {"labels":{"alertname":"A","host":"a"}},
        {"labels":{"alertname":"\u0041","host":"c","empty":""}},
        {"labels":{"":"no name"}},
        {"labels":{}},
        {"labels":{"alertname":"D"},"startsAt":"yesterday"},
        {"labels":{"alertname":"E"},"annotations":{"a":1}},
        {"labels":{"alertname":"F","host":"a long one, a long one, a long one, a long one, a long one, a long one, a long one, a long one, a long one"}},
        {"labels":{"alertname":"G"},"startsAt":"2026-01-05T00:00:00Z","endsAt":"2026-01-05T00:01:00Z"},
        {"labels":{"alertname":"H"}},
        {"labels":{"alertname":"I"}}
    ]"#;

    #[test]
    fn together_they_are_taken_as_one_by_one() {
        let config = Config::default();
        let live = Live::new(&config);
        let source =
            Source::new(&SourceConfig::prometheus(), config.resolve_timeout, &live, &Arc::new(Metrics::default())).unwrap();
        let intake = || Intake::new(&live, &source, &config.limits, Time::parse_rfc3339("2026-01-06T00:00:00Z").unwrap());
        // With a sound form on one line, too, which is read another way.
        let plain: String = BODY.lines().map(str::trim).filter(|line| !line.contains(r#""a":1"#)).collect();
        for (body, rejected) in [(BODY, 4), (&*plain, 3)] {
            let (alerts, found) = read_list(body, 100).unwrap();
            let (mut one_by_one, mut together) = (intake(), intake());
            one_by_one.begin(alerts.len());
            for (index, item) in alerts.into_iter().enumerate() {
                match item
                    .map_err(|error| (super::super::Reason::Shape, error))
                    .and_then(|alert| prometheus::said(alert, &found, &mut prometheus::Times::default(), None))
                {
                    Ok(said) => one_by_one.take(index, &said),
                    Err((reason, message)) => one_by_one.reject(index, reason, message),
                }
            }
            prometheus::read(body, &mut together).unwrap();
            let (expected, sorted) = (one_by_one.finish(), together.finish());
            assert_eq!((expected.news.len(), expected.rejected.len(), expected.repeats), (7, rejected, 1), "{expected:#?}");
            assert_eq!(format!("{sorted:?}"), format!("{expected:?}"));
        }
    }
}
