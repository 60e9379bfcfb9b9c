//! The bytes of a question, and who can make anything of them.

use super::*;
use crate::digest::Algorithm;

fn digest(number: u8) -> Digest {
    Digest::new(Algorithm::Sha256, vec![number; 32]).expect("right length")
}

fn asker() -> Asker {
    Asker {
        peer: PeerId::from_public_key([0x77; 32]),
        port: NonZeroU16::new(7_411).unwrap(),
        address: "192.168.7.20".parse().unwrap(),
        nonce: [0x11; 8],
    }
}

fn wanted(number: u8) -> Wanted {
    Wanted { digest: digest(number), audience: Audience::Link }
}

fn among_members(number: u8, secret: u8) -> Wanted {
    Wanted { digest: digest(number), audience: Audience::Members(EpochSecret([secret; 32])) }
}

/// Which of the digests 0 to 19 somebody with these secrets finds in a question that came from there.
fn found(question: &Question, address: &str, secrets: &[u8]) -> Vec<u8> {
    let secrets: Vec<EpochSecret> = secrets.iter().map(|secret| EpochSecret([*secret; 32])).collect();
    let clues: Vec<Clue> = question.clues(address.parse().unwrap(), secrets.iter()).collect();
    (0..20).filter(|number| clues.iter().any(|clue| clue.means(&digest(*number)))).collect()
}

fn hex(bytes: &[u8]) -> String {
    crate::digest::hex(bytes)
}

#[test]
fn lookup_1_a_question_has_golden_bytes() {
    let question = Question::new(&asker(), &[wanted(1), among_members(1, 5)]).unwrap();
    let (key, port, nonce) = ([0x77; 32], [0x1c, 0xf3], [0x11; 8]);
    let asked_from = [&key[..], &port, &"::ffff:192.168.7.20".parse::<Ipv6Addr>().unwrap().octets(), &nonce];
    let bound = asked_from.concat();
    let proof = blake3::keyed_hash(&blake3::derive_key("nearbits ask 1", &[1; 32]), &bound);
    let plain = [&lookup_id(&digest(1)).0[..12], &proof.as_bytes()[..16]].concat();
    let veil = blake3::keyed_hash(&[5; 32], &[b"nearbits veil 1", &bound[..], &[1]].concat());
    let veiled: Vec<u8> = plain.iter().zip(veil.as_bytes()).map(|(byte, veil)| byte ^ veil).collect();
    assert_eq!(question.encode(), [&[1][..], &port, &key, &nonce, &plain, &veiled].concat());
    let golden = "a525a40d75782b9406fbe91b70171dfb89f6cfbdabc4813662df54b8\
                  09e94f3c4625541c60d3386ca81ccf43758a2ae098673b6de4e65a4c";
    assert_eq!(hex(&question.encode()[HEAD_LEN..]), golden);
}

#[test]
fn lookup_1_a_question_reads_back_what_it_writes_and_is_short() {
    let all: Vec<Wanted> = (0..20).map(wanted).collect();
    for count in 1..=20 {
        let question = Question::new(&asker(), &all[..count]).unwrap();
        let bytes = question.encode();
        assert!(bytes.len() <= QUESTION_LEN_MAX, "{} bytes", bytes.len());
        assert_eq!(Question::decode(&bytes), Ok(question.clone()));
        let asked: Vec<u8> = (0..20).take(count.min(IDS_PER_QUESTION_MAX)).collect();
        assert_eq!(found(&question, "192.168.7.20", &[]), asked);
    }
    assert_eq!(Question::new(&asker(), &[]), None);
}

#[test]
fn lookup_1_neither_digest_nor_whole_id_stands_in_a_question() {
    let question = Question::new(&asker(), &[wanted(1), among_members(2, 5)]).unwrap();
    let bytes = question.encode();
    for number in [1, 2] {
        let id = lookup_id(&digest(number)).0;
        for secret in [&[number; 32][..], &id[..]] {
            assert!(!bytes.windows(14).any(|part| secret.windows(14).any(|known| known == part)), "{number}");
        }
    }
}

#[test]
fn lookup_2_a_mark_is_of_no_use_to_who_only_saw_it() {
    let question = Question::new(&asker(), &[wanted(1)]).unwrap();
    assert_eq!(found(&question, "192.168.7.20", &[]), [1]);
    assert_eq!(found(&question, "192.168.7.21", &[]), [0; 0], "sent again from elsewhere");
    let bytes = question.encode();
    for byte in (1..HEAD_LEN).chain(HEAD_LEN + ID_LEN..bytes.len()) {
        let mut changed = bytes.clone();
        changed[byte] ^= 1;
        let changed = Question::decode(&changed).expect("its shape is good");
        assert_eq!(found(&changed, "192.168.7.20", &[]), [0; 0], "byte {byte}");
    }
}

#[test]
fn lookup_1_only_members_of_the_epoch_can_read_what_is_meant_for_members() {
    let question = Question::new(&asker(), &[wanted(1), among_members(2, 5), among_members(3, 6)]).unwrap();
    assert_eq!(found(&question, "192.168.7.20", &[]), [1]);
    assert_eq!(found(&question, "192.168.7.20", &[5]), [1, 2]);
    assert_eq!(found(&question, "192.168.7.20", &[6, 5]), [1, 2, 3]);
    assert_eq!(found(&question, "192.168.7.20", &[7, 8]), [1]);
    assert_eq!(found(&question, "192.168.7.21", &[5]), [0; 0], "sent again from elsewhere");
}

#[test]
fn lookup_1_what_is_veiled_never_looks_the_same_twice() {
    let marks = |nonce, wanted: &[Wanted]| {
        Question::new(&Asker { nonce: [nonce; 8], ..asker() }, wanted).unwrap().marks
    };
    let alike = |one: &[u8; MARK_LEN], other: &[u8; MARK_LEN]| {
        one.iter().zip(other).filter(|(one, other)| one == other).count()
    };
    let twice = marks(1, &[among_members(1, 5), among_members(1, 5)]);
    assert!(alike(&twice[0], &twice[1]) < 6, "in one question");
    let later = marks(2, &[among_members(1, 5)]);
    assert!(alike(&twice[0], &later[0]) < 6, "in the next");
}

#[test]
fn t8_what_is_no_question_is_refused_in_words() {
    let good = Question::new(&asker(), &[wanted(1)]).unwrap().encode();
    let with = |byte: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[byte] = value;
        bytes
    };
    let mut portless = with(1, 0);
    portless[2] = 0;
    for (bytes, fault) in [
        (Vec::new(), QuestionFault::Shape),
        (good[..HEAD_LEN].to_vec(), QuestionFault::Shape),
        (good[..good.len() - 1].to_vec(), QuestionFault::Shape),
        ([&good[..], &[0]].concat(), QuestionFault::Shape),
        ([&good[..], &[0; 16 * MARK_LEN]].concat(), QuestionFault::TooLong),
        (vec![1; 513], QuestionFault::TooLong),
        (with(0, 2), QuestionFault::Format(2)),
        (portless, QuestionFault::Port),
    ] {
        assert_eq!(Question::decode(&bytes), Err(fault), "{}", hex(&bytes));
    }
}
