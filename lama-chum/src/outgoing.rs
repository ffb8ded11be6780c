//! The sending half: pages read ahead from the view log, packed into messages, bounded by what is unacknowledged.
//!
//! Each [`Lane`] has a queue of its own. An entry leaves when nothing of the lanes before its own is left up to its
//! number, which keeps what an object links to before the object; among those that may leave, the first lane goes
//! first.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use lama_core::Ticket;
use lama_identity::Cid;

use crate::found::Found;
use crate::lane::{Ahead, LANES, Lane, Lanes, Positions};
use crate::wire::{self, Label, MAX_GONE, MAX_MESSAGE, OBJECTS_HEADER, ObjectsWriter, framed_len, gone_len};
use crate::{ChumError, Config, Entry, MAX_OBJECT};

/// One message that is not acknowledged.
#[derive(Debug, Clone, Copy)]
struct Flight {
    /// Everything of its lane up to here was sent before it.
    from: u64,
    upto: u64,
    /// Bytes of the message: what the credit counts.
    len: usize,
    objects: usize,
    object_bytes: usize,
}

/// One lane of our log.
#[derive(Debug, Default)]
struct Queue {
    /// Entries read and not sent, in log order.
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The log has been looked at up to here.
    scanned: u64,
    /// Everything up to here was sent, or needs no sending.
    sent: u64,
    flight: VecDeque<Flight>,
    flight_bytes: usize,
    flight_objects: usize,
}

impl Queue {
    /// Nothing waits to be sent: everything looked at is dealt with.
    fn settle(&mut self) {
        if self.entries.is_empty() {
            self.sent = self.scanned;
        }
    }

    /// Takes an entry to be sent, after those that wait.
    fn push(&mut self, entry: Entry) {
        self.bytes = self.bytes.saturating_add(entry.object.len());
        self.entries.push_back(entry);
    }

    /// Gives the next entry, which is being sent.
    fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.bytes = self.bytes.saturating_sub(entry.object.len());
        self.sent = entry.seq;
        Some(entry)
    }
}

/// A scan that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) after: u64,
    pub(crate) lanes: Lanes,
    pub(crate) whole: bool,
}

/// A scan or a fetch that is under way.
#[derive(Debug)]
struct Scan {
    ticket: Ticket,
    after: u64,
    lanes: Lanes,
}

/// The sending half of the machine.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    lanes: [Queue; LANES],
    /// Where the session's sending began: what lies below, the peer has.
    start: u64,
    /// How far the peer holds our log durably.
    acked: Positions,
    /// How far the peer knows our log to be dealt with.
    told: Positions,
    /// Sequence number of the last object that was sent, in the order of the log.
    last_object: u64,
    scan: Option<Scan>,
    /// What came from the peer is sent, too, up to here: the peer has lost it.
    whole_upto: u64,
    /// Nothing is read or sent: what the peer lacks is being found out.
    held: bool,
    /// What reconciliation found, sent with positions of its own; the log is scanned from the end of its snapshot on.
    found: Found,
    /// What is acknowledged beyond [`Outgoing::settled`].
    ahead: Ahead,
    /// Objects ever sent, and what of them is acknowledged.
    pub(crate) objects_sent: u64,
    pub(crate) objects_acked: u64,
    pub(crate) bytes_acked: u64,
}

impl Outgoing {
    /// Begins after `from`; what came from the peer is sent, too, up to `whole_upto`.
    pub(crate) fn begin(&mut self, from: Positions, whole_upto: u64) {
        for (queue, from) in self.lanes.iter_mut().zip(from.to_array()) {
            queue.scanned = from;
            queue.sent = from;
        }
        self.start = from.whole();
        self.acked = from;
        self.told = from;
        self.last_object = from.whole();
        self.ahead = Ahead::default();
        self.whole_upto = whole_upto;
        self.found = Found::default();
    }

    /// Begins with what reconciliation is going to find.
    pub(crate) fn begin_round(&mut self) {
        self.begin(Positions::all(0), 0);
        self.found = Found::begin();
    }

    /// Stops reading and sending. What was read and not sent will be read again.
    pub(crate) fn hold(&mut self) {
        self.held = true;
        for queue in &mut self.lanes {
            queue.entries.clear();
            queue.bytes = 0;
        }
        self.found = Found::default();
    }

    /// Whether nothing is being read, and everything that was sent is acknowledged.
    pub(crate) fn is_drained(&self) -> bool {
        self.scan.is_none() && self.lanes.iter().all(|queue| queue.flight.is_empty())
    }

    /// Sends these entries, as far as they link to nothing.
    pub(crate) fn found_some(&mut self, seqs: Vec<u64>) {
        self.found.some(seqs);
    }

    /// Sends these entries, as far as they were not sent yet, then the log after `upto`.
    pub(crate) fn found_all(&mut self, seqs: Vec<u64>, upto: u64) {
        self.held = false;
        self.found.all(seqs, upto);
        self.looked_at(Lanes::ALL, self.found.looked_at());
    }

    /// The entries to fetch next, if any.
    pub(crate) fn next_fetch(&mut self, config: &Config) -> Option<Vec<u64>> {
        let room = self.lanes.iter().all(|queue| queue.bytes < config.page_bytes);
        if room && self.scan.is_none() { self.found.next_fetch() } else { None }
    }

    /// Where the session's sending began.
    pub(crate) const fn start(&self) -> u64 {
        self.start
    }

    /// How far everything was sent, or needed no sending. A lane counts no further than those before it.
    pub(crate) fn sent(&self) -> Positions {
        Positions::limited(self.lanes.each_ref().map(|queue| queue.sent))
    }

    /// How many entries from the start of our log on are dealt with: durable at the peer, or in need of no sending.
    pub(crate) fn done(&mut self) -> u64 {
        let settled =
            self.lanes.iter().map(|queue| queue.flight.front().map_or(queue.sent, |flight| flight.from));
        let settled = settled.min().unwrap_or_default();
        self.ahead.done(settled)
    }

    /// How far the peer knows our log to be dealt with.
    pub(crate) const fn told(&self) -> Positions {
        self.told
    }

    /// Whether the peer knows of some lanes that they are further than others: though nothing is left, its cursor would
    /// stay so.
    pub(crate) fn is_told_unevenly(&self) -> bool {
        self.told != Positions::all(self.told.whole())
    }

    /// The peer is told that nothing is left up to there.
    pub(crate) const fn claiming(&mut self, upto: u64) {
        self.told = Positions::all(upto);
    }

    /// Sequence number of the last object that was sent; where the session began if none was.
    pub(crate) const fn last_object(&self) -> u64 {
        self.last_object
    }

    /// Whether there is no object to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.iter().all(|queue| queue.entries.is_empty())
    }

    /// The next scan, if one is wanted in a log that ends at `head`. One page is read while the page before it is
    /// being sent. The first lane that has room is looked after, and those behind it as far as they stand at the
    /// same place: as long as nothing is overtaken that is one scan for all.
    pub(crate) fn next_scan(&self, head: u64, config: &Config) -> Option<Wanted> {
        if self.scan.is_some() || self.held || !self.found.is_read() {
            return None;
        }
        let room = |queue: &Queue| queue.scanned < head && queue.bytes < config.page_bytes;
        let lanes = || self.lanes.iter().zip(Lane::ALL).skip_while(|(queue, _)| !room(queue));
        let after = lanes().next()?.0.scanned;
        let together = lanes().take_while(|(queue, _)| room(queue) && queue.scanned == after);
        let lanes = together.fold(Lanes::NONE, |lanes, (_, lane)| lanes.with(lane));
        Some(Wanted { after, lanes, whole: after < self.whole_upto })
    }

    /// Notes the scan that was asked for.
    pub(crate) fn scanning(&mut self, ticket: Ticket, wanted: Wanted) {
        self.scan = Some(Scan { ticket, after: wanted.after, lanes: wanted.lanes });
    }

    /// Notes the fetch that was asked for.
    pub(crate) fn fetching(&mut self, ticket: Ticket) {
        // Where lanes stand at different places, what one of them has is among what is fetched, and passed over.
        let after = self.lanes.iter().map(|queue| queue.scanned).min().unwrap_or(0);
        self.scan = Some(Scan { ticket, after, lanes: Lanes::ALL });
    }

    /// Whether `ticket` names the scan under way.
    pub(crate) fn is_scan(&self, ticket: Ticket) -> bool {
        self.scan.as_ref().is_some_and(|scan| scan.ticket == ticket)
    }

    /// Takes a page of a log that ends at `head`.
    pub(crate) fn page(&mut self, entries: Vec<Entry>, next: u64, head: u64) -> Result<(), ChumError> {
        let Some(Scan { after, lanes, .. }) = self.scan.take() else { return Err(ChumError::PageOutOfOrder) };
        if self.found.is_fetching() {
            return self.fetched(entries, next);
        }
        if self.held {
            return Ok(());
        }
        // No way forward though the log goes on: the next scan would be the same one again, for ever.
        if next < after || (next == after && after < head) || next > head {
            return Err(ChumError::PageOutOfOrder);
        }
        let mut last = after;
        for entry in entries {
            if entry.seq <= last || entry.seq > next || !lanes.contains(entry.lane) {
                return Err(ChumError::PageOutOfOrder);
            }
            last = entry.seq;
            // What was appended by an import since the scan began is known to the peer by now (see `skip`).
            if entry.source_is_peer
                && (entry.seq > self.whole_upto || (entry.object.is_empty() && !entry.gone))
            {
                continue;
            }
            self.queue(entry)?;
        }
        self.looked_at(lanes, next);
        Ok(())
    }

    /// Puts an entry into its lane, unless that was looked at so far meanwhile.
    fn queue(&mut self, entry: Entry) -> Result<(), ChumError> {
        let sendable = !entry.object.is_empty() && entry.object.len() <= MAX_OBJECT;
        if !sendable && !entry.gone {
            return Err(ChumError::ObjectUnsendable);
        }
        let object = if entry.gone { Bytes::new() } else { entry.object };
        if let Some(queue) = self.lanes.get_mut(entry.lane.index()).filter(|queue| entry.seq > queue.scanned)
        {
            queue.push(Entry { object, ..entry });
        }
        Ok(())
    }

    /// The log was looked at for some lanes.
    fn looked_at(&mut self, lanes: Lanes, upto: u64) {
        for (queue, _) in self.lanes.iter_mut().zip(Lane::ALL).filter(|(_, lane)| lanes.contains(*lane)) {
            queue.scanned = upto.max(queue.scanned);
            queue.settle();
        }
    }

    /// Takes entries that reconciliation found, up to `next`.
    fn fetched(&mut self, entries: Vec<Entry>, next: u64) -> Result<(), ChumError> {
        for entry in self.found.fetched(entries, next)? {
            self.queue(entry)?;
        }
        self.looked_at(Lanes::ALL, self.found.looked_at());
        Ok(())
    }

    /// The entries after `before` up to `head` came from the peer just now: nothing to read there, if everything
    /// before them was read.
    pub(crate) fn skip(&mut self, before: u64, head: u64) {
        for queue in &mut self.lanes {
            if !self.held && before <= queue.scanned && queue.scanned < head {
                queue.scanned = head;
                queue.settle();
            }
        }
    }

    /// The last entry that waits and was written by others.
    pub(crate) fn last_relayed(&self) -> Option<u64> {
        let queue = self.lanes.get(Lane::Relayed.index()).filter(|_| !self.held)?;
        queue.entries.back().map(|entry| entry.seq)
    }

    /// The peer has what others wrote up to here.
    pub(crate) fn known(&mut self, upto: u64) {
        let Some(queue) = self.lanes.get_mut(Lane::Relayed.index()).filter(|_| !self.held) else { return };
        let Queue { entries, bytes, .. } = queue;
        entries.retain(|entry| {
            let keep = entry.gone || entry.again || entry.seq > upto;
            *bytes -= if keep { 0 } else { entry.object.len() };
            keep
        });
        queue.settle();
    }

    /// Writes one message if there is an object to send and credit for it. What others wrote is sent up to `released`.
    pub(crate) fn write(&mut self, head: u64, released: u64, config: &Config, out: &mut BytesMut) -> bool {
        // Up to here nothing of the lanes before is left.
        let mut limit = u64::MAX;
        for lane in Lane::ALL {
            let Some(queue) = self.lanes.get(lane.index()) else { break };
            // That something is gone is told at once.
            if lane == Lane::Relayed && queue.entries.front().is_some_and(|first| !first.gone) {
                limit = limit.min(released);
            }
            if let Some(first) = queue.entries.front().filter(|first| first.seq <= limit) {
                // Without credit the lanes behind wait, too: what is small would overtake for ever.
                return match first.gone {
                    true => self.write_gone(lane, limit, head, config, out),
                    false => self.write_objects(lane, limit, head, config, out),
                };
            }
            limit = limit.min(queue.sent);
        }
        false
    }

    fn write_objects(
        &mut self,
        lane: Lane,
        limit: u64,
        head: u64,
        config: &Config,
        out: &mut BytesMut,
    ) -> bool {
        let credit = self.credit(lane, config);
        let Some(queue) = self.lanes.get_mut(lane.index()) else { return false };
        let Some(first) = queue.entries.front() else { return false };
        if !credit.allows(OBJECTS_HEADER + framed_len(first.object.len()), 1) {
            return false;
        }
        let from = queue.sent;
        out.reserve(config.room.min(queue.bytes.saturating_add(OBJECTS_HEADER)));
        let mut writer = ObjectsWriter::begin(out);
        let mut object_bytes = 0_usize;
        while let Some(entry) = queue.entries.front().filter(|entry| !entry.gone && entry.seq <= limit) {
            let len = writer.written().saturating_add(framed_len(entry.object.len()));
            let objects = usize::from(writer.count()).saturating_add(1);
            // The first object always goes: it has a message of its own if it is larger than the room.
            let fits = len <= config.room && objects <= usize::from(u16::MAX) && credit.has(len, objects);
            if !(objects == 1 || fits) {
                break;
            }
            let Some(entry) = queue.pop() else { break };
            writer.push(entry.id.codec(), &entry.object);
            object_bytes = object_bytes.saturating_add(entry.object.len());
        }
        let objects = usize::from(writer.count());
        let (label, upto) = self.label(lane);
        let len = writer.finish(label, upto, head);
        debug_assert!(len <= MAX_MESSAGE, "one object never takes more");
        self.fly(lane, Flight { from, upto, len, objects, object_bytes });
        true
    }

    /// Writes one GONE with the tombstones at the front of a lane.
    fn write_gone(&mut self, lane: Lane, limit: u64, head: u64, config: &Config, out: &mut BytesMut) -> bool {
        let credit = self.credit(lane, config);
        let Some(queue) = self.lanes.get_mut(lane.index()) else { return false };
        let from = queue.sent;
        let fits = |count: &usize| {
            let len = gone_len(*count);
            (len <= config.room && credit.has(len, *count)) || (*count == 1 && credit.allows(len, 1))
        };
        let waiting = queue.entries.iter().take_while(|entry| entry.gone && entry.seq <= limit);
        let waiting = waiting.count().min(MAX_GONE);
        let count = (1..=waiting).take_while(fits).last().unwrap_or(0);
        if count == 0 {
            return false;
        }
        let ids: Vec<Cid> = core::iter::from_fn(|| queue.pop()).take(count).map(|entry| entry.id).collect();
        let (label, upto) = self.label(lane);
        let len = wire::write_gone(label, upto, head, ids.into_iter(), out);
        self.fly(lane, Flight { from, upto, len, objects: count, object_bytes: 0 });
        true
    }

    /// What a message says that has just taken entries from a lane: its label, and up to where the lane is sent now.
    /// All lanes move of which nothing is left up to there.
    fn label(&mut self, lane: Lane) -> (Label, u64) {
        if let Some(queue) = self.lanes.get_mut(lane.index()) {
            self.last_object = self.last_object.max(queue.sent);
            queue.settle();
        }
        let sent = self.sent();
        let upto = sent.of(lane);
        let covers = Lane::ALL.into_iter().rfind(|lane| sent.of(*lane) == upto).unwrap_or(lane);
        self.told.raise(covers, upto);
        (Label { covers, urgent: lane == Lane::Interactive }, upto)
    }

    /// A message is under way.
    fn fly(&mut self, lane: Lane, flight: Flight) {
        self.objects_sent = self.objects_sent.saturating_add(flight.objects as u64);
        if let Some(queue) = self.lanes.get_mut(lane.index()) {
            queue.flight_bytes = queue.flight_bytes.saturating_add(flight.len);
            queue.flight_objects = queue.flight_objects.saturating_add(flight.objects);
            queue.flight.push_back(flight);
        }
    }

    /// What may be sent of a lane.
    fn credit(&self, lane: Lane, config: &Config) -> Credit {
        let urgent = lane == Lane::Interactive;
        let (max_bytes, max_objects) = config.credit(urgent);
        let mut own =
            self.lanes.iter().zip(Lane::ALL).filter(|(_, other)| urgent == (*other == Lane::Interactive));
        Credit {
            idle: own.all(|(queue, _)| queue.flight.is_empty()),
            bytes: max_bytes.saturating_sub(self.lanes.iter().map(|queue| queue.flight_bytes).sum()),
            objects: max_objects.saturating_sub(self.lanes.iter().map(|queue| queue.flight_objects).sum()),
        }
    }

    /// The peer holds everything up to `upto` durably, of this lane and of those before it. Whether that is news.
    pub(crate) fn acknowledged(&mut self, covers: Lane, upto: u64) -> Result<bool, ChumError> {
        if upto > self.sent().of(covers) {
            return Err(ChumError::AckBeyondSent);
        }
        if upto < self.acked.of(covers) {
            return Err(ChumError::AckWentBack);
        }
        let before = self.acked;
        self.acked.raise(covers, upto);
        for (queue, upto) in self.lanes.iter_mut().zip(self.acked.to_array()) {
            while let Some(flight) = queue.flight.pop_front_if(|flight| flight.upto <= upto) {
                queue.flight_bytes = queue.flight_bytes.saturating_sub(flight.len);
                queue.flight_objects = queue.flight_objects.saturating_sub(flight.objects);
                self.objects_acked = self.objects_acked.saturating_add(flight.objects as u64);
                self.bytes_acked = self.bytes_acked.saturating_add(flight.object_bytes as u64);
                self.ahead.add(flight.from, flight.objects as u64);
            }
        }
        // Of what was found, a position says nothing of the log before all of it is there.
        Ok(self.acked != before && self.found.is_of_log(self.acked.whole()))
    }

    /// How far the peer holds our log durably.
    pub(crate) const fn acked(&self) -> Positions {
        self.acked
    }
}

/// What may still be sent unacknowledged.
#[derive(Debug, Clone, Copy)]
struct Credit {
    /// Nothing of the kind is under way: one message may always be.
    idle: bool,
    bytes: usize,
    objects: usize,
}

impl Credit {
    const fn has(self, len: usize, objects: usize) -> bool {
        len <= self.bytes && objects <= self.objects
    }

    const fn allows(self, len: usize, objects: usize) -> bool {
        self.idle || self.has(len, objects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64, lane: Lane, len: usize) -> Entry {
        let object = Bytes::from(alloc::vec![seq as u8; len]);
        let id = Cid::of_chunk(&seq.to_be_bytes());
        Entry { seq, id, lane, source_is_peer: false, again: false, gone: false, object }
    }

    fn bulk(seq: u64) -> Entry {
        entry(seq, Lane::Objects, 100)
    }

    /// Reads a log that ends at `head`: a page up to `next`, after what was looked at.
    fn read(outgoing: &mut Outgoing, entries: Vec<Entry>, next: u64, head: u64) -> Result<(), ChumError> {
        let wanted = outgoing.next_scan(head, &Config::default()).unwrap();
        outgoing.scanning(Ticket(1), wanted);
        outgoing.page(entries, next, head)
    }

    fn begun(from: u64, whole_upto: u64) -> Outgoing {
        let mut outgoing = Outgoing::default();
        outgoing.begin(Positions::all(from), whole_upto);
        outgoing
    }

    /// What waits: the lane and number of each entry.
    fn waiting(outgoing: &Outgoing) -> Vec<u64> {
        outgoing.lanes.iter().flat_map(|queue| queue.entries.iter().map(|entry| entry.seq)).collect()
    }

    /// The next message; gives its type and where it moves the log to.
    fn write(outgoing: &mut Outgoing, config: &Config) -> Option<(u8, usize, Positions)> {
        let mut out = BytesMut::new();
        let written = outgoing.write(100, u64::MAX, config, &mut out);
        written.then(|| (Label::read(out[0]).unwrap().0, out.len(), outgoing.told()))
    }

    #[test]
    fn a_page_is_read_while_there_is_room_and_more_of_the_log() {
        let config = Config { page_bytes: 300, ..Config::default() };
        let mut outgoing = begun(5, 7);
        assert_eq!((outgoing.start(), outgoing.last_object(), outgoing.is_empty()), (5, 5, true));
        assert_eq!(outgoing.next_scan(5, &config), None, "that is all");
        let all = Wanted { after: 5, lanes: Lanes::ALL, whole: true };
        assert_eq!(outgoing.next_scan(9, &config), Some(all));
        outgoing.scanning(Ticket(7), all);
        assert!(outgoing.is_scan(Ticket(7)) && !outgoing.is_drained());
        assert_eq!(outgoing.next_scan(9, &config), None, "one at a time");
        outgoing.page(alloc::vec![bulk(6), bulk(7)], 7, 9).unwrap();
        assert!(!outgoing.is_empty());
        let wanted = Wanted { after: 7, whole: false, ..all };
        assert_eq!(outgoing.next_scan(9, &config), Some(wanted));
        outgoing.scanning(Ticket(8), wanted);
        outgoing.page(alloc::vec![bulk(8)], 8, 9).unwrap();
        // Its lane is full; those behind it go on, and those before it.
        let wanted = outgoing.next_scan(9, &config).unwrap();
        assert_eq!((wanted.after, wanted.lanes), (8, Lanes::NONE.with(Lane::Interactive)));
        assert_eq!(write(&mut outgoing, &config).unwrap().0, wire::OBJECTS);
        assert_eq!(outgoing.next_scan(9, &config), Some(Wanted { after: 8, ..wanted_of_all() }));
    }

    fn wanted_of_all() -> Wanted {
        Wanted { after: 0, lanes: Lanes::ALL, whole: false }
    }

    #[test]
    fn a_page_that_leads_back_beyond_the_log_or_nowhere_is_misuse() {
        for (next, head, good) in
            [(4, 9, false), (5, 9, false), (6, 9, true), (9, 9, true), (10, 9, false), (5, 5, true)]
        {
            let mut outgoing = begun(5, 0);
            outgoing.scanning(Ticket(1), Wanted { after: 5, ..wanted_of_all() });
            let read = outgoing.page(Vec::new(), next, head);
            assert_eq!(read, if good { Ok(()) } else { Err(ChumError::PageOutOfOrder) }, "{next} of {head}");
        }
        assert_eq!(begun(5, 0).page(Vec::new(), 6, 9), Err(ChumError::PageOutOfOrder), "nobody asked");
    }

    #[test]
    fn what_came_from_the_peer_goes_back_where_it_has_lost_it() {
        let theirs = |seq| Entry { source_is_peer: true, ..bulk(seq) };
        let mut outgoing = begun(0, 5);
        let page = alloc::vec![
            theirs(1),
            Entry { object: Bytes::new(), ..theirs(2) },
            Entry { object: Bytes::new(), gone: true, ..theirs(3) },
            bulk(4),
            theirs(5),
            theirs(6),
            bulk(7),
        ];
        read(&mut outgoing, page, 9, 9).unwrap();
        assert_eq!(waiting(&outgoing), [1, 3, 4, 5, 7]);
    }

    #[test]
    fn what_is_found_is_fetched_while_nothing_is_read_and_there_is_room() {
        let config = Config { page_bytes: 100, ..Config::default() };
        let found = |page: Vec<Entry>| {
            let mut outgoing = begun(0, 0);
            read(&mut outgoing, page, 1, 9).unwrap();
            outgoing.found.some(alloc::vec![5, 7]);
            outgoing
        };
        assert_eq!(found(alloc::vec![bulk(1)]).next_fetch(&config), None, "its lane is full");
        let mut outgoing = found(Vec::new());
        outgoing.scanning(Ticket(1), wanted_of_all());
        assert_eq!(outgoing.next_fetch(&config), None, "the log is being read");
        assert_eq!(found(Vec::new()).next_fetch(&config), Some(alloc::vec![5, 7]));
    }

    #[test]
    fn what_a_lane_has_behind_it_is_not_queued_again() {
        let mut outgoing = Outgoing::default();
        outgoing.begin(Positions::new([8, 5, 5, 5]).unwrap(), 0);
        let mixed = [(8, Lane::Interactive), (9, Lane::Interactive), (5, Lane::Objects), (6, Lane::Objects)];
        for (seq, lane) in mixed {
            outgoing.queue(entry(seq, lane, 10)).unwrap();
        }
        assert_eq!(waiting(&outgoing), [9, 6]);
    }

    #[test]
    fn the_largest_object_may_be_sent_and_none_beyond_it() {
        let mut outgoing = begun(0, 0);
        read(&mut outgoing, alloc::vec![entry(1, Lane::Blobs, MAX_OBJECT)], 1, 3).unwrap();
        for len in [0, MAX_OBJECT + 1] {
            let page = alloc::vec![entry(2, Lane::Blobs, len)];
            assert_eq!(read(&mut outgoing, page, 2, 3), Err(ChumError::ObjectUnsendable));
        }
    }

    #[test]
    fn what_an_import_appended_is_not_read() {
        let scanned = |before, head, at: u64, held: bool| {
            let mut outgoing = begun(at, 0);
            if held {
                outgoing.hold();
            }
            outgoing.skip(before, head);
            (outgoing.sent(), outgoing.lanes[0].scanned)
        };
        let all = Positions::all;
        assert_eq!(scanned(5, 8, 5, false), (all(8), 8));
        assert_eq!(scanned(4, 8, 5, false), (all(8), 8), "read up to within it");
        assert_eq!(scanned(6, 8, 5, false), (all(5), 5), "something before it is still to be read");
        assert_eq!(scanned(5, 8, 9, false), (all(9), 9), "never back");
        assert_eq!(scanned(5, 8, 5, true), (all(5), 5), "a round finds out what is to be read");
        // What waits is still to be sent.
        let mut outgoing = begun(0, 0);
        read(&mut outgoing, alloc::vec![bulk(1)], 2, 2).unwrap();
        outgoing.skip(2, 4);
        assert_eq!(outgoing.sent().to_array(), [4, 0, 0, 0]);
        assert_eq!(write(&mut outgoing, &Config::default()).unwrap().2, all(4));
    }

    #[test]
    fn what_others_wrote_and_the_peer_has_is_not_sent() {
        let relayed = |seq| entry(seq, Lane::Relayed, 100);
        let mut outgoing = begun(0, 0);
        let gone = Entry { gone: true, object: Bytes::new(), ..relayed(2) };
        let again = Entry { again: true, ..relayed(3) };
        let page = alloc::vec![relayed(1), gone, again, relayed(4), relayed(5)];
        read(&mut outgoing, page, 6, 6).unwrap();
        assert_eq!(outgoing.last_relayed(), Some(5));
        assert_eq!(outgoing.lanes[3].bytes, 400);
        outgoing.known(4);
        assert_eq!((waiting(&outgoing), outgoing.lanes[3].bytes), (alloc::vec![2, 3, 5], 200));
        let mut outgoing = begun(0, 0);
        read(&mut outgoing, alloc::vec![relayed(1), relayed(4)], 6, 6).unwrap();
        outgoing.known(4);
        assert_eq!((outgoing.sent(), outgoing.last_relayed()), (Positions::all(6), None));
    }

    #[test]
    fn tombstones_fill_a_message_and_no_more() {
        let gone = |seq| Entry { gone: true, ..entry(seq, Lane::Objects, 0) };
        let config = Config { room: gone_len(30) + 32, ..Config::default() };
        let mut outgoing = begun(0, 0);
        let page: Vec<Entry> = (1..=40).map(gone).chain([bulk(41)]).chain([gone(42)]).collect();
        read(&mut outgoing, page, 42, 42).unwrap();
        let objects = OBJECTS_HEADER + framed_len(100);
        for (kind, len, upto, sent) in [
            (wire::GONE, gone_len(30), 30, 30),
            (wire::GONE, gone_len(10), 40, 40),
            (wire::OBJECTS, objects, 41, 41),
            (wire::GONE, gone_len(1), 42, 42),
        ] {
            let (written, length, told) = write(&mut outgoing, &config).unwrap();
            assert_eq!((written, length, told.of(Lane::Objects)), (kind, len, upto));
            assert_eq!(outgoing.objects_sent, sent);
        }
        assert_eq!(write(&mut outgoing, &config), None);
        assert_eq!((outgoing.last_object(), outgoing.told()), (42, Positions::all(42)));
        assert!(!outgoing.is_told_unevenly() && !outgoing.is_drained());
    }

    #[test]
    fn credit_bounds_objects_and_bytes_of_all_lanes_and_one_message_always_goes() {
        let config = Config { send_bytes: 2_000, send_objects: 12, ..Config::default() };
        let mut outgoing = begun(0, 0);
        let page = (1..=20).map(|seq| entry(seq, Lane::Objects, 10)).collect();
        read(&mut outgoing, page, 20, 20).unwrap();
        // A quarter of the objects is kept for what someone waits for.
        assert_eq!(write(&mut outgoing, &config).unwrap().2.of(Lane::Objects), 9);
        assert_eq!((write(&mut outgoing, &config), outgoing.objects_sent), (None, 9));
        let page = alloc::vec![entry(21, Lane::Interactive, 10)];
        read(&mut outgoing, page, 21, 21).unwrap();
        assert_eq!(write(&mut outgoing, &config).unwrap().2.to_array(), [21, 9, 9, 9]);
        assert!(outgoing.is_told_unevenly());
        assert_eq!(outgoing.acknowledged(Lane::Interactive, 22), Err(ChumError::AckBeyondSent));
        assert_eq!(outgoing.acknowledged(Lane::Interactive, 21), Ok(true));
        assert_eq!((outgoing.done(), outgoing.objects_acked, outgoing.bytes_acked), (1, 1, 10));
        assert_eq!(outgoing.acknowledged(Lane::Interactive, 21), Ok(false), "no news");
        assert_eq!(outgoing.acknowledged(Lane::Interactive, 20), Err(ChumError::AckWentBack));
        assert_eq!(outgoing.acknowledged(Lane::LAST, 9), Ok(true));
        assert_eq!((outgoing.done(), outgoing.acked().to_array()), (10, [21, 9, 9, 9]));
        assert_eq!(write(&mut outgoing, &config).unwrap().2.of(Lane::Objects), 18);
        // Bytes: three quarters of them, or one message that is larger.
        let config = Config { send_bytes: 2_000, room: 1_100, ..Config::default() };
        let mut outgoing = begun(0, 0);
        let page = (1..=4).map(|seq| entry(seq, Lane::Objects, 500)).chain([entry(5, Lane::Objects, 1_900)]);
        read(&mut outgoing, page.collect(), 5, 5).unwrap();
        let told = core::iter::from_fn(|| write(&mut outgoing, &config)).map(|(.., told)| told.whole());
        assert_eq!(told.collect::<Vec<_>>(), [2], "another one would make it 2,000 and more");
        outgoing.acknowledged(Lane::LAST, 2).unwrap();
        let told = core::iter::from_fn(|| write(&mut outgoing, &config)).map(|(.., told)| told.whole());
        assert_eq!(told.collect::<Vec<_>>(), [4]);
        outgoing.acknowledged(Lane::LAST, 4).unwrap();
        assert_eq!(write(&mut outgoing, &config).unwrap().2, Positions::all(5));
    }
}
