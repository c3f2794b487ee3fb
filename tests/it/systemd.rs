//! The files under `systemd/`, judged by systemd's own tools. Nothing is started.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

fn shipped(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)
}

/// Runs one of systemd's tools. Missing, it fails the test: a check that quietly does not run checks nothing.
fn run(tool: &str, args: &[&str]) -> Output {
    Command::new(tool)
        .args(args)
        .output()
        .unwrap_or_else(|e| panic!("{tool} cannot be run ({e}); `tests/run` installs it, or: apt-get install systemd"))
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_unit_is_hardened() {
    let unit = shipped("quell.service");
    let output = run("systemd-analyze", &["security", "--offline=true", "--threshold=15", unit.to_str().unwrap()]);
    assert!(output.status.success(), "exposure above 1.5:\n{}", said(&output));
}

#[test]
fn systemd_understands_every_line_of_the_unit() {
    // The unit as shipped, but with a program that exists here: its path is checked, too.
    let folder = TempDir::new().unwrap();
    let text = fs::read_to_string(shipped("quell.service")).unwrap();
    assert!(text.contains("ExecStart=/usr/bin/quell serve"), "the unit starts something else");
    let unit = folder.path().join("quell.service");
    fs::write(&unit, text.replace("ExecStart=/usr/bin/quell ", &format!("ExecStart={} ", env!("CARGO_BIN_EXE_quell")))).unwrap();

    let output = run("systemd-analyze", &["verify", "--man=no", unit.to_str().unwrap()]);
    // Unknown keys are only warned of, so silence is asked for, too.
    assert!(output.status.success() && said(&output).is_empty(), "{}", said(&output));
}

#[test]
fn the_user_of_the_unit_is_the_one_that_sysusers_makes() {
    let output = run("systemd-sysusers", &["--dry-run", shipped("quell.sysusers").to_str().unwrap()]);
    assert!(output.status.success() && !said(&output).contains("ignoring"), "{}", said(&output));

    let made = fs::read_to_string(shipped("quell.sysusers")).unwrap();
    let unit = fs::read_to_string(shipped("quell.service")).unwrap();
    let folders = fs::read_to_string(shipped("quell.tmpfiles")).unwrap();
    assert!(made.lines().any(|line| line.starts_with("u quell ")), "{made}");
    assert!(unit.lines().any(|line| line == "User=quell"), "{unit}");
    for line in folders.lines().filter(|line| line.starts_with("d ")) {
        let owner: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
        assert!(owner == ["root", "quell"] || owner == ["root", "root"], "writable by the daemon: {line}");
    }
}
