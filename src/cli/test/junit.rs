//! Results in JUnit's form, which build servers read. Never decides what has failed.

use std::time::Duration;

use super::{FileResult, Results, TestResult, failed_lines};

/// The whole document.
pub(super) fn write(results: &Results) -> String {
    let took = results.tests().map(|test| test.took).sum();
    let counts = counts(results.tests().count(), results.failed(), results.unusable(), took);
    let suites: String = results.files.iter().map(|file| suite(file, results)).collect();
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
    format!("{head}\n<testsuites name=\"quell test\"{counts}>\n{suites}</testsuites>\n")
}

/// The tests of one file.
fn suite(file: &FileResult, results: &Results) -> String {
    let name = escaped(&file.name);
    let failed = file.tests.iter().filter(|test| !test.failures.is_empty()).count();
    let errors = usize::from(file.fault.is_some());
    let counts = counts(file.tests.len(), failed, errors, file.tests.iter().map(|test| test.took).sum());
    let error = file.fault.as_ref().map(|fault| error(file, fault, results)).unwrap_or_default();
    let cases: String = file.tests.iter().map(|test| case(file, test)).collect();
    format!("  <testsuite name=\"{name}\"{counts}>\n{error}{cases}  </testsuite>\n")
}

/// That a file cannot be used. It is no test; readers look for errors inside of a test all the same.
fn error(file: &FileResult, fault: &str, results: &Results) -> String {
    let found = results.found.iter().filter(|(diagnostic, _)| *diagnostic.file == file.name);
    let found: Vec<&str> = found.map(|(_, shown)| shown.as_str()).collect();
    let (name, fault, found) = (escaped(&file.name), escaped(fault), escaped_text(&found.join("\n\n")));
    let case = format!("<testcase name=\"(the file)\" classname=\"{name}\" file=\"{name}\" time=\"0.000\">");
    format!("    {case}\n      <error message=\"{fault}\">\n{found}\n</error>\n    </testcase>\n")
}

fn case(file: &FileResult, test: &TestResult) -> String {
    let (file_name, name, time) = (escaped(&file.name), escaped(&test.name), seconds(test.took));
    let place = format!("classname=\"{file_name}\" file=\"{file_name}\" line=\"{}\" time=\"{time}\"", test.line);
    let mut differences = test.failures.iter().flat_map(|failure| &failure.differences);
    let Some(first) = differences.next() else { return format!("    <testcase name=\"{name}\" {place}/>\n") };
    let first = escaped(&format!("{}: expected {}, got {}", first.what, first.expected, first.got));
    let lines: Vec<String> = failed_lines(&file.name, test).into_iter().map(|(_, line)| line).collect();
    let lines = escaped_text(&lines.join("\n"));
    let failure = format!("<failure message=\"{first}\" type=\"difference\">\n{lines}\n</failure>");
    format!("    <testcase name=\"{name}\" {place}>\n      {failure}\n    </testcase>\n")
}

/// A file that cannot be used counts as one test with an error.
fn counts(tests: usize, failures: usize, errors: usize, took: Duration) -> String {
    format!(" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{}\"", tests + errors, seconds(took))
}

fn seconds(took: Duration) -> String {
    format!("{:.3}", took.as_secs_f64())
}

/// Text for the inside of an attribute: line ends would become spaces there.
fn escaped(text: &str) -> String {
    escaped_text(text).replace('\n', "&#10;").replace('\t', "&#9;")
}

/// Text for between tags. XML 1.0 has no way at all to write most control characters.
fn escaped_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\r' => escaped.push_str("&#13;"),
            '\n' | '\t' => escaped.push(c),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_its_place() {
        let cases = [
            ("a < b & c > d", "a &lt; b &amp; c &gt; d"),
            ("\"'", "&quot;&apos;"),
            ("]]>", "]]&gt;"),
            ("a\nb\tc\r", "a&#10;b&#9;c&#13;"),
            ("\u{0}\u{1b}[31m\u{ffff}é", "\u{fffd}\u{fffd}[31m\u{fffd}é"),
        ];
        for (text, expected) in cases {
            assert_eq!(escaped(text), expected);
        }
        assert_eq!(escaped_text("a\nb"), "a\nb");
    }
}
