//! Golden rule files: each `tests/golden/rules/NAME.yaml`, or folder `NAME` of such files, against `NAME.stderr` beside it.
//!
//! `UPDATE_GOLDEN=1 cargo test golden` writes what comes out now; read the difference before you keep it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::model::{Labels, Millis};

/// The receivers that golden files may name.
const RECEIVERS: [&str; 4] = ["dba-pager", "dba-chat", "managers", "default"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rules")
}

fn receivers() -> Vec<Arc<str>> {
    RECEIVERS.map(Arc::from).to_vec()
}

/// The files of a case, named without the way to them.
fn sources(case: &Path) -> Vec<SourceFile> {
    let way = format!("{}/", folder().display());
    let mut files = read_files(&[case.to_owned()]).unwrap();
    files.iter_mut().for_each(|file| file.name = file.name.replace(&way, ""));
    files
}

fn shown(files: &[SourceFile]) -> String {
    let found = match load(files, Some(&receivers()), Limits::default()) {
        Ok(loaded) => loaded.warnings,
        Err(found) => found,
    };
    let text = |d: &Diagnostic| files.iter().find(|file| file.name == *d.file).map_or("", |file| &file.text);
    found.iter().map(|diagnostic| format!("{}\n\n", diagnostic.render(text(diagnostic)))).collect()
}

#[test]
fn golden() {
    let mut cases = BTreeMap::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() || path.extension().is_some_and(|end| end == "yaml") {
            cases.insert(path.with_extension("stderr"), shown(&sources(&path)));
        }
    }
    assert!(cases.len() >= 30, "only {} golden cases were found", cases.len());
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
