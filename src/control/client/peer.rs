//! Asking a node about peers.
//!
//! Knows: paths. Does not know: the socket.

use bytes::Bytes;
use hyper::Method;

use super::{Client, ClientError};
use crate::control::api::{AddPeer, PeerRow, PeersAsked, PeersForgotten};

impl Client {
    /// The peers the node knows.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn peers(&self) -> Result<Vec<PeerRow>, ClientError> {
        self.read("/v1/peers").await
    }

    /// Makes the node keep trying a peer until it ends.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// The peer may or may not have been added.
    pub async fn add_peer(&self, address: &str) -> Result<(), ClientError> {
        let peer = AddPeer { address: address.to_owned(), keep: false };
        self.write(Method::POST, "/v1/peers", &peer).await
    }

    /// Makes the node keep trying a peer, across restarts.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// The peer may or may not have been added.
    pub async fn keep_peer(&self, address: &str) -> Result<(), ClientError> {
        self.write(Method::POST, "/v1/peers", &AddPeer { address: address.to_owned(), keep: true }).await
    }

    /// Takes back what [`keep_peer`](Self::keep_peer) added.
    ///
    /// # Errors
    /// See [`ClientError`]; refused if nothing was added under this address.
    ///
    /// # Cancel safety
    /// The peer may or may not have been taken back.
    pub async fn remove_peer(&self, address: &str) -> Result<(), ClientError> {
        let mut path = url::form_urlencoded::Serializer::new(String::from("/v1/peers/added?"));
        self.whole(Method::DELETE, &path.append_pair("address", address).finish(), Bytes::new()).await
    }

    /// Makes the node forget the peers that were not configured.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// They may or may not have been forgotten.
    pub async fn forget_peers(&self) -> Result<PeersForgotten, ClientError> {
        self.whole(Method::DELETE, "/v1/peers", Bytes::new()).await
    }

    /// Makes the node ask the network who is there. Answered at once; who answers shows up among the
    /// [`peers`](Self::peers).
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// The network may or may not have been asked.
    pub async fn discover_peers(&self) -> Result<PeersAsked, ClientError> {
        self.whole(Method::POST, "/v1/peers/discovery", Bytes::new()).await
    }
}
