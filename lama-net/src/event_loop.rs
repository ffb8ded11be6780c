//! The loop around one node. See the [crate's front page](crate) for its order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::net::SocketAddrV4;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::BytesMut;
use futures_channel::{mpsc, oneshot};
use futures_util::{FutureExt as _, StreamExt as _};
use lama_core::{Instant, Ticket, Tickets};
use lama_identity::InstanceId;
use lama_invite::{DialRules, Via};
use lama_node::{
    Command, DialError, Event, Input, LinkCause, LinkId, Node, NodeError, Origin, Output, Reply,
};

use crate::behind::{BehindRelays, Change};
use crate::config::{Options, Parts, RelayHome, Signer};
use crate::connection::{Note, Opening, Switch};
use crate::dial::Dialer;
use crate::gate::{Gate, Permit};
use crate::handle::{Call, Ended, Events, Handle, Subscriber, handle, subscription};
use crate::lan::{LanWord, OnLan};
use crate::link::Link;
use crate::listen::{Bound, Door, Listen};
use crate::metrics::Counters;
use crate::peer::{Peer, Turn};
use crate::runtime::{Alarm as _, Runtime};
use crate::site::Site;
use crate::storage::{Answer, StoreThread};
use crate::trace::Traces;
use crate::wake::Woken;
use crate::{NetError, dial};

/// Passes before the loop lets its runtime do something else.
const PASSES: usize = 32;
/// Links served in one pass.
const LINKS: usize = 64;
/// Answers, arrivals and calls taken in one pass, each.
const JOBS: usize = 64;
/// Outputs taken in one pass.
const OUTPUTS: usize = 1024;

/// What tasks beside the loop bring.
pub(crate) enum Arrival<R: Runtime> {
    Accepted {
        link: Link<R>,
        permit: Permit,
    },
    Dialled {
        ticket: Ticket,
        result: Result<Link<R>, DialError>,
    },
    /// Somebody rang at a relay.
    Relayed {
        link: Link<R>,
        permit: Permit,
        route: [u8; 32],
    },
    /// The task on the local network wants to know whom to look for.
    LanAsks,
    /// Somebody was found there.
    Nearby {
        instance: InstanceId,
        at: SocketAddrV4,
    },
    /// At which relays others can ring now, as the text of routes.
    Routes(Vec<String>),
}

/// A future that is the node at work. Poll it on the runtime that it was made for; it ends after a shutdown, when
/// every socket and the store are closed.
pub struct EventLoop<R: Runtime> {
    runtime: R,
    options: Options,
    node: Node,
    signer: Box<dyn Signer>,
    store: StoreThread,
    calls: Option<mpsc::Receiver<Call>>,
    notes: mpsc::UnboundedReceiver<Note>,
    switch: Switch,
    /// Who waits for a connection.
    opening: BTreeMap<Ticket, Opening>,
    arrivals: mpsc::UnboundedReceiver<Arrival<R>>,
    door: Door<R>,
    /// Dropping one ends its listener.
    listeners: Vec<oneshot::Sender<()>>,
    /// Each ends when a listener's socket is closed.
    closing: Vec<oneshot::Receiver<()>>,
    /// What is advertised.
    urls: Vec<String>,
    /// Routes through relays, behind those.
    routes: Vec<String>,
    /// Until the first poll.
    relays: Vec<RelayHome>,
    dialer: Dialer,
    /// Dropping it leaves the relays.
    behind: Option<mpsc::UnboundedSender<Change>>,
    /// Dropping it leaves the local network.
    lan: Option<mpsc::UnboundedSender<LanWord>>,
    me: InstanceId,
    /// What is bound before the first poll.
    bound: Option<Bound>,
    subscribers: Vec<Subscriber>,
    traces: Traces,
    counters: Arc<Mutex<Counters>>,
    waiting: BTreeMap<Ticket, oneshot::Sender<Result<Reply, NodeError>>>,
    tickets: Tickets,
    links: BTreeMap<LinkId, Peer<R>>,
    next_link: u64,
    woken: Arc<Woken>,
    woken_now: Vec<LinkId>,
    turn: VecDeque<LinkId>,
    /// Links from which nothing is read until local work is done.
    paused: BTreeSet<LinkId>,
    /// When links that were said goodbye to are dropped.
    goodbyes: BTreeSet<(Instant, LinkId)>,
    alarm: Option<R::Alarm>,
    armed: Option<Instant>,
    frame: BytesMut,
    /// The node takes nothing more; what it still says is heard.
    last_words: bool,
    /// The node has said its last word.
    stopped: Option<Result<(), NetError>>,
    ended: Option<Ended>,
}

/// Binds the listener, starts the store's thread, and makes a loop that is not running yet.
///
/// # Errors
/// [`NetError::PortTaken`], [`NetError::Bind`], [`NetError::NoEntropy`], [`NetError::Thread`], or what
/// [`Node::new`] says.
pub fn prepare<R: Runtime>(
    runtime: R,
    parts: Parts,
    options: Options,
) -> Result<(Handle, Events, EventLoop<R>), NetError> {
    let bound = options.listen.bind(options.lan.is_some())?;
    let seed = runtime.entropy().map_err(|_| NetError::NoEntropy)?;
    let mut storage = parts.storage;
    storage.set_owner(parts.identity.public.clone()).map_err(NodeError::from)?;
    let me = parts.identity.public.instance_id();
    let node = Node::new(parts.config, parts.identity, seed, runtime.now())?;
    let store = StoreThread::start(storage)?;
    let counters = Arc::<Mutex<Counters>>::default();
    let (handle, calls, notes, ended) = handle(options.event_buffer, Arc::clone(&counters));
    let (subscriber, events) = subscription(options.event_buffer);
    let (arrived, arrivals) = mpsc::unbounded();
    let door = Door {
        runtime: runtime.clone(),
        gate: Gate::new(options.gate),
        arrivals: arrived,
        upgrade_deadline: options.upgrade_deadline,
        site: parts.site,
        browsers: Site::gate(),
        counters: Arc::clone(&counters),
    };
    let event_loop = EventLoop {
        runtime,
        options,
        node,
        signer: parts.signer,
        store,
        calls: Some(calls),
        notes,
        switch: Switch::default(),
        opening: BTreeMap::new(),
        arrivals,
        door,
        listeners: Vec::new(),
        closing: Vec::new(),
        urls: Vec::new(),
        routes: Vec::new(),
        relays: parts.relays,
        dialer: parts.dialer,
        behind: None,
        lan: None,
        me,
        bound: Some(bound),
        subscribers: vec![subscriber],
        traces: Traces::default(),
        counters,
        waiting: BTreeMap::new(),
        tickets: Tickets::default(),
        links: BTreeMap::new(),
        next_link: 0,
        woken: Arc::default(),
        woken_now: Vec::new(),
        turn: VecDeque::new(),
        paused: BTreeSet::new(),
        goodbyes: BTreeSet::new(),
        alarm: None,
        armed: None,
        frame: BytesMut::new(),
        last_words: false,
        stopped: None,
        ended: Some(ended),
    };
    Ok((handle, events, event_loop))
}

/// Nothing in it is pinned in place.
impl<R: Runtime> Unpin for EventLoop<R> {}

impl<R: Runtime> Future for EventLoop<R> {
    type Output = Result<(), NetError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.woken.register(cx.waker());
        if let Some(bound) = this.bound.take()
            && !this.options.offline
        {
            this.look_on_lan();
            this.listen(bound);
            let relays = std::mem::take(&mut this.relays);
            this.register(relays);
        }
        for _ in 0..PASSES {
            let mut busy = this.outputs();
            busy |= this.timers();
            busy |= this.answers(cx);
            busy |= this.woken();
            busy |= this.arrivals(cx);
            busy |= this.calls(cx);
            busy |= this.noted(cx);
            busy |= this.serve();
            if let Some(result) = this.finished(cx) {
                if let Some(ended) = this.ended.take() {
                    let _ = ended.send(result.clone());
                }
                return Poll::Ready(result);
            }
            if !busy && this.sleep(cx) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<R: Runtime> EventLoop<R> {
    /// Gives the node one input.
    fn tell(&mut self, input: Input) {
        if self.stopped.is_none() {
            let result = self.node.handle(self.runtime.now(), input);
            self.heed(result);
        }
    }

    /// The node's errors end it. That it was stopped is no error: its last output says so, behind all others.
    fn heed(&mut self, result: Result<(), NodeError>) {
        match result {
            Ok(()) => {}
            Err(NodeError::Stopped) => self.last_words = true,
            Err(error) => self.stop(Err(error.into())),
        }
    }

    fn stop(&mut self, result: Result<(), NetError>) {
        if self.stopped.is_some() {
            return;
        }
        if let Err(error) = &result {
            tracing::error!(%error, "the node ended");
        }
        self.stopped = Some(result);
        self.behind = None;
        self.lan = None;
        self.listeners.clear();
        self.calls = None;
        self.waiting.clear();
        self.opening.clear();
        self.switch = Switch::default();
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            self.goodbye(link);
        }
    }

    /// Local outputs: effects, replies and events, in order.
    fn outputs(&mut self) -> bool {
        for taken in 0..OUTPUTS {
            let Some(output) = self.node.poll() else {
                if self.last_words {
                    self.stop(Ok(()));
                }
                return taken > 0;
            };
            match output {
                Output::Store { ticket, requests, order } => {
                    if let Err(error) = self.store.ask(ticket, requests, order) {
                        self.stop(Err(error));
                    }
                }
                Output::Sign { ticket, key, bytes } => {
                    let signature = self.signer.sign(key, &bytes);
                    self.tell(Input::Signed { ticket, signature });
                    self.resume();
                }
                Output::Dial { ticket, url, via, rules } => self.dial(ticket, url, via, rules),
                Output::CloseLink { link } => self.goodbye(link),
                Output::Reply { ticket, result } => {
                    self.answer(ticket, result);
                }
                Output::Event(event) => self.publish(event),
            }
        }
        true
    }

    fn answer(&mut self, ticket: Ticket, result: Result<Reply, NodeError>) {
        if let Some(waiting) = self.waiting.remove(&ticket) {
            let _ = waiting.send(result);
        } else if let Some(opening) = self.opening.remove(&ticket)
            && let Some(unwanted) = self.switch.answer(opening, result)
        {
            self.command(Note::Close(unwanted).into());
        }
    }

    /// A command to whose answer nobody listens.
    fn command(&mut self, command: Command) {
        let ticket = self.tickets.issue();
        self.tell(Input::Command { ticket, command });
    }

    fn publish(&mut self, event: Event) {
        let now = self.runtime.now().mono;
        if let Event::SessionStarted { link, .. } = &event
            && let Some(peer) = self.links.get_mut(link)
        {
            peer.authenticated(now);
        }
        self.traces.note(now, &event);
        let event = match event {
            Event::Group(event) => match self.switch.bring(event) {
                Some(event) => Event::Group(event),
                None => return,
            },
            event => event,
        };
        self.counters.lock().unwrap_or_else(PoisonError::into_inner).note(&event);
        let last = matches!(event, Event::Stopped);
        if let [one] = self.subscribers.as_mut_slice() {
            if !one.tell(event) {
                self.subscribers.clear();
            }
        } else {
            self.subscribers.retain_mut(|subscriber| subscriber.tell(event.clone()));
        }
        if last {
            self.stop(Ok(()));
        }
    }

    fn dial(&mut self, ticket: Ticket, url: String, via: Option<Via>, rules: DialRules) {
        let (runtime, dialer) = (self.runtime.clone(), self.dialer.clone());
        let arrivals = self.door.arrivals.clone();
        let deadline = self.options.dial_deadline;
        if self.options.offline {
            let result = Err(DialError::NotAllowed);
            let _ = arrivals.unbounded_send(Arrival::Dialled { ticket, result });
            return;
        }
        self.runtime.spawn(async move {
            let result = dial::dial_route(&runtime, &dialer, &url, via.as_ref(), rules, deadline).await;
            let _ = arrivals.unbounded_send(Arrival::Dialled { ticket, result });
        });
    }

    /// What is due by the clock.
    fn timers(&mut self) -> bool {
        let now = self.runtime.now();
        let mut busy = false;
        if self.stopped.is_none() && self.node.poll_timeout().is_some_and(|due| due <= now.mono) {
            busy = true;
            let result = self.node.handle_timeout(now);
            self.heed(result);
            self.resume();
        }
        while let Some((due, link)) = self.goodbyes.first().copied()
            && due <= now.mono
        {
            self.drop_link(link, LinkCause::Local);
            busy = true;
        }
        busy
    }

    /// What the store has done.
    fn answers(&mut self, cx: &mut Context<'_>) -> bool {
        for taken in 0..JOBS {
            match self.store.answers.poll_next_unpin(cx) {
                Poll::Ready(Some(Answer::Staged(ticket, results))) => {
                    self.tell(Input::Staged { ticket, results });
                }
                Poll::Ready(Some(Answer::Done(ticket, results))) => {
                    self.tell(Input::Stored { ticket, results });
                }
                Poll::Ready(None) if self.stopped.is_none() => self.stop(Err(NetError::StoreGone)),
                Poll::Ready(None) | Poll::Pending => {
                    if taken > 0 {
                        self.resume();
                    }
                    return taken > 0;
                }
            }
        }
        self.resume();
        true
    }

    /// Links from which nothing was read for the sake of local work, and from which the node takes frames again.
    fn resume(&mut self) {
        let node = &self.node;
        for link in self.paused.extract_if(.., |link| node.wants_input(*link)) {
            if let Some(peer) = self.links.get_mut(&link) {
                peer.queue(&mut self.turn);
            }
        }
    }

    /// New links.
    fn arrivals(&mut self, cx: &mut Context<'_>) -> bool {
        for taken in 0..JOBS {
            let Poll::Ready(Some(arrival)) = self.arrivals.poll_next_unpin(cx) else { return taken > 0 };
            match arrival {
                Arrival::Accepted { link, permit } => {
                    let origin = Origin::Accepted { source: permit.source() };
                    self.link_up(link, origin, Some(permit));
                }
                Arrival::Relayed { link, permit, route } => {
                    let origin = Origin::Relayed { source: permit.source(), route };
                    self.link_up(link, origin, Some(permit));
                }
                Arrival::LanAsks => {
                    let peers = self.node.lan_peers();
                    self.tell_lan(LanWord::Peers(peers));
                }
                Arrival::Nearby { instance, at } => self.tell(Input::Nearby { instance, at }),
                Arrival::Routes(routes) => {
                    self.routes = routes;
                    self.advertise();
                }
                Arrival::Dialled { ticket, result: Ok(link) } => {
                    self.link_up(link, Origin::Dialled(ticket), None);
                }
                Arrival::Dialled { ticket, result: Err(cause) } => {
                    self.tell(Input::DialFailed { ticket, cause });
                }
            }
        }
        true
    }

    fn link_up(&mut self, link: Link<R>, origin: Origin, permit: Option<Permit>) {
        if self.stopped.is_some() || permit.as_ref().is_some_and(Permit::is_put_out) {
            return;
        }
        let Ok(seed) = self.runtime.entropy() else { return self.stop(Err(NetError::NoEntropy)) };
        let id = LinkId(self.next_link);
        self.next_link += 1;
        tracing::debug!(link = id.0, ?origin, "link up");
        let mut peer = Peer::new(link, self.woken.waker(id), permit);
        peer.queue(&mut self.turn);
        self.links.insert(id, peer);
        self.tell(Input::LinkUp { link: id, origin, seed });
    }

    /// What applications ask.
    fn calls(&mut self, cx: &mut Context<'_>) -> bool {
        for taken in 0..JOBS {
            let Some(calls) = &mut self.calls else { return taken > 0 };
            match calls.poll_next_unpin(cx) {
                Poll::Ready(Some(Call::Command(command, answer))) => {
                    if matches!(command, Command::Wake) {
                        if let Some(behind) = &self.behind {
                            let _ = behind.unbounded_send(Change::Network);
                        }
                        self.tell_lan(LanWord::Changed);
                    }
                    let ticket = self.tickets.issue();
                    self.waiting.insert(ticket, answer);
                    self.tell(Input::Command { ticket, command });
                }
                Poll::Ready(Some(Call::Listen(listen, answer))) => {
                    let _ = answer.send(self.move_to(listen));
                }
                Poll::Ready(Some(Call::Subscribe(subscriber))) => self.subscribers.push(subscriber),
                Poll::Ready(Some(Call::Relays(relays))) => self.register(relays),
                Poll::Ready(Some(Call::Serve(group, server))) => self.switch.serve(group, server),
                Poll::Ready(Some(Call::Open(open, answer))) => {
                    let ticket = self.tickets.issue();
                    self.opening.insert(ticket, answer);
                    self.tell(Input::Command { ticket, command: Command::Group(open) });
                }
                Poll::Ready(None) => {
                    self.calls = None;
                    self.command(Command::Shutdown);
                }
                Poll::Pending => return taken > 0,
            }
        }
        true
    }

    /// What applications have taken from connections and closed.
    fn noted(&mut self, cx: &mut Context<'_>) -> bool {
        for taken in 0..JOBS {
            match self.notes.poll_next_unpin(cx) {
                Poll::Ready(Some(note)) => self.command(note.into()),
                Poll::Ready(None) | Poll::Pending => return taken > 0,
            }
        }
        true
    }

    fn move_to(&mut self, listen: Listen) -> Result<Vec<String>, NetError> {
        // Binding where this process listens already would fail, and is not what is meant.
        if !listen.is_at(&self.urls) {
            self.listen(listen.bind(self.options.lan.is_some())?);
        }
        Ok(self.urls.clone())
    }

    fn listen(&mut self, bound: Bound) {
        self.listeners.clear();
        self.closing.retain_mut(|closed| matches!(closed.try_recv(), Ok(None)));
        for socket in bound.sockets {
            let (stop, stopped) = oneshot::channel();
            let (closes, closed) = oneshot::channel();
            self.listeners.push(stop);
            self.closing.push(closed);
            let keep = self.door.clone().keep(socket, stopped);
            self.runtime.spawn(async move {
                keep.await;
                drop(closes);
            });
        }
        tracing::info!(urls = ?bound.urls, "listening");
        self.urls.clone_from(&bound.urls);
        self.tell_lan(LanWord::Listening(bound.port));
        self.advertise();
    }

    fn advertise(&mut self) {
        let urls = self.urls.iter().chain(&self.routes).cloned().collect();
        self.tell(Input::Listening { urls });
    }

    /// Looks for contacts on the local network, beside the loop, until it ends.
    fn look_on_lan(&mut self) {
        let Some(options) = self.options.lan else { return };
        let (tell, words) = mpsc::unbounded();
        let (closes, closed) = oneshot::channel();
        let arrivals = self.door.arrivals.clone();
        let Some(looking) = OnLan::new(&self.runtime, self.me, options, arrivals, words) else {
            return self.stop(Err(NetError::NoEntropy));
        };
        self.lan = Some(tell);
        self.closing.push(closed);
        self.runtime.spawn(async move {
            looking.await;
            drop(closes);
        });
    }

    fn tell_lan(&self, word: LanWord) {
        if let Some(lan) = &self.lan {
            let _ = lan.unbounded_send(word);
        }
    }

    /// Stands behind the relays of the list, beside the loop, until it ends or is given another list.
    fn register(&mut self, relays: Vec<RelayHome>) {
        if let Some(behind) = &self.behind {
            let _ = behind.unbounded_send(Change::Relays(relays));
            return;
        }
        if relays.is_empty() || self.options.offline {
            return;
        }
        let (tell, changes) = mpsc::unbounded();
        let (closes, closed) = oneshot::channel();
        let arrivals = self.door.arrivals.clone();
        let behind = BehindRelays::new(&self.runtime, relays, arrivals, &self.options, &self.dialer, changes);
        let Some(behind) = behind else { return self.stop(Err(NetError::NoEntropy)) };
        self.behind = Some(tell);
        self.closing.push(closed);
        self.runtime.spawn(async move {
            behind.await;
            drop(closes);
        });
    }

    /// Links on which something happened. Strangers who have lost their place go at once: those who have it come next.
    fn woken(&mut self) -> bool {
        let mut woken = std::mem::take(&mut self.woken_now);
        self.woken.take(&mut woken);
        let any = !woken.is_empty();
        for link in woken.drain(..) {
            let Some(peer) = self.links.get_mut(&link) else { continue };
            peer.woken();
            if peer.is_put_out() {
                self.counters.lock().unwrap_or_else(PoisonError::into_inner).put_out();
                self.drop_link(link, LinkCause::PutOut);
            } else {
                peer.queue(&mut self.turn);
            }
        }
        self.woken_now = woken;
        any
    }

    /// Serves the links on which something happened, each for a bounded time, in turn.
    fn serve(&mut self) -> bool {
        while let Some(link) = self.node.next_ready_link() {
            if let Some(peer) = self.links.get_mut(&link) {
                peer.queue(&mut self.turn);
            }
        }
        let due = self.turn.len().min(LINKS);
        for _ in 0..due {
            let Some(link) = self.turn.pop_front() else { break };
            self.serve_link(link);
        }
        due > 0
    }

    fn serve_link(&mut self, id: LinkId) {
        let Some(peer) = self.links.get_mut(&id) else { return };
        peer.dequeued();
        match peer.serve(id, &mut self.node, &self.runtime, &mut self.frame) {
            Turn::Again => peer.queue(&mut self.turn),
            Turn::Waits => {}
            Turn::Paused => {
                self.paused.insert(id);
            }
            Turn::Down(cause) => self.drop_link(id, cause),
            Turn::Ended(error) => self.heed(Err(error)),
        }
    }

    /// Sends what there is, closes, and waits a moment for the other end to do so too.
    fn goodbye(&mut self, link: LinkId) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        if let Some(until) = peer.close(self.runtime.now().mono + self.options.linger) {
            self.goodbyes.insert((until, link));
        }
        peer.queue(&mut self.turn);
    }

    fn drop_link(&mut self, link: LinkId, cause: LinkCause) {
        let Some(peer) = self.links.remove(&link) else { return };
        if let Some(until) = peer.closes_at() {
            self.goodbyes.remove(&(until, link));
        }
        self.paused.remove(&link);
        let cause = if peer.closes_at().is_some() { LinkCause::Local } else { cause };
        tracing::debug!(link = link.0, ?cause, "link down");
        self.tell(Input::LinkDown { link, cause });
    }

    /// Whether everything is closed after the node's last word.
    fn finished(&mut self, cx: &mut Context<'_>) -> Option<Result<(), NetError>> {
        let result = self.stopped.clone()?;
        self.closing.retain_mut(|closed| closed.poll_unpin(cx).is_pending());
        if !self.links.is_empty() || !self.closing.is_empty() {
            return None;
        }
        self.store.close();
        loop {
            match self.store.answers.poll_next_unpin(cx) {
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => return Some(result),
                Poll::Pending => return None,
            }
        }
    }

    /// Sets the alarm; `false` if it rings already.
    fn sleep(&mut self, cx: &mut Context<'_>) -> bool {
        let node = if self.stopped.is_none() { self.node.poll_timeout() } else { None };
        let goodbye = self.goodbyes.first().map(|(due, _)| *due);
        let Some(due) = [node, goodbye].into_iter().flatten().min() else { return true };
        let alarm = self.alarm.get_or_insert_with(|| self.runtime.alarm());
        // An alarm that rings too early is set again then: cheaper than moving it with every frame.
        if self.armed.is_none_or(|armed| due < armed) {
            alarm.set(due);
            self.armed = Some(due);
        }
        if alarm.poll(cx).is_ready() {
            self.armed = None;
            return false;
        }
        true
    }
}
