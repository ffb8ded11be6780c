//! Behind relays: the client machine at work beside the loop. It registers, keeps spare connections, and hands a connection
//! over to the loop when somebody rings; from there on that is a link like any other.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_channel::mpsc;
use futures_util::StreamExt as _;
use lama_core::{Instant, Ticket};
use lama_identity::SignPublic;
use lama_invite::{DialRules, Source};
use lama_relay::{Client, ClientConfig, ClientInput, ClientOutput, HomeState, LinkId, RelayAddress};

use crate::config::{Options, RelayHome};
use crate::dial::{self, Dialer};
use crate::event_loop::Arrival;
use crate::gate::{Gate, GateConfig};
use crate::link::Link;
use crate::runtime::{Alarm as _, Runtime};
use crate::upgrade::RELAY_SUBPROTOCOL;

/// Strangers that one route lets in at a time: they all come from the relay, which bounds how many ring (`security.md` 9).
const STRANGERS: usize = 32;
/// Strangers through all relays: with those at the door no more than a node takes.
const ALL_STRANGERS: usize = 64;
/// A step of a call takes two ways through the relay.
const TENURE: Duration = Duration::from_secs(1);

/// A connection to a relay that is not part of a call.
struct Spare<R: Runtime> {
    link: Link<R>,
    /// When it is dropped, if it is being closed.
    closing: Option<Instant>,
}

/// What a spare connection came to.
enum Turn {
    Waits,
    /// The machine has something new to say.
    Told,
    Gone,
}

/// What the loop says.
pub(crate) enum Change {
    /// The network has changed, or the machine was asleep.
    Network,
    /// These are the relays from now on.
    Relays(Vec<RelayHome>),
}

/// As the machine takes it.
fn list(relays: &[RelayHome]) -> Vec<(RelayAddress, SignPublic)> {
    relays.iter().map(|home| (home.address.clone(), *home.key.public())).collect()
}

/// A future that ends after the loop does, or after the other end of `changes` is dropped.
pub(crate) struct BehindRelays<R: Runtime> {
    runtime: R,
    client: Client,
    /// Every relay that was in the list, with the key for it.
    known: Vec<RelayHome>,
    arrivals: mpsc::UnboundedSender<Arrival<R>>,
    dials: mpsc::UnboundedSender<(Ticket, Option<Link<R>>)>,
    dialled: mpsc::UnboundedReceiver<(Ticket, Option<Link<R>>)>,
    options: Options,
    dialer: Dialer,
    changes: Option<mpsc::UnboundedReceiver<Change>>,
    gate: Gate,
    links: BTreeMap<LinkId, Spare<R>>,
    next_link: u64,
    alarm: R::Alarm,
    over: bool,
}

impl<R: Runtime> BehindRelays<R> {
    /// `None`: the operating system gave no entropy.
    pub(crate) fn new(
        runtime: &R,
        relays: Vec<RelayHome>,
        arrivals: mpsc::UnboundedSender<Arrival<R>>,
        options: &Options,
        dialer: &Dialer,
        changes: mpsc::UnboundedReceiver<Change>,
    ) -> Option<Self> {
        let list = list(&relays);
        let seed = runtime.entropy().ok()?;
        let client = Client::new(ClientConfig::default(), list, seed, runtime.now());
        let (dials, dialled) = mpsc::unbounded();
        // A relay's callers all have one source, so none of them is more familiar than the others.
        let gate = GateConfig {
            per_source: STRANGERS,
            total: ALL_STRANGERS,
            reserved: 0,
            familiar: 0,
            tenure: TENURE,
            ..options.gate
        };
        Some(Self {
            runtime: runtime.clone(),
            client,
            known: relays,
            arrivals,
            dials,
            dialled,
            options: *options,
            dialer: dialer.clone(),
            changes: Some(changes),
            gate: Gate::new(gate),
            links: BTreeMap::new(),
            next_link: 0,
            alarm: runtime.alarm(),
            over: false,
        })
    }

    fn tell(&mut self, input: ClientInput) {
        if let Err(error) = self.client.handle(self.runtime.now(), input) {
            tracing::error!(code = error.code(), "the client of the relays was misused");
        }
    }

    fn outputs(&mut self) -> bool {
        let mut busy = false;
        while let Some(output) = self.client.poll() {
            busy = true;
            match output {
                ClientOutput::Dial { ticket, home } => self.dial(ticket, home),
                ClientOutput::Sign { ticket, home, bytes } => {
                    let address = self.client.address(home);
                    let known = self.known.iter().find(|known| Some(&known.address) == address);
                    let signature = known.map(|known| known.key.sign_input(&bytes));
                    self.tell(ClientInput::Signed { ticket, signature });
                }
                ClientOutput::HandOver { link, home } => self.hand_over(link, home),
                ClientOutput::Close { link } => {
                    let until = self.runtime.now().mono + self.options.linger;
                    if let Some(spare) = self.links.get_mut(&link) {
                        spare.closing.get_or_insert(until);
                    }
                }
                ClientOutput::Registered { home } => {
                    tracing::info!(relay = %self.host(home), "registered at a relay");
                    self.tell_routes();
                }
                ClientOutput::Lost { home, why, pause } => {
                    let why = why.map_or("unreachable", |why| why.code());
                    tracing::info!(relay = %self.host(home), why, ?pause, "a relay passes no calls on");
                    self.tell_routes();
                }
                ClientOutput::Shared { home, links } => {
                    let relay = self.host(home);
                    tracing::warn!(%relay, links, "a copy of this instance is registered at the same relay");
                }
                ClientOutput::Stopped => self.over = true,
            }
        }
        busy
    }

    fn host(&self, home: usize) -> String {
        self.client.address(home).map(|address| address.url.to_string()).unwrap_or_default()
    }

    /// A route is told to others only while it works.
    fn tell_routes(&self) {
        let registered = self.client.homes().filter(|home| home.state == HomeState::Registered);
        let routes = registered.map(|home| home.route.to_string()).collect();
        let _ = self.arrivals.unbounded_send(Arrival::Routes(routes));
    }

    fn dial(&mut self, ticket: Ticket, home: usize) {
        let (Some(address), runtime) = (self.client.address(home).cloned(), self.runtime.clone()) else {
            return;
        };
        let (dials, deadline, dialer) = (self.dials.clone(), self.options.dial_deadline, self.dialer.clone());
        // Its user named this relay: it may be wherever he says.
        let rules = DialRules { lan: true, ..DialRules::default() };
        self.runtime.spawn(async move {
            let link =
                dial::connect(&runtime, &dialer, address.url.as_str(), RELAY_SUBPROTOCOL, rules, deadline)
                    .await;
            let _ = dials.unbounded_send((ticket, link.ok()));
        });
    }

    fn dialled(&mut self, cx: &mut Context<'_>) -> bool {
        let mut busy = false;
        while let Poll::Ready(Some((ticket, link))) = self.dialled.poll_next_unpin(cx) {
            busy = true;
            let (Some(link), Ok(seed)) = (link, self.runtime.entropy()) else {
                self.tell(ClientInput::DialFailed { ticket });
                continue;
            };
            let id = LinkId(self.next_link);
            self.next_link += 1;
            let mut spare = Spare { link, closing: None };
            let exporter = spare.link.exporter();
            self.links.insert(id, spare);
            self.tell(ClientInput::LinkUp { ticket, link: id, exporter, seed });
        }
        busy
    }

    /// ACCEPT is in the link's buffer: the loop flushes it.
    fn hand_over(&mut self, id: LinkId, home: usize) {
        let Some(spare) = self.links.remove(&id) else { return };
        let Some(via) = self.client.home(home).and_then(|home| home.route.via) else { return };
        let source = Source::new(via.route_id.first_chunk().copied().unwrap_or_default());
        match self.gate.admit(source, self.runtime.now().mono) {
            Ok(permit) => {
                let arrival = Arrival::Relayed { link: spare.link, permit, route: via.route_id };
                let _ = self.arrivals.unbounded_send(arrival);
            }
            Err(full) => tracing::debug!(?full, "refused a call through a relay"),
        }
    }

    fn serve(&mut self, cx: &mut Context<'_>) -> bool {
        let mut busy = false;
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for id in ids {
            match self.serve_link(cx, id) {
                Turn::Waits => {}
                Turn::Told => busy = true,
                Turn::Gone => {
                    busy = true;
                    self.links.remove(&id);
                    self.tell(ClientInput::LinkDown { link: id });
                }
            }
        }
        busy
    }

    fn serve_link(&mut self, cx: &mut Context<'_>, id: LinkId) -> Turn {
        let now = self.runtime.now();
        let Some(spare) = self.links.get_mut(&id) else { return Turn::Waits };
        if let Some(until) = spare.closing {
            let closed = spare.link.poll_close(cx).is_ready() || until <= now.mono;
            return if closed { Turn::Gone } else { Turn::Waits };
        }
        loop {
            match spare.link.poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Turn::Gone,
                Poll::Pending => break,
            }
            let Some(frame) = self.client.poll_frame(id) else { break };
            if spare.link.send(frame).is_err() {
                return Turn::Gone;
            }
            if !self.client.holds(id) {
                return Turn::Told;
            }
        }
        if spare.link.is_unflushed() && matches!(spare.link.poll_flush(cx), Poll::Ready(Err(_))) {
            return Turn::Gone;
        }
        match spare.link.poll_recv(cx, Client::FRAME_LIMIT) {
            Poll::Ready(Ok(frame)) => {
                self.tell(ClientInput::Frame { link: id, frame });
                Turn::Told
            }
            Poll::Ready(Err(_)) => Turn::Gone,
            Poll::Pending => Turn::Waits,
        }
    }

    /// What the loop says.
    fn changes(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(changes) = &mut self.changes else { return false };
        match changes.poll_next_unpin(cx) {
            Poll::Ready(Some(Change::Network)) => self.tell(ClientInput::Retry),
            Poll::Ready(Some(Change::Relays(relays))) => {
                let list = list(&relays);
                for relay in relays {
                    if self.known.iter().all(|known| known.address != relay.address) {
                        self.known.push(relay);
                    }
                }
                self.tell(ClientInput::Relays(list));
                self.tell_routes();
            }
            Poll::Ready(None) => {
                self.changes = None;
                self.tell(ClientInput::Stop);
            }
            Poll::Pending => return false,
        }
        true
    }

    fn timers(&mut self) -> bool {
        let now = self.runtime.now();
        let due = self.client.poll_timeout().is_some_and(|due| due <= now.mono);
        if due && let Err(error) = self.client.handle_timeout(now) {
            tracing::error!(code = error.code(), "the client of the relays was misused");
        }
        due
    }

    /// `false`: it rings already.
    fn sleep(&mut self, cx: &mut Context<'_>) -> bool {
        let closing = self.links.values().filter_map(|spare| spare.closing).min();
        let Some(due) = [self.client.poll_timeout(), closing].into_iter().flatten().min() else {
            return true;
        };
        self.alarm.set(due);
        self.alarm.poll(cx).is_pending()
    }
}

/// Nothing in it is pinned in place.
impl<R: Runtime> Unpin for BehindRelays<R> {}

impl<R: Runtime> Future for BehindRelays<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            let mut busy = this.changes(cx);
            busy |= this.timers();
            busy |= this.outputs();
            busy |= this.dialled(cx);
            busy |= this.serve(cx);
            if this.over {
                return Poll::Ready(());
            }
            if !busy && this.sleep(cx) {
                return Poll::Pending;
            }
        }
    }
}
