//! The file itself: while it is written, when it is damaged or of another version, and for people.

use super::*;

#[test]
fn a_reader_sees_whole_writes_while_the_writer_writes() {
    let mut fixture = Fixture::new();
    let two = Changes { incidents: (1..=2).map(|id| Arc::new(incident(id))).collect(), ..Changes::default() };
    fixture.view.write(&[batch(1, vec![commented("x")], two)]).unwrap();
    let reader = fixture.reader();
    let titles = |reader: &ViewReader| -> Vec<String> {
        reader.incidents(None, 10, &mut |_| true).unwrap().iter().map(|incident| incident.title.to_string()).collect()
    };
    let retitled = |id| Arc::new(changed(id, |it| it.title = "later".into()));
    let later = Changes { incidents: (1..=3).map(retitled).collect(), ..Changes::default() };
    let mut later = Some(batch(2, vec![commented("y")], later));
    let mut walked = Vec::new();
    let view = &mut fixture.view;
    // In the middle of the reader's walk the incident is changed that it comes to next, and one is added.
    let walk = reader.incidents(None, 10, &mut |incident| {
        if let Some(later) = later.take() {
            view.write(&[later]).unwrap();
        }
        walked.push(incident.title.to_string());
        true
    });
    assert_eq!(walk.unwrap().len(), 2);
    assert_eq!(walked, ["Replication is late"; 2]);
    assert_eq!(titles(&reader), ["later"; 3]);
}

#[test]
fn a_checkpoint_empties_the_write_ahead_file() {
    let mut fixture = Fixture::new();
    fixture.view.write(&two_commits()).unwrap();
    let wal = fixture.path.with_extension("db-wal");
    assert!(std::fs::metadata(&wal).unwrap().len() > 0);
    fixture.view.checkpoint().unwrap();
    assert_eq!(std::fs::metadata(&wal).unwrap().len(), 0);
    assert_eq!(fixture.reader().incident(IncidentId(1)).unwrap().unwrap(), incident(1));
}

#[test]
fn what_is_no_view_of_this_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("view.db");
    let sql = |statements: &str| rusqlite::Connection::open(&path).unwrap().execute_batch(statements).unwrap();
    let refused = |what: &str| {
        let error = View::open(&path).map(drop).unwrap_err();
        assert!(ViewReader::open(&path).is_err(), "{what}");
        error.to_string()
    };
    assert!(ViewReader::open(&path).is_err(), "a reader makes no file");

    drop(View::open(&path).unwrap());
    sql("PRAGMA user_version = 99");
    assert!(refused("newer").contains("schema 99"));

    std::fs::remove_file(&path).unwrap();
    sql("CREATE TABLE somebody_elses (x)");
    assert!(refused("foreign").contains("schema 0"));
    assert_eq!(
        rusqlite::Connection::open(&path).unwrap().query_row("SELECT count(*) FROM somebody_elses", [], |row| row.get(0)),
        Ok(0)
    );

    std::fs::write(&path, "this is no database, and long enough that SQLite does not take it for an empty one").unwrap();
    assert!(refused("damaged").contains("not a database"));
}

#[test]
fn a_damaged_record_is_named() {
    let mut fixture = Fixture::new();
    for commit in &two_commits() {
        fixture.view.write(std::slice::from_ref(commit)).unwrap();
    }
    let other = rusqlite::Connection::open(&fixture.path).unwrap();
    other.execute_batch("UPDATE alert SET state = x'ff' WHERE fired_seq = 1").unwrap();
    let error = fixture.view.load(&mut |_| ()).unwrap_err();
    assert!(matches!(error, ViewError::Record { table: "alert", row: 1, .. }), "{error}");
    other.execute_batch("UPDATE alert_block SET record_version = 99").unwrap();
    let error = fixture.view.load(&mut |_| ()).unwrap_err();
    assert!(matches!(error, ViewError::Record { table: "alert_block", row: 1, .. }), "{error}");
    other.execute_batch("UPDATE timeline_block SET entries = '['").unwrap();
    let error = fixture.reader().timeline(IncidentId(1), 0, 10).unwrap_err();
    assert!(matches!(error, ViewError::Timeline { incident: 1, .. }), "{error}");
}

#[test]
fn people_can_read_the_file() {
    let mut fixture = Fixture::new();
    fixture.view.write(&two_commits()).unwrap();
    let cases = [
        (
            "SELECT group_concat(name || ' ' || status || ' ' || fingerprint || ' ' || starts_at, ', ') FROM alerts WHERE status = 'resolved'",
            format!("HighLatency resolved {} 2026-01-05T00:00:00.000Z", fingerprint("a")),
        ),
        (
            "SELECT id || ' P' || priority || ' ' || team || ' ' || title FROM incidents",
            "INC-1 P2 dba Replication is late".into(),
        ),
        (
            "SELECT at || ' ' || kind || ' ' || text || ' ' || actor FROM timeline WHERE incident = 'INC-1' AND seq = 3",
            "2026-01-05T00:00:03.000Z incident_commented ann: on it ann".into(),
        ),
        ("SELECT reason FROM timeline WHERE seq = 1", r#"{"rule":"database-cluster","file":"database.yaml","line":12}"#.into()),
        (
            "SELECT receiver || ' ' || state || ' ' || created_at FROM notifications",
            "dba-pager queued 2026-01-05T00:00:00.000Z".into(),
        ),
        ("SELECT comment || ' ' || ends_at FROM silences", "switch is replaced 2026-01-05T02:00:00.000Z".into()),
    ];
    for (sql, expected) in cases {
        assert_eq!(fixture.ask(sql), [format!("{:?}", rusqlite::types::Value::Text(expected))], "{sql}");
    }
}
