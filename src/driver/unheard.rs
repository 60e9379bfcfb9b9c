//! Links whose strangers are not listened to (CLAIM-12), as a node is asked for them.
//!
//! Knows: what is shown of them and what is kept. Does not know: what blows a fuse (`engine::fuse`).

use super::handle::{Gone, Handle};
use crate::engine::Engine;
use crate::engine::fuse::BlownLink;
use crate::engine::io::KeptFuse;

impl Handle {
    /// What is held against strangers on links: to be kept for the next run.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub(crate) async fn fuses(&self) -> Result<Vec<KeptFuse>, Gone> {
        self.read(Engine::fuses).await
    }

    /// Links whose strangers are not listened to, and until when: twice within a day what they swore to was not the file.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn blown_links(&self) -> Result<Vec<BlownLink>, Gone> {
        self.read(Engine::blown_links).await
    }
}
