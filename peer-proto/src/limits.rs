//! Every bound of the protocol, in one place. Each is checked before anything is allocated.
//!
//! Source of the figures: the trust protocol's table and its sections WIRE and LOOKUP (`docs/protocol.md`).

use std::time::Duration;

/// Smallest piece: 64 KiB.
pub const PIECE_LEN_MIN: u64 = 64 * 1024;
/// Largest piece: 4 MiB.
pub const PIECE_LEN_MAX: u64 = 4 * 1024 * 1024;
/// Pieces a file is cut into at most, while pieces may still grow.
pub const PIECES_WANTED_MAX: u64 = 16_384;
/// Largest file that is shared: 4 TiB (1 048 576 pieces of 4 MiB).
pub const FILE_LEN_MAX: u64 = 4 << 40;
/// Values on one page of a hash list: 32 KiB of them.
pub const LIST_PAGE_VALUES: u32 = 1_024;
/// Pages of a hash list at most, and so values in its head.
pub const LIST_PAGES_MAX: u32 = 1_024;
/// Bytes one data frame carries at most (a block).
pub const BLOCK_LEN_MAX: u32 = 256 * 1024;
/// Bytes of a control frame's body.
pub const CONTROL_FRAME_MAX: u32 = 16 * 1024;
/// Bytes of a hash-list frame's body.
pub const PAGE_FRAME_MAX: u32 = 36 * 1024;
/// Bytes of the first frame's body.
pub const HELLO_FRAME_MAX: u32 = 4 * 1024;
/// Ranges in one `Want`. 64 × 16 bytes, and as many values of 32, fit the 16 KiB of a control frame.
pub const RANGES_PER_WANT_MAX: usize = 64;
/// Piece values named by one `Want`.
pub const VALUES_PER_WANT_MAX: usize = 64;
/// Values in one claim of pieces.
pub const VALUES_PER_CLAIM_MAX: usize = 64;
/// Requests one peer may have open with a provider.
pub const OPEN_REQUESTS_PER_PEER_MAX: usize = 8;
/// Lookup ids in one `Find`.
pub const IDS_PER_FIND_MAX: usize = 32;
/// Lookup ids one peer may ask for in a second.
pub const IDS_PER_SECOND_MAX: u32 = 20;
/// Lookup ids all peers together may ask for in a second.
pub const IDS_PER_SECOND_TOTAL_MAX: u32 = 200;
/// Pages of have-set in one `Have`.
pub const HAVE_PAGES_MAX: usize = 64;
/// Contents whose have-sets are kept for one peer.
pub const CONTENTS_PER_PEER_MAX: usize = 64;
/// Pages of one hash list that may be asked for and not yet answered.
pub const LIST_PARTS_IN_FLIGHT_MAX: usize = 4;
/// Cancelled requests whose late blocks are still let through.
pub const CANCELLED_REQUESTS_MAX: usize = 64;
/// How long blocks of a cancelled request are let through.
pub const CANCELLED_REQUEST_GRACE: Duration = Duration::from_secs(10);
/// Bytes of one cancelled request that are let through, each counted as discarded: one lease, because all of it may
/// lie in the sender's and the transport's buffers when the `Cancel` arrives.
pub const CANCELLED_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Bytes of one peer that may be unverified at any time; two pieces if those are longer.
pub const UNVERIFIED_BYTES_PER_PEER: u64 = 1024 * 1024;
/// Banned ids at one address that put it behind all others, among those who are dialled and among those who are asked.
pub const BANNED_PUT_LAST: usize = 3;
/// Time for the other side's Hello.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for an answer to a question on the control stream.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// Answers to strangers leave on ticks of this length, so that hit and miss take the same time.
pub const ANSWER_TICK: Duration = Duration::from_millis(5);
/// Distinct missing ids per address and hour, after which the answer is given without a look.
pub const MISSES_PER_HOUR_MAX: usize = 100;
/// Bytes of text in a `Goodbye`.
pub const GOODBYE_WORDS_MAX: usize = 200;
/// Longest time a busy provider may name for asking again.
pub const RETRY_MAX: Duration = Duration::from_secs(60);
/// Have-sets are told at most this often per content.
pub const HAVE_TICK: Duration = Duration::from_millis(50);
/// Own questions that wait for their turn in one session; more are answered "not here" without being asked.
pub const QUESTIONS_WAITING_MAX: usize = 512;
/// Own questions asked per second in one session, after a first burst of [`IDS_PER_SECOND_MAX`]: half of what the
/// other side allows, so that jitter on the way never makes us look greedy.
pub const QUESTIONS_PER_SECOND: u32 = 10;
/// Hash lists that wait for their turn in one session.
pub const LISTS_WAITING_MAX: usize = 64;
/// Requests beyond the eight open ones that a provider lets wait a moment before it says it is busy.
pub const PARKED_REQUESTS_MAX: usize = 8;
/// How long such a request waits.
pub const PARKED_REQUEST_WAIT: Duration = Duration::from_millis(250);
/// When a refused ninth request should be repeated.
pub const BUSY_RETRY: Duration = Duration::from_millis(500);
/// Frames that tell have-sets in one tick; the rest waits for the next.
pub const HAVE_FRAMES_PER_TICK_MAX: usize = 8;
/// Questions of one peer that are not answered yet, or whose answers wait for their tick. A peer that keeps the pace
/// never comes near; one beyond it is closed.
pub const QUESTIONS_UNANSWERED_MAX: usize = 256;
/// Groups a node may be a member of at a time: as many as a Hello has tags.
pub const GROUPS_MAX: usize = 8;
/// Times that a peer's tags are looked at in a row before it is one a second: more than a node joins groups.
pub const TAGS_AT_ONCE_MAX: u32 = 16;
/// Bytes of what a group is called.
pub const GROUP_NAME_LEN_MAX: usize = 64;
/// Bytes of a token. One that an enroller gave travels with its enroller's behind it.
pub const TOKEN_LEN_MAX: usize = 256;
/// Seconds a token may live: 30 days ...
pub const TOKEN_LIFE_MAX_S: u64 = 30 * 24 * 60 * 60;
/// ... and 7 if its holder may attest.
pub const TOKEN_LIFE_ATTEST_S: u64 = 7 * 24 * 60 * 60;
/// Holders on a deny list: 64 KiB of them.
pub const DENIED_HOLDERS_MAX: usize = 4_096;
/// Bytes on one page of a deny list, but for the last.
pub const DENY_PAGE_LEN: usize = 32 * 1024;
/// Pages of the longest deny list.
pub const DENY_PAGES_MAX: u32 = 3;
/// Pages of deny lists that one peer is sent in a second.
pub const DENY_PAGES_PER_SECOND_MAX: u32 = 6;
/// Addresses in a ticket ...
pub const TICKET_ADDRESSES_MAX: usize = 8;
/// ... and bytes of each as text.
pub const TICKET_ADDRESS_LEN_MAX: usize = 128;
/// Bytes of an invitation between nodes, which brings no deny list.
pub const GRANT_LEN_MAX: usize = 1_024;
/// Tokens that one peer may ask for in a second.
pub const GRANTS_ASKED_PER_SECOND_MAX: u32 = 2;
/// Bytes of an invitation or a deny list as text.
pub const OFFER_TEXT_MAX: usize = 160 * 1024;
/// Bytes of a signed record: its head, 64 values, its signature. Seven of the longest fit the 16 KiB of a control frame.
pub const RECORD_LEN_MAX: usize = 2_304;
/// Signed records in one frame.
pub const RECORDS_PER_FRAME_MAX: usize = 100;
/// Bytes of an attestation with its signer's token.
pub const ATTESTATION_LEN_MAX: usize = 4_096;
/// Seconds from the fetch until an attestation counts no more: 7 days.
pub const ATTESTATION_LIFE_MAX_S: u64 = 7 * 24 * 60 * 60;
/// Seconds by which an attestor's clock may be ahead.
pub const ATTESTATION_SKEW_S: u64 = 10 * 60;
/// Values in one batch of a stream.
pub const VALUES_PER_BATCH_MAX: usize = 256;
/// Bytes of a batch with its signer's token: 4 KiB beside the values.
pub const BATCH_LEN_MAX: usize = 4_096 + 32 * VALUES_PER_BATCH_MAX;
/// Seconds for which a batch counts.
pub const BATCH_LIFE_MAX_S: u64 = 24 * 60 * 60;
/// Pieces of the longest file that is streamed: 64 GiB.
pub const STREAM_PIECES_MAX: u32 = 16_384;
/// Batches in one frame.
pub const BATCHES_PER_FRAME_MAX: usize = 32;
/// Bytes of an attestation and all that denies it, each with its length: less than a page frame.
pub const DENIAL_LEN_MAX: usize = 36 * 1024 - 32;
/// Values beside the way from a root down to a piece: digits of a number below [`STREAM_PIECES_MAX`].
pub const DENIAL_PATH_MAX: usize = 14;
/// Bytes of a void with its signer's token.
pub const VOID_LEN_MAX: usize = 1_024;
/// Bytes of its reason.
pub const VOID_REASON_MAX: usize = 200;
/// Attestations in one answer: of as many attestors of one site. Eight of the longest fit the 36 KiB of a page frame.
pub const ATTESTATIONS_PER_FRAME_MAX: usize = 8;
/// Questions for attestations that one peer may ask in a second.
pub const ATTESTATIONS_ASKED_PER_SECOND_MAX: u32 = 20;
/// Bytes of a question to the whole link.
pub const QUESTION_LEN_MAX: usize = 512;
/// Digests one of them asks for.
pub const IDS_PER_QUESTION_MAX: usize = 16;
/// Questions to the link that a node asks in any second.
pub const LINK_QUESTIONS_PER_SECOND_MAX: usize = 5;
/// Whoever has what is asked for calls the asker at a moment of chance within this: not all at once.
pub const CALL_DELAY_MAX: Duration = Duration::from_millis(50);
/// Peers that one frame of a rendezvous names: 50 bytes each, 256 fit the 16 KiB of a control frame.
pub const PEERS_NAMED_MAX: usize = 256;
/// Registrations of one peer that are looked at in a row; after those one a second.
pub const REGISTRATIONS_AT_ONCE_MAX: u32 = 4;
