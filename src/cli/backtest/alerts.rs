//! A file of recorded alerts into rules: line by line through the daemon's intake, in the time of their arrival.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use super::BEGINNING;
use crate::cli::failure::Failure;
use crate::config::Config;
use crate::engine::{Act, Input};
use crate::ingest::recorded::Recording;
use crate::model::{Actor, Change, Time};
use crate::ruleset::Ruleset;
use crate::verify::backtest::outcome::Outcome;
use crate::verify::backtest::{Run, Site};

/// Faults of lines that are told.
const FAULTS_MAX: usize = 5;
/// Lines between two looks at how far it is.
const TELL_EVERY: u64 = 4_096;

/// What came of a file.
#[derive(Debug)]
pub(super) struct FilePlayed {
    /// Lines that are not empty.
    pub(super) lines: u64,
    /// Lines that were not taken, and why the first of them were not.
    pub(super) rejected: u64,
    pub(super) faults: Vec<String>,
    pub(super) outcome: Outcome,
}

/// Plays a file. `tell` hears now and then how many bytes are done.
pub(super) fn play(
    path: &Path,
    rules: &Arc<Ruleset>,
    site: &Site,
    config: &Config,
    changes: &[Arc<Change>],
    tell: &mut dyn FnMut(u64),
) -> Result<FilePlayed, Failure> {
    let unreadable = |error: io::Error| Failure::new(format!("{}: {error}", path.display()));
    let recording = Recording::new(config).map_err(|error| Failure::new(error.to_string()))?;
    let mut desk = Desk { recording, run: None, rules, site, changes };
    let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(unreadable)?);
    let mut played = FilePlayed { lines: 0, rejected: 0, faults: Vec::new(), outcome: Outcome::default() };
    let (mut text, mut number, mut bytes) = (Vec::new(), 0_u64, 0_u64);
    loop {
        text.clear();
        // One byte more than the limit, so that the limit is noticed and the memory is not taken.
        let most = config.limits.body_bytes as u64 + 1;
        let read = (&mut file).take(most).read_until(b'\n', &mut text).map_err(unreadable)? as u64;
        if read == 0 {
            break;
        }
        (number, bytes) = (number + 1, bytes + read);
        if number.is_multiple_of(TELL_EVERY) {
            tell(bytes);
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        played.lines += 1;
        let taken = if read == most {
            file.skip_until(b'\n').map_err(unreadable)?;
            Err(format!("longer than {} bytes", most - 1))
        } else {
            std::str::from_utf8(&text).map_err(|error| error.to_string()).and_then(|text| desk.take(text))
        };
        if let Err(why) = taken {
            played.rejected += 1;
            if played.faults.len() < FAULTS_MAX {
                played.faults.push(format!("{}:{number}: {why}", path.display()));
            }
        }
    }
    played.outcome = desk.run.map(Run::finish).unwrap_or_default();
    Ok(played)
}

/// Where the lines arrive.
struct Desk<'r> {
    recording: Recording,
    /// Begins with the first line, whose arrival is when time begins.
    run: Option<Run>,
    rules: &'r Arc<Ruleset>,
    site: &'r Site,
    /// Reported changes that are still to come, in order.
    changes: &'r [Arc<Change>],
}

impl Desk<'_> {
    fn take(&mut self, text: &str) -> Result<(), String> {
        let line = self.recording.read(text)?;
        let at = line.at;
        for (expired_at, fingerprint) in self.recording.expired() {
            self.decide(expired_at, Input::Expired { fingerprint, expired_at });
        }
        if let Some((input, pending)) = self.recording.take(line)? {
            self.decide(at, input);
            self.recording.learn(&pending);
        }
        Ok(())
    }

    fn decide(&mut self, at: Time, input: Input) {
        let run = self.run.get_or_insert_with(|| Run::new(self.rules, self.site, at, BEGINNING));
        while let Some((change, later)) = self.changes.split_first().filter(|(change, _)| change.started_at <= at) {
            run.input(change.started_at, Input::Act { act: Act::RecordChange(change.clone()), by: Actor::Engine });
            self.changes = later;
        }
        run.input(at, input);
        self.recording.decided(&run.take_changes(), at);
    }
}
