//! The tickets that this node made as an enroller, and who used them (GROUP-4).
//!
//! Knows: the file `tickets.json`, how often each may be used, until when, by whom it was. Does not know: what is given for one,
//! how it reaches anybody.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use peer_proto::digest::hex;
use peer_proto::group::ticket::TicketSecret;
use peer_proto::group::{GrantFault, GroupId, Roles};
use peer_proto::peer::PeerId;
use serde::{Deserialize, Serialize};

use super::folder::{FolderError, at, replace};
use crate::disk::Files;

const NAME: &str = "tickets.json";
/// A hundred uses of each and more.
const FILE_LEN_MAX: u64 = 8 * 1024 * 1024;
/// Tickets that may be open at a time.
pub const TICKETS_MAX: usize = 64;
/// Machines that one ticket may make members.
pub const USES_MAX: u16 = 1_000;
/// Seconds that a ticket may live.
pub const LIFE_MAX_S: u64 = 24 * 60 * 60;
/// For how long it is known that a ticket was there, to say so.
const REMEMBERED_S: u64 = 7 * 24 * 60 * 60;

/// Keeps them below a state folder.
#[derive(Clone, Debug)]
pub struct TicketStore<F: Files> {
    files: F,
    folder: PathBuf,
}

/// What is kept: no secret of any ticket.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tickets {
    tickets: Vec<Made>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Made {
    id: String,
    group: String,
    until: u64,
    uses: u16,
    /// As bits, of fetch and serve.
    roles: u16,
    used_by: BTreeSet<PeerId>,
}

impl Tickets {
    /// Remembers a ticket that may be used so often, until then; forgets what is long over. `false` if too many are open.
    #[must_use]
    pub fn make(
        &mut self,
        group: GroupId,
        secret: &TicketSecret,
        uses: u16,
        roles: Roles,
        until: u64,
        now: u64,
    ) -> bool {
        self.tickets.retain(|made| made.until.saturating_add(REMEMBERED_S) >= now);
        // Those that are of no use any more make room.
        while self.tickets.len() >= TICKETS_MAX
            && let Some(place) = self.tickets.iter().position(|made| made.until < now || made.is_used_up())
        {
            self.tickets.remove(place);
        }
        let has_room = self.tickets.len() < TICKETS_MAX;
        if has_room {
            let (id, group) = (hex(&secret.id()), group.to_string());
            self.tickets.push(Made { id, group, until, uses, roles: roles.0, used_by: BTreeSet::new() });
        }
        has_room
    }

    /// Notes that a node uses a ticket, and says which roles it gives. A node that used it before may again: its answer may have
    /// been lost.
    ///
    /// # Errors
    /// [`GrantFault::NoTicket`], [`GrantFault::TicketOver`], [`GrantFault::UsedUp`].
    pub fn spend(
        &mut self,
        group: GroupId,
        secret: &TicketSecret,
        peer: PeerId,
        now: u64,
    ) -> Result<Roles, GrantFault> {
        let (id, group) = (hex(&secret.id()), group.to_string());
        let made = self.tickets.iter_mut().find(|made| made.id == id && made.group == group);
        let made = made.ok_or(GrantFault::NoTicket)?;
        if made.until < now {
            return Err(GrantFault::TicketOver);
        }
        if made.is_used_up() && !made.used_by.contains(&peer) {
            return Err(GrantFault::UsedUp);
        }
        made.used_by.insert(peer);
        let roles = Roles::FETCH.and(Roles::SERVE);
        // Whatever stands in the file: never more.
        Ok(Roles(roles.0 & made.roles))
    }
}

impl Made {
    fn is_used_up(&self) -> bool {
        self.used_by.len() >= usize::from(self.uses)
    }
}

impl<F: Files> TicketStore<F> {
    /// The tickets kept in `folder`, which exists.
    pub const fn new(files: F, folder: PathBuf) -> Self {
        Self { files, folder }
    }

    /// What is kept; none if the file is not there or damaged: nobody is given anything then.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn load(&self) -> Result<Tickets, FolderError> {
        let path = self.path();
        match self.files.read(&path, FILE_LEN_MAX) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Tickets::default()),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Ok(Tickets::default()),
            Err(error) => Err(at("read", &path)(error)),
        }
    }

    /// Keeps them: when this returns, it survives everything.
    ///
    /// # Errors
    /// [`FolderError::Io`]; what was kept before is still there.
    pub fn save(&self, tickets: &Tickets) -> Result<(), FolderError> {
        // Plain values, which JSON can always say.
        let mut bytes = serde_json::to_vec_pretty(tickets).unwrap_or_default();
        bytes.push(b'\n');
        replace(&self.files, &self.path(), &bytes)
    }

    fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealFiles;

    const NOW: u64 = 1_800_000_000;
    const GROUP: GroupId = GroupId([1; 16]);
    const ROLES: Roles = Roles(3);
    const SECRET: TicketSecret = TicketSecret([5; 32]);

    fn peer(number: u8) -> PeerId {
        PeerId::from_public_key([number; 32])
    }

    fn made(uses: u16) -> Tickets {
        let mut tickets = Tickets::default();
        assert!(tickets.make(GROUP, &SECRET, uses, ROLES, NOW + 100, NOW));
        tickets
    }

    #[test]
    fn group_4_a_ticket_is_used_as_often_as_it_says_and_by_the_same_node_again() {
        let mut tickets = made(2);
        assert_eq!(tickets.spend(GROUP, &SECRET, peer(1), NOW), Ok(ROLES));
        assert_eq!(tickets.spend(GROUP, &SECRET, peer(1), NOW), Ok(ROLES), "the answer was lost");
        assert_eq!(tickets.spend(GROUP, &SECRET, peer(2), NOW), Ok(ROLES));
        assert_eq!(tickets.spend(GROUP, &SECRET, peer(3), NOW), Err(GrantFault::UsedUp));
        assert_eq!(tickets.spend(GROUP, &SECRET, peer(2), NOW + 100), Ok(ROLES));
        assert_eq!(tickets.spend(GROUP, &SECRET, peer(2), NOW + 101), Err(GrantFault::TicketOver));
    }

    #[test]
    fn group_4_what_is_no_ticket_of_this_group_is_unknown() {
        let mut tickets = made(2);
        let other = TicketSecret([6; 32]);
        assert_eq!(tickets.spend(GROUP, &other, peer(1), NOW), Err(GrantFault::NoTicket));
        assert_eq!(tickets.spend(GroupId([2; 16]), &SECRET, peer(1), NOW), Err(GrantFault::NoTicket));
        assert_eq!(tickets, made(2));
    }

    #[test]
    fn group_4_sixty_four_are_open_at_a_time_and_what_is_over_makes_room() {
        let mut tickets = made(1);
        let secret = |number: usize| TicketSecret([u8::try_from(number).unwrap(); 32]);
        for number in 10..9 + TICKETS_MAX {
            assert!(tickets.make(GROUP, &secret(number), 1, ROLES, NOW + 200, NOW));
        }
        assert!(!tickets.make(GROUP, &secret(99), 1, ROLES, NOW + 200, NOW));
        tickets.spend(GROUP, &secret(10), peer(1), NOW).unwrap();
        assert!(tickets.make(GROUP, &secret(99), 1, ROLES, NOW + 200, NOW), "one is used up");
        assert!(tickets.make(GROUP, &secret(98), 1, ROLES, NOW + 200, NOW + 101), "and one is over");
        let later = NOW + 200 + REMEMBERED_S;
        assert_eq!(tickets.spend(GROUP, &secret(98), peer(1), later), Err(GrantFault::TicketOver));
        assert!(tickets.make(GROUP, &secret(97), 1, ROLES, later + 9, later + 1));
        assert_eq!(tickets.tickets.len(), 1, "the others are forgotten");
    }

    #[test]
    fn group_4_what_was_used_is_found_again_and_no_secret_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = TicketStore::new(RealFiles, folder.path().to_owned());
        assert_eq!(store.load().unwrap(), Tickets::default());
        let mut tickets = made(1);
        tickets.spend(GROUP, &SECRET, peer(1), NOW).unwrap();
        store.save(&tickets).unwrap();
        let mut found = store.load().unwrap();
        assert_eq!(found, tickets);
        assert_eq!(found.spend(GROUP, &SECRET, peer(2), NOW), Err(GrantFault::UsedUp));
        let text = std::fs::read_to_string(folder.path().join(NAME)).unwrap();
        assert!(!text.contains(&"05".repeat(32)), "{text}");
        std::fs::write(folder.path().join(NAME), "{").unwrap();
        assert_eq!(store.load().unwrap(), Tickets::default(), "damaged: no ticket counts");
    }
}
