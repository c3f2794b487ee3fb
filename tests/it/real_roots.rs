//! Probable causes on two real sets whose root causes are known: never worse than the simple groupings beside them.
//!
//! The sets' licences let them be used, and they are no part of this repository: `benches/real-roots/README.md` says where they
//! come from. Put them at `../shared/data` beside the repository, or name the folder in `QUELL_DATA`.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::documents::repository;

#[test]
fn probable_causes_of_real_faults_are_not_below_the_simple_groupings() {
    let folder = env::var_os("QUELL_DATA").map_or_else(|| repository().join("../shared/data"), PathBuf::from);
    let needed = ["petshop/low_traffic/alerts.ndjson.gz", "itbench/scenarios.ndjson"];
    if let Some(missing) = needed.iter().map(|name| folder.join(name)).find(|path| !path.exists()) {
        eprintln!("real_roots: DID NOT RUN: {} is not there; QUELL_DATA names its folder", missing.display());
        return;
    }
    let run = repository().join("benches/real-roots/run");
    let output = Command::new("python3")
        .arg(&run)
        .args(["--json", "--quell", env!("CARGO_BIN_EXE_quell"), "--data"])
        .arg(&folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap_or_else(|e| panic!("python3 cannot be run ({e}); `tests/run` installs it"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let scores: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut worse = Vec::new();
    for set in ["petshop", "itbench"] {
        let rows = scores[set].as_object().unwrap_or_else(|| panic!("no figures of {set}: {scores}"));
        assert!(rows.len() >= 3, "{set} has nothing to compare with: {rows:?}");
        for title in ["root_hit1", "root_hit3", "incident_f1_mean"] {
            let of = |row: &Value| row[title].as_f64().unwrap_or_else(|| panic!("no {title} in {row}"));
            let ours = of(&rows["quell"]);
            eprintln!("real_roots: {set} {title} {ours:.4}");
            let better = rows.iter().filter(|(_, row)| of(row) > ours);
            worse.extend(better.map(|(how, row)| format!("{set}: {title} is {ours}, {how} has {}", of(row))));
        }
    }
    assert!(worse.is_empty(), "{}", worse.join("\n"));
}
