//! Somebody at the switch who sees every datagram of an office, whoever it is for.
//!
//! Knows: packet sockets, where addresses stand in a header. Does not know: what datagrams say.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

/// All protocols, as packet sockets write it.
const EVERYTHING: u16 = 3;
const UDP: u32 = 17;

/// One datagram of UDP as it crossed the switch; once for each port it crossed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Datagram {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) payload: Vec<u8>,
}

/// See the module. What is tapped waits in the system until it is looked at.
pub(crate) struct Wiretap(Socket);

impl Wiretap {
    /// Taps what crosses the interfaces of the namespace this thread is in.
    pub(crate) fn open() -> Self {
        let protocol = Protocol::from(i32::from(EVERYTHING.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol)).expect("root may");
        socket.set_nonblocking(true).expect("our own socket");
        let (load, and, jump, give) = (0x30, 0x54, 0x15, 0x06);
        let filter = [
            SockFilter::new(load, 0, 0, 0),
            SockFilter::new(and, 0, 0, 0xf0),
            SockFilter::new(jump, 0, 2, 0x40),
            SockFilter::new(load, 0, 0, 9),
            SockFilter::new(jump, 3, 4, UDP),
            SockFilter::new(jump, 0, 3, 0x60),
            SockFilter::new(load, 0, 0, 6),
            SockFilter::new(jump, 0, 1, UDP),
            SockFilter::new(give, 0, 0, u32::MAX),
            SockFilter::new(give, 0, 0, 0),
        ];
        socket.attach_filter(&filter).expect("a good filter");
        Self(socket)
    }

    /// What crossed since the last look.
    pub(crate) fn datagrams(&self) -> Vec<Datagram> {
        let mut seen = Vec::new();
        let mut buffer = [0; 2_048];
        while let Ok(len) = (&self.0).read(&mut buffer) {
            seen.extend(parse(&buffer[..len]));
        }
        seen
    }
}

fn parse(packet: &[u8]) -> Option<Datagram> {
    let (source, destination, rest) = match packet.first()? >> 4 {
        4 => {
            let address =
                |at: usize| Some(IpAddr::V4(Ipv4Addr::from(*packet.get(at..)?.first_chunk::<4>()?)));
            (address(12)?, address(16)?, packet.get(usize::from(packet[0] & 15) * 4..)?)
        }
        6 => {
            let address =
                |at: usize| Some(IpAddr::V6(Ipv6Addr::from(*packet.get(at..)?.first_chunk::<16>()?)));
            (address(8)?, address(24)?, packet.get(40..)?)
        }
        _ => return None,
    };
    Some(Datagram { source, destination, payload: rest.get(8..)?.to_vec() })
}
