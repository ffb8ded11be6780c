//! The relay's own loop: the server machine over real sockets.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_channel::{mpsc, oneshot};
use futures_util::StreamExt as _;
use lama_core::Instant;
use lama_identity::SignSecret;
use lama_invite::Source;
use lama_node::LinkId as WakeId;
use lama_relay::{Config, LinkId, Server, ServerInput, ServerOutput, Stats};
use tungstenite::protocol::Role;

use crate::gate::{Gate, GateConfig, Permit};
use crate::link::Link;
use crate::runtime::{Alarm as _, Runtime, Wire as _, within};
use crate::tls::TlsServer;
use crate::upgrade::{self, Asked, Open, RELAY_SUBPROTOCOL, UpgradeError};
use crate::wake::{LinkWaker, Woken};

const PASSES: usize = 32;
/// Frames out, and frames in, of a link in one turn.
const FRAMES: usize = 16;
const LINKS: usize = 64;
/// What is served besides calls: only numbers, of nobody in particular.
const PAGES: &[&str] = &["/health", "/metrics"];
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a relay is made of.
pub struct RelayParts {
    /// Limits of the protocol.
    pub config: Config,
    /// The key that routes pin.
    pub key: SignSecret,
    /// The names under which it is reached; a client that dials another one is refused.
    pub hosts: Vec<String>,
    /// Bound listeners, set to non-blocking.
    pub listeners: Vec<TcpListener>,
    /// Its certificate; `None`: it is spoken to without TLS, or TLS ends at a proxy before it.
    pub tls: Option<TlsServer>,
    /// Whether a proxy stands before it, so that everybody comes from one address: the limits of each address go by what the
    /// proxy says in `X-Forwarded-For`. Nobody else may reach the listener then.
    pub behind_proxy: bool,
    /// How many strangers may knock: 64 at a time from one address block, for many instances may live behind one, and
    /// 4,096 in all, for a call that comes to nothing stays until its answer may leave, whether or not its caller waits.
    pub gate: GateConfig,
    /// From the accepted socket to the open WebSocket: 5 s.
    pub upgrade_deadline: Duration,
    /// How long a closed link may take to bring its last frames away: 2 s.
    pub linger: Duration,
}

impl RelayParts {
    /// With the usual limits.
    #[must_use]
    pub fn new(key: SignSecret, hosts: Vec<String>, listeners: Vec<TcpListener>) -> Self {
        let gate = GateConfig {
            per_source: 64,
            total: 4096,
            burst: 128,
            interval: Duration::from_millis(50),
            sources: 16_384,
            ..GateConfig::refusing()
        };
        let (upgrade_deadline, linger) = (Duration::from_secs(5), Duration::from_secs(2));
        let config = Config::default();
        Self { config, key, hosts, listeners, tls: None, behind_proxy: false, gate, upgrade_deadline, linger }
    }
}

enum Call<R: Runtime> {
    Accepted { link: Link<R>, permit: Permit, source: Source, host: String },
    Stats(oneshot::Sender<Stats>),
    Drain,
}

/// Speaks to a running relay. Cheap to clone; the relay runs on without it.
pub struct RelayHandle<R: Runtime> {
    calls: mpsc::UnboundedSender<Call<R>>,
}

impl<R: Runtime> Clone for RelayHandle<R> {
    fn clone(&self) -> Self {
        Self { calls: self.calls.clone() }
    }
}

impl<R: Runtime> RelayHandle<R> {
    /// What is there and what has happened; `None`: it runs no more.
    pub async fn stats(&self) -> Option<Stats> {
        let (answer, answered) = oneshot::channel();
        self.calls.unbounded_send(Call::Stats(answer)).ok()?;
        answered.await.ok()
    }

    /// Takes no more calls and ends when those under way have, or after the time for that.
    pub fn drain(&self) {
        let _ = self.calls.unbounded_send(Call::Drain);
    }
}

/// One connection in the loop.
struct Peer<R: Runtime> {
    link: Link<R>,
    waker: Waker,
    flag: Arc<LinkWaker>,
    queued: bool,
    /// When it is dropped, if it is being closed.
    closing: Option<Instant>,
    /// Until it has registered, or is part of a call.
    permit: Option<Permit>,
}

enum Turn {
    Again,
    Waits,
    Gone,
}

/// A future that is the relay at work; it ends after [`RelayHandle::drain`].
pub struct RelayLoop<R: Runtime> {
    runtime: R,
    server: Server,
    key: SignSecret,
    calls: mpsc::UnboundedReceiver<Call<R>>,
    door: Door<R>,
    listeners: Vec<TcpListener>,
    /// Dropping one ends its listener.
    stops: Vec<oneshot::Sender<()>>,
    links: BTreeMap<LinkId, Peer<R>>,
    next_link: u64,
    woken: Arc<Woken>,
    woken_now: Vec<WakeId>,
    turn: VecDeque<LinkId>,
    closing: std::collections::BTreeSet<(Instant, LinkId)>,
    alarm: R::Alarm,
    armed: Option<Instant>,
    linger: Duration,
    over: bool,
}

/// Makes a relay that is not running yet.
#[must_use]
pub fn prepare_relay<R: Runtime>(runtime: R, parts: RelayParts) -> (RelayHandle<R>, RelayLoop<R>) {
    let hosts: Vec<&str> = parts.hosts.iter().map(String::as_str).collect();
    let server = Server::new(parts.config, *parts.key.public(), &hosts);
    let (calls, waiting) = mpsc::unbounded();
    let handle = RelayHandle { calls };
    let mut gate = parts.gate;
    if parts.behind_proxy {
        // The proxy's own address has all the places, and no rate.
        (gate.per_source, gate.interval) = (gate.total, Duration::ZERO);
    }
    let door = Door {
        runtime: runtime.clone(),
        gate: Gate::new(gate),
        tls: parts.tls,
        behind_proxy: parts.behind_proxy,
        handle: handle.clone(),
        deadline: parts.upgrade_deadline,
    };
    let relay = RelayLoop {
        alarm: runtime.alarm(),
        runtime,
        server,
        key: parts.key,
        calls: waiting,
        door,
        listeners: parts.listeners,
        stops: Vec::new(),
        links: BTreeMap::new(),
        next_link: 0,
        woken: Arc::default(),
        woken_now: Vec::new(),
        turn: VecDeque::new(),
        closing: Default::default(),
        armed: None,
        linger: parts.linger,
        over: false,
    };
    (handle, relay)
}

/// Nothing in it is pinned in place.
impl<R: Runtime> Unpin for RelayLoop<R> {}

impl<R: Runtime> Future for RelayLoop<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.woken.register(cx.waker());
        this.open_doors();
        for _ in 0..PASSES {
            let mut busy = this.outputs();
            busy |= this.timers();
            busy |= this.calls(cx);
            busy |= this.serve();
            if this.over {
                return Poll::Ready(());
            }
            if !busy && this.sleep(cx) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<R: Runtime> RelayLoop<R> {
    fn open_doors(&mut self) {
        for socket in self.listeners.drain(..) {
            let (stop, stopped) = oneshot::channel();
            self.stops.push(stop);
            self.runtime.spawn(self.door.clone().keep(socket, stopped));
        }
    }

    fn tell(&mut self, input: ServerInput) {
        if let Err(error) = self.server.handle(self.runtime.now(), input) {
            tracing::error!(code = error.code(), "the relay was misused");
        }
    }

    fn outputs(&mut self) -> bool {
        let mut busy = false;
        while let Some(output) = self.server.poll() {
            busy = true;
            match output {
                ServerOutput::Sign { ticket, bytes } => {
                    let signature = Some(self.key.sign_input(&bytes));
                    self.tell(ServerInput::Signed { ticket, signature });
                }
                ServerOutput::Close { link, why } => {
                    if let Some(why) = why {
                        tracing::debug!(link = link.0, code = why.code(), "closed a link");
                    }
                    let until = self.runtime.now().mono + self.linger;
                    if let Some(peer) = self.links.get_mut(&link) {
                        peer.closing = Some(until);
                        self.closing.insert((until, link));
                        queue(peer, link, &mut self.turn);
                    }
                }
                ServerOutput::Drained => self.over = true,
            }
        }
        busy
    }

    fn timers(&mut self) -> bool {
        let now = self.runtime.now();
        let mut busy = self.server.poll_timeout().is_some_and(|due| due <= now.mono);
        if busy && let Err(error) = self.server.handle_timeout(now) {
            tracing::error!(code = error.code(), "the relay was misused");
        }
        while let Some((due, link)) = self.closing.first().copied()
            && due <= now.mono
        {
            self.drop_link(link);
            busy = true;
        }
        busy
    }

    fn calls(&mut self, cx: &mut Context<'_>) -> bool {
        for taken in 0..LINKS {
            match self.calls.poll_next_unpin(cx) {
                Poll::Ready(Some(Call::Accepted { link, permit, source, host })) => {
                    self.link_up(link, permit, source, host);
                }
                Poll::Ready(Some(Call::Stats(answer))) => {
                    let _ = answer.send(self.server.stats());
                }
                Poll::Ready(Some(Call::Drain)) => {
                    self.stops.clear();
                    self.tell(ServerInput::Drain);
                }
                Poll::Ready(None) | Poll::Pending => return taken > 0,
            }
        }
        true
    }

    fn link_up(&mut self, mut link: Link<R>, permit: Permit, source: Source, host: String) {
        // Without entropy there is no fresh nonce: the link is dropped.
        let Ok(seed) = self.runtime.entropy() else { return };
        let id = LinkId(self.next_link);
        self.next_link += 1;
        let (waker, flag) = self.woken.waker(WakeId(id.0));
        let exporter = link.exporter();
        let mut peer = Peer { link, waker, flag, queued: false, closing: None, permit: Some(permit) };
        queue(&mut peer, id, &mut self.turn);
        self.links.insert(id, peer);
        self.tell(ServerInput::LinkUp { link: id, source, host, exporter, seed });
    }

    fn serve(&mut self) -> bool {
        self.woken.take(&mut self.woken_now);
        for woken in self.woken_now.drain(..) {
            let id = LinkId(woken.0);
            if let Some(peer) = self.links.get_mut(&id) {
                peer.flag.clear();
                queue(peer, id, &mut self.turn);
            }
        }
        while let Some(id) = self.server.next_ready_link() {
            if let Some(peer) = self.links.get_mut(&id) {
                queue(peer, id, &mut self.turn);
            }
        }
        let due = self.turn.len().min(LINKS);
        for _ in 0..due {
            let Some(id) = self.turn.pop_front() else { break };
            let Some(peer) = self.links.get_mut(&id) else { continue };
            peer.queued = false;
            let turn = serve_link(peer, id, &mut self.server, &self.runtime);
            // Some settle by what is said here, and may have nothing to say themselves for long.
            if peer.permit.is_some() && self.server.is_settled(id) {
                peer.permit = None;
            }
            match turn {
                Turn::Again => queue(peer, id, &mut self.turn),
                Turn::Waits => {}
                Turn::Gone => self.drop_link(id),
            }
        }
        due > 0
    }

    fn drop_link(&mut self, id: LinkId) {
        if let Some(peer) = self.links.remove(&id)
            && let Some(until) = peer.closing
        {
            self.closing.remove(&(until, id));
        }
        self.tell(ServerInput::LinkDown { link: id });
    }

    /// `false`: it rings already.
    fn sleep(&mut self, cx: &mut Context<'_>) -> bool {
        let closing = self.closing.first().map(|(due, _)| *due);
        let Some(due) = [self.server.poll_timeout(), closing].into_iter().flatten().min() else {
            return true;
        };
        // An alarm that rings too early is set again then: cheaper than moving it with every frame.
        if self.armed.is_none_or(|armed| due < armed) {
            self.alarm.set(due);
            self.armed = Some(due);
        }
        if self.alarm.poll(cx).is_ready() {
            self.armed = None;
            return false;
        }
        true
    }
}

fn queue<R: Runtime>(peer: &mut Peer<R>, id: LinkId, turn: &mut VecDeque<LinkId>) {
    if !peer.queued {
        peer.queued = true;
        turn.push_back(id);
    }
}

/// One turn: some frames out, some in.
fn serve_link<R: Runtime>(peer: &mut Peer<R>, id: LinkId, server: &mut Server, runtime: &R) -> Turn {
    let waker = peer.waker.clone();
    let cx = &mut Context::from_waker(&waker);
    let mut again = true;
    for _ in 0..FRAMES {
        match peer.link.poll_ready(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Turn::Gone,
            Poll::Pending => {
                again = false;
                break;
            }
        }
        let Some(frame) = server.poll_frame(id) else {
            again = false;
            if peer.link.is_unflushed() && matches!(peer.link.poll_flush(cx), Poll::Ready(Err(_))) {
                return Turn::Gone;
            }
            break;
        };
        if peer.link.send(frame).is_err() {
            return Turn::Gone;
        }
    }
    if peer.closing.is_some() {
        return match (again, peer.link.is_unflushed()) {
            (true, _) => Turn::Again,
            (false, true) => Turn::Waits,
            (false, false) => match peer.link.poll_close(cx) {
                Poll::Ready(Ok(())) if peer.link.poll_drained(cx).is_pending() => Turn::Waits,
                Poll::Ready(_) => Turn::Gone,
                Poll::Pending => Turn::Waits,
            },
        };
    }
    for _ in 0..FRAMES {
        if !server.wants_input(id) {
            // It is named again when it may be read.
            return if again { Turn::Again } else { Turn::Waits };
        }
        match peer.link.poll_recv(cx, server.frame_limit(id)) {
            Poll::Ready(Ok(frame)) => {
                if let Err(error) = server.handle(runtime.now(), ServerInput::Frame { link: id, frame }) {
                    tracing::error!(code = error.code(), "the relay was misused");
                }
            }
            Poll::Ready(Err(_)) => return Turn::Gone,
            Poll::Pending => return if again { Turn::Again } else { Turn::Waits },
        }
    }
    Turn::Again
}

/// What the listeners share.
struct Door<R: Runtime> {
    runtime: R,
    gate: Gate,
    tls: Option<TlsServer>,
    behind_proxy: bool,
    handle: RelayHandle<R>,
    deadline: Duration,
}

impl<R: Runtime> Clone for Door<R> {
    fn clone(&self) -> Self {
        let (runtime, gate, tls) = (self.runtime.clone(), self.gate.clone(), self.tls.clone());
        let (behind_proxy, deadline) = (self.behind_proxy, self.deadline);
        Self { runtime, gate, tls, behind_proxy, handle: self.handle.clone(), deadline }
    }
}

impl<R: Runtime> Door<R> {
    async fn keep(self, socket: TcpListener, mut stop: oneshot::Receiver<()>) {
        use futures_util::future::{Either, select};
        let Ok(listener) = self.runtime.listener(socket) else {
            tracing::error!("a listener could not be registered");
            return;
        };
        loop {
            let accept = std::pin::pin!(self.runtime.accept(&listener));
            match select(accept, &mut stop).await {
                Either::Left((Ok((wire, from)), _)) => self.admit(wire, Source::of_ip(from.ip())),
                Either::Left((Err(error), _)) => {
                    tracing::debug!(%error, "accept failed");
                    let pause = self.runtime.now().mono + ACCEPT_PAUSE;
                    within(&self.runtime, pause, std::future::pending::<()>()).await;
                }
                Either::Right(_) => return,
            }
        }
    }

    fn admit(&self, mut wire: R::Wire, source: Source) {
        let now = self.runtime.now().mono;
        let permit = match self.gate.admit(source, now) {
            Ok(permit) => permit,
            Err(full) => {
                tracing::debug!(?full, "refused a connection at the door");
                return;
            }
        };
        let door = self.clone();
        self.runtime.spawn(async move {
            let until = now + door.deadline;
            match within(&door.runtime, until, door.receive(&mut wire)).await {
                Some(Ok(Asked::WebSocket { host, forwarded })) => {
                    let link = Link::new(wire, Role::Server);
                    let named = forwarded.filter(|_| door.behind_proxy).map(Source::of_ip);
                    let source = named.unwrap_or(source);
                    let _ = door.handle.calls.unbounded_send(Call::Accepted { link, permit, source, host });
                }
                Some(Ok(Asked::Page(page))) => {
                    let page = PAGES.get(page).copied().unwrap_or_default();
                    let _ = within(&door.runtime, until, door.answer(&mut wire, page)).await;
                }
                Some(Err(error)) => tracing::debug!(%error, "refused an upgrade"),
                None => tracing::debug!("an upgrade took too long"),
            }
        });
    }

    /// TLS where it ends here, then the request.
    async fn receive(&self, wire: &mut R::Wire) -> Result<Asked, UpgradeError> {
        if let Some(tls) = &self.tls {
            tls.accept(wire).await.map_err(|_| UpgradeError::Lost)?;
        }
        upgrade::receive(wire, &Open { subprotocol: RELAY_SUBPROTOCOL, pages: PAGES }).await
    }

    async fn answer(&self, wire: &mut R::Wire, page: &str) {
        let Some(stats) = self.handle.stats().await else { return };
        let (kind, body) = match page {
            "/metrics" => ("text/plain; version=0.0.4", metrics(&stats)),
            _ if stats.draining => ("text/plain", "draining\n".to_owned()),
            _ => ("text/plain", "ok\n".to_owned()),
        };
        let status = if stats.draining && page == "/health" { "503 Service Unavailable" } else { "200 OK" };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        if upgrade::write_all(wire, answer.as_bytes()).await.is_ok() {
            let _ = std::future::poll_fn(|cx| wire.poll_close(cx)).await;
        }
    }
}

/// Prometheus' text form.
fn metrics(stats: &Stats) -> String {
    let number = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
    let rows: [(&str, &str, u64); 14] = [
        ("lama_relay_links", "gauge", number(stats.links)),
        ("lama_relay_routes", "gauge", number(stats.routes)),
        ("lama_relay_calls", "gauge", number(stats.splices)),
        ("lama_relay_registered_total", "counter", stats.registered),
        ("lama_relay_registers_limited_total", "counter", stats.registers_limited),
        ("lama_relay_rings_total", "counter", stats.rings),
        ("lama_relay_rings_unknown_total", "counter", stats.rings_unknown),
        ("lama_relay_rings_limited_total", "counter", stats.rings_limited),
        ("lama_relay_rings_unanswered_total", "counter", stats.rings_unanswered),
        ("lama_relay_connected_total", "counter", stats.connected),
        ("lama_relay_bytes_total", "counter", stats.bytes),
        ("lama_relay_closed_peer_total", "counter", stats.closed_peer),
        ("lama_relay_closed_limit_total", "counter", stats.closed_limit),
        ("lama_relay_closed_timeout_total", "counter", stats.closed_timeout),
    ];
    rows.iter().map(|(name, kind, value)| format!("# TYPE {name} {kind}\n{name} {value}\n")).collect()
}
