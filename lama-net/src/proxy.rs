//! HTTP proxies, as the environment names them: a connection through one by CONNECT (RFC 9110, 9.3.6).
//!
//! This machine itself is never dialled through a proxy. What a name means is the proxy's to find out, so whether it leads
//! into a local network cannot be seen here; an address in figures is held against the rules as ever.

use std::net::IpAddr;

use data_encoding::BASE64;
use lama_invite::RouteUrl;
use lama_node::ProxyFault;

use crate::runtime::Wire;
use crate::upgrade::{UpgradeError, read_head, write_all};

/// Which proxies stand between here and the rest.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// For `wss`.
    tls: Option<Named>,
    /// For `ws`.
    plain: Option<Named>,
    except: Vec<Except>,
    loopback: bool,
}

/// A proxy, or why its name cannot be used: then nothing is dialled past it either.
type Named = Result<Proxy, ProxyFault>;

/// One proxy.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What `Proxy-Authorization` says.
    authorization: Option<String>,
}

/// Without what it is told in confidence.
impl core::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Proxy({}:{})", self.host, self.port)
    }
}

/// An entry of `NO_PROXY`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Except {
    All,
    /// This name and all below it.
    Name(String, Option<u16>),
    /// Addresses whose first bits are these.
    Block(IpAddr, u32),
}

impl Proxies {
    /// What `HTTPS_PROXY` (for `wss`), `HTTP_PROXY` (for `ws`), `ALL_PROXY` (for both, where there is nothing else) and
    /// `NO_PROXY` say, in lower case or upper, the former first. `look` gives the value of a variable.
    #[must_use]
    pub fn from_variables(look: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &str| {
            let set = |name: &str| look(name).filter(|value| !value.trim().is_empty());
            set(name).or_else(|| set(&name.to_ascii_uppercase()))
        };
        let proxy = |name| value(name).or_else(|| value("all_proxy")).map(|text| Proxy::parse(text.trim()));
        let except = value("no_proxy").unwrap_or_default();
        Self {
            tls: proxy("https_proxy"),
            plain: proxy("http_proxy"),
            except: except.split([',', ' ']).filter_map(Except::parse).collect(),
            loopback: false,
        }
    }

    /// This machine, too, is dialled through them: for tests, which have no other.
    #[must_use]
    pub fn also_for_loopback(self) -> Self {
        Self { loopback: true, ..self }
    }

    /// Through which one a URL is dialled; `None`: directly.
    pub(crate) fn proxy_for(&self, url: &RouteUrl) -> Option<Result<&Proxy, ProxyFault>> {
        let named = if url.is_tls() { &self.tls } else { &self.plain };
        let named = named.as_ref()?;
        let (host, port) = (url.host(), url.port());
        let here = is_this_machine(host) && !self.loopback;
        if here || self.except.iter().any(|except| except.holds(host, port)) {
            return None;
        }
        Some(named.as_ref().map_err(|fault| *fault))
    }
}

/// `localhost`, all below it, and loopback addresses.
pub(crate) fn is_this_machine(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => host.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost")),
    }
}

impl Proxy {
    /// `[http://][user:password@]host[:port][/]`.
    fn parse(text: &str) -> Result<Self, ProxyFault> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(ProxyFault::Unusable),
            None => text,
        };
        let rest = rest.trim_end_matches('/');
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| ProxyFault::Unusable)?)
            }
            _ => (place, 80),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let sound = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        if host.is_empty() || !host.chars().all(sound) {
            return Err(ProxyFault::Unusable);
        }
        let authorization = match user {
            Some(user) => {
                let user = unescape(user).ok_or(ProxyFault::Unusable)?;
                Some(format!("Basic {}", BASE64.encode(&user)))
            }
            None => None,
        };
        Ok(Self { host: host.to_owned(), port, authorization })
    }

    /// Asks the proxy on the other end of `wire` for a connection. The caller brings the deadline.
    pub(crate) async fn connect<W: Wire>(&self, wire: &mut W, url: &RouteUrl) -> Result<(), ProxyFault> {
        let host = url.host();
        let target = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let target = format!("{target}:{}", url.port());
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(authorization) = &self.authorization {
            request.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
        }
        request.push_str("\r\n");
        let lost = |error: UpgradeError| match error {
            UpgradeError::Lost => ProxyFault::Refused,
            _ => ProxyFault::Unusable,
        };
        write_all(wire, request.as_bytes()).await.map_err(lost)?;
        let (head, early) = read_head(wire).await.map_err(lost)?;
        // The server behind it does not speak first.
        match status(&head) {
            Some(200..=299) if early.is_empty() => Ok(()),
            Some(407) => Err(ProxyFault::Password),
            Some(300..=599) => Err(ProxyFault::Refused),
            _ => Err(ProxyFault::Unusable),
        }
    }
}

fn status(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    core::str::from_utf8(rest.get(2..5)?).ok()?.parse().ok()
}

/// User and password of a URL, in which `%` stands for bytes.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    Some(out)
}

impl Except {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        if text == "*" {
            return Some(Self::All);
        }
        let bare = |text: &str| text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if let Ok(ip) = bare(text) {
            return Some(Self::Block(ip, u32::MAX));
        }
        if let Some((ip, bits)) = text.split_once('/') {
            return Some(Self::Block(bare(ip).ok()?, bits.parse().ok()?));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let name = name.trim_start_matches('*').trim_start_matches('.');
        Some(Self::Name(name.to_ascii_lowercase(), port))
    }

    fn holds(&self, host: &str, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Name(name, only) => {
                let host = host.to_ascii_lowercase();
                let below = host
                    .strip_suffix(name.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                below && only.is_none_or(|only| only == port)
            }
            Self::Block(block, bits) => match (host.parse(), block) {
                (Ok(IpAddr::V4(ip)), IpAddr::V4(block)) => {
                    let differs = ip.to_bits() ^ block.to_bits();
                    differs.leading_zeros() >= (*bits).min(32)
                }
                (Ok(IpAddr::V6(ip)), IpAddr::V6(block)) => {
                    let differs = ip.to_bits() ^ block.to_bits();
                    differs.leading_zeros() >= (*bits).min(128)
                }
                _ => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        let look = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Proxies::from_variables(look)
    }

    fn asked(proxies: &Proxies, url: &str) -> String {
        match proxies.proxy_for(&RouteUrl::parse(url).unwrap()) {
            None => "direct".into(),
            Some(Ok(proxy)) => format!("{}:{}", proxy.host, proxy.port),
            Some(Err(fault)) => format!("{fault:?}"),
        }
    }

    #[test]
    fn each_scheme_has_its_variable() {
        let some = proxies(&[("HTTPS_PROXY", "http://a:1"), ("http_proxy", "b:2"), ("HTTP_PROXY", "c:3")]);
        assert_eq!(asked(&some, "wss://relay.test"), "a:1");
        assert_eq!(asked(&some, "ws://relay.test"), "b:2");
        let all = proxies(&[("ALL_PROXY", "http://all/"), ("http_proxy", " ")]);
        assert_eq!(
            (asked(&all, "wss://relay.test"), asked(&all, "ws://relay.test")),
            ("all:80".into(), "all:80".into())
        );
        assert_eq!(asked(&proxies(&[]), "wss://relay.test"), "direct");
    }

    #[test]
    fn this_machine_and_exceptions_are_dialled_directly() {
        let some = proxies(&[
            ("all_proxy", "http://a:1"),
            ("no_proxy", "inner.test, .below.test,other.test:9000,192.0.2.7,198.51.100.0/24,2001:db8::/32"),
        ]);
        for url in [
            "ws://localhost:1",
            "ws://x.localhost:1",
            "ws://127.0.0.2:1",
            "ws://[::1]:1",
            "wss://inner.test",
            "wss://deep.INNER.test",
            "wss://below.test",
            "wss://x.below.test",
            "wss://other.test:9000",
            "wss://192.0.2.7",
            "wss://198.51.100.200",
            "wss://[2001:db8::7]",
        ] {
            assert_eq!(asked(&some, url), "direct", "{url}");
        }
        for url in [
            "wss://notinner.test",
            "wss://other.test",
            "wss://192.0.2.8",
            "wss://198.51.101.1",
            "wss://[2001:db9::7]",
        ] {
            assert_eq!(asked(&some, url), "a:1", "{url}");
        }
        assert_eq!(asked(&some.also_for_loopback(), "ws://localhost:1"), "a:1");
        let none = proxies(&[("all_proxy", "http://a:1"), ("NO_PROXY", "*")]);
        assert_eq!(asked(&none, "wss://relay.test"), "direct");
    }

    #[test]
    fn what_cannot_be_used_is_not_gone_around() {
        for text in ["socks5://a:1", "https://a:1", "http://a:b", "http://", "http://a b:1", "http://%zz@a:1"]
        {
            assert_eq!(asked(&proxies(&[("https_proxy", text)]), "wss://relay.test"), "Unusable", "{text}");
        }
        assert_eq!(
            asked(&proxies(&[("https_proxy", "[2001:db8::1]:3128")]), "wss://relay.test"),
            "2001:db8::1:3128"
        );
    }

    #[test]
    fn a_password_is_sent_and_not_shown() {
        let proxy = Proxy::parse("http://user:p%40ss@proxy.test:3128").unwrap();
        assert_eq!(proxy.authorization.as_deref(), Some("Basic dXNlcjpwQHNz"));
        assert_eq!(format!("{proxy:?}"), "Proxy(proxy.test:3128)");
    }
}
