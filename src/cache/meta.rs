//! A record's description on disk: one line with a checksum, then JSON.
//!
//! Knows: the fields of `<record id>.meta` and the copy of them in the index. Does not know: files.

use std::path::PathBuf;

use peer_proto::version::Version;
use serde::{Deserialize, Serialize};

use super::{Keep, SEEN_MAX};
use crate::disk::FileStat;
use crate::record::{Holding, RecordSummary, Voucher};

/// Bytes of one description: 16 URLs with versions, and the runs of 1 048 576 pieces at worst.
pub(super) const META_LEN_MAX: u64 = 32 * 1024 * 1024;

/// Attestors that are named for one record.
const VOUCHERS_MAX: usize = 16;

const TITLE: &str = "nearbits record 1 ";

/// Where a content was seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Seen {
    /// The URL of the job that brought it.
    pub url: String,
    /// What the origin said it was, if it was asked.
    pub version: Option<Version>,
}

/// A delivered file that is read where it lies.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Borrowed {
    pub(super) path: PathBuf,
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) len: u64,
}

/// Everything a record knows, but its values and bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Meta {
    pub(super) summary: RecordSummary,
    /// Newest last.
    pub(super) seen: Vec<Seen>,
    /// `None` if the bytes are in `.data`.
    pub(super) borrowed: Option<Borrowed>,
    /// The place of its last use among all uses: what is smallest goes first. 0 in records of older versions.
    #[serde(default)]
    pub(super) used: u64,
}

impl Meta {
    pub(super) fn new(keep: &Keep, holding: Holding, borrowed: Option<Borrowed>, used: u64) -> Self {
        let summary = RecordSummary {
            id: keep.id,
            content: keep.list.content(),
            digests: Vec::new(),
            holding,
            scope: keep.scope,
            served: keep.served,
            last_used_unix_s: keep.now_unix_s,
            vouched: keep.vouched.clone(),
        };
        let mut meta = Self { summary, seen: Vec::new(), borrowed, used };
        meta.learn(keep, used);
        meta
    }

    /// Takes over what a second job knows of the same content.
    pub(super) fn learn(&mut self, keep: &Keep, used: u64) {
        self.used = used;
        for digest in &keep.digests {
            if digest.algorithm() != peer_proto::digest::Algorithm::Blake3
                && !self.summary.digests.contains(digest)
            {
                self.summary.digests.push(digest.clone());
            }
        }
        self.summary.served |= keep.served;
        match (self.summary.vouched.is_empty(), keep.vouched.is_empty()) {
            // One of them needed nobody's word.
            (true, _) | (_, true) => self.summary.vouched.clear(),
            (false, false) => {
                let new = keep.vouched.iter().filter(|one| !self.summary.vouched.contains(one));
                let new: Vec<Voucher> = new.copied().collect();
                self.summary.vouched.extend(new);
                self.summary.vouched.truncate(VOUCHERS_MAX);
            }
        }
        self.summary.last_used_unix_s = keep.now_unix_s;
        let seen = Seen { url: keep.url.clone(), version: keep.version.clone() };
        self.seen.retain(|known| known.url != seen.url);
        self.seen.push(seen);
        if self.seen.len() > SEEN_MAX {
            self.seen.remove(0);
        }
        self.shrink();
    }

    /// There may be 100 000 of them in memory: no more of it than they need.
    fn shrink(&mut self) {
        self.seen.shrink_to_fit();
        self.summary.digests.shrink_to_fit();
    }
}

/// Ascending pieces as a holding.
pub(super) fn holding_of(held: &[u32], piece_count: u32) -> Holding {
    if u32::try_from(held.len()) == Ok(piece_count) {
        return Holding::Whole;
    }
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for piece in held {
        match runs.last_mut() {
            Some(run) if run.1 == *piece => run.1 += 1,
            _ => runs.push((*piece, piece + 1)),
        }
    }
    Holding::Runs(runs)
}

/// Whether a holding has a piece.
pub(super) fn holds(holding: &Holding, piece: u32) -> bool {
    match holding {
        Holding::Whole => true,
        Holding::Runs(runs) => runs.iter().any(|(first, end)| (*first..*end).contains(&piece)),
    }
}

/// The same holding without one piece.
pub(super) fn without(holding: &Holding, piece: u32, piece_count: u32) -> Holding {
    let whole = vec![(0, piece_count)];
    let runs = match holding {
        Holding::Whole => &whole,
        Holding::Runs(runs) => runs,
    };
    let cut = |(first, end): &(u32, u32)| {
        if (*first..*end).contains(&piece) {
            [(*first, piece), (piece + 1, *end)]
        } else {
            [(*first, *end), (0, 0)]
        }
    };
    Holding::Runs(runs.iter().flat_map(cut).filter(|(first, end)| first < end).collect())
}

pub(super) fn encode(meta: &Meta) -> Result<Vec<u8>, String> {
    let json = serde_json::to_vec(meta).map_err(|error| error.to_string())?;
    let mut bytes = format!("{TITLE}{}\n", blake3::hash(&json)).into_bytes();
    bytes.extend_from_slice(&json);
    Ok(bytes)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Meta, String> {
    let damaged = || "it is damaged".to_owned();
    let rest = bytes.strip_prefix(TITLE.as_bytes()).ok_or_else(|| {
        if bytes.starts_with(b"nearbits record ") { "another version wrote it".to_owned() } else { damaged() }
    })?;
    let (sum, rest) = rest.split_at_checked(64).ok_or_else(damaged)?;
    let json = rest.strip_prefix(b"\n").ok_or_else(damaged)?;
    if blake3::hash(json).to_hex().as_bytes() != sum {
        return Err(damaged());
    }
    let mut meta: Meta = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    meta.shrink();
    Ok(meta)
}

/// Which writing of a `.meta` file it is: what the index has of another one does not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp([u8; 24]);

impl Stamp {
    pub(super) fn of(stat: &FileStat) -> Self {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&stat.inode.to_le_bytes());
        bytes[8..16].copy_from_slice(&stat.len.to_le_bytes());
        bytes[16..].copy_from_slice(&stat.modified_unix_s.to_le_bytes());
        Self(bytes)
    }
}

pub(super) fn for_index(meta: &Meta, stamp: Stamp) -> Result<Vec<u8>, String> {
    Ok([&stamp.0[..], &encode(meta)?].concat())
}

pub(super) fn from_index(bytes: &[u8], stamp: Stamp) -> Option<Meta> {
    decode(bytes.strip_prefix(&stamp.0[..])?).ok()
}
