//! Attestations that count, what was taken back, and what attestors signed that turned out false: a file for each.
//!
//! Knows: their folder and how a file in it becomes durable. Does not know: whether an attestation still counts (the
//! engine looks when it uses one), who asks.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use peer_proto::attest::Attestation;
use peer_proto::content::Hash;
use peer_proto::digest::{bytes_from_hex, hex};
use peer_proto::evidence::Contradiction;
use peer_proto::group::{GroupId, HolderId};
use peer_proto::limits::{ATTESTATION_LEN_MAX, VOID_LEN_MAX};
use peer_proto::void::Void;

use super::jobs::{JobStoreError, at, replace};
use crate::disk::Files;

/// Files that are looked at when a node starts; more than the engine keeps of both kinds.
const FILES_MAX: usize = 8_192;
/// Bytes of what an attestor signed, as people can read it, that are looked at.
const FALSE_LEN_MAX: u64 = 128 * 1024;
const GOOD: &str = "attestation";
const FALSE: &str = "false";
const VOID: &str = "void";

/// The attestations of one state folder.
#[derive(Clone, Debug)]
pub struct AttestStore<F: Files> {
    files: F,
    folder: PathBuf,
}

/// An attestor whose word is not believed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Distrusted {
    /// In which group; what was written down when a node was in one only does not say.
    pub group: Option<GroupId>,
    /// Who.
    pub holder: HolderId,
    /// What proves it to others, if anything does.
    pub proof: Option<Contradiction>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct KnownAttestations {
    /// What attestors signed.
    pub held: Vec<Attestation>,
    /// Attestors whose word is not believed, and what proves that to others, if anything does.
    pub distrusted: Vec<Distrusted>,
    /// What takes back something they signed.
    pub voids: Vec<Void>,
    /// What could not be read, for the log.
    pub notes: Vec<String>,
}

impl<F: Files> AttestStore<F> {
    /// Those kept in `folder`, which is made when there is something to keep.
    pub const fn new(files: F, folder: PathBuf) -> Self {
        Self { files, folder }
    }

    /// Reads all of them. What is damaged is left where it is, and not believed.
    #[must_use]
    pub fn load(&self) -> KnownAttestations {
        let mut known = KnownAttestations::default();
        let mut names = self.files.list(&self.folder).unwrap_or_default();
        // Who and what is not believed first: nothing of that is left out.
        let tells_against = |name: &str| name.ends_with(FALSE) || name.ends_with(VOID);
        names.sort_by_key(|name| !tells_against(&name.to_string_lossy()));
        for name in names.into_iter().take(FILES_MAX) {
            let path = self.folder.join(&name);
            let Some((stem, kind)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
            let damaged = || format!("{} is damaged and not believed; remove it", path.display());
            match kind {
                GOOD => match self.attestation(&path) {
                    Some(one) => known.held.push(one),
                    None => known.notes.push(damaged()),
                },
                VOID => match self.void(&path) {
                    Some(void) => known.voids.push(void),
                    None => known.notes.push(damaged()),
                },
                // That it is there says enough: whoever damaged it does not make an attestor honest.
                FALSE => match bytes_from_hex(stem).and_then(|bytes| who(&bytes)) {
                    Some((group, holder)) => {
                        let proof = self.proof(&path, group, holder);
                        known.distrusted.push(Distrusted { group, holder, proof });
                    }
                    None => known.notes.push(damaged()),
                },
                _ => {}
            }
        }
        known
    }

    fn void(&self, path: &Path) -> Option<Void> {
        let bytes = self.files.read(path, u64::try_from(VOID_LEN_MAX).ok()?).ok()?;
        Void::parse(Bytes::from(bytes)).ok()
    }

    /// What proves to others that an attestor is false: what it signed, if that does.
    fn proof(&self, path: &Path, group: Option<GroupId>, holder: HolderId) -> Option<Contradiction> {
        let bytes = self.files.read(path, FALSE_LEN_MAX).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let signed = text.lines().skip(1).map(|line| bytes_from_hex(line).map(Bytes::from));
        let pair = Contradiction::parse(&signed.collect::<Option<Vec<_>>>()?)?;
        let is_it = pair.holder() == holder && group.is_none_or(|group| group == pair.group());
        is_it.then_some(pair)
    }

    fn attestation(&self, path: &Path) -> Option<Attestation> {
        let bytes = self.files.read(path, u64::try_from(ATTESTATION_LEN_MAX).ok()?).ok()?;
        Attestation::parse(Bytes::from(bytes)).ok()
    }

    /// Keeps an attestation: when this returns, it survives everything.
    ///
    /// # Errors
    /// [`JobStoreError::Io`]; it is forgotten when the node ends.
    pub fn keep(&self, one: &Attestation) -> Result<(), JobStoreError> {
        self.write(&hex(&one.id().0), GOOD, one.bytes())
    }

    /// Keeps what takes back something an attestor signed.
    ///
    /// # Errors
    /// [`JobStoreError::Io`]; it is forgotten when the node ends.
    pub fn keep_void(&self, void: &Void) -> Result<(), JobStoreError> {
        self.write(&hex(&void.id().0), VOID, void.bytes())
    }

    /// Lets go of an attestation.
    ///
    /// # Errors
    /// [`JobStoreError::Io`], but not if it was not there.
    pub fn drop_one(&self, id: Hash) -> Result<(), JobStoreError> {
        self.remove(id, GOOD)
    }

    /// Lets go of a void.
    ///
    /// # Errors
    /// [`JobStoreError::Io`], but not if it was not there.
    pub fn drop_void(&self, id: Hash) -> Result<(), JobStoreError> {
        self.remove(id, VOID)
    }

    fn remove(&self, id: Hash, kind: &str) -> Result<(), JobStoreError> {
        let path = self.path(&id.0, kind);
        match self.files.remove(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at("remove", &path)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Remembers for good that an attestor's word is not believed, with what it signed: `<group><holder>.false`, which people
    /// can read.
    ///
    /// # Errors
    /// [`JobStoreError::Io`]; it is forgotten when the node ends.
    pub fn distrust(
        &self,
        group: GroupId,
        holder: HolderId,
        evidence: &[Bytes],
        why: &str,
    ) -> Result<(), JobStoreError> {
        let mut text = format!("{why}\n");
        for one in evidence {
            text.push_str(&hex(one));
            text.push('\n');
        }
        self.write(&hex(&[group.0, holder.0].concat()), FALSE, text.as_bytes())
    }

    fn path(&self, id: &[u8], kind: &str) -> PathBuf {
        self.folder.join(format!("{}.{kind}", hex(id)))
    }

    fn write(&self, stem: &str, kind: &str, bytes: &[u8]) -> Result<(), JobStoreError> {
        match self.files.create_folder(&self.folder, 0o700) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(at("create", &self.folder)(error));
            }
            Ok(()) | Err(_) => {}
        }
        replace(&self.files, &self.folder, [&format!("{stem}.new"), &format!("{stem}.{kind}")], bytes)
    }
}

/// Whom the name of a file means: a holder, and in front of him his group.
fn who(bytes: &[u8]) -> Option<(Option<GroupId>, HolderId)> {
    match bytes.as_chunks::<16>() {
        ([holder], []) => Some((None, HolderId(*holder))),
        ([group, holder], []) => Some((Some(GroupId(*group)), HolderId(*holder))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use peer_proto::attest::Attested;
    use peer_proto::content::ContentId;
    use peer_proto::group::{Roles, Token, Wish};
    use peer_proto::sign::Signer;
    use peer_proto::version::Version;
    use peer_proto::void::Voided;

    use super::*;
    use crate::disk::RealFiles;

    fn token() -> Token {
        let wish = Wish {
            holder: HolderId([7; 16]),
            peer: Signer::of(&[1; 32]).peer(),
            roles: Roles::ATTEST,
            not_before: 0,
            not_after: 1,
            epoch: 0,
            serial: 0,
        };
        Token::grant(&Signer::of(&[9; 32]), &wish)
    }

    fn attestation(sequence: u64) -> Attestation {
        let signer = Signer::of(&[1; 32]);
        let said = Attested {
            group: GroupId([1; 16]),
            holder: HolderId([7; 16]),
            peer: signer.peer(),
            sequence,
            fetched_at: 1,
            not_after: 2,
            url: "https://example.org/a".into(),
            version: Version {
                final_origin: "https://example.org:443".into(),
                etag: Some("\"a\"".into()),
                last_modified: None,
                len: Some(9),
            },
            content: ContentId { root: Hash([1; 32]), len: 9 },
            sha256: [2; 32],
            anchor: [0; 32],
        };
        Attestation::sign(&signer, &token(), said).expect("short")
    }

    #[test]
    fn what_was_kept_is_found_again_and_what_was_dropped_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = AttestStore::new(RealFiles, folder.path().join("attestations"));
        assert!(store.load().held.is_empty(), "no folder yet");
        for sequence in 1..=3 {
            store.keep(&attestation(sequence)).expect("kept");
        }
        store.keep(&attestation(2)).expect("kept twice");
        store.drop_one(attestation(1).id()).expect("dropped");
        store.drop_one(attestation(1).id()).expect("dropped before");
        let known = store.load();
        let mut sequences: Vec<u64> = known.held.iter().map(|one| one.said().sequence).collect();
        sequences.sort_unstable();
        assert_eq!((sequences.as_slice(), known.notes.len()), (&[2, 3][..], 0));
    }

    #[test]
    fn a_false_attestor_is_remembered_with_what_it_signed() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = AttestStore::new(RealFiles, folder.path().to_owned());
        let evidence = [attestation(1), attestation(2)];
        let signed = evidence.clone().map(|one| one.bytes().clone());
        let (group, holder) = (evidence[0].said().group, HolderId([7; 16]));
        store.distrust(group, holder, &signed, "two contents of one version").expect("kept");
        let one = Distrusted { group: Some(group), holder, proof: None };
        assert_eq!(store.load().distrusted, [one], "these two may both be so");
        let path = folder.path().join(format!("{group}{}.false", "07".repeat(16)));
        let text = std::fs::read_to_string(&path);
        let text = text.expect("it can be read");
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("two contents of one version"));
        for one in evidence {
            let bytes = lines.next().and_then(bytes_from_hex).expect("an attestation");
            assert_eq!(Attestation::parse(bytes.into()), Ok(one));
        }
        // As it was named when a node was in one group only.
        std::fs::rename(&path, folder.path().join(format!("{}.false", "07".repeat(16)))).expect("renamed");
        assert_eq!(store.load().distrusted, [Distrusted { group: None, holder, proof: None }]);
    }

    #[test]
    fn attest_8_what_proves_an_attestor_false_is_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = AttestStore::new(RealFiles, folder.path().to_owned());
        let one = attestation(1);
        let content = ContentId { root: Hash([9; 32]), ..one.said().content };
        let other = Attested { content, ..one.said().clone() };
        let other = Attestation::sign(&Signer::of(&[1; 32]), &token(), other).expect("short");
        let signed = [one.bytes().clone(), other.bytes().clone()];
        let (group, holder) = (one.said().group, HolderId([7; 16]));
        store.distrust(group, holder, &signed, "two contents").expect("kept");
        let proof = Contradiction::of(one, other);
        assert!(proof.is_some());
        assert_eq!(store.load().distrusted, [Distrusted { group: Some(group), holder, proof }]);
    }

    #[test]
    fn attest_9_what_was_taken_back_is_found_again_until_it_is_let_go_of() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = AttestStore::new(RealFiles, folder.path().to_owned());
        let void = |number: u8| {
            let said = Voided {
                group: GroupId([1; 16]),
                holder: HolderId([7; 16]),
                statement: Hash([number; 32]),
                sequence: 1,
                not_after: 2,
                reason: "read wrong".into(),
            };
            Void::sign(&Signer::of(&[9; 32]), None, said).expect("short")
        };
        store.keep_void(&void(1)).expect("kept");
        store.keep_void(&void(2)).expect("kept");
        store.drop_void(void(1).id()).expect("dropped");
        store.drop_void(void(1).id()).expect("dropped before");
        std::fs::write(store.path(&[5; 32], VOID), "no void").expect("written");
        let known = store.load();
        assert_eq!((known.voids.as_slice(), known.notes.len()), (&[void(2)][..], 1));
    }

    #[test]
    fn what_is_damaged_is_named_and_not_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = AttestStore::new(RealFiles, folder.path().to_owned());
        store.keep(&attestation(1)).expect("kept");
        let path = store.path(&attestation(1).id().0, GOOD);
        std::fs::write(&path, "no attestation").expect("damaged");
        std::fs::write(folder.path().join("short.false"), "").expect("written");
        std::fs::write(folder.path().join("half.new"), "").expect("written");
        let known = store.load();
        assert!(known.held.is_empty() && known.distrusted.is_empty());
        assert_eq!(known.notes.len(), 2, "{:?}", known.notes);
        assert!(known.notes.iter().all(|note| note.contains("not believed")));
    }
}
