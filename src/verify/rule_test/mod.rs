//! Rule tests: `*.test.yaml` beside the rules.
//!
//! Time is virtual and begins at the test's `start`. An alert fires from its line on and is sent again each minute, until
//! its `resolve` line, or falls silent at its `stop` line and then expires as it would in the daemon.
//!
//! | file | does |
//! | --- | --- |
//! | `read` | a file's text into tests, or all that is wrong with it |
//! | `pattern` | what is expected of an incident and of a suppressed alert |
//! | `run` | plays one test |
//! | `compare`, `describe` | what differs then, and what there was, in words |
//!
//! A test file is a mapping:
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `rules` | rule files and folders of them, seen from the test file | all rule files of its folder |
//! | `tests` | a list of tests, each with a `name` of its own | must be there |
//!
//! A test has `start` (RFC 3339; default 2026-01-05T00:00:00Z, a Monday), `alerts`, `acts` and `expect`. Times `at` count
//! from its start. At one moment alerts come before acts, and those before what is expected.
//!
//! | list | an entry |
//! | --- | --- |
//! | `alerts` | `at`, and one of `labels` (it fires; may have `annotations` and `source`), `resolve`, `stop` (each with the labels of an alert that fires) |
//! | `acts` | `at`, `by`, and one of `acknowledge`, `assign` (with `to`), `comment` (with `text`), `resolve`, `reopen`, `close` (each with an incident's id), `silence: { match, for }` |
//! | `expect` | `at`, and any of `incidents`, `notified`, `suppressed` |
//!
//! `incidents` are all that are neither resolved nor closed, in order of opening; fields that are not named are not compared,
//! and of `labels` and `key` only the labels that are named (an empty text: it has none). `notified` are the receivers that
//! got a first message or a further step since the check before. `suppressed` are the alerts that fire and are suppressed,
//! in any order, by `labels` and `kind`.

mod compare;
mod describe;
mod pattern;
mod read;
mod run;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pattern::{AlertPattern, IncidentPattern};

use crate::engine::Act;
use crate::model::{Alert, Millis, Time};
use crate::ruleset::diagnostics::SourceMap;
use crate::ruleset::{Code, Diagnostic, SourceFile};

pub use read::read;
pub use run::{Difference, Failure, run};

/// How long after its last word an alert expires: the configuration's `resolve_timeout`, as it is by default. A test does
/// not depend on where it runs.
pub const RESOLVE_TIMEOUT: Millis = Millis::minutes(5);

/// How often an alert that fires is sent again.
pub const SENT_EACH: Millis = Millis::minutes(1);

/// One test file, read and sound.
#[derive(Debug)]
pub struct TestFile {
    /// As it was given.
    pub name: String,
    rules: Vec<RulePath>,
    pub tests: Vec<RuleTest>,
}

/// A rule file or folder that a test file names.
#[derive(Debug)]
struct RulePath {
    path: PathBuf,
    span: Range<usize>,
}

/// One test.
#[derive(Debug)]
pub struct RuleTest {
    pub name: String,
    /// Where it stands in its file.
    pub line: u32,
    start: Time,
    alerts: Vec<AlertLine>,
    acts: Vec<ActLine>,
    checks: Vec<Check>,
}

/// A sender's word. The others of the same state follow by themselves.
#[derive(Debug)]
struct AlertLine {
    at: Millis,
    word: Word,
    alert: Arc<Alert>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Fires,
    Resolves,
    /// The sender is not heard of again.
    Stops,
}

/// What a person does.
#[derive(Debug)]
struct ActLine {
    at: Millis,
    line: u32,
    act: Act,
    by: Arc<str>,
}

/// What must hold at a moment. What is `None` is not looked at.
#[derive(Debug)]
struct Check {
    at: Millis,
    line: u32,
    incidents: Option<Vec<IncidentPattern>>,
    notified: Option<Vec<Arc<str>>>,
    suppressed: Option<Vec<AlertPattern>>,
}

impl TestFile {
    /// The rule files and folders that its tests are about.
    #[must_use]
    pub fn rules(&self) -> Vec<PathBuf> {
        let folder = Path::new(&self.name).parent().unwrap_or(Path::new(""));
        // `read_dir` has no name for the place where we are.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        if self.rules.is_empty() {
            return vec![folder.to_owned()];
        }
        self.rules
            .iter()
            .map(|rules| if folder == Path::new(".") { rules.path.clone() } else { folder.join(&rules.path) })
            .collect()
    }

    /// Says at the place that names the rules why they cannot be read. `source` is what the file was read from.
    #[must_use]
    pub fn unreadable_rules(&self, source: &SourceFile, error: &std::io::Error) -> Diagnostic {
        let map = SourceMap::new(&source.name, &source.text);
        let told = error.to_string();
        let named = self.rules.iter().find(|rules| told.contains(&*rules.path.to_string_lossy())).or(self.rules.first());
        let span = named.map_or(0..0, |rules| rules.span.clone());
        let hint = "`rules` are files and folders, seen from the test file's folder";
        map.place(Diagnostic::new(Code::Missing, span, format!("the rules cannot be read: {told}")).hint(hint))
    }
}
