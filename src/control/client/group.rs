//! Asking a node about its groups.
//!
//! Knows: paths. Does not know: the socket.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;

use super::{Client, ClientError};
use crate::control::api::{GroupOffer, GroupShown, GroupTaken, TicketMade, TicketOrder};

/// A ticket's enroller is looked for 30 s long.
const OFFER_TIMEOUT: Duration = Duration::from_secs(60);

impl Client {
    /// Which groups it is in.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn group(&self) -> Result<GroupShown, ClientError> {
        self.read("/v1/group").await
    }

    /// Hands in an invitation, a deny list or a ticket, which may take half a minute.
    ///
    /// # Errors
    /// See [`ClientError`]; nothing has changed if it is refused.
    ///
    /// # Cancel safety
    /// It may or may not have been taken.
    pub async fn offer_group(&self, offer: &GroupOffer) -> Result<GroupTaken, ClientError> {
        let body = serde_json::to_vec(offer).map_err(|source| self.unreadable(source))?;
        self.whole_within(OFFER_TIMEOUT, Method::POST, "/v1/group", body.into()).await
    }

    /// Has a ticket made by an enroller.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// It may or may not have been made; nobody has it then.
    pub async fn make_ticket(&self, order: &TicketOrder) -> Result<TicketMade, ClientError> {
        self.write(Method::POST, "/v1/group/tickets", order).await
    }

    /// Leaves a group, by its id, the beginning of it, or its name, or the only one.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// It may or may not have been left.
    pub async fn leave_group(&self, which: Option<&str>) -> Result<GroupShown, ClientError> {
        let path = match which {
            Some(id) => url::form_urlencoded::Serializer::new(String::from("/v1/group?"))
                .append_pair("group", id)
                .finish(),
            None => "/v1/group".to_owned(),
        };
        self.whole(Method::DELETE, &path, Bytes::new()).await
    }
}
