//! Asking a node what attestors signed.
//!
//! Knows: paths. Does not know: the socket.

use hyper::Method;

use super::{Client, ClientError};
use crate::control::api::{AttestationView, TakeBack};

impl Client {
    /// What attestors of its group signed, as far as it knows.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn attestations(&self) -> Result<Vec<AttestationView>, ClientError> {
        self.read("/v1/attestations").await
    }

    /// Takes something back.
    ///
    /// # Errors
    /// See [`ClientError`]; nothing has changed if it is refused.
    ///
    /// # Cancel safety
    /// It may or may not have been taken back.
    pub async fn take_back(&self, wish: &TakeBack) -> Result<Vec<AttestationView>, ClientError> {
        self.write(Method::POST, "/v1/attestations/void", wish).await
    }
}
