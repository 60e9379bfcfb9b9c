//! What makes this node a member of groups, as it is kept.
//!
//! Knows: the file `group.json`, `group-ID.json` for each further group, their fields, and how each is replaced in one step. Does not know: whether the token counts,
//! how it came here (`driver::Enrolment`).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use peer_proto::digest::{bytes_from_hex, hex};
use peer_proto::group::{DenyList, EpochSecret, Former, GroupId, GroupName, Membership, Token};
use serde::{Deserialize, Serialize};

use super::folder::{FolderError, at, close, replace};
use crate::disk::Files;

const NAME: &str = "group.json";
/// Of further groups: this, the id, and the end of the first.
const PREFIX: &str = "group-";
const SUFFIX: &str = ".json";
/// The deny list takes most of it.
const FILE_LEN_MAX: u64 = 192 * 1024;

/// Keeps the memberships below a state folder.
#[derive(Clone, Debug)]
pub struct GroupStore<F: Files> {
    files: F,
    folder: PathBuf,
}

/// The file: bytes as hexadecimal digits.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    key: String,
    epoch: u32,
    secret: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    former: Option<String>,
    /// Without it the former secret is honoured as long as it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    former_until: Option<u64>,
    token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    denied: Option<String>,
    /// What its owner calls the group, behind his signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Without it this node cannot hand the epoch on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seal: Option<String>,
}

impl<F: Files> GroupStore<F> {
    /// The memberships kept in `folder`, which exists.
    pub const fn new(files: F, folder: PathBuf) -> Self {
        Self { files, folder }
    }

    /// What is kept, by group; takes everybody else's rights from the files.
    ///
    /// # Errors
    /// [`FolderError::DamagedGroup`], [`FolderError::Io`].
    pub fn load(&self) -> Result<BTreeMap<GroupId, Membership>, FolderError> {
        let found = self.files_by_group()?;
        Ok(found.into_iter().map(|(id, (_, group))| (id, group)).collect())
    }

    /// What is kept and in which files. One of a group that another file has is of no use.
    fn files_by_group(&self) -> Result<BTreeMap<GroupId, (PathBuf, Membership)>, FolderError> {
        let mut names = vec![NAME.to_owned()];
        let is_further = |name: &String| name.starts_with(PREFIX) && name.ends_with(SUFFIX);
        let all = self.files.list(&self.folder).map_err(at("list", &self.folder))?;
        let mut further: Vec<String> =
            all.into_iter().filter_map(|name| name.into_string().ok()).filter(is_further).collect();
        further.sort_unstable();
        names.extend(further);
        let mut found = BTreeMap::new();
        for path in names.into_iter().map(|name| self.folder.join(name)) {
            if let Some(group) = self.read(&path)? {
                found.entry(group.group()).or_insert((path, group));
            }
        }
        Ok(found)
    }

    fn read(&self, path: &Path) -> Result<Option<Membership>, FolderError> {
        let path = path.to_owned();
        let bytes = match self.files.read(&path, FILE_LEN_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(FolderError::DamagedGroup { path });
            }
            Err(error) => return Err(at("read", &path)(error)),
        };
        let group = parse(&bytes).ok_or_else(|| FolderError::DamagedGroup { path: path.clone() })?;
        close(&self.files, &path)?;
        Ok(Some(group))
    }

    /// Keeps one, beside those of other groups: when this returns, it survives everything.
    ///
    /// # Errors
    /// As of [`load`](Self::load); what was kept before is still there.
    pub fn save(&self, group: &Membership) -> Result<(), FolderError> {
        let found = self.files_by_group()?;
        let first = self.folder.join(NAME);
        let path = match found.get(&group.group()) {
            Some((path, _)) => path.clone(),
            None if found.values().all(|(path, _)| *path != first) => first,
            None => self.folder.join(format!("{PREFIX}{}{SUFFIX}", group.group())),
        };
        // Plain values, which JSON can always say.
        let mut bytes = serde_json::to_vec_pretty(&written(group)).unwrap_or_default();
        bytes.push(b'\n');
        replace(&self.files, &path, &bytes)
    }

    /// Forgets the one of a group, if there is one.
    ///
    /// # Errors
    /// As of [`load`](Self::load).
    pub fn remove(&self, group: GroupId) -> Result<(), FolderError> {
        let Some((path, _)) = self.files_by_group()?.remove(&group) else { return Ok(()) };
        self.files.remove(&path).map_err(at("remove", &path))?;
        self.files.sync_folder(&self.folder).map_err(at("sync", &self.folder))
    }
}

fn parse(bytes: &[u8]) -> Option<Membership> {
    let written: Written = serde_json::from_slice(bytes).ok()?;
    let key = |text: &str| <[u8; 32]>::try_from(bytes_from_hex(text)?).ok();
    let former = match &written.former {
        Some(text) => {
            let until = written.former_until.unwrap_or(u64::MAX);
            Some(Former { secret: EpochSecret(key(text)?), until })
        }
        None => None,
    };
    let group_key = key(&written.key)?;
    let denied = match &written.denied {
        Some(text) => {
            let list = DenyList::parse(bytes_from_hex(text)?.into())?;
            Some(list).filter(|list| list.is_signed(&group_key)).map(Some)?
        }
        None => None,
    };
    let name = match &written.name {
        Some(text) => Some(GroupName::parse(&bytes_from_hex(text)?, &group_key)?),
        None => None,
    };
    let seal = match &written.seal {
        Some(text) => Some(bytes_from_hex(text)?.try_into().ok()?),
        None => None,
    };
    Some(Membership {
        key: group_key,
        epoch: written.epoch,
        secret: EpochSecret(key(&written.secret)?),
        former,
        token: Token::parse(bytes_from_hex(&written.token)?.into()).ok()?,
        denied,
        name,
        seal,
    })
}

fn written(group: &Membership) -> Written {
    let former = group.former.as_ref();
    Written {
        key: hex(&group.key),
        epoch: group.epoch,
        secret: hex(&group.secret.0),
        former: former.map(|former| hex(&former.secret.0)),
        former_until: former.map(|former| former.until).filter(|until| *until < u64::MAX),
        token: hex(group.token.bytes()),
        denied: group.denied.as_ref().map(|list| hex(list.bytes())),
        name: group.name.as_ref().map(|name| hex(&name.bytes())),
        seal: group.seal.map(|seal| hex(&seal)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use peer_proto::group::{HolderId, Roles, Wish};
    use peer_proto::sign::Signer;

    use super::*;
    use crate::disk::RealFiles;

    fn signer() -> Signer {
        Signer::of(&[1; 32])
    }

    fn token() -> Token {
        let wish = Wish {
            holder: HolderId([1; 16]),
            peer: signer().peer(),
            roles: Roles::FETCH,
            not_before: 1,
            not_after: 2,
            epoch: 3,
            serial: 4,
        };
        Token::grant(&signer(), &wish)
    }

    fn text(former: &str) -> String {
        let (key, secret) = (hex(&signer().public_key()), hex(&[7; 32]));
        let token = hex(token().bytes());
        format!(r#"{{"key": "{key}", "epoch": 3, "secret": "{secret}",{former} "token": "{token}"}}"#)
    }

    fn store(folder: &Path) -> GroupStore<RealFiles> {
        GroupStore::new(RealFiles, folder.to_owned())
    }

    /// The one that is kept.
    fn only(store: &GroupStore<RealFiles>) -> Membership {
        let all: Vec<Membership> = store.load().unwrap().into_values().collect();
        let [one] = &all[..] else { panic!("{all:?}") };
        one.clone()
    }

    #[test]
    fn a_membership_is_read_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        assert!(store.load().unwrap().is_empty());
        let path = folder.path().join(NAME);
        std::fs::write(&path, text(&format!(r#" "former": "{}","#, hex(&[6; 32])))).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let group = only(&store);
        assert_eq!((group.epoch, group.secret), (3, EpochSecret([7; 32])));
        assert_eq!(group.former, Some(Former { secret: EpochSecret([6; 32]), until: u64::MAX }));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn group_6_what_is_kept_is_found_again_with_its_deny_list_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let holder = |number: u16| {
            let mut id = [0; 16];
            id[..2].copy_from_slice(&number.to_be_bytes());
            HolderId(id)
        };
        let whole = Membership {
            key: signer().public_key(),
            epoch: 3,
            secret: EpochSecret([7; 32]),
            former: Some(Former { secret: EpochSecret([6; 32]), until: 9 }),
            token: token(),
            denied: DenyList::sign(&signer(), 5, (0..4_096).map(holder).collect()),
            name: GroupName::sign(&signer(), "branch"),
            seal: None,
        };
        let sealed = whole.clone().sealed(&signer());
        for group in [Membership { former: None, denied: None, ..whole.clone() }, whole, sealed] {
            store.save(&group).unwrap();
            assert_eq!(only(&store), group);
        }
        let path = folder.path().join(NAME);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let id = GroupId::of(&signer().public_key());
        store.remove(id).unwrap();
        store.remove(id).unwrap();
        assert!(store.load().unwrap().is_empty());
    }

    /// What makes the node a member of the group with this key.
    fn of_group(key: u8) -> Membership {
        let group = Signer::of(&[key; 32]);
        let wish = *token().wish();
        Membership {
            key: group.public_key(),
            epoch: 3,
            secret: EpochSecret([key; 32]),
            former: None,
            token: Token::grant(&group, &wish),
            denied: None,
            name: None,
            seal: None,
        }
    }

    #[test]
    fn group_8_each_group_has_a_file_of_its_own_and_the_first_keeps_the_name_it_always_had() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        // As a node wrote it that knew one group only.
        std::fs::write(folder.path().join(NAME), text("")).unwrap();
        let old = only(&store);
        let others = [of_group(2), of_group(3)];
        others.iter().for_each(|group| store.save(group).unwrap());
        let all = |groups: &[&Membership]| -> BTreeMap<GroupId, Membership> {
            groups.iter().map(|group| (group.group(), (*group).clone())).collect()
        };
        assert_eq!(store.load().unwrap(), all(&[&old, &others[0], &others[1]]));
        assert_eq!(std::fs::read_to_string(folder.path().join(NAME)).unwrap(), text(""), "untouched");
        let path = folder.path().join(format!("group-{}.json", others[0].group()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // What is renewed stays where it is, whatever was left meanwhile.
        store.remove(old.group()).unwrap();
        let renewed = Membership { epoch: 4, ..others[0].clone() };
        store.save(&renewed).unwrap();
        assert_eq!(store.load().unwrap(), all(&[&renewed, &others[1]]));
        assert!(!folder.path().join(NAME).exists());
        store.save(&of_group(4)).unwrap();
        assert!(folder.path().join(NAME).exists());
        std::fs::write(&path, "{}").unwrap();
        let error = store.load().unwrap_err().to_string();
        assert!(error.contains("group-") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn a_damaged_membership_is_an_error_of_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let whole = text("");
        let longer = format!("{whole}{}", " ".repeat(200_000));
        let foreign = DenyList::sign(&Signer::of(&[2; 32]), 5, [].into()).unwrap();
        let foreign = text(&format!(r#" "denied": "{}","#, hex(foreign.bytes())));
        let named = GroupName::sign(&Signer::of(&[2; 32]), "branch").unwrap();
        let named = text(&format!(r#" "name": "{}","#, hex(&named.bytes())));
        let (cut, more) = (&whole[..whole.len() - 9], text(r#" "more": 1,"#));
        for damaged in [cut, r#"{"key": "00"}"#, "", &more, &longer, &foreign, &named] {
            std::fs::write(folder.path().join(NAME), damaged).unwrap();
            let error = store(folder.path()).load().unwrap_err().to_string();
            assert!(error.contains("group.json") && !error.contains('\n'), "{error}");
        }
        std::fs::write(folder.path().join(NAME), &whole).unwrap();
        assert_eq!(store(folder.path()).load().unwrap().len(), 1);
    }
}
