//! Every bound of the swarm, in one place. Each is checked before anything is allocated or dialled.
//!
//! Knows: figures and where they come from. Does not know: who enforces them.

use std::time::Duration;

/// Connections at any time, of all kinds.
pub(super) const CONNECTIONS_MAX: usize = 128;
/// Connections of peers nobody configured (WIRE-8).
pub(super) const STRANGER_CONNECTIONS_MAX: usize = 64;
/// Announced strangers this node dials of its own accord: all others of a site of 64 (HOME-1), so that none of two waits for the
/// other to dial. The rest of the share of strangers is for those who dial us.
pub(super) const STRANGERS_DIALLED_MAX: usize = STRANGER_CONNECTIONS_MAX - 1;
/// Connections of one peer; the second exists only while one of two is being chosen.
pub(super) const CONNECTIONS_PER_PEER_MAX: usize = 2;
/// Connections of one IP address.
pub(super) const CONNECTIONS_PER_IP_MAX: usize = 8;
/// Inbound connections that have not finished their handshake.
pub(super) const HALF_OPEN_MAX: usize = 32;
/// Inbound connections of one IP address in one second.
pub(super) const ACCEPTS_PER_IP_PER_S_MAX: u32 = 50;
/// IP addresses whose rate of inbound connections is remembered.
pub(super) const ACCEPT_RATES_MAX: usize = 1_024;
/// TCP connect, encryption and multiplexer together.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Negotiating one stream.
pub(super) const STREAM_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may live without a control stream.
pub(super) const CONTROL_TIMEOUT: Duration = Duration::from_secs(5);
/// A control stream older than this gives way to a newer connection of the same peer: the old one is likely dead.
pub(super) const SETTLED_AFTER: Duration = Duration::from_secs(5);

/// Streams of one connection: one control stream, three data streams each way, one to spare (WIRE-8).
pub(super) const STREAMS_MAX: usize = 8;
/// Data streams in each direction. A request stays on one of them, so that its blocks arrive in order.
pub(super) const LANES: usize = 3;
/// Bytes a peer may have on the way to us, all streams of a connection together (WIRE-8).
pub(super) const RECEIVE_WINDOW: usize = 2 * 1024 * 1024;

/// Bytes of control frames waiting for one peer.
pub(super) const CONTROL_QUEUE_BYTES_MAX: usize = 1024 * 1024;
/// Control frames waiting for one peer.
pub(super) const CONTROL_QUEUE_FRAMES_MAX: usize = 256;
/// Blocks waiting in front of one data stream.
pub(super) const LANE_QUEUE_BLOCKS: usize = 1;
/// Blocks received for one request and not yet taken.
pub(super) const REQUEST_QUEUE_BLOCKS: usize = 4;
/// Requests one peer may be expected to answer at the same time.
pub(super) const ROUTES_PER_PEER_MAX: usize = 64;
/// Time for the rest of a frame whose first byte arrived.
pub(super) const FRAME_TIMEOUT: Duration = Duration::from_secs(2);
/// A reader or writer that makes no progress for so long, in the middle of a frame, closes the connection.
pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Buffers for blocks kept for the next one, 256 KiB each.
pub(super) const POOLED_BUFFERS_MAX: usize = 16;

/// Buffers of 256 KiB for what one peer is being sent, from the disk to the multiplexer; a longer piece counts as
/// half of them.
pub(super) const OUTGOING_BUFFERS_MAX: u32 = 8;

/// Announced peers remembered.
pub(super) const PEERS_MAX: usize = 1_024;
/// Addresses of one announced peer.
pub(super) const ADDRESSES_PER_PEER_MAX: usize = 8;
/// Announced peer ids on one IP address.
pub(super) const PEERS_PER_IP_MAX: usize = 32;
/// How long an announcement is believed, whatever it says itself.
pub(super) const ANNOUNCEMENT_TTL_MAX: Duration = Duration::from_secs(600);
/// Configured peers.
pub(super) const STATIC_PEERS_MAX: usize = 256;
/// Banned peers remembered.
pub(super) const BANS_MAX: usize = 1_024;
/// Longest ban.
pub(super) const BAN_MAX: Duration = Duration::from_secs(24 * 3_600);
/// First ban after a protocol error; doubles (WIRE-9).
pub(super) const PROTOCOL_ERROR_BAN: Duration = Duration::from_secs(60);
/// The loop's heartbeat.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// Dials begun in any second, configured and announced peers and those who asked together.
pub(super) const DIALS_PER_S_MAX: usize = 10;
/// Configured peers dialled at a time.
pub(super) const STATIC_DIALS_PER_TICK: usize = 1;
/// First wait after a failed dial; doubles.
pub(super) const BACK_OFF_FIRST: Duration = Duration::from_secs(1);
/// Longest wait between dials of a configured peer.
pub(super) const BACK_OFF_STATIC_MAX: Duration = Duration::from_secs(30);
/// Longest wait between dials of an announced address.
pub(super) const BACK_OFF_MAX: Duration = Duration::from_secs(300);
/// Of two peers that discover each other, the one with the larger id leaves the other so much time to dial first.
pub(super) const POLITE_WAIT: Duration = Duration::from_millis(500);
/// How often the interfaces of this machine are read again.
pub(super) const INTERFACES_EVERY: Duration = Duration::from_secs(10);

/// Records mdns-sd may hold before its cache is thrown away: seven hundred neighbours with both address families.
/// Its cache has no bound of its own.
pub(super) const MDNS_RECORDS_MAX: i64 = 4_096;
/// Timers mdns-sd may hold, 16 bytes each: it adds two for every record that it hears, known or not, and keeps
/// them for as long as the record says it lives.
pub(super) const MDNS_TIMERS_MAX: i64 = 131_072;
/// Longest datagram that mdns-sd is given, with its UDP header. Ours are shorter; with longer ones the bound on
/// records would be none on bytes.
pub(super) const MDNS_DATAGRAM_MAX: u32 = 1_508;
/// How long nothing arrives until events are taken and the service cache is looked at all the same.
pub(super) const MDNS_POLL: Duration = Duration::from_millis(100);
/// How long mdns-sd has for what arrived and for saying what it holds, or its sockets are shut until it has: ten
/// times what a busy link needs, too little for a flood to fill much.
pub(super) const MDNS_POLL_BUSY: Duration = Duration::from_millis(20);
/// How long discovery pauses after a flood; doubles up to [`MDNS_PAUSE_MAX`].
pub(super) const MDNS_PAUSE_FIRST: Duration = Duration::from_secs(5);
/// Longest pause of discovery.
pub(super) const MDNS_PAUSE_MAX: Duration = Duration::from_secs(300);
/// Announcements waiting for the loop.
pub(super) const ANNOUNCEMENTS_QUEUED_MAX: usize = 64;
/// Addresses looked at in one announcement.
pub(super) const ADDRESSES_PER_ANNOUNCEMENT_MAX: usize = 32;

/// Questions to the link that are looked at in any second, of one address. Whoever keeps the rule asks five.
pub(super) const QUESTIONS_PER_IP_PER_S_MAX: u32 = 10;
/// The same of all addresses together.
pub(super) const QUESTIONS_PER_S_MAX: u32 = 100;
/// Datagrams that are read in any second, looked at or not; the rest waits in the system, which drops what does not fit.
pub(super) const QUESTION_DATAGRAMS_PER_S_MAX: u32 = 2_000;
/// Interfaces that are asked and listened on.
pub(super) const QUESTION_LINKS_MAX: usize = 8;
/// How often it is looked whether they are others now.
pub(super) const QUESTION_TICK: Duration = Duration::from_millis(250);
/// Questions that wait to be sent.
pub(super) const QUESTIONS_QUEUED_MAX: usize = 8;
/// Askers that wait to be called.
pub(super) const CALLS_MAX: usize = 64;
/// The same at one IP address: several nodes may live there.
pub(super) const CALLS_PER_IP_MAX: usize = 4;
/// Longest wait between calls to an address where they fail.
pub(super) const CALL_BACK_OFF_MAX: Duration = Duration::from_secs(8);
/// Addresses that are remembered because a call failed there.
pub(super) const FAILED_CALLS_REMEMBERED_MAX: usize = 256;
