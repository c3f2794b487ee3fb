//! Runs the documents in `tests/spec`: each `timeline` block is played under the last `yaml rules` block before it, and
//! must read as it did, and may name the rules of a `yaml rules NAME` block before it; each line of an `expressions` block must come to what stands behind it. A block `csv NAME` is a table
//! for the rules that follow it. `UPDATE_GOLDEN=1` writes what is decided today.

use std::collections::BTreeMap;
use std::path::Path;

use super::{story, table};
use crate::ruleset::SourceFile;

#[test]
fn documents_are_true() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec");
    let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    names.sort();
    assert!(!names.is_empty(), "no documents in {}", folder.display());
    let mut stories = 0;
    for path in names {
        let text = std::fs::read_to_string(&path).unwrap();
        let (today, played) = replay(&text);
        stories += played;
        if today != text && std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &today).unwrap();
            continue;
        }
        for (line, (was, is)) in text.lines().zip(today.lines()).enumerate() {
            assert_eq!(was, is, "{}:{} (UPDATE_GOLDEN=1 rewrites it)", path.display(), line + 1);
        }
        assert_eq!(text, today, "{}", path.display());
    }
    assert!(stories > 0, "no timeline in any document");
}

/// The document with every timeline played anew, and how many there were.
fn replay(text: &str) -> (String, usize) {
    // Compiled once for all that is played under them: the built-in words take longer than most timelines.
    let (mut out, mut rules, mut stories) = (String::new(), None, 0);
    let mut others = BTreeMap::new();
    let mut tables: Vec<SourceFile> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        if !line.starts_with("```") || line == "```" {
            continue;
        }
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let block = block.join("\n") + if block.is_empty() { "" } else { "\n" };
        match line {
            "```yaml rules" => {
                rules = Some(story::rules_with(&block, &tables));
                out.push_str(&block);
            }
            "```timeline" => {
                stories += 1;
                out.push_str(&story::play(rules.clone().expect("rules before a timeline"), &others, &block));
            }
            "```expressions" => out.push_str(&table::answer(&block)),
            other => {
                if let Some(name) = other.strip_prefix("```yaml rules ") {
                    others.insert(name.to_owned(), story::rules_with(&block, &tables));
                }
                if let Some(name) = other.strip_prefix("```csv ") {
                    tables.push(SourceFile { name: name.to_owned(), text: block.clone() });
                }
                out.push_str(&block);
            }
        }
        out.push_str("```\n");
    }
    (out, stories)
}
