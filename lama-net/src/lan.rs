//! On the local network: the machine that looks for contacts there, at work beside the loop, with a socket on each network.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_channel::mpsc;
use futures_util::StreamExt as _;
use lama_core::Instant;
use lama_identity::InstanceId;
use lama_invite::{HostClass, classify_ip};
use lama_lan::{GROUP, Interface, Lan, LanInput, LanOutput, LanPeer};
use socket2::{Domain, Protocol, Socket, Type};

use crate::event_loop::Arrival;
use crate::runtime::{Alarm as _, Datagrams as _, Runtime};

/// How often it is looked where this machine is, and whom to look for.
const LOOK: Duration = Duration::from_secs(2);
/// Networks at a time.
const MAX_INTERFACES: usize = 8;
/// Packets taken from one socket before the runtime gets control.
const PACKETS: usize = 32;
/// A hop less would tell that a packet came from elsewhere (RFC 6762, 11).
const HOPS: u32 = 255;

/// How contacts are looked for on the local network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LanOptions {
    /// The port of all packets: 5353.
    pub port: u16,
    /// On the loopback alone, instead of on every network that this machine is on: for tests.
    pub loopback: bool,
}

impl Default for LanOptions {
    fn default() -> Self {
        Self { port: lama_lan::PORT, loopback: false }
    }
}

/// What the loop says.
#[derive(Debug)]
pub(crate) enum LanWord {
    /// Who may be looked for, and answered.
    Peers(Vec<LanPeer>),
    /// Where this instance listens.
    Listening(Option<u16>),
    /// The network has changed, or the machine was asleep.
    Changed,
}

/// A future that ends when the other end of `words` is dropped.
pub(crate) struct OnLan<R: Runtime> {
    runtime: R,
    machine: Lan,
    options: LanOptions,
    sockets: Vec<(Interface, R::Datagrams)>,
    words: mpsc::UnboundedReceiver<LanWord>,
    arrivals: mpsc::UnboundedSender<Arrival<R>>,
    alarm: R::Alarm,
    look: Instant,
    buffer: Vec<u8>,
}

impl<R: Runtime> OnLan<R> {
    /// `None`: the operating system gives no entropy.
    pub(crate) fn new(
        runtime: &R,
        me: InstanceId,
        options: LanOptions,
        arrivals: mpsc::UnboundedSender<Arrival<R>>,
        words: mpsc::UnboundedReceiver<LanWord>,
    ) -> Option<Self> {
        let now = runtime.now();
        Some(Self {
            runtime: runtime.clone(),
            machine: Lan::new(me, options.port, runtime.entropy().ok()?, now),
            options,
            sockets: Vec::new(),
            words,
            arrivals,
            alarm: runtime.alarm(),
            look: now.mono,
            buffer: vec![0; lama_lan::wire::MAX_PACKET],
        })
    }

    fn tell(&mut self, input: LanInput<'_>) {
        self.machine.handle(self.runtime.now(), input);
    }

    /// `None`: the loop is over.
    fn words(&mut self, cx: &mut Context<'_>) -> Option<bool> {
        let mut busy = false;
        loop {
            match self.words.poll_next_unpin(cx) {
                Poll::Ready(Some(LanWord::Peers(peers))) => self.tell(LanInput::Peers(peers)),
                Poll::Ready(Some(LanWord::Listening(port))) => self.tell(LanInput::Listening(port)),
                Poll::Ready(Some(LanWord::Changed)) => {
                    self.look = self.runtime.now().mono;
                    self.tell(LanInput::Changed);
                }
                Poll::Ready(None) => return None,
                Poll::Pending => return Some(busy),
            }
            busy = true;
        }
    }

    /// What is due by the clock.
    fn timers(&mut self) -> bool {
        let now = self.runtime.now();
        let mut busy = false;
        if self.look <= now.mono {
            self.look = now.mono + LOOK;
            self.look_around();
            let _ = self.arrivals.unbounded_send(Arrival::LanAsks);
            busy = true;
        }
        if self.machine.poll_timeout().is_some_and(|due| due <= now.mono) {
            self.machine.handle_timeout(now);
            busy = true;
        }
        busy
    }

    /// A socket on every network that this machine is on now.
    fn look_around(&mut self) {
        let Some(found) = interfaces(self.options.loopback) else { return };
        let unchanged = found.len() == self.sockets.len()
            && found.iter().all(|one| self.sockets.iter().any(|(there, _)| there == one));
        if unchanged {
            return;
        }
        self.sockets.retain(|(there, _)| found.contains(there));
        for interface in found {
            if self.sockets.iter().any(|(there, _)| *there == interface) {
                continue;
            }
            match socket(interface, self.options.port).and_then(|bound| self.runtime.datagrams(bound)) {
                Ok(socket) => self.sockets.push((interface, socket)),
                Err(error) => {
                    tracing::warn!(address = %interface.address, %error, "not looking on this local network");
                }
            }
        }
        let list = self.sockets.iter().map(|(interface, _)| *interface).collect();
        self.tell(LanInput::Interfaces(list));
    }

    fn packets(&mut self, cx: &mut Context<'_>) -> bool {
        let mut busy = false;
        for at in 0..self.sockets.len() {
            for _ in 0..PACKETS {
                let Some((interface, socket)) = self.sockets.get_mut(at) else { break };
                let interface = interface.address;
                match socket.poll_recv(cx, &mut self.buffer) {
                    Poll::Ready(Ok((len, SocketAddr::V4(from)))) => {
                        busy = true;
                        let bytes = self.buffer.get(..len).unwrap_or_default();
                        let now = self.runtime.now();
                        self.machine.handle(now, LanInput::Packet { interface, from, bytes });
                    }
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => {
                        tracing::debug!(%interface, %error, "a packet was not received");
                        break;
                    }
                    Poll::Pending => break,
                }
            }
        }
        busy
    }

    fn outputs(&mut self) -> bool {
        let mut busy = false;
        while let Some(output) = self.machine.poll() {
            busy = true;
            match output {
                LanOutput::Send { interface, packet } => self.send(interface, &packet),
                LanOutput::Found { instance, address } => {
                    tracing::debug!("a contact was found on the local network");
                    let _ = self.arrivals.unbounded_send(Arrival::Nearby { instance, at: address });
                }
            }
        }
        busy
    }

    fn send(&mut self, interface: Ipv4Addr, packet: &[u8]) {
        let socket = self.sockets.iter_mut().find(|(there, _)| there.address == interface);
        let Some((_, socket)) = socket else { return };
        let group = SocketAddr::from((GROUP, self.options.port));
        if let Err(error) = socket.send(packet, group) {
            tracing::debug!(%interface, %error, "a packet was not sent");
        }
    }

    /// `false`: it rings already.
    fn sleep(&mut self, cx: &mut Context<'_>) -> bool {
        let due = self.machine.poll_timeout().map_or(self.look, |due| due.min(self.look));
        self.alarm.set(due);
        self.alarm.poll(cx).is_pending()
    }
}

/// Nothing in it is pinned in place.
impl<R: Runtime> Unpin for OnLan<R> {}

impl<R: Runtime> Future for OnLan<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        for _ in 0..PACKETS {
            let Some(mut busy) = this.words(cx) else { return Poll::Ready(()) };
            busy |= this.timers();
            busy |= this.packets(cx);
            busy |= this.outputs();
            if !busy && this.sleep(cx) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The local networks that this machine is on. `None`: the system does not say.
fn interfaces(loopback: bool) -> Option<Vec<Interface>> {
    let wanted = if loopback { HostClass::Loopback } else { HostClass::Private };
    let of = |one: if_addrs::Interface| match one.addr {
        if_addrs::IfAddr::V4(v4) => {
            let is = classify_ip(IpAddr::V4(v4.ip)) == wanted;
            is.then_some(Interface { address: v4.ip, mask: v4.netmask })
        }
        if_addrs::IfAddr::V6(_) => None,
    };
    let mut found: Vec<Interface> = if_addrs::get_if_addrs().ok()?.into_iter().filter_map(of).collect();
    found.sort_unstable();
    found.dedup_by_key(|interface| interface.address);
    found.truncate(MAX_INTERFACES);
    Some(found)
}

/// A socket that hears what is sent to the group on one network, beside any other program that does.
fn socket(interface: Interface, port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(any(target_os = "android", target_os = "linux"))))]
    socket.set_reuse_port(true)?;
    // What other sockets of this machine have joined is theirs.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket.set_multicast_all_v4(false)?;
    socket.set_multicast_if_v4(&interface.address)?;
    socket.set_multicast_ttl_v4(HOPS)?;
    // Another instance may be on this very machine.
    socket.set_multicast_loop_v4(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
    socket.join_multicast_v4(&GROUP, &interface.address)?;
    Ok(socket.into())
}
