//! `quell log verify` and `quell log dump`: looking at the log. Both only read, and may run beside the daemon.

use std::io::{self, Write};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::storage::digest::StateDigest;
use crate::storage::disk::FolderDisk;
use crate::storage::log::{LogError, LogFiles, LogItem, Record, SegmentCheck, Verification, verify_telling};
use crate::storage::record::to_json;

/// Exit code when the log is sound.
const GOOD: u8 = 0;
/// Exit code when the log is damaged or cannot be read.
const BAD: u8 = 1;
/// Exit code when there is no log.
const USAGE: u8 = 2;

/// A bar for stderr, which shows itself on a terminal only, and only once there is something to wait for.
#[must_use]
pub fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos} of {len} segments, {eta} to go");
    let bar = ProgressBar::no_length().with_message("reading");
    // The template is a constant; were it faulty, the plain bar would do.
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}

/// How a log is checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Check {
    /// The state that a sound log gives is made, too, and told as one number.
    pub state: bool,
    /// One JSON object instead of lines.
    pub json: bool,
}

/// Checks every byte of the log in the data folder `dir`: one line for each segment and a summary to `out`, each damage
/// with its file and place to `err`. `bar` shows how far it is. Answers the exit code.
///
/// # Errors
/// When `out` or `err` cannot be written.
pub fn verify(dir: &Path, how: Check, bar: &ProgressBar, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let mut tell = |done: usize, count: usize| {
        bar.set_length(count as u64);
        bar.set_position(done as u64);
    };
    let checked = open(dir).and_then(|disk| verify_telling(&disk, &mut tell)).and_then(|checked| {
        let wanted = how.state && checked.faults().next().is_none();
        let state = wanted.then(|| {
            bar.set_message("applying");
            open(dir).and_then(LogFiles::open).and_then(|files| StateDigest::of_log(&files))
        });
        Ok((checked, state.transpose()?))
    });
    bar.finish_and_clear();
    let (checked, state) = match checked {
        Ok(checked) => checked,
        Err(error) => return unopened(dir, &error, err),
    };
    let faults: Vec<String> = checked.faults().map(ToString::to_string).collect();
    if how.json {
        writeln!(out, "{}", verification_json(&checked, &faults, state))?;
    } else {
        write_table(&checked, out)?;
        for fault in &faults {
            writeln!(err, "error: {fault}")?;
        }
        let facts: u64 = checked.segments.iter().map(|segment| segment.facts).sum();
        let verdict =
            if faults.is_empty() { "sound".to_owned() } else { format!("{} damaged", counted(faults.len() as u64, "place")) };
        writeln!(out, "{}, {}: {verdict}", counted(checked.segments.len() as u64, "segment"), counted(facts, "fact"))?;
        if let Some(state) = state {
            writeln!(out, "state at sequence {}: {state}", state.seq)?;
        }
    }
    Ok(if faults.is_empty() { GOOD } else { BAD })
}

/// Prints the facts of the log in the data folder `dir` from sequence `from` on, one a line: sequence, time, kind and
/// fields; with `json` as one JSON object. Answers the exit code: 1 when damage ends it early.
///
/// # Errors
/// When `out` or `err` cannot be written.
pub fn dump(dir: &Path, from: u64, json: bool, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let mut out = io::BufWriter::new(out);
    let files = match open(dir).and_then(LogFiles::open) {
        Ok(files) => files,
        Err(error) => return unopened(dir, &error, err),
    };
    // A checkpoint is no fact, so the oldest record is the first that is of interest.
    let from = from.max(files.first_seq());
    let mut code = GOOD;
    let fail = |error: LogError, err: &mut dyn Write| writeln!(err, "error: {error}");
    match files.read(from) {
        Err(error) => {
            fail(error, err)?;
            code = BAD;
        }
        Ok(reader) => {
            for item in reader {
                match item {
                    Ok(LogItem::Record(record)) => write_record(&record, from, json, &mut out)?,
                    Ok(LogItem::Entity(_) | LogItem::Skipped(_)) => {}
                    Err(error) => {
                        fail(error, err)?;
                        code = BAD;
                    }
                }
            }
        }
    }
    out.flush()?;
    Ok(code)
}

/// The log's files in a data folder, to look at.
pub(super) fn open(dir: &Path) -> Result<FolderDisk, LogError> {
    let folder = dir.join("log");
    FolderDisk::open_read_only(&folder).map_err(|source| LogError::Io {
        what: "opening",
        file: folder.display().to_string(),
        source,
    })
}

/// Says why a log cannot be looked at; mostly, because it is somewhere else.
fn unopened(dir: &Path, error: &LogError, err: &mut dyn Write) -> io::Result<u8> {
    match error {
        LogError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound && !dir.join("log").exists() => {
            writeln!(err, "error: there is no log in {}\nhint: --data names a daemon's data directory", dir.display())?;
            Ok(USAGE)
        }
        _ => {
            writeln!(err, "error: {error}")?;
            Ok(BAD)
        }
    }
}

fn write_table(checked: &Verification, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{:<24} {:>12} {:>12} {:>10} {:>10}  state", "segment", "first", "last", "records", "checkpoint")?;
    for SegmentCheck { file, first_seq, last_seq, records, entities, fault, .. } in &checked.segments {
        let state = if fault.is_some() { "damaged" } else { "sound" };
        writeln!(out, "{file:<24} {first_seq:>12} {last_seq:>12} {records:>10} {entities:>10}  {state}")?;
    }
    Ok(())
}

fn verification_json(checked: &Verification, faults: &[String], state: Option<StateDigest>) -> Value {
    let segment = |s: &SegmentCheck| {
        json!({
            "file": s.file,
            "first_seq": s.first_seq,
            "last_seq": s.last_seq,
            "records": s.records,
            "facts": s.facts,
            "checkpoint_entities": s.entities,
            "sound": s.fault.is_none(),
        })
    };
    json!({
        "sound": faults.is_empty(),
        "segments": checked.segments.iter().map(segment).collect::<Vec<_>>(),
        "faults": faults,
        "state": state.map(|state| json!({ "seq": state.seq, "digest": state.to_string() })),
    })
}

fn write_record(record: &Record, from: u64, json: bool, out: &mut dyn Write) -> io::Result<()> {
    for (seq, fact) in (record.first_seq..).zip(&record.facts).filter(|(seq, _)| *seq >= from) {
        let mut fields = to_json(fact);
        if let Value::Object(members) = &mut fields {
            if json {
                members.insert("seq".to_owned(), Value::from(seq));
                members.insert("at".to_owned(), Value::from(record.time.to_rfc3339()));
            } else {
                members.remove("kind");
            }
        }
        if json {
            writeln!(out, "{fields}")?;
        } else {
            writeln!(out, "{seq:>10}  {}  {:<24}  {fields}", record.time, fact.kind())?;
        }
    }
    Ok(())
}

/// `1 fact`, `2 facts`.
fn counted(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Fact;
    use crate::model::{Actor, IncidentId, Time};
    use crate::storage::log::{Log, LogOptions};

    /// A data folder with three facts in two records.
    fn data() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let disk = FolderDisk::open(&home.path().join("log")).unwrap();
        let (mut log, _) = Log::open(disk, LogOptions { segment_bytes: 4096 }).unwrap();
        let at = Time(1_767_571_200_000);
        log.append(1, at, &[Fact::Created { directory: "demo".into() }]);
        let incident = IncidentId(7);
        let comment = Fact::IncidentCommented { incident, text: "on it".into(), by: Actor::Person("ana".into()) };
        log.append(2, at, &[Fact::IncidentWithoutPolicy { incident }, comment]);
        log.commit().unwrap();
        home
    }

    /// What a command prints: exit code, out, err.
    fn run(command: impl FnOnce(&mut dyn Write, &mut dyn Write) -> io::Result<u8>) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = command(&mut out, &mut err).unwrap();
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn dump_prints_one_fact_a_line() {
        let home = data();
        let (code, out, err) = run(|out, err| dump(home.path(), 0, true, out, err));
        assert_eq!((code, err.as_str()), (0, ""));
        assert_eq!(
            out,
            concat!(
                r#"{"at":"2026-01-05T00:00:00.000Z","directory":"demo","kind":"created","seq":1}"#,
                "\n",
                r#"{"at":"2026-01-05T00:00:00.000Z","incident":"INC-7","kind":"incident_without_policy","seq":2}"#,
                "\n",
                r#"{"at":"2026-01-05T00:00:00.000Z","by":{"person":"ana"},"incident":"INC-7","kind":"incident_commented","seq":3,"text":"on it"}"#,
                "\n",
            )
        );
        let (_, out, _) = run(|out, err| dump(home.path(), 3, false, out, err));
        let expected = r#"{"by":{"person":"ana"},"incident":"INC-7","text":"on it"}"#;
        assert_eq!(out, format!("         3  2026-01-05T00:00:00.000Z  {:<24}  {expected}\n", "incident_commented"));
    }

    #[test]
    fn verify_says_what_is_sound_and_names_what_is_not() {
        let home = data();
        let bar = ProgressBar::hidden();
        let (code, out, err) = run(|out, err| verify(home.path(), Check::default(), &bar, out, err));
        assert_eq!((code, err.as_str()), (0, ""));
        assert_eq!((bar.position(), bar.length()), (1, Some(1)));
        assert!(out.ends_with("1 segment, 3 facts: sound\n"), "{out}");

        std::fs::write(home.path().join("log/notes.txt"), "x").unwrap();
        let (code, out, err) = run(|out, err| verify(home.path(), Check::default(), &bar, out, err));
        assert_eq!((code, err.as_str()), (1, "error: notes.txt does not belong in the log folder\n"));
        assert!(out.ends_with("1 segment, 3 facts: 1 place damaged\n"), "{out}");

        let how = Check { state: true, json: true };
        let (code, out, _) = run(|out, err| verify(home.path(), how, &bar, out, err));
        let read: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &read["sound"], &read["segments"][0]["facts"]), (1, &json!(false), &json!(3)));
        assert_eq!(read["state"], Value::Null, "damage gives no state");
    }

    #[test]
    fn the_state_of_a_sound_log_is_one_number() {
        let home = data();
        let bar = ProgressBar::hidden();
        let told = |how: Check| run(|out, err| verify(home.path(), how, &bar, out, err));
        let (code, out, err) = told(Check { state: true, json: false });
        assert_eq!((code, err.as_str()), (0, ""));
        let (_, number) = out.trim_end().rsplit_once("state at sequence 3: ").expect("the number at the end");
        assert!(number.len() == 32 && number.bytes().all(|b| b.is_ascii_hexdigit()), "{out}");
        let read: Value = serde_json::from_str(&told(Check { state: true, json: true }).1).unwrap();
        assert_eq!(read["state"], json!({ "seq": 3, "digest": number }));
        assert!(!told(Check::default()).1.contains("state at"), "only where it is asked for");
    }

    #[test]
    fn a_folder_without_log_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let told = [
            run(|out, err| verify(home.path(), Check::default(), &ProgressBar::hidden(), out, err)),
            run(|out, err| dump(home.path(), 0, false, out, err)),
        ];
        for (code, out, err) in told {
            assert_eq!((code, out.as_str()), (2, ""));
            assert!(err.starts_with("error: there is no log in ") && err.contains("--data"), "{err}");
        }
    }
}
