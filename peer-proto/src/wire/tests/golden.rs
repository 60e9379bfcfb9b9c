//! One frame of each kind and the bytes it has.

use std::time::Duration;

use super::*;
use crate::attest::{Attestation, Attested};
use crate::denial::Denial;
use crate::digest::hex;
use crate::evidence::{Against, Contradiction};
use crate::group::{GrantFault, GroupId, HolderId, Roles, Token, Wish};
use crate::peer::PeerId;
use crate::sign::Signer;
use crate::verify::HashList;
use crate::version::Version;

/// One frame of each kind with the bytes it has had since the version in the name. Changing any of these needs a new
/// row in the version table of `docs/protocol.md`.
fn golden_version_1() -> Vec<(Frame, String)> {
    let aa = "aa".repeat(32);
    let mut golden = vec![
        (
            Frame::Hello(Hello {
                versions: Versions { min: 1, max: 1 },
                nonce: [0x11; 16],
                tags: [0x22; 128],
            }),
            format!("01000099080110011a10{}228001{}", "11".repeat(16), "22".repeat(128)),
        ),
        (
            Frame::Find(Find { first: 5, questions: vec![Question { id: [0x33; 32], proof: [0x44; 32] }] }),
            format!("0200004408051240{}{}", "33".repeat(32), "44".repeat(32)),
        ),
        (
            Frame::Found(Found {
                answers: vec![
                    NumberedAnswer { number: 5, answer: Answer::NotHere },
                    NumberedAnswer {
                        number: 6,
                        answer: Answer::Here { content: SMALL, whole: true, sealed: true },
                    },
                    NumberedAnswer {
                        number: 7,
                        answer: Answer::Here { content: SMALL, whole: false, sealed: false },
                    },
                ],
            }),
            format!(
                "0300008a0a870100000005{}0000000607{aa}00000000000200010000000701{aa}0000000000020001",
                "00".repeat(41)
            ),
        ),
        (
            Frame::Have(Have {
                content: TWO_PAGES,
                pages: vec![
                    HavePage { page: 0, bits: PageBits::Bits(Box::new([0x81; 128])) },
                    HavePage { page: 1, bits: PageBits::All },
                ],
            }),
            format!("040000b00a20{}108080 84201a8601000002{}000101", "bb".repeat(32), "81".repeat(128))
                .replace(' ', ""),
        ),
    ];
    golden.extend(lists_and_requests());
    golden.sort_by_key(|(frame, _)| frame.kind());
    golden
}

fn lists_and_requests() -> Vec<(Frame, String)> {
    let aa = "aa".repeat(32);
    let small = format!("0a20{aa}10818008");
    vec![
        (
            Frame::ListWant(ListWant { content: SMALL, part: ListPart::Page(0) }),
            format!("05000028{small}1801"),
        ),
        (
            want(SMALL, vec![range(0, 65_536), range(131_072, 131_073)]),
            format!(
                "0600004a08011220{aa}188180082220{:016x}{:016x}{:016x}{:016x}",
                0, 65_536, 131_072, 131_073
            ),
        ),
        (Frame::Cancel(Cancel { request: RequestId(300) }), "0700000308ac02".into()),
        (
            Frame::Refuse(Refuse {
                request: RequestId(2),
                reason: RefuseReason::Busy { retry: Duration::from_millis(500) },
            }),
            "080000070802100318f403".into(),
        ),
        (Frame::Goodbye(Goodbye { words: "done".into() }), "090000060a04646f6e65".into()),
        (
            Frame::ListValues(ListValues {
                content: SMALL,
                part: ListPart::Page(0),
                values: vec![Hash([0xcc; 32]); 3],
            }),
            format!("1000008a{small}18012260{}", "cc".repeat(96)),
        ),
        (
            Frame::ListRefuse(ListRefuse { content: TWO_PAGES, part: ListPart::Head }),
            format!("110000270a20{}1080808420", "bb".repeat(32)),
        ),
    ]
}

/// The frames of swarms, and what a request inside one looks like.
fn golden_version_2() -> Vec<(Frame, String)> {
    let aa = "aa".repeat(32);
    let small = format!("0a20{aa}10818008");
    vec![
        (
            Frame::Interest(Interest {
                question: Question { id: [0x33; 32], proof: [0x44; 32] },
                len: 131_073,
                fetches: true,
                group: None,
            }),
            format!("2000004a0a20{}1220{}188180082001", "33".repeat(32), "44".repeat(32)),
        ),
        (Frame::Leave(Leave { swarm: SMALL }), format!("21000026{small}")),
        (
            Frame::PieceClaim(PieceClaim { swarm: SMALL, first: 1, values: vec![Hash([0xcc; 32]); 2] }),
            format!("2200006a{small}20014240{}", "cc".repeat(64)),
        ),
        (
            Frame::SegmentClaim(SegmentClaim {
                swarm: SMALL,
                number: 3,
                pieces: 1..3,
                from_back: true,
                rate_kib: 1_500,
            }),
            format!("23000031{small}180320012803300138dc0b"),
        ),
    ]
}

/// A request that names values.
pub(super) fn golden_want_with_values() -> (Frame, String) {
    let want = Want {
        request: RequestId(1),
        content: SMALL,
        ranges: vec![range(65_536, 131_073)],
        values: vec![Hash([0xcc; 32]); 2],
    };
    let aa = "aa".repeat(32);
    let ranges = format!("{:016x}{:016x}", 65_536, 131_073);
    (Frame::Want(want), format!("0600007c08011220{aa}188180082210{ranges}2a40{}", "cc".repeat(64)))
}

/// A token, and records of members: what is in them is golden where they are made.
fn golden_version_3() -> Vec<(Frame, String)> {
    let author = Signer::of(&[1; 32]);
    let wish = Wish {
        holder: HolderId([7; 16]),
        peer: author.peer(),
        roles: Roles::FETCH,
        not_before: 1,
        not_after: 2,
        epoch: 3,
        serial: 4,
    };
    let token = Token::grant(&Signer::of(&[9; 32]), &wish);
    let head = RecordHead { group: GroupId([0xbb; 16]), author: author.peer(), number: 5, swarm: SMALL };
    let leave = Record::sign(&author, head, Said::Leave).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (shown, told) = (hex(token.bytes()), hex(leave.bytes()));
    vec![
        (Frame::Token(token), format!("240000a20a9f01{shown}")),
        (Frame::Records(vec![leave.clone(), leave]), format!("2500014b0ac80200a2{told}00a2{told}")),
    ]
}

/// A question for attestations and its answer: what is in those is golden where they are made.
fn golden_version_4() -> Vec<(Frame, String)> {
    let attestation = attestation("a");
    let told: String = attestation.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let list = vec![attestation];
    vec![
        (
            Frame::AttestWant(AttestWant { number: 5, id: [0x33; 32] }),
            format!("2600002408051220{}", "33".repeat(32)),
        ),
        (Frame::Attestations(Attestations { number: 5, list }), format!("270001e0080512db0301d9{told}")),
    ]
}

/// What tells against attestors.
fn golden_version_5() -> Vec<(Frame, String)> {
    let pair = contradiction();
    let told = |one: &Bytes| {
        let bytes: String = one.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{:04x}{bytes}", one.len())
    };
    let packed: String = pair.parts().iter().map(told).collect::<Vec<_>>().concat();
    let batch = crate::batch::tests::signed(crate::batch::tests::said());
    let read: String = batch.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let list = vec![batch];
    vec![
        (Frame::Against(Against::Contradiction(pair)), format!("280003bb080112b607{packed}")),
        (Frame::Batches(Batches { number: 5, list }), format!("290001ee080512e90301e7{read}")),
    ]
}

/// What members hand on: versions, and a deny list page by page.
fn golden_version_6() -> Vec<(Frame, String)> {
    let of = DenyWant { group: None, version: 0x0102_0304, page: 2 };
    let page = DenyPage { of, bytes: Bytes::from_static(&[0x77; 3]) };
    vec![
        (
            Frame::Newest(Newest { group: None, epoch: 5, denied: 7, denied_len: 89 }),
            "30000006080510071859".into(),
        ),
        (Frame::DenyWant(of), "3100000708848688081002".into()),
        (Frame::DenyPage(page), "3200000c088486880810021a03777777".into()),
        (
            Frame::Enrol(Enrol { number: 5, ticket: Some([0x33; 32]), group: None }),
            format!("3300002408051220{}", "33".repeat(32)),
        ),
        (Frame::Enrolled(Enrolled { number: 5, given: Err(GrantFault::UsedUp) }), "3400000408051807".into()),
    ]
}

/// What a node says to its rendezvous, and what it hears there.
fn golden_version_7() -> Vec<(Frame, String)> {
    let named = |key, address: &str| NamedPeer {
        peer: PeerId::from_public_key([key; 32]),
        address: address.parse().unwrap(),
    };
    let list = vec![named(0x11, "10.1.2.3:7411"), named(0x22, "[fd00::9]:80")];
    let (one, other) = ("11".repeat(32), "22".repeat(32));
    let mapped = format!("{}ffff0a0102031cf3", "00".repeat(10));
    let v6 = format!("fd00{}090050", "00".repeat(13));
    vec![
        (Frame::Register(Register { port: 7_411 }), "3800000308f339".to_owned()),
        (Frame::Named(list), format!("390000660a64{one}{mapped}{other}{v6}")),
    ]
}

/// The frames that name a group.
pub(super) fn golden_version_8() -> Vec<(Frame, String)> {
    let group = Some(GroupId([0x99; 16]));
    let named = |field: &str| format!("{field}10{}", "99".repeat(16));
    let of = DenyWant { group, version: 7, page: 2 };
    let page = DenyPage { of, bytes: Bytes::from_static(&[0x77; 3]) };
    let question = Question { id: [0x33; 32], proof: [0x44; 32] };
    let asked = format!("0a20{}1220{}18818008", "33".repeat(32), "44".repeat(32));
    vec![
        (
            Frame::Interest(Interest { question, len: 131_073, fetches: false, group }),
            format!("2000005a{asked}{}", named("2a")),
        ),
        (
            Frame::Newest(Newest { group, epoch: 5, denied: 7, denied_len: 89 }),
            format!("30000018080510071859{}", named("22")),
        ),
        (Frame::DenyWant(of), format!("3100001608071002{}", named("22"))),
        (Frame::DenyPage(page), format!("3200001b080710021a03777777{}", named("22"))),
        (Frame::Enrol(Enrol { number: 5, ticket: None, group }), format!("330000140805{}", named("1a"))),
    ]
}

/// Other tags in an open session.
fn golden_tags() -> (Frame, String) {
    let tags = Frame::Tags(Tags { nonce: [0x33; 16], tags: [0x44; 128] });
    (tags, format!("350000950a10{}128001{}", "33".repeat(16), "44".repeat(128)))
}

/// An attestation that denies its stream, shown by the root and by one piece.
pub(super) fn golden_version_9() -> Vec<(Frame, String)> {
    let list =
        HashList::from_values(131_073, vec![Hash([0x11; 32]), Hash([0x22; 32]), Hash([0x33; 32])]).unwrap();
    let said = Attested { content: list.content(), ..crate::attest::tests::said() };
    let one = crate::attest::tests::signed(said);
    let batch = |first, values| {
        let mut said = crate::batch::tests::said();
        (said.version.len, said.first, said.values) = (Some(131_073), first, values);
        crate::batch::tests::signed(said)
    };
    let told = |parts: &[&[u8]]| -> String {
        let part = |part: &&[u8]| format!("{:04x}{}", part.len(), hex(part));
        parts.iter().map(part).collect()
    };
    let whole = batch(0, vec![Hash([0x11; 32]), Hash([0x22; 32]), Hash([0x44; 32])]);
    let by_root = told(&[one.bytes(), whole.bytes()]);
    let part = batch(2, vec![Hash([0x44; 32])]);
    // The value over the first two pieces, which stands beside the third.
    let beside = "7c0b01ec4c443977ff9caddc99f1f1bc94ac60a1b398485279c277d12171a610";
    let path = bytes_from_hex(&format!("00000002{}{beside}", "33".repeat(32)));
    let by_piece = told(&[one.bytes(), part.bytes(), &path.unwrap()]);
    let against = |denial: Denial| Frame::Against(Against::Contradiction(denial.into()));
    vec![
        (against(Denial::by_root(one.clone(), vec![whole]).unwrap()), format!("280003ed080412e807{by_root}")),
        (against(Denial::by_piece(one, part, &list).unwrap()), format!("280003f3080412ee07{by_piece}")),
    ]
}

/// Every kind of frame once, in the order of the tags.
pub(super) fn golden_versions() -> Vec<(Frame, String)> {
    let first = [golden_version_1(), golden_version_2(), golden_version_3(), golden_version_4()].concat();
    [first, golden_version_5(), golden_version_6(), vec![golden_tags()], golden_version_7()].concat()
}

/// What an attestor says of a URL with this path.
pub(super) fn attestation(path: &str) -> Attestation {
    attestation_of(path, SMALL)
}

/// Two contents that one attestor signed for one version.
pub(crate) fn contradiction() -> Contradiction {
    let other = ContentId { root: Hash([0xbb; 32]), ..SMALL };
    Contradiction::of(attestation("a"), attestation_of("a", other)).unwrap()
}

pub(super) fn attestation_of(path: &str, content: ContentId) -> Attestation {
    let signer = Signer::of(&[1; 32]);
    let wish = Wish {
        holder: HolderId([7; 16]),
        peer: signer.peer(),
        roles: Roles::ATTEST,
        not_before: 1,
        not_after: 2,
        epoch: 3,
        serial: 4,
    };
    let said = Attested {
        group: GroupId([0xbb; 16]),
        holder: wish.holder,
        peer: signer.peer(),
        sequence: 1,
        fetched_at: 1,
        not_after: 2,
        url: format!("https://example.org/{path}"),
        version: Version {
            final_origin: "https://example.org:443".into(),
            etag: Some("\"a\"".into()),
            last_modified: None,
            len: Some(content.len),
        },
        content,
        sha256: [0xdd; 32],
        anchor: [0; 32],
    };
    Attestation::sign(&signer, &Token::grant(&Signer::of(&[9; 32]), &wish), said).unwrap()
}
