//! Which groups this node is in: looked at, joined, left, while it runs or while nobody does.
//!
//! Knows: that what makes a node a member is durable before the brain hears of it, and when time alone changes something.
//! Does not know: what is taken and what is not (`peer_proto::group::offer`), what members do (`engine`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use peer_proto::group::{GroupId, Membership, Offer, OfferFault, OfferRules, Taken, TokenFault};
use peer_proto::limits::GROUPS_MAX;
use peer_proto::peer::PeerId;
use peer_proto::sign::Signer;
use tokio::sync::{Mutex, Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::tickets::TicketError;
use crate::clock;
use crate::disk::RealFiles;
use crate::engine::io::Input;
use crate::engine::{GroupConfig, Groups};
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
    /// It is in no group of this name.
    #[error("this node is in no group that is called {0:?} or whose id begins so; it is in {of}", of = listed(.1))]
    Unknown(String, Vec<Called>),
    /// Of several it must be said which.
    #[error("this node is in several groups; say which is meant, by its id, the beginning of it, or its name: {}", listed(.0))]
    Several(Vec<Called>),
    /// Leaving one for another does not say which.
    #[error("this node is in several groups; leave the one that is not wanted any more: {}", listed(.0))]
    ReplacesSeveral(Vec<GroupId>),
    /// It could not be written down, or read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The node is ending, or broke.
    #[error("the node is ending")]
    Gone,
}

fn listed(groups: &[impl ToString]) -> String {
    groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A node's memberships as they stand.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// The node.
    pub peer: PeerId,
    /// What it was handed, one for each group it is in, in the order of their ids.
    pub memberships: Vec<Membership>,
    /// Seconds since 1970.
    pub now: u64,
}

impl Enrolled {
    /// The membership of a node that is in one group at most; of several the first.
    #[must_use]
    pub fn first(&self) -> Option<&Membership> {
        self.memberships.first()
    }

    /// Whether one of them makes the node a member now.
    ///
    /// # Errors
    /// Why it does not.
    pub fn standing(&self, membership: &Membership) -> Result<(), TokenFault> {
        membership.check(self.peer, self.now)
    }

    /// Whether a newer token should be here by now (GROUP-5).
    #[must_use]
    pub fn is_late(&self, membership: &Membership) -> bool {
        membership.spent_percent(self.now) >= LATE_FROM_PERCENT
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

/// The group that goes when this one is joined, if one does.
pub(super) fn room_for(held: &Held, group: GroupId, entry: Entry) -> Result<Option<GroupId>, EnrolmentError> {
    let others: Vec<GroupId> = held.keys().copied().filter(|other| *other != group).collect();
    match &others[..] {
        [only] if entry == Entry::InPlace => Ok(Some(*only)),
        [_, _, ..] if entry == Entry::InPlace => Err(EnrolmentError::ReplacesSeveral(others)),
        _ if others.len() >= GROUPS_MAX => Err(OfferFault::Full.into()),
        _ => Ok(None),
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    u64::try_from(clock::wall_unix_ms() / 1_000).unwrap_or(0)
}

/// What becomes of the groups a node is in when it is handed another one's offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    /// They stay beside it.
    Beside,
    /// The only one goes for it.
    InPlace,
    /// Nothing: what members hand on makes nobody a member of a group that he left meanwhile.
    No,
}

/// A group as people know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Called {
    /// Its id.
    pub group: GroupId,
    /// What its owner calls it, if that is known.
    pub name: Option<String>,
}

impl Called {
    pub(super) fn of(membership: &Membership) -> Self {
        let name = membership.name.as_ref().map(|name| name.text().to_owned());
        Self { group: membership.group(), name }
    }
}

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} ({name})", self.group),
            None => self.group.fmt(f),
        }
    }
}

/// Memberships by their groups.
pub(crate) type Held = BTreeMap<GroupId, Membership>;

/// Keeps a node's memberships. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Enrolment {
    store: GroupStore<RealFiles>,
    /// One ticket at a time.
    pub(super) tickets: Arc<Mutex<TicketStore<RealFiles>>>,
    pub(super) signer: Signer,
    /// One change at a time.
    pub(super) held: Arc<Mutex<Held>>,
    /// Wakes whoever watches.
    changed: Arc<Notify>,
    /// The brain, if one runs.
    tell: Option<mpsc::Sender<Input>>,
}

impl Enrolment {
    /// The memberships of the node with this key, as its state folder has it now. What changes is told to the brain, if one runs.
    pub(crate) fn new(
        folder: &StateFolder,
        signer: Signer,
        held: Held,
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
        let memberships = self.held.lock().await.values().cloned().collect();
        Enrolled { peer: self.peer_id(), memberships, now: now() }
    }

    /// Takes an invitation or a deny list, as its line of text. It counts from now on, and after restarts. Another group than
    /// before is one more, or takes the place of the only one if it `replaces` that.
    ///
    /// # Errors
    /// [`EnrolmentError`]; nothing has changed then.
    ///
    /// # Cancel safety
    /// Dropping it may or may not have taken it.
    pub async fn take(&self, text: &str, replaces: bool) -> Result<Taken, EnrolmentError> {
        self.take_offer(Offer::parse(text)?, if replaces { Entry::InPlace } else { Entry::Beside }).await
    }

    /// The same for one that was read already.
    pub(crate) async fn take_offer(&self, offer: Offer, entry: Entry) -> Result<Taken, EnrolmentError> {
        let mut held = self.held.lock().await;
        let group = offer.group();
        if entry == Entry::No && !held.contains_key(&group) {
            return Err(EnrolmentError::NoGroup);
        }
        let rules = OfferRules { me: self.peer_id(), now: now() };
        let (after, taken) = offer.taken(held.get(&group), &rules)?;
        let gone = room_for(&held, group, entry)?;
        if held.get(&group) != Some(&after) || gone.is_some() {
            let (store, kept) = (self.store.clone(), after.clone());
            let saved = move || gone.into_iter().try_fold(store.save(&kept)?, |(), gone| store.remove(gone));
            tokio::task::spawn_blocking(saved).await.map_err(|_| EnrolmentError::Gone)??;
            gone.iter().for_each(|gone| drop(held.remove(gone)));
            held.insert(group, after);
            self.tell(&held).await?;
        }
        Ok(taken)
    }

    /// Takes what a member handed on, and says in the log what became of it.
    ///
    /// # Cancel safety
    /// Dropping it may or may not have taken it.
    pub(crate) async fn take_handed(self, offer: Offer) {
        match self.take_offer(offer, Entry::No).await {
            Ok(taken) => tracing::info!(?taken, "a member of the group handed on what it signed"),
            Err(error) => tracing::warn!(%error, "what a member handed on is not taken"),
        }
    }

    /// The one of these groups that is meant: by its id, the beginning of it, or its name, or the only one.
    ///
    /// # Errors
    /// [`EnrolmentError::NoGroup`], [`EnrolmentError::Unknown`], [`EnrolmentError::Several`].
    pub(super) fn meant(groups: &[&Membership], which: Option<&str>) -> Result<GroupId, EnrolmentError> {
        let is_whole = |group: &&&Membership| which.is_some_and(|text| group.group().to_string() == text);
        if let Some(one) = groups.iter().find(is_whole) {
            // Whatever another one is called.
            return Ok(one.group());
        }
        let is_meant = |group: &&&Membership| which.is_none_or(|text| is_called(group, text));
        let meant: Vec<Called> = groups.iter().filter(is_meant).map(|group| Called::of(group)).collect();
        match (&meant[..], which) {
            ([one], _) => Ok(one.group),
            ([], Some(text)) if !groups.is_empty() => {
                let all = groups.iter().map(|group| Called::of(group)).collect();
                Err(EnrolmentError::Unknown(text.to_owned(), all))
            }
            ([], _) => Err(EnrolmentError::NoGroup),
            _ => Err(EnrolmentError::Several(meant)),
        }
    }

    /// Leaves a group, by its id, the beginning of it, or its name, or the only one, and says which it was. Whoever wants the node out of it has to forget it as well: its token still
    /// counts, for whoever has its key.
    ///
    /// # Errors
    /// [`EnrolmentError`].
    ///
    /// # Cancel safety
    /// Dropping it may or may not have left.
    pub async fn leave(&self, which: Option<&str>) -> Result<GroupId, EnrolmentError> {
        let mut held = self.held.lock().await;
        let group = Self::meant(&held.values().collect::<Vec<_>>(), which)?;
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || store.remove(group))
            .await
            .map_err(|_| EnrolmentError::Gone)??;
        held.remove(&group);
        self.tell(&held).await?;
        Ok(group)
    }

    async fn tell(&self, held: &Held) -> Result<(), EnrolmentError> {
        let now = now();
        let groups: Groups = held.values().filter_map(|held| config(held, &self.signer, now).ok()).collect();
        self.changed.notify_one();
        match &self.tell {
            Some(tell) => tell.send(Input::GroupsChanged(groups)).await.map_err(|_| EnrolmentError::Gone),
            None => Ok(()),
        }
    }

    /// Notices what changes with time alone, until `stop`: a token begins to count, is over; the secret of the
    /// epoch before is not honoured any more.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn watch(self, stop: CancellationToken) {
        let mut seen: BTreeMap<GroupId, Look> = BTreeMap::new();
        loop {
            let enrolled = self.enrolled().await;
            let (mut looks, mut counts_otherwise) = (BTreeMap::new(), false);
            for membership in &enrolled.memberships {
                let look = Look::at(membership, &enrolled);
                let before = seen.get(&membership.group()).copied().unwrap_or_default();
                look.say_after(before, membership);
                counts_otherwise |= look.counts_otherwise_than(before);
                looks.insert(membership.group(), look);
            }
            if counts_otherwise {
                // What was handed in meanwhile was told meanwhile, and is told again.
                let held = self.held.lock().await;
                if self.tell(&held).await.is_err() {
                    return;
                }
            }
            seen = looks;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.changed.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

/// Whether a group's name is this, or its id begins so.
fn is_called(group: &Membership, text: &str) -> bool {
    group.name.as_ref().is_some_and(|name| name.text() == text) || group.group().to_string().starts_with(text)
}

/// What there is to notice of a membership at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Look {
    /// Its token's number.
    of: Option<u64>,
    fault: Option<TokenFault>,
    honours_former: bool,
}

impl Look {
    fn at(membership: &Membership, enrolled: &Enrolled) -> Self {
        Self {
            of: Some(membership.token.wish().serial),
            fault: enrolled.standing(membership).err(),
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
    fn say_after(self, before: Self, membership: &Membership) {
        if self == before {
            return;
        }
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
