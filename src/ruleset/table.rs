//! Tables of enrich rules: a CSV file whose header names its columns, looked up by one or more of them.
//!
//! Owns what a table's text may be and how a row is found. Never reads files: [`files`](super::files) hands the texts in.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use csv::{ReaderBuilder, StringRecord, Trim};
use rustc_hash::FxHashMap;

use super::diagnostics::{Code, Diagnostic};
use super::load::{Limits, SourceFile};
use super::report::Report;
use super::suggest::{listed, nearest};
use crate::model::Labels;

/// How the name of every table ends.
pub const EXTENSION: &str = ".csv";

/// Columns of one table: a row becomes labels, and an alert has few.
const COLUMNS_MAX: usize = 64;

/// Stands between the parts of a key. A cell cannot have it, so an alert that does finds no row.
const BETWEEN: char = '\0';

/// A table that can be asked.
#[derive(Debug)]
pub struct Table {
    on: Vec<Arc<str>>,
    columns: Vec<Arc<str>>,
    rows: FxHashMap<Box<str>, Box<[Box<str>]>>,
}

impl Table {
    /// The labels that the row for these ones names, with their values; an empty cell names nothing. A label that is missing
    /// is the empty text, as in matchers.
    pub fn row<'t>(&'t self, labels: &Labels) -> impl Iterator<Item = (&'t str, &'t str)> {
        let row = match &self.on[..] {
            [one] => self.rows.get(labels.get(one)),
            several => self.rows.get(key(several.iter().map(|label| labels.get(label))).as_str()),
        };
        let cells = row.into_iter().flat_map(|row| row.iter());
        self.columns.iter().zip(cells).map(|(name, cell)| (&**name, &**cell)).filter(|(_, cell)| !cell.is_empty())
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

fn key<'a>(mut parts: impl Iterator<Item = &'a str>) -> String {
    let mut key = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        key.push(BETWEEN);
        key.push_str(part);
    }
    key
}

/// The file that a rule file means by a table's path, which counts from the rule file; `None` for one that is absolute.
pub(super) fn resolve(rule_file: &Path, path: &str) -> Option<PathBuf> {
    let mut resolved = rule_file.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => resolved.push(name),
            Component::CurDir => {}
            Component::ParentDir if resolved.pop() => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(resolved)
}

/// The paths in a rule file's text that may be those of tables. Found without reading YAML, because the files are looked at
/// every other second; what is none of them harms nothing.
pub(super) fn mentioned(text: &str) -> impl Iterator<Item = &str> {
    let ends_path = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '[' | ']' | '{' | '}' | '#' | ':' | '\\');
    text.match_indices(EXTENSION).map(move |(at, _)| {
        let start = text[..at].rfind(ends_path).map_or(0, |before| before + 1);
        // A blank or a bracket is one byte; any other blank makes the path a wrong one, which is no harm.
        text.get(start..at + EXTENSION.len()).unwrap_or_default()
    })
}

/// Whether a path is one that [`mentioned`] finds.
pub(super) fn is_plain(path: &str) -> bool {
    path.len() > EXTENSION.len() && mentioned(path).eq([path])
}

/// A table's file and the columns of its key.
type Place = (String, Vec<Arc<str>>);

/// The tables of one load: each is compiled once for all rules that look it up by the same columns.
pub(super) struct Tables<'f> {
    files: BTreeMap<&'f str, &'f SourceFile>,
    limits: Limits,
    compiled: RefCell<BTreeMap<Place, Option<Arc<Table>>>>,
    found: RefCell<Vec<Diagnostic>>,
}

impl<'f> Tables<'f> {
    pub(super) fn new(files: &'f [SourceFile], limits: Limits) -> Tables<'f> {
        let files = files.iter().map(|file| (file.name.as_str(), file)).collect();
        Tables { files, limits, compiled: RefCell::default(), found: RefCell::default() }
    }

    /// The text of a table that a rule file names.
    pub(super) fn file(&self, rule_file: &str, path: &str) -> Option<&'f SourceFile> {
        let name = resolve(Path::new(rule_file), path)?.display().to_string();
        self.files.get(name.as_str()).copied()
    }

    /// Compiles a table for these columns. What is wrong with it is kept for [`Tables::finish`].
    pub(super) fn compile(&self, file: &SourceFile, on: &[Arc<str>]) -> Option<Arc<Table>> {
        let place = (file.name.clone(), on.to_vec());
        if let Some(known) = self.compiled.borrow().get(&place) {
            return known.clone();
        }
        let report = Report::new(&file.name, &file.text);
        let table = read(&report, on, self.limits);
        let found = report.finish();
        let table = table.filter(|_| found.iter().all(|diagnostic| !diagnostic.code.is_error())).map(Arc::new);
        self.found.borrow_mut().extend(found);
        self.compiled.borrow_mut().insert(place, table.clone());
        table
    }

    /// What was wrong with the tables.
    pub(super) fn finish(self) -> Vec<Diagnostic> {
        let mut found = self.found.into_inner();
        // One fault of a file that two rules look up by different columns.
        found.sort_by(|a, b| (&a.file, a.span.start, &a.message).cmp(&(&b.file, b.span.start, &b.message)));
        found.dedup();
        found
    }
}

fn read(report: &Report<'_>, on: &[Arc<str>], limits: Limits) -> Option<Table> {
    let text = report.map.text();
    let fault = |code, span: Range<usize>, message: String, hint: &str| {
        report.add(Diagnostic::new(code, span, message).hint(hint));
    };
    if text.len() > limits.file_bytes_max {
        let message = format!("the table has {} bytes, but at most {} are allowed", text.len(), limits.file_bytes_max);
        fault(Code::Limit, 0..0, message, "");
        return None;
    }
    if let Some((at, c)) = text.char_indices().find(|(_, c)| ['\u{fffd}', BETWEEN].contains(c)) {
        fault(
            Code::Table,
            at..at + c.len_utf8(),
            "the table is not UTF-8, or was damaged on its way".to_owned(),
            "save it as UTF-8",
        );
        return None;
    }
    // Spreadsheets begin their files with a byte order mark.
    let skipped = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(&text.as_bytes()[skipped..]);
    let mut record = StringRecord::new();
    let mut next = |record: &mut StringRecord| {
        // The text is UTF-8 and lies in memory, so there is nothing to fail.
        reader.read_record(record).unwrap_or(false).then(|| {
            let start = record.position().map_or(0, |at| usize::try_from(at.byte()).unwrap_or(0)) + skipped;
            line_of(text, start)
        })
    };
    let Some(header) = next(&mut record) else {
        fault(Code::Table, 0..0, "the table is empty".to_owned(), "its first line names the columns");
        return None;
    };
    let columns = header_columns(report, &header, &record)?;
    let positions = key_positions(report, &header, &columns, on)?;
    let mut table = Table { on: on.to_vec(), columns: Vec::new(), rows: FxHashMap::default() };
    let is_key = |place: &usize| positions.contains(place);
    table.columns = (0..columns.len()).filter(|place| !is_key(place)).map(|place| columns[place].clone()).collect();
    let mut first_lines: FxHashMap<Box<str>, usize> = FxHashMap::default();
    let mut last = header.clone();
    while let Some(line) = next(&mut record) {
        last = line.clone();
        if record.len() != columns.len() {
            let message = format!("a row of {} cells under {} columns", record.len(), columns.len());
            fault(Code::Table, line, message, "quote a cell that has a comma; an empty cell needs its comma, too");
            continue;
        }
        if table.rows.len() == limits.table_rows_max {
            fault(Code::Limit, line, format!("more than {} rows", limits.table_rows_max), "");
            return None;
        }
        let key: Box<str> = key(positions.iter().map(|place| &record[*place])).into();
        if let Some(first) = first_lines.get(&key) {
            let shown = positions.iter().map(|place| format!("`{}`", &record[*place])).collect::<Vec<_>>().join(", ");
            let hint = format!("the first is in line {}", report.map.line(*first));
            fault(Code::Repeated, line, format!("a second row for {shown}"), &hint);
            continue;
        }
        first_lines.insert(key.clone(), line.start);
        let cells = (0..columns.len()).filter(|place| !is_key(place)).map(|place| record[place].into());
        table.rows.insert(key, cells.collect());
    }
    // A cell whose quote is not closed takes all that follows, and is the last.
    if text[last.start..].matches('"').count() % 2 == 1 {
        fault(Code::Table, last, "a quote that is not closed".to_owned(), "a quote inside of a cell is doubled");
    } else if table.rows.is_empty() {
        fault(Code::Empty, header, "a table without any row".to_owned(), "");
    }
    Some(table)
}

/// The columns' names, which become the names of labels.
fn header_columns(report: &Report<'_>, line: &Range<usize>, record: &StringRecord) -> Option<Vec<Arc<str>>> {
    let mut columns: Vec<Arc<str>> = Vec::new();
    if record.len() > COLUMNS_MAX {
        let message = format!("{} columns, but at most {COLUMNS_MAX} are allowed", record.len());
        report.add(Diagnostic::new(Code::Limit, line.clone(), message));
        return None;
    }
    for name in record {
        if name.is_empty() {
            report.add(Diagnostic::new(Code::Table, line.clone(), "a column without a name"));
            return None;
        }
        if columns.iter().any(|known| **known == *name) {
            report.add(Diagnostic::new(Code::Repeated, line.clone(), format!("two columns are named `{name}`")));
            return None;
        }
        columns.push(name.into());
    }
    Some(columns)
}

/// Where the columns of the key stand.
fn key_positions(report: &Report<'_>, line: &Range<usize>, columns: &[Arc<str>], on: &[Arc<str>]) -> Option<Vec<usize>> {
    let names: Vec<&str> = columns.iter().map(|name| &**name).collect();
    let mut positions = Vec::new();
    for label in on {
        let Some(place) = names.iter().position(|name| *name == &**label) else {
            let hint = match nearest(label, &names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the columns are {}", listed(&names)),
            };
            report.add(Diagnostic::new(Code::Missing, line.clone(), format!("there is no column `{label}`")).hint(hint));
            continue;
        };
        positions.push(place);
    }
    (positions.len() == on.len()).then_some(positions)
}

/// The line that begins at or just behind a byte: a position may lie before the line ends that were passed over.
fn line_of(text: &str, start: usize) -> Range<usize> {
    let start = text.len() - text.get(start..).unwrap_or_default().trim_start_matches(['\r', '\n']).len();
    let line = text[start..].lines().next().unwrap_or_default();
    start..start + line.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str, on: &[&str]) -> Result<Arc<Table>, Vec<String>> {
        let files = [SourceFile { name: "t.csv".to_owned(), text: text.to_owned() }];
        let tables = Tables::new(&files, Limits { table_rows_max: 3, ..Limits::default() });
        let on: Vec<Arc<str>> = on.iter().map(|label| (*label).into()).collect();
        let table = tables.compile(&files[0], &on);
        let found = tables.finish().iter().map(|d| format!("{}:{} {}", d.line, d.column, d.message)).collect();
        table.ok_or(found)
    }

    fn row(table: &Table, labels: &[(&str, &str)]) -> String {
        let labels = Labels::from_pairs(labels.iter().copied()).unwrap();
        table.row(&labels).map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn rows_are_found_by_one_column_or_several() {
        let one =
            table("\u{feff}service, team ,tier\r\ncheckout,payments,1\r\n\r\n\"a, \"\"b\"\"\",,2\r\n", &["service"]).unwrap();
        assert_eq!(row(&one, &[("service", "checkout"), ("x", "y")]), "team=payments tier=1");
        assert_eq!(row(&one, &[("service", "a, \"b\"")]), "tier=2");
        assert_eq!(row(&one, &[("service", "none")]) + &row(&one, &[]), "");
        let two = table("team,env,host\nt1,prod,a\nt2,,a\nt3,prod,b", &["host", "env"]).unwrap();
        assert_eq!(row(&two, &[("host", "a"), ("env", "prod")]), "team=t1");
        assert_eq!(row(&two, &[("host", "a")]), "team=t2");
        assert_eq!(row(&two, &[("host", "a\0prod")]), "", "the key of two cells is not that of one");
    }

    #[test]
    fn faults_have_their_lines() {
        let cases: [(&str, &[&str]); 9] = [
            ("", &["1:1 the table is empty"]),
            ("a,a\n", &["1:1 two columns are named `a`"]),
            ("a,,b\n", &["1:1 a column without a name"]),
            ("b,c\n1,2\n", &["1:1 there is no column `a`"]),
            ("a,b\n1,2\n\n3\n4,5,6\n", &["4:1 a row of 1 cells under 2 columns", "5:1 a row of 3 cells under 2 columns"]),
            ("a,b\n1,\"x\ny\"\n2,z\n1,w\n", &["5:1 a second row for `1`"]),
            ("a,b\n1,2\n2,2\n3,3\n4,4\n", &["5:1 more than 3 rows"]),
            ("a,b\n1,\u{fffd}\n", &["2:3 the table is not UTF-8, or was damaged on its way"]),
            ("a,b\n0,1\n1,\"open\n2,x\n3,y\n1,z\n", &["3:1 a quote that is not closed"]),
        ];
        for (text, expected) in cases {
            match table(text, &["a"]) {
                Ok(table) => panic!("{text:?} is a table of {} rows", table.len()),
                Err(found) => assert_eq!(found, expected, "{text:?}"),
            }
        }
    }

    #[test]
    fn paths_are_found_in_texts_and_stay_plain() {
        let text = "x: {table: a.csv, on: [b]}\ntable: \"b/c.csv\" # d.csv\n- ../e.csv\n.csv";
        assert_eq!(mentioned(text).collect::<Vec<_>>(), ["a.csv", "b/c.csv", "d.csv", "../e.csv", ".csv"]);
        for (path, plain) in [("a/b.csv", true), (".csv", false), ("a b.csv", false), ("a.txt", false), ("a.csv.csv", false)] {
            assert_eq!(is_plain(path), plain, "{path}");
        }
        let resolved = |path| resolve(Path::new("rules/x/r.yaml"), path).map(|path| path.display().to_string());
        let cases = [
            ("o.csv", Some("rules/x/o.csv")),
            ("./y/o.csv", Some("rules/x/y/o.csv")),
            ("../o.csv", Some("rules/o.csv")),
            ("../../o.csv", Some("o.csv")),
            ("../../../o.csv", None),
            ("/etc/o.csv", None),
        ];
        for (path, expected) in cases {
            assert_eq!(resolved(path).as_deref(), expected, "{path}");
        }
    }
}
