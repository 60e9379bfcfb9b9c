//! What makes this node a member of a group, as it is kept.
//!
//! Knows: the file `group.json` and its fields, and how it is replaced in one step. Does not know: whether the token counts,
//! how it came here (`driver::Enrolment`).

use std::io;
use std::path::PathBuf;

use peer_proto::digest::{bytes_from_hex, hex};
use peer_proto::group::{DenyList, EpochSecret, Former, Membership, Token};
use serde::{Deserialize, Serialize};

use super::folder::{FolderError, at, close, replace};
use crate::disk::Files;

const NAME: &str = "group.json";
/// The deny list takes most of it.
const FILE_LEN_MAX: u64 = 192 * 1024;

/// Keeps the membership below a state folder.
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
    /// Without it this node cannot hand the epoch on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seal: Option<String>,
}

impl<F: Files> GroupStore<F> {
    /// The membership kept in `folder`, which exists.
    pub const fn new(files: F, folder: PathBuf) -> Self {
        Self { files, folder }
    }

    /// What is kept, if anything is; takes everybody else's rights from the file.
    ///
    /// # Errors
    /// [`FolderError::DamagedGroup`], [`FolderError::Io`].
    pub fn load(&self) -> Result<Option<Membership>, FolderError> {
        let path = self.path();
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

    /// Keeps it: when this returns, it survives everything.
    ///
    /// # Errors
    /// [`FolderError::Io`]; what was kept before is still there.
    pub fn save(&self, group: &Membership) -> Result<(), FolderError> {
        // Plain values, which JSON can always say.
        let mut bytes = serde_json::to_vec_pretty(&written(group)).unwrap_or_default();
        bytes.push(b'\n');
        replace(&self.files, &self.path(), &bytes)
    }

    /// Forgets it.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn remove(&self) -> Result<(), FolderError> {
        match self.files.remove(&self.path()) {
            Ok(()) => self.files.sync_folder(&self.folder).map_err(at("sync", &self.folder)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(at("remove", &self.path())(error)),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(NAME)
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
        seal: group.seal.map(|seal| hex(&seal)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

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

    #[test]
    fn a_membership_is_read_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        assert!(store.load().unwrap().is_none());
        let path = folder.path().join(NAME);
        std::fs::write(&path, text(&format!(r#" "former": "{}","#, hex(&[6; 32])))).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let group = store.load().unwrap().unwrap();
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
            seal: None,
        };
        let sealed = whole.clone().sealed(&signer());
        for group in [Membership { former: None, denied: None, ..whole.clone() }, whole, sealed] {
            store.save(&group).unwrap();
            assert_eq!(store.load().unwrap(), Some(group));
        }
        let path = folder.path().join(NAME);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        store.remove().unwrap();
        store.remove().unwrap();
        assert_eq!(store.load().unwrap(), None);
    }

    #[test]
    fn a_damaged_membership_is_an_error_of_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let whole = text("");
        let longer = format!("{whole}{}", " ".repeat(200_000));
        let foreign = DenyList::sign(&Signer::of(&[2; 32]), 5, [].into()).unwrap();
        let foreign = text(&format!(r#" "denied": "{}","#, hex(foreign.bytes())));
        for damaged in
            [&whole[..whole.len() - 9], r#"{"key": "00"}"#, "", &text(r#" "more": 1,"#), &longer, &foreign]
        {
            std::fs::write(folder.path().join(NAME), damaged).unwrap();
            let error = store(folder.path()).load().unwrap_err().to_string();
            assert!(error.contains("group.json") && !error.contains('\n'), "{error}");
        }
        std::fs::write(folder.path().join(NAME), &whole).unwrap();
        assert!(store(folder.path()).load().unwrap().is_some());
    }
}
