//! `quell test`: plays rule tests (`*.test.yaml`) and says which of them fail, and why. Reads files, needs no server.

mod capture;
mod junit;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::failure::Failure;
use super::screen::{Screen, Tone, clean};
use super::site;
use crate::ruleset::{self, Diagnostic, Ruleset, SourceFile};
use crate::verify::rule_test::{self, TestFile};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Test files (*.test.yaml) and folders of them [default: the configured rules]
    paths: Vec<PathBuf>,
    /// Run the tests whose name contains this text
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Write the results to a file, too, in JUnit's form
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// The configuration, whose receivers rules may name [default: quell.yaml, if it is here]
    #[arg(long, env = "QUELL_CONFIG", hide_env_values = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print a recorded incident as a test instead: what its senders and people did, and what became of it
    #[arg(long, value_name = "INCIDENT", conflicts_with_all = ["filter", "junit", "json"])]
    capture: Option<String>,
    /// The data directory that the incident is recorded in [default: the configured one]
    #[arg(long, value_name = "DIR", requires = "capture")]
    data: Option<PathBuf>,
    /// Count warnings, and that there is nothing to run, as failures
    #[arg(long)]
    strict: bool,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

/// Plays the tests. The exit code is 0 if all have passed, 1 if one has failed or cannot be played.
pub(super) fn run(args: &Args, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let config = site::load(args.config.as_deref(), &[], screen)?;
    let receivers = site::find(args.config.as_deref())
        .map(|_| config.receivers.iter().map(|receiver| receiver.name.clone()).collect::<Vec<Arc<str>>>());
    let paths = if args.paths.is_empty() { vec![config.rules] } else { args.paths.clone() };
    if let Some(incident) = &args.capture {
        let data = args.data.clone().unwrap_or(config.data);
        return capture::run(incident, &data, &paths, args.strict, screen);
    }
    let results = play(&paths, args.filter.as_deref(), receivers.as_deref())?;
    show(&results, args, screen)
}

/// What came of it all.
#[derive(Default)]
struct Results {
    files: Vec<FileResult>,
    /// Faults of test files and of their rules, each with its text for people.
    found: Vec<(Diagnostic, String)>,
    /// Folders in which there are no tests.
    without_tests: Vec<PathBuf>,
}

/// What came of one file.
struct FileResult {
    name: String,
    /// Why none of its tests could be played.
    fault: Option<String>,
    tests: Vec<TestResult>,
}

/// What came of one test.
struct TestResult {
    name: String,
    line: u32,
    took: Duration,
    /// Empty: it has passed.
    failures: Vec<rule_test::Failure>,
}

impl Results {
    fn tests(&self) -> impl Iterator<Item = &TestResult> {
        self.files.iter().flat_map(|file| &file.tests)
    }

    fn failed(&self) -> usize {
        self.tests().filter(|test| !test.failures.is_empty()).count()
    }

    fn unusable(&self) -> usize {
        self.files.iter().filter(|file| file.fault.is_some()).count()
    }

    fn tell(&mut self, found: Vec<Diagnostic>, sources: &[SourceFile]) {
        for diagnostic in found {
            let text = sources.iter().find(|file| file.name == *diagnostic.file).map_or("", |file| &file.text);
            let shown = diagnostic.render(text);
            self.found.push((diagnostic, shown));
        }
    }
}

/// Plays all tests under `paths` whose names contain `filter`.
fn play(paths: &[PathBuf], filter: Option<&str>, receivers: Option<&[Arc<str>]>) -> Result<Results, Failure> {
    let mut results = Results::default();
    let mut rulesets = Rulesets { receivers, loaded: BTreeMap::new() };
    for path in paths {
        let sources = ruleset::read_tests(std::slice::from_ref(path))
            .map_err(|error| Failure::usage(format!("tests cannot be read: {error}")))?;
        if sources.is_empty() && !path.is_dir() {
            let failure = Failure::usage(format!("{} is no test file", path.display()));
            return Err(failure.hint("rule tests stand in files named *.test.yaml; `quell check` checks rules"));
        }
        if sources.is_empty() {
            results.without_tests.push(path.clone());
        }
        for source in &sources {
            let result = play_file(source, filter, &mut rulesets, &mut results);
            results.files.push(result);
        }
    }
    Ok(results)
}

fn play_file(source: &SourceFile, filter: Option<&str>, rulesets: &mut Rulesets<'_>, results: &mut Results) -> FileResult {
    let unusable = |fault: &str| FileResult { name: source.name.clone(), fault: Some(fault.to_owned()), tests: Vec::new() };
    let file = match rule_test::read(source) {
        Ok((file, warnings)) => {
            results.tell(warnings, std::slice::from_ref(source));
            file
        }
        Err(found) => {
            results.tell(found, std::slice::from_ref(source));
            return unusable("the file has errors");
        }
    };
    let mut wanted = file.tests.iter().filter(|test| filter.is_none_or(|text| test.name.contains(text))).peekable();
    if wanted.peek().is_none() {
        return FileResult { name: source.name.clone(), fault: None, tests: Vec::new() };
    }
    let Some(rules) = rulesets.of(&file, source, results) else { return unusable("its rules cannot be loaded") };
    let tests = wanted.map(|test| {
        let begun = Instant::now();
        let failures = rule_test::run(test, &rules);
        TestResult { name: test.name.clone(), line: test.line, took: begun.elapsed(), failures }
    });
    FileResult { name: source.name.clone(), fault: None, tests: tests.collect() }
}

/// Rules, each set loaded once: the test files of a folder mostly share theirs. `None` for what does not load.
struct Rulesets<'r> {
    receivers: Option<&'r [Arc<str>]>,
    loaded: BTreeMap<Vec<PathBuf>, Option<Arc<Ruleset>>>,
}

impl Rulesets<'_> {
    fn of(&mut self, file: &TestFile, source: &SourceFile, results: &mut Results) -> Option<Arc<Ruleset>> {
        let paths = file.rules();
        if let Some(known) = self.loaded.get(&paths) {
            return known.clone();
        }
        let files = match ruleset::read_files(&paths) {
            Ok(files) => files,
            Err(error) => {
                results.tell(vec![file.unreadable_rules(source, &error)], std::slice::from_ref(source));
                return None;
            }
        };
        let rules = match ruleset::load(&files, self.receivers, ruleset::Limits::default()) {
            // What rules are warned of is for `quell check` to say.
            Ok(loaded) => Some(Arc::new(loaded.ruleset)),
            Err(found) => {
                results.tell(found, &files);
                None
            }
        };
        self.loaded.insert(paths, rules.clone());
        rules
    }
}

/// Prints the results and gives the exit code.
fn show(results: &Results, args: &Args, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    let nothing = results.tests().next().is_none();
    let bad = results.failed() > 0 || results.unusable() > 0;
    let code = u8::from(bad || (args.strict && (nothing || !results.found.is_empty() || !results.without_tests.is_empty())));
    if let Some(path) = &args.junit {
        std::fs::write(path, junit::write(results))
            .map_err(|error| Failure::new(format!("the results cannot be written to {}: {error}", path.display())))?;
    }
    if args.json {
        screen.json(&as_json(results, code == 0))?;
        return Ok(code);
    }
    for (_, shown) in &results.found {
        writeln!(screen.err, "{shown}\n")?;
    }
    show_table(results, screen)?;
    for file in &results.files {
        for test in file.tests.iter().filter(|test| !test.failures.is_empty()) {
            show_failed(file, test, screen)?;
        }
    }
    for folder in &results.without_tests {
        writeln!(screen.err, "note: there are no tests in {}; they stand in *.test.yaml, beside the rules", folder.display())?;
    }
    let filtered_out = nothing && !bad && results.without_tests.is_empty();
    if let (true, Some(text)) = (filtered_out, &args.filter) {
        writeln!(screen.err, "note: there is no test whose name contains {text:?}")?;
    }
    screen.line(&summary(results, code))?;
    Ok(code)
}

fn summary(results: &Results, code: u8) -> String {
    let (tests, failed, unusable) = (results.tests().count(), results.failed(), results.unusable());
    let files = counted(results.files.iter().filter(|file| !file.tests.is_empty()).count(), "file");
    let warnings = results.found.iter().filter(|(diagnostic, _)| !diagnostic.code.is_error()).count();
    let mut text = match (tests, failed) {
        (0, _) => "no test was run".to_owned(),
        (_, 0) => format!("{} passed in {files}", counted(tests, "test")),
        _ => format!("{failed} of {} failed in {files}", counted(tests, "test")),
    };
    if unusable > 0 {
        text.push_str(", ");
        text.push_str(&counted(unusable, "file"));
        text.push_str(" cannot be used");
    }
    if warnings > 0 {
        text.push_str(", ");
        text.push_str(&counted(warnings, "warning"));
    }
    match code {
        0 if tests == 0 => text,
        0 => format!("good: {text}"),
        _ => format!("bad: {text}"),
    }
}

fn show_table(results: &Results, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let row = |file: &FileResult, test: &TestResult| {
        let (tone, result) = if test.failures.is_empty() { (Tone::Plain, "passed") } else { (Tone::Alarm, "failed") };
        (tone, vec![file.name.clone(), test.name.clone(), result.to_owned(), milliseconds(test.took)])
    };
    let rows = results.files.iter().flat_map(|file| file.tests.iter().map(move |test| row(file, test))).collect();
    Ok(screen.table(&["FILE", "TEST", "RESULT", "TIME"], rows)?)
}

fn milliseconds(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1_000.0)
}

fn show_failed(file: &FileResult, test: &TestResult, screen: &mut Screen<'_>) -> Result<(), Failure> {
    screen.line("")?;
    let title = format!("{}:{}: {}", file.name, test.line, test.name);
    let title = screen.toned(&clean(&title), Tone::Alarm);
    screen.line(&title)?;
    for (tone, line) in failed_lines(&file.name, test) {
        let indent = line.len() - line.trim_start().len();
        let line = format!("{}{}", " ".repeat(indent), screen.toned(&clean(line.trim_start()), tone));
        screen.line(&line)?;
    }
    Ok(())
}

/// Why a test has failed: for each moment what differs, and what was there.
fn failed_lines(file: &str, test: &TestResult) -> Vec<(Tone, String)> {
    let mut lines = Vec::new();
    for failure in &test.failures {
        lines.push((Tone::Heading, format!("  after {} ({file}:{})", failure.at, failure.line)));
        for it in &failure.differences {
            lines.push((Tone::Plain, format!("    {}: expected {}, got {}", it.what, it.expected, it.got)));
            lines.extend(it.reason.as_ref().map(|reason| (Tone::Notice, format!("      why: {reason}"))));
        }
        let none = |is_empty: bool| if is_empty { " nothing" } else { "" };
        lines.push((Tone::Plain, format!("    open at that moment:{}", none(failure.open.is_empty()))));
        for incident in &failure.open {
            let tone = |at: usize| if at == 0 { (Tone::Plain, "      ") } else { (Tone::Faint, "        ") };
            lines.extend(incident.iter().enumerate().map(|(at, line)| (tone(at).0, format!("{}{line}", tone(at).1))));
        }
        if !failure.suppressed.is_empty() {
            lines.push((Tone::Plain, "    suppressed at that moment:".to_owned()));
            lines.extend(failure.suppressed.iter().map(|alert| (Tone::Faint, format!("      {alert}"))));
        }
    }
    lines
}

fn as_json(results: &Results, ok: bool) -> Value {
    let difference =
        |it: &rule_test::Difference| json!({ "what": it.what, "expected": it.expected, "got": it.got, "reason": it.reason });
    let failure = |it: &rule_test::Failure| {
        json!({
            "at": it.at.to_string(),
            "line": it.line,
            "differences": it.differences.iter().map(difference).collect::<Vec<_>>(),
            "open": it.open,
            "suppressed": it.suppressed,
        })
    };
    let test = |it: &TestResult| {
        json!({
            "name": it.name,
            "line": it.line,
            "passed": it.failures.is_empty(),
            "milliseconds": it.took.as_secs_f64() * 1_000.0,
            "failures": it.failures.iter().map(failure).collect::<Vec<_>>(),
        })
    };
    let file =
        |it: &FileResult| json!({ "file": it.name, "fault": it.fault, "tests": it.tests.iter().map(test).collect::<Vec<_>>() });
    json!({
        "ok": ok,
        "passed": results.tests().count() - results.failed(),
        "failed": results.failed(),
        "files": results.files.iter().map(file).collect::<Vec<_>>(),
        "without_tests": results.without_tests,
        "diagnostics": results.found.iter().map(|(diagnostic, _)| diagnostic).collect::<Vec<_>>(),
    })
}

fn counted(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}
