//! Golden cases: each command line is run in `tests/golden/backtest`, and what comes out stands in `NAME.out`.
//! `UPDATE_GOLDEN=1` writes what comes out now.

use std::fs;
use std::path::PathBuf;

use crate::cli;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/backtest"))
}

/// Runs `quell backtest` with files of the golden folder (words with a dot or a slash). Gives all that came out.
fn backtest(words: &[&str]) -> String {
    let way = format!("{}/", folder().display());
    let is_file = |word: &str| word.contains(['.', '/']);
    let words = words.iter().map(|word| if is_file(word) { format!("{way}{word}") } else { (*word).to_owned() });
    let args = ["quell".to_owned(), "backtest".to_owned()].into_iter().chain(words).map(Into::into);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = cli::run(args, &mut out, &mut err, false);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&way, "");
    format!("exit code {code}\n--- stdout\n{}--- stderr\n{}", text(out), text(err))
}

#[test]
fn command_lines_give_what_their_golden_files_say() {
    let cases: [(&str, &[&str]); 12] = [
        ("alone", &["--rules", "by-host/", "--alerts", "alerts.ndjson"]),
        ("differences", &["--rules", "by-host/", "--baseline", "by-cluster/", "--alerts", "alerts.ndjson"]),
        ("none", &["--rules", "by-host/", "--baseline", "by-host/", "--alerts", "alerts.ndjson"]),
        ("json", &["--rules", "by-host/", "--baseline", "by-cluster/", "--alerts", "alerts.ndjson", "--json"]),
        ("topology", &["--rules", "near.yaml", "--alerts", "near.ndjson", "--topology", "topology.json"]),
        (
            "changes",
            &["--rules", "near.yaml", "--alerts", "near.ndjson", "--topology", "topology.json", "--changes", "changes.ndjson"],
        ),
        ("merges", &["--rules", "merges.yaml", "--alerts", "merges.ndjson", "--config", "merges-config.yaml"]),
        ("broken-changes", &["--rules", "near.yaml", "--alerts", "near.ndjson", "--changes", "broken-changes.ndjson"]),
        ("broken-rules", &["--rules", "broken.yaml", "--alerts", "alerts.ndjson"]),
        ("no-file", &["--rules", "by-host/", "--alerts", "none.ndjson"]),
        ("no-log", &["--rules", "by-host/", "--data", "by-host/"]),
        ("since", &["--rules", "by-host/", "--data", "by-host/", "--since", "yesterday"]),
    ];
    let mut wrong = Vec::new();
    for (name, words) in cases {
        let (path, actual) = (folder().join(format!("{name}.out")), backtest(words));
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

/// What was changed shortly before is the likeliest cause, and stands in the assignments.
#[test]
fn assignments_name_the_probable_causes() {
    let folder_of_out = tempfile::tempdir().unwrap();
    let roots = |changes: &[&str]| {
        let out = folder_of_out.path().join("out.ndjson");
        let golden = |name: &str| folder().join(name).display().to_string();
        let mut args = vec!["quell".to_owned(), "backtest".to_owned(), "--rules".to_owned(), golden("two-callers.yaml")];
        args.extend(["--alerts".to_owned(), golden("later.ndjson"), "--topology".to_owned(), golden("two-callees.json")]);
        args.extend(["--assignments".to_owned(), out.display().to_string()]);
        args.extend(changes.iter().flat_map(|name| ["--changes".to_owned(), golden(name)]));
        let (mut shown, mut err) = (Vec::new(), Vec::new());
        assert_eq!(
            cli::run(args.into_iter().map(Into::into), &mut shown, &mut err, false),
            0,
            "{}",
            String::from_utf8_lossy(&err)
        );
        let text = fs::read_to_string(out).unwrap();
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        first["rootEntities"][0].as_str().map(str::to_owned)
    };
    // Two callers alert, and two that both call are silent.
    assert_eq!(roots(&[]).as_deref(), Some("service/auth"));
    assert_eq!(roots(&["changes.ndjson"]).as_deref(), Some("service/prices"));
}
