//! The lock that keeps a second daemon out of a data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Held as long as this lives; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// The file within the data folder. It holds the process id of its holder, for people.
const LOCK_FILE: &str = "lock";

impl FolderLock {
    /// Locks an existing folder.
    ///
    /// # Errors
    /// Of kind `WouldBlock`, naming the folder and the other process, when the folder is taken; else what the disk says.
    pub fn take(folder: &Path) -> io::Result<FolderLock> {
        let path = folder.join(LOCK_FILE);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o640).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = holder(&mut file).map_or(String::new(), |pid| format!(" (process {pid})"));
                let text = format!("{} is in use by another quell{holder}", folder.display());
                return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
            }
            Err(TryLockError::Error(e)) => return Err(e),
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(FolderLock { _file: file })
    }
}

/// The process id in the lock file, where it has one.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
