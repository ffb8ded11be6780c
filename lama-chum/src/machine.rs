//! The machine: both halves, the agreement between them, and the order in which frames leave.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use lama_core::{Clock, Instant, Machine, Now, Ticket, Tickets};
use lama_identity::Cid;

use crate::agree::{Agreement, Verdict};
use crate::incoming::{Handout, Incoming};
use crate::news::News;
use crate::outgoing::{Outgoing, Wanted};
use crate::reconcile::{FindStep, Picks, Reconcile, Scanned};
use crate::relay::{Relay, Set};
use crate::start::{reconciles, speculates, start};
use crate::wire::{self, Hello, Label, LogNews, MAX_MESSAGE, MAX_REFUSED, Recon, Refused, Synced};
use crate::{
    Acked, ChumError, Config, Cursor, Entry, Epoch, Event, Flow, ImportOutcome, Input, Lane, NO_EPOCH,
    Output, PairKey, Past, Positions, Progress, StoreFailure, ViewHead,
};

/// Outputs that the host has not fetched, at which no more input is wanted.
const MAX_OUTPUTS: usize = 1_024;

/// Synchronisation with one instance over one session: see the [crate's front page](crate).
#[derive(Debug)]
pub struct Chum {
    config: Config,
    clock: Clock,
    tickets: Tickets,
    ended: Option<ChumError>,
    outputs: VecDeque<Output>,
    /// The newest head of our view log.
    own: ViewHead,
    /// How far we have taken the peer's log over, as the store knows it or was told.
    stored: Cursor,
    hellos: Hellos,
    outgoing: Outgoing,
    incoming: Incoming,
    agreement: Agreement,
    reconcile: Reconcile,
    relay: Relay,
    news: News,
    /// Objects refused here, of which the peer is still to be told.
    refusals: VecDeque<Refused>,
    /// Objects that the peer has refused.
    refused_there: u64,
    progress: Progress,
}

/// How far the exchange of HELLOs is.
#[derive(Debug, Default)]
struct Hellos {
    /// What our HELLO says. Fixed when it is built or the peer's arrives, whichever is first.
    ours: Option<Hello>,
    ours_sent: bool,
    theirs: Option<Hello>,
    /// Whether the peer has said anything after it.
    went_on: bool,
}

impl Chum {
    /// A machine for one session. `head` is the head of our view log for the peer's person, and `cursor` how far
    /// we have taken that instance's log over, both from one transaction of the store. What grows after it is to
    /// be told with [`Input::Grown`]. `pair` is the pair key under which the head's fingerprint was made. With a
    /// log that is too long the machine has ended already.
    #[must_use]
    pub fn new(config: Config, head: ViewHead, cursor: Cursor, pair: PairKey) -> Self {
        let config = config.clamped();
        Self {
            clock: Clock::default(),
            tickets: Tickets::default(),
            ended: check_head(&head).err(),
            outputs: VecDeque::new(),
            own: head,
            stored: cursor,
            hellos: Hellos::default(),
            outgoing: Outgoing::default(),
            incoming: Incoming::default(),
            agreement: Agreement::default(),
            reconcile: Reconcile::new(pair, &config),
            relay: Relay::default(),
            news: News::at(head.seq),
            config,
            refusals: VecDeque::new(),
            refused_there: 0,
            progress: Progress::default(),
        }
    }

    /// With what the host keeps beside the head that [`Chum::new`] was given: then no whole log is read to find out a
    /// small difference, and cells go out along with HELLO where a cursor may not count. HELLO is about that head,
    /// whatever grows before it leaves.
    #[must_use]
    pub fn with_past(mut self, past: &Past) -> Self {
        let mut ours = self.our_hello();
        ours.news = News::to_say(past, (ours.head.epoch, self.stored.epoch));
        self.hellos.ours = Some(ours);
        self.news = News::of(past, ours.head.seq);
        // A sketch of another set would be worse than none.
        if past.sketch.count() == ours.head.count {
            self.reconcile.keep(ours.head.seq, past.sketch, speculates(&ours, past));
        }
        self
    }

    /// How far both directions are.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// Why the machine ended; `None` while it runs.
    #[must_use]
    pub const fn ended(&self) -> Option<ChumError> {
        self.ended
    }

    fn input(&mut self, input: Input) -> Result<(), ChumError> {
        match input {
            Input::Message(message) => self.message(&message)?,
            Input::Grown(head) => self.grown(head)?,
            Input::Page { ticket, entries, next, head } => self.page(ticket, entries, next, head)?,
            Input::Ids { ticket, ids, next } => self.ids(ticket, &ids, next)?,
            Input::Found { ticket, found, from } => {
                if !self.reconcile.is_find(ticket) {
                    return Err(ChumError::UnknownTicket(ticket));
                }
                let picks = self.reconcile.found(found, from)?;
                self.pick(picks);
            }
            Input::News { ticket, seqs, next } => {
                if !self.news.is_step(ticket) {
                    return Err(ChumError::UnknownTicket(ticket));
                }
                if let Some((seqs, upto)) = self.news.found(&seqs, next)? {
                    self.relay.release_all(upto);
                    self.outgoing.found_all(seqs, upto);
                }
            }
            Input::Imported { ticket, outcome } => self.imported(ticket, outcome)?,
            Input::Failed { ticket, failure } => return Err(self.failed(ticket, failure)),
        }
        self.go_on();
        Ok(())
    }

    fn message(&mut self, message: &Bytes) -> Result<(), ChumError> {
        if message.len() > MAX_MESSAGE {
            return Err(ChumError::MessageTooLong { len: message.len() });
        }
        let kind = *message.first().ok_or(ChumError::EmptyMessage)?;
        if self.hellos.theirs.is_none() {
            return self.hello(Hello::read(message)?);
        }
        let first = !core::mem::replace(&mut self.hellos.went_on, true);
        if let Some((bare, label)) = Label::read(kind) {
            return self.labelled(bare, label, message);
        }
        match kind {
            wire::SYNCED => {
                let claim = Synced::read(message)?;
                if !self.reconcile.is_between() {
                    self.incoming.told(claim.own)?;
                    self.acked(Lane::LAST, claim.peer)?;
                    self.agreement.claimed(claim);
                    self.heard((claim.count, claim.fingerprint));
                }
            }
            wire::HELD => self.heard(wire::read_held(message)?),
            wire::RECON => self.recon(Recon::read(message)?, first)?,
            wire::CELLS | wire::LIST | wire::WANT | wire::MARKS | wire::MORE | wire::GOAL => {
                let picks = self.reconcile.message(kind, message)?;
                self.pick(picks);
            }
            wire::REFUSED => self.refused(wire::read_refused(message)?)?,
            kind if kind >> 4 == 1 => return Err(ChumError::HelloTwice),
            kind => return Err(ChumError::UnknownMessage { kind }),
        }
        Ok(())
    }

    /// OBJECTS, GONE or ACK.
    fn labelled(&mut self, bare: u8, label: Label, message: &Bytes) -> Result<(), ChumError> {
        if bare == wire::ACK {
            let (covers, upto) = wire::read_ack(message)?;
            // Else said before the peer knew that we count from 0 again.
            return if self.reconcile.is_between() { Ok(()) } else { self.acked(covers, upto) };
        }
        let upto = match bare {
            wire::OBJECTS => self.incoming.objects(label, message)?,
            _ => self.incoming.gone(label, message)?,
        };
        self.agreement.objects_came(upto);
        Ok(())
    }

    /// What our HELLO says, from now on.
    fn our_hello(&mut self) -> Hello {
        let (head, cursor) = (self.own, self.stored);
        *self.hellos.ours.get_or_insert(Hello { head, cursor, news: LogNews::None })
    }

    fn hello(&mut self, theirs: Hello) -> Result<(), ChumError> {
        let ours = self.our_hello();
        if theirs.cursor.epoch == ours.head.epoch && theirs.cursor.upto.highest() > ours.head.seq {
            return Err(ChumError::CursorBeyondHead);
        }
        self.hellos.theirs = Some(theirs);
        let (sending, receiving) = (start(&ours, &theirs), start(&theirs, &ours));
        // Where sending starts, the peer has everything before: by its cursor, or because the sets are equal.
        let epoch = ours.head.epoch;
        let acked = |upto| Output::Acked(Acked { cursor: Cursor { epoch, upto }, life: theirs.head.epoch });
        if let Some(known) = self.news.meets(&ours, &theirs) {
            // What it acknowledged and lost is not to be taken for known in another session, nor to be sent again in one
            // what it has.
            self.outputs.push_back(acked(known));
        }
        if sending.from != Positions::all(0) {
            self.outputs.push_back(acked(sending.from));
        }
        self.outgoing.begin(sending.from, if sending.whole { ours.head.seq } else { 0 });
        // Both sets are known: what is to be sent the peer lacks.
        self.relay.release_all(ours.head.seq);
        let known = self.stored.epoch == theirs.head.epoch;
        if known && !receiving.from.covers(self.stored.upto) && !reconciles(&ours, &theirs) {
            // All is sent again: from here on no place in it counts that was reached before.
            self.cursor(Cursor::default());
        }
        self.incoming.begin(receiving.from, theirs.head.seq, self.stored.epoch == theirs.head.epoch);
        if receiving.news && !known {
            // What comes is chosen from all of its log: cut before the end, it is no place from which to go on.
            self.cursor(Cursor::default());
            self.incoming.chosen_up_to(theirs.head.seq);
        }
        if sending.news {
            self.outgoing.hold();
            self.send(Vec::new(), ours.head.seq);
        }
        if reconciles(&ours, &theirs) {
            self.outgoing.hold();
            if self.reconcile.begin(0) {
                self.outgoing.begin_round();
            }
        } else {
            self.reconcile.skip();
        }
        let cursor = Cursor { epoch: theirs.head.epoch, upto: receiving.from };
        // Sets are equal, so the peer's log is taken over though nothing of it was sent.
        if cursor != self.stored && receiving.from == Positions::all(theirs.head.seq) {
            self.cursor(cursor);
        }
        self.agreement.begin(
            claim(&ours.head, ours.cursor.upto.whole()),
            claim(&theirs.head, theirs.cursor.upto.whole()),
            sending.from.whole(),
        );
        Ok(())
    }

    /// The peer begins a round of reconciliation, or answers ours. `first`: it came right behind HELLO.
    fn recon(&mut self, recon: Recon, first: bool) -> Result<(), ChumError> {
        if first && recon.round == 0 && !self.reconcile.has_begun() {
            // Sent before it was known that no one needs it.
            return Ok(());
        }
        if !self.incoming.is_drained() {
            return Err(ChumError::ReconOutOfTurn { kind: wire::RECON });
        }
        if recon.snapshot < self.incoming.head() {
            return Err(ChumError::HeadWentBack);
        }
        if self.reconcile.theirs(recon)? {
            self.outgoing.hold();
            self.news.drop_search();
        }
        self.incoming.begin_again(recon.snapshot);
        self.relay.begin_again();
        // An older cursor would have all that the round brings sent once more, if it is cut off.
        self.cursor(Cursor::default());
        if recon.round > 0 {
            self.agreement.begin_again();
        }
        let picks = self.reconcile.resolve()?;
        self.pick(picks);
        Ok(())
    }

    /// A page of ids for the round that is under way.
    fn ids(&mut self, ticket: Ticket, ids: &[(u64, Cid)], next: u64) -> Result<(), ChumError> {
        if !self.reconcile.is_scan(ticket) {
            return Err(ChumError::UnknownTicket(ticket));
        }
        let picks = match self.reconcile.ids(ids, next)? {
            Scanned::Part => None,
            Scanned::Said => {
                self.outgoing.begin_round();
                self.reconcile.resolve()?
            }
            Scanned::Built => self.reconcile.plan()?,
        };
        self.pick(picks);
        Ok(())
    }

    /// The peer says what its set is.
    fn heard(&mut self, theirs: Set) {
        if !self.reconcile.is_active() {
            self.relay.heard(theirs);
        }
    }

    /// What others wrote is held back, as long as the peer may say that it has it.
    fn hold(&mut self) {
        if self.reconcile.is_active() {
            return;
        }
        self.relay.grew(&self.own);
        self.outgoing.known(self.relay.known());
        let now = self.clock.latest().mono;
        self.relay.hold(self.outgoing.last_relayed(), now, self.config.relay_delay);
        self.relay.release(now);
    }

    /// Reconciliation has found what the peer lacks.
    fn pick(&mut self, picks: Option<Picks>) {
        match picks {
            Some(Picks::All { seqs, upto }) => self.send(seqs, upto),
            Some(Picks::Early { seqs, upto }) => {
                self.relay.release_all(upto);
                self.outgoing.found_some(seqs);
            }
            None => {}
        }
    }

    /// Sends these entries of the log, with what changes no set, and then the log after `upto`.
    fn send(&mut self, seqs: Vec<u64>, upto: u64) {
        if let Some((seqs, upto)) = self.news.join(seqs, upto) {
            self.relay.release_all(upto);
            self.outgoing.found_all(seqs, upto);
        }
    }

    /// Moves the cursor into the peer's log.
    fn cursor(&mut self, cursor: Cursor) {
        self.stored = cursor;
        self.outputs.push_back(Output::Cursor(cursor));
    }

    fn grown(&mut self, head: ViewHead) -> Result<(), ChumError> {
        if head.epoch != self.own.epoch {
            return Err(ChumError::EpochChanged);
        }
        check_head(&head)?;
        if head.seq > self.own.seq {
            self.own = head;
        }
        Ok(())
    }

    fn page(
        &mut self,
        ticket: Ticket,
        entries: Vec<Entry>,
        next: u64,
        head: ViewHead,
    ) -> Result<(), ChumError> {
        if !self.outgoing.is_scan(ticket) {
            return Err(ChumError::UnknownTicket(ticket));
        }
        self.grown(head)?;
        self.outgoing.page(entries, next, head.seq)
    }

    fn imported(&mut self, ticket: Ticket, outcome: ImportOutcome) -> Result<(), ChumError> {
        if !self.incoming.is_import(ticket) {
            return Err(ChumError::UnknownTicket(ticket));
        }
        self.grown(outcome.head)?;
        self.outgoing.skip(outcome.before, outcome.head.seq);
        self.incoming.imported(ticket);
        if !outcome.aside.is_empty() {
            self.event(Event::SetAside { ids: outcome.aside });
        }
        if !outcome.refused.is_empty() {
            self.refusals.extend(outcome.refused.iter().copied());
            self.event(Event::RefusedHere { objects: outcome.refused });
        }
        Ok(())
    }

    fn failed(&mut self, ticket: Ticket, failure: StoreFailure) -> ChumError {
        let known = self.outgoing.is_scan(ticket)
            || self.incoming.is_import(ticket)
            || self.reconcile.is_scan(ticket)
            || self.reconcile.is_find(ticket)
            || self.news.is_step(ticket);
        if known { ChumError::Store(failure) } else { ChumError::UnknownTicket(ticket) }
    }

    fn acked(&mut self, covers: Lane, upto: u64) -> Result<(), ChumError> {
        if self.outgoing.acknowledged(covers, upto)? {
            let upto = self.outgoing.acked();
            self.news.knows(upto);
            let life = self.hellos.theirs.map_or(NO_EPOCH, |hello| hello.head.epoch);
            let cursor = Cursor { epoch: self.own.epoch, upto };
            self.outputs.push_back(Output::Acked(Acked { cursor, life }));
        }
        Ok(())
    }

    fn refused(&mut self, objects: Vec<Refused>) -> Result<(), ChumError> {
        self.refused_there = self.refused_there.saturating_add(objects.len() as u64);
        if self.refused_there > self.outgoing.objects_sent {
            return Err(ChumError::RefusedUnsent);
        }
        for (id, reason) in objects {
            self.event(Event::RefusedThere { id, reason });
        }
        Ok(())
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Asks for whatever can be asked for now, and reports what is new.
    fn go_on(&mut self) {
        let Some(theirs) = self.hellos.theirs else { return };
        let epoch = theirs.head.epoch;
        // What the peer is known to have makes room for more.
        self.hold();
        if let Some(wanted) = self.outgoing.next_scan(self.own.seq, &self.config) {
            let ticket = self.tickets.issue();
            self.outgoing.scanning(ticket, wanted);
            let Wanted { after, lanes, whole } = wanted;
            let max_bytes = self.config.scan_bytes;
            self.outputs.push_back(Output::Scan { ticket, after, lanes, max_bytes, whole });
        }
        if let Some(seqs) = self.outgoing.next_fetch(&self.config) {
            let ticket = self.tickets.issue();
            self.outgoing.fetching(ticket);
            self.outputs.push_back(Output::Fetch { ticket, seqs, max_bytes: self.config.scan_bytes });
        }
        if self.incoming.lags() {
            // What is under way takes the log over to further on.
            self.outputs.push_back(Output::Cursor(self.taken_over(epoch, self.incoming.durable())));
        }
        self.import(epoch);
        if self.incoming.advance() {
            let cursor = self.taken_over(epoch, self.incoming.durable());
            self.cursor(cursor);
        }
        self.report_progress();
        self.judge();
        if let Some((after, limit)) = self.reconcile.next_scan(self.own.seq, self.outgoing.is_drained()) {
            let ticket = self.tickets.issue();
            self.reconcile.scanning(ticket);
            self.outputs.push_back(Output::Ids { ticket, after, limit });
        }
        if let Some((after, limit)) = self.news.next_step() {
            let ticket = self.tickets.issue();
            self.news.asking(ticket);
            let known = self.news.known();
            self.outputs.push_back(Output::News { ticket, after, known, limit });
        }
        if let Some(FindStep { key, shorts, upto, limit }) = self.reconcile.next_find() {
            let ticket = self.tickets.issue();
            self.reconcile.finding(ticket);
            self.outputs.push_back(Output::Find { ticket, key, shorts, upto, limit });
        }
    }

    /// Hands out what came.
    fn import(&mut self, epoch: Epoch) {
        while let Some(out) = self.incoming.next_import(&self.config) {
            let ticket = self.tickets.issue();
            let (Cursor { epoch, upto }, after) = match self.incoming.overtakes(&out) {
                true => (self.overtaken(), Positions::all(0)),
                false => self.moved(epoch),
            };
            self.incoming.importing(ticket, &out, epoch != NO_EPOCH);
            let Handout { objects, urgent, .. } = out;
            self.outputs.push_back(Output::Import { ticket, objects, epoch, after, upto, urgent });
        }
    }

    /// Where the cursor stands with what is handed out now, and where it stood before.
    fn moved(&mut self, epoch: Epoch) -> (Cursor, Positions) {
        let before = self.stored;
        self.stored = self.taken_over(epoch, self.incoming.handed());
        let joins = before.epoch == self.stored.epoch && self.stored.upto.covers(before.upto);
        (self.stored, if joins { before.upto } else { Positions::all(0) })
    }

    /// What the cursor says of something that may be stored before what was handed out earlier: nothing of other lanes.
    fn overtaken(&mut self) -> Cursor {
        if !self.incoming.is_rooted() {
            return Cursor::default();
        }
        let upto = self.incoming.handed().of(Lane::Interactive);
        self.stored.upto.raise(Lane::Interactive, upto);
        let mut only = Positions::all(0);
        only.raise(Lane::Interactive, upto);
        Cursor { upto: only, ..self.stored }
    }

    /// The cursor once the peer's log is taken over up to there. What reconciliation found moves it when all of it is
    /// there: up to then it says nothing of the entries in between.
    fn taken_over(&self, epoch: Epoch, upto: Positions) -> Cursor {
        if upto.whole() < self.incoming.snapshot() { self.stored } else { Cursor { epoch, upto } }
    }

    fn judge(&mut self) {
        let own = (self.own.count, self.own.fingerprint);
        let (settled, received) = (self.is_settled(), self.incoming.received().whole());
        match self.agreement.judge(own, settled, received, self.outgoing.last_object()) {
            Some(Verdict::Equal) => self.event(Event::InSync { count: own.0, fingerprint: own.1 }),
            Some(Verdict::Unequal((ours, theirs))) => match self.reconcile.another() {
                Some(round) => {
                    self.outgoing.hold();
                    self.news.drop_search();
                    self.reconcile.begin(round);
                }
                None => self.event(Event::OutOfSync { ours, theirs }),
            },
            None => {}
        }
    }

    fn report_progress(&mut self) {
        let (sent, received) = (self.outgoing.start(), self.incoming.start());
        let ahead = |before: Flow, now: Flow| Flow {
            // Positions are counted again when sets are reconciled again.
            done: now.done.max(before.done),
            total: now.total.max(before.total),
            ..now
        };
        let progress = Progress {
            received: ahead(
                self.progress.received,
                Flow {
                    done: self.incoming.done().saturating_sub(received),
                    total: Some(self.incoming.head().saturating_sub(received)),
                    objects: self.incoming.objects_durable,
                    bytes: self.incoming.bytes_durable,
                },
            ),
            sent: ahead(
                self.progress.sent,
                Flow {
                    done: self.outgoing.done().saturating_sub(sent),
                    total: Some(self.own.seq.saturating_sub(sent)),
                    objects: self.outgoing.objects_acked,
                    bytes: self.outgoing.bytes_acked,
                },
            ),
        };
        if progress == self.progress {
            return;
        }
        self.progress = progress;
        match self.outputs.back_mut() {
            Some(Output::Event(Event::Progress(waiting))) => *waiting = progress,
            _ => self.event(Event::Progress(progress)),
        }
    }

    /// Whether everything of ours is sent and everything that came is durable: our head is a snapshot to compare.
    fn is_settled(&self) -> bool {
        let exchanged = self.outgoing.is_empty() && self.incoming.is_idle();
        exchanged && self.outgoing.sent().whole() == self.own.seq && !self.reconcile.is_active()
    }

    /// The claim to send now, if one is due.
    fn claim_due(&self) -> Option<Synced> {
        let now = claim(&self.own, self.incoming.durable().whole());
        let due = self.outgoing.is_told_unevenly() || self.agreement.claim_due(&now);
        (self.is_settled() && due).then_some(now)
    }

    fn frame(&mut self, out: &mut BytesMut) -> bool {
        if !self.hellos.ours_sent {
            self.our_hello().write(out);
            self.hellos.ours_sent = true;
            return true;
        }
        if self.reconcile.write_ahead(out) {
            return true;
        }
        if self.hellos.theirs.is_none() {
            return false;
        }
        if !self.refusals.is_empty() {
            let some = self.refusals.len().min(MAX_REFUSED);
            wire::write_refused(self.refusals.drain(..some), out);
            return true;
        }
        // What is due for older positions comes before RECON.
        let acknowledged = !self.reconcile.is_active() || !self.incoming.ack_due();
        if acknowledged && self.reconcile.write(&self.config, out) {
            return true;
        }
        // A claim acknowledges, too.
        if let Some(claim) = self.claim_due() {
            self.incoming.claiming();
            self.outgoing.claiming(claim.own);
            self.agreement.claiming(claim);
            claim.write(out);
            return true;
        }
        if self.incoming.ack_due() {
            let (covers, upto) = self.incoming.acknowledge();
            wire::ack(covers, upto, out);
            return true;
        }
        if self.outgoing.write(self.own.seq, self.relay.released(), &self.config, out) {
            self.agreement.objects_sent(self.outgoing.sent().whole(), self.outgoing.told().highest());
            return true;
        }
        let idle = self.incoming.is_idle() && !self.reconcile.is_active();
        let Some(said) = self.relay.to_say(&self.own).filter(|_| idle) else { return false };
        self.relay.said(said);
        wire::write_held(said, out);
        true
    }

    /// Keeps rule 5: the first error is final.
    fn guard(
        &mut self,
        now: Now,
        step: impl FnOnce(&mut Self) -> Result<(), ChumError>,
    ) -> Result<(), ChumError> {
        self.clock.advance(now);
        if let Some(error) = self.ended {
            return Err(error);
        }
        let result = step(self);
        self.ended = result.err();
        result
    }
}

/// Whether the protocol can number the log.
fn check_head(head: &ViewHead) -> Result<(), ChumError> {
    if head.seq.max(head.count) > u64::from(u32::MAX) { Err(ChumError::ViewTooLong) } else { Ok(()) }
}

/// The claim that a head makes.
const fn claim(head: &ViewHead, peer: u64) -> Synced {
    Synced { own: head.seq, peer, count: head.count, fingerprint: head.fingerprint }
}

impl Machine for Chum {
    type Input = Input;
    type Output = Output;
    type Error = ChumError;

    fn handle(&mut self, now: Now, input: Input) -> Result<(), ChumError> {
        self.guard(now, |chum| chum.input(input))
    }

    fn handle_timeout(&mut self, now: Now) -> Result<(), ChumError> {
        self.guard(now, |chum| {
            chum.relay.release(chum.clock.latest().mono);
            Ok(())
        })
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_frame(&mut self, out: &mut BytesMut) -> bool {
        self.ended.is_none() && self.frame(out)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.outputs.is_empty() { self.relay.due() } else { Some(self.clock.latest().mono) }
    }

    fn wants_input(&self) -> bool {
        self.ended.is_none() && self.outputs.len() < MAX_OUTPUTS && !self.reconcile.is_building()
    }
}
