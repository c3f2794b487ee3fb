//! Golden cases: each `tests/golden/test/NAME.test.yaml` is played, and each of the command lines below is run; what
//! comes out stands in `NAME.out`, with the time taken away. `UPDATE_GOLDEN=1` writes what comes out now.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/test")
}

/// Runs `quell test` in the golden folder, as if it took no time. Gives all that came out, files' names without the way.
fn test(words: &[&str], colour: bool) -> String {
    let way = format!("{}/", folder().display());
    let args = Line::parse_from(std::iter::once("test").chain(words.iter().copied())).args;
    let paths: Vec<PathBuf> = args.paths.iter().map(|path| folder().join(path)).collect();
    let receivers = ["dba-pager", "managers"].map(Arc::from);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut screen = Screen { out: &mut out, err: &mut err, colour, is_terminal: false };
    let code = play(&paths, args.filter.as_deref(), Some(&receivers)).and_then(|mut results| {
        for file in &mut results.files {
            file.name = file.name.replace(&way, "");
            file.tests.iter_mut().for_each(|test| test.took = Duration::ZERO);
        }
        for (diagnostic, _) in &mut results.found {
            diagnostic.file = diagnostic.file.replace(&way, "").into();
        }
        show(&results, &args, &mut screen)
    });
    let code = code.unwrap_or_else(|failure| failure.report(screen.err).unwrap());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&way, "");
    format!("exit code {code}\n--- stdout\n{}--- stderr\n{}", text(out), text(err))
}

fn compare(cases: BTreeMap<PathBuf, String>) {
    let mut wrong = Vec::new();
    for (path, actual) in cases {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &actual).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if expected != actual {
            wrong.push(format!("{}\n--- expected\n{expected}\n--- actual\n{actual}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn golden_files() {
    let mut cases = BTreeMap::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if let Some(case) = name.strip_suffix(".test.yaml") {
            cases.insert(folder().join(format!("{case}.out")), test(&[&name], false));
        }
    }
    assert!(cases.len() >= 10, "only {} golden cases were found", cases.len());
    compare(cases);
}

#[test]
fn golden_command_lines() {
    let cases: [(&str, &[&str]); 11] = [
        ("line-folder", &["folder"]),
        ("line-filter", &["folder", "--filter", "another"]),
        ("line-filter-nothing", &["folder", "--filter", "nothing like it"]),
        ("line-filter-nothing-strict", &["folder", "--filter", "nothing like it", "--strict"]),
        ("line-without-tests", &["rules"]),
        ("line-without-tests-strict", &["rules", "--strict"]),
        ("line-warned-strict", &["folder", "empty.test.yaml", "--strict"]),
        ("line-no-test-file", &["rules/db.yaml"]),
        ("line-no-such-path", &["folder", "none"]),
        ("line-json", &["differences.test.yaml", "syntax.test.yaml", "--filter", "fields", "--json"]),
        ("line-json-good", &["folder", "--json", "--strict"]),
    ];
    compare(cases.into_iter().map(|(name, words)| (folder().join(format!("{name}.out")), test(words, false))).collect());
}

#[test]
fn golden_junit() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("results.xml");
    let out = test(&["differences.test.yaml", "folder", "syntax.test.yaml", "--junit", path.to_str().unwrap()], false);
    assert!(out.starts_with("exit code 1\n--- stdout\nFILE"), "{out}");
    let xml = fs::read_to_string(path).unwrap().replace(&format!("{}/", folder().display()), "");
    compare(BTreeMap::from([(folder().join("junit.xml"), xml)]));
    let nowhere = test(&["folder", "--junit", place.path().join("none/results.xml").to_str().unwrap()], false);
    assert!(nowhere.starts_with("exit code 1\n--- stdout\n--- stderr\nerror: the results cannot be written to "), "{nowhere}");
}

#[test]
fn colour_only_on_a_terminal() {
    for (colour, escapes) in [(true, true), (false, false)] {
        let out = test(&["differences.test.yaml"], colour);
        assert_eq!(out.contains("\x1b["), escapes, "{out}");
        assert!(!out.contains("\x1b[31m\n") && !out.contains('\u{202e}'), "what a sender says moves no cursor: {out}");
    }
}
