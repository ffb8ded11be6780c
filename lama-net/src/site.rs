//! Files that a browser may fetch at the port of the listener, and the sites whose pages may open a WebSocket there.
//!
//! A browser lets any page on the web open a WebSocket to this machine, and any name on the web may point to it
//! (DNS rebinding). So what a browser asks is held against a list: its `Origin`, where it sends one, and the name by which
//! it calls this port. Programs that are no browsers send no `Origin` and are told apart by what they prove, as ever.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::gate::{Gate, GateConfig};
use crate::runtime::{Runtime, Wire, within};
use crate::upgrade::{self, Asked, Counter, SUBPROTOCOL, UpgradeError};

/// How long a browser may keep a connection on which it asks for nothing.
const IDLE: Duration = Duration::from_secs(5);
/// Files of one connection.
const MAX_FILES: usize = 64;

/// One file of a [`Site`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteFile {
    /// Where, such as `/app.js`; `/` is what the bare address shows.
    pub path: String,
    /// What it is, such as `text/javascript; charset=utf-8`.
    pub content_type: &'static str,
    /// The file.
    pub body: Bytes,
}

/// What a browser finds at the port of the listener. By default nothing, and only pages of this port may open WebSockets.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// What can be fetched.
    pub files: Arc<[SiteFile]>,
    /// Header lines of every answer, each ended by CR LF: what a page may do.
    pub headers: &'static str,
    /// Other origins under which this port is known, such as `https://lama.example` of a proxy, or whose pages may connect.
    pub origins: Arc<[String]>,
}

impl Site {
    /// How many browsers' connections wait for a file, or for being asked for one.
    pub(crate) fn gate() -> Gate {
        Gate::new(GateConfig {
            per_source: 32,
            total: 64,
            burst: 1024,
            interval: Duration::from_millis(5),
            sources: 256,
            ..GateConfig::refusing()
        })
    }

    /// This site at a port.
    pub(crate) const fn at(&self, port: u16) -> Place<'_> {
        Place { site: self, port }
    }
}

/// A site at one port.
pub(crate) struct Place<'a> {
    site: &'a Site,
    port: u16,
}

impl Place<'_> {
    /// Whether an authority (`host:port`) is one of this port's names.
    fn is_ours(&self, authority: &str) -> bool {
        let listed =
            |origin: &String| origin.split_once("://").is_some_and(|(_, name)| same(name, authority));
        self.is_here(authority) || self.site.origins.iter().any(listed)
    }

    fn is_here(&self, authority: &str) -> bool {
        let (host, port) =
            authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')).unwrap_or((authority, "80"));
        port.parse() == Ok(self.port)
            && ["localhost", "127.0.0.1", "[::1]"].iter().any(|name| same(name, host))
    }
}

fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

impl Counter for Place<'_> {
    fn subprotocol(&self) -> &'static str {
        SUBPROTOCOL
    }

    fn page(&self, path: &str, host: &[u8]) -> Option<usize> {
        let host = core::str::from_utf8(host).ok().filter(|host| self.is_ours(host))?;
        tracing::trace!(path, host, "a file is asked for");
        self.site.files.iter().position(|file| file.path == path)
    }

    fn admits(&self, origin: &[u8], host: &[u8]) -> bool {
        let (Ok(origin), Ok(host)) = (core::str::from_utf8(origin), core::str::from_utf8(host)) else {
            return false;
        };
        let here = origin.strip_prefix("http://").is_some_and(|name| self.is_here(name));
        (here || self.site.origins.iter().any(|listed| same(listed, origin))) && self.is_ours(host)
    }
}

/// Sends files, one after another, until the browser asks for no more.
pub(crate) async fn serve<R: Runtime>(
    runtime: &R,
    wire: &mut R::Wire,
    place: &Place<'_>,
    mut page: usize,
    deadline: Duration,
) {
    for _ in 0..MAX_FILES {
        let until = runtime.now().mono + deadline;
        if within(runtime, until, send(wire, place.site, page)).await.is_none_or(|sent| sent.is_err()) {
            return;
        }
        let until = runtime.now().mono + IDLE;
        match within(runtime, until, upgrade::receive(wire, place)).await {
            Some(Ok(Asked::Page(next))) => page = next,
            // A WebSocket has a connection of its own, which the door counts.
            _ => return,
        }
    }
}

async fn send<W: Wire>(wire: &mut W, site: &Site, page: usize) -> Result<(), UpgradeError> {
    let file = site.files.get(page).ok_or(UpgradeError::Path)?;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-cache\r\n{}\r\n",
        file.content_type,
        file.body.len(),
        site.headers
    );
    upgrade::write_all(wire, head.as_bytes()).await?;
    upgrade::write_all(wire, &file.body).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        let file = |path: &str| SiteFile {
            path: path.into(),
            content_type: "text/html",
            body: Bytes::from_static(b"x"),
        };
        Site {
            files: Arc::new([file("/"), file("/app.js")]),
            headers: "",
            origins: Arc::new(["https://lama.example".to_owned()]),
        }
    }

    #[test]
    fn files_are_there_only_under_names_of_this_port() {
        let site = site();
        let place = site.at(8765);
        for host in ["localhost:8765", "LOCALHOST:8765", "127.0.0.1:8765", "[::1]:8765", "lama.example"] {
            assert_eq!(place.page("/", host.as_bytes()), Some(0), "{host}");
            assert_eq!(place.page("/app.js", host.as_bytes()), Some(1), "{host}");
            assert_eq!(place.page("/other", host.as_bytes()), None, "{host}");
        }
        // A name on the web that was made to point here, and other servers of this machine.
        for host in [
            "",
            "evil.example:8765",
            "localhost",
            "localhost:8766",
            "localhost:8765.evil.example",
            "[::1]",
            "\u{e9}",
        ] {
            assert_eq!(place.page("/", host.as_bytes()), None, "{host}");
        }
        assert_eq!(site.at(80).page("/", b"localhost"), Some(0));
    }

    #[test]
    fn only_pages_of_this_port_or_of_a_listed_site_may_connect() {
        let site = site();
        let place = site.at(8765);
        for (origin, host) in [
            ("http://localhost:8765", "localhost:8765"),
            ("http://127.0.0.1:8765", "localhost:8765"),
            ("http://[::1]:8765", "[::1]:8765"),
            ("https://lama.example", "lama.example"),
            ("https://lama.example", "localhost:8765"),
        ] {
            assert!(place.admits(origin.as_bytes(), host.as_bytes()), "{origin} {host}");
        }
        for (origin, host) in [
            ("null", "localhost:8765"),
            ("", "localhost:8765"),
            ("http://localhost:3000", "localhost:8765"),
            ("https://localhost:8765", "localhost:8765"),
            ("http://evil.example", "localhost:8765"),
            ("http://lama.example", "localhost:8765"),
            ("http://localhost:8765", "evil.example:8765"),
        ] {
            assert!(!place.admits(origin.as_bytes(), host.as_bytes()), "{origin} {host}");
        }
    }
}
