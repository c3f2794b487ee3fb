//! What is kept, what falls out, and what a disk that fails or a file that is damaged takes with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::storage::disk::{DiskFile, FolderDisk};

const T0: Time = Time(1_800_000_000_000);

fn open(folder: &std::path::Path, count_max: usize, bytes_max: u64) -> Rejects<FolderDisk> {
    let (rejects, damaged) = Rejects::open(FolderDisk::open(folder).unwrap(), count_max, bytes_max).unwrap();
    assert_eq!(damaged, Vec::<String>::new());
    rejects
}

fn verdict(error: &str) -> Verdict {
    Verdict { error: error.to_owned(), failed: vec![0], alerts: 1 }
}

fn bodies<D: Disk>(rejects: &Rejects<D>) -> Vec<String> {
    rejects.iter().map(|it| rejects.body(&it.id).unwrap().unwrap()).collect()
}

#[test]
fn what_is_kept_is_there_after_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut rejects = open(folder.path(), 10, 1_000);
    let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
    let first = rejects.keep("a", "line\nline \u{fc}", headers.clone(), verdict("no"), T0).unwrap();
    assert_eq!(first, Kept { id: "1800000000000-0000".into(), again: false, fallen_out: vec![] });
    let second = rejects.keep("b", "line\nline \u{fc}", vec![], verdict("no"), T0).unwrap();
    assert_eq!(second.id, "1800000000000-0001", "another source's is another message");
    let again =
        rejects.keep("a", "line\nline \u{fc}", headers.clone(), verdict("still no"), T0 + crate::model::Millis(5)).unwrap();
    assert_eq!((again.id.as_str(), again.again), (first.id.as_str(), true));

    let mut rejects = open(folder.path(), 10, 1_000);
    let read = rejects.get(&first.id).unwrap().clone();
    assert_eq!((read.times, read.first_at, read.last_at), (2, T0, Time(T0.0 + 5)));
    assert_eq!((&*read.error, &read.headers, read.bytes), ("still no", &headers, 12));
    assert_eq!(rejects.body(&first.id).unwrap().unwrap(), "line\nline \u{fc}");
    rejects.amend(&first.id, Verdict { error: "other".into(), failed: vec![1, 2], alerts: 3 }).unwrap();
    assert_eq!(rejects.remove(&[second.id, "1-1".into()]).unwrap().len(), 1);
    // The clock was set back: no id comes again.
    let third = rejects.keep("c", "x", vec![], verdict("no"), Time(5)).unwrap();
    assert_eq!(third.id, "1800000000000-0002");
    let rejects = open(folder.path(), 10, 1_000);
    let left: Vec<(&str, &str, &[usize])> = rejects.iter().map(|it| (&*it.source, &*it.error, &*it.failed)).collect();
    assert_eq!(left, [("a", "other", &[1, 2][..]), ("c", "no", &[0])]);
    assert_eq!(rejects.body("../../etc/passwd").unwrap(), None);
}

#[test]
fn the_oldest_of_who_has_most_falls_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut rejects = open(folder.path(), 4, 100);
    // (source, body, what falls out)
    let steps: [(&str, &str, &[&str]); 8] = [
        ("quiet", "q1", &[]),
        ("loud", "l1", &[]),
        ("loud", "l2", &[]),
        ("loud", "l3", &[]),
        ("loud", "l4", &["l1"]),
        ("loud", "l5", &["l2"]),
        ("large", &"x".repeat(97), &["l3"]),
        ("other", "yyyyy", &["xxx"]),
    ];
    for (ms, (source, body, expected)) in (0..).zip(steps) {
        let before = bodies(&rejects);
        let kept = rejects.keep(source, body, vec![], verdict("no"), Time(T0.0 + ms)).unwrap();
        let after = bodies(&rejects);
        let gone: Vec<&str> = before.iter().filter(|body| !after.contains(body)).map(|body| &body[..body.len().min(3)]).collect();
        // The large one needs more room than the first that goes gives.
        if source == "large" {
            assert!(gone.contains(&"l3") && after.len() == 2, "{gone:?} {after:?}");
        } else {
            assert_eq!(gone, expected, "{body}");
        }
        assert_eq!(kept.fallen_out.len(), gone.len());
        assert_eq!(open(folder.path(), 4, 100).iter().count(), after.len(), "the disk has no more than we know of");
    }
    let error = rejects.keep("large", &"x".repeat(101), vec![], verdict("no"), T0).unwrap_err();
    assert!(matches!(error, KeepError::TooLarge(100)), "{error}");
}

#[test]
fn a_damaged_file_is_named_and_left() {
    let folder = tempfile::tempdir().unwrap();
    let mut rejects = open(folder.path(), 10, 1_000);
    for (ms, body) in (0..).zip(["one", "two", "three", "four"]) {
        rejects.keep("a", body, vec![], verdict("no"), Time(T0.0 + ms)).unwrap();
    }
    let path = |ms: i64| folder.path().join(format!("{}-0000.reject", T0.0 + ms));
    let edit = |ms, from: &str, to: &str| {
        let text = std::fs::read_to_string(path(ms)).unwrap();
        std::fs::write(path(ms), text.replacen(from, to, 1)).unwrap();
    };
    edit(0, "\none", "\nonX");
    edit(1, "\"version\":1", "\"version\":2");
    std::fs::write(path(2), "").unwrap();
    std::fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    std::fs::write(folder.path().join(UNFINISHED), "half").unwrap();
    let (rejects, damaged) = Rejects::open(FolderDisk::open(folder.path()).unwrap(), 10, 1_000).unwrap();
    assert_eq!(bodies(&rejects), ["four"]);
    let expected = [
        "its body is not what was kept",
        "is of version 2, and this program knows 1",
        "has no first line",
        "does not belong here",
    ];
    assert_eq!(damaged.len(), expected.len(), "{damaged:?}");
    for (damaged, expected) in damaged.iter().zip(expected) {
        assert!(damaged.ends_with(expected), "{damaged}");
    }
    assert!(path(0).exists() && !folder.path().join(UNFINISHED).exists());
    // One that is damaged while we run is told when it is asked for.
    edit(3, "\nfour", "\nfoul");
    assert_eq!(rejects.body(&format!("{}-0000", T0.0 + 3)).unwrap_err().kind(), io::ErrorKind::InvalidData);
}

/// A disk on which so many calls that change something work, and no more.
struct Failing {
    disk: FolderDisk,
    left: Arc<AtomicI64>,
}

struct FailingFile {
    file: std::fs::File,
    left: Arc<AtomicI64>,
}

fn may(left: &AtomicI64) -> io::Result<()> {
    if left.fetch_sub(1, Ordering::Relaxed) > 0 { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
}

impl Disk for Failing {
    type File = FailingFile;

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn open(&self, name: &str, create: bool) -> io::Result<FailingFile> {
        Ok(FailingFile { file: self.disk.open(name, create)?, left: self.left.clone() })
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        may(&self.left)?;
        self.disk.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        may(&self.left)?;
        self.disk.remove(name)
    }
    fn sync_folder(&self) -> io::Result<()> {
        may(&self.left)?;
        self.disk.sync_folder()
    }
}

impl DiskFile for FailingFile {
    fn len(&self) -> io::Result<u64> {
        DiskFile::len(&self.file)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        DiskFile::read_at(&self.file, offset, buf)
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        // A full disk takes the beginning.
        may(&self.left).inspect_err(|_| drop(DiskFile::write_at(&mut self.file, offset, &data[..data.len() / 2])))?;
        DiskFile::write_at(&mut self.file, offset, data)
    }
    fn sync(&mut self) -> io::Result<()> {
        may(&self.left)?;
        DiskFile::sync(&mut self.file)
    }
    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        DiskFile::set_len(&mut self.file, bytes)
    }
}

/// Whatever call fails: what was kept before is whole, and what was said to be kept is there.
#[test]
fn a_disk_that_fails_takes_nothing_that_was_kept() {
    let mut failures = 0;
    for calls in 0..12 {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), 2, 1_000).keep("a", "old", vec![], verdict("no"), T0).unwrap();
        let left = Arc::new(AtomicI64::new(calls));
        let disk = Failing { disk: FolderDisk::open(folder.path()).unwrap(), left: left.clone() };
        let (mut rejects, _) = Rejects::open(disk, 2, 1_000).unwrap();
        let new = rejects.keep("a", "new", vec![], verdict("no"), Time(T0.0 + 1));
        let again = rejects.keep("a", "old", vec![], verdict("again"), Time(T0.0 + 2));
        failures += usize::from(new.is_err()) + usize::from(again.is_err());
        left.store(i64::MAX, Ordering::Relaxed);
        let rejects = open(folder.path(), 2, 1_000);
        let there = bodies(&rejects);
        assert_eq!(there[0], "old", "after {calls} calls");
        assert!(new.is_err() || there.contains(&"new".to_owned()), "after {calls} calls");
        assert!(again.is_err() || rejects.iter().next().unwrap().times == 2, "after {calls} calls");
    }
    assert!(failures > 4, "the test shows nothing");
}
