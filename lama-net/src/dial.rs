//! Dialling: from a URL to an open WebSocket.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lama_invite::{DialRules, RouteUrl, Via, classify_ip};
use lama_node::{DialError, ProxyFault};
use lama_relay::{Called, Caller, RelayError};
use tungstenite::protocol::Role;

use crate::link::Link;
use crate::proxy::{Proxies, Proxy, is_this_machine};
use crate::runtime::{Runtime, Wire, within};
use crate::tls::{self, TlsClient};
use crate::upgrade::{self, UpgradeError};

/// How long one address may take to answer, so that a dead family of addresses does not use up the whole time.
const ONE_ADDRESS: Duration = Duration::from_secs(3);
/// Addresses of a name that are tried, at most.
const MAX_ADDRESSES: usize = 8;

/// How connections are opened. Cheap to clone; the default is what the operating system says.
#[derive(Debug, Clone, Default)]
pub struct Dialer {
    /// Whose certificates count where a URL says `wss`.
    pub tls: TlsClient,
    /// What stands between here and the rest; none unless that is said.
    pub proxies: Arc<Proxies>,
}

/// Opens a WebSocket to `url` within `deadline`.
///
/// # Errors
/// Why nobody was reached.
pub async fn dial<R: Runtime>(
    runtime: &R,
    dialer: &Dialer,
    url: &str,
    rules: DialRules,
    deadline: Duration,
) -> Result<Link<R>, DialError> {
    connect(runtime, dialer, url, upgrade::SUBPROTOCOL, rules, deadline).await
}

/// The same along a route: to a relay, and there to whom the route names. `None` is a direct one.
///
/// # Errors
/// Why nobody was reached.
pub async fn dial_route<R: Runtime>(
    runtime: &R,
    dialer: &Dialer,
    url: &str,
    via: Option<&Via>,
    rules: DialRules,
    deadline: Duration,
) -> Result<Link<R>, DialError> {
    let Some(via) = via else { return dial(runtime, dialer, url, rules, deadline).await };
    let until = runtime.now().mono + deadline;
    let mut link = connect(runtime, dialer, url, upgrade::RELAY_SUBPROTOCOL, rules, deadline).await?;
    match within(runtime, until, ring(&mut link, via)).await {
        Some(Ok(())) => Ok(link),
        Some(Err(error)) => {
            tracing::debug!(code = error.code(), "the call through a relay came to nothing");
            Err(if error == RelayError::Unavailable { DialError::Unavailable } else { DialError::Relay })
        }
        None => Err(DialError::Timeout),
    }
}

/// Rings until the other side has accepted.
async fn ring<R: Runtime>(link: &mut Link<R>, via: &Via) -> Result<(), RelayError> {
    let (mut caller, ring) = Caller::ring(via);
    // A relay that hangs up without a word is full, or has no such name.
    let lost = |_| RelayError::Unavailable;
    poll_fn(|cx| link.poll_ready(cx)).await.map_err(lost)?;
    link.send(ring).map_err(lost)?;
    poll_fn(|cx| link.poll_flush(cx)).await.map_err(lost)?;
    loop {
        let frame = poll_fn(|cx| link.poll_recv(cx, Caller::FRAME_LIMIT)).await.map_err(lost)?;
        match caller.read(&frame)? {
            Called::Waiting(next) => caller = next,
            Called::Connected => return Ok(()),
        }
    }
}

/// Opens a WebSocket of a subprotocol.
pub(crate) async fn connect<R: Runtime>(
    runtime: &R,
    dialer: &Dialer,
    url: &str,
    subprotocol: &str,
    rules: DialRules,
    deadline: Duration,
) -> Result<Link<R>, DialError> {
    let url = RouteUrl::parse(url).map_err(|problem| {
        tracing::debug!(%problem, "not an address that can be dialled");
        DialError::NotFound
    })?;
    let until = runtime.now().mono + deadline;
    within(runtime, until, open(runtime, dialer, &url, subprotocol, rules))
        .await
        .unwrap_or(Err(DialError::Timeout))
}

async fn open<R: Runtime>(
    runtime: &R,
    dialer: &Dialer,
    url: &RouteUrl,
    subprotocol: &str,
    rules: DialRules,
) -> Result<Link<R>, DialError> {
    if let Some(proxy) = dialer.proxies.proxy_for(url) {
        let mut wire = through(runtime, proxy.map_err(DialError::Proxy)?, url, rules).await?;
        speak(dialer, &mut wire, url, subprotocol).await?;
        return Ok(Link::new(wire, Role::Client));
    }
    let (mut last, mut answered) = (DialError::NotFound, None);
    for address in addresses(runtime, url.host(), url.port()).await?.into_iter().take(MAX_ADDRESSES) {
        if !rules.allows(classify_ip(address.ip())) {
            last = DialError::NotAllowed;
            continue;
        }
        let until = runtime.now().mono + ONE_ADDRESS;
        match within(runtime, until, runtime.connect(address)).await {
            None => last = DialError::Timeout,
            Some(Err(error)) => last = dial_error(&error),
            Some(Ok(mut wire)) => match speak(dialer, &mut wire, url, subprotocol).await {
                Ok(()) => return Ok(Link::new(wire, Role::Client)),
                Err(error) => answered = Some(error),
            },
        }
    }
    // What somebody answered says more than that nobody is at the other addresses.
    Err(answered.unwrap_or(last))
}

/// A connection by way of a proxy. Its user named it: it may be wherever he says.
async fn through<R: Runtime>(
    runtime: &R,
    proxy: &Proxy,
    url: &RouteUrl,
    rules: DialRules,
) -> Result<R::Wire, DialError> {
    if url.host().parse().is_ok_and(|ip| !rules.allows(classify_ip(ip))) {
        return Err(DialError::NotAllowed);
    }
    let nobody = DialError::Proxy(ProxyFault::Unreached);
    let found = addresses(runtime, &proxy.host, proxy.port).await.map_err(|_| nobody)?;
    for address in found.into_iter().take(MAX_ADDRESSES) {
        let until = runtime.now().mono + ONE_ADDRESS;
        if let Some(Ok(mut wire)) = within(runtime, until, runtime.connect(address)).await {
            proxy.connect(&mut wire, url).await.map_err(DialError::Proxy)?;
            return Ok(wire);
        }
    }
    Err(nobody)
}

/// From the connection to the WebSocket.
async fn speak<W: Wire>(
    dialer: &Dialer,
    wire: &mut W,
    url: &RouteUrl,
    subprotocol: &str,
) -> Result<(), DialError> {
    if url.is_tls() {
        let connection = dialer.tls.connection(url.host()).map_err(DialError::Tls)?;
        tls::handshake(wire, connection).await.map_err(DialError::Tls)?;
    }
    let (authority, path) = split(url);
    upgrade::request_for(wire, authority, path, subprotocol).await.map_err(|error| {
        tracing::debug!(%error, "the upgrade was not granted");
        // Closed at once is what a full or foreign listener does.
        if error == UpgradeError::Lost { DialError::Other } else { DialError::NotLama }
    })
}

/// Where the host is. `localhost` is never looked up: it is this machine, whatever a resolver thinks.
async fn addresses<R: Runtime>(runtime: &R, host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    let local = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    if let Ok(ip) = host.parse() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    if is_this_machine(host) {
        return Ok(local.map(|ip| SocketAddr::new(ip, port)).into());
    }
    runtime.resolve(host.to_owned(), port).await.map_err(|_| DialError::NotFound)
}

/// Authority and path, as the request has them.
fn split(url: &RouteUrl) -> (&str, &str) {
    let text = url.as_str();
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, upgrade::PATH),
    }
}

fn dial_error(error: &io::Error) -> DialError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => DialError::Refused,
        io::ErrorKind::TimedOut => DialError::Timeout,
        io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::AddrNotAvailable => DialError::Unreachable,
        _ => DialError::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authority_and_path() {
        for (text, expected) in [
            ("ws://localhost:8765", ("localhost:8765", "/")),
            ("ws://localhost:8765/", ("localhost:8765", "/")),
            ("ws://[::1]:1/a/b", ("[::1]:1", "/a/b")),
        ] {
            assert_eq!(split(&RouteUrl::parse(text).unwrap()), expected);
        }
    }
}
