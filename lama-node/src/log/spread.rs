//! Logs on a session: who is behind is brought up to date before CHUM, and what is new leaves at once.

use bytes::{Bytes, BytesMut};
use lama_handshake::CloseCode;
use lama_identity::{IdentityError, LogChain, LogHead, LogMessage, NoisePublic, PersonId};

use super::Logs;
use crate::api::{EndReason, Event, Fault, LinkId, RefuseReason};
use crate::hub::Effect;
use crate::node::Node;
use crate::session::{Gate, Stage};

/// What a session has still to say about logs, and what it waits for.
#[derive(Debug, Default)]
pub(crate) struct LogSide {
    /// The tail of the peer's log was asked for and is awaited.
    waits: bool,
    /// The peer's log on the way: not pinned before it reaches what Auth showed.
    partial: Option<LogChain>,
    want: Option<LogHead>,
    have: Option<LogHead>,
    /// Up to where our own log was sent, or is known there.
    own: u64,
    /// Up to where the peer's own log is known there: another instance of his may have written to it.
    theirs: u64,
    /// Whether the peer has asked for a tail of ours: then HELLO is no receipt.
    asked: bool,
    /// HELLO has come.
    hello: bool,
}

impl LogSide {
    /// A session in whose Auth we have shown our log up to `own`.
    /// The peer has shown its own up to `theirs`.
    pub(crate) fn new(own: u64, theirs: u64) -> Self {
        Self { own, theirs, ..Self::default() }
    }

    /// The peer has our log up to `seq`: it has handed on a part of it.
    pub(crate) fn known_there(&mut self, seq: u64) {
        self.own = self.own.max(seq);
    }

    /// The next message, if any.
    pub(crate) fn poll(&mut self, logs: &Logs, me: PersonId, peer: PersonId, out: &mut BytesMut) -> bool {
        let message = if let Some(head) = self.want.take() {
            LogMessage::Want { person: peer, head }
        } else if let Some(head) = self.have.take() {
            LogMessage::Have { person: peer, head }
        } else if let Some((piece, upto)) =
            logs.of(&me).and_then(|chain| LogMessage::piece(me, chain, self.own))
        {
            self.own = upto;
            piece
        } else if let Some((piece, upto)) =
            logs.of(&peer).and_then(|chain| LogMessage::piece(peer, chain, self.theirs))
        {
            self.theirs = upto;
            piece
        } else {
            return false;
        };
        // A message of bounded parts always encodes.
        message.to_bytes().is_ok_and(|bytes| {
            out.extend_from_slice(&bytes);
            true
        })
    }
}

/// How the head that a peer shows stands to what is known of its person's log.
enum Standing {
    /// All that it shows is known, and its key counts.
    Known,
    /// It shows more than is known.
    Longer,
    /// It must not go on.
    Bad(IdentityError),
}

impl Node {
    /// Whether the log of the person at the other end of a link is known as far as that end has shown, so that CHUM may
    /// start. If not, the tail is asked for once the session is up; if it never can be, the link ends here.
    pub(crate) fn log_allows(&mut self, id: LinkId) -> Option<bool> {
        let identity = match self.links.get(&id).map(|link| &link.stage) {
            Some(Stage::Verified(verified)) => verified.peer().identity.clone(),
            Some(Stage::Live(live)) => live.peer.identity.clone(),
            _ => return None,
        };
        match self.log_standing(&identity) {
            Standing::Known => Some(true),
            Standing::Longer => {
                let person = identity.person_id();
                let have = self.logs.of(&person).map(LogChain::head).unwrap_or_default();
                let now = self.clock.latest().mono;
                let deadline = now + self.config.session.handshake_timeout;
                if let Some(live) = self.live_of(id)
                    && !core::mem::replace(&mut live.log.waits, true)
                {
                    live.log.want = Some(have);
                    live.deadline = Some(live.deadline.map_or(deadline, |at| at.max(deadline)));
                    // The responder's acknowledgement comes first: before it nothing may be sent.
                    if live.role == lama_handshake::Role::Responder {
                        let _ = live.mux.acknowledge();
                    }
                    self.ready.insert(id);
                    self.live_due(id);
                }
                Some(false)
            }
            Standing::Bad(error) => {
                self.log_refused(id, &error);
                None
            }
        }
    }

    fn log_standing(&mut self, identity: &lama_identity::PublicIdentity) -> Standing {
        let (person, shown) = (identity.person_id(), identity.log_head);
        if self.logs.of(&person).is_none()
            && shown.seq == 1
            && let Ok(chain) = LogChain::verify(person, &[identity.cert.bytes().clone()])
        {
            // The log of a person with one instance is that instance's certificate.
            let writes = super::entry_writes(&person, &chain, 0);
            self.logs.put(person, chain);
            self.commit(writes, Effect::Quiet { doing: "keeping a contact's log" });
        }
        let Some(chain) = self.logs.of(&person) else { return Standing::Longer };
        let head = chain.head();
        if shown.seq > head.seq {
            return Standing::Longer;
        }
        let checked = chain.check_head(shown).and_then(|()| chain.log().check_instance(identity.noise()));
        match checked {
            Ok(_) => Standing::Known,
            Err(error) => Standing::Bad(error),
        }
    }

    /// A log that does not hold, or a key that it does not let in.
    pub(crate) fn log_refused(&mut self, id: LinkId, error: &IdentityError) {
        let person = match self.links.get(&id).map(|link| &link.stage) {
            Some(Stage::Verified(verified)) => verified.peer().person().id,
            Some(Stage::Live(live)) => live.info.person,
            _ => return,
        };
        if matches!(error, IdentityError::LogFork { .. } | IdentityError::LogLower { .. }) {
            self.event(Event::LogAlarm { person, code: error.code() });
        }
        let live = self.links.get(&id).is_some_and(|link| link.live().is_some());
        match error {
            // In silence: whoever holds a revoked key learns nothing more.
            IdentityError::Revoked if live => self.end_session(id, None, EndReason::Revoked),
            IdentityError::Revoked => self.refuse(id, RefuseReason::Revoked { person }),
            error if live => {
                let reason = EndReason::Violation(Fault::new(error.code(), error));
                self.end_session(id, Some(CloseCode::Protocol), reason);
            }
            error => self.refuse_with(id, error.code(), error),
        }
    }

    /// A message about a log.
    pub(crate) fn log_message(&mut self, id: LinkId, bytes: &Bytes) {
        let me = self.me();
        let Some(live) = self.live_of(id) else { return };
        if live.gate == Gate::Closing {
            return;
        }
        let peer = live.info.person;
        let message = match LogMessage::from_bytes(bytes) {
            Ok(message) if *message.person() == me || *message.person() == peer => message,
            Ok(_) => return self.log_refused(id, &IdentityError::Mismatch { field: "person_id" }),
            Err(error) => return self.log_refused(id, &error),
        };
        match message {
            LogMessage::Entries { person, entries, .. } if person == me => self.own_tail(id, &entries),
            LogMessage::Entries { entries, .. } => self.peers_tail(id, &entries),
            LogMessage::Want { person, head } if person == me => self.wanted(id, head),
            LogMessage::Have { person, head } if person == me => self.receipt(id, head),
            _ => self.log_refused(id, &IdentityError::Mismatch { field: "person_id" }),
        }
    }

    /// The peer lacks a tail of our log.
    fn wanted(&mut self, id: LinkId, head: LogHead) {
        let me = self.me();
        let checked = self.logs.of(&me).map_or(Ok(()), |chain| chain.check_head(head));
        if let Err(error) = checked {
            return self.log_refused(id, &error);
        }
        if let Some(live) = self.live_of(id) {
            live.log.asked = true;
            live.log.own = live.log.own.min(head.seq);
            self.ready.insert(id);
        }
    }

    /// The peer has our log up to here, durably.
    fn receipt(&mut self, id: LinkId, head: LogHead) {
        let me = self.me();
        let checked = self.logs.of(&me).map_or(Ok(()), |chain| chain.check_head(head));
        if let Err(error) = checked {
            return self.log_refused(id, &error);
        }
        let Some(live) = self.live_of(id) else { return };
        let instance = live.info.instance;
        self.arrived(instance, head.seq);
    }

    /// HELLO has come: who does not ask before it has what Auth showed.
    pub(crate) fn hello_came(&mut self, id: LinkId) {
        let Some(live) = self.live_of(id) else { return };
        if core::mem::replace(&mut live.log.hello, true) || live.log.asked {
            return;
        }
        let (instance, shown) = (live.info.instance, live.shown_head);
        self.arrived(instance, shown);
    }

    /// An instance has our log up to `seq`.
    fn arrived(&mut self, instance: lama_identity::InstanceId, seq: u64) {
        let Some(peer) = self.peers.get_mut(&instance) else { return };
        if peer.has >= seq {
            return;
        }
        peer.has = seq;
        let first = seq <= 1;
        self.keep_peer(instance);
        if let Some(peer) = self.instance_info(&instance)
            && !first
        {
            self.event(Event::LogArrived { peer, seq });
        }
    }

    /// Writes down what is known of an instance, if there was a session with it.
    pub(crate) fn keep_peer(&mut self, instance: lama_identity::InstanceId) {
        let record = self.peers.get(&instance).and_then(|peer| peer.record(instance));
        if let Some(record) = record {
            let writes = alloc::vec![lama_store::Write::Peer(record)];
            self.commit(writes, Effect::Quiet { doing: "noting how far a log has come" });
        }
    }

    /// Entries of the peer's own log.
    fn peers_tail(&mut self, id: LinkId, entries: &[Bytes]) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let Some(live) = link.live_mut() else { return };
        let (person, shown) = (live.info.person, live.peer.identity.log_head);
        let partial = live.log.partial.take();
        let chain = match partial.or_else(|| self.logs.of(&person).cloned()) {
            Some(mut chain) => chain.extend(entries).map(|_| chain),
            None => LogChain::verify(person, entries),
        };
        let chain = match chain {
            Ok(chain) => chain,
            Err(error) => return self.log_refused(id, &error),
        };
        if chain.head().seq < shown.seq {
            if let Some(live) = self.live_of(id) {
                live.log.partial = Some(chain);
            }
            return;
        }
        if let Err(error) = chain.check_head(shown) {
            return self.log_refused(id, &error);
        }
        if let Some(live) = self.live_of(id) {
            let (head, instance) = (chain.head(), live.info.instance);
            live.log.theirs = live.log.theirs.max(head.seq);
            // It has said so much: it never shows less again.
            if let Some(peer) = self.peers.get_mut(&instance) {
                peer.shown = Some(head);
                self.keep_peer(instance);
            }
        }
        self.take_log(id, person, chain);
    }

    /// The peer's log is in effect and durable here: say so, and go on with what waited for it.
    pub(crate) fn log_taken(&mut self, id: LinkId, head: LogHead) {
        let Some(live) = self.live_of(id) else { return };
        if live.gate == Gate::Closing {
            return;
        }
        live.log.have = Some(head);
        let waited = core::mem::take(&mut live.log.waits);
        self.ready.insert(id);
        if waited {
            self.open(id);
        }
    }

    /// Our own log has grown: every session sends what is new.
    pub(crate) fn spread(&mut self) {
        self.ready.extend(self.links.iter().filter(|(_, link)| link.live().is_some()).map(|(id, _)| *id));
    }

    fn live_of(&mut self, id: LinkId) -> Option<&mut crate::session::Live> {
        self.links.get_mut(&id).and_then(|link| link.live_mut())
    }

    /// All live links of a key.
    pub(crate) fn links_of(&self, noise: &NoisePublic) -> alloc::vec::Vec<LinkId> {
        let of = |stage: &Stage| match stage {
            Stage::Live(live) => live.peer.noise() == noise,
            Stage::Verified(verified) => verified.peer().noise() == noise,
            Stage::Admitting(verified) => verified.peer().noise() == noise,
            _ => false,
        };
        self.links.iter().filter(|(_, link)| of(&link.stage)).map(|(id, _)| *id).collect()
    }
}
