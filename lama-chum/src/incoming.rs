//! The receiving half: objects are checked as they come, gathered into batches, imported, acknowledged in order.
//!
//! What someone waits for is gathered apart and imported at once. It depends on nothing else that came, so the store
//! may take it before what was handed out earlier; what else came may depend on it, and is handed out after it, in
//! batches, which are small: between two of them the store takes what is waited for.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;

use bytes::Bytes;
use lama_core::Ticket;
use lama_identity::Cid;

use crate::config::credit;
use crate::lane::{Ahead, Lane, Positions};
use crate::wire::{Label, ObjectsHeader, read_gone, read_objects};
use crate::{ChumError, Config};

/// A number of messages: what the credit counts, and what progress counts.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    /// Bytes of the messages.
    len: usize,
    objects: usize,
    object_bytes: usize,
}

impl Load {
    fn add(&mut self, other: Self) {
        self.len = self.len.saturating_add(other.len);
        self.objects = self.objects.saturating_add(other.objects);
        self.object_bytes = self.object_bytes.saturating_add(other.object_bytes);
    }

    fn subtract(&mut self, other: Self) {
        self.len = self.len.saturating_sub(other.len);
        self.objects = self.objects.saturating_sub(other.objects);
        self.object_bytes = self.object_bytes.saturating_sub(other.object_bytes);
    }
}

/// One message that waits to be imported.
#[derive(Debug)]
struct Message {
    objects: Vec<(Cid, Bytes)>,
    load: Load,
    covers: Lane,
    upto: u64,
    /// Entries that lie ahead of what the whole log is taken over to, and a number below all of theirs.
    ahead: Option<(u64, u64)>,
}

/// Messages that wait to be imported, in the order in which they came.
#[derive(Debug, Default)]
struct Gathered {
    messages: VecDeque<Message>,
    load: Load,
}

impl Gathered {
    fn push(&mut self, message: Message) {
        self.load.add(message.load);
        self.messages.push_back(message);
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.load.subtract(message.load);
        Some(message)
    }
}

/// Objects that are to be imported together.
#[derive(Debug)]
pub(crate) struct Handout {
    pub(crate) objects: Vec<(Cid, Bytes)>,
    pub(crate) urgent: bool,
    load: Load,
    ahead: Option<(u64, u64)>,
}

/// One import under way.
#[derive(Debug)]
struct Import {
    ticket: Ticket,
    urgent: bool,
    /// How far the log is taken over with it.
    upto: Positions,
    load: Load,
    ahead: Option<(u64, u64)>,
    /// It sets the store's cursor to the peer's epoch.
    roots: bool,
    done: bool,
}

/// The receiving half of the machine.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    /// Where the session's receiving began.
    start: u64,
    /// Highest head of the peer's log that was named.
    head: u64,
    /// Everything up to here has come, or needed no coming.
    received: Positions,
    /// Everything up to here was handed out in an import.
    handed: Positions,
    /// Everything up to here is durable.
    durable: Positions,
    /// Everything up to here was acknowledged.
    acked: Positions,
    /// Up to here the objects come that reconciliation found: the cursor moves when all of them are durable.
    snapshot: u64,
    /// What is gathered: what someone waits for, and the rest.
    urgent: Gathered,
    rest: Gathered,
    imports: VecDeque<Import>,
    /// The store's cursor is of the peer's epoch.
    rooted: bool,
    /// The store's cursor stayed behind what was handed out up to here, in the interactive lane; 0: it did not.
    lags: u64,
    /// Everything received and not acknowledged: what the credit bounds. What someone waits for, and the rest.
    unacked: [Load; 2],
    /// What is durable and not acknowledged, in the same way.
    due: [Load; 2],
    /// What is durable beyond what everything is.
    ahead: Ahead,
    pub(crate) objects_durable: u64,
    pub(crate) bytes_durable: u64,
}

/// The part of a pair that counts what someone waits for, or the rest.
const fn part<T>(pair: &mut [T; 2], urgent: bool) -> &mut T {
    let [waited, rest] = pair;
    if urgent { waited } else { rest }
}

impl Incoming {
    /// Begins after `from` in a log that ends at `head`.
    pub(crate) fn begin(&mut self, from: Positions, head: u64, rooted: bool) {
        self.rooted = rooted;
        self.start = from.whole();
        self.head = head;
        self.received = from;
        self.handed = from;
        self.durable = from;
        self.acked = from;
        self.ahead = Ahead::default();
    }

    /// The peer counts from 0 again: what it has and we lack comes first, up to `snapshot` of its log.
    pub(crate) fn begin_again(&mut self, snapshot: u64) {
        let head = self.head.max(snapshot);
        self.begin(Positions::all(0), head, false);
        self.snapshot = snapshot;
    }

    /// What comes up to there is chosen: the cursor moves when all of it is durable.
    pub(crate) const fn chosen_up_to(&mut self, snapshot: u64) {
        self.snapshot = snapshot;
    }

    /// The end of what reconciliation found, in the peer's log; 0 if there was none.
    pub(crate) const fn snapshot(&self) -> u64 {
        self.snapshot
    }

    /// Whether everything that came is durable and acknowledged.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_idle() && self.unacked.iter().all(|load| load.objects == 0)
    }

    /// Where the session's receiving began.
    pub(crate) const fn start(&self) -> u64 {
        self.start
    }

    /// Highest head of the peer's log that was named.
    pub(crate) const fn head(&self) -> u64 {
        self.head
    }

    /// Everything up to here has come, or needed no coming.
    pub(crate) const fn received(&self) -> Positions {
        self.received
    }

    /// Everything up to here was handed out.
    pub(crate) const fn handed(&self) -> Positions {
        self.handed
    }

    /// Everything up to here is durable.
    pub(crate) const fn durable(&self) -> Positions {
        self.durable
    }

    /// How many entries from the start of the peer's log on are dealt with.
    pub(crate) fn done(&mut self) -> u64 {
        self.ahead.done(self.durable.whole())
    }

    /// Whether an acknowledgement is due: for objects. Entries that brought none need none.
    pub(crate) fn ack_due(&self) -> bool {
        self.due.iter().any(|load| load.objects > 0)
    }

    /// Whether nothing that came waits to become durable.
    pub(crate) fn is_idle(&self) -> bool {
        self.urgent.messages.is_empty() && self.rest.messages.is_empty() && self.imports.is_empty()
    }

    /// Takes an OBJECTS message. Gives up to where it reaches.
    pub(crate) fn objects(&mut self, label: Label, message: &Bytes) -> Result<u64, ChumError> {
        self.has_credit(label, message.len())?;
        let (mut object_bytes, mut objects) = (0_usize, Vec::new());
        let header = read_objects(message, |id, object| {
            object_bytes = object_bytes.saturating_add(object.len());
            objects.push((id, object));
        })?;
        self.took(header, objects, message.len(), object_bytes)
    }

    /// Takes a GONE message. Gives up to where it reaches.
    pub(crate) fn gone(&mut self, label: Label, message: &[u8]) -> Result<u64, ChumError> {
        self.has_credit(label, message.len())?;
        let mut objects = Vec::new();
        let header = read_gone(message, |id| objects.push((id, Bytes::new())))?;
        self.took(header, objects, message.len(), 0)
    }

    /// The credit is looked at first, so that a stream without end costs nothing beyond it.
    fn has_credit(&mut self, label: Label, len: usize) -> Result<(), ChumError> {
        let under_way: usize = self.unacked.iter().map(|load| load.len).sum();
        let over = under_way.saturating_add(len) > credit(label.urgent).0
            && part(&mut self.unacked, label.urgent).len > 0;
        if over { Err(ChumError::CreditExceeded) } else { Ok(()) }
    }

    /// Counts a message and moves on in the peer's log.
    fn took(
        &mut self,
        header: ObjectsHeader,
        objects: Vec<(Cid, Bytes)>,
        len: usize,
        object_bytes: usize,
    ) -> Result<u64, ChumError> {
        let ObjectsHeader { label: Label { covers, urgent }, upto, head, count } = header;
        let before = self.received.of(covers);
        if upto <= before {
            return Err(ChumError::SequenceWentBack);
        }
        if head < self.head {
            return Err(ChumError::HeadWentBack);
        }
        let load = Load { len, objects: count, object_bytes };
        part(&mut self.unacked, urgent).add(load);
        if self.unacked.iter().map(|load| load.objects).sum::<usize>() > credit(urgent).1 {
            return Err(ChumError::CreditExceeded);
        }
        let ahead = (covers < Lane::LAST).then_some((before, count as u64));
        let gathered = if urgent { &mut self.urgent } else { &mut self.rest };
        gathered.push(Message { objects, load, covers, upto, ahead });
        self.received.raise(covers, upto);
        self.head = head;
        Ok(upto)
    }

    /// The peer's log needs no more sending up to `upto`, its head.
    pub(crate) fn told(&mut self, upto: u64) -> Result<(), ChumError> {
        if upto < self.received.highest() {
            return Err(ChumError::SequenceWentBack);
        }
        if upto < self.head {
            return Err(ChumError::HeadWentBack);
        }
        self.received = Positions::all(upto);
        self.head = upto;
        Ok(())
    }

    /// The next objects to import: those that someone waits for at once, and all of them. Others in batches, if none
    /// of their kind are being imported or there are many.
    pub(crate) fn next_import(&mut self, config: &Config) -> Option<Handout> {
        let running = |urgent: bool| self.imports.iter().filter(|import| import.urgent == urgent).count();
        if !self.urgent.messages.is_empty() {
            if running(true) >= config.max_imports {
                return None;
            }
            return Some(self.hand_out(true, (usize::MAX, usize::MAX)));
        }
        let batch = config.batch();
        let more = Self::is_batch(self.rest.load, batch) && running(false) < config.max_imports;
        let hands = (running(false) == 0 || more) && !self.rest.messages.is_empty();
        hands.then(|| self.hand_out(false, batch))
    }

    const fn is_batch(load: Load, (bytes, objects): (usize, usize)) -> bool {
        load.object_bytes >= bytes || load.objects >= objects
    }

    /// Takes whole messages, and notes how far the log is handed out with them.
    fn hand_out(&mut self, urgent: bool, batch: (usize, usize)) -> Handout {
        let mut out = Handout { objects: Vec::new(), urgent, load: Load::default(), ahead: None };
        let gathered = if urgent { &mut self.urgent } else { &mut self.rest };
        while !Self::is_batch(out.load, batch)
            && let Some(message) = gathered.pop()
        {
            out.objects.extend(message.objects);
            out.load.add(message.load);
            if let Some((before, entries)) = message.ahead {
                let (from, sum) = out.ahead.unwrap_or((before, 0));
                out.ahead = Some((from.min(before), sum.saturating_add(entries)));
            }
            // Everything that someone waits for and that came before it was handed out before it.
            if !urgent {
                self.handed.raise(message.covers, message.upto);
            }
        }
        if self.rest.messages.is_empty() {
            self.handed = self.received;
        } else if self.urgent.messages.is_empty() {
            self.handed.raise(Lane::Interactive, self.received.highest());
        }
        out
    }

    /// Notes the import that was asked for. `roots`: it sets the store's cursor to the peer's epoch.
    pub(crate) fn importing(&mut self, ticket: Ticket, out: &Handout, roots: bool) {
        let Handout { urgent, load, ahead, .. } = *out;
        self.imports.push_back(Import { ticket, urgent, upto: self.handed, load, ahead, roots, done: false });
    }

    /// Whether what is handed out now may be stored before something that was handed out earlier.
    pub(crate) fn overtakes(&self, out: &Handout) -> bool {
        out.urgent && self.imports.iter().any(|import| !import.urgent && !import.done)
    }

    /// Whether the store's cursor is known to be of the peer's epoch. If it is not, what overtakes moves nothing:
    /// [`Incoming::lags`] says when it is to catch up.
    pub(crate) fn is_rooted(&mut self) -> bool {
        if !self.rooted {
            self.lags = self.handed.of(Lane::Interactive);
        }
        self.rooted
    }

    /// Whether the cursor that was given to the store stayed behind what is durable, and is known to be of the peer's epoch
    /// now. Once.
    pub(crate) fn lags(&mut self) -> bool {
        let lags = self.lags > 0 && self.rooted && self.durable.of(Lane::Interactive) >= self.lags;
        if lags {
            self.lags = 0;
        }
        lags
    }

    /// Whether `ticket` names an import under way.
    pub(crate) fn is_import(&self, ticket: Ticket) -> bool {
        self.imports.iter().any(|import| import.ticket == ticket && !import.done)
    }

    /// An import is durable. The cursor moves over the imports in their order, also where answers do not.
    pub(crate) fn imported(&mut self, ticket: Ticket) {
        if let Some(import) = self.imports.iter_mut().find(|import| import.ticket == ticket) {
            import.done = true;
            self.rooted |= import.roots;
        }
        while let Some(import) = self.imports.pop_front_if(|import| import.done) {
            self.durable = import.upto;
            part(&mut self.due, import.urgent).add(import.load);
            self.objects_durable = self.objects_durable.saturating_add(import.load.objects as u64);
            self.bytes_durable = self.bytes_durable.saturating_add(import.load.object_bytes as u64);
            if let Some((from, entries)) = import.ahead {
                self.ahead.add(from, entries);
            }
        }
    }

    /// Moves the cursor over entries that brought no object, once everything before them is durable. Whether it
    /// moved.
    pub(crate) fn advance(&mut self) -> bool {
        let moves = self.is_idle() && self.durable != self.received;
        if moves {
            self.durable = self.received;
            self.handed = self.received;
        }
        moves
    }

    /// What the acknowledgement that is being built says, of which lanes; the peer's credit returns with it. Another
    /// is due if lanes differ.
    pub(crate) fn acknowledge(&mut self) -> (Lane, u64) {
        let ahead = |lane: &Lane| self.durable.of(*lane) > self.acked.of(*lane);
        let lane = Lane::ALL.into_iter().rfind(ahead).unwrap_or(Lane::LAST);
        let upto = self.durable.of(lane);
        self.acknowledged(lane, upto);
        (lane, upto)
    }

    /// A claim is being built, which acknowledges, too.
    pub(crate) fn claiming(&mut self) {
        self.acknowledged(Lane::LAST, self.durable.whole());
    }

    fn acknowledged(&mut self, lane: Lane, upto: u64) {
        self.acked.raise(lane, upto);
        for (unacked, due) in self.unacked.iter_mut().zip(&mut self.due) {
            unacked.subtract(Load { objects: 0, ..*due });
            due.len = 0;
            due.object_bytes = 0;
            if self.acked == self.durable {
                unacked.objects = unacked.objects.saturating_sub(mem::take(&mut due.objects));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a message says that brings the entries up to `upto` of a lane.
    fn header(covers: Lane, urgent: bool, upto: u64, count: usize) -> ObjectsHeader {
        ObjectsHeader { label: Label { covers, urgent }, upto, head: 100, count }
    }

    fn some(count: usize) -> Vec<(Cid, Bytes)> {
        (0..count).map(|n| (Cid::of_chunk(&[n as u8]), Bytes::from_static(b"chunk"))).collect()
    }

    /// A message of `count` objects of 10 bytes comes.
    fn comes(incoming: &mut Incoming, covers: Lane, urgent: bool, upto: u64, count: usize) {
        let len = 20 + count * 10;
        incoming.took(header(covers, urgent, upto, count), some(count), len, count * 10).unwrap();
    }

    /// Hands out what is next; gives how many objects, and whether they overtake something.
    fn hand_out(incoming: &mut Incoming, config: &Config, ticket: u64, roots: bool) -> (usize, bool) {
        let out = incoming.next_import(config).unwrap();
        let overtakes = incoming.overtakes(&out);
        incoming.importing(Ticket(ticket), &out, roots);
        (out.objects.len(), overtakes)
    }

    fn begun(from: u64, rooted: bool) -> Incoming {
        let mut incoming = Incoming::default();
        incoming.begin(Positions::all(from), 100, rooted);
        incoming
    }

    #[test]
    fn what_came_is_counted_until_it_is_acknowledged() {
        let config = Config::default();
        let mut incoming = begun(7, true);
        assert_eq!((incoming.start(), incoming.head()), (7, 100));
        assert!(incoming.is_drained() && !incoming.ack_due());
        comes(&mut incoming, Lane::LAST, false, 9, 2);
        assert!(!incoming.is_drained() && !incoming.is_idle());
        assert_eq!(hand_out(&mut incoming, &config, 1, true), (2, false));
        assert!(!incoming.is_idle() && !incoming.advance());
        assert!(incoming.is_import(Ticket(1)) && !incoming.is_import(Ticket(2)));
        incoming.imported(Ticket(1));
        assert!(!incoming.is_import(Ticket(1)), "answered");
        assert!(incoming.is_idle() && incoming.ack_due() && !incoming.is_drained());
        assert_eq!(incoming.acknowledge(), (Lane::LAST, 9));
        assert!(incoming.is_drained() && !incoming.ack_due());
        assert_eq!(incoming.unacked.map(|load| (load.len, load.objects, load.object_bytes)), [(0, 0, 0); 2]);
    }

    #[test]
    fn the_last_byte_of_the_credit_may_be_used_and_no_more() {
        let urgent = Label { covers: Lane::LAST, urgent: true };
        let (bulk, all) = (credit(false).0, credit(true).0);
        let came = |len: usize, urgent: bool| {
            let mut incoming = begun(0, true);
            incoming.took(header(Lane::LAST, urgent, 1, 1), some(1), len, 5).unwrap();
            incoming
        };
        let mut incoming = came(bulk - 100, false);
        assert_eq!(incoming.has_credit(Label::default(), 100), Ok(()));
        assert_eq!(incoming.has_credit(Label::default(), 101), Err(ChumError::CreditExceeded));
        // One that someone waits for always goes, if no other is under way.
        assert_eq!(incoming.has_credit(urgent, all), Ok(()));
        let mut incoming = came(all - 100, true);
        assert_eq!(incoming.has_credit(urgent, 100), Ok(()));
        assert_eq!(incoming.has_credit(urgent, 101), Err(ChumError::CreditExceeded));
        assert_eq!(incoming.has_credit(Label::default(), all), Ok(()), "and one of the rest");
    }

    #[test]
    fn a_batch_takes_the_log_over_up_to_its_last_message() {
        let config = Config { batch_objects: 2, ..Config::default() };
        let mut incoming = begun(0, true);
        [(Lane::LAST, 3), (Lane::LAST, 5), (Lane::Objects, 8), (Lane::LAST, 6)]
            .into_iter()
            .for_each(|(covers, upto)| comes(&mut incoming, covers, false, upto, 2));
        let mut handed = Vec::new();
        for ticket in 0..4 {
            assert_eq!(hand_out(&mut incoming, &config, ticket, true).0, 2);
            handed.push(incoming.handed().to_array());
        }
        // Nothing that came is interactive, so nothing of that lane is waited for.
        assert_eq!(handed, [[8, 3, 3, 3], [8, 5, 5, 5], [8, 8, 5, 5], [8, 8, 6, 6]]);
        // Answers out of order move nothing before those that are missing.
        incoming.imported(Ticket(2));
        assert_eq!((incoming.durable(), incoming.done()), (Positions::all(0), 0));
        incoming.imported(Ticket(0));
        assert_eq!((incoming.durable().whole(), incoming.done()), (3, 3));
        incoming.imported(Ticket(1));
        assert_eq!((incoming.durable().to_array(), incoming.done()), ([8, 8, 5, 5], 5 + 2));
        assert_eq!((incoming.objects_durable, incoming.bytes_durable), (6, 60));
    }

    #[test]
    fn what_overtakes_is_waited_for_and_finds_something_under_way() {
        let config = Config::default();
        let mut incoming = begun(0, true);
        comes(&mut incoming, Lane::Interactive, true, 3, 1);
        assert_eq!(hand_out(&mut incoming, &config, 1, true), (1, false), "nothing is under way");
        comes(&mut incoming, Lane::Interactive, true, 4, 1);
        assert_eq!(hand_out(&mut incoming, &config, 2, true), (1, false), "only others that are waited for");
        comes(&mut incoming, Lane::LAST, false, 2, 1);
        assert_eq!(hand_out(&mut incoming, &config, 3, true), (1, false));
        comes(&mut incoming, Lane::Interactive, true, 5, 1);
        assert_eq!(hand_out(&mut incoming, &config, 4, true), (1, true));
        incoming.imported(Ticket(3));
        comes(&mut incoming, Lane::Interactive, true, 6, 1);
        assert_eq!(hand_out(&mut incoming, &config, 5, true), (1, false), "it is durable");
    }

    #[test]
    fn a_cursor_that_stayed_behind_catches_up_once() {
        let config = Config::default();
        let mut incoming = begun(0, false);
        assert!(!incoming.lags());
        comes(&mut incoming, Lane::LAST, false, 2, 1);
        hand_out(&mut incoming, &config, 1, true);
        comes(&mut incoming, Lane::Interactive, true, 9, 1);
        hand_out(&mut incoming, &config, 2, false);
        assert!(!incoming.is_rooted() && !incoming.lags());
        incoming.imported(Ticket(1));
        assert!(incoming.rooted && !incoming.lags(), "the one that overtook is not durable");
        incoming.imported(Ticket(2));
        assert!(incoming.lags() && !incoming.lags());
        // With a cursor that counts nothing ever lags.
        let mut incoming = begun(0, true);
        assert!(incoming.is_rooted());
        comes(&mut incoming, Lane::Interactive, true, 9, 1);
        hand_out(&mut incoming, &config, 1, true);
        incoming.imported(Ticket(1));
        assert!(!incoming.lags());
    }

    /// Bytes come back with each acknowledgement, objects with the last one that is due: as long as lanes differ another
    /// follows.
    #[test]
    fn an_acknowledgement_of_one_lane_returns_bytes_and_then_objects() {
        let config = Config::default();
        let mut incoming = begun(0, true);
        comes(&mut incoming, Lane::LAST, false, 2, 3);
        comes(&mut incoming, Lane::Interactive, true, 9, 1);
        hand_out(&mut incoming, &config, 1, true);
        hand_out(&mut incoming, &config, 2, true);
        incoming.imported(Ticket(1));
        incoming.imported(Ticket(2));
        let objects = |incoming: &Incoming| incoming.unacked.map(|load| (load.len, load.objects));
        assert_eq!(objects(&incoming), [(30, 1), (50, 3)]);
        assert_eq!(incoming.acknowledge(), (Lane::LAST, 2));
        assert_eq!(objects(&incoming), [(0, 1), (0, 3)], "another acknowledgement is due");
        assert!(incoming.ack_due());
        assert_eq!(incoming.acknowledge(), (Lane::Interactive, 9));
        assert_eq!(objects(&incoming), [(0, 0); 2]);
    }
}
