//! The sending half: pages read ahead from the view log, packed into messages, bounded by what is unacknowledged.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use lama_core::Ticket;
use lama_identity::Cid;

use crate::wire::{self, MAX_GONE, MAX_MESSAGE, OBJECTS_HEADER, ObjectsWriter, framed_len, gone_len};
use crate::{ChumError, Config, Entry, MAX_OBJECT};

/// Entries asked for in one fetch, at most.
const FETCH: usize = 1_024;

/// One OBJECTS message that is not acknowledged.
#[derive(Debug, Clone, Copy)]
struct Flight {
    /// Everything up to here was sent before it.
    from: u64,
    upto: u64,
    /// Bytes of the message: what the credit counts.
    len: usize,
    objects: usize,
    object_bytes: usize,
}

/// The sending half of the machine.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// Objects read and not sent, in log order.
    queue: VecDeque<Entry>,
    queue_bytes: usize,
    /// Where the session's sending began: what lies below, the peer has.
    start: u64,
    /// The log has been looked at up to here.
    scanned: u64,
    /// Everything up to here was sent, or needs no sending.
    sent: u64,
    /// The peer holds everything up to here durably.
    acked: u64,
    /// Sequence number of the last object that was sent.
    last_object: u64,
    /// The scan under way, and where it began.
    scan: Option<(Ticket, u64)>,
    /// What came from the peer is sent, too, up to here: the peer has lost it.
    whole_upto: u64,
    /// Nothing is read or sent: what the peer lacks is being found out.
    held: bool,
    /// Entries to send that reconciliation found, and the end of their snapshot: what follows it is scanned.
    picks: VecDeque<u64>,
    picks_upto: u64,
    flight: VecDeque<Flight>,
    flight_bytes: usize,
    flight_objects: usize,
    /// Objects ever sent, and what of them is acknowledged.
    pub(crate) objects_sent: u64,
    pub(crate) objects_acked: u64,
    pub(crate) bytes_acked: u64,
}

impl Outgoing {
    /// Begins after `from`; what came from the peer is sent, too, up to `whole_upto`.
    pub(crate) fn begin(&mut self, from: u64, whole_upto: u64) {
        self.start = from;
        self.scanned = from;
        self.sent = from;
        self.acked = from;
        self.last_object = from;
        self.whole_upto = whole_upto;
    }

    /// Stops reading and sending. What was read and not sent will be read again.
    pub(crate) fn hold(&mut self) {
        self.held = true;
        self.queue.clear();
        self.queue_bytes = 0;
        self.picks.clear();
    }

    /// Whether nothing is being read, and everything that was sent is acknowledged.
    pub(crate) fn is_drained(&self) -> bool {
        self.scan.is_none() && self.flight.is_empty()
    }

    /// Sends these entries, ascending, then the log after `upto`.
    pub(crate) fn pick(&mut self, seqs: Vec<u64>, upto: u64) {
        self.held = false;
        self.picks = seqs.into();
        self.picks_upto = upto;
        if self.picks.is_empty() {
            self.scanned = upto;
            self.settle();
        }
    }

    /// The entries to fetch next, if any.
    pub(crate) fn next_fetch(&self, config: &Config) -> Option<Vec<u64>> {
        let wanted = !self.held && self.scan.is_none() && self.queue_bytes < config.page_bytes;
        (wanted && !self.picks.is_empty()).then(|| self.picks.iter().copied().take(FETCH).collect())
    }

    /// Where the session's sending began.
    pub(crate) const fn start(&self) -> u64 {
        self.start
    }

    /// Everything up to here was sent, or needed no sending.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Everything up to here is dealt with: durable at the peer, or in need of no sending.
    pub(crate) fn done(&self) -> u64 {
        self.flight.front().map_or(self.sent, |flight| flight.from)
    }

    /// Sequence number of the last object that was sent; where the session began if none was.
    pub(crate) const fn last_object(&self) -> u64 {
        self.last_object
    }

    /// Whether there is an object to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether another scan is wanted, in a log that ends at `head`: after which entry, and whether it takes the
    /// whole view. One page is read while the page before it is being sent.
    pub(crate) fn next_scan(&self, head: u64, config: &Config) -> Option<(u64, bool)> {
        let idle = self.scan.is_none() && !self.held && self.picks.is_empty();
        let wanted = idle && self.scanned < head && self.queue_bytes < config.page_bytes;
        wanted.then_some((self.scanned, self.scanned < self.whole_upto))
    }

    /// Notes the scan that was asked for.
    pub(crate) fn scanning(&mut self, ticket: Ticket) {
        self.scan = Some((ticket, self.scanned));
    }

    /// Whether `ticket` names the scan under way.
    pub(crate) fn is_scan(&self, ticket: Ticket) -> bool {
        self.scan.is_some_and(|(scan, _)| scan == ticket)
    }

    /// Takes a page of a log that ends at `head`.
    pub(crate) fn page(&mut self, entries: Vec<Entry>, next: u64, head: u64) -> Result<(), ChumError> {
        let Some((_, after)) = self.scan.take() else { return Err(ChumError::PageOutOfOrder) };
        if self.held {
            return Ok(());
        }
        if !self.picks.is_empty() {
            return self.fetched(entries, next);
        }
        // No way forward though the log goes on: the next scan would be the same one again, for ever.
        if next < after || (next == after && after < head) || next > head {
            return Err(ChumError::PageOutOfOrder);
        }
        let mut last = after;
        for entry in entries {
            if entry.seq <= last || entry.seq > next {
                return Err(ChumError::PageOutOfOrder);
            }
            last = entry.seq;
            // What was appended by an import since the scan began is known to the peer by now (see `skip`).
            let known = entry.source_is_peer && entry.seq > self.whole_upto;
            if known || entry.seq <= self.scanned {
                continue;
            }
            if entry.gone {
                self.queue.push_back(Entry { object: Bytes::new(), ..entry });
                continue;
            }
            if entry.object.is_empty() && entry.source_is_peer {
                continue;
            }
            if entry.object.is_empty() || entry.object.len() > MAX_OBJECT {
                return Err(ChumError::ObjectUnsendable);
            }
            self.queue_bytes = self.queue_bytes.saturating_add(entry.object.len());
            self.queue.push_back(entry);
        }
        self.scanned = self.scanned.max(next);
        self.settle();
        Ok(())
    }

    /// Takes entries that reconciliation found, up to `next`.
    fn fetched(&mut self, entries: Vec<Entry>, next: u64) -> Result<(), ChumError> {
        let before = self.picks.len();
        let mut last = self.scanned;
        for entry in entries {
            while self.picks.pop_front_if(|pick| *pick < entry.seq).is_some() {}
            if entry.seq <= last || self.picks.pop_front_if(|pick| *pick == entry.seq).is_none() {
                return Err(ChumError::PageOutOfOrder);
            }
            last = entry.seq;
            if entry.gone {
                self.queue.push_back(Entry { object: Bytes::new(), ..entry });
                continue;
            }
            if entry.object.is_empty() || entry.object.len() > MAX_OBJECT {
                return Err(ChumError::ObjectUnsendable);
            }
            self.queue_bytes = self.queue_bytes.saturating_add(entry.object.len());
            self.queue.push_back(entry);
        }
        while self.picks.pop_front_if(|pick| *pick <= next).is_some() {}
        if last > next || self.picks.len() == before {
            return Err(ChumError::PageOutOfOrder);
        }
        self.scanned = if self.picks.is_empty() { self.picks_upto } else { next };
        self.settle();
        Ok(())
    }

    /// The entries after `before` up to `head` came from the peer just now: nothing to read there, if everything
    /// before them was read.
    pub(crate) fn skip(&mut self, before: u64, head: u64) {
        if !self.held && before <= self.scanned && self.scanned < head {
            self.scanned = head;
            self.settle();
        }
    }

    /// Nothing waits to be sent: everything looked at is dealt with.
    fn settle(&mut self) {
        if self.queue.is_empty() {
            self.sent = self.scanned;
        }
    }

    /// Writes one message if there is an object to send and credit for it.
    pub(crate) fn write(&mut self, head: u64, config: &Config, out: &mut BytesMut) -> bool {
        if self.held {
            return false;
        }
        let Some(first) = self.queue.front() else { return false };
        if first.gone {
            return self.write_gone(head, config, out);
        }
        let from = self.sent;
        if !self.flight.is_empty()
            && !self.has_credit(OBJECTS_HEADER + framed_len(first.object.len()), 1, config)
        {
            return false;
        }
        out.reserve(config.room.min(self.queue_bytes.saturating_add(OBJECTS_HEADER)));
        let mut writer = ObjectsWriter::begin(out);
        let mut object_bytes = 0_usize;
        while let Some(entry) = self.queue.front() {
            let len = writer.written().saturating_add(framed_len(entry.object.len()));
            let objects = usize::from(writer.count()).saturating_add(1);
            // The first object always goes: it has a message of its own if it is larger than the room.
            let fits = len <= config.room
                && objects <= usize::from(u16::MAX)
                && self.has_credit(len, objects, config);
            if entry.gone || !(objects == 1 || fits) {
                break;
            }
            writer.push(entry.id.codec(), &entry.object);
            object_bytes = object_bytes.saturating_add(entry.object.len());
            self.last_object = entry.seq;
            self.sent = entry.seq;
            self.queue.pop_front();
        }
        self.queue_bytes = self.queue_bytes.saturating_sub(object_bytes);
        self.settle();
        let objects = usize::from(writer.count());
        let len = writer.finish(self.sent, head);
        debug_assert!(len <= MAX_MESSAGE, "one object never takes more");
        self.fly(Flight { from, upto: self.sent, len, objects, object_bytes });
        true
    }

    /// Writes one GONE with the tombstones at the front of the queue.
    fn write_gone(&mut self, head: u64, config: &Config, out: &mut BytesMut) -> bool {
        let from = self.sent;
        let fits = |count: &usize| {
            let len = gone_len(*count);
            (len <= config.room && self.has_credit(len, *count, config))
                || (*count == 1 && self.flight.is_empty())
        };
        let waiting = self.queue.iter().take_while(|entry| entry.gone).count().min(MAX_GONE);
        let count = (1..=waiting).take_while(fits).last().unwrap_or(0);
        let Some(last) = count.checked_sub(1).and_then(|last| self.queue.get(last)) else { return false };
        self.last_object = last.seq;
        self.sent = last.seq;
        let ids: Vec<Cid> = self.queue.drain(..count).map(|entry| entry.id).collect();
        self.settle();
        let len = wire::write_gone(self.sent, head, ids.into_iter(), out);
        self.fly(Flight { from, upto: self.sent, len, objects: count, object_bytes: 0 });
        true
    }

    /// A message is under way.
    fn fly(&mut self, flight: Flight) {
        self.flight_bytes = self.flight_bytes.saturating_add(flight.len);
        self.flight_objects = self.flight_objects.saturating_add(flight.objects);
        self.objects_sent = self.objects_sent.saturating_add(flight.objects as u64);
        self.flight.push_back(flight);
    }

    fn has_credit(&self, len: usize, objects: usize, config: &Config) -> bool {
        self.flight_bytes.saturating_add(len) <= config.send_bytes
            && self.flight_objects.saturating_add(objects) <= config.send_objects
    }

    /// The peer holds everything up to `upto` durably. Whether that is news.
    pub(crate) fn acknowledged(&mut self, upto: u64) -> Result<bool, ChumError> {
        if upto > self.sent {
            return Err(ChumError::AckBeyondSent);
        }
        if upto < self.acked {
            return Err(ChumError::AckWentBack);
        }
        let news = upto > self.acked;
        self.acked = upto;
        while let Some(flight) = self.flight.front().filter(|flight| flight.upto <= upto) {
            self.flight_bytes = self.flight_bytes.saturating_sub(flight.len);
            self.flight_objects = self.flight_objects.saturating_sub(flight.objects);
            self.objects_acked = self.objects_acked.saturating_add(flight.objects as u64);
            self.bytes_acked = self.bytes_acked.saturating_add(flight.object_bytes as u64);
            self.flight.pop_front();
        }
        Ok(news)
    }
}
