//! What the memory file system remembers, and how it forgets.
//!
//! Knows: inodes, names, what of both is durable. Does not know: the `Files` trait.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{Fault, Loss, Operation};
use crate::disk::files::{FileKind, FileStat};

/// A write may be torn at multiples of this.
const SECTOR: usize = 512;

#[derive(Debug)]
pub(super) struct Disk {
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) names: BTreeMap<PathBuf, u64>,
    pub(super) durable_names: BTreeMap<PathBuf, u64>,
    /// Changes of names not yet durable, oldest first: each is made whole or not at all.
    pub(super) pending_names: Vec<Vec<(PathBuf, Option<u64>)>>,
    pub(super) faults: BTreeMap<u64, Fault>,
    pub(super) operations: u64,
    pub(super) counts: BTreeMap<Operation, u64>,
    pub(super) next_inode: u64,
    pub(super) life: u64,
    pub(super) boot: u64,
    pub(super) stopped: bool,
    pub(super) uid: u32,
    pub(super) space: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Inode {
    pub(super) kind: FileKind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) modified_unix_s: i64,
    pub(super) bytes: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) pending: Vec<Change>,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

impl Inode {
    pub(super) const fn new(kind: FileKind, mode: u32, uid: u32) -> Self {
        Self {
            kind,
            mode,
            uid,
            modified_unix_s: 0,
            bytes: Vec::new(),
            durable: Vec::new(),
            pending: Vec::new(),
        }
    }

    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.bytes);
        self.pending.push(change);
    }
}

impl Change {
    pub(super) fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*offset..end].copy_from_slice(bytes);
            }
            Self::SetLen(len) => to.resize(*len, 0),
        }
    }

    /// The first half of it, cut at a sector where there is one.
    pub(super) fn half(&self) -> Option<Self> {
        let Self::Write { offset, bytes } = self else { return None };
        let half = bytes.len() / 2;
        let cut = if half > SECTOR { half - half % SECTOR } else { half };
        (cut > 0).then(|| Self::Write { offset: *offset, bytes: bytes[..cut].to_vec() })
    }
}

impl Disk {
    /// A root folder, owned by user 1000.
    pub(super) fn new() -> Self {
        let uid = 1000;
        let root = Inode::new(FileKind::Folder, 0o755, uid);
        let names = BTreeMap::from([(PathBuf::from("/"), 1)]);
        Self {
            inodes: BTreeMap::from([(1, root)]),
            durable_names: names.clone(),
            names,
            pending_names: Vec::new(),
            faults: BTreeMap::new(),
            operations: 0,
            counts: BTreeMap::new(),
            next_inode: 2,
            life: 0,
            boot: 1,
            stopped: false,
            uid,
            space: None,
        }
    }

    pub(super) fn alive(&self, life: u64) -> io::Result<()> {
        if self.stopped || life != self.life {
            return Err(io::Error::other("this process was stopped"));
        }
        Ok(())
    }

    /// Counts an operation and performs it as its fault says: `part` is half of it, `whole` all of it.
    pub(super) fn operate(
        &mut self,
        operation: Operation,
        part: impl FnOnce(&mut Self),
        whole: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        let stop = || io::Error::other("this process was stopped");
        let fault = self.faults.remove(&self.operations);
        self.operations += 1;
        *self.counts.entry(operation).or_default() += 1;
        match fault {
            None => whole(self),
            Some(Fault::Error(code)) => Err(io::Error::from_raw_os_error(code)),
            Some(Fault::Short(code)) => {
                part(self);
                Err(io::Error::from_raw_os_error(code))
            }
            Some(Fault::StopBefore) => {
                self.stopped = true;
                Err(stop())
            }
            Some(Fault::StopWithin) => {
                part(self);
                self.stopped = true;
                Err(stop())
            }
            Some(Fault::StopAfter) => {
                let outcome = whole(self);
                self.stopped = true;
                outcome.and(Err(stop()))
            }
        }
    }

    pub(super) fn at(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    pub(super) fn inode(&self, id: u64) -> io::Result<&Inode> {
        self.inodes.get(&id).ok_or_else(|| io::Error::other("no such inode"))
    }

    pub(super) fn inode_mut(&mut self, id: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&id).ok_or_else(|| io::Error::other("no such inode"))
    }

    pub(super) fn put_inode(&mut self, path: &Path, kind: FileKind, bytes: &[u8]) {
        if self.names.contains_key(path) {
            return;
        }
        let id = self.next_inode;
        self.next_inode += 1;
        let mode = if kind == FileKind::Folder { 0o755 } else { 0o644 };
        let mut inode = Inode::new(kind, mode, self.uid);
        inode.bytes = bytes.to_vec();
        inode.durable = bytes.to_vec();
        self.inodes.insert(id, inode);
        self.names.insert(path.to_owned(), id);
        self.durable_names.insert(path.to_owned(), id);
    }

    pub(super) fn rename(&mut self, edits: Vec<(PathBuf, Option<u64>)>) {
        for (path, id) in &edits {
            edit(&mut self.names, path, *id);
        }
        self.pending_names.push(edits);
    }

    pub(super) fn create(&mut self, path: &Path, kind: FileKind, mode: u32) -> io::Result<u64> {
        if self.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.writable_parent(path)?;
        let id = self.next_inode;
        self.next_inode += 1;
        let inode = Inode::new(kind, mode, self.uid);
        self.operate(
            Operation::Create,
            |_| {},
            |disk| {
                disk.inodes.insert(id, inode);
                disk.rename(vec![(path.to_owned(), Some(id))]);
                Ok(())
            },
        )?;
        Ok(id)
    }

    pub(super) fn writable_parent(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let folder = self.inode(self.at(parent)?)?;
        if folder.kind != FileKind::Folder {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if folder.mode & 0o200 == 0 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(())
    }

    pub(super) fn used(&self) -> u64 {
        self.inodes.values().map(|inode| inode.bytes.len() as u64).sum()
    }

    pub(super) fn stat(&self, id: u64) -> io::Result<FileStat> {
        let inode = self.inode(id)?;
        Ok(FileStat {
            kind: inode.kind,
            len: inode.bytes.len() as u64,
            device: 1,
            inode: id,
            mode: inode.mode,
            uid: inode.uid,
            links: self.names.values().filter(|named| **named == id).count() as u64,
            modified_unix_s: inode.modified_unix_s,
        })
    }

    pub(super) fn lose(&mut self, loss: Loss) {
        let mut chance = Chance(match loss {
            Loss::Some(seed) => seed.wrapping_mul(2).wrapping_add(1),
            Loss::All | Loss::Nothing => 1,
        });
        for inode in self.inodes.values_mut() {
            for change in std::mem::take(&mut inode.pending) {
                match (loss, chance.below(3)) {
                    (Loss::Nothing, _) | (Loss::Some(_), 0) => change.apply(&mut inode.durable),
                    (Loss::Some(_), 1) => {
                        if let Some(half) = change.half() {
                            half.apply(&mut inode.durable);
                        }
                    }
                    (Loss::All | Loss::Some(_), _) => {}
                }
            }
            inode.bytes.clone_from(&inode.durable);
        }
        // Names reach the disk in their order: a beginning of them is there, the rest is not.
        let pending = std::mem::take(&mut self.pending_names);
        let kept = match loss {
            Loss::All => 0,
            Loss::Some(_) => chance.below(pending.len() + 1),
            Loss::Nothing => pending.len(),
        };
        for (path, id) in pending.into_iter().take(kept).flatten() {
            edit(&mut self.durable_names, &path, id);
        }
        let all = self.durable_names.clone();
        self.durable_names.retain(|path, _| path.ancestors().all(|folder| all.contains_key(folder)));
        self.names.clone_from(&self.durable_names);
        let named: Vec<u64> = self.names.values().copied().collect();
        self.inodes.retain(|id, _| named.contains(id));
    }
}

pub(super) fn edit(names: &mut BTreeMap<PathBuf, u64>, path: &Path, id: Option<u64>) {
    match id {
        Some(id) => names.insert(path.to_owned(), id),
        None => names.remove(path),
    };
}

/// A small generator for what a power cut leaves: not random, only scattered.
struct Chance(u64);

impl Chance {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound
    }
}
