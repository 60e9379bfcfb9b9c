//! `docs/protocol.md` against the code.

use std::time::Duration;

use crate::limits;
use crate::wire::{FrameKind, Versions};

const PAGE: &str = include_str!("../../../../docs/protocol.md");

/// Groups digits by three, as the page does.
fn figure(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

fn time(span: Duration) -> String {
    let millis = span.as_millis();
    if millis.is_multiple_of(1_000) { format!("{} s", millis / 1_000) } else { format!("{millis} ms") }
}

fn count(number: usize) -> String {
    figure(u64::try_from(number).unwrap())
}

#[test]
fn the_page_names_every_frame_with_its_tag_and_cap() {
    for kind in FrameKind::ALL {
        let row = format!("| {:#04x} | {kind:?} | {} KiB |", kind.tag(), kind.body_max() / 1_024);
        assert!(PAGE.contains(&row), "{row}");
    }
    assert!(PAGE.contains(&format!("\n| {} | ", Versions::OURS.max)), "a row for our newest version");
}

#[test]
fn the_page_states_every_limit_as_it_is() {
    for (name, figure) in [
        ("HELLO_TIMEOUT", time(limits::HELLO_TIMEOUT)),
        ("REPLY_TIMEOUT", time(limits::REPLY_TIMEOUT)),
        ("ANSWER_TICK", time(limits::ANSWER_TICK)),
        ("HAVE_TICK", time(limits::HAVE_TICK)),
        ("IDS_PER_FIND_MAX", count(limits::IDS_PER_FIND_MAX)),
        ("IDS_PER_SECOND_MAX", figure(limits::IDS_PER_SECOND_MAX.into())),
        ("QUESTIONS_UNANSWERED_MAX", count(limits::QUESTIONS_UNANSWERED_MAX)),
        ("RANGES_PER_WANT_MAX", count(limits::RANGES_PER_WANT_MAX)),
        ("VALUES_PER_WANT_MAX", count(limits::VALUES_PER_WANT_MAX)),
        ("VALUES_PER_CLAIM_MAX", count(limits::VALUES_PER_CLAIM_MAX)),
        ("OPEN_REQUESTS_PER_PEER_MAX", count(limits::OPEN_REQUESTS_PER_PEER_MAX)),
        ("PARKED_REQUESTS_MAX", count(limits::PARKED_REQUESTS_MAX)),
        ("PARKED_REQUEST_WAIT", time(limits::PARKED_REQUEST_WAIT)),
        ("HAVE_PAGES_MAX", count(limits::HAVE_PAGES_MAX)),
        ("HAVE_FRAMES_PER_TICK_MAX", count(limits::HAVE_FRAMES_PER_TICK_MAX)),
        ("CONTENTS_PER_PEER_MAX", count(limits::CONTENTS_PER_PEER_MAX)),
        ("LIST_PARTS_IN_FLIGHT_MAX", count(limits::LIST_PARTS_IN_FLIGHT_MAX)),
        ("LIST_PAGE_VALUES", figure(limits::LIST_PAGE_VALUES.into())),
        ("BLOCK_LEN_MAX", figure(limits::BLOCK_LEN_MAX.into())),
        ("CANCELLED_REQUESTS_MAX", count(limits::CANCELLED_REQUESTS_MAX)),
        ("CANCELLED_REQUEST_GRACE", time(limits::CANCELLED_REQUEST_GRACE)),
        ("CANCELLED_BYTES_MAX", figure(limits::CANCELLED_BYTES_MAX)),
        ("TOKEN_LEN_MAX", count(limits::TOKEN_LEN_MAX)),
        ("DENY_PAGE_LEN", count(limits::DENY_PAGE_LEN)),
        ("DENY_PAGES_MAX", figure(limits::DENY_PAGES_MAX.into())),
        ("DENY_PAGES_PER_SECOND_MAX", figure(limits::DENY_PAGES_PER_SECOND_MAX.into())),
        ("GRANT_LEN_MAX", count(limits::GRANT_LEN_MAX)),
        ("GRANTS_ASKED_PER_SECOND_MAX", figure(limits::GRANTS_ASKED_PER_SECOND_MAX.into())),
        ("TICKET_ADDRESSES_MAX", count(limits::TICKET_ADDRESSES_MAX)),
        ("TICKET_ADDRESS_LEN_MAX", count(limits::TICKET_ADDRESS_LEN_MAX)),
        ("RECORD_LEN_MAX", count(limits::RECORD_LEN_MAX)),
        ("RECORDS_PER_FRAME_MAX", count(limits::RECORDS_PER_FRAME_MAX)),
        ("PEERS_NAMED_MAX", count(limits::PEERS_NAMED_MAX)),
        ("REGISTRATIONS_AT_ONCE_MAX", figure(limits::REGISTRATIONS_AT_ONCE_MAX.into())),
        ("RETRY_MAX", time(limits::RETRY_MAX)),
        ("GOODBYE_WORDS_MAX", count(limits::GOODBYE_WORDS_MAX)),
    ] {
        assert!(PAGE.contains(&format!("| {figure} | `{name}` |")), "{name} is {figure}");
    }
}
