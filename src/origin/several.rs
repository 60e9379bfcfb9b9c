//! Parts of a file on their way in one answer.
//!
//! Knows: that they come as they were asked for, or not at all. Does not know: what is done then.

use bytes::Bytes;

use super::body::OriginBody;
use super::error::OriginError;
use super::multipart::Multipart;

/// The parts of one answer, in the order in which they were asked for. Dropping it before the end closes its
/// connection.
#[derive(Debug)]
pub struct SeveralBody {
    body: OriginBody,
    reader: Multipart,
}

/// Why no more parts come.
#[derive(Debug, thiserror::Error)]
pub enum SeveralFault {
    /// The answer is not what was asked for; bytes that were handed out are.
    #[error("the answer has other parts than were asked for")]
    NotAsAsked,
    /// The body broke off.
    #[error(transparent)]
    Origin(#[from] OriginError),
}

impl SeveralBody {
    pub(super) const fn new(body: OriginBody, reader: Multipart) -> Self {
        Self { body, reader }
    }

    /// From now on the next bytes are at most so many.
    pub fn limit_read(&mut self, len: usize) {
        self.body.limit_read(len);
    }

    /// The next part, whole; `None` once every part is complete and the body has ended.
    ///
    /// # Errors
    /// [`SeveralFault`].
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing; the next call goes on.
    pub async fn next(&mut self) -> Result<Option<Bytes>, SeveralFault> {
        loop {
            if let Some(bytes) = self.reader.next().map_err(|_| SeveralFault::NotAsAsked)? {
                return Ok(Some(bytes));
            }
            match self.body.next().await? {
                // What follows the last part says nothing.
                Some(_) if self.reader.is_complete() => {}
                Some(bytes) => self.reader.feed(&bytes),
                None if self.reader.is_complete() => return Ok(None),
                None => return Err(SeveralFault::NotAsAsked),
            }
        }
    }
}
