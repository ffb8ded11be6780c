//! CHUM on a session's stream: its messages, its storage, and what it reports.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use lama_chum::{Event as ChumEvent, Input, Output as ChumOutput, Progress, StoreFailure};
use lama_core::{Machine as _, Ticket};
use lama_handshake::{CloseCode, Receipt};
use lama_identity::PersonId;
use lama_store::{Import, Read, Reply, Request, StoreError, Write};

use super::live::{Gate, HeadRead, Live};
use crate::api::{EndReason, Event, LinkId, Order};
use crate::hub::Effect;
use crate::node::Node;

/// Messages that a peer can have sent before it has our HELLO: its own, and cells along with it.
const MAX_EARLY: usize = 2;

/// Reports of progress are at least so far apart, but for the last one.
const REPORT_EVERY: Duration = Duration::from_millis(100);

impl Node {
    /// A CHUM message from the peer.
    pub(super) fn chum_message(&mut self, id: LinkId, message: Bytes, receipt: Receipt) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) else { return };
        if live.chum.is_some() {
            // The machine bounds what it holds by a credit of its own.
            live.mux.release(receipt);
            self.chum_input(id, Input::Message(message));
        } else if live.gate == Gate::Closing {
        } else if live.early.len() < MAX_EARLY {
            live.early.push_back((message, receipt));
        } else {
            let text = "CHUM went on though our HELLO has not been sent";
            let fault = crate::api::Fault::new("chum-before-hello", &text);
            self.end_session(id, Some(CloseCode::Protocol), EndReason::Violation(fault));
        }
    }

    /// Gives the machine an input and does what it asks for.
    fn chum_input(&mut self, id: LinkId, input: Input) {
        let now = self.clock.latest();
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) else { return };
        let Some(chum) = live.chum.as_mut() else { return };
        let result = chum.handle(now, input);
        while let Some(output) = self
            .links
            .get_mut(&id)
            .and_then(|link| link.live_mut())
            .and_then(|live| live.chum.as_mut()?.poll())
        {
            self.chum_output(id, output);
        }
        match result {
            Ok(()) => {
                self.ready.insert(id);
                self.live_due(id);
            }
            Err(error) => {
                let code = match error.fault() {
                    lama_chum::Fault::Peer => CloseCode::Protocol,
                    _ => CloseCode::Internal,
                };
                self.end_session(id, Some(code), EndReason::Chum(error));
            }
        }
    }

    fn chum_output(&mut self, id: LinkId, output: ChumOutput) {
        let now = self.clock.latest();
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) else { return };
        let (person, instance) = (live.info.person, live.info.instance);
        match output {
            ChumOutput::Scan { ticket, after, lanes, max_bytes, whole } => {
                let read = Read::Page { person, instance, after, lanes, max_bytes, whole };
                self.read(read, Effect::Chum { link: id, ticket });
            }
            ChumOutput::Ids { ticket, after, limit } => {
                self.read(Read::Ids { person, after, limit }, Effect::Chum { link: id, ticket });
            }
            ChumOutput::News { ticket, after, known, limit } => {
                self.read(
                    Read::News { person, instance, after, known, limit },
                    Effect::Chum { link: id, ticket },
                );
            }
            ChumOutput::Find { ticket, key, shorts, upto, limit } => {
                let read = Read::Find { person, key, shorts, upto, limit };
                self.read(read, Effect::Chum { link: id, ticket });
            }
            ChumOutput::Fetch { ticket, seqs, max_bytes } => {
                let read = Read::Fetch { person, instance, seqs, max_bytes };
                self.read(read, Effect::Chum { link: id, ticket });
            }
            ChumOutput::Import { ticket, objects, epoch, after, upto, urgent } => {
                let mut writes = alloc::vec![Write::Clock(now.wall)];
                writes.extend(live.cursor.take().map(|cursor| Write::Cursor { instance, cursor }));
                writes.extend(live.acked.take().map(|acked| Write::Acked { instance, acked }));
                writes.push(Write::Import(Import { person, instance, objects, epoch, after, upto }));
                if let Some(link) = self.links.get_mut(&id) {
                    link.object();
                }
                let order = if urgent { Order::InTurn } else { Order::Later };
                let requests = alloc::vec![Request::Commit(writes)];
                self.store_in(order, requests, Effect::Chum { link: id, ticket });
            }
            ChumOutput::Cursor(cursor) => live.cursor = Some(cursor),
            ChumOutput::Acked(acked) => live.acked = Some(acked),
            ChumOutput::Event(event) => self.chum_event(id, event),
        }
    }

    fn chum_event(&mut self, id: LinkId, event: ChumEvent) {
        let now = self.clock.latest().mono;
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) else { return };
        let (session, peer) = (live.id, live.info.clone());
        match event {
            ChumEvent::Progress(progress) => {
                live.progress = progress;
                let due = live.reported.is_none_or(|last| now.since(last) >= REPORT_EVERY);
                if due || is_complete(&progress) {
                    live.reported = Some(now);
                    let person = peer.person;
                    self.event(Event::Progress { session, person, progress });
                }
            }
            ChumEvent::InSync { count, fingerprint } => {
                live.in_sync = true;
                live.agreed = Some((count, fingerprint));
                if let Some(peer) = self.peers.get_mut(&peer.instance) {
                    peer.in_sync = Some((count, fingerprint));
                    peer.failures = 0;
                }
                self.flush_lazy(id);
                self.event(Event::InSync { session, peer, count, fingerprint });
            }
            ChumEvent::OutOfSync { .. } => {
                live.in_sync = false;
                self.event(Event::OutOfSync { peer });
            }
            // Reported with the batch.
            ChumEvent::SetAside { .. } => {}
            ChumEvent::RefusedHere { objects } => {
                for (id, reason) in objects {
                    self.event(Event::ObjectRefused { peer: peer.clone(), id, there: false, reason });
                }
            }
            ChumEvent::RefusedThere { id, reason } => {
                let objects = alloc::vec![(id, reason)];
                let write = Write::Refused { person: peer.person, objects };
                self.commit(alloc::vec![write], Effect::Quiet { doing: "keeping what a contact refused" });
                self.event(Event::ObjectRefused { peer, id, there: true, reason });
            }
            _ => {}
        }
    }

    /// The store's answer to something that CHUM asked for.
    pub(crate) fn chum_stored(
        &mut self,
        id: LinkId,
        ticket: Ticket,
        result: Option<Result<Reply, StoreError>>,
    ) {
        let peer = self.links.get(&id).and_then(|link| link.live()).map(|live| live.info.clone());
        let input = match result {
            Some(Ok(Reply::Page(page))) => {
                Input::Page { ticket, entries: page.entries, next: page.next, head: page.head }
            }
            Some(Ok(Reply::Ids(page))) => Input::Ids { ticket, ids: page.ids, next: page.next },
            Some(Ok(Reply::News(page))) => Input::News { ticket, seqs: page.seqs, next: page.next },
            Some(Ok(Reply::Found(page))) => Input::Found { ticket, found: page.found, from: page.from },
            Some(Ok(Reply::Committed(mut committed))) => {
                let outcome = committed.import.take().unwrap_or_default();
                let aside = outcome.aside.len() as u64;
                if let Some(peer) = &peer
                    && (committed.stored > 0 || aside > 0)
                {
                    self.event(Event::Received { peer: peer.clone(), objects: committed.stored, aside });
                }
                self.committed(&committed, Some(id));
                Input::Imported { ticket, outcome }
            }
            Some(Err(error)) => {
                if error.is_peers_fault() {
                    return self.end_session(id, Some(CloseCode::Protocol), EndReason::Store(error));
                }
                let failure = failure(&error);
                self.chum_input(id, Input::Failed { ticket, failure });
                return;
            }
            _ => return,
        };
        self.chum_input(id, input);
    }

    /// The view of a person has grown: his sessions have something to send.
    pub(crate) fn view_grown(&mut self, person: &PersonId, except: Option<LinkId>) {
        let Some(known) = self.book.person(person) else { return };
        let instances = known.contact.instances.iter();
        let links: Vec<LinkId> = instances
            .filter_map(|instance| self.peers.get(&instance.keys.owner)?.session)
            .filter(|link| Some(*link) != except)
            .collect();
        for link in links {
            self.read_head(link);
        }
    }

    /// Reads the head of the view towards the peer of a link; one read at a time.
    pub(super) fn read_head(&mut self, id: LinkId) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) else { return };
        if live.chum.is_none() {
            // Its first head may be read already.
            live.head = HeadRead::Again;
            return;
        }
        if live.head != HeadRead::Idle {
            live.head = HeadRead::Again;
            return;
        }
        live.head = HeadRead::Asked;
        let (person, instance) = (live.info.person, live.info.instance);
        self.read(Read::Head { person, instance }, Effect::Head { link: id });
    }

    /// The head is read.
    pub(crate) fn head_read(&mut self, id: LinkId, result: Option<Result<Reply, StoreError>>) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) else { return };
        let again = core::mem::replace(&mut live.head, HeadRead::Idle) == HeadRead::Again;
        match result {
            Some(Ok(Reply::Head(Some(head)))) => {
                // Another one than at the start only where the store lost what it had shown.
                self.epoch = head.head.epoch;
                self.chum_input(id, Input::Grown(head.head));
            }
            Some(Err(error)) => return self.store_ends(id, error),
            _ => {}
        }
        if again {
            self.read_head(id);
        }
    }

    /// Writes down what could wait.
    pub(crate) fn flush_lazy(&mut self, id: LinkId) {
        let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) else { return };
        let instance = live.info.instance;
        let mut writes: Vec<Write> = Vec::new();
        writes.extend(live.cursor.take().map(|cursor| Write::Cursor { instance, cursor }));
        writes.extend(live.acked.take().map(|acked| Write::Acked { instance, acked }));
        let agreed = live.agreed.take();
        writes.extend(agreed.map(|(count, fingerprint)| Write::Agreed { instance, count, fingerprint }));
        let person = live.info.person;
        // A removed contact has no cursors.
        if !writes.is_empty() && self.book.person(&person).is_some() {
            let requests = alloc::vec![Request::Commit(writes)];
            self.store(requests, Effect::Quiet { doing: "writing down cursors" });
        }
    }

    /// How far a session is, for status.
    pub(crate) fn progress_of(live: &Live) -> Progress {
        live.chum.as_ref().map_or(live.progress, lama_chum::Chum::progress)
    }
}

/// Whether nothing is known to be missing in either direction.
pub(crate) fn is_complete(progress: &Progress) -> bool {
    [progress.received, progress.sent].iter().all(|flow| flow.total == Some(flow.done))
}

/// What the machine needs to know of a failure.
const fn failure(error: &StoreError) -> StoreFailure {
    match error {
        StoreError::Full => StoreFailure::Full,
        StoreError::Corrupt(_) => StoreFailure::Corrupt,
        StoreError::Hole { .. } => StoreFailure::Hole,
        _ => StoreFailure::Unavailable,
    }
}
