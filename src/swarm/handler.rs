//! One connection's streams: opened when asked, handed out once negotiated.
//!
//! Knows: the two protocol names and how many streams of each a peer may open. Does not know: what flows in them;
//! tasks elsewhere read and write.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::future::{Ready, ready};
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, Stream, StreamProtocol, SubstreamProtocol};

use super::limits::{LANES, STREAM_TIMEOUT, STREAMS_MAX};

/// What a stream is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Control frames, both ways.
    Control,
    /// Blocks, from whoever opened it to the other.
    Lane,
}

impl Kind {
    const fn protocol(self) -> StreamProtocol {
        match self {
            Self::Control => StreamProtocol::new("/nearbits/control/1"),
            Self::Lane => StreamProtocol::new("/nearbits/block/1"),
        }
    }
}

/// Who opened a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Opener {
    /// This node.
    Us,
    /// The peer.
    Them,
}

/// What a connection reports.
#[derive(Debug)]
pub(super) enum StreamEvent {
    /// A stream is ready for use.
    Ready { kind: Kind, opener: Opener, stream: Stream },
    /// A stream we asked for could not be opened.
    Failed { kind: Kind },
    /// The peer opened more streams than it may.
    TooMany { kind: Kind },
}

/// Takes any of our streams the peer opens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accept;

impl UpgradeInfo for Accept {
    type Info = StreamProtocol;
    type InfoIter = [StreamProtocol; 2];

    fn protocol_info(&self) -> Self::InfoIter {
        [Kind::Control.protocol(), Kind::Lane.protocol()]
    }
}

impl InboundUpgrade<Stream> for Accept {
    type Output = (Kind, Stream);
    type Error = Infallible;
    type Future = Ready<Result<(Kind, Stream), Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        let kind = if protocol == Kind::Control.protocol() { Kind::Control } else { Kind::Lane };
        ready(Ok((kind, stream)))
    }
}

/// Opens one stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open(Kind);

impl UpgradeInfo for Open {
    type Info = StreamProtocol;
    type InfoIter = [StreamProtocol; 1];

    fn protocol_info(&self) -> Self::InfoIter {
        [self.0.protocol()]
    }
}

impl OutboundUpgrade<Stream> for Open {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}

/// The streams of one connection.
#[derive(Debug, Default)]
pub(super) struct Handler {
    wanted: VecDeque<Kind>,
    events: VecDeque<StreamEvent>,
    controls_taken: usize,
    lanes_taken: usize,
}

impl Handler {
    fn take_inbound(&mut self, kind: Kind, stream: Stream) {
        let (taken, most) = match kind {
            Kind::Control => (&mut self.controls_taken, 1),
            Kind::Lane => (&mut self.lanes_taken, LANES),
        };
        if *taken < most {
            *taken += 1;
            self.report(StreamEvent::Ready { kind, opener: Opener::Them, stream });
        } else {
            self.report(StreamEvent::TooMany { kind });
        }
    }

    /// Bounded by the streams of a connection; a peer that opens and drops streams faster loses the rest.
    fn report(&mut self, event: StreamEvent) {
        if self.events.len() < 2 * STREAMS_MAX {
            self.events.push_back(event);
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Kind;
    type ToBehaviour = StreamEvent;
    type InboundProtocol = Accept;
    type OutboundProtocol = Open;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Kind;

    fn listen_protocol(&self) -> SubstreamProtocol<Accept> {
        SubstreamProtocol::new(Accept, ()).with_timeout(STREAM_TIMEOUT)
    }

    /// The swarm's loop decides when a connection ends, not idleness.
    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Open, Kind, StreamEvent>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        if let Some(kind) = self.wanted.pop_front() {
            let protocol = SubstreamProtocol::new(Open(kind), kind).with_timeout(STREAM_TIMEOUT);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, kind: Kind) {
        if self.wanted.len() < STREAMS_MAX {
            self.wanted.push_back(kind);
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Accept, Open, (), Kind>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (kind, stream),
                ..
            }) => self.take_inbound(kind, stream),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                self.report(StreamEvent::Ready { kind: info, opener: Opener::Us, stream: protocol });
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, .. }) => {
                self.report(StreamEvent::Failed { kind: info });
            }
            _ => {}
        }
    }
}
