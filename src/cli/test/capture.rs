//! `quell test --capture INC-42`: a recorded incident becomes a test file, on stdout. What is written is played at once, so
//! that people know whether the rules would still decide as they did.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::failure::Failure;
use super::super::log;
use super::super::screen::Screen;
use crate::model::IncidentId;
use crate::ruleset::{self, SourceFile};
use crate::storage::log::{LogError, LogFiles};
use crate::verify::capture::{CaptureError, capture};
use crate::verify::rule_test;

/// Prints the test. Under the rules in `rules` it should pass; with `strict`, it must.
pub(super) fn run(incident: &str, data: &Path, rules: &[PathBuf], strict: bool, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let id = IncidentId::parse(incident).ok_or_else(|| {
        Failure::usage(format!("`{incident}` is no incident")).hint("incidents are called INC-1, INC-2 and so on")
    })?;
    if !data.join("log").exists() {
        let failure = Failure::usage(format!("there is no log in {}", data.display()));
        return Err(failure.hint("--data names a daemon's data directory"));
    }
    let refused = |error: CaptureError| Failure::new(error.to_string());
    let files = log::open(data).and_then(LogFiles::open).map_err(|error: LogError| refused(error.into()))?;
    let text = capture(&files, id).map_err(refused)?;
    write!(screen.out, "{text}")?;
    let passes = match differences(text, rules) {
        Ok(differences) => {
            for line in &differences {
                writeln!(screen.err, "note: under the rules as they are now it would be otherwise: {line}")?;
            }
            differences.is_empty()
        }
        Err(why) => {
            writeln!(screen.err, "note: it was not tried under the rules as they are now: {why}")?;
            false
        }
    };
    Ok(u8::from(strict && !passes))
}

/// What the rules would decide otherwise today.
fn differences(text: String, rules: &[PathBuf]) -> Result<Vec<String>, String> {
    let source = SourceFile { name: "the test".to_owned(), text };
    let (file, _) = rule_test::read(&source).map_err(|found| found.first().map_or(String::new(), ToString::to_string))?;
    let files = ruleset::read_files(rules).map_err(|error| error.to_string())?;
    let loaded = ruleset::load(&files, None, ruleset::Limits::default())
        .map_err(|found| found.first().map_or(String::new(), ToString::to_string))?;
    let rules = Arc::new(loaded.ruleset);
    let failures = file.tests.iter().flat_map(|test| rule_test::run(test, &rules));
    let line = |it: &rule_test::Difference| format!("{}: expected {}, got {}", it.what, it.expected, it.got);
    Ok(failures.flat_map(|failure| failure.differences.iter().map(line).collect::<Vec<_>>()).collect())
}
