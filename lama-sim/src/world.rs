//! Actors, links between them, and the order in which everything happens.

mod instances;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::BytesMut;
use lama_core::{Instant, Now, Ticket, WallTime};
use lama_identity::PersonId;
use lama_invite::Source;
use lama_node::{Command, DialError, Event, Input, LinkCause, LinkId, NodeError, Origin, Output, Reply};
use lama_store::{Read, Request, StoreError};

use crate::actor::{Actor, ActorConfig, CrashPoint, is_durable, is_urgent, seed};
use crate::link::{Carried, End, EndState, Link, LinkConfig};
use crate::pipe::{Arrival, Pipe};
use crate::rng::Rng;
use crate::trace::Trace;

pub use instances::Backup;

/// What is due at some time.
enum Job {
    Execute { actor: usize, life: u32, ticket: Ticket, requests: Vec<Request> },
    Stored { actor: usize, life: u32, ticket: Ticket, results: Vec<Result<lama_store::Reply, StoreError>> },
    Durable { actor: usize, life: u32, ticket: Ticket, results: Vec<Result<lama_store::Reply, StoreError>> },
    Crash { actor: usize, life: u32 },
    Connect { actor: usize, life: u32, ticket: Ticket, url: String },
    DialFailed { actor: usize, life: u32, ticket: Ticket, cause: DialError },
    Down { link: usize, end: usize, cause: LinkCause },
    Start { actor: usize },
}

/// Names an actor of a [`World`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorId(usize);

/// How the simulated machines behave.
#[derive(Debug, Clone, Copy)]
pub struct WorldConfig {
    /// What links are like that nothing else was said of.
    pub link: LinkConfig,
    /// From an output that stores to its execution, and from there to its answer.
    pub disk_delay: Duration,
    /// From the moment at which what somebody waits for can be seen to the one at which it is durable; zero: both are one.
    pub sync_delay: Duration,
    /// From a dial to the open WebSocket.
    pub connect_delay: Duration,
    /// From a crash to the next life.
    pub restart_after: Duration,
    /// Where the wall clock starts.
    pub wall: WallTime,
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self {
            link: LinkConfig::default(),
            disk_delay: Duration::from_micros(100),
            sync_delay: Duration::ZERO,
            connect_delay: Duration::from_millis(2),
            restart_after: Duration::from_millis(50),
            wall: WallTime::from_unix_seconds(1_800_000_000),
        }
    }
}

/// A small network in virtual time. The same seed and the same calls give the same [`World::trace`].
pub struct World {
    config: WorldConfig,
    now: Now,
    rng: Rng,
    actors: Vec<Actor>,
    links: Vec<Link>,
    next_links: VecDeque<LinkConfig>,
    jobs: BTreeMap<(Instant, u64), Job>,
    job_count: u64,
    trace: Trace,
}

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(config: WorldConfig, seed: u64) -> Self {
        Self {
            now: Now { mono: Instant::ORIGIN, wall: config.wall },
            config,
            rng: Rng::new(seed),
            actors: Vec::new(),
            links: Vec::new(),
            next_links: VecDeque::new(),
            jobs: BTreeMap::new(),
            job_count: 0,
            trace: Trace::default(),
        }
    }

    /// Adds an actor and starts it.
    pub fn add(&mut self, config: ActorConfig) -> ActorId {
        let actor = Actor::new(config, &mut self.rng, self.now.wall);
        self.actors.push(actor);
        let index = self.actors.len() - 1;
        self.start(index);
        ActorId(index)
    }

    /// The time in the world.
    #[must_use]
    pub const fn now(&self) -> Now {
        self.now
    }

    /// A fingerprint of all that happened: frames, events, answers, and when.
    #[must_use]
    pub const fn trace(&self) -> u64 {
        self.trace.value()
    }

    /// The actor's person.
    #[must_use]
    pub fn person(&self, actor: ActorId) -> PersonId {
        self.actors[actor.0].person()
    }

    /// Everything the actor reported, over all its lives, oldest first.
    pub fn events(&self, actor: ActorId) -> impl Iterator<Item = &Event> {
        self.actors[actor.0].events.iter().map(|(_, event)| event)
    }

    /// The same, each with its time in the world.
    pub fn timeline(&self, actor: ActorId) -> impl Iterator<Item = &(Now, Event)> {
        self.actors[actor.0].events.iter()
    }

    /// How often the actor has written durably, over all its lives.
    #[must_use]
    pub fn effects(&self, actor: ActorId) -> u64 {
        self.actors[actor.0].effects
    }

    /// What each link carried, in the order in which they were dialled.
    #[must_use]
    pub fn carried(&self) -> Vec<Carried> {
        self.links.iter().map(Link::carried).collect()
    }

    /// When the link's WebSocket was open.
    #[must_use]
    pub fn opened_at(&self, link: usize) -> Option<Instant> {
        self.links.get(link).filter(|link| link.opened).map(|link| link.made)
    }

    /// The next link that is dialled, by whomever, is like this.
    pub fn plan_link(&mut self, config: LinkConfig) {
        self.next_links.push_back(config);
    }

    /// Kills the actor around its `point.effect`th durable write; it comes back after
    /// [`WorldConfig::restart_after`].
    pub fn plan_crash(&mut self, actor: ActorId, point: CrashPoint) {
        self.actors[actor.0].crash_at.push(point);
    }

    /// Whether a planned crash has not happened.
    #[must_use]
    pub fn crash_is_due(&self, actor: ActorId) -> bool {
        !self.actors[actor.0].crash_at.is_empty()
    }

    /// Kills the actor now and starts it again after [`WorldConfig::restart_after`].
    pub fn crash(&mut self, actor: ActorId) {
        self.kill(actor.0);
        let at = self.now.mono + self.config.restart_after;
        self.job(at, Job::Start { actor: actor.0 });
    }

    /// The actor's links break and only the actor hears of it: for the other ends they are silent from now on, as
    /// behind a router that has forgotten them.
    pub fn lose_links(&mut self, actor: ActorId) {
        for link in 0..self.links.len() {
            for end in 0..2 {
                let this = &mut self.links[link].ends[end];
                if this.actor == actor.0 && this.state != EndState::Gone {
                    this.incoming.clear();
                    this.state = EndState::Gone;
                    self.links[link].ends[1 - end].incoming.clear();
                    self.job(self.now.mono, Job::Down { link, end, cause: LinkCause::Lost });
                }
            }
        }
    }

    /// Takes the network of an actor's machine away, or gives it back. Open links fall silent and neither end is told; whoever
    /// dials it or is dialled by it finds no way.
    pub fn set_cut_off(&mut self, actor: ActorId, cut_off: bool) {
        self.actors[actor.0].cut_off = cut_off;
        for link in self.links.iter_mut().filter(|_| cut_off) {
            if link.ends.iter().any(|end| end.actor == actor.0) {
                for end in &mut link.ends {
                    end.incoming.clear();
                    end.state = EndState::Gone;
                }
            }
        }
    }

    /// How often the timers of an actor's node have called, over all its lives.
    #[must_use]
    pub fn wakeups(&self, actor: ActorId) -> u64 {
        self.actors[actor.0].wakeups
    }

    /// How often an actor has dialled, over all its lives.
    #[must_use]
    pub fn dials(&self, actor: ActorId) -> u64 {
        self.actors[actor.0].dials
    }

    /// Kills the actor now, for good unless [`World::resume`] is called.
    pub fn stop(&mut self, actor: ActorId) {
        self.kill(actor.0);
    }

    /// Starts a stopped actor, reached at `url` from now on.
    pub fn resume(&mut self, actor: ActorId, url: Option<&str>) {
        self.actors[actor.0].config.url = url.map(Into::into);
        self.start(actor.0);
    }

    /// Sets an actor's wall clock ahead (or back) by so many milliseconds against the world's.
    pub fn set_wall_ahead(&mut self, actor: ActorId, millis: i64) {
        self.actors[actor.0].config.wall_ahead = millis;
    }

    /// A seed for a command.
    pub fn seed(&mut self) -> lama_core::Seed {
        seed(&mut self.rng)
    }

    /// Gives an actor a command.
    pub fn command(&mut self, actor: ActorId, command: Command) -> Ticket {
        let ticket = self.actors[actor.0].tickets.issue();
        self.input(actor.0, Input::Command { ticket, command });
        ticket
    }

    /// The answer to a command, once it is there.
    #[must_use]
    pub fn reply(&self, actor: ActorId, ticket: Ticket) -> Option<&Result<Reply, NodeError>> {
        self.actors[actor.0].replies.get(&ticket)
    }

    /// Gives a command and runs until its answer is there, at most a minute of virtual time.
    ///
    /// # Panics
    /// If no answer comes.
    pub fn ask(&mut self, actor: ActorId, command: Command) -> Result<Reply, NodeError> {
        let name = command.name();
        let ticket = self.command(actor, command);
        let answered = self.run_until(Duration::from_secs(60), |world| world.reply(actor, ticket).is_some());
        assert!(answered, "no answer to `{name}` within a minute of virtual time");
        self.actors[actor.0].replies.remove(&ticket).expect("it was there a moment ago")
    }

    /// Reads an actor's store behind its node's back.
    ///
    /// # Panics
    /// If the actor is not running or the read fails.
    pub fn inspect(&mut self, actor: ActorId, read: Read) -> lama_store::Reply {
        let running = self.actors[actor.0].running.as_mut().expect("the actor runs");
        running.execute(&[Request::Read(read)]).remove(0).expect("the store can be read")
    }

    /// Runs for so long in virtual time.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Runs until `done`, at most for so long in virtual time. Says whether it is done.
    pub fn run_until(&mut self, time: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now.mono + time;
        loop {
            self.settle();
            if done(self) {
                return true;
            }
            match self.next_time().filter(|next| *next <= end) {
                Some(next) => self.advance(next),
                None => {
                    self.advance(end);
                    return done(self);
                }
            }
        }
    }

    // What follows moves the world.

    fn start(&mut self, index: usize) {
        let now = self.now;
        let actor = &mut self.actors[index];
        if actor.running.is_some() {
            return;
        }
        actor.start(now, &mut self.rng);
        let urls = actor.config.url.iter().cloned().collect();
        self.input(index, Input::Listening { urls });
    }

    fn kill(&mut self, index: usize) {
        self.actors[index].running = None;
        let life = self.actors[index].life;
        for link in 0..self.links.len() {
            for end in 0..2 {
                let this = &self.links[link].ends[end];
                if this.actor == index && this.life == life && this.state != EndState::Gone {
                    self.break_link(link);
                }
            }
        }
    }

    /// No byte passes any more; both ends hear of it after their delay.
    fn break_link(&mut self, link: usize) {
        for end in 0..2 {
            let this = &mut self.links[link].ends[end];
            if this.state == EndState::Gone {
                continue;
            }
            let at = self.now.mono + this.incoming.delay();
            this.incoming.clear();
            this.state = EndState::Gone;
            self.job(at, Job::Down { link, end, cause: LinkCause::Lost });
        }
    }

    fn job(&mut self, at: Instant, job: Job) {
        self.jobs.insert((at, self.job_count), job);
        self.job_count += 1;
    }

    /// Whether the actor still lives the life in which something was begun.
    fn lives(&self, actor: usize, life: u32) -> bool {
        let actor = &self.actors[actor];
        actor.running.is_some() && actor.life == life
    }

    fn input(&mut self, index: usize, input: Input) {
        let actor = &mut self.actors[index];
        let now = actor.local(self.now);
        let Some(running) = &mut actor.running else { return };
        running.node.handle(now, input).expect("a node outlives its inputs");
        self.drain(index);
    }

    fn drain(&mut self, index: usize) {
        while let Some(output) = self.actors[index].running.as_mut().and_then(|running| running.node.poll()) {
            self.output(index, output);
        }
    }

    fn output(&mut self, index: usize, output: Output) {
        let life = self.actors[index].life;
        match output {
            Output::Store { ticket, requests, .. } => {
                let at = self.now.mono + self.config.disk_delay;
                self.job(at, Job::Execute { actor: index, life, ticket, requests });
            }
            Output::Sign { ticket, key, bytes } => {
                let signature =
                    self.actors[index].running.as_ref().and_then(|running| running.sign(key, &bytes));
                self.input(index, Input::Signed { ticket, signature });
            }
            Output::Dial { ticket, url, .. } => {
                self.actors[index].dials += 1;
                let at = self.now.mono + self.config.connect_delay;
                self.job(at, Job::Connect { actor: index, life, ticket, url });
            }
            Output::CloseLink { link } => {
                if let Some((link, end)) = self.find(index, link)
                    && self.links[link].ends[end].state == EndState::Open
                {
                    self.links[link].ends[end].state = EndState::Closing;
                }
            }
            Output::Reply { ticket, result } => {
                self.trace.add_text(self.now.mono, index, &format!("{result:?}"));
                self.actors[index].replies.insert(ticket, result);
            }
            Output::Event(event) => {
                self.trace.add_text(self.now.mono, index, &format!("{event:?}"));
                let now = self.now;
                self.actors[index].events.push((now, event));
            }
        }
    }

    fn find(&self, actor: usize, id: LinkId) -> Option<(usize, usize)> {
        // Ids are given out as 2 * link + end, see `connect`.
        let (link, end) = (usize::try_from(id.0 / 2).ok()?, usize::try_from(id.0 % 2).ok()?);
        let this = self.links.get(link)?.ends.get(end)?;
        (this.actor == actor && this.life == self.actors[actor].life).then_some((link, end))
    }

    /// Moves everything that can move without time passing.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            for link in 0..self.links.len() {
                for end in 0..2 {
                    moved |= self.send(link, end);
                    moved |= self.receive(link, end);
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Takes frames from the node at this end while the pipe has room.
    fn send(&mut self, link: usize, end: usize) -> bool {
        let this = &self.links[link].ends[end];
        let (actor, id, state) = (this.actor, this.id, this.state);
        if state == EndState::Gone || !self.links[link].opened || !self.lives(actor, this.life) {
            return false;
        }
        let mut moved = false;
        while self.links[link].ends[1 - end].incoming.has_room() {
            let mut frame = BytesMut::new();
            let Some(running) = &mut self.actors[actor].running else { break };
            if !running.node.poll_frame(id, &mut frame) {
                if state == EndState::Closing {
                    self.close(link, end);
                    moved = true;
                }
                break;
            }
            self.trace.add_frame(self.now.mono, id.0, &frame);
            self.links[link].ends[1 - end].incoming.push(self.now.mono, frame);
            moved = true;
        }
        if moved {
            self.drain(actor);
        }
        moved
    }

    /// This end has sent all it had: it is gone, and the other hears of it behind the last frame.
    fn close(&mut self, link: usize, end: usize) {
        let now = self.now.mono;
        let this = &mut self.links[link].ends[end];
        this.state = EndState::Gone;
        this.incoming.clear();
        self.job(now, Job::Down { link, end, cause: LinkCause::Local });
        let that = &mut self.links[link].ends[1 - end];
        if that.state != EndState::Gone {
            let at = that.incoming.last_arrival().max(now + that.incoming.delay());
            self.job(at, Job::Down { link, end: 1 - end, cause: LinkCause::Closed });
        }
    }

    /// Gives the node at this end what has arrived.
    fn receive(&mut self, link: usize, end: usize) -> bool {
        let this = &self.links[link].ends[end];
        let (actor, id) = (this.actor, this.id);
        if this.state != EndState::Open || !self.links[link].opened || !self.lives(actor, this.life) {
            return false;
        }
        if !self.actors[actor].running.as_ref().is_some_and(|running| running.node.wants_input(id)) {
            return false;
        }
        match self.links[link].ends[end].incoming.pop(self.now.mono) {
            None => false,
            Some(Arrival::Cut) => {
                self.break_link(link);
                true
            }
            Some(Arrival::Frame(frame)) => {
                self.input(actor, Input::Frame { link: id, frame });
                if self.links[link].ends[end].incoming.is_spent() {
                    self.break_link(link);
                }
                true
            }
        }
    }

    fn next_time(&self) -> Option<Instant> {
        let jobs = self.jobs.keys().next().map(|(at, _)| *at);
        let timers = self.actors.iter().filter_map(|actor| actor.running.as_ref()?.node.poll_timeout());
        let arrivals = self.links.iter().flat_map(|link| link.ends.iter()).filter_map(|end| {
            let open = end.state == EndState::Open && self.lives(end.actor, end.life);
            // What arrived earlier and is not taken waits for its node, not for time.
            end.incoming.next_arrival().filter(|at| open && *at > self.now.mono)
        });
        jobs.into_iter().chain(timers).chain(arrivals).min()
    }

    fn advance(&mut self, to: Instant) {
        let passed = to.since(self.now.mono);
        self.now.mono = self.now.mono.max(to);
        let micros = self.now.mono.since_origin().as_micros();
        self.now.wall = WallTime(self.config.wall.0 + u64::try_from(micros / 1000).unwrap_or(u64::MAX));
        while let Some(entry) = self.jobs.first_entry()
            && entry.key().0 <= self.now.mono
        {
            let job = entry.remove();
            self.run(job);
        }
        for index in 0..self.actors.len() {
            let actor = &mut self.actors[index];
            let now = actor.local(self.now);
            let Some(running) = &mut actor.running else { continue };
            if running.node.poll_timeout().is_some_and(|due| due <= now.mono) {
                running.node.handle_timeout(now).expect("a node outlives its timers");
                actor.wakeups += 1;
                self.drain(index);
                let due = self.actors[index].running.as_ref().and_then(|running| running.node.poll_timeout());
                assert!(
                    !passed.is_zero() || due.is_none_or(|due| due > self.now.mono),
                    "actor {index} spins: its timer is due again at once"
                );
            }
        }
    }

    fn run(&mut self, job: Job) {
        match job {
            Job::Execute { actor, life, ticket, requests } if self.lives(actor, life) => {
                self.execute(actor, life, ticket, requests);
            }
            Job::Stored { actor, life, ticket, results } if self.lives(actor, life) => {
                self.input(actor, Input::Stored { ticket, results });
            }
            Job::Durable { actor, life, ticket, results } if self.lives(actor, life) => {
                if let Some(running) = &mut self.actors[actor].running {
                    running.make_durable();
                }
                self.input(actor, Input::Stored { ticket, results });
            }
            Job::Crash { actor, life } if self.lives(actor, life) => self.crash(ActorId(actor)),
            Job::Connect { actor, life, ticket, url } if self.lives(actor, life) => {
                self.connect(actor, life, ticket, &url);
            }
            Job::DialFailed { actor, life, ticket, cause } if self.lives(actor, life) => {
                self.input(actor, Input::DialFailed { ticket, cause });
            }
            Job::Down { link, end, cause } => {
                let this = &mut self.links[link].ends[end];
                this.state = EndState::Gone;
                let (actor, life, id) = (this.actor, this.life, this.id);
                if self.lives(actor, life) {
                    self.input(actor, Input::LinkDown { link: id, cause });
                }
            }
            Job::Start { actor } => self.start(actor),
            _ => {}
        }
    }

    fn execute(&mut self, index: usize, life: u32, ticket: Ticket, requests: Vec<Request>) {
        let writes = is_durable(&requests);
        let crash = writes.then(|| self.actors[index].crash_now()).flatten();
        let lost = crash.is_some_and(|point| !point.written);
        if lost && self.config.sync_delay.is_zero() {
            return self.crash(ActorId(index));
        }
        let Some(running) = &mut self.actors[index].running else { return };
        if self.config.sync_delay.is_zero() || !writes {
            let results = running.execute(&requests);
            if crash.is_some() {
                return self.crash(ActorId(index));
            }
            let at = self.now.mono + self.config.disk_delay;
            return self.job(at, Job::Stored { actor: index, life, ticket, results });
        }
        let Some(results) = running.stage(&requests, lost) else { return };
        let shown = results.iter().any(is_urgent);
        if crash.is_some() && !(lost && shown) {
            running.make_durable();
            return self.crash(ActorId(index));
        }
        let at = self.now.mono + self.config.sync_delay;
        let done = if lost {
            // It is seen, it may be sent, and then it is lost.
            Job::Crash { actor: index, life }
        } else if shown {
            Job::Durable { actor: index, life, ticket, results: results.clone() }
        } else {
            running.make_durable();
            Job::Stored { actor: index, life, ticket, results: results.clone() }
        };
        self.job(at, done);
        if shown {
            self.input(index, Input::Staged { ticket, results });
        }
    }

    fn connect(&mut self, dialler: usize, life: u32, ticket: Ticket, url: &str) {
        let acceptor = self
            .actors
            .iter()
            .position(|actor| actor.running.is_some() && actor.config.url.as_deref() == Some(url));
        let cut_off = |actor: usize| self.actors[actor].cut_off;
        let cause = match acceptor {
            _ if cut_off(dialler) => DialError::Unreachable,
            Some(acceptor)
                if cut_off(acceptor) || self.actors[acceptor].side != self.actors[dialler].side =>
            {
                DialError::Timeout
            }
            _ => DialError::Refused,
        };
        let Some(acceptor) = acceptor.filter(|_| cause == DialError::Refused) else {
            let at = self.now.mono + self.config.connect_delay;
            return self.job(at, Job::DialFailed { actor: dialler, life, ticket, cause });
        };
        let config = self.next_links.pop_front().unwrap_or(self.config.link);
        let index = self.links.len();
        let end = |actor: usize, life, side: u64, pipe| End {
            actor,
            life,
            id: LinkId(2 * index as u64 + side),
            incoming: Pipe::new(pipe),
            state: EndState::Open,
        };
        let ends =
            [end(dialler, life, 0, config.back), end(acceptor, self.actors[acceptor].life, 1, config.forth)];
        self.links.push(Link { ends, dial: ticket, opened: true, made: self.now.mono });
        let octet = u8::try_from(dialler + 1).unwrap_or(u8::MAX);
        let source = Source::of_ip(IpAddr::V4(Ipv4Addr::new(127, 0, 0, octet)));
        let (seed_a, seed_b) = (self.rng.seed(), self.rng.seed());
        let [a, b] = &self.links[index].ends;
        let (a, b, dial) = (a.id, b.id, self.links[index].dial);
        self.input(acceptor, Input::LinkUp { link: b, origin: Origin::Accepted { source }, seed: seed_b });
        self.input(dialler, Input::LinkUp { link: a, origin: Origin::Dialled(dial), seed: seed_a });
        // A cut at byte 0 strikes before anything arrives.
        if self.links[index].ends.iter().any(|end| end.incoming.is_spent()) {
            self.break_link(index);
        }
    }
}
