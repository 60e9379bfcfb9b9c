//! A group's authority: the key that makes members, and whom it made one. It belongs to whoever runs the group, and lies
//! in no machine's state folder.
//!
//! Knows: the file it is kept in, and the rules by which tokens, deny lists and epochs follow each other (GROUP-3..8). Does
//! not know: how what it signs reaches the machines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use peer_proto::digest::{bytes_from_hex, hex};
use peer_proto::group::offer::{Offer, denied_text, invitation_text};
use peer_proto::group::{
    DenyList, EpochSecret, Former, GroupId, GroupName, HolderId, Membership, Roles, Token, Wish,
    is_group_name,
};
use peer_proto::limits::DENIED_HOLDERS_MAX;
use peer_proto::peer::PeerId;
use peer_proto::sign::Signer;
use peer_proto::void::{Void, Voided};
use serde::{Deserialize, Serialize};

use super::folder::{FolderError, at, close, replace, write_once};
use crate::disk::{Files, RealFiles};

const FORMAT: u32 = 1;
/// A hundred thousand members.
const FILE_LEN_MAX: u64 = 32 * 1024 * 1024;
const DAY_S: u64 = 24 * 60 * 60;
/// Clocks of machines may be so far behind the one that signs.
const SKEW_S: u64 = 10 * 60;
/// For how long the secret of the epoch before is honoured (GROUP-7).
const FORMER_S: u64 = 7 * DAY_S;
/// For how long a holder stays on the deny list after his last token: what he attested may live a week more.
const DENIED_AFTER_S: u64 = 8 * DAY_S;

/// Why an authority does not do what it is asked. Each is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Not a name.
    #[error(
        "{0:?} is no name for a group: letters, digits, `-`, `_` and `.`, at most 64, and no dot in front"
    )]
    Name(String),
    /// The file is there already.
    #[error("{} is there already: it holds a group's key, and is never replaced", .0.display())]
    Exists(PathBuf),
    /// A machine's state folder.
    #[error(
        "{} is the state folder of a node: whoever takes over that machine would make members; keep the group's key \
         elsewhere",
        .0.display()
    )]
    StateFolder(PathBuf),
    /// Another file.
    #[error("{} is no group's file: `nearbits group create` makes one", .0.display())]
    Damaged(PathBuf),
    /// Not a role.
    #[error("{0:?} is no role: fetch, serve, attest, enrol, cache, with commas between")]
    Role(String),
    /// Without this role nothing else counts.
    #[error("a member without the role fetch is taken for a stranger: add it")]
    NoFetch,
    /// Too long.
    #[error(
        "a token with these roles lives {max} days at most, not {days}{}",
        if *.max < 30 { ": one that may attest has to be renewed every week" } else { "" }
    )]
    Days {
        /// What was asked for.
        days: u16,
        /// What there is.
        max: u16,
    },
    /// He was forgotten.
    #[error(
        "{0} was forgotten and stays so: a machine that comes back needs a new identity (remove `identity` from its state \
         folder)"
    )]
    Forgotten(PeerId),
    /// No name of a member.
    #[error(
        "{0:?} is neither a peer id, nor a holder of 32 hexadecimal digits, nor an invitation or token of this group"
    )]
    Who(String),
    /// Too many.
    #[error(
        "the deny list has room for {DENIED_HOLDERS_MAX} holders, and they are all taken: `nearbits group rotate --abandon` \
         begins anew"
    )]
    Full,
    /// The system gives no random bytes.
    #[error("no random bytes for a key: {0}")]
    NoRandomness(getrandom::Error),
    /// The system refused an operation.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// Whom a token was given to, and which.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Granted {
    /// Kept over renewals.
    pub holder: String,
    /// With commas between.
    pub roles: String,
    /// What the token was made for; a renewed one is made for as long.
    pub days: u16,
    /// Seconds since 1970 from which on it counts ...
    pub not_before: u64,
    /// ... and until which.
    pub not_after: u64,
    /// The epoch in it.
    pub epoch: u32,
    /// Its number.
    pub serial: u64,
    /// Whether he is no member any more.
    #[serde(default)]
    pub forgotten: bool,
}

/// A holder on the deny list.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Denied {
    holder: String,
    until: u64,
}

/// The file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Kept {
    nearbits_authority: u32,
    name: String,
    key: String,
    epoch: u32,
    since: u64,
    secret: String,
    former: Option<String>,
    serial: u64,
    deny_version: u64,
    denied: Vec<Denied>,
    members: BTreeMap<PeerId, Granted>,
}

/// A group's authority, in one process at a time. What it changes is kept by [`save`](Self::save).
#[derive(Debug)]
pub struct Authority {
    path: PathBuf,
    kept: Kept,
    signer: Signer,
    secret: EpochSecret,
    former: Option<EpochSecret>,
    /// The folder's, so that no second file is needed; unlocked by the system however the process ends.
    _lock: File,
}

/// Reads roles with commas between.
///
/// # Errors
/// [`AuthorityError::Role`], [`AuthorityError::NoFetch`].
pub fn parse_roles(text: &str) -> Result<Roles, AuthorityError> {
    let role =
        |name: &str| Roles::named(name.trim()).ok_or_else(|| AuthorityError::Role(name.trim().to_owned()));
    let roles = text.split(',').try_fold(Roles(0), |roles, name| Ok(roles.and(role(name)?)));
    match roles {
        Ok(roles) if !roles.has(Roles::FETCH) => Err(AuthorityError::NoFetch),
        roles => roles,
    }
}

impl Authority {
    /// Makes a group: draws its key and its first secret and writes `path`, absolute, which nobody else may read.
    ///
    /// # Errors
    /// [`AuthorityError`]; nothing is there then that was not before.
    pub fn create(path: &Path, name: &str, now: u64) -> Result<Self, AuthorityError> {
        if !is_group_name(name) {
            return Err(AuthorityError::Name(name.chars().take(80).collect()));
        }
        let folder = path.parent().unwrap_or(path);
        if RealFiles.stat(&folder.join("identity")).is_ok() {
            return Err(AuthorityError::StateFolder(folder.to_owned()));
        }
        let lock = lock(folder)?;
        let kept = Kept {
            nearbits_authority: FORMAT,
            name: name.to_owned(),
            key: hex(&drawn()?),
            epoch: 1,
            since: now,
            secret: hex(&drawn()?),
            former: None,
            serial: 0,
            deny_version: 0,
            denied: Vec::new(),
            members: BTreeMap::new(),
        };
        let authority = Self::of(path, kept, lock)?;
        match write_once(&RealFiles, path, &authority.bytes()) {
            Err(FolderError::Io { cause, .. }) if cause.kind() == io::ErrorKind::AlreadyExists => {
                drop(RealFiles.remove(&fresh(path)));
                Err(AuthorityError::Exists(path.to_owned()))
            }
            outcome => outcome.map(|()| authority).map_err(AuthorityError::Folder),
        }
    }

    /// Opens a group's file, absolute, and waits for whoever has one of the same folder open.
    ///
    /// # Errors
    /// [`AuthorityError::Damaged`] if it is another file, [`AuthorityError::Folder`].
    pub fn open(path: &Path) -> Result<Self, AuthorityError> {
        let lock = lock(path.parent().unwrap_or(path))?;
        let damaged = || AuthorityError::Damaged(path.to_owned());
        let bytes = match RealFiles.read(path, FILE_LEN_MAX) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Err(damaged()),
            outcome => outcome.map_err(at("read", path))?,
        };
        let kept: Kept = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
        close(&RealFiles, path)?;
        Self::of(path, kept, lock)
    }

    fn of(path: &Path, kept: Kept, lock: File) -> Result<Self, AuthorityError> {
        let damaged = || AuthorityError::Damaged(path.to_owned());
        let key = |text: &str| bytes_from_hex(text).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let signer =
            Signer::of(&key(&kept.key).filter(|_| kept.nearbits_authority == FORMAT).ok_or_else(damaged)?);
        let secret = EpochSecret(key(&kept.secret).ok_or_else(damaged)?);
        let former = kept.former.as_deref().map(|text| key(text).map(EpochSecret).ok_or_else(damaged));
        let former = former.transpose()?;
        Ok(Self { path: path.to_owned(), kept, signer, secret, former, _lock: lock })
    }

    fn bytes(&self) -> Vec<u8> {
        // Plain values, which JSON can always say.
        let mut bytes = serde_json::to_vec_pretty(&self.kept).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Keeps what changed: when this returns, it survives everything. What it signed must not leave before.
    ///
    /// # Errors
    /// [`AuthorityError::Folder`]; what was kept before is still there.
    pub fn save(&self) -> Result<(), AuthorityError> {
        Ok(replace(&RealFiles, &self.path, &self.bytes())?)
    }

    /// Writes a copy beside it, for its owner alone, and says where (GROUP-8).
    ///
    /// # Errors
    /// [`AuthorityError::Folder`].
    pub fn save_copy(&self) -> Result<PathBuf, AuthorityError> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".backup");
        let copy = PathBuf::from(name);
        replace(&RealFiles, &copy, &self.bytes())?;
        Ok(copy)
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.kept.name
    }

    /// The group's id.
    #[must_use]
    pub fn id(&self) -> GroupId {
        GroupId::of(&self.signer.public_key())
    }

    /// Takes back what an attestor of the group signed. `None` if the reason is too long, or not for people.
    #[must_use]
    pub fn take_back(&self, said: Voided) -> Option<Void> {
        Void::sign(&self.signer, None, said)
    }

    /// The present epoch, and since when in seconds since 1970.
    #[must_use]
    pub const fn epoch(&self) -> (u32, u64) {
        (self.kept.epoch, self.kept.since)
    }

    /// Everybody who was given a token, with the last one.
    pub fn members(&self) -> impl Iterator<Item = (PeerId, &Granted)> {
        self.kept.members.iter().map(|(peer, granted)| (*peer, granted))
    }

    /// Those whose token has half of its life behind it (GROUP-5).
    #[must_use]
    pub fn due(&self, now: u64) -> Vec<PeerId> {
        let is_due = |granted: &Granted| {
            let life = granted.not_after.saturating_sub(granted.not_before);
            !granted.forgotten && now.saturating_sub(granted.not_before) >= life / 2
        };
        self.members().filter(|(_, granted)| is_due(granted)).map(|(peer, _)| peer).collect()
    }

    /// Makes a node a member for so many days, or for as many as its roles allow, and gives the line by which it joins. A
    /// node that was one keeps its holder id.
    ///
    /// # Errors
    /// [`AuthorityError::Days`], [`AuthorityError::NoFetch`], [`AuthorityError::Forgotten`], [`AuthorityError::Full`].
    pub fn grant(
        &mut self,
        peer: PeerId,
        roles: Roles,
        days: Option<u16>,
        now: u64,
    ) -> Result<String, AuthorityError> {
        if !roles.has(Roles::FETCH) {
            return Err(AuthorityError::NoFetch);
        }
        let max = u16::try_from(roles.life_max_s() / DAY_S).unwrap_or(u16::MAX);
        let days = days.unwrap_or(max);
        if days == 0 || days > max {
            return Err(AuthorityError::Days { days, max });
        }
        let holder = self.holder_of(peer);
        let is_known = self.kept.members.get(&peer).is_some_and(|granted| granted.forgotten);
        if is_known || self.kept.denied.iter().any(|denied| denied.holder == holder.to_string()) {
            return Err(AuthorityError::Forgotten(peer));
        }
        let former = self.former(now);
        // While the former secret is honoured tokens name its epoch, so that those who have not heard of the new one take
        // their bearers for members too.
        let epoch = if former.is_some() { self.kept.epoch.saturating_sub(1) } else { self.kept.epoch };
        // A copy of the file from yesterday still signs numbers that nobody had before.
        self.kept.serial = self.kept.serial.saturating_add(1).max(now << 16);
        let not_before = now.saturating_sub(SKEW_S);
        let not_after = not_before.saturating_add(u64::from(days) * DAY_S);
        let serial = self.kept.serial;
        let wish = Wish { holder, peer, roles, not_before, not_after, epoch, serial };
        let membership = Membership {
            key: self.signer.public_key(),
            epoch: self.kept.epoch,
            secret: self.secret.clone(),
            former,
            token: Token::grant(&self.signer, &wish),
            denied: if self.kept.deny_version == 0 { None } else { Some(self.deny_list()?) },
            name: GroupName::sign(&self.signer, &self.kept.name),
            seal: None,
        };
        let granted = Granted {
            holder: holder.to_string(),
            roles: roles.names().join(","),
            days,
            not_before,
            not_after,
            epoch,
            serial,
            forgotten: false,
        };
        self.kept.members.insert(peer, granted);
        // What was sealed has a line.
        Ok(invitation_text(&membership.sealed(&self.signer)).unwrap_or_default())
    }

    /// The same again for somebody who was given a token.
    ///
    /// # Errors
    /// As [`grant`](Self::grant); [`AuthorityError::Who`] if he never was.
    pub fn renew(&mut self, peer: PeerId, now: u64) -> Result<String, AuthorityError> {
        let granted = self.kept.members.get(&peer).ok_or_else(|| AuthorityError::Who(peer.to_string()))?;
        let (roles, days) = (parse_roles(&granted.roles)?, granted.days);
        self.grant(peer, roles, Some(days), now)
    }

    /// These are no members any more: a peer id, a holder, an invitation or a token each. Gives the line of the deny list that
    /// says so, to be handed to everybody else, and how many were not on it before.
    ///
    /// # Errors
    /// [`AuthorityError::Who`], [`AuthorityError::Full`]; nothing has changed then.
    pub fn forget(&mut self, who: &[String], now: u64) -> Result<(String, usize), AuthorityError> {
        let holders: BTreeSet<HolderId> =
            who.iter().map(|who| self.holder_named(who)).collect::<Result<_, _>>()?;
        let mut kept = self.kept.clone();
        let mut count = 0;
        for holder in holders.iter().map(ToString::to_string) {
            let mut until = now + 30 * DAY_S;
            for granted in kept.members.values_mut().filter(|granted| granted.holder == holder) {
                (granted.forgotten, until) = (true, granted.not_after);
            }
            if kept.denied.iter().all(|denied| denied.holder != holder) {
                kept.denied.push(Denied { holder, until: until.saturating_add(DENIED_AFTER_S) });
                count += 1;
            }
        }
        if count > 0 {
            kept.denied.retain(|denied| denied.until >= now);
            kept.deny_version = kept.deny_version.saturating_add(1).max(now);
        }
        if kept.denied.len() > DENIED_HOLDERS_MAX {
            return Err(AuthorityError::Full);
        }
        self.kept = kept;
        Ok((denied_text(&self.deny_list()?), count))
    }

    /// Begins the next epoch: tokens and secrets that are handed out from now on are its. Gives how many tokens stop
    /// counting for whoever has it.
    ///
    /// # Errors
    /// [`AuthorityError::NoRandomness`].
    pub fn rotate(&mut self, now: u64) -> Result<usize, AuthorityError> {
        let secret = drawn()?;
        let former = std::mem::replace(&mut self.secret, EpochSecret(secret));
        (self.kept.former, self.kept.secret) = (Some(hex(&former.0)), hex(&secret));
        self.former = Some(former);
        self.kept.epoch = self.kept.epoch.saturating_add(1);
        self.kept.since = now;
        let is_cut_off = |granted: &&Granted| {
            !granted.forgotten
                && granted.not_after >= now
                && granted.epoch.saturating_add(1) < self.kept.epoch
        };
        Ok(self.kept.members.values().filter(is_cut_off).count())
    }

    /// Begins anew with another key, because the old one may be known to others: it signs nothing that counts for those who
    /// joined the new group (GROUP-8). Members have to be given tokens again; who was forgotten stays so.
    ///
    /// # Errors
    /// [`AuthorityError::NoRandomness`].
    pub fn abandon(&mut self, now: u64) -> Result<(), AuthorityError> {
        let (key, secret) = (drawn()?, drawn()?);
        (self.signer, self.secret, self.former) = (Signer::of(&key), EpochSecret(secret), None);
        (self.kept.key, self.kept.secret, self.kept.former) = (hex(&key), hex(&secret), None);
        (self.kept.epoch, self.kept.since) = (1, now);
        (self.kept.deny_version, self.kept.denied) = (0, Vec::new());
        Ok(())
    }

    fn deny_list(&self) -> Result<DenyList, AuthorityError> {
        let holders = self.kept.denied.iter().filter_map(|denied| HolderId::from_hex(&denied.holder));
        DenyList::sign(&self.signer, self.kept.deny_version, holders.collect()).ok_or(AuthorityError::Full)
    }

    fn former(&self, now: u64) -> Option<Former> {
        let until = self.kept.since.saturating_add(FORMER_S);
        let secret = self.former.clone().filter(|_| now <= until)?;
        Some(Former { secret, until })
    }

    /// If the list of members is lost, it is the same again; an enroller gives a node that comes with a ticket the same.
    fn holder_of(&self, peer: PeerId) -> HolderId {
        let known = self.kept.members.get(&peer).and_then(|granted| HolderId::from_hex(&granted.holder));
        known.unwrap_or_else(|| HolderId::of(self.id(), peer))
    }

    fn holder_named(&self, who: &str) -> Result<HolderId, AuthorityError> {
        let who = who.trim();
        let token = match Offer::parse(who) {
            Ok(Offer::Invitation(membership)) => Some(membership.token),
            _ => bytes_from_hex(who).and_then(|bytes| Token::parse(Bytes::from(bytes)).ok()),
        };
        let of_token = token.filter(|token| token.group() == self.id()).map(|token| token.wish().holder);
        let of_peer = || who.parse().ok().map(|peer| self.holder_of(peer));
        of_token
            .or_else(of_peer)
            .or_else(|| HolderId::from_hex(who))
            .ok_or_else(|| AuthorityError::Who(who.chars().take(80).collect()))
    }
}

fn drawn() -> Result<[u8; 32], AuthorityError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(AuthorityError::NoRandomness)?;
    Ok(bytes)
}

fn fresh(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn lock(folder: &Path) -> Result<File, AuthorityError> {
    let opened = File::open(folder).map_err(at("open", folder))?;
    opened.lock().map_err(at("lock", folder))?;
    Ok(opened)
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
