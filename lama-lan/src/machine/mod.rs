//! The machine: whom to ask for, what to answer, and when.

mod answering;
mod asking;

use alloc::collections::VecDeque;
use alloc::format;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;

use bytes::Bytes;
use lama_core::{Clock, Instant, Now, Seed, SortedMap, SortedSet, Timers};
use lama_identity::InstanceId;

use crate::key::{LanKey, Side, slot_at};
use crate::wire::{self, Packet, Tag};

/// An instance that is known.
#[derive(Debug)]
pub struct LanPeer {
    /// Which.
    pub instance: InstanceId,
    /// The secret of the pair.
    pub key: LanKey,
    /// Whether it is asked for. Whoever is not is answered all the same.
    pub sought: bool,
}

/// Where this machine is on a local network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interface {
    /// Its address.
    pub address: Ipv4Addr,
    /// Which bits of it are the network's.
    pub mask: Ipv4Addr,
}

impl Interface {
    /// Whether an address is on that network (RFC 6762, 11).
    fn reaches(&self, other: Ipv4Addr) -> bool {
        let mask = self.mask.to_bits();
        self.address.to_bits() & mask == other.to_bits() & mask
    }
}

/// What the host tells the machine.
#[derive(Debug)]
pub enum LanInput<'a> {
    /// Who is known from now on, all of them.
    Peers(Vec<LanPeer>),
    /// On which networks this machine is from now on.
    Interfaces(Vec<Interface>),
    /// At which port this instance can be dialled; `None`: at none, so it answers nobody.
    Listening(Option<u16>),
    /// The network has changed, or the machine was asleep: what is sought is asked for anew.
    Changed,
    /// A packet to the group.
    Packet {
        /// Through which interface it came, by its address.
        interface: Ipv4Addr,
        /// Who sent it.
        from: SocketAddrV4,
        /// All of it.
        bytes: &'a [u8],
    },
}

/// What the machine asks of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LanOutput {
    /// Send this to the group. Whether it arrives does not matter much.
    Send {
        /// Through which interface, by its address.
        interface: Ipv4Addr,
        /// At most 1,300 bytes.
        packet: Bytes,
    },
    /// A known instance has said where it listens.
    Found {
        /// Which.
        instance: InstanceId,
        /// Where.
        address: SocketAddrV4,
    },
}

/// What is kept of an instance that is known.
#[derive(Debug)]
struct Known {
    key: LanKey,
    sought: bool,
    /// Where it was found, and when that was said.
    found: Option<(Instant, SocketAddrV4)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Ask,
    Answer(Ipv4Addr),
}

/// One instance on its local networks. See the [crate's front page](crate) for its loop.
///
/// It keeps the seven rules of [`lama_core`], with packets as outputs: they may be lost, so none is held back.
#[derive(Debug)]
pub struct Lan {
    me: InstanceId,
    /// Where everybody sends from.
    at: u16,
    seed: Seed,
    drawn: u64,
    clock: Clock,
    slot: u64,
    peers: SortedMap<InstanceId, Known>,
    interfaces: Vec<Interface>,
    listening: Option<u16>,
    /// What others may ask for: by whom, and in which slot.
    answerable: SortedMap<Tag, (InstanceId, u64)>,
    /// What we may have asked for.
    asked: SortedMap<Tag, (InstanceId, u64)>,
    /// How often it was asked since there was reason to.
    round: u32,
    last_round: Option<Instant>,
    /// How many of those who are sought have had their turn.
    turn: usize,
    owed: SortedMap<Ipv4Addr, SortedSet<Tag>>,
    answered: SortedMap<(Ipv4Addr, Tag), Instant>,
    timers: Timers<Timer>,
    out: VecDeque<LanOutput>,
}

impl Lan {
    /// An instance that hears packets sent from that port ([`crate::PORT`]). `seed` is drawn for it alone.
    #[must_use]
    pub fn new(me: InstanceId, at: u16, seed: Seed, now: Now) -> Self {
        let mut clock = Clock::default();
        clock.advance(now);
        Self {
            me,
            at,
            seed,
            drawn: 0,
            clock,
            slot: slot_at(now.wall),
            peers: SortedMap::new(),
            interfaces: Vec::new(),
            listening: None,
            answerable: SortedMap::new(),
            asked: SortedMap::new(),
            round: 0,
            last_round: None,
            turn: 0,
            owed: SortedMap::new(),
            answered: SortedMap::new(),
            timers: Timers::default(),
            out: VecDeque::new(),
        }
    }

    /// Takes one input. Nothing that comes from the network is an error: what is not understood is passed over.
    pub fn handle(&mut self, now: Now, input: LanInput<'_>) {
        self.clock.advance(now);
        match input {
            LanInput::Peers(peers) => self.know(peers),
            LanInput::Interfaces(interfaces) => self.move_to(interfaces),
            LanInput::Listening(port) => self.listening = port,
            LanInput::Changed => self.ask_anew(),
            LanInput::Packet { interface, from, bytes } => self.packet(interface, from, bytes),
        }
    }

    /// Tells the machine that time has passed; a call before [`Lan::poll_timeout`] does nothing.
    pub fn handle_timeout(&mut self, now: Now) {
        let now = self.clock.advance(now);
        while let Some(timer) = self.timers.pop(now.mono) {
            match timer {
                Timer::Ask => self.ask(),
                Timer::Answer(interface) => self.answer(interface),
            }
        }
    }

    /// The next effect, in order.
    pub fn poll(&mut self) -> Option<LanOutput> {
        self.out.pop_front()
    }

    /// When [`Lan::handle_timeout`] wants to be called; the last reading while [`Lan::poll`] would yield.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.out.is_empty() { self.timers.next() } else { Some(self.clock.latest().mono) }
    }

    fn know(&mut self, peers: Vec<LanPeer>) {
        let mut before = core::mem::take(&mut self.peers);
        let (mut changed, mut missed) = (peers.len() != before.len(), false);
        for peer in peers {
            let known = before.remove(&peer.instance);
            changed |= known.as_ref().is_none_or(|known| known.key != peer.key);
            missed |= peer.sought && known.as_ref().is_none_or(|known| !known.sought);
            // Whoever was found and is sought again may be anywhere.
            let found = known.and_then(|known| known.found.filter(|_| known.sought == peer.sought));
            self.peers.insert(peer.instance, Known { key: peer.key, sought: peer.sought, found });
        }
        if changed {
            self.name_all();
        }
        if missed {
            self.ask_anew();
        }
    }

    fn move_to(&mut self, mut interfaces: Vec<Interface>) {
        interfaces.sort_unstable();
        if interfaces == self.interfaces {
            return;
        }
        self.interfaces = interfaces;
        let here = |address: &Ipv4Addr| self.interfaces.iter().any(|interface| interface.address == *address);
        let gone: Vec<Ipv4Addr> = self.owed.keys().copied().filter(|address| !here(address)).collect();
        for address in gone {
            self.owed.remove(&address);
            self.timers.set(Timer::Answer(address), None);
        }
        self.ask_anew();
    }

    fn packet(&mut self, interface: Ipv4Addr, from: SocketAddrV4, bytes: &[u8]) {
        let Some(interface) = self.interfaces.iter().find(|one| one.address == interface).copied() else {
            return;
        };
        if from.port() != self.at || !interface.reaches(*from.ip()) {
            return;
        }
        self.keep_up();
        match wire::read(bytes) {
            Some(Packet::Questions(tags)) => self.asked_for(interface.address, &tags),
            Some(Packet::Answers(answers)) => answers.iter().for_each(|answer| self.told(*from.ip(), answer)),
            None => {}
        }
    }

    /// In another slot everything has another name.
    fn keep_up(&mut self) {
        let slot = slot_at(self.clock.latest().wall);
        if slot != self.slot {
            self.slot = slot;
            self.name_all();
        }
    }

    /// What is asked for and answered in this slot and those beside it.
    fn name_all(&mut self) {
        self.answerable.clear();
        self.asked.clear();
        for (instance, known) in &self.peers {
            let mine = side(&self.me, instance);
            for slot in self.slot.saturating_sub(1)..=self.slot.saturating_add(1) {
                self.answerable.insert(known.key.question(mine.other(), slot), (*instance, slot));
                self.asked.insert(known.key.question(mine, slot), (*instance, slot));
            }
        }
    }

    /// Soon, but never all at the same time (RFC 6762, 5.2 and 6).
    fn soon(&mut self) -> Duration {
        Duration::from_millis(20 + self.below(100))
    }

    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        let drawn = self.seed.derive(&format!("lan/pause/{}", self.drawn));
        let number = drawn.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        u64::try_from((u128::from(number) * u128::from(bound)) >> 64).unwrap_or(0)
    }
}

/// Which of the two this instance is.
fn side(me: &InstanceId, other: &InstanceId) -> Side {
    if me < other { Side::Smaller } else { Side::Larger }
}
