//! What a member of the group of these tests has, in the hands of a program that is no node: it shows it, and says what it
//! likes as one.
//!
//! Knows: tags, tokens, and answers to questions for attestations. Does not know: files and their bytes (`hostile`).

use peer_proto::attest::{Attestation, Attested};
use peer_proto::batch::{Batch, Batched};
use peer_proto::content::{ContentId, Hash};
use peer_proto::evidence::Against;
use peer_proto::group::{GroupId, HolderId, Roles, Token, Wish};
use peer_proto::peer::PeerId;
use peer_proto::sign::Signer;
use peer_proto::verify::HashList;
use peer_proto::version::Version;
use peer_proto::void::{Void, Voided};
use peer_proto::wire::{Attestations, Batches, Frame};

use crate::groups::{SECRET, group};

const DAY: u64 = 24 * 60 * 60;
const TAG_LEN: usize = 16;
/// Values in one batch, and batches that fit a frame.
const BATCH_VALUES: usize = 256;
const BATCHES_AT_ONCE: usize = 2;

/// The key of a node with its token.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) signer: Signer,
    pub(crate) token: Token,
    pub(crate) now: u64,
}

/// What is said of a file: where it is, which version, and its bytes.
#[derive(Clone)]
pub(crate) struct Word {
    pub(crate) url: String,
    pub(crate) version: Version,
    pub(crate) content: ContentId,
}

impl Member {
    /// The node whose identity is made of this seed, as a holder of the same number, with these roles beside fetch and serve.
    pub(crate) fn new(seed: u8, roles: Roles, now: u64) -> Self {
        let signer = Signer::of(&[seed; 32]);
        let wish = Wish {
            holder: HolderId([seed; 16]),
            peer: signer.peer(),
            roles: Roles::FETCH.and(Roles::SERVE).and(roles),
            not_before: now - DAY,
            not_after: now + DAY,
            epoch: 1,
            serial: 1,
        };
        Self { token: Token::grant(&group(), &wish), signer, now }
    }

    /// What it shows to members.
    pub(crate) fn badge(&self) -> Badge {
        Badge {
            secret: Some(SECRET),
            token: self.token.clone(),
            attestations: Vec::new(),
            batches: Vec::new(),
            says: Vec::new(),
        }
    }

    /// Its signed word for the bytes of a version, whether it may give it or not.
    pub(crate) fn attests(&self, word: &Word) -> Attestation {
        let said = Attested {
            group: GroupId::of(&group().public_key()),
            holder: self.token.wish().holder,
            peer: self.token.wish().peer,
            sequence: self.now,
            fetched_at: self.now,
            not_after: self.now + DAY,
            url: word.url.clone(),
            version: word.version.clone(),
            content: word.content,
            sha256: [0x5a; 32],
            anchor: [0; 32],
        };
        Attestation::sign(&self.signer, &self.token, said).expect("fit to be signed")
    }

    /// Its signed word for every piece of a list, as if it had just read them.
    pub(crate) fn streams(&self, word: &Word, list: &HashList) -> Vec<Batch> {
        let mut batches: Vec<Batch> = Vec::new();
        for (number, values) in (0..).zip(list.values().chunks(BATCH_VALUES)) {
            let said = Batched {
                group: GroupId::of(&group().public_key()),
                holder: self.token.wish().holder,
                peer: self.token.wish().peer,
                stream: [5; 16],
                number,
                previous: batches.last().map_or(Hash([0; 32]), Batch::id),
                at: self.now,
                url: word.url.clone(),
                version: word.version.clone(),
                first: number * 256,
                values: values.to_vec(),
            };
            batches.push(Batch::sign(&self.signer, &self.token, said).expect("fit to be signed"));
        }
        batches
    }

    /// Takes back what it attested.
    pub(crate) fn takes_back(&self, one: &Attestation) -> Frame {
        let said = Voided {
            group: one.said().group,
            holder: one.said().holder,
            statement: one.id(),
            sequence: self.now + 1,
            not_after: one.said().not_after,
            reason: "it was read wrong".into(),
        };
        let void = Void::sign(&self.signer, Some(&self.token), said).expect("fit to be signed");
        Frame::Against(Against::Void(void))
    }
}

/// What a program shows and says to members of the group.
#[derive(Clone)]
pub(crate) struct Badge {
    /// The secret of the epoch, if it knows it.
    pub(crate) secret: Option<[u8; 32]>,
    /// The token it shows, whosever that is.
    pub(crate) token: Token,
    /// What it answers whoever asks for attestations, of whatever file.
    pub(crate) attestations: Vec<Attestation>,
    /// What it says besides of the file that is asked for.
    pub(crate) batches: Vec<Batch>,
    /// What it says as soon as it has shown its token.
    pub(crate) says: Vec<Frame>,
}

impl Badge {
    /// The tags of its Hello, made as `docs/protocol.md` says.
    pub(crate) fn tags(&self, me: &PeerId, peer: &PeerId, nonce: &[u8; 16]) -> [u8; 128] {
        let mut tags = [3; 128];
        if let Some(secret) = &self.secret {
            let mut hasher = blake3::Hasher::new_keyed(secret);
            hasher.update(b"nearbits hello 1").update(me.public_key());
            hasher.update(peer.public_key()).update(nonce);
            tags[..TAG_LEN].copy_from_slice(&hasher.finalize().as_bytes()[..TAG_LEN]);
        }
        tags
    }

    /// What it says to a frame.
    pub(crate) fn answers(&self, frame: &Frame) -> Vec<Frame> {
        match frame {
            Frame::Hello(_) => {
                std::iter::once(Frame::Token(self.token.clone())).chain(self.says.iter().cloned()).collect()
            }
            Frame::AttestWant(want) => {
                let number = want.number;
                let list = self.attestations.clone();
                let few = self.batches.chunks(BATCHES_AT_ONCE);
                let batches = few.map(|few| Frame::Batches(Batches { number, list: few.to_vec() }));
                batches.chain([Frame::Attestations(Attestations { number, list })]).collect()
            }
            _ => Vec::new(),
        }
    }
}
