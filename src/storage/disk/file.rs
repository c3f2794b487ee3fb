//! A file of the real disk.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use rustix::fs::OFlags;

use super::{BLOCK_BYTES, DiskFile, read_fully, write_fully};

/// A file of a [`FolderDisk`](super::FolderDisk).
///
/// Whole blocks are written past the system's cache. What is synced at once would only be copied there and be looked up again:
/// a tenth of what the engine's thread spends on new alerts. Everything else goes by the cache, reading too.
#[derive(Debug)]
pub struct FolderFile {
    file: File,
    direct: Direct,
}

/// The same file, opened so that writes pass the cache.
#[derive(Debug)]
enum Direct {
    /// Until the first whole blocks are written.
    NotTried,
    Open(File),
    /// The file system does not do this.
    Unable,
}

impl FolderFile {
    pub(super) fn new(file: File) -> FolderFile {
        FolderFile { file, direct: Direct::NotTried }
    }

    /// Writes past the cache; `false` where that cannot be done, and then nothing is wrong.
    fn write_directly(&mut self, offset: u64, data: &[u8]) -> io::Result<bool> {
        if matches!(self.direct, Direct::NotTried) {
            // By its number, since its name may have changed.
            let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let flags = OFlags::DIRECT.bits().cast_signed();
            let opened = OpenOptions::new().write(true).custom_flags(flags).open(path);
            self.direct = opened.map_or(Direct::Unable, Direct::Open);
        }
        let Direct::Open(file) = &self.direct else { return Ok(false) };
        match write_fully(offset, data, |at, rest| file.write_at(rest, at)) {
            // So says a device of larger blocks, or a file system that finds this out late.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.direct = Direct::Unable;
                Ok(false)
            }
            written => written.map(|()| true),
        }
    }
}

/// Whether a write is one of whole blocks, from memory that the device can read itself.
fn is_of_blocks(offset: u64, data: &[u8]) -> bool {
    let is_multiple = |number: usize| number.is_multiple_of(BLOCK_BYTES);
    offset.is_multiple_of(BLOCK_BYTES as u64) && is_multiple(data.len()) && is_multiple(data.as_ptr().addr())
}

impl DiskFile for FolderFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        read_fully(offset, buf, |at, rest| self.file.read_at(rest, at))
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        if is_of_blocks(offset, data) && self.write_directly(offset, data)? {
            return Ok(());
        }
        write_fully(offset, data, |at, rest| self.file.write_at(rest, at))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }
}
