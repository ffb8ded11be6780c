//! The receiving half: objects are checked as they come, gathered into batches, imported, acknowledged in order.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;

use bytes::Bytes;
use lama_core::Ticket;
use lama_identity::Cid;

use crate::wire::{ObjectsHeader, read_gone, read_objects};
use crate::{ChumError, Config, WINDOW_BYTES, WINDOW_OBJECTS};

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

/// One import under way.
#[derive(Debug)]
struct Import {
    ticket: Ticket,
    upto: u64,
    load: Load,
    done: bool,
}

/// What [`Incoming::next_import`] asks for.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) objects: Vec<(Cid, Bytes)>,
    pub(crate) after: u64,
    pub(crate) upto: u64,
}

/// The receiving half of the machine.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    /// Where the session's receiving began.
    start: u64,
    /// Highest head of the peer's log that was named.
    head: u64,
    /// Everything up to here has come, or needed no coming.
    received: u64,
    /// Everything up to here was handed out in an import.
    handed: u64,
    /// Everything up to here is durable.
    durable: u64,
    /// Up to here the objects come that reconciliation found: the cursor moves when all of them are durable.
    snapshot: u64,
    batch: Vec<(Cid, Bytes)>,
    batch_load: Load,
    imports: VecDeque<Import>,
    /// Everything received and not acknowledged: what the credit bounds.
    unacked: Load,
    /// What is durable and not acknowledged.
    due: Load,
    pub(crate) objects_durable: u64,
    pub(crate) bytes_durable: u64,
}

impl Incoming {
    /// Begins after `from` in a log that ends at `head`.
    pub(crate) fn begin(&mut self, from: u64, head: u64) {
        self.start = from;
        self.head = head;
        self.received = from;
        self.handed = from;
        self.durable = from;
    }

    /// The peer counts from 0 again: what it has and we lack comes first, up to `snapshot` of its log.
    pub(crate) fn begin_again(&mut self, snapshot: u64) {
        let head = self.head.max(snapshot);
        self.begin(0, head);
        self.snapshot = snapshot;
    }

    /// The end of what reconciliation found, in the peer's log; 0 if there was none.
    pub(crate) const fn snapshot(&self) -> u64 {
        self.snapshot
    }

    /// Whether everything that came is durable and acknowledged.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_idle() && self.unacked.objects == 0
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
    pub(crate) const fn received(&self) -> u64 {
        self.received
    }

    /// Everything up to here is durable.
    pub(crate) const fn durable(&self) -> u64 {
        self.durable
    }

    /// Whether an acknowledgement is due: for objects. Entries that brought none need none.
    pub(crate) const fn ack_due(&self) -> bool {
        self.due.objects > 0
    }

    /// Whether nothing that came waits to become durable.
    pub(crate) fn is_idle(&self) -> bool {
        self.batch.is_empty() && self.imports.is_empty()
    }

    /// Takes an OBJECTS message.
    pub(crate) fn objects(&mut self, message: &Bytes) -> Result<(), ChumError> {
        self.has_credit(message.len())?;
        let mut object_bytes = 0_usize;
        let batch = &mut self.batch;
        let header = read_objects(message, |id, object| {
            object_bytes = object_bytes.saturating_add(object.len());
            batch.push((id, object));
        })?;
        self.took(header, message.len(), object_bytes)
    }

    /// Takes a GONE message.
    pub(crate) fn gone(&mut self, message: &[u8]) -> Result<(), ChumError> {
        self.has_credit(message.len())?;
        let batch = &mut self.batch;
        let header = read_gone(message, |id| batch.push((id, Bytes::new())))?;
        self.took(header, message.len(), 0)
    }

    /// The credit is looked at first, so that a stream without end costs nothing beyond it.
    fn has_credit(&self, len: usize) -> Result<(), ChumError> {
        let over = self.unacked.len.saturating_add(len) > WINDOW_BYTES && self.unacked.len > 0;
        if over { Err(ChumError::CreditExceeded) } else { Ok(()) }
    }

    /// Counts a message and moves on in the peer's log.
    fn took(&mut self, header: ObjectsHeader, len: usize, object_bytes: usize) -> Result<(), ChumError> {
        if header.upto <= self.received {
            return Err(ChumError::SequenceWentBack);
        }
        if header.head < self.head {
            return Err(ChumError::HeadWentBack);
        }
        let load = Load { len, objects: header.count, object_bytes };
        self.unacked.add(load);
        if self.unacked.objects > WINDOW_OBJECTS {
            return Err(ChumError::CreditExceeded);
        }
        self.batch_load.add(load);
        self.received = header.upto;
        self.head = header.head;
        Ok(())
    }

    /// The peer's log needs no more sending up to `upto`, its head.
    pub(crate) fn told(&mut self, upto: u64) -> Result<(), ChumError> {
        if upto < self.received {
            return Err(ChumError::SequenceWentBack);
        }
        if upto < self.head {
            return Err(ChumError::HeadWentBack);
        }
        self.received = upto;
        self.head = upto;
        Ok(())
    }

    /// The next batch to import: at once if nothing is being imported, else when it is large enough.
    pub(crate) fn next_import(&mut self, config: &Config) -> Option<Batch> {
        let large =
            self.batch_load.object_bytes >= config.batch_bytes || self.batch.len() >= config.batch_objects;
        let now = self.imports.is_empty() || (large && self.imports.len() < config.max_imports);
        if self.batch.is_empty() || !now {
            return None;
        }
        let objects = mem::take(&mut self.batch);
        Some(Batch { objects, after: self.handed, upto: self.received })
    }

    /// Notes the import that was asked for.
    pub(crate) fn importing(&mut self, ticket: Ticket, upto: u64) {
        let load = mem::take(&mut self.batch_load);
        self.handed = upto;
        self.imports.push_back(Import { ticket, upto, load, done: false });
    }

    /// Whether `ticket` names an import under way.
    pub(crate) fn is_import(&self, ticket: Ticket) -> bool {
        self.imports.iter().any(|import| import.ticket == ticket && !import.done)
    }

    /// An import is durable. The cursor moves over the imports in their order, also where answers do not.
    pub(crate) fn imported(&mut self, ticket: Ticket) {
        if let Some(import) = self.imports.iter_mut().find(|import| import.ticket == ticket) {
            import.done = true;
        }
        while let Some(import) = self.imports.pop_front_if(|import| import.done) {
            self.durable = import.upto;
            self.due.add(import.load);
            self.objects_durable = self.objects_durable.saturating_add(import.load.objects as u64);
            self.bytes_durable = self.bytes_durable.saturating_add(import.load.object_bytes as u64);
        }
    }

    /// Moves the cursor over entries that brought no object, once everything before them is durable. Whether it
    /// moved.
    pub(crate) fn advance(&mut self) -> bool {
        let moves = self.is_idle() && self.durable < self.received;
        if moves {
            self.durable = self.received;
            self.handed = self.received;
        }
        moves
    }

    /// What the acknowledgement that is being built says; the peer's credit returns with it.
    pub(crate) fn acknowledge(&mut self) -> u64 {
        self.unacked.subtract(mem::take(&mut self.due));
        self.durable
    }
}
