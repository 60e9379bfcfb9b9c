//! What attestors signed, as an administrator sees it and takes it back.
//!
//! Knows: what a user can see. Does not know: what members tell each other (`tests/node`).

use peer_proto::attest::{Attestation, Attested};
use peer_proto::content::{ContentId, Hash};
use peer_proto::digest::{bytes_from_hex, hex};
use peer_proto::group::{GroupId, HolderId, Roles, Token, Wish};
use peer_proto::sign::Signer;
use peer_proto::version::Version;

use crate::support::{Daemon, Home, Ran, run};

const DAY: u64 = 24 * 60 * 60;

/// What an attestor of this group says of a URL.
fn attested(group: &Signer, number: u8, now: u64) -> Attestation {
    let signer = Signer::of(&[number; 32]);
    let wish = Wish {
        holder: HolderId([number; 16]),
        peer: signer.peer(),
        roles: Roles::FETCH.and(Roles::ATTEST),
        not_before: now - DAY,
        not_after: now + DAY,
        epoch: 1,
        serial: 1,
    };
    let said = Attested {
        group: GroupId::of(&group.public_key()),
        holder: wish.holder,
        peer: wish.peer,
        sequence: 1,
        fetched_at: now,
        not_after: now + DAY,
        url: format!("https://example.org/{number}"),
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
    Attestation::sign(&signer, &Token::grant(group, &wish), said).unwrap()
}

async fn asked(home: &Home, args: &[&str]) -> Ran {
    run(home.path(), args).await
}

#[tokio::test]
async fn attest_9_an_administrator_sees_what_attestors_signed_and_takes_it_back_with_the_groups_file() {
    let home = Home::new();
    assert_eq!(asked(&home, &["group", "create", "branch"]).await.code, 0);
    let kept: serde_json::Value =
        serde_json::from_slice(&std::fs::read(home.join("branch.group")).unwrap()).unwrap();
    let key = bytes_from_hex(kept["key"].as_str().unwrap()).unwrap();
    let group = Signer::of(&key.try_into().unwrap());
    let state = home.text("state");
    let id = asked(&home, &["peer", "id", "--state-dir", &state]).await.out;
    let line = asked(&home, &["group", "token", "--group", "branch.group", id.trim()]).await.out;
    assert_eq!(asked(&home, &["group", "join", line.trim(), "--state-dir", &state]).await.code, 0);
    let now = u64::try_from(nearbits::clock::wall_unix_ms() / 1_000).unwrap();
    std::fs::create_dir(home.join("state/attestations")).unwrap();
    let both = [attested(&group, 3, now), attested(&group, 4, now)];
    for one in &both {
        let path = home.join(&format!("state/attestations/{}.attestation", hex(&one.id().0)));
        std::fs::write(path, one.bytes()).unwrap();
    }
    let _daemon = Daemon::start(&home, &[]).await;
    let known = asked(&home, &["attestation", "list", "--json", "--state-dir", &state]).await.json();
    assert_eq!(known.as_array().map(Vec::len), Some(2), "{known}");
    let digits = hex(&both[0].id().0);
    let refused = asked(&home, &["attestation", "void", &digits[..12], "--state-dir", &state]).await;
    assert!(refused.error_line(6).contains("--group FILE"), "{refused:?}");
    let unknown =
        asked(&home, &["attestation", "void", "https://example.org/5", "--state-dir", &state]).await;
    assert!(unknown.error_line(7).contains("no attestation"), "{unknown:?}");
    // Another group's file takes nothing back.
    assert_eq!(asked(&home, &["group", "create", "other"]).await.code, 0);
    let void = |file: &'static str, digits: String, reason: &'static str| {
        let args = [
            "attestation".to_owned(),
            "void".into(),
            digits,
            "--group".into(),
            file.into(),
            "--reason".into(),
            reason.into(),
            "--state-dir".into(),
            state.clone(),
        ];
        let path = home.path().to_owned();
        async move { run(&path, &args.iter().map(String::as_str).collect::<Vec<_>>()).await }
    };
    let other = void("other.group", digits[..12].to_owned(), "theirs").await;
    assert!(other.error_line(6).contains("another group"), "{other:?}");
    let taken = void("branch.group", digits[..12].to_owned(), "the mirror lied").await;
    assert!(taken.code == 0 && taken.out.contains("https://example.org/3"), "{taken:?}");
    let shown = asked(&home, &["attestation", "list", "--state-dir", &state]).await.out;
    assert!(shown.contains("taken back: the mirror lied") && shown.contains("counts"), "{shown}");
}
