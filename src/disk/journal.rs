//! The range journal: which pieces of a part are stored, with which values and standings.
//!
//! Knows: framed records (length, generation, checksum chained to the record before), replay that stops at the last
//! good one, rewriting in one step. Does not know: when to write, or whether the bytes it speaks of are there.
//!
//! Layout, all numbers little-endian: the line `nearbits journal 1`, then records of
//! `body length: u32 · generation: u32 · checksum: 16 bytes · body`. The checksum is BLAKE3 of the previous
//! checksum, the generation and the body, cut to 16 bytes. So a torn, flipped or stale record ends the replay, and
//! nothing after it is ever believed. The first record is the header; a reset starts a new generation.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use peer_proto::content::{Hash, PieceIndex};
use peer_proto::peer::PeerId;
use peer_proto::standing::{PieceRun, Standing};
use peer_proto::version::Version;

use super::error::{At, DiskError};
use super::files::{Access, BootId, Existing, FileHandle, Files};

const MAGIC: &[u8] = b"nearbits journal 1\n";
const MAGIC_ANY_VERSION: &[u8] = b"nearbits journal ";
/// Bytes before a record's body.
const FRAME_LEN: usize = 4 + 4 + 16;
/// Bytes of one record's body: 1 024 values and a little.
const BODY_LEN_MAX: usize = 64 * 1024;
/// Values in one record.
const VALUES_PER_RECORD: usize = 1024;
/// A journal is rewritten before it grows beyond this, and never read beyond twice that: 1 048 576 pieces need 32 MiB.
pub const JOURNAL_LEN_MAX: u64 = 128 * 1024 * 1024;

/// What a journal speaks of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Grows with every rewriting.
    pub generation: u32,
    /// The boot in which the bytes were written; `None` if the system does not say.
    pub boot: Option<BootId>,
    /// The part's device.
    pub device: u64,
    /// The part's number on it.
    pub inode: u64,
    /// What the bytes belong to.
    pub version: Version,
    /// The file's length, if known.
    pub len: Option<u64>,
}

/// One record after the header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// These pieces are stored.
    Run(PieceRun),
    /// These pieces have another standing now.
    Restand {
        /// The first piece.
        first: PieceIndex,
        /// How many.
        count: u32,
        /// The new standing.
        standing: Standing,
    },
    /// These pieces are gaps again.
    Gap {
        /// The first piece.
        first: PieceIndex,
        /// How many.
        count: u32,
    },
    /// The length was learned.
    Length(u64),
    /// A sync of the bytes failed: what was not durable then must be written again before it is believed to be.
    Doubt,
}

/// What was read from a journal.
#[derive(Debug)]
pub struct Replay {
    /// What it speaks of.
    pub header: Header,
    /// Its good records, in order.
    pub entries: Vec<Entry>,
    /// Whether something unreadable followed.
    pub is_torn: bool,
    end: u64,
    chain: [u8; 16],
}

/// An open journal, for appending.
#[derive(Debug)]
pub struct Journal<F: Files> {
    path: PathBuf,
    file: Arc<F::File>,
    header: Header,
    end: u64,
    chain: [u8; 16],
    /// Whether a power cut leaves it under its name.
    is_name_durable: bool,
}

impl<F: Files> Journal<F> {
    /// Reads a journal. `None` if there is none, or none with a readable header: then nothing is known.
    ///
    /// # Errors
    /// [`DiskError::ForeignJournal`] if a later version wrote it; [`DiskError::Io`] if it cannot be read.
    pub fn replay(files: &F, path: &Path) -> Result<Option<Replay>, DiskError> {
        match files.read(path, 2 * JOURNAL_LEN_MAX) {
            Ok(bytes) if bytes.starts_with(MAGIC) => Ok(replay(&bytes)),
            Ok(bytes) if is_of_another_version(&bytes) => {
                Err(DiskError::ForeignJournal { path: path.to_owned() })
            }
            Ok(_) => Ok(None),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge) => {
                Ok(None)
            }
            Err(cause) => Err(DiskError::Io { doing: "read", path: path.to_owned(), cause }),
        }
    }

    /// Goes on after the records of a replay that was not torn.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn go_on(files: &F, path: &Path, replay: &Replay) -> Result<Self, DiskError> {
        let file = files.open(path, Access::ReadWrite).at("open", path)?;
        let (header, end, chain) = (replay.header.clone(), replay.end, replay.chain);
        // An earlier process may have renamed it and stopped before it synced the folder.
        Ok(Self { path: path.to_owned(), file: Arc::new(file), header, end, chain, is_name_durable: false })
    }

    /// Writes a new journal in place of an old one, in one step; the old one stays if that fails. An empty or
    /// missing one, of which nothing can be lost, is written in place.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn write_new(
        files: &F,
        path: &Path,
        header: Header,
        entries: &[Entry],
        durably: Durably,
    ) -> Result<Self, DiskError> {
        // Whoever made the job durable made the name of its empty journal durable too.
        let mut is_name_durable = files.stat(path).is_ok_and(|stat| stat.len == 0);
        let in_place = is_name_durable || files.stat(path).is_err();
        let fresh = if in_place { path.to_owned() } else { sibling(path) };
        let file = match files.open(path, Access::ReadWrite) {
            Ok(file) if in_place => file,
            _ => {
                drop(files.remove(&fresh));
                files.create_new(&fresh, 0o600).at("create", &fresh)?
            }
        };
        let mut bytes = MAGIC.to_vec();
        let mut chain = frame(&mut bytes, header.generation, [0; 16], &encode_header(&header));
        for entry in entries {
            chain = frame_entry(&mut bytes, header.generation, chain, entry);
        }
        file.write_at(0, &bytes).at("write", &fresh)?;
        if durably == Durably::Synced {
            file.sync().at("sync", &fresh)?;
        }
        if !in_place {
            files.rename(&fresh, path, Existing::Replace).at("rename", &fresh)?;
            if let Some(folder) = path.parent().filter(|_| durably == Durably::Synced) {
                files.sync_folder(folder).at("sync", folder)?;
                is_name_durable = true;
            }
        }
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(file),
            header,
            end: len_of(&bytes),
            chain,
            is_name_durable,
        })
    }

    /// What it speaks of.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Appends records, so that a killed process loses none of them. Not yet durable.
    ///
    /// # Errors
    /// [`DiskError::Io`]; none of them counts then, and they may be appended again.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), DiskError> {
        let mut bytes = Vec::new();
        let mut chain = self.chain;
        for entry in entries {
            chain = frame_entry(&mut bytes, self.header.generation, chain, entry);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.file.write_at(self.end, &bytes).at("write", &self.path)?;
        self.end += len_of(&bytes);
        self.chain = chain;
        for entry in entries {
            if let Entry::Length(len) = entry {
                self.header.len = Some(*len);
            }
        }
        Ok(())
    }

    /// Whether it should be rewritten rather than appended to.
    #[must_use]
    pub const fn is_long(&self) -> bool {
        self.end > JOURNAL_LEN_MAX
    }

    /// What is to be synced so that everything appended so far is durable. Taken out, so that records can be appended
    /// while it is.
    #[must_use]
    pub fn unsynced(&self) -> Unsynced<F> {
        Unsynced {
            path: self.path.clone(),
            file: Arc::clone(&self.file),
            is_name_durable: self.is_name_durable,
        }
    }

    /// A sync of [`unsynced`](Self::unsynced) succeeded.
    pub fn mark_synced(&mut self, synced: &Unsynced<F>) {
        self.is_name_durable |= Arc::ptr_eq(&self.file, &synced.file);
    }
}

/// A journal's file and name, as far as they were written.
pub struct Unsynced<F: Files> {
    path: PathBuf,
    file: Arc<F::File>,
    is_name_durable: bool,
}

impl<F: Files> Unsynced<F> {
    /// Makes the records durable, and the journal's name.
    ///
    /// # Errors
    /// [`DiskError::Io`]; the journal must then be written anew.
    pub fn sync(&self, files: &F) -> Result<(), DiskError> {
        self.file.sync().at("sync", &self.path)?;
        match self.path.parent() {
            Some(folder) if !self.is_name_durable => files.sync_folder(folder).at("sync", folder),
            _ => Ok(()),
        }
    }
}

/// Whether a new journal must survive a power cut at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durably {
    /// Synced before it gets its name, and its name too.
    Synced,
    /// Later; what it replaces may come back.
    Later,
}

/// The name a new journal has until it is whole.
pub(super) fn sibling(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// A whole first line of ours with another number; a torn one says nothing.
fn is_of_another_version(bytes: &[u8]) -> bool {
    bytes.strip_prefix(MAGIC_ANY_VERSION).is_some_and(|rest| rest.iter().take(16).any(|byte| *byte == b'\n'))
}

fn len_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn checksum(generation: u32, chain: [u8; 16], body: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&chain).update(&generation.to_le_bytes()).update(body);
    let mut sum = [0; 16];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

fn frame(into: &mut Vec<u8>, generation: u32, chain: [u8; 16], body: &[u8]) -> [u8; 16] {
    let sum = checksum(generation, chain, body);
    into.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    into.extend_from_slice(&generation.to_le_bytes());
    into.extend_from_slice(&sum);
    into.extend_from_slice(body);
    sum
}

/// Long runs become several records, each of bounded length.
fn frame_entry(into: &mut Vec<u8>, generation: u32, mut chain: [u8; 16], entry: &Entry) -> [u8; 16] {
    let Entry::Run(run) = entry else {
        return frame(into, generation, chain, &encode_entry(entry));
    };
    let mut first = run.first;
    for values in run.values.chunks(VALUES_PER_RECORD) {
        let part = PieceRun { first, values: values.to_vec(), standing: run.standing };
        first = PieceIndex(first.0.saturating_add(u32::try_from(values.len()).unwrap_or(u32::MAX)));
        chain = frame(into, generation, chain, &encode_entry(&Entry::Run(part)));
    }
    chain
}

fn replay(bytes: &[u8]) -> Option<Replay> {
    let mut at = MAGIC.len();
    let (body, chain, generation) = next_frame(bytes, at, [0; 16], None)?;
    let header = decode_header(body, generation)?;
    at += FRAME_LEN + body.len();
    let mut replay = Replay { header, entries: Vec::new(), is_torn: false, end: 0, chain };
    while at < bytes.len() {
        let frame = next_frame(bytes, at, replay.chain, Some(generation))
            .and_then(|(body, chain, _)| Some((decode_entry(body)?, chain, body.len())));
        let Some((entry, chain, len)) = frame else {
            replay.is_torn = true;
            break;
        };
        if let Entry::Length(len) = entry {
            replay.header.len = Some(len);
        }
        replay.entries.push(entry);
        replay.chain = chain;
        at += FRAME_LEN + len;
    }
    replay.end = u64::try_from(at).ok()?;
    Some(replay)
}

/// The body of the record at `at`, if its frame is whole and its checksum right.
fn next_frame(
    bytes: &[u8],
    at: usize,
    chain: [u8; 16],
    wanted: Option<u32>,
) -> Option<(&[u8], [u8; 16], u32)> {
    let mut reader = Reader(bytes.get(at..)?);
    let len = usize::try_from(reader.u32()?).ok()?;
    let generation = reader.u32()?;
    let sum: [u8; 16] = reader.array()?;
    if len > BODY_LEN_MAX || wanted.is_some_and(|wanted| wanted != generation) {
        return None;
    }
    let body = reader.take(len)?;
    (checksum(generation, chain, body) == sum).then_some((body, sum, generation))
}

fn encode_header(header: &Header) -> Vec<u8> {
    // A version is three short texts and a number: this cannot fail, and an empty one reads as no header.
    let version = serde_json::to_vec(&header.version).unwrap_or_default();
    let mut body = vec![b'H'];
    body.extend_from_slice(&header.boot.map_or([0; 16], |boot| boot.0));
    body.extend_from_slice(&header.device.to_le_bytes());
    body.extend_from_slice(&header.inode.to_le_bytes());
    body.extend_from_slice(&header.len.unwrap_or(u64::MAX).to_le_bytes());
    body.extend_from_slice(&version);
    body
}

fn decode_header(body: &[u8], generation: u32) -> Option<Header> {
    let mut reader = Reader(body);
    if reader.array::<1>()? != *b"H" {
        return None;
    }
    let boot: [u8; 16] = reader.array()?;
    let (device, inode, len) = (reader.u64()?, reader.u64()?, reader.u64()?);
    let version = serde_json::from_slice(reader.0).ok()?;
    Some(Header {
        generation,
        boot: (boot != [0; 16]).then_some(BootId(boot)),
        device,
        inode,
        version,
        len: (len != u64::MAX).then_some(len),
    })
}

fn encode_entry(entry: &Entry) -> Vec<u8> {
    let mut body = Vec::new();
    match entry {
        Entry::Run(run) => {
            body.push(b'R');
            body.extend_from_slice(&run.first.0.to_le_bytes());
            encode_standing(&mut body, run.standing);
            run.values.iter().for_each(|value| body.extend_from_slice(&value.0));
        }
        Entry::Restand { first, count, standing } => {
            body.push(b'S');
            body.extend_from_slice(&first.0.to_le_bytes());
            body.extend_from_slice(&count.to_le_bytes());
            encode_standing(&mut body, *standing);
        }
        Entry::Gap { first, count } => {
            body.push(b'G');
            body.extend_from_slice(&first.0.to_le_bytes());
            body.extend_from_slice(&count.to_le_bytes());
        }
        Entry::Length(len) => {
            body.push(b'L');
            body.extend_from_slice(&len.to_le_bytes());
        }
        Entry::Doubt => body.push(b'D'),
    }
    body
}

fn decode_entry(body: &[u8]) -> Option<Entry> {
    let mut reader = Reader(body);
    let entry = match reader.array::<1>()? {
        [b'R'] => {
            let first = PieceIndex(reader.u32()?);
            let standing = reader.standing()?;
            let (values, []) = reader.0.as_chunks::<32>() else { return None };
            reader.0 = &[];
            if values.is_empty() {
                return None;
            }
            Entry::Run(PieceRun { first, values: values.iter().copied().map(Hash).collect(), standing })
        }
        [b'S'] => Entry::Restand {
            first: PieceIndex(reader.u32()?),
            count: reader.u32()?,
            standing: reader.standing()?,
        },
        [b'G'] => Entry::Gap { first: PieceIndex(reader.u32()?), count: reader.u32()? },
        [b'L'] => Entry::Length(reader.u64()?),
        [b'D'] => Entry::Doubt,
        _ => return None,
    };
    reader.0.is_empty().then_some(entry)
}

fn encode_standing(body: &mut Vec<u8>, standing: Standing) {
    match standing {
        Standing::Certain => body.push(1),
        Standing::Proved => body.push(2),
        Standing::Provisional { author } => {
            body.push(3);
            body.extend_from_slice(author.public_key());
        }
        Standing::Suspect => body.push(4),
    }
}

/// Takes bytes from the front, never beyond the end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A standing nobody can read makes the record unreadable, and its pieces gaps (TRUST-1).
    fn standing(&mut self) -> Option<Standing> {
        match self.array::<1>()? {
            [1] => Some(Standing::Certain),
            [2] => Some(Standing::Proved),
            [3] => Some(Standing::Provisional { author: PeerId::from_public_key(self.array()?) }),
            [4] => Some(Standing::Suspect),
            _ => None,
        }
    }
}
