//! Peers that people named: by `peer add` until it is taken back, or by another command while the node runs.
//!
//! Knows: that what was added or taken back is durable when it is answered. Does not know: when anybody is dialled (`swarm`).

use std::sync::Arc;

use tokio::sync::Mutex;

use super::{Gone, Handle, Request};
use crate::disk::RealFiles;
use crate::engine::io::Input;
use crate::store::{AddedStore, JobStoreError};
use crate::swarm::{AddressError, Named, NamedBy, PeerAddress};

/// Addresses that may be kept: as many as may be configured.
const ADDED_MAX: usize = 256;
/// Longer texts are kept as the node writes the address itself.
const TEXT_LEN_MAX: usize = 128;

/// The list of `peer add`, as people wrote it: an interface keeps its name, whatever number it has after a boot.
#[derive(Clone)]
pub struct AddedPeers {
    store: AddedStore<RealFiles>,
    kept: Arc<Mutex<Vec<String>>>,
}

/// Why a peer was not added, or not taken back.
#[derive(Debug, thiserror::Error)]
pub enum AddedError {
    /// Not an address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No room, or the node itself.
    #[error("{0} is this node itself, or {ADDED_MAX} peers are named already: take some back")]
    Refused(PeerAddress),
    /// Nobody added it.
    #[error(
        "{0} was not added: what `peer list` has from `peer add` can be taken back, at the address given then"
    )]
    NotAdded(String),
    /// It could not be written down.
    #[error("the list of added peers cannot be kept")]
    NotKept(#[source] JobStoreError),
    /// The node is gone.
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl AddedPeers {
    /// What an earlier run kept; and what of it is no address now, a line each for the log: it is kept all the same.
    pub(crate) fn load(store: AddedStore<RealFiles>) -> (Self, Vec<PeerAddress>, Vec<String>) {
        let (kept, note) = store.load_or_set_aside();
        let mut notes: Vec<String> = note.into_iter().collect();
        let mut kept: Vec<String> = kept.unwrap_or_default();
        kept.truncate(ADDED_MAX);
        let mut addresses = Vec::new();
        for text in &kept {
            match text.parse() {
                Ok(address) => addresses.push(address),
                Err(error) => notes.push(format!("a peer that was added is not tried: {error}")),
            }
        }
        (Self { store, kept: Arc::new(Mutex::new(kept)) }, addresses, notes)
    }

    /// Replaces the list, here and on disk.
    async fn replace(&self, kept: &mut Vec<String>, by: Vec<String>) -> Result<(), AddedError> {
        let (store, list) = (self.store.clone(), by.clone());
        let saved = tokio::task::spawn_blocking(move || store.save(&list)).await;
        saved.map_err(|_| Gone)?.map_err(AddedError::NotKept)?;
        *kept = by;
        Ok(())
    }
}

impl Handle {
    /// Keeps trying a peer at this address for as long as the node runs.
    pub fn add_peer(&self, address: PeerAddress) {
        self.swarm.add_static(address, NamedBy::Command);
    }

    /// Keeps trying a peer, across restarts, until it is taken back. Durable when this returns.
    ///
    /// # Errors
    /// [`AddedError`]; nothing has changed then.
    ///
    /// # Cancel safety
    /// Dropping it may leave the peer tried until the node ends, or kept.
    pub async fn keep_peer(&self, text: &str) -> Result<(), AddedError> {
        let address: PeerAddress = text.parse()?;
        let mut kept = self.added.kept.lock().await;
        let is_kept = kept.iter().any(|one| one.parse() == Ok(address));
        let is_full = !is_kept && kept.len() >= ADDED_MAX;
        let named = if is_full { Named::Refused } else { self.swarm.add_static(address, NamedBy::Added) };
        if named == Named::Refused {
            return Err(AddedError::Refused(address));
        }
        if is_kept {
            return Ok(());
        }
        let text = if text.len() > TEXT_LEN_MAX { address.to_string() } else { text.to_owned() };
        let list = kept.iter().cloned().chain([text]).collect();
        let outcome = self.added.replace(&mut kept, list).await;
        if outcome.is_err() && named == Named::New {
            self.swarm.remove_added(address);
        }
        outcome
    }

    /// Takes back what [`keep_peer`](Self::keep_peer) added under this address. Sessions go on. Durable when this returns.
    ///
    /// # Errors
    /// [`AddedError`]; nothing has changed then.
    ///
    /// # Cancel safety
    /// Dropping it may leave the peer tried until the node ends.
    pub async fn remove_peer(&self, text: &str) -> Result<(), AddedError> {
        let mut kept = self.added.kept.lock().await;
        let address = text.parse::<PeerAddress>();
        let is_meant = |one: &&String| *one == text || (address.is_ok() && one.parse() == address);
        let list: Vec<String> = kept.iter().filter(|one| !is_meant(one)).cloned().collect();
        if list.len() == kept.len() {
            return Err(address.map_or_else(AddedError::from, |_| AddedError::NotAdded(text.to_owned())));
        }
        self.added.replace(&mut kept, list).await?;
        if let Ok(address) = address {
            self.swarm.remove_added(address);
        }
        Ok(())
    }

    /// Forgets every peer that the configuration does not name, and how many they were; sessions and bans stay. What is wanted
    /// is asked for on the link again (PEER-23).
    ///
    /// # Errors
    /// [`AddedError`]: they may be forgotten already, until the next start.
    ///
    /// # Cancel safety
    /// Dropping it may leave the link unasked, or the list of added ones as it was.
    pub async fn forget_peers(&self) -> Result<usize, AddedError> {
        let mut kept = self.added.kept.lock().await;
        let forgotten = self.swarm.forget_peers();
        if !kept.is_empty() {
            self.added.replace(&mut kept, Vec::new()).await?;
        }
        self.ask(Request::Tell(Box::new(Input::PeersForgotten))).await?;
        Ok(forgotten)
    }
}
