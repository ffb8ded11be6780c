//! Listening: on the loopback addresses of both families, and where the local network is asked for on all addresses of
//! IPv4, for those on a local network alone. What is advertised is the loopback in both cases.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_channel::{mpsc, oneshot};
use futures_util::future::{Either, select};
use lama_invite::{HostClass, Source, classify_ip};
use tungstenite::protocol::Role;

use crate::NetError;
use crate::event_loop::Arrival;
use crate::gate::Gate;
use crate::link::Link;
use crate::metrics::Counters;
use crate::runtime::{Runtime, give_way, within};
use crate::site::{self, Site};
use crate::upgrade::{self, Asked};

/// How often two families are tried to agree on a free port.
const FREE_PORT_TRIES: usize = 16;
/// How long accepting pauses when the operating system has no socket left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that the operating system keeps until they are accepted: more would come again after a second.
const BACKLOG: i32 = 1024;
/// Connections accepted before the sessions that are up have a turn.
const ACCEPTS: usize = 16;

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Listen {
    /// Nowhere: this instance only dials.
    #[default]
    Nowhere,
    /// On any free port.
    Free,
    /// On this port, or fail.
    Port(u16),
    /// On this port, or on a free one if it is taken.
    Prefer(u16),
}

/// Bound sockets, which no task accepts from yet.
#[derive(Debug, Default)]
pub(crate) struct Bound {
    pub(crate) sockets: Vec<TcpListener>,
    pub(crate) urls: Vec<String>,
    /// Of all of them.
    pub(crate) port: Option<u16>,
}

impl Listen {
    /// Whether that is where `urls` say.
    pub(crate) fn is_at(self, urls: &[String]) -> bool {
        match self {
            Self::Nowhere => urls.is_empty(),
            Self::Free => false,
            Self::Port(port) | Self::Prefer(port) => urls.contains(&url(port)),
        }
    }

    /// Binds both families; a machine without one of them listens on the other alone. `lan`: also for the local network.
    pub(crate) fn bind(self, lan: bool) -> Result<Bound, NetError> {
        match self {
            Self::Nowhere => Ok(Bound::default()),
            Self::Port(port) => bind_both(port, lan),
            Self::Prefer(port) => match bind_both(port, lan) {
                Err(NetError::PortTaken { .. }) => bind_free(lan),
                other => other,
            },
            Self::Free => bind_free(lan),
        }
    }
}

fn bind_free(lan: bool) -> Result<Bound, NetError> {
    let mut last = NetError::PortTaken { port: 0 };
    for _ in 0..FREE_PORT_TRIES {
        match bind_both(0, lan) {
            Err(error @ NetError::PortTaken { .. }) => last = error,
            other => return other,
        }
    }
    Err(last)
}

/// Binds `127.0.0.1`, or all addresses of IPv4, and `::1` to one port; 0: the one that the first family gets.
fn bind_both(port: u16, lan: bool) -> Result<Bound, NetError> {
    let mut bound = Bound::default();
    let mut chosen = port;
    let mut absent = None;
    let v4 = if lan { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    for ip in [IpAddr::V4(v4), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        match bind_one(SocketAddr::new(ip, chosen)) {
            Ok((socket, port)) => {
                chosen = port;
                bound.sockets.push(socket);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(NetError::PortTaken { port: chosen });
            }
            Err(error) => absent = Some(error.kind()),
        }
    }
    match absent {
        Some(kind) if bound.sockets.is_empty() => Err(NetError::Bind { port, kind }),
        _ => {
            bound.urls.push(url(chosen));
            bound.port = Some(chosen);
            Ok(bound)
        }
    }
}

fn url(port: u16) -> String {
    format!("ws://localhost:{port}")
}

fn bind_one(address: SocketAddr) -> io::Result<(TcpListener, u16)> {
    let socket = TcpListener::bind(address)?;
    // Bound it listens with room for 128 already. To listen again changes that alone.
    socket2::SockRef::from(&socket).listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let port = socket.local_addr()?.port();
    Ok((socket, port))
}

/// What the tasks of one listener share.
pub(crate) struct Door<R: Runtime> {
    pub(crate) runtime: R,
    pub(crate) gate: Gate,
    pub(crate) arrivals: mpsc::UnboundedSender<Arrival<R>>,
    pub(crate) upgrade_deadline: Duration,
    pub(crate) site: Site,
    /// Counts browsers that fetch files.
    pub(crate) browsers: Gate,
    pub(crate) counters: Arc<Mutex<Counters>>,
}

impl<R: Runtime> Clone for Door<R> {
    fn clone(&self) -> Self {
        Self {
            runtime: self.runtime.clone(),
            gate: self.gate.clone(),
            arrivals: self.arrivals.clone(),
            upgrade_deadline: self.upgrade_deadline,
            site: self.site.clone(),
            browsers: self.browsers.clone(),
            counters: Arc::clone(&self.counters),
        }
    }
}

impl<R: Runtime> Door<R> {
    /// Accepts until the other end of `stop` is dropped; the socket is closed then.
    pub(crate) async fn keep(self, socket: TcpListener, mut stop: oneshot::Receiver<()>) {
        let port = socket.local_addr().map_or(0, |address| address.port());
        let listener = match self.runtime.listener(socket) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "a listener could not be registered");
                return;
            }
        };
        for accepted in 1_usize.. {
            if accepted.is_multiple_of(ACCEPTS) {
                give_way().await;
            }
            let accept = pin!(self.runtime.accept(&listener));
            let accepted = match select(accept, &mut stop).await {
                Either::Left((accepted, _)) => accepted,
                Either::Right(_) => return,
            };
            match accepted {
                Ok((wire, from)) => self.admit(wire, from, port),
                Err(error) => {
                    tracing::debug!(%error, "accept failed");
                    let pause = self.runtime.now().mono + ACCEPT_PAUSE;
                    within(&self.runtime, pause, std::future::pending::<()>()).await;
                }
            }
        }
    }

    fn count(&self, count: impl FnOnce(&mut Counters)) {
        count(&mut self.counters.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn admit(&self, mut wire: R::Wire, from: SocketAddr, port: u16) {
        if !matches!(classify_ip(from.ip()), HostClass::Loopback | HostClass::Private) {
            tracing::debug!("refused a connection from beyond the local network");
            return;
        }
        let now = self.runtime.now().mono;
        let source = Source::of_ip(from.ip());
        let permit = match self.gate.admit(source, now) {
            Ok(permit) => permit,
            Err(full) => {
                tracing::debug!(?full, "refused a connection at the door");
                self.count(|counters| counters.refused_at_door(full));
                return;
            }
        };
        let door = self.clone();
        self.runtime.spawn(async move {
            let place = door.site.at(port);
            let deadline = now + door.upgrade_deadline;
            let received = {
                let receive = pin!(within(&door.runtime, deadline, upgrade::receive(&mut wire, &place)));
                match select(receive, pin!(permit.put_out())).await {
                    Either::Left((received, _)) => received,
                    Either::Right(_) => return door.count(Counters::put_out),
                }
            };
            match received {
                Some(Ok(Asked::WebSocket { .. })) => {
                    permit.opened(door.runtime.now().mono);
                    let link = Link::new(wire, Role::Server);
                    let _ = door.arrivals.unbounded_send(Arrival::Accepted { link, permit });
                }
                // Pages are for this machine alone, whatever else is served to the local network.
                Some(Ok(Asked::Page(page))) if from.ip().is_loopback() => {
                    // A browser that fetches a page takes no place from those who want to speak.
                    drop(permit);
                    if let Ok(_browser) = door.browsers.admit(source, door.runtime.now().mono) {
                        site::serve(&door.runtime, &mut wire, &place, page, door.upgrade_deadline).await;
                    }
                }
                Some(Ok(Asked::Page(_))) => tracing::debug!("refused a page to another machine"),
                Some(Err(error)) => tracing::debug!(%error, "refused an upgrade"),
                None => tracing::debug!("an upgrade took too long"),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_said_or_avoided() {
        let first = Listen::Free.bind(false).unwrap();
        let port = first.sockets[0].local_addr().unwrap().port();
        assert_eq!(first.urls, [format!("ws://localhost:{port}")]);
        assert_eq!(Listen::Port(port).bind(false).unwrap_err(), NetError::PortTaken { port });
        let other = Listen::Prefer(port).bind(false).unwrap();
        assert_ne!(other.urls, first.urls);
        drop(first);
        assert_eq!(Listen::Port(port).bind(false).unwrap().urls, [format!("ws://localhost:{port}")]);
    }

    #[test]
    fn nothing_but_loopback_is_bound_unless_that_is_said() {
        for socket in Listen::Free.bind(false).unwrap().sockets {
            assert!(socket.local_addr().unwrap().ip().is_loopback());
        }
        let lan = Listen::Free.bind(true).unwrap();
        assert!(lan.sockets[0].local_addr().unwrap().ip().is_unspecified());
        assert!(lan.urls[0].starts_with("ws://localhost:"), "what is advertised stays the loopback");
        assert!(Listen::Nowhere.bind(false).unwrap().sockets.is_empty());
    }
}
