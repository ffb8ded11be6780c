//! Where an instance can be reached: the URLs of an invitation, and which of them may be dialled.

use alloc::string::String;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::Range;

use crate::config::{MAX_HOST, MAX_URL};

/// What is wrong with a URL. Each is one rule of the grammar in `docs/protocol/invitation.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlProblem {
    /// Longer than 256 bytes.
    TooLong,
    /// Neither `ws://` nor `wss://`.
    Scheme,
    /// A user name or password before the host.
    Credentials,
    /// The host is missing, too long, or not a name or address.
    Host,
    /// The port is not a number from 1 to 65535 in its shortest form.
    Port,
    /// The path holds a character that does not belong there.
    Path,
    /// A query or a fragment.
    Query,
    /// An address that nobody can be reached at: unspecified, multicast, broadcast or reserved.
    Unreachable,
}

impl fmt::Display for UrlProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "it is longer than 256 bytes",
            Self::Scheme => "it begins with neither ws:// nor wss://",
            Self::Credentials => "it carries a user name or password",
            Self::Host => "its host is not a valid name or address",
            Self::Port => "its port is not a number from 1 to 65535",
            Self::Path => "its path holds characters that do not belong there",
            Self::Query => "it carries a query or a fragment",
            Self::Unreachable => "nobody can be reached at its address",
        })
    }
}

impl core::error::Error for UrlProblem {}

/// How far away a host is, which decides whether it may be dialled (see [`DialRules`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostClass {
    /// This machine: `localhost`, `127.0.0.0/8`, `::1`.
    Loopback,
    /// The local network: private, link-local, shared and unique-local ranges, `.local` and the like, and names
    /// without a dot.
    Private,
    /// Everything else.
    Public,
    /// Never dialled: unspecified, multicast, broadcast and reserved addresses.
    Unreachable,
}

impl fmt::Display for HostClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "this machine",
            Self::Private => "the local network",
            Self::Public => "the internet",
            Self::Unreachable => "an address that cannot be reached",
        })
    }
}

/// Classifies an address. Adapters call it on *every address a name resolved to*, since a public name may point
/// into the local network.
#[must_use]
pub fn classify_ip(ip: IpAddr) -> HostClass {
    match ip {
        IpAddr::V4(v4) => classify_v4(v4),
        IpAddr::V6(v6) => classify_v6(v6),
    }
}

fn classify_v4(ip: Ipv4Addr) -> HostClass {
    let [a, b, ..] = ip.octets();
    match a {
        0 | 224..=255 => HostClass::Unreachable,
        127 => HostClass::Loopback,
        // 100.64.0.0/10 is shared address space (RFC 6598), as used behind carriers and in overlay networks.
        100 if (64..128).contains(&b) => HostClass::Private,
        _ if ip.is_private() || ip.is_link_local() => HostClass::Private,
        _ => HostClass::Public,
    }
}

fn classify_v6(ip: Ipv6Addr) -> HostClass {
    if ip.is_loopback() {
        return HostClass::Loopback;
    }
    let [s0, s1, s2, s3, s4, s5, s6, s7] = ip.segments();
    let embedded = |hi: u16, lo: u16| {
        let ([a, b], [c, d]) = (hi.to_be_bytes(), lo.to_be_bytes());
        classify_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (s0, s1) {
        // An address of the other family in disguise counts as what it leads to.
        (0, 0) if (s2, s3, s4, s5) == (0, 0, 0, 0xffff) => embedded(s6, s7),
        (0x64, 0xff9b) if (s2, s3, s4, s5) == (0, 0, 0, 0) => embedded(s6, s7),
        (0x2002, hi) => embedded(hi, s2),
        (0, 0) => HostClass::Unreachable,
        _ if ip.is_multicast() => HostClass::Unreachable,
        // Unique local fc00::/7, link-local fe80::/10 and the old site-local fec0::/10.
        _ if s0 & 0xfe00 == 0xfc00 || s0 & 0xff80 == 0xfe80 => HostClass::Private,
        _ => HostClass::Public,
    }
}

/// How the joiner came by a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkOrigin {
    /// The user handed it over himself: command line, paste, the page served by his own process.
    Handed,
    /// Another program opened it (a browser, a mail program, a scanned code): it may point anywhere.
    Opened,
}

/// Which hosts a joiner may dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DialRules {
    /// The user said `--lan`: the local network, and this machine for opened links, may be dialled.
    pub lan: bool,
    /// How the link arrived.
    pub origin: LinkOrigin,
}

impl Default for DialRules {
    /// Handed over by the user, without `--lan`.
    fn default() -> Self {
        Self { lan: false, origin: LinkOrigin::Handed }
    }
}

impl DialRules {
    /// Whether a host of this class may be dialled.
    #[must_use]
    pub const fn allows(self, class: HostClass) -> bool {
        match class {
            HostClass::Public => true,
            HostClass::Loopback => self.lan || matches!(self.origin, LinkOrigin::Handed),
            HostClass::Private => self.lan,
            HostClass::Unreachable => false,
        }
    }
}

/// A checked `ws://` or `wss://` URL, kept exactly as it was written.
#[derive(Clone, PartialEq, Eq)]
pub struct RouteUrl {
    text: String,
    host: Range<usize>,
    port: u16,
    tls: bool,
    class: HostClass,
}

impl RouteUrl {
    /// Checks a URL against the grammar
    /// `("ws" | "wss") "://" host [":" port] ["/" path]`: ASCII, no credentials, no query, no fragment; `host` is
    /// a name of labels, a dotted quad, or an IPv6 address in brackets without zone.
    ///
    /// # Errors
    /// The rule that is broken. No address is looked up.
    pub fn parse(text: &str) -> Result<Self, UrlProblem> {
        if text.len() > MAX_URL {
            return Err(UrlProblem::TooLong);
        }
        let (tls, start) = if has_prefix(text, "wss://") {
            (true, 6)
        } else if has_prefix(text, "ws://") {
            (false, 5)
        } else {
            return Err(UrlProblem::Scheme);
        };
        let rest = text.get(start..).ok_or(UrlProblem::Scheme)?;
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        check_tail(tail)?;
        if authority.contains('@') {
            return Err(UrlProblem::Credentials);
        }
        let (host, port, class) = parse_authority(authority)?;
        if class == HostClass::Unreachable {
            return Err(UrlProblem::Unreachable);
        }
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        let host = start.saturating_add(host.start)..start.saturating_add(host.end);
        Ok(Self { text: text.into(), host, port, tls, class })
    }

    /// The URL as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host: a name or an address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.text.get(self.host.clone()).unwrap_or_default()
    }

    /// The port, the scheme's own (80, 443) if none was written.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether the transport is TLS (`wss`).
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// How far away the host is, by its text alone.
    #[must_use]
    pub const fn class(&self) -> HostClass {
        self.class
    }
}

impl fmt::Display for RouteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for RouteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouteUrl({})", self.text)
    }
}

fn has_prefix(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// The path: nothing, or `/` and characters of RFC 3986 `pchar`.
fn check_tail(tail: &str) -> Result<(), UrlProblem> {
    if tail.contains(['?', '#']) {
        return Err(UrlProblem::Query);
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&b);
    if tail.bytes().all(allowed) { Ok(()) } else { Err(UrlProblem::Path) }
}

/// Splits `host[:port]`; the range is the host without brackets.
fn parse_authority(authority: &str) -> Result<(Range<usize>, Option<u16>, HostClass), UrlProblem> {
    if let Some(inner) = authority.strip_prefix('[') {
        let (address, after) = inner.split_once(']').ok_or(UrlProblem::Host)?;
        let ip: Ipv6Addr = address.parse().map_err(|_| UrlProblem::Host)?;
        let port = match after.strip_prefix(':') {
            Some(digits) => Some(parse_port(digits)?),
            None if after.is_empty() => None,
            None => return Err(UrlProblem::Host),
        };
        return Ok((1..address.len().saturating_add(1), port, classify_v6(ip)));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, digits)) => (host, Some(parse_port(digits)?)),
        None => (authority, None),
    };
    Ok((0..host.len(), port, classify_name(host)?))
}

fn parse_port(digits: &str) -> Result<u16, UrlProblem> {
    if digits.is_empty() || digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(UrlProblem::Port);
    }
    digits.parse().map_err(|_| UrlProblem::Port)
}

/// Classifies a host that stands without brackets.
fn classify_name(host: &str) -> Result<HostClass, UrlProblem> {
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return Ok(classify_v4(ip));
    }
    if host.is_empty() || host.len() > MAX_HOST {
        return Err(UrlProblem::Host);
    }
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if !host.split('.').all(label_ok) {
        return Err(UrlProblem::Host);
    }
    // Many resolvers read "2130706433", "127.1" and "0x7f.0.0.1" as addresses. Whoever means an address writes
    // a dotted quad, so a name that ends in a number is none (as in the URL standard of WHATWG).
    let last = host.rsplit('.').next().unwrap_or_default();
    let hexadecimal =
        has_prefix(last, "0x") && last.get(2..).unwrap_or_default().bytes().all(|b| b.is_ascii_hexdigit());
    if hexadecimal || last.bytes().all(|b| b.is_ascii_digit()) {
        return Err(UrlProblem::Host);
    }
    let is = |name: &str| last.eq_ignore_ascii_case(name);
    if is("localhost") {
        return Ok(HostClass::Loopback);
    }
    let home_arpa = has_suffix(host, ".home.arpa");
    let local = ["local", "lan", "internal", "intranet", "home", "corp"].into_iter().any(is);
    if !host.contains('.') || local || home_arpa {
        return Ok(HostClass::Private);
    }
    Ok(HostClass::Public)
}

fn has_suffix(text: &str, suffix: &str) -> bool {
    let start = text.len().saturating_sub(suffix.len());
    text.get(start..).is_some_and(|tail| tail.eq_ignore_ascii_case(suffix))
}

/// One way to reach the inviter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where to open the WebSocket.
    pub url: RouteUrl,
    /// Through a relay: who the relay must prove to be and whom to ring there. `None` is a direct route.
    pub via: Option<Via>,
}

/// The relay part of a [`Route`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Via {
    /// SHA-256 of the relay's Ed25519 key.
    pub relay_pin: [u8; 32],
    /// SHA-256 of the route key of the instance at that relay.
    pub route_id: [u8; 32],
}

impl Route {
    /// A direct route.
    ///
    /// # Errors
    /// See [`RouteUrl::parse`].
    pub fn direct(url: &str) -> Result<Self, UrlProblem> {
        Ok(Self { url: RouteUrl::parse(url)?, via: None })
    }
}
