//! A valve before the sockets of the multicast DNS library.
//!
//! The library reads until its sockets are empty before it looks at anything else. Under a flood that is never: it
//! neither counts its cache nor ends. Nor does it hand out its sockets. So we take second handles of them from our
//! own process, and let the kernel drop what comes while the library catches up.
//!
//! Knows: which sockets are the library's, when something arrives on them, what the kernel lets through. Does not
//! know: when to shut.

use std::collections::BTreeSet;
use std::fs;
use std::future::poll_fn;
use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::task::Poll;

use mdns_sd::MDNS_PORT;
use rustix::io::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::{SockFilter, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::limits::MDNS_DATAGRAM_MAX;

/// Second handles of the library's sockets; perhaps also of a second node's in the same process, which meets the same
/// floods. What was set on them stays when the handles are dropped.
pub(super) struct Valve {
    sockets: Vec<UdpSocket>,
    position: Position,
}

/// What goes through a valve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Position {
    /// Everything that is not too long and was meant for all of the link.
    Open,
    /// Nothing.
    Shut,
}

/// The sockets that this process has at one moment.
pub(super) struct Census(BTreeSet<PathBuf>);

impl Census {
    /// Counts; of what cannot be read, none.
    pub(super) fn take() -> Self {
        Self(open_sockets().map(|(_, name)| name).collect())
    }
}

impl Valve {
    /// A valve on the multicast DNS sockets that are there now and were not `before`; open to what
    /// multicast DNS needs.
    ///
    /// # Errors
    /// When the system does not let a process look at its own sockets, as in some containers.
    pub(super) fn install(before: &Census) -> io::Result<Self> {
        let this = pidfd_open(getpid(), PidfdFlags::empty())?;
        let mut sockets = Vec::new();
        for (number, name) in open_sockets() {
            if before.0.contains(&name) {
                continue;
            }
            let socket = match pidfd_getfd(&this, number, PidfdGetfdFlags::empty()) {
                Ok(socket) => Socket::from(socket),
                // Closed meanwhile.
                Err(Errno::BADF) => continue,
                Err(error) => return Err(error.into()),
            };
            let port = socket.local_addr()?.as_socket().map(|address| address.port());
            if port == Some(MDNS_PORT) && socket.r#type()? == Type::DGRAM {
                sockets.push(UdpSocket::from_std(socket.into())?);
            }
        }
        let valve = Self { sockets, position: Position::Open };
        valve.set(Position::Open)?;
        Ok(valve)
    }

    /// Whether it found any sockets: the library opens them in its own time.
    pub(super) fn holds_sockets(&self) -> bool {
        !self.sockets.is_empty()
    }

    /// Turns it, if it is not so already.
    pub(super) fn turn(&mut self, position: Position) -> io::Result<()> {
        if self.position != position {
            self.set(position)?;
            self.position = position;
        }
        Ok(())
    }

    /// Returns when something arrived on one of the sockets since the last time; at once while shut, when nobody can
    /// know.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn arrival(&self) {
        if self.position == Position::Shut {
            return;
        }
        poll_fn(|context| {
            let mut arrived = Poll::Pending;
            for socket in &self.sockets {
                if socket.poll_recv_ready(context).is_ready() {
                    // What arrived is not ours to read: only the sign that it did is taken away.
                    let taken: io::Result<()> =
                        socket.try_io(Interest::READABLE, || Err(io::ErrorKind::WouldBlock.into()));
                    drop(taken);
                    arrived = Poll::Ready(());
                }
            }
            arrived
        })
        .await;
    }

    fn set(&self, position: Position) -> io::Result<()> {
        let filter = match position {
            Position::Open => &WHAT_IS_MEANT_FOR_ALL[..],
            Position::Shut => &[SockFilter::new(RETURN, 0, 0, 0)],
        };
        self.sockets.iter().try_for_each(|socket| SockRef::from(socket).attach_filter(filter))
    }
}

/// Lets through what is not too long, comes from port 5353, and was sent to a multicast group.
///
/// The library answers a question from any other port at once, to the address it says it came from, with several times
/// its length; and one that was sent to this machine alone may come from beyond the link. What comes this far is
/// answered to the group only, so that nobody's address can be made a target (T9).
const WHAT_IS_MEANT_FOR_ALL: [SockFilter; 12] = [
    SockFilter::new(LOAD_LEN, 0, 0, 0),
    SockFilter::new(JUMP_IF_GREATER, 9, 0, MDNS_DATAGRAM_MAX),
    // Of a UDP socket's datagram the UDP header comes first.
    SockFilter::new(LOAD_SHORT, 0, 0, 0),
    SockFilter::new(JUMP_IF_EQUAL, 0, 7, MDNS_PORT as u32),
    // Version 4 of IP: 224.0.0.0/4 ...
    SockFilter::new(LOAD_BYTE, 0, 0, IP_HEADER),
    SockFilter::new(JUMP_IF_GREATER, 2, 0, 0x4f),
    SockFilter::new(LOAD_BYTE, 0, 0, IP_HEADER + 16),
    SockFilter::new(JUMP_IF_GREATER, 2, 3, 0xdf),
    // ... and of version 6: ff00::/8.
    SockFilter::new(LOAD_BYTE, 0, 0, IP_HEADER + 24),
    SockFilter::new(JUMP_IF_GREATER, 0, 1, 0xfe),
    SockFilter::new(RETURN, 0, 0, u32::MAX),
    SockFilter::new(RETURN, 0, 0, 0),
];

/// Classic packet filter: the datagram's length with its UDP header.
const LOAD_LEN: u16 = 0x80;
/// Classic packet filter: two bytes of the datagram.
const LOAD_SHORT: u16 = 0x28;
/// Classic packet filter: one byte.
const LOAD_BYTE: u16 = 0x30;
/// Classic packet filter: where the IP header is, from which more is counted.
const IP_HEADER: u32 = 0xfff0_0000;
/// Classic packet filter: goes on so many instructions further if that is greater, or if not.
const JUMP_IF_GREATER: u16 = 0x25;
/// Classic packet filter: the same if that is equal, or if not.
const JUMP_IF_EQUAL: u16 = 0x15;
/// Classic packet filter: how many bytes are let through.
const RETURN: u16 = 0x06;

/// Number and name of every socket of this process.
fn open_sockets() -> impl Iterator<Item = (RawFd, PathBuf)> {
    fs::read_dir("/proc/self/fd").into_iter().flatten().filter_map(|entry| {
        let entry = entry.ok()?;
        let name = fs::read_link(entry.path()).ok()?;
        let number = entry.file_name().to_str()?.parse().ok()?;
        name.to_str()?.starts_with("socket:").then_some((number, name))
    })
}
