//! A page for each code: what it means, why it matters, an example of it and one without. Owns nothing but the way into
//! `docs/checks.md`, which people read on the web and `quell check --explain` prints.

use super::diagnostics::Code;

/// The document, compiled in.
const DOCUMENT: &str = include_str!("../../docs/checks.md");

/// The page of a code.
#[must_use]
pub fn page(code: Code) -> &'static str {
    let heading = format!("## {}:", code.as_str());
    let start = DOCUMENT.find(&heading).expect("a test looks for each code's page");
    let rest = &DOCUMENT[start..];
    let end = rest[2..].find("\n## ").map_or(rest.len(), |end| end + 2);
    rest[..end].trim_end()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Alert, Labels, Time};
    use crate::ruleset::{self, Limits, SourceFile};

    /// The receivers that the examples may name.
    const RECEIVERS: [&str; 2] = ["default", "managers"];

    /// The fenced blocks of a page: what stands behind the fence, and the text.
    fn blocks(page: &str) -> Vec<(&str, &str)> {
        let fenced = page.split("```").skip(1).step_by(2);
        fenced.map(|block| block.split_once('\n').unwrap()).collect()
    }

    /// A line with `{1..300}` stands for so many lines.
    fn expanded(text: &str) -> String {
        let line = |line: &str| match line.split_once("{1..").and_then(|(a, rest)| Some((a, rest.split_once('}')?))) {
            Some((before, (most, after))) => {
                let copy = |n: u32| format!("{before}{n}{after}\n");
                (1..=most.parse().unwrap()).map(copy).collect::<Vec<_>>().concat()
            }
            None => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    }

    fn alert(line: &str) -> Arc<Alert> {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let labels = line["labels"].as_object().unwrap();
        let labels = Labels::from_pairs(labels.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap()))).unwrap();
        Arc::new(Alert {
            fingerprint: labels.fingerprint(),
            labels,
            annotations: Labels::default(),
            generator_url: "".into(),
            source: "test".into(),
            starts_at: Time(0),
        })
    }

    /// The codes of everything that is found in an example, recorded alerts included.
    fn found(kind: &str, blocks: &[(&str, &str)]) -> Vec<&'static str> {
        let mut files = Vec::new();
        let mut alerts = Vec::new();
        for (name, text) in blocks {
            if *name == format!("yaml {kind}") {
                files.push(SourceFile { name: "rules.yaml".to_owned(), text: expanded(text) });
            } else if let Some(name) = name.strip_prefix("csv ") {
                files.push(SourceFile { name: name.to_owned(), text: (*text).to_owned() });
            } else if *name == "ndjson alerts" {
                alerts.extend(text.lines().map(alert));
            }
        }
        let receivers = RECEIVERS.map(Arc::from);
        let found = match ruleset::load(&files, Some(&receivers), Limits::default()) {
            Ok(mut loaded) => {
                loaded.warnings.extend(ruleset::lint_recorded(&loaded.ruleset, &files, &alerts));
                loaded.warnings
            }
            Err(found) => found,
        };
        found.iter().map(|diagnostic| diagnostic.code.as_str()).collect()
    }

    #[test]
    fn each_code_has_a_page_whose_examples_are_true() {
        for code in Code::ALL {
            let page = page(*code);
            let heading = format!("## {}: {}", code.as_str(), code.about());
            assert_eq!(page.lines().next(), Some(&*heading));
            let blocks = blocks(page);
            let kinds: Vec<&str> = blocks.iter().map(|(kind, _)| *kind).filter(|kind| kind.starts_with("yaml")).collect();
            assert_eq!(kinds, ["yaml wrong", "yaml right"], "{heading}");
            let wrong = found("wrong", &blocks);
            assert!(wrong.contains(&code.as_str()), "{heading}: the wrong example has {wrong:?}");
            assert!(wrong.iter().all(|other| other == &code.as_str()), "{heading}: … and nothing else: {wrong:?}");
            assert_eq!(found("right", &blocks), [""; 0], "{heading}: the right example");
        }
        let pages = DOCUMENT.matches("\n## Q").count();
        assert_eq!(pages, Code::ALL.len(), "each page has a code");
    }

    #[test]
    fn codes_are_found_by_their_text_and_are_in_order() {
        assert_eq!(Code::parse("q0012"), Some(Code::Template));
        assert_eq!(Code::parse("Q0004"), None);
        assert!(Code::ALL.is_sorted_by_key(|code| code.as_str()));
        assert!(Code::ALL.iter().all(|code| code.is_error() == (code.as_str() < "Q0100")));
    }
}
