//! Asking a node about its cache.
//!
//! Knows: paths. Does not know: the socket.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;

use super::{Client, ClientError};
use crate::control::api::{CacheChange, CacheState, RecordId, RecordRow, RecordVerified, RecordsRemoved};

/// How long reading a record through may take: a terabyte from a slow disk.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(6 * 3_600);

impl Client {
    /// The records of its cache, or those seen under a URL.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn records(&self, url: Option<&str>) -> Result<Vec<RecordRow>, ClientError> {
        match url {
            Some(url) => self.read(&seen_under(url)).await,
            None => self.read("/v1/records").await,
        }
    }

    /// One record, and which bytes of it are held.
    ///
    /// # Errors
    /// See [`ClientError`]; refused if there is none of this name.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn record(&self, id: RecordId) -> Result<RecordRow, ClientError> {
        self.read(&format!("/v1/records/{id}")).await
    }

    /// Removes a record. A delivered file stays where it is.
    ///
    /// # Errors
    /// See [`ClientError`]; refused while somebody reads it.
    ///
    /// # Cancel safety
    /// It may or may not have been removed.
    pub async fn remove_record(&self, id: RecordId) -> Result<RecordsRemoved, ClientError> {
        self.whole(Method::DELETE, &format!("/v1/records/{id}"), Bytes::new()).await
    }

    /// Forgets a URL: records seen under no other one go.
    ///
    /// # Errors
    /// See [`ClientError`]; refused if no record knows it.
    ///
    /// # Cancel safety
    /// It may or may not have been forgotten.
    pub async fn forget_url(&self, url: &str) -> Result<RecordsRemoved, ClientError> {
        self.whole(Method::DELETE, &seen_under(url), Bytes::new()).await
    }

    /// Removes every record.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Some of them may have been removed.
    pub async fn clear_cache(&self) -> Result<RecordsRemoved, ClientError> {
        self.whole(Method::DELETE, "/v1/records?all=true", Bytes::new()).await
    }

    /// Has a record read through; what does not prove is dropped. Waits for the end of it.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// The node reads on.
    pub async fn verify_record(&self, id: RecordId) -> Result<RecordVerified, ClientError> {
        let path = format!("/v1/records/{id}/verify");
        self.whole_within(VERIFY_TIMEOUT, Method::POST, &path, Bytes::new()).await
    }

    /// The cache's limits, and what it takes.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn cache(&self) -> Result<CacheState, ClientError> {
        self.read("/v1/cache").await
    }

    /// Changes the cache's limits; what is too much then goes at once.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// The change may or may not have been made.
    pub async fn limit_cache(&self, change: &CacheChange) -> Result<CacheState, ClientError> {
        self.write(Method::PATCH, "/v1/cache", change).await
    }
}

fn seen_under(url: &str) -> String {
    url::form_urlencoded::Serializer::new(String::from("/v1/records?")).append_pair("url", url).finish()
}
