//! What makes this node a member of a group, as it is kept.
//!
//! Knows: the file `group.json` and its fields. Does not know: whether the token counts (`node` checks it), how it came
//! here.

use std::io;
use std::path::Path;

use peer_proto::digest::bytes_from_hex;
use peer_proto::group::{EpochSecret, Token};
use serde::Deserialize;

use super::folder::{FolderError, at, close};
use crate::disk::Files;

const NAME: &str = "group.json";
const FILE_LEN_MAX: u64 = 4_096;

/// A membership.
#[derive(Clone, Debug)]
pub struct StoredGroup {
    /// The group's public key.
    pub key: [u8; 32],
    /// The present epoch.
    pub epoch: u32,
    /// Its secret.
    pub secret: EpochSecret,
    /// The secret of the epoch before, while that is honoured.
    pub former: Option<EpochSecret>,
    /// This node's token.
    pub token: Token,
}

/// The file: bytes as hexadecimal digits.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    key: String,
    epoch: u32,
    secret: String,
    #[serde(default)]
    former: Option<String>,
    token: String,
}

/// Reads the membership in a state folder, if there is one.
pub(super) fn load<F: Files>(files: &F, folder: &Path) -> Result<Option<StoredGroup>, FolderError> {
    let path = folder.join(NAME);
    let bytes = match files.read(&path, FILE_LEN_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            return Err(FolderError::DamagedGroup { path });
        }
        Err(error) => return Err(at("read", &path)(error)),
    };
    let group = parse(&bytes).ok_or_else(|| FolderError::DamagedGroup { path: path.clone() })?;
    close(files, &path)?;
    Ok(Some(group))
}

fn parse(bytes: &[u8]) -> Option<StoredGroup> {
    let written: Written = serde_json::from_slice(bytes).ok()?;
    let key = |text: &str| <[u8; 32]>::try_from(bytes_from_hex(text)?).ok();
    let former = match &written.former {
        Some(text) => Some(EpochSecret(key(text)?)),
        None => None,
    };
    Some(StoredGroup {
        key: key(&written.key)?,
        epoch: written.epoch,
        secret: EpochSecret(key(&written.secret)?),
        former,
        token: Token::parse(bytes_from_hex(&written.token)?.into()).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use peer_proto::group::{HolderId, Roles, Wish};
    use peer_proto::sign::Signer;

    use super::*;
    use crate::disk::RealFiles;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn text(former: &str) -> String {
        let group = Signer::of(&[1; 32]);
        let wish = Wish {
            holder: HolderId([1; 16]),
            peer: group.peer(),
            roles: Roles::FETCH,
            not_before: 1,
            not_after: 2,
            epoch: 3,
            serial: 4,
        };
        let (key, secret) = (hex(&group.public_key()), hex(&[7; 32]));
        let token = hex(Token::grant(&group, &wish).bytes());
        format!(r#"{{"key": "{key}", "epoch": 3, "secret": "{secret}",{former} "token": "{token}"}}"#)
    }

    #[test]
    fn a_membership_is_read_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load(&RealFiles, folder.path()).unwrap().is_none());
        let path = folder.path().join(NAME);
        std::fs::write(&path, text(&format!(r#" "former": "{}","#, hex(&[6; 32])))).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let group = load(&RealFiles, folder.path()).unwrap().unwrap();
        assert_eq!((group.epoch, group.secret), (3, EpochSecret([7; 32])));
        assert_eq!(group.former, Some(EpochSecret([6; 32])));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_membership_is_an_error_of_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let whole = text("");
        let longer = format!("{whole}{}", " ".repeat(5_000));
        for damaged in [&whole[..whole.len() - 9], r#"{"key": "00"}"#, "", &text(r#" "more": 1,"#), &longer] {
            std::fs::write(folder.path().join(NAME), damaged).unwrap();
            let error = load(&RealFiles, folder.path()).unwrap_err().to_string();
            assert!(error.contains("group.json") && !error.contains('\n'), "{error}");
        }
        std::fs::write(folder.path().join(NAME), &whole).unwrap();
        assert!(load(&RealFiles, folder.path()).unwrap().is_some());
    }
}
