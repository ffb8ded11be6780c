//! Two instances in one program, their stores in memory, and a link between them that is a call: what one of them seals
//! the other opens at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant as Clock, SystemTime, UNIX_EPOCH};

use lama_bindings::{
    At, Command, DialCause, Event, Instance, Keys, Limits, LinkCause, LinkOrigin, Output, Problem, Reply,
};
use lama_measure::allocations;
use lama_store::{Redb, RedbOptions};
use redb::backends::InMemoryBackend;

/// Where one of them is said to listen.
const URL: &str = "ws://localhost:1";
/// Frames that go one way before the other side has its turn.
const FRAMES: usize = 64;
/// Nothing takes as long.
const PATIENCE: Duration = Duration::from_secs(300);

/// What frames cost at the border, summed up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Costs {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    /// Allocations while a frame was asked for, and while one was taken.
    pub(crate) out: u64,
    pub(crate) taken: u64,
}

struct Side {
    instance: Instance<Redb>,
    replies: BTreeMap<u64, Result<Reply, Problem>>,
    shared: BTreeSet<String>,
    messages: u64,
    /// It may have frames to send.
    ready: bool,
}

/// The two: the first invited the second, who dials.
pub(crate) struct Pair {
    sides: [Side; 2],
    begun: Clock,
    /// Whether a dial leads anywhere.
    online: bool,
    link: u64,
    up: bool,
    drawn: u64,
    tickets: u64,
    pub(crate) costs: Costs,
}

#[allow(clippy::disallowed_methods)] // This program is the host: it reads the clocks that the instances take as arguments.
pub(crate) fn clock() -> Clock {
    Clock::now()
}

#[allow(clippy::disallowed_methods)] // As above.
fn at(begun: Clock) -> At {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    At { mono_ms: begun.elapsed().as_millis() as u64, wall_ms: wall.as_millis() as u64 }
}

/// A different one for each use; nothing here is secret.
fn entropy(drawn: &mut u64) -> [u8; 32] {
    *drawn += 1;
    let mut bytes = [7; 32];
    bytes.iter_mut().zip(drawn.to_le_bytes()).for_each(|(to, from)| *to = from);
    bytes
}

fn said(problem: Problem) -> String {
    problem.to_string()
}

impl Side {
    fn open(email: &str, drawn: &mut u64, at: At) -> Result<Self, Problem> {
        let keys = Keys::create(email, "measure", entropy(drawn), at.wall_ms)?;
        let engine = Redb::with_backend(InMemoryBackend::new(), RedbOptions::default())?;
        let instance = Instance::open(keys, engine, &Limits::default(), entropy(drawn), at)?;
        let (replies, shared) = (BTreeMap::new(), BTreeSet::new());
        Ok(Self { instance, replies, shared, messages: 0, ready: false })
    }
}

impl Pair {
    /// They pair. Gives them, and the second one's name.
    pub(crate) fn new() -> Result<(Self, String), String> {
        let (begun, mut drawn) = (clock(), 0);
        let now = at(begun);
        let mut open = |email| Side::open(email, &mut drawn, now).map_err(said);
        let sides = [open("ada@lama.local")?, open("bob@lama.local")?];
        let costs = Costs::default();
        let mut pair = Self { sides, begun, online: true, link: 0, up: false, drawn, tickets: 0, costs };
        pair.first().listening(vec![URL.to_owned()], now);
        let invite = Command::Invite { confirm: false, lifetime: None, label: String::new(), base: None };
        let Reply::Invited { link, .. } = pair.ask(0, invite)? else { return Err(odd()) };
        pair.ask(1, Command::Join { link, lan: false, opened: false })?;
        let Reply::Contacts { contacts } = pair.ask(0, Command::Contacts)? else { return Err(odd()) };
        let bob = contacts.into_iter().next().ok_or_else(odd)?.person;
        Ok((pair, bob))
    }

    pub(crate) fn first(&mut self) -> &mut Instance<Redb> {
        let [first, _] = &mut self.sides;
        &mut first.instance
    }

    pub(crate) fn second(&mut self) -> &mut Instance<Redb> {
        let [_, second] = &mut self.sides;
        &mut second.instance
    }

    /// Asks one of them, without waiting for the answer; its ticket.
    pub(crate) fn begin(&mut self, side: usize, command: Command) -> Result<u64, String> {
        self.tickets += 1;
        let (ticket, drawn, now) = (self.tickets, entropy(&mut self.drawn), at(self.begun));
        let side = self.sides.get_mut(side).ok_or_else(odd)?;
        side.instance.command(ticket, command, drawn, now).map_err(said)?;
        Ok(ticket)
    }

    /// Asks one of them, and turns until it answers.
    pub(crate) fn ask(&mut self, side: usize, command: Command) -> Result<Reply, String> {
        let ticket = self.begin(side, command)?;
        let answered = |pair: &mut Self| pair.sides.get_mut(side)?.replies.remove(&ticket);
        self.until(answered)?.map_err(said)
    }

    /// Turns until the second one has this file or folder.
    pub(crate) fn until_shared(&mut self, root: &str) -> Result<(), String> {
        self.until(|pair| pair.sides.get(1)?.shared.contains(root).then_some(()))
    }

    /// Turns until the second one has heard so many messages.
    pub(crate) fn until_heard(&mut self, messages: u64) -> Result<(), String> {
        self.until(|pair| (pair.sides.get(1)?.messages >= messages).then_some(()))
    }

    fn until<T>(&mut self, done: impl Fn(&mut Self) -> Option<T>) -> Result<T, String> {
        let begun = clock();
        while begun.elapsed() < PATIENCE {
            if let Some(found) = done(self) {
                return Ok(found);
            }
            self.turn();
        }
        Err("the two instances do not come to an end".to_owned())
    }

    /// The link breaks, and nobody is reached.
    pub(crate) fn part(&mut self) {
        self.online = false;
        self.up = false;
        let now = at(self.begun);
        for side in &mut self.sides {
            side.instance.link_down(self.link, LinkCause::Lost, now);
        }
    }

    /// The second one dials the first, whatever the backoff.
    pub(crate) fn meet(&mut self) -> Result<(), String> {
        self.online = true;
        let Reply::Contacts { contacts } = self.ask(1, Command::Contacts)? else { return Err(odd()) };
        let person = contacts.into_iter().next().ok_or_else(odd)?.person;
        self.ask(1, Command::Connect { person }).map(drop)
    }

    fn turn(&mut self) {
        for number in [0, 1] {
            let now = at(self.begun);
            let Some(side) = self.sides.get_mut(number) else { return };
            if side.instance.poll_timeout().is_some_and(|due| due <= now.mono_ms) {
                side.instance.handle_timeout(now);
            }
            while let Some(output) = self.sides.get_mut(number).and_then(|side| side.instance.poll(now)) {
                self.heed(number, output);
            }
            let Some(side) = self.sides.get_mut(number) else { return };
            while side.instance.next_ready_link().is_some() {
                side.ready = true;
            }
            self.carry(number);
        }
    }

    fn carry(&mut self, from: usize) {
        let (link, now, [first, second]) = (self.link, at(self.begun), &mut self.sides);
        let (from, to) = if from == 0 { (first, second) } else { (second, first) };
        for _ in 0..FRAMES {
            if !self.up || !from.ready || !to.instance.wants_input(link) {
                return;
            }
            let before = allocations();
            let Some(frame) = from.instance.poll_frame(link) else {
                from.ready = false;
                return;
            };
            let between = allocations();
            self.costs.bytes += frame.len() as u64;
            to.instance.frame(link, &frame, now);
            self.costs.frames += 1;
            self.costs.out += between - before;
            self.costs.taken += allocations() - between;
        }
    }

    fn heed(&mut self, number: usize, output: Output) {
        let now = at(self.begun);
        let [first, second] = &mut self.sides;
        let side = if number == 0 { &mut *first } else { &mut *second };
        match output {
            Output::Dial { dial, .. } if number == 0 || !self.online || self.up => {
                side.instance.dial_failed(dial, DialCause::Refused, now);
            }
            Output::Dial { dial, .. } => {
                self.link += 1;
                self.up = true;
                let accepted = LinkOrigin::Accepted("127.0.0.1".to_owned());
                first.instance.link_up(self.link, &accepted, entropy(&mut self.drawn), now);
                let dialled = LinkOrigin::dialled(dial, None);
                second.instance.link_up(self.link, &dialled, entropy(&mut self.drawn), now);
            }
            Output::Close { link } => {
                self.up = false;
                first.instance.link_down(link, LinkCause::Closed, now);
                second.instance.link_down(link, LinkCause::Closed, now);
            }
            Output::Reply { ticket, reply } => drop(side.replies.insert(ticket, Ok(reply))),
            Output::Failed { ticket, problem } => drop(side.replies.insert(ticket, Err(problem))),
            Output::Event { event: Event::Shared { root, .. } } => drop(side.shared.insert(root)),
            Output::Event { event: Event::Message { .. } } => side.messages += 1,
            _ => {}
        }
    }
}

/// What an instance does not do.
pub(crate) fn odd() -> String {
    "an instance gave an answer to another question".to_owned()
}
