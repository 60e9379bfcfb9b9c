//! Lengths that are stated, and the one that is true.
//!
//! Knows: expanded and contracted lists. Does not know: sessions.

use super::super::subtree::{Form, SubtreeHasher, parent};
use super::*;
use crate::peer::PeerId;

/// What a peer states, the list it shows for it, and the last piece it would send.
struct Witness {
    len: u64,
    values: Vec<Hash>,
    last: Vec<u8>,
}

const TRUE_LEN: u64 = 5 * PIECE;

fn peer(name: u8) -> PeerId {
    PeerId::from_public_key([name; 32])
}

fn subtree(offset: u64, len: u64) -> Hash {
    let mut hasher = SubtreeHasher::new(offset, len, Form::Inner).unwrap();
    assert!(hasher.update(&bytes_at(offset, len)));
    hasher.finish().unwrap()
}

fn honest() -> Witness {
    let list = list_of(&bytes_at(0, TRUE_LEN));
    Witness { len: TRUE_LEN, values: list.values().to_vec(), last: bytes_at(4 * PIECE, PIECE) }
}

/// One byte less: the same number of pieces, so the same list folds.
fn shorter() -> Witness {
    Witness { len: TRUE_LEN - 1, last: bytes_at(4 * PIECE, PIECE - 1), ..honest() }
}

/// One more byte, as far as the number of pieces stays the same: only possible when the last piece is not full.
fn longer(true_len: u64) -> Witness {
    let values = list_of(&bytes_at(0, true_len)).values().to_vec();
    Witness { len: true_len + 1, values, last: bytes_at(4 * PIECE, true_len + 1 - 4 * PIECE) }
}

/// Six values for five pieces: the last piece's own two halves.
fn expanded() -> Witness {
    let half = PIECE / 2;
    let mut values = honest().values;
    values.truncate(4);
    values.extend([subtree(4 * PIECE, half), subtree(4 * PIECE + half, half)]);
    Witness { len: TRUE_LEN + half, values, last: bytes_at(4 * PIECE + half, half) }
}

/// Two values for five pieces.
fn contracted() -> Witness {
    let four = [0, 2]
        .map(|pair| parent(&subtree(pair * PIECE, PIECE), &subtree((pair + 1) * PIECE, PIECE), Form::Inner));
    let values = vec![parent(&four[0], &four[1], Form::Inner), subtree(4 * PIECE, PIECE)];
    Witness { len: 2 * PIECE, values, last: bytes_at(4 * PIECE, PIECE) }
}

fn try_it(proof: &mut LengthProof, witness: &Witness) -> Result<ContentId, VerifyError> {
    let root = root_of(&bytes_at(0, TRUE_LEN));
    let list = HashList::proved(ContentId { root, len: witness.len }, witness.values.clone())?;
    proof.check(&list, &witness.last)
}

#[test]
fn trust_5_false_lists_fold_but_only_the_true_length_is_proved() {
    let root = root_of(&bytes_at(0, TRUE_LEN));
    for (name, liar) in [("shorter", shorter()), ("expanded", expanded()), ("contracted", contracted())] {
        let content = ContentId { root, len: liar.len };
        let list = HashList::proved(content, liar.values.clone()).expect("it folds: that is the trouble");
        let (piece, range) = LengthProof::last_piece(list.geometry()).unwrap();
        let mut proof = LengthProof::new(root);
        assert_eq!(proof.check(&list, &liar.last), Err(VerifyError::WrongHash { piece }), "{name}");
        for other in [bytes_at(range.start(), range.len()), bytes_at(4 * PIECE, range.len())] {
            assert_eq!(proof.check(&list, &other), Err(VerifyError::WrongHash { piece }), "{name}");
        }
        for len in [0, range.len() - 1, range.len() + 1, PIECE + 1] {
            assert!(proof.check(&list, &bytes_at(4 * PIECE, len)).is_err(), "{name}");
        }
        assert_eq!(proof.proved(), None);
    }
    let mut proof = LengthProof::new(root);
    assert_eq!(try_it(&mut proof, &honest()), Ok(ContentId { root, len: TRUE_LEN }));
    assert_eq!(proof.proved(), Some(ContentId { root, len: TRUE_LEN }));
}

#[test]
fn trust_5_one_byte_more_folds_and_is_not_proved() {
    for true_len in [4 * PIECE + 1, 4 * PIECE + 1_024, 5 * PIECE - 1] {
        let root = root_of(&bytes_at(0, true_len));
        let liar = longer(true_len);
        let list = HashList::proved(ContentId { root, len: liar.len }, liar.values).expect("it folds");
        let wrong = VerifyError::WrongHash { piece: PieceIndex(4) };
        assert_eq!(LengthProof::new(root).check(&list, &liar.last), Err(wrong));
    }
}

#[test]
fn trust_5_a_one_piece_file_is_neither_expanded_nor_contracted() {
    let len = 40_000;
    let file = bytes_at(0, len);
    let root = root_of(&file);
    let halves = vec![subtree(0, 32_768), subtree(32_768, len - 32_768)];
    let expanded = HashList::proved(ContentId { root, len: PIECE + len - 32_768 }, halves).expect("it folds");
    let mut proof = LengthProof::new(root);
    let wrong = VerifyError::WrongHash { piece: PieceIndex(1) };
    assert_eq!(proof.check(&expanded, &bytes_at(32_768, len - 32_768)), Err(wrong));
    for stated in [len - 1, len + 1] {
        let list = HashList::proved(ContentId { root, len: stated }, vec![]).unwrap();
        assert_eq!(
            proof.check(&list, &bytes_at(0, stated)),
            Err(VerifyError::WrongHash { piece: PieceIndex(0) })
        );
    }
    let five = root_of(&bytes_at(0, TRUE_LEN));
    let one = HashList::proved(ContentId { root: five, len: PIECE }, vec![]).unwrap();
    assert!(LengthProof::new(five).check(&one, &bytes_at(4 * PIECE, PIECE)).is_err());
    let list = HashList::proved(ContentId { root, len }, vec![]).unwrap();
    assert_eq!(proof.check(&list, &file), Ok(ContentId { root, len }));
    assert_eq!(LengthProof::new(five).check(&list, &file), Err(VerifyError::WrongRoot), "another root");
}

#[test]
fn trust_5_one_honest_peer_among_liars_is_enough() {
    let mut witnesses = vec![shorter(), expanded(), contracted(), honest()];
    witnesses.push(Witness { len: TRUE_LEN + 1, ..expanded() });
    for honest_at in 0..witnesses.len() {
        let mut proof = LengthProof::new(root_of(&bytes_at(0, TRUE_LEN)));
        let order: Vec<&Witness> = witnesses.iter().cycle().skip(honest_at).take(witnesses.len()).collect();
        let mut failed = Vec::new();
        while proof.proved().is_none() {
            for (name, witness) in (0..).zip(&order) {
                if !failed.contains(&name) {
                    let _full_is_tried_again = proof.state(witness.len, peer(name));
                }
            }
            let (content, by) = proof.candidate().expect("somebody is left");
            let name = by.public_key()[0];
            assert_eq!(content.len, order[usize::from(name)].len);
            if try_it(&mut proof, order[usize::from(name)]).is_err() {
                proof.fail(by);
                failed.push(name);
            }
        }
        assert_eq!(proof.proved().map(|content| content.len), Some(TRUE_LEN));
        assert!(failed.iter().all(|name| order[usize::from(*name)].len != TRUE_LEN), "no honest peer failed");
        assert_eq!(proof.candidate(), None);
    }
}

#[test]
fn trust_6_a_failed_last_piece_costs_only_the_word_of_whoever_stated_it() {
    let root = root_of(&bytes_at(0, TRUE_LEN));
    let mut proof = LengthProof::new(root);
    let (saboteur, honest_peer) = (peer(1), peer(2));
    proof.state(TRUE_LEN, saboteur).unwrap();
    proof.state(TRUE_LEN, honest_peer).unwrap();
    assert_eq!(proof.candidate(), Some((ContentId { root, len: TRUE_LEN }, saboteur)));
    assert!(try_it(&mut proof, &Witness { last: bytes_at(0, PIECE), ..honest() }).is_err());
    proof.fail(saboteur);
    assert_eq!(proof.candidate(), Some((ContentId { root, len: TRUE_LEN }, honest_peer)));
    assert_eq!(proof.state(TRUE_LEN - 1, saboteur), Err(LengthError::Failed));
    try_it(&mut proof, &honest()).unwrap();
}

#[test]
fn trust_6_at_most_four_lengths_are_under_trial() {
    let mut proof = LengthProof::new(root_of(&bytes_at(0, TRUE_LEN)));
    for name in 1..=4 {
        proof.state(PIECE * u64::from(name), peer(name)).unwrap();
    }
    assert_eq!(proof.state(PIECE * 5, peer(5)), Err(LengthError::Full));
    proof.state(PIECE * 4, peer(6)).unwrap();
    assert_eq!(proof.candidates().count(), LENGTH_CANDIDATES_MAX);
    proof.fail(peer(1));
    proof.state(PIECE * 5, peer(5)).unwrap();
    assert_eq!(proof.candidates().count(), LENGTH_CANDIDATES_MAX);
    proof.forget(peer(5));
    proof.state(PIECE * 9, peer(5)).expect("whoever left may come back with another word");
    let contradiction = LengthError::Contradiction { before: PIECE * 9, stated: PIECE };
    assert_eq!(proof.state(PIECE, peer(5)), Err(contradiction));
    assert_eq!(proof.state(PIECE * 9, peer(5)), Ok(()));
}

#[test]
fn trust_6_trials_end_whatever_the_number_of_liars() {
    let mut proof = LengthProof::new(root_of(&bytes_at(0, TRUE_LEN)));
    let mut tries = 0;
    for name in 0..u8::MAX {
        if proof.state(1 + u64::from(name), peer(name)).is_ok() {
            tries += 1;
            proof.fail(peer(name));
        }
    }
    assert_eq!((tries, proof.candidate()), (64, None));
    let mut crowded = LengthProof::new(Hash([1; 32]));
    let taken = (0..u8::MAX).filter(|name| crowded.state(PIECE, peer(*name)).is_ok()).count();
    assert_eq!(taken, 16);
}

#[test]
fn trust_5_impossible_lengths_are_never_tried() {
    let mut proof = LengthProof::new(root_of(&bytes_at(0, TRUE_LEN)));
    for len in [(4 << 40) + 1, 1 << 63, u64::MAX] {
        assert!(matches!(proof.state(len, peer(1)), Err(LengthError::TooLong(_))), "{len}");
    }
    assert_eq!(proof.state(0, peer(1)), Err(LengthError::NotEmpty));
    assert_eq!(proof.candidate(), None);
    try_it(&mut proof, &honest()).unwrap();
    let refuted = LengthError::Refuted { stated: 1, proved: TRUE_LEN };
    assert_eq!(proof.state(1, peer(2)), Err(refuted));
    assert_eq!(proof.state(TRUE_LEN, peer(2)), Ok(()));
    let mut empty = LengthProof::new(root_of(&[]));
    empty.state(0, peer(1)).unwrap();
    assert_eq!(empty.proved(), Some(ContentId { root: root_of(&[]), len: 0 }));
}
