//! The loops around short and interrupted calls, the real folder, the lock.

use std::collections::VecDeque;

use super::*;

/// What single calls answer, in turn: a count of bytes they take, or an error. All in full when it is through.
fn scripted(script: &[Result<usize, io::ErrorKind>]) -> impl FnMut(usize) -> io::Result<usize> {
    let mut script: VecDeque<_> = script.iter().copied().collect();
    move |offered| match script.pop_front() {
        Some(Ok(n)) => Ok(n.min(offered)),
        Some(Err(kind)) => Err(kind.into()),
        None => Ok(offered),
    }
}

#[test]
fn short_and_interrupted_calls_are_not_seen() {
    use io::ErrorKind::{Interrupted, WouldBlock};
    let data: Vec<u8> = (0..200).collect();
    let scripts: [&[Result<usize, io::ErrorKind>]; 5] = [
        &[],
        &[Ok(1), Ok(1), Ok(1)],
        &[Err(Interrupted), Ok(7), Err(Interrupted), Err(Interrupted), Ok(190)],
        &[Err(WouldBlock), Ok(199), Err(WouldBlock)],
        &[Ok(100), Err(Interrupted), Ok(99), Err(WouldBlock), Ok(1)],
    ];
    for script in scripts {
        let mut file = vec![0u8; 250];
        let mut take = scripted(script);
        write_fully(20, &data, |at, rest| {
            let n = take(rest.len())?;
            let at = usize::try_from(at).unwrap();
            file[at..at + n].copy_from_slice(&rest[..n]);
            Ok(n)
        })
        .unwrap();
        assert_eq!(&file[20..220], &data, "{script:?}");

        let mut take = scripted(script);
        let mut read = vec![0u8; 300];
        let n = read_fully(20, &mut read, |at, rest| {
            let at = usize::try_from(at).unwrap();
            let n = take(rest.len().min(file.len() - at))?;
            rest[..n].copy_from_slice(&file[at..at + n]);
            Ok(n)
        })
        .unwrap();
        assert_eq!((n, &read[..200]), (230, &data[..]), "{script:?}");
    }
}

#[test]
fn errors_that_stay_are_told() {
    let cases: [(Result<usize, io::ErrorKind>, io::ErrorKind); 3] = [
        (Err(io::ErrorKind::StorageFull), io::ErrorKind::StorageFull),
        (Ok(0), io::ErrorKind::WriteZero),
        (Err(io::ErrorKind::Interrupted), io::ErrorKind::Interrupted),
    ];
    for (answer, expected) in cases {
        let error = write_fully(0, b"abc", |_, _| answer.map_err(io::Error::from)).unwrap_err();
        assert_eq!(error.kind(), expected);
    }
}

#[test]
fn a_folder_keeps_files() {
    let home = tempfile::tempdir().unwrap();
    let disk = FolderDisk::open(&home.path().join("data/log")).unwrap();
    let mut file = disk.open("b", true).unwrap();
    DiskFile::write_at(&mut file, 3, b"hello").unwrap();
    DiskFile::sync(&mut file).unwrap();
    disk.open("a", true).unwrap();
    disk.rename("b", "c").unwrap();
    disk.sync_folder().unwrap();
    assert_eq!(disk.list().unwrap(), ["a", "c"]);
    disk.remove("a").unwrap();

    let looking = FolderDisk::open_read_only(&home.path().join("data/log")).unwrap();
    let mut file = looking.open("c", false).unwrap();
    let mut read = [9u8; 10];
    assert_eq!(DiskFile::read_at(&file, 0, &mut read).unwrap(), 8);
    assert_eq!(&read[..8], b"\0\0\0hello");
    assert!(DiskFile::write_at(&mut file, 0, b"x").is_err());
    assert!(looking.open("new", true).is_err());
    assert!(FolderDisk::open_read_only(&home.path().join("nowhere")).is_err());
}

#[test]
fn a_second_lock_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let first = FolderLock::take(folder.path()).unwrap();
    let error = FolderLock::take(folder.path()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    let expected = format!("{} is in use by another quell (process {})", folder.path().display(), std::process::id());
    assert_eq!(error.to_string(), expected);
    drop(first);
    FolderLock::take(folder.path()).unwrap();
}
