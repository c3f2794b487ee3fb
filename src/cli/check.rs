//! `quell check`: says what is wrong with rule files, and with the tests beside them. Reads files, changes nothing, needs
//! no server.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use crate::model::Alert;
use crate::ruleset::{Diagnostic, Limits, Ruleset, SourceFile, lint_recorded, load, read_files, read_tests};
use crate::verify::rule_test;

/// All is well.
const GOOD: u8 = 0;
/// The rules cannot be used, or have warnings where `strict` wants none.
const BAD: u8 = 1;
/// There is nothing to check: a path that cannot be read.
const USAGE: u8 = 2;

/// What rules are held against beyond themselves, as far as it is known.
#[derive(Clone, Copy, Default)]
pub struct Against<'a> {
    /// Every receiver that there is.
    pub receivers: Option<&'a [Arc<str>]>,
    /// Alerts that really came.
    pub alerts: Option<&'a [Arc<Alert>]>,
}

/// Checks the rule files under `paths` and whether tests among them can be read, and holds them `against` what is known.
/// Faults go to `err` in rustc's form and one line of summary to `out`; with `json` everything is one object on `out`.
/// With `strict` a warning is as bad as an error.
///
/// Returns the exit code.
///
/// # Errors
/// What writing to `out` and `err` gives.
pub fn run(
    paths: &[PathBuf],
    against: Against<'_>,
    json: bool,
    strict: bool,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let (files, test_files) = match read_files(paths).and_then(|files| Ok((files, read_tests(paths)?))) {
        Ok(files) => files,
        Err(error) => {
            writeln!(err, "error: {error}")?;
            return Ok(USAGE);
        }
    };
    let Against { receivers, alerts } = against;
    let (rules, mut found) = match load(&files, receivers, Limits::default()) {
        Ok(loaded) => {
            let mut found = loaded.warnings;
            found.extend(lint_recorded(&loaded.ruleset, &files, alerts.unwrap_or_default()));
            (Some(loaded.ruleset), found)
        }
        Err(found) => (None, found),
    };
    let mut tests = 0;
    for file in &test_files {
        match rule_test::read(file) {
            Ok((file, mut warnings)) => {
                tests += file.tests.len();
                found.append(&mut warnings);
            }
            Err(mut faults) => found.append(&mut faults),
        }
    }
    let errors = found.iter().filter(|diagnostic| diagnostic.code.is_error()).count();
    let warnings = found.len() - errors;
    let code = if errors > 0 || (strict && warnings > 0) { BAD } else { GOOD };
    if json {
        let object = json!({
            "ok": code == GOOD,
            "files": files.iter().map(|file| &file.name).collect::<Vec<_>>(),
            "rules": rules.as_ref().map(Ruleset::len_in_files),
            "test_files": test_files.iter().map(|file| &file.name).collect::<Vec<_>>(),
            "tests": tests,
            "receivers_checked": receivers.is_some(),
            "recorded_alerts": alerts.map(<[_]>::len),
            "errors": errors,
            "warnings": warnings,
            "diagnostics": found,
        });
        writeln!(out, "{object:#}")?;
        return Ok(code);
    }
    write_found(&found, &files, &test_files, err)?;
    if receivers.is_none() {
        writeln!(err, "note: the names of receivers were not checked, because no configuration was found")?;
    }
    match alerts {
        None => writeln!(err, "note: the rules were not held against recorded alerts; --data or --alerts says where some are")?,
        Some([]) => writeln!(err, "note: there are no recorded alerts that the rules could be held against")?,
        Some(_) => {}
    }
    if let Some(first) = found.first() {
        writeln!(err, "note: `quell check --explain {}` tells more of a code", first.code.as_str())?;
    }
    let in_tests = if test_files.is_empty() { String::new() } else { format!(", {}", counted(tests, "test")) };
    let files = counted(files.len() + test_files.len(), "file");
    match &rules {
        Some(rules) if errors + warnings == 0 => {
            writeln!(out, "good: {}{in_tests} in {files}", counted(rules.len_in_files(), "rule"))?;
        }
        Some(rules) if errors == 0 => {
            let rules = counted(rules.len_in_files(), "rule");
            writeln!(out, "usable: {rules}{in_tests} in {files}, {}", counted(warnings, "warning"))?;
        }
        _ => writeln!(out, "bad: {} and {} in {files}", counted(errors, "error"), counted(warnings, "warning"))?,
    }
    Ok(code)
}

/// Writes diagnostics in rustc's form, with an empty line after each.
fn write_found(found: &[Diagnostic], rules: &[SourceFile], tests: &[SourceFile], err: &mut dyn Write) -> io::Result<()> {
    for diagnostic in found {
        let text = rules.iter().chain(tests).find(|file| file.name == *diagnostic.file).map_or("", |file| &file.text);
        writeln!(err, "{}\n", diagnostic.render(text))?;
    }
    Ok(())
}

fn counted(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What came out: exit code, `out`, `err`, with the folder's name taken away.
    fn check(text: Option<&str>, receivers: Option<&[&str]>, json: bool, strict: bool) -> (u8, String, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.yaml");
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let receivers: Option<Vec<Arc<str>>> = receivers.map(|names| names.iter().map(|name| Arc::from(*name)).collect());
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let against = Against { receivers: receivers.as_deref(), alerts: None };
        let code = run(&[path], against, json, strict, &mut out, &mut err).unwrap();
        let shown = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&format!("{}/", folder.path().display()), "");
        (code, shown(out), shown(err))
    }

    const RULE: &str = "escalate:\n  - name: all\n    steps: [{ notify: [pager] }]\n";

    #[test]
    fn says_good_usable_bad_and_what_it_could_not_check() {
        let notes = [
            "note: the names of receivers were not checked, because no configuration was found\n",
            "note: the rules were not held against recorded alerts; --data or --alerts says where some are\n",
        ];
        assert_eq!(check(Some(RULE), None, false, true), (0, "good: 1 rule in 1 file\n".to_owned(), notes.concat()));
        assert_eq!(
            check(Some(RULE), Some(&["pager"]), false, true),
            (0, "good: 1 rule in 1 file\n".to_owned(), notes[1].to_owned())
        );

        let (code, out, err) = check(Some(RULE), Some(&["pagre"]), false, false);
        assert_eq!((code, out.as_str()), (1, "bad: 1 error and 0 warnings in 1 file\n"));
        assert!(err.contains("error[Q0014]: there is no receiver `pager`") && err.contains("--> rules.yaml:3:24"), "{err}");
        assert!(err.ends_with("note: `quell check --explain Q0014` tells more of a code\n"), "{err}");

        for (strict, expected) in [(false, 0), (true, 1)] {
            let (code, out, err) = check(Some("# nothing\n"), Some(&[]), false, strict);
            assert_eq!((code, out.as_str()), (expected, "usable: 0 rules in 1 file, 1 warning\n"));
            assert!(err.starts_with("warning[Q0101]"), "{err}");
        }

        let (code, out, err) = check(None, None, false, false);
        assert_eq!((code, out.as_str()), (2, ""));
        assert!(err.starts_with("error: rules.yaml: No such file"), "{err}");
    }

    #[test]
    fn tests_beside_the_rules_are_read_too() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.yaml"), RULE).unwrap();
        let test = folder.path().join("a.test.yaml");
        let check = |text: &str| {
            std::fs::write(&test, text).unwrap();
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let against = Against { receivers: Some(&["pager".into()]), alerts: None };
            let code = run(&[folder.path().to_owned()], against, false, true, &mut out, &mut err).unwrap();
            (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
        };
        let (code, out, _) = check("tests: [{ name: a, expect: [{ at: 1m, incidents: [] }] }]\n");
        assert_eq!((code, out.as_str()), (0, "good: 1 rule, 1 test in 2 files\n"));
        let (code, out, err) = check("tests: [{ nam: a, expect: [{ at: 1m, incidents: [] }] }]\n");
        assert_eq!((code, out.as_str()), (1, "bad: 2 errors and 0 warnings in 2 files\n"));
        assert!(err.contains("a.test.yaml:1:11") && err.contains("did you mean `name`?"), "{err}");
    }

    #[test]
    fn json_is_one_object() {
        let (code, out, err) = check(Some("correlate:\n  - nam: x\n"), None, true, false);
        assert_eq!((code, err.as_str()), (1, ""));
        let object: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(object["ok"], false);
        assert_eq!((&object["errors"], &object["receivers_checked"]), (&json!(2), &json!(false)));
        let unknown = &object["diagnostics"][1];
        assert_eq!(
            *unknown,
            json!({
                "code": "Q0003", "severity": "error", "file": "rules.yaml", "span": { "start": 15, "end": 18 }, "line": 2, "column": 5,
                "message": "unknown key `nam` in a correlate rule", "label": "", "hint": "did you mean `name`?"
            })
        );
    }
}
