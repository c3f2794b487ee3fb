//! What the README and the shipped rules say works as they say.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::daemon::{PATIENCE, Site, wait_until};

pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The fenced blocks of one language in a document, in order.
pub(crate) fn blocks(document: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    document.split(&fence).skip(1).filter_map(|rest| Some(rest.split_once("```")?.0.to_owned())).collect()
}

#[test]
fn the_readmes_rules_and_configuration_are_accepted() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let blocks = blocks(&readme, "yaml");
    let (rules, config): (Vec<&String>, Vec<&String>) = blocks.iter().partition(|text| text.contains("correlate:"));
    assert!(!rules.is_empty() && !config.is_empty(), "the README shows no rules or no configuration any more");
    let site = Site::new(config[0], &[]);
    for (number, rules) in rules.iter().enumerate() {
        site.write_rules(&format!("readme-{number}.yaml"), rules);
    }
    check(&site);
}

#[test]
fn what_the_documents_say_of_rule_tests_is_so() {
    let document = fs::read_to_string(repository().join("docs/rules.md")).unwrap();
    let (_, section) = document.split_once("## Test your rules").expect("docs/rules.md has a section on rule tests");
    let [rules, tests] = &blocks(section, "yaml")[..2] else { panic!("rules and their tests") };
    let shown = blocks(section, "text").swap_remove(0);
    let config = "receivers: [{ name: payments-pager, log: {} }, { name: managers, log: {} }]\n";
    let site = Site::new(config, &[("checkout.yaml", rules), ("checkout.test.yaml", tests)]);
    let output = site.run(&["test", "rules"]);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    // What stands in the place of a time is another one each time.
    let plain = |text: &str| -> Vec<String> {
        let without_time =
            |line: &str| line.rsplit_once("  ").filter(|_| line.ends_with(" ms")).map_or(line, |(rest, _)| rest).to_owned();
        text.lines().map(|line| without_time(line).trim_end().to_owned()).collect()
    };
    assert_eq!(plain(&out), plain(&shown), "{out}{err}");
    assert_eq!(output.status.code(), Some(1), "the example shows a failure");
}

/// Each piece of an alertmanager.yml is one, the rules beside it load without a warning, and the tests that show that they do
/// the same pass.
#[test]
fn the_guide_from_alertmanager_is_true() {
    let guide = fs::read_to_string(repository().join("docs/from-alertmanager.md")).unwrap();
    let (mut translated, mut sections) = (0, 0);
    for section in guide.split("\n## ").skip(1) {
        let [rules, tests] = ["yaml rules", "yaml tests"].map(|language| blocks(section, language));
        let ([rules], [tests]) = (&rules[..], &tests[..]) else { panic!("not one piece of rules with tests:\n{section}") };
        let names = ["archive", "chat", "dba-chat", "dba-pager", "managers", "pager"];
        let receivers = names.map(|name| format!("{{ name: {name}, log: {{}} }}")).join(", ");
        let site = Site::new(&format!("receivers: [{receivers}]\n"), &[("guide.yaml", rules), ("guide.test.yaml", tests)]);
        for command in ["check", "test"] {
            let output = site.run(&[command, "--strict", "rules"]);
            let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{section}\n{told}");
        }
        for piece in blocks(section, "yaml alertmanager") {
            let file = site.path().join("alertmanager.yml");
            fs::write(&file, piece).unwrap();
            let output = amtool(&["check-config", file.to_str().unwrap()]);
            assert!(output.status.success(), "{section}\n{}", String::from_utf8_lossy(&output.stderr));
            translated += 1;
        }
        sections += 1;
    }
    assert!(translated >= 5 && sections > translated, "{translated} of {sections}");
}

fn amtool(args: &[&str]) -> Output {
    Command::new("amtool").args(args).output().unwrap_or_else(|e| {
        panic!("amtool cannot be run ({e}); `tests/run` installs it, or: apt-get install prometheus-alertmanager")
    })
}

#[test]
fn the_shipped_rules_pass_their_tests() {
    let site = Site::new("", &[]);
    let rules = repository().join("rules");
    let results = site.path().join("results.xml");
    let output = site.run(&["test", rules.to_str().unwrap(), "--strict", "--junit", results.to_str().unwrap()]);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{out}");
    assert!(out.ends_with("files\n") && !out.contains('\u{1b}'), "{out}");
    assert!(fs::read_to_string(results).unwrap().contains("failures=\"0\" errors=\"0\""));

    // The example passes its own, which tell when the rules change: spikes are held back for a shorter time.
    let docs = repository().join("docs");
    let output = site.run(&["test", docs.to_str().unwrap(), "--strict"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let changed = fs::read_to_string(docs.join("example-rules.yaml")).unwrap().replace("hold: 2m", "hold: 1m");
    site.write_rules("example-rules.yaml", &changed);
    site.write_rules("example-rules.test.yaml", &fs::read_to_string(docs.join("example-rules.test.yaml")).unwrap());
    let output = site.run(&["test", site.rules().to_str().unwrap()]);
    let out = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{out}");
    assert!(out.contains("open incidents: expected 0, got 1"), "{out}");
}

#[test]
fn the_shipped_rules_work_without_any_configuration() {
    // `quell serve` in a fresh clone has them in force, and no receivers.
    let site = Site::new("", &[]);
    for entry in fs::read_dir(repository().join("rules")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.extension().is_some_and(|extension| extension == "yaml") && !name.ends_with(".test.yaml") {
            site.write_rules(name, &fs::read_to_string(&path).unwrap());
        }
    }
    check(&site);
    let daemon = site.start();
    for part in
        ["rules loaded rules=", "nobody is told of them", "quell send alertname=Test severity=critical --url http://127.0.0.1:"]
    {
        wait_until(part, PATIENCE, || daemon.stderr().contains(part));
    }
}

/// What takes too long for a test is at least whole, and says how it is used.
#[test]
fn long_runs_say_how_they_are_used() {
    for script in
        ["dist/build", "benches/versus-alertmanager/run", "benches/storm-quality/run", "benches/real-roots/run", "fuzz/run"]
    {
        let output = Command::new("python3").arg(repository().join(script)).arg("--help").output().expect("python3");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.starts_with("usage: "), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// What Nagios, Icinga and Checkmk start: a notification arrives, and what is wrong is told by words and by the exit code.
#[test]
fn the_notification_script_reports_to_the_daemon() {
    let site = Site::new("sources: [{ name: nagios, format: nagios, token: { file: right } }]\n", &[]);
    for (name, token) in [("right", "the-right-token\n"), ("wrong", "another-token\n")] {
        fs::write(site.path().join(name), token).unwrap();
    }
    let daemon = site.start();
    let url = |path: &str| format!("http://{}/v1/ingest/{path}", daemon.addr);
    let notify = |args: &[&str]| {
        let script = repository().join("docs/sources/templates/quell-notify");
        let environment = [
            ("NAGIOS_NOTIFICATIONTYPE", "PROBLEM"),
            ("NAGIOS_HOSTNAME", "web-1"),
            ("NAGIOS_SERVICEDESC", "HTTP"),
            ("NAGIOS_SERVICESTATE", "CRITICAL"),
            ("NAGIOS_SERVICEOUTPUT", "\"503\" after $(10) s; `date` & more"),
        ];
        let output = Command::new("python3").arg(script).args(args).envs(environment).current_dir(site.path()).output();
        let output = output.expect("python3");
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let cases: [(&[&str], i32, &str); 5] = [
        (&[&url("nagios"), "right"], 0, ""),
        (&[&url("nagios"), "wrong"], 2, "Quell answered 401: {\"error\":{\"code\":\"unauthorized\""),
        (&[&url("nobody"), "right"], 2, "Quell answered 404: "),
        (&[&url("nagios"), "nowhere"], 2, "the token cannot be read: "),
        (&[], 2, "two arguments are needed: "),
    ];
    for (args, code, told) in cases {
        let (status, stderr) = notify(args);
        assert_eq!(status, Some(code), "{args:?}: {stderr}");
        let told = if told.is_empty() { String::new() } else { format!("quell-notify: {told}") };
        assert!(stderr.starts_with(&told) && stderr.is_empty() == told.is_empty(), "{args:?}: {stderr}");
        assert!(!stderr.contains("-token"), "{args:?}: {stderr}");
    }
    let alerts = daemon.list("/v1/alerts?status=all", "alerts");
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(alerts[0]["annotations"]["summary"], "\"503\" after $(10) s; `date` & more");
}

#[test]
fn every_link_within_the_documents_leads_somewhere() {
    let mut documents =
        vec![repository().join("README.md"), repository().join("CONTRIBUTING.md"), repository().join("CHANGELOG.md")];
    for folder in ["docs", "docs/sources"] {
        let entries = fs::read_dir(repository().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        documents.extend(entries.filter(|path| path.is_file()));
    }
    let mut faults = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            let local = !target.contains("://") && !file.is_empty();
            if local && !document.parent().unwrap().join(file).exists() {
                faults.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(faults.is_empty(), "links to nowhere:\n{}", faults.join("\n"));
}

fn check(site: &Site) {
    fs::write(site.path().join("pagerduty.key"), "0123456789abcdef0123456789abcdef\n").unwrap();
    let output = site.run(&["check", "--strict", site.rules().to_str().unwrap()]);
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}
