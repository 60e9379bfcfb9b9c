//! Which group this node is in: looked at, joined, left, while it runs or while nobody does.
//!
//! Knows: that what makes a node a member is durable before the brain hears of it, and when time alone changes something.
//! Does not know: what is taken and what is not (`peer_proto::group::offer`), what members do (`engine`).

use std::sync::Arc;
use std::time::Duration;

use peer_proto::group::{GroupId, Membership, Offer, OfferFault, OfferRules, Taken, TokenFault};
use peer_proto::peer::PeerId;
use peer_proto::sign::Signer;
use tokio::sync::{Mutex, Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::tickets::TicketError;
use crate::clock;
use crate::disk::RealFiles;
use crate::engine::GroupConfig;
use crate::engine::io::Input;
use crate::store::{FolderError, GroupStore, StateFolder, TicketStore};

/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Hundredths of a token's life after which a node that has no newer one says so (GROUP-5).
const LATE_FROM_PERCENT: u64 = 75;

/// Why a membership was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    /// What was handed in is not taken.
    #[error(transparent)]
    Offer(#[from] OfferFault),
    /// No ticket was made, or none redeemed.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// There is none to give up.
    #[error("this node is in no group")]
    NoGroup,
    /// It could not be written down, or read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The node is ending, or broke.
    #[error("the node is ending")]
    Gone,
}

/// A node's membership as it stands.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// The node.
    pub peer: PeerId,
    /// What it was handed, if it is in a group.
    pub membership: Option<Membership>,
    /// Seconds since 1970.
    pub now: u64,
}

impl Enrolled {
    /// Whether the node is a member now; `None` if it is in no group.
    #[must_use]
    pub fn standing(&self) -> Option<Result<(), TokenFault>> {
        self.membership.as_ref().map(|membership| membership.check(self.peer, self.now))
    }

    /// Whether a newer token should be here by now (GROUP-5).
    #[must_use]
    pub fn is_late(&self) -> bool {
        let spent = self.membership.as_ref().map(|membership| membership.spent_percent(self.now));
        spent.is_some_and(|spent| spent >= LATE_FROM_PERCENT)
    }
}

/// What the brain is told of a membership at a moment in seconds since 1970, if it counts then.
///
/// # Errors
/// Why it does not.
pub(crate) fn config(membership: &Membership, signer: &Signer, now: u64) -> Result<GroupConfig, TokenFault> {
    membership.check(signer.peer(), now)?;
    Ok(GroupConfig {
        signer: signer.clone(),
        key: membership.key,
        badge: Arc::new(membership.badge(now)),
        epoch: membership.epoch,
        denied: membership.denied.clone(),
        enroller: membership.may_enrol(signer.peer(), now).then(|| Arc::new(membership.clone())),
    })
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    u64::try_from(clock::wall_unix_ms() / 1_000).unwrap_or(0)
}

/// Keeps a node's membership. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Enrolment {
    store: GroupStore<RealFiles>,
    /// One ticket at a time.
    pub(super) tickets: Arc<Mutex<TicketStore<RealFiles>>>,
    pub(super) signer: Signer,
    /// One change at a time.
    pub(super) held: Arc<Mutex<Option<Membership>>>,
    /// Wakes whoever watches.
    changed: Arc<Notify>,
    /// The brain, if one runs.
    tell: Option<mpsc::Sender<Input>>,
}

impl Enrolment {
    /// The membership of the node with this key, as its state folder has it now. What changes is told to the brain, if one runs.
    pub(crate) fn new(
        folder: &StateFolder,
        signer: Signer,
        held: Option<Membership>,
        tell: Option<mpsc::Sender<Input>>,
    ) -> Self {
        let (store, tickets) = (folder.group(), Arc::new(Mutex::new(folder.tickets())));
        Self { store, tickets, signer, held: Arc::new(Mutex::new(held)), changed: Arc::default(), tell }
    }

    /// The node's identity.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.signer.peer()
    }

    /// As it stands.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn enrolled(&self) -> Enrolled {
        Enrolled { peer: self.peer_id(), membership: self.held.lock().await.clone(), now: now() }
    }

    /// Takes an invitation or a deny list, as its line of text. It counts from now on, and after restarts. In another group
    /// than before only if `may_replace`.
    ///
    /// # Errors
    /// [`EnrolmentError`]; nothing has changed then.
    ///
    /// # Cancel safety
    /// Dropping it may or may not have taken it.
    pub async fn take(&self, text: &str, may_replace: bool) -> Result<Taken, EnrolmentError> {
        self.take_offer(Offer::parse(text)?, may_replace).await
    }

    /// The same for one that was read already.
    pub(crate) async fn take_offer(&self, offer: Offer, may_replace: bool) -> Result<Taken, EnrolmentError> {
        let mut held = self.held.lock().await;
        let rules = OfferRules { me: self.peer_id(), now: now(), may_replace };
        let (after, taken) = offer.taken(held.as_ref(), &rules)?;
        if held.as_ref() != Some(&after) {
            let (store, kept) = (self.store.clone(), after.clone());
            tokio::task::spawn_blocking(move || store.save(&kept))
                .await
                .map_err(|_| EnrolmentError::Gone)??;
            *held = Some(after);
            self.tell(held.as_ref()).await?;
        }
        Ok(taken)
    }

    /// Takes what a member handed on, and says in the log what became of it.
    ///
    /// # Cancel safety
    /// Dropping it may or may not have taken it.
    pub(crate) async fn take_handed(self, offer: Offer) {
        match self.take_offer(offer, false).await {
            Ok(taken) => tracing::info!(?taken, "a member of the group handed on what it signed"),
            Err(error) => tracing::warn!(%error, "what a member handed on is not taken"),
        }
    }

    /// Leaves the group, and says which it was. Whoever wants the node out of it has to forget it as well: its token still
    /// counts, for whoever has its key.
    ///
    /// # Errors
    /// [`EnrolmentError`].
    ///
    /// # Cancel safety
    /// Dropping it may or may not have left.
    pub async fn leave(&self) -> Result<GroupId, EnrolmentError> {
        let mut held = self.held.lock().await;
        let group = held.as_ref().ok_or(EnrolmentError::NoGroup)?.group();
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || store.remove()).await.map_err(|_| EnrolmentError::Gone)??;
        *held = None;
        self.tell(None).await?;
        Ok(group)
    }

    async fn tell(&self, held: Option<&Membership>) -> Result<(), EnrolmentError> {
        let config = held.and_then(|held| config(held, &self.signer, now()).ok()).map(Box::new);
        self.changed.notify_one();
        match &self.tell {
            Some(tell) => tell.send(Input::GroupChanged(config)).await.map_err(|_| EnrolmentError::Gone),
            None => Ok(()),
        }
    }

    /// Notices what changes with time alone, until `stop`: a token begins to count, is over; the secret of the
    /// epoch before is not honoured any more.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn watch(self, stop: CancellationToken) {
        let mut seen = Look::default();
        loop {
            let enrolled = self.enrolled().await;
            let look = Look::at(&enrolled);
            look.say_after(seen, &enrolled);
            if look.counts_otherwise_than(seen) {
                // What was handed in meanwhile was told meanwhile, and is told again.
                let held = self.held.lock().await;
                if self.tell(held.as_ref()).await.is_err() {
                    return;
                }
            }
            seen = look;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.changed.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

/// What there is to notice of a membership at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Look {
    /// Whose it is, and its token's number.
    of: Option<(GroupId, u64)>,
    fault: Option<TokenFault>,
    honours_former: bool,
}

impl Look {
    fn at(enrolled: &Enrolled) -> Self {
        let Some(membership) = &enrolled.membership else { return Self::default() };
        Self {
            of: Some((membership.group(), membership.token.wish().serial)),
            fault: enrolled.standing().and_then(Result::err),
            honours_former: membership.badge(enrolled.now).former.is_some(),
        }
    }

    /// Whether the same membership means something else now: what was handed in meanwhile was told already. That a token is
    /// over the brain sees itself.
    fn counts_otherwise_than(self, before: Self) -> bool {
        let begins = before.fault.is_some() && self.fault.is_none();
        self.of.is_some() && self.of == before.of && (begins || self.honours_former != before.honours_former)
    }

    /// Says in the log what is new. That a token grows old the brain says, which knows why (GROUP-5).
    fn say_after(self, before: Self, enrolled: &Enrolled) {
        let Some(membership) = enrolled.membership.as_ref().filter(|_| self != before) else { return };
        let (group, until_unix_s) = (membership.group(), membership.token.wish().not_after);
        match self.fault {
            Some(fault) => {
                tracing::warn!(%group, until_unix_s, "this node is no member of its group now: {fault}")
            }
            None => tracing::info!(%group, until_unix_s, "member of a group"),
        }
    }
}

#[cfg(test)]
#[path = "enrolment_tests.rs"]
mod tests;
