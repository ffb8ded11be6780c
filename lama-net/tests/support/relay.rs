//! A relay on a thread of its own, and what two people do through it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use lama_identity::SignSecret;
use lama_invite::{DialRules, Invitation, LAMA_BASE, Policy, RouteUrl};
use lama_net::{Options, RelayHandle, RelayHome, RelayParts, TlsServer, prepare_relay};
use lama_node::{ChannelRef, Command, PageFrom, Reply};
use lama_relay::RelayAddress;
use zeroize::Zeroizing;

use super::{Host, Running, Who, aside, seed};

/// A relay on a thread of its own.
pub struct Relay<H: Host> {
    pub address: RelayAddress,
    pub port: u16,
    handle: RelayHandle<H::R>,
    kill: std::sync::mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl<H: Host> Relay<H> {
    pub fn start() -> Self {
        Self::start_with("ws://127.0.0.1", None, |_| {})
    }

    /// With other limits.
    pub fn start_changed(change: impl FnOnce(&mut RelayParts) + Send + 'static) -> Self {
        Self::start_with("ws://127.0.0.1", None, change)
    }

    /// With a certificate for `localhost`.
    pub fn start_tls(tls: TlsServer) -> Self {
        Self::start_with("wss://localhost", Some(tls), |_| {})
    }

    fn start_with(
        url: &str,
        tls: Option<TlsServer>,
        change: impl FnOnce(&mut RelayParts) + Send + 'static,
    ) -> Self {
        let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let port = socket.local_addr().unwrap().port();
        let key = SignSecret::from_seed(seed());
        let url = RouteUrl::parse(&format!("{url}:{port}")).unwrap();
        let address = RelayAddress::new(url, key.public());
        let (kill, killed) = std::sync::mpsc::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let host = address.signed_host();
        let thread = aside(move || {
            let mut parts = RelayParts::new(key, vec![host], vec![socket]);
            parts.tls = tls;
            change(&mut parts);
            let (handle, mut relay) = prepare_relay(H::runtime(), parts);
            tell.send(handle).unwrap();
            // Dropped from one moment to the next, as when its process is killed.
            H::block_on(async move {
                std::future::poll_fn(|cx| {
                    use std::future::Future as _;
                    let killed = killed.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected);
                    if killed {
                        return std::task::Poll::Ready(());
                    }
                    std::pin::Pin::new(&mut relay).poll(cx)
                })
                .await;
            });
        });
        Self { address, port, handle: told.recv().unwrap(), kill, thread }
    }

    pub fn home(&self) -> RelayHome {
        RelayHome { address: self.address.clone(), key: SignSecret::from_seed(seed()) }
    }

    pub fn routes(&self) -> usize {
        H::block_on(self.handle.stats()).map_or(0, |stats| stats.routes)
    }

    pub fn links(&self) -> usize {
        H::block_on(self.handle.stats()).map_or(0, |stats| stats.links)
    }

    pub fn splices(&self) -> usize {
        H::block_on(self.handle.stats()).map_or(0, |stats| stats.splices)
    }

    /// Its process dies.
    pub fn kill(self) {
        drop(self.kill);
        // It has to look once more, and may be at its work just now.
        while H::block_on(self.handle.stats()).is_some() {}
        self.thread.join().unwrap();
    }

    pub fn page(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

pub fn behind<H: Host>(email: &str, options: Options, relays: Vec<RelayHome>) -> Running<H> {
    Running::start_behind(&Who::new(email, "desk"), options, relays)
}

pub fn invite<H: Host>(node: &Running<H>) -> Invitation {
    let command =
        Command::Invite { policy: Policy::Auto, lifetime: None, label: "test".into(), seed: seed() };
    let Reply::Invitation { invitation, .. } = node.ask(command) else { panic!("no invitation") };
    *invitation
}

pub fn join<H: Host>(node: &Running<H>, invitation: &Invitation) {
    let link = invitation.to_link(LAMA_BASE).unwrap().to_string();
    let command = Command::Join { link: Zeroizing::new(link), rules: DialRules::default() };
    let Reply::Contact(_) = node.ask(command) else { panic!("no contact") };
}

pub fn routes<H: Host>(node: &Running<H>) -> usize {
    let Reply::Status(status) = node.ask(Command::Status) else { panic!() };
    status.listening.iter().filter(|url| url.contains('#')).count()
}

pub fn say<A: Host, B: Host>(from: &Running<A>, to: &Running<B>, text: &str) {
    from.ask(Command::Send { to: to.person, channel: None, text: text.into() });
    to.eventually(text, |to| {
        let channel = ChannelRef::With { person: from.person, name: None };
        let log = to.try_ask(Command::Log { channel, from: PageFrom::Last, limit: 1000 });
        let Ok(Reply::Log(entries)) = log else { return None };
        entries.iter().any(|entry| entry.author == from.person && entry.text == text).then_some(())
    });
}

/// How the session goes with the only peer: `None` without one.
pub fn relayed<H: Host>(node: &Running<H>) -> Option<bool> {
    let Reply::Status(status) = node.ask(Command::Status) else { panic!() };
    status.peers.first().and_then(|peer| peer.session.map(|_| peer.relayed))
}
