//! Tickets: made and redeemed by this node as an enroller, and redeemed for it at another (GROUP-4).
//!
//! Knows: that a use is durable before anything is given for it, what is looked at before a ticket is shown, for how long it is
//! tried. Does not know: sessions (`engine`), how uses are counted (`store`).

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use peer_proto::group::{Asker, GrantFault, HolderId, Membership, Offer, Roles, Taken, Ticket, TicketSecret};
use peer_proto::peer::PeerId;
use tokio::sync::oneshot;

use super::enrolment::{Entry, now, room_for};
use super::{Enrolment, EnrolmentError, Gone, Handle, Request};
use crate::engine::io::TicketFault;
use crate::store::tickets::{LIFE_MAX_S, TICKETS_MAX, USES_MAX};
use crate::swarm::PeerAddress;

/// For how long the enroller of a ticket is looked for.
pub(super) const REDEEM_WITHIN: Duration = Duration::from_secs(30);

/// What a ticket should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TicketWish {
    /// Which group it leads to, by its id, the beginning of it, or its name; of one enroller's only group nothing need be said.
    pub group: Option<String>,
    /// How many machines it may make members.
    pub uses: u16,
    /// Seconds it lives.
    pub life_s: u64,
    /// What it gives.
    pub roles: Roles,
    /// Where those who have it reach this node.
    pub addresses: Vec<SocketAddr>,
}

/// Why no ticket was made, or one was not redeemed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TicketError {
    /// Too much.
    #[error(
        "a ticket gives fetch and serve, and nothing else: attestors and enrollers are made with the group's key (`nearbits group token`)"
    )]
    Roles,
    /// Too often.
    #[error("a ticket is for 1 to {USES_MAX} machines")]
    Uses,
    /// Too long.
    #[error("a ticket lives a minute at least and 24 hours at most")]
    Life,
    /// Too many.
    #[error("{TICKETS_MAX} tickets are open already: wait until some are over")]
    Full,
    /// Nobody could come.
    #[error("this node listens nowhere: whoever has the ticket could not reach it")]
    NoAddress,
    /// The system gives no random bytes.
    #[error("no random bytes for a ticket")]
    NoRandomness,
    /// It is over.
    #[error("this ticket's time is over: ask for another")]
    Over,
    /// Nobody there.
    #[error(
        "{0}, which made this ticket, was not reached within 30 seconds: is it running, and is its port open?"
    )]
    Unreached(PeerId),
    /// A ticket is shown already.
    #[error("another ticket took this one's place")]
    Replaced,
    /// The enroller's answer.
    #[error(transparent)]
    Fault(#[from] TicketFault),
    /// What the enroller gave.
    #[error("the enroller gave a membership of another group than the ticket names")]
    OtherGroup,
    /// This node gives none.
    #[error("{0}")]
    NoEnroller(GrantFault),
}

impl Enrolment {
    /// Makes a ticket, as an enroller, and gives its line and until when it can be redeemed in seconds since 1970. What is needed
    /// to redeem it is durable then.
    ///
    /// # Errors
    /// [`EnrolmentError`].
    ///
    /// # Cancel safety
    /// Dropping it may leave a ticket that nobody has.
    pub async fn make_ticket(&self, wish: &TicketWish) -> Result<(String, u64), EnrolmentError> {
        let usual = Roles::FETCH.and(Roles::SERVE);
        for (is_wrong, error) in [
            (!usual.has(wish.roles) || !wish.roles.has(Roles::FETCH), TicketError::Roles),
            (wish.uses == 0 || wish.uses > USES_MAX, TicketError::Uses),
            (!(60..=LIFE_MAX_S).contains(&wish.life_s), TicketError::Life),
            (wish.addresses.is_empty(), TicketError::NoAddress),
        ] {
            if is_wrong {
                return Err(error.into());
            }
        }
        let now = now();
        let membership = self.enrols_for(wish.group.as_deref(), now).await?;
        let mut secret = TicketSecret([0; 32]);
        getrandom::fill(&mut secret.0).map_err(|_| TicketError::NoRandomness)?;
        let until = now.saturating_add(wish.life_s);
        let (group, uses, roles) = (membership.group(), wish.uses, wish.roles);
        let tickets = self.tickets.lock().await;
        let store = tickets.clone();
        let kept = tokio::task::spawn_blocking(move || {
            let mut made = store.load()?;
            let has_room = made.make(group, &secret, uses, roles, until, now);
            store.save(&made).map(|()| has_room)
        });
        if !kept.await.map_err(|_| EnrolmentError::Gone)?? {
            return Err(TicketError::Full.into());
        }
        drop(tickets);
        let addresses = wish.addresses.iter().map(ToString::to_string).collect();
        let ticket = Ticket { key: membership.key, enroller: self.peer_id(), secret, until, addresses };
        Ok((ticket.text(&self.signer), until))
    }

    /// The membership by which this node enrols others: in the group that is named, or in the only one where it may.
    async fn enrols_for(&self, which: Option<&str>, now: u64) -> Result<Membership, EnrolmentError> {
        let held = self.held.lock().await;
        let may = |held: &&Membership| held.may_enrol(self.peer_id(), now);
        let able: Vec<&Membership> = held.values().filter(may).collect();
        let all: Vec<&Membership> = held.values().collect();
        let group = Self::meant(if which.is_none() && !able.is_empty() { &able } else { &all }, which)?;
        let no_enroller = TicketError::NoEnroller(GrantFault::NoEnroller);
        Ok(held.get(&group).filter(may).cloned().ok_or(no_enroller)?)
    }

    /// Redeems a ticket for whoever shows it, as an enroller: an invitation for its node. That the ticket was used is durable
    /// before.
    ///
    /// # Errors
    /// [`GrantFault`].
    ///
    /// # Cancel safety
    /// Dropping it may or may not have used the ticket, for this node.
    pub(crate) async fn redeem(&self, peer: PeerId, secret: TicketSecret) -> Result<Bytes, GrantFault> {
        let now = now();
        let held = self.held.lock().await.clone();
        let tickets = self.tickets.lock().await;
        let loading = tickets.clone();
        let loaded = tokio::task::spawn_blocking(move || loading.load()).await;
        let Ok(Ok(mut made)) = loaded else { return Err(GrantFault::NotKept) };
        let before = made.clone();
        // It is of one of the groups, and of which one it says itself.
        let spent =
            held.keys().map(|group| made.spend(*group, &secret, peer, now).map(|roles| (*group, roles)));
        let spent = spent.filter(|spent| *spent != Err(GrantFault::NoTicket)).collect::<Vec<_>>();
        let (group, roles) = spent.into_iter().next().unwrap_or(Err(GrantFault::NoTicket))?;
        let membership = held.get(&group).ok_or(GrantFault::NoTicket)?;
        // What would be refused uses nothing up.
        let asker = Asker { holder: HolderId::of(group, peer), peer, roles, serial: 0 };
        let given = membership.enrol(&self.signer, &asker, now)?;
        let given = given.invitation().ok_or(GrantFault::NoEnroller)?;
        if made != before {
            let store = tickets.clone();
            let saved = tokio::task::spawn_blocking(move || store.save(&made)).await;
            if let Ok(Err(error)) = &saved {
                tracing::error!(%error, "a ticket is not redeemed");
            }
            if !matches!(saved, Ok(Ok(()))) {
                return Err(GrantFault::NotKept);
            }
        }
        tracing::info!(%peer, "a ticket was redeemed: another member of the group");
        Ok(given)
    }

    /// Whether a ticket may be shown: `Some` if there is no need, because this node is a member of its group.
    async fn before_ticket(&self, ticket: &Ticket, entry: Entry) -> Result<Option<Taken>, EnrolmentError> {
        let enrolled = self.enrolled().await;
        if ticket.until < enrolled.now {
            return Err(TicketError::Over.into());
        }
        let held = enrolled.memberships.iter().find(|held| held.group() == ticket.group());
        let is_member = held.is_some_and(|held| enrolled.standing(held) == Ok(()));
        let gone = room_for(&*self.held.lock().await, ticket.group(), entry)?;
        Ok((is_member && gone.is_none()).then_some(Taken::Known))
    }
}

impl Handle {
    /// Where this node listens for peers, other machines' ways to it first: loopback only if there is nothing else.
    #[must_use]
    pub fn reachable_at(&self) -> Vec<SocketAddr> {
        let parsed = |text: &String| text.parse().ok().map(|address: PeerAddress| address.socket());
        let all: Vec<SocketAddr> = self.listen_addresses().iter().filter_map(parsed).collect();
        let is_far = |address: &SocketAddr| match address {
            SocketAddr::V4(address) => !address.ip().is_loopback(),
            // What only one link knows means nothing on another machine.
            SocketAddr::V6(address) => !address.ip().is_loopback() && !address.ip().is_unicast_link_local(),
        };
        let far: Vec<SocketAddr> = all.iter().copied().filter(is_far).collect();
        if far.is_empty() { all } else { far }
    }

    /// Becomes a member by a ticket, as its line of text: dials the enroller that made it, shows it to that node only, and takes
    /// what it gives. The enroller stays a peer to keep trying. Another group than
    /// before is one more, or takes the place of the only one if it `replaces` that.
    ///
    /// # Errors
    /// [`EnrolmentError`]; the membership is what it was then.
    ///
    /// # Cancel safety
    /// Dropping it may use the ticket, for this node: it may show it again.
    pub async fn join_by_ticket(&self, text: &str, replaces: bool) -> Result<Taken, EnrolmentError> {
        let ticket = Ticket::parse(text)?;
        let entry = if replaces { Entry::InPlace } else { Entry::Beside };
        if let Some(taken) = self.enrolment.before_ticket(&ticket, entry).await? {
            return Ok(taken);
        }
        for address in ticket.addresses.iter().filter_map(|text| text.parse::<SocketAddr>().ok()) {
            // One that nobody can dial is passed over.
            if let Ok(address) = PeerAddress::new(address, Some(ticket.enroller)) {
                self.add_peer(address);
            }
        }
        let (reply, answer) = oneshot::channel();
        let Ticket { enroller, secret, key, .. } = ticket;
        self.ask(Request::Redeem { enroller, secret, reply }).await.map_err(|Gone| EnrolmentError::Gone)?;
        let given: Box<Membership> = match tokio::time::timeout(REDEEM_WITHIN, answer).await {
            Ok(Ok(given)) => given.map_err(TicketError::from)?,
            Ok(Err(_)) => return Err(TicketError::Replaced.into()),
            Err(_) => return Err(TicketError::Unreached(enroller).into()),
        };
        if given.key != key {
            return Err(TicketError::OtherGroup.into());
        }
        self.enrolment.take_offer(Offer::Invitation(given), entry).await
    }
}
