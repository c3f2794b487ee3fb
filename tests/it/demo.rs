//! `quell demo` as a newcomer's first command: a storm goes in, a handful of incidents comes out, nothing is left behind.

use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn a_storm_becomes_a_handful_of_incidents() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_quell"))
        .args(["demo", "--json"])
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();

    // Every message is a repeat, or began one of 142 alerts, or ended one of the 51 spikes.
    assert_eq!(outcome["messages"], 1_477);
    assert_eq!(outcome["repeats"], 1_477 - 142 - 51);
    assert_eq!(outcome["held"], 51);
    assert_eq!(outcome["alerts"], serde_json::json!({ "firing": 142 - 51, "suppressed": 24 }));

    let field = |name: &str| -> Vec<Value> {
        outcome["incidents"].as_array().unwrap().iter().rev().map(|incident| incident[name].clone()).collect()
    };
    assert_eq!(
        field("title"),
        [
            "Database trouble in eu1",
            "The shop fails in eu",
            "CertificateEndsSoon on status-page",
            "Nodes of rack b7 are down",
            "Disks fill all over eu",
        ]
    );
    assert_eq!(field("priority"), [2, 1, 5, 3, 4]);
    assert_eq!(field("status"), ["open"; 5]);
    // The three that carry something critical wake somebody, once each; the chat hears of all.
    assert_eq!((&outcome["pages"], &outcome["chats"]), (&Value::from(3), &Value::from(5)));

    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}
