//! A disk that keeps what is synced apart from what is not, that can fail any operation, and whose power can go at any
//! moment: then un-synced writes are dropped, torn at sectors and reordered, and so are un-synced changes of the folder.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use quell::storage::disk::{Disk, DiskFile};

use crate::random::Random;

/// What is written as a whole or not at all.
const SECTOR_BYTES: usize = 512;

/// The disk; clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

/// An open file.
pub(crate) struct SimFile {
    disk: SimDisk,
    id: usize,
}

/// Kinds of operations, to choose which shall fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    List,
    Open,
    Rename,
    Remove,
    SyncFolder,
    Len,
    Read,
    Write,
    Sync,
    SetLen,
}

#[derive(Default)]
struct State {
    files: Vec<Inode>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    folder_changes: Vec<FolderChange>,
    /// Operations done since the disk was made.
    operations: u64,
    /// The operation, by number, that fails, and how.
    fail: Option<(u64, io::ErrorKind)>,
    /// The operation, by number, at which the power goes.
    power_cut_at: Option<u64>,
    off: bool,
    /// Bytes that all files together may have.
    capacity: Option<usize>,
    /// Kinds of the operations that were made to fail.
    failed: Vec<Op>,
}

#[derive(Default)]
struct Inode {
    now: Vec<u8>,
    synced: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    SetLen(usize),
}

#[derive(Clone)]
enum FolderChange {
    Put { name: String, id: usize },
    Rename { from: String, to: String, id: usize },
    Remove { name: String },
}

impl SimDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether the power is off.
    pub(crate) fn is_off(&self) -> bool {
        self.state().off
    }

    /// Operations done so far.
    pub(crate) fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Lets the `n`-th operation from now on fail.
    pub(crate) fn fail_operation(&self, n: u64, kind: io::ErrorKind) {
        let mut state = self.state();
        state.fail = Some((state.operations + n, kind));
    }

    /// The operations that were made to fail.
    pub(crate) fn failed(&self) -> Vec<Op> {
        self.state().failed.clone()
    }

    /// Lets the power go at the `n`-th operation from now on.
    pub(crate) fn cut_power_at(&self, n: u64) {
        let mut state = self.state();
        state.power_cut_at = Some(state.operations + n);
    }

    /// Limits the bytes that all files together may have; `None` gives space again.
    pub(crate) fn set_capacity(&self, bytes: Option<usize>) {
        self.state().capacity = bytes;
    }

    /// Bytes of all files that have a name.
    pub(crate) fn used_bytes(&self) -> usize {
        let state = self.state();
        state.used_bytes()
    }

    /// The power goes, if it has not yet, and comes back: of what was not synced, any part may have reached the disk.
    pub(crate) fn power_cycle(&self, random: &mut Random) {
        let mut state = self.state();
        for file in &mut state.files {
            file.settle(random);
        }
        let changes = std::mem::take(&mut state.folder_changes);
        let keep_all = random.one_in(4);
        for change in changes {
            if keep_all || random.one_in(2) {
                change.apply(&mut state.synced_names);
            }
        }
        state.names = state.synced_names.clone();
        state.off = false;
        state.power_cut_at = None;
        state.fail = None;
        state.capacity = None;
    }

    /// What was planned to go wrong does not.
    pub(crate) fn clear_plans(&self) {
        let mut state = self.state();
        state.fail = None;
        state.power_cut_at = None;
    }

    /// The process is killed; the system lives on, so nothing is lost.
    pub(crate) fn kill_process(&self) {
        let mut state = self.state();
        state.fail = None;
        state.off = false;
        state.power_cut_at = None;
        state.capacity = None;
    }

    /// A disk of its own with the same content, everything synced.
    pub(crate) fn copy(&self) -> SimDisk {
        let copy = SimDisk::default();
        {
            let (from, mut to) = (self.state(), copy.state());
            for (name, id) in &from.names {
                let bytes = from.files[*id].now.clone();
                let id = to.files.len();
                to.files.push(Inode { synced: bytes.clone(), now: bytes, changes: Vec::new() });
                to.names.insert(name.clone(), id);
                to.synced_names.insert(name.clone(), id);
            }
        }
        copy
    }

    /// Changes a file's bytes behind everybody's back.
    pub(crate) fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let id = state.names[name];
        let file = &mut state.files[id];
        edit(&mut file.now);
        file.synced.clone_from(&file.now);
    }

    /// A file's bytes.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.files[state.names[name]].now.clone()
    }

    /// Makes a file with these bytes.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        let id = state.files.len();
        state.files.push(Inode { synced: bytes.clone(), now: bytes, changes: Vec::new() });
        state.names.insert(name.to_owned(), id);
        state.synced_names.insert(name.to_owned(), id);
    }
}

impl State {
    /// Counts an operation; says how it fails, if it shall.
    fn begin(&mut self, op: Op) -> io::Result<()> {
        if self.off {
            return Err(io::Error::other("the power is off"));
        }
        self.operations += 1;
        if self.power_cut_at.is_some_and(|at| self.operations >= at) {
            self.off = true;
        }
        if let Some((at, kind)) = self.fail
            && self.operations == at
        {
            self.failed.push(op);
            return Err(kind.into());
        }
        Ok(())
    }

    /// Ends an operation that changed something: when the power went, nobody hears that it was done.
    fn end(&self) -> io::Result<()> {
        if self.off { Err(io::Error::other("the power went")) } else { Ok(()) }
    }

    fn used_bytes(&self) -> usize {
        self.names.values().map(|id| self.files[*id].now.len()).sum()
    }
}

impl Inode {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.changes.push(change);
    }

    /// What a power cut leaves: any part of the changes since the last sync, in any order, whole sectors each.
    fn settle(&mut self, random: &mut Random) {
        let mut parts = Vec::new();
        let fate = random.below(4);
        for change in self.changes.drain(..) {
            match change {
                Change::Write { offset, data } => {
                    let mut at = 0;
                    while at < data.len() {
                        let to_edge = SECTOR_BYTES - (offset + at) % SECTOR_BYTES;
                        let n = to_edge.min(data.len() - at);
                        parts.push(Change::Write { offset: offset + at, data: data[at..at + n].to_vec() });
                        at += n;
                    }
                }
                set_len @ Change::SetLen(_) => parts.push(set_len),
            }
        }
        match fate {
            0 => parts.clear(),
            1 => parts.truncate(usize::try_from(random.below(parts.len() as u64 + 1)).unwrap()),
            2 => parts.retain(|_| random.one_in(2)),
            _ => {}
        }
        for part in parts {
            part.apply(&mut self.synced);
        }
        self.now = self.synced.clone();
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write { offset, data } => {
                let end = offset + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(data);
            }
            Change::SetLen(len) => bytes.resize(*len, 0),
        }
    }
}

impl FolderChange {
    fn apply(self, names: &mut BTreeMap<String, usize>) {
        match self {
            FolderChange::Put { name, id } => {
                names.insert(name, id);
            }
            FolderChange::Rename { from, to, id } => {
                if names.get(&from) == Some(&id) {
                    names.remove(&from);
                }
                names.insert(to, id);
            }
            FolderChange::Remove { name } => {
                names.remove(&name);
            }
        }
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.begin(Op::List)?;
        Ok(state.names.keys().cloned().collect())
    }

    fn open(&self, name: &str, create: bool) -> io::Result<SimFile> {
        let mut state = self.state();
        state.begin(Op::Open)?;
        let id = match state.names.get(name) {
            Some(id) => *id,
            None if create => {
                let id = state.files.len();
                state.files.push(Inode::default());
                state.names.insert(name.to_owned(), id);
                state.folder_changes.push(FolderChange::Put { name: name.to_owned(), id });
                id
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        state.end()?;
        Ok(SimFile { disk: self.clone(), id })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.begin(Op::Rename)?;
        let id = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), id);
        state.folder_changes.push(FolderChange::Rename { from: from.to_owned(), to: to.to_owned(), id });
        state.end()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.begin(Op::Remove)?;
        state.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.folder_changes.push(FolderChange::Remove { name: name.to_owned() });
        state.end()
    }

    fn sync_folder(&self) -> io::Result<()> {
        let mut state = self.state();
        state.begin(Op::SyncFolder)?;
        state.end()?;
        state.folder_changes.clear();
        state.synced_names = state.names.clone();
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.begin(Op::Len)?;
        Ok(state.files[self.id].now.len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.begin(Op::Read)?;
        let bytes = &state.files[self.id].now;
        let from = usize::try_from(offset).unwrap().min(bytes.len());
        let n = buf.len().min(bytes.len() - from);
        buf[..n].copy_from_slice(&bytes[from..from + n]);
        Ok(n)
    }

    /// A write that fails has done a part of its work.
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let begun = state.begin(Op::Write);
        let offset = usize::try_from(offset).unwrap();
        let growth = (offset + data.len()).saturating_sub(state.files[self.id].now.len());
        let free = state.capacity.map_or(usize::MAX, |capacity| capacity.saturating_sub(state.used_bytes()));
        let mut taken = data.len();
        if begun.is_err() {
            taken /= 2;
        }
        if growth > free {
            taken = taken.min((data.len() - growth + free).min(data.len()));
        }
        if !(state.off && begun.is_err()) && taken > 0 {
            state.files[self.id].change(Change::Write { offset, data: data[..taken].to_vec() });
        }
        begun?;
        state.end()?;
        if taken < data.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// A sync that fails has lost what it should have made durable, and says so only once, as Linux does.
    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        if let Err(e) = state.begin(Op::Sync) {
            if !state.off {
                state.files[self.id].changes.clear();
            }
            return Err(e);
        }
        state.end()?;
        let file = &mut state.files[self.id];
        for change in std::mem::take(&mut file.changes) {
            change.apply(&mut file.synced);
        }
        Ok(())
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.begin(Op::SetLen)?;
        let bytes = usize::try_from(bytes).unwrap();
        state.files[self.id].change(Change::SetLen(bytes));
        state.end()
    }
}
