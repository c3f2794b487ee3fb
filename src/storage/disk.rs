//! The few file operations that durability needs, so that tests can put a failing disk in their place.
//!
//! Owns the real disk ([`FolderDisk`]) and the lock against a second daemon ([`FolderLock`]). Knows nothing of logs.

mod lock;

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub use lock::FolderLock;

/// A folder of files.
pub trait Disk: Send + 'static {
    /// An open file.
    type File: DiskFile;

    /// The names of all files, sorted.
    ///
    /// # Errors
    /// What the disk says.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file for reading and writing; makes it when `create`.
    ///
    /// # Errors
    /// What the disk says.
    fn open(&self, name: &str, create: bool) -> io::Result<Self::File>;
    /// # Errors
    /// What the disk says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// # Errors
    /// What the disk says.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    ///
    /// # Errors
    /// What the disk says.
    fn sync_folder(&self) -> io::Result<()>;
}

/// An open file, written and read at offsets.
#[expect(clippy::len_without_is_empty, reason = "nobody asks whether a segment file is empty")]
pub trait DiskFile: Send {
    /// # Errors
    /// What the disk says.
    fn len(&self) -> io::Result<u64>;
    /// Reads up to `buf.len()` bytes; fewer only at the end of the file.
    ///
    /// # Errors
    /// What the disk says.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `data`; short writes and interruptions are handled inside.
    ///
    /// # Errors
    /// What the disk says.
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Makes written data durable (fdatasync). After a failure the file must not be trusted any more.
    ///
    /// # Errors
    /// What the disk says.
    fn sync(&mut self) -> io::Result<()>;
    /// # Errors
    /// What the disk says.
    fn set_len(&mut self, bytes: u64) -> io::Result<()>;
}

/// The name that a file has until all of it is on disk.
pub const UNFINISHED: &str = "unfinished";

/// Writes a file as a whole: whatever happens meanwhile, it has the old bytes or the new ones, and is durable on return. One
/// at a time in a folder.
///
/// # Errors
/// What the disk says. The old file, if there was one, is still there then, or the new one is.
pub fn replace<D: Disk>(disk: &D, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = disk.open(UNFINISHED, true)?;
    file.set_len(0)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    disk.rename(UNFINISHED, name)?;
    disk.sync_folder()
}

/// All bytes of a file.
///
/// # Errors
/// What the disk says; of kind `NotFound` where there is none.
pub fn read_whole<D: Disk>(disk: &D, name: &str) -> io::Result<Vec<u8>> {
    let file = disk.open(name, false)?;
    let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// A folder of the real disk. Its files are for their owner's eyes only: alerts may name what others must not know.
#[derive(Clone, Debug)]
pub struct FolderDisk {
    folder: PathBuf,
    writable: bool,
}

/// Permissions of a folder that is made here.
const FOLDER_MODE: u32 = 0o750;
/// Permissions of a file that is made here.
const FILE_MODE: u32 = 0o640;

impl FolderDisk {
    /// Opens the folder, making it and those above it where they are missing.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(folder: &Path) -> io::Result<FolderDisk> {
        let mut missing: Vec<&Path> = Vec::new();
        for above in folder.ancestors() {
            if above.as_os_str().is_empty() || above.exists() {
                break;
            }
            missing.push(above);
        }
        std::fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
        for made in missing {
            // A new folder is durable when the one that names it is.
            let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(parent)?.sync_all()?;
        }
        Ok(FolderDisk { folder: folder.to_owned(), writable: true })
    }

    /// Opens an existing folder to look at, changing nothing.
    ///
    /// # Errors
    /// When it does not exist or is no folder.
    pub fn open_read_only(folder: &Path) -> io::Result<FolderDisk> {
        std::fs::read_dir(folder)?;
        Ok(FolderDisk { folder: folder.to_owned(), writable: false })
    }
}

impl Disk for FolderDisk {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn open(&self, name: &str, create: bool) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(self.writable).create(create && self.writable).truncate(false).mode(FILE_MODE);
        options.open(self.folder.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.folder.join(name))
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

impl DiskFile for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        read_fully(offset, buf, |at, rest| FileExt::read_at(self, rest, at))
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        write_fully(offset, data, |at, rest| FileExt::write_at(self, rest, at))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        File::set_len(self, bytes)
    }
}

/// Calls in a row that may be interrupted or told to come again before that counts as a failure.
const INTERRUPTIONS_MAX: u32 = 10_000;

/// Reads until `buf` is full or the file ends, however short the single reads are.
fn read_fully(offset: u64, buf: &mut [u8], mut read: impl FnMut(u64, &mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match patiently(|| read(offset + done as u64, &mut buf[done..]))? {
            0 => break,
            n => done += n,
        }
    }
    Ok(done)
}

/// Writes until all of `data` is taken, however short the single writes are.
fn write_fully(offset: u64, data: &[u8], mut write: impl FnMut(u64, &[u8]) -> io::Result<usize>) -> io::Result<()> {
    let mut done = 0;
    while done < data.len() {
        match patiently(|| write(offset + done as u64, &data[done..]))? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => done += n,
        }
    }
    Ok(())
}

/// Calls again what was interrupted (EINTR) or told to come again (EAGAIN).
fn patiently(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    let mut interruptions = 0;
    loop {
        match call() {
            Err(e) if matches!(e.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
                interruptions += 1;
                if interruptions > INTERRUPTIONS_MAX {
                    return Err(e);
                }
            }
            other => return other,
        }
    }
}
