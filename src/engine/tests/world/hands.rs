//! What the scripted hands do with each effect.
//!
//! Knows: the world's disk, origin and peers. Does not know: time, how bytes move.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use peer_proto::content::PieceIndex;
use peer_proto::peer::PeerId;

use super::{Name, World};
use crate::engine::event::Event;
use crate::engine::io::*;

impl World {
    pub(super) fn perform(&mut self, effect: Effect) {
        let mut name = Name(String::new());
        let _ = write!(name, "{effect:?}");
        self.effects.push(name.0);
        match effect {
            Effect::PersistJob { id, .. } => {
                self.inbox.push_back(Input::JobPersisted { id, outcome: Ok(()) })
            }
            Effect::FetchDigests { id, .. } => {
                let outcome = self.lists.pop_front().expect("a list is asked for");
                if self.lists.is_empty() {
                    self.lists.push_back(outcome.clone());
                }
                self.inbox.push_back(Input::DigestsFetched { id, outcome });
            }
            Effect::OpenPart { id, .. } => {
                let outcome = self.open_fault.take().map_or_else(|| Ok(self.found.clone()), Err);
                self.inbox.push_back(Input::PartOpened { id, outcome });
            }
            Effect::ResetPart { id, version, .. } => self.reset(id, version),
            Effect::PinPart { version, .. } => {
                self.version = Some(version);
                self.pins += 1;
            }
            Effect::Probe { id, .. } => self.probe(id),
            Effect::StartLease(lease) => self.start(lease),
            Effect::TrimLease { lease, end } => {
                if let Some(run) = self.leases.get_mut(&lease) {
                    run.end = run.end.map(|before| before.min(end));
                }
            }
            Effect::StopLease { lease } => self.end(lease, Err(LeaseFault::Stopped)),
            Effect::Seal { id, len, want_sha256, digests, .. } => {
                self.sealed_with_sha256 = Some(want_sha256);
                self.seal(id, len, &digests);
            }
            Effect::Deliver { id, .. } => {
                let outcome = self.deliver_fault.take().map_or(Ok(()), Err);
                self.delivered += u32::from(outcome.is_ok());
                self.inbox.push_back(Input::Delivered { id, outcome });
            }
            Effect::DropPart { id, .. } => {
                assert!(self.leases.is_empty(), "a part goes only when nobody writes to it");
                if self.delivered == 0 {
                    self.disk.clear();
                    self.found = PartFound { version: None, runs: Vec::new() };
                }
                let dropped = Input::PartDropped { id, outcome: Ok(()) };
                if self.slow_drops {
                    self.dropping.push(dropped);
                } else {
                    self.inbox.push_back(dropped);
                }
            }
            Effect::ClosePart { .. } => {
                assert!(self.leases.is_empty(), "a part is closed only when nobody writes to it");
                self.found = self.left_on_disk();
            }
            Effect::Restand { first, count, standing, .. } => {
                let pieces = first.0..first.0 + count;
                self.standings.extend(pieces.map(|piece| (piece, standing)));
            }
            Effect::ForgetJob { .. } | Effect::SetRates { .. } => {}
            Effect::AskLink { wanted, .. } => self.asked_link.push((self.ms, wanted)),
            Effect::Call { peer, socket } => self.called.push((self.ms, peer, socket)),
            effect => self.perform_among_peers(effect),
        }
    }

    fn reset(&mut self, id: EffectId, version: peer_proto::version::Version) {
        self.version = Some(version);
        assert!(self.leases.is_empty(), "a part is emptied only when nobody writes to it");
        self.resets += 1;
        self.disk.clear();
        let outcome = self.reset_fault.take().map_or(Ok(()), Err);
        let reset = Input::PartReset { id, outcome };
        if self.slow_resets {
            self.dropping.push(reset);
        } else {
            self.inbox.push_back(reset);
        }
    }

    fn perform_among_peers(&mut self, effect: Effect) {
        match effect {
            Effect::Keep(kept) => {
                self.kept += 1;
                self.kept_scope = Some(kept.scope);
                self.kept_vouched = kept.vouched;
            }
            Effect::Ticket(work) => self.tickets.push(work),
            Effect::TakeOffer(offer) => self.offers.push(*offer),
            Effect::KeepAttestation(one) => self.attested.push(one),
            Effect::DropAttestation(id) => self.attested.retain(|one| one.id() != id),
            Effect::KeepVoid(void) => self.voids.push(void),
            Effect::DropVoid(id) => self.voids.retain(|void| void.id() != id),
            Effect::Meet { .. } => {}
            Effect::Distrust { holder, why, .. } => self.distrusted.push((holder, why)),
            Effect::Send { peer, frame } => self.receive(peer, frame),
            Effect::Disconnect { peer, .. } => {
                self.disconnected.push(peer);
                self.lose_later(peer);
            }
            Effect::DropRecord { record } => {
                self.cache = None;
                self.inbox.push_back(Input::RecordGone(record));
            }
            Effect::RecallList { id, .. } => {
                let list = self.cache.as_ref().map(|(list, _)| Arc::clone(list));
                self.inbox.push_back(Input::ListRecalled { id, list });
            }
            Effect::ReadList { id, .. } => {
                self.inbox.push_back(Input::ListRead { id, values: self.truth.page(0) });
            }
            Effect::Serve(Serve { id, peer, request, from, yields, .. }) => {
                self.serves.push((id, peer, request, from));
                self.yields.push(yields);
            }
            Effect::SetServePace(pace) => self.paces.push(pace),
            Effect::StopServe { id } => {
                self.inbox.push_back(Input::ServeEnded { id, sent: 0, outcome: ServeOutcome::PeerGone });
            }
            Effect::Tell(event) => {
                if let Event::JobChanged(view) = &event
                    && self.states.last() != Some(&view.state)
                {
                    self.states.push(view.state);
                }
                self.events.push(event);
            }
            _ => {}
        }
    }

    /// What somebody finds who opens the part that is closed now.
    fn left_on_disk(&self) -> PartFound {
        let runs = self.disk.iter().map(|(piece, value)| PieceRun {
            first: PieceIndex(*piece),
            values: vec![*value],
            standing: self.standings.get(piece).copied().unwrap_or(Standing::Certain),
        });
        PartFound {
            version: self.version.clone().or_else(|| self.found.version.clone()),
            runs: runs.collect(),
        }
    }

    pub(super) fn lose_later(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
        self.leases_of(peer).into_iter().for_each(|lease| self.end(lease, Err(LeaseFault::PeerLost)));
        self.inbox.push_back(Input::PeerLost { peer });
    }

    /// A silent origin speaks again, and answers what it was asked.
    pub(in crate::engine::tests) fn origin_speaks(&mut self) {
        self.origin.silent = false;
        std::mem::take(&mut self.unanswered).into_iter().for_each(|id| self.probe(id));
    }

    fn probe(&mut self, id: EffectId) {
        self.origin.probes += 1;
        if self.origin.silent {
            return self.unanswered.push(id);
        }
        let origin = &self.origin;
        let outcome = match &origin.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(Probe {
                version: origin.version.clone(),
                ranges: origin.ranges,
                digests: origin.digests.clone(),
                public: origin.public,
                footing: origin.footing,
                round_trip: Duration::from_millis(10),
                final_url: String::new(),
                headers: Vec::new(),
            }),
        };
        self.inbox.push_back(Input::Probed { id, outcome });
    }
}
