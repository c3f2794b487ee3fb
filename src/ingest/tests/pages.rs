//! The pages of `docs/sources`: each format has one, its configuration loads, and its messages become what it says, on the
//! whole way from the request to the alert.

use std::collections::BTreeMap;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Setup, T0};
use crate::config::{Tool, load_text};
use crate::model::{AlertStatus, Millis};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sources");

/// Every word for `format`.
fn formats() -> Vec<&'static str> {
    ["prometheus", "alertmanager", "generic"].into_iter().chain(Tool::ALL.map(Tool::name)).collect()
}

/// What stands in a page for the token in this variable.
fn secret(variable: &str) -> String {
    format!("secret-of-{variable}")
}

/// A fenced block: its language, its text, where the text is.
struct Block<'a> {
    language: &'a str,
    text: &'a str,
    place: Range<usize>,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let (mut blocks, mut at) = (Vec::new(), 0);
    while let Some(begin) = page[at..].find("```").map(|found| at + found + 3) {
        let (language, _) = page[begin..].split_once('\n').expect("a line behind a fence");
        let start = begin + language.len() + 1;
        let end = start + page[start..].find("```").expect("a fence is closed");
        blocks.push(Block { language, text: &page[start..end], place: start..end });
        at = end + 3;
    }
    blocks
}

/// A call of curl: path, headers, body.
struct Call {
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Call {
    fn of(text: &str, variables: &[String]) -> Call {
        let filled =
            |text: &str| variables.iter().fold(text.to_owned(), |text, name| text.replace(&format!("${name}"), &secret(name)));
        let (command, body) = text.split_once(" <<'EOF'\n").expect("a body behind <<'EOF'");
        let mut call = Call { path: String::new(), headers: Vec::new(), body: filled(body.strip_suffix("EOF\n").expect("EOF")) };
        let mut words = words(&filled(command)).into_iter();
        assert_eq!(words.next().as_deref(), Some("curl"));
        while let Some(word) = words.next() {
            match &*word {
                "-H" => {
                    let header = words.next().unwrap();
                    let (name, value) = header.split_once(": ").expect("name: value");
                    call.headers.push((name.to_lowercase(), value.to_owned()));
                }
                "-u" => {
                    call.headers.push(("authorization".to_owned(), format!("Basic {}", STANDARD.encode(words.next().unwrap()))));
                }
                "--data-binary" => assert_eq!(words.next().as_deref(), Some("@-")),
                url => call.path = url.strip_prefix("https://quell.example").expect("an address of ours").to_owned(),
            }
        }
        if !call.headers.iter().any(|(name, _)| name == "content-type") {
            // What curl says when it is told nothing.
            call.headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        }
        call
    }
}

/// The words of a command, as a shell splits them.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in command.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            (' ', None) => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words.into_iter().filter(|word| !word.is_empty()).collect()
}

/// Checks one page, and gives it with what its messages really become.
fn checked(format: &str, page: &str, overview: &str) -> String {
    assert!(overview.contains(&format!("({format}.md)")), "{format}: README.md has no link");
    let mut rest = page;
    for heading in ["## quell.yaml", "**Authentication**", "## What is read", "identity", "severity", "status", "**How it ends**"]
    {
        rest = rest.split_once(heading).unwrap_or_else(|| panic!("{format}: no `{heading}`, or not in its place")).1;
    }
    assert!(rest.contains("## Try it") && rest.contains("## Beware"), "{format}");

    let blocks = blocks(page);
    let yaml = blocks.iter().find(|block| block.language == "yaml").unwrap_or_else(|| panic!("{format}: no quell.yaml")).text;
    assert!(yaml.contains(&format!("format: {format}")), "{format}: {yaml}");
    let variables: Vec<String> =
        yaml.split("token: { env: ").skip(1).map(|rest| rest.split(" }").next().unwrap_or_default().to_owned()).collect();
    let environment: BTreeMap<String, String> = variables.iter().map(|name| (name.clone(), secret(name))).collect();
    let (_, warnings) =
        load_text("quell.yaml", yaml, &environment, &BTreeMap::new()).unwrap_or_else(|faults| panic!("{format}: {faults:?}"));
    assert!(warnings.is_empty() && !variables.is_empty(), "{format}: {warnings:?}");

    let plain = variables.iter().fold(yaml.to_owned(), |yaml, name| yaml.replace(&format!("{{ env: {name} }}"), &secret(name)));
    let (setup, mut written, mut until, mut statuses) = (Setup::new(&plain), String::new(), 0, Vec::new());
    for (number, pair) in blocks.windows(2).filter(|pair| pair[0].language == "sh" && pair[0].text.contains("curl ")).enumerate()
    {
        let [Block { text, .. }, shown] = pair else { unreachable!() };
        assert_eq!(shown.language, "text", "{format}: behind a message stands what it becomes");
        let call = Call::of(text, &variables);
        let headers: Vec<(&str, &str)> = call.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        setup.engine.set_now(T0 + Millis::minutes(i64::try_from(number).unwrap()));
        let (status, answer) = setup.send(&call.path, &headers, call.body.as_bytes());
        assert!((200..300).contains(&status) && !answer.contains("\"error\""), "{format}: {status} {answer}");
        let alerts = setup.engine.live.alerts(|_| true);
        statuses.push(alerts.iter().map(|entry| entry.record.status).collect::<Vec<_>>());
        let mut lines: Vec<String> =
            alerts.iter().map(|entry| format!("{} {}\n", entry.record.status.as_str(), entry.record.alert.labels)).collect();
        lines.sort();
        assert!(lines.iter().all(|line| line.contains("severity=\"")), "{format}: {lines:?}");
        written.push_str(&page[until..shown.place.start]);
        written.push_str(&lines.concat());
        until = shown.place.end;
    }
    // Without its token nothing is taken.
    let (status, _) = setup.send(&format!("/v1/ingest/{}", setup.state.sources().last().unwrap().name), &[], b"{}");
    assert_eq!(status, 401, "{format}");

    let begins_and_ends = [vec![AlertStatus::Firing], vec![AlertStatus::Resolved]];
    // Splunk has no word for an end.
    let expected = if format == Tool::Splunk.name() { 1 } else { 2 };
    assert_eq!(statuses, begins_and_ends[..expected], "{format}: a message begins an alert, another ends it");
    written + &page[until..]
}

/// `UPDATE_GOLDEN=1` writes anew what the messages become.
#[test]
fn every_format_has_a_page_that_is_true() {
    let overview = std::fs::read_to_string(format!("{FOLDER}/README.md")).unwrap();
    for format in formats() {
        let path = format!("{FOLDER}/{format}.md");
        let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let written = checked(format, &page, &overview);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, written).unwrap();
        } else {
            assert_eq!(page, written, "{format}: UPDATE_GOLDEN=1 writes what the messages become");
        }
    }
    let pages = std::fs::read_dir(FOLDER).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file()).count();
    assert_eq!(pages, formats().len() + 1, "a page without a format");
}
