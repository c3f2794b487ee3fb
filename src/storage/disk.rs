//! The few file operations that durability needs, so that tests can put a failing disk in their place.

use std::io;

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
