//! What the README and the shipped rules say works as they say.

use std::fs;
use std::path::PathBuf;

use crate::daemon::{PATIENCE, Site, wait_until};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The fenced blocks of one language in a document, in order.
fn blocks(document: &str, language: &str) -> Vec<String> {
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

#[test]
fn every_link_within_the_documents_leads_somewhere() {
    let mut documents =
        vec![repository().join("README.md"), repository().join("CONTRIBUTING.md"), repository().join("CHANGELOG.md")];
    documents.extend(fs::read_dir(repository().join("docs")).unwrap().map(|entry| entry.unwrap().path()));
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
