//! From a TCP connection to a WebSocket with subprotocol `lama.1`, within fixed bounds.
//!
//! The accepting side answers a request that is right in every point and drops everything else without a word: a
//! prober learns nothing, and nobody is served an error page. Both sides read at most [`MAX_HEADER`] bytes.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use crate::runtime::Wire;

/// The subprotocol; the version of LAMA's wire format is part of its name.
pub const SUBPROTOCOL: &str = "lama.1";
/// The subprotocol of a relay.
pub const RELAY_SUBPROTOCOL: &str = "lama-relay.1";
/// The path of a direct listener, and of a relay.
pub const PATH: &str = "/";
/// Longest request or response head in bytes.
pub const MAX_HEADER: usize = 8 * 1024;

const MAX_FIELDS: usize = 64;
const FIRST_BUFFER: usize = 1024;

/// Why there is no WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The connection ended or broke.
    Lost,
    /// More than [`MAX_HEADER`] bytes without an end of the head.
    TooLong,
    /// No HTTP/1.1, or not the method or status of an upgrade.
    NotHttp,
    /// A path that is not served here.
    Path,
    /// A field of the WebSocket handshake is missing, doubled or wrong.
    Field(&'static str),
    /// The subprotocol is not `lama.1`.
    Subprotocol,
    /// The client spoke before it was answered.
    Early,
    /// A page of another site asks.
    Origin,
}

impl core::fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Lost => f.write_str("the connection ended during the upgrade"),
            Self::TooLong => f.write_str("the head is longer than 8 KiB"),
            Self::NotHttp => f.write_str("this is no WebSocket upgrade"),
            Self::Path => f.write_str("the path is not served here"),
            Self::Field(name) => write!(f, "the field {name} is missing or wrong"),
            Self::Subprotocol => f.write_str("the subprotocol is not lama.1"),
            Self::Early => f.write_str("the client spoke before it was answered"),
            Self::Origin => f.write_str("a page of another site asks; see --web-origin"),
        }
    }
}

impl core::error::Error for UpgradeError {}

impl From<io::Error> for UpgradeError {
    fn from(_: io::Error) -> Self {
        Self::Lost
    }
}

/// Answers an upgrade for exactly [`PATH`] and [`SUBPROTOCOL`], whoever asks. The caller brings the deadline.
///
/// # Errors
/// The rule that the request breaks; nothing was answered then.
pub async fn accept<W: Wire>(wire: &mut W) -> Result<(), UpgradeError> {
    match receive(wire, &Open { subprotocol: SUBPROTOCOL, pages: &[] }).await? {
        Asked::WebSocket { .. } => Ok(()),
        Asked::Page(_) => Err(UpgradeError::Path),
    }
}

/// What came to a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// An upgrade, which was answered; with the host as the client named it, without its port.
    WebSocket {
        /// From the field `Host`.
        host: String,
        /// Whom a proxy names as its client: what stands last in `X-Forwarded-For`, for the others are hearsay.
        forwarded: Option<IpAddr>,
    },
    /// The page of that number, which is still to be answered.
    Page(usize),
}

/// What is to be had at a port, and for whom.
pub(crate) trait Counter {
    /// The subprotocol of its WebSockets.
    fn subprotocol(&self) -> &'static str;
    /// The number of the page at a path, for who names the port by `host` (the whole field).
    fn page(&self, path: &str, host: &[u8]) -> Option<usize>;
    /// Whether a WebSocket may be opened by a page of `origin` (the whole field; no browser comes without one).
    fn admits(&self, origin: &[u8], host: &[u8]) -> bool;
}

/// A port that is there for everybody.
pub(crate) struct Open {
    pub(crate) subprotocol: &'static str,
    pub(crate) pages: &'static [&'static str],
}

impl Counter for Open {
    fn subprotocol(&self) -> &'static str {
        self.subprotocol
    }

    fn page(&self, path: &str, _: &[u8]) -> Option<usize> {
        self.pages.iter().position(|page| *page == path)
    }

    fn admits(&self, _: &[u8], _: &[u8]) -> bool {
        true
    }
}

/// Answers an upgrade that is right in every point, or says which page is asked for. The caller brings the deadline.
///
/// # Errors
/// The rule that the request breaks; nothing was answered then.
pub(crate) async fn receive<W: Wire>(wire: &mut W, counter: &impl Counter) -> Result<Asked, UpgradeError> {
    let subprotocol = counter.subprotocol();
    let (head, early) = read_head(wire).await?;
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(&head) {
        Ok(httparse::Status::Complete(_)) => {}
        _ => return Err(UpgradeError::NotHttp),
    }
    if request.method != Some("GET") || request.version != Some(1) {
        return Err(UpgradeError::NotHttp);
    }
    let path = request.path.unwrap_or_default();
    let fields = Fields(request.headers);
    let named = fields.one("Host").unwrap_or_default();
    // A page may stand at the path of the WebSockets: what tells them apart is what the client wants to switch to.
    if fields.all("Upgrade").next().is_none()
        && early.is_empty()
        && let Some(page) = counter.page(path, named)
    {
        return Ok(Asked::Page(page));
    }
    if path != PATH {
        return Err(UpgradeError::Path);
    }
    fields.switching()?;
    if fields.all("Origin").next().is_some() && !counter.admits(fields.one("Origin")?, named) {
        return Err(UpgradeError::Origin);
    }
    if fields.one("Sec-WebSocket-Version")? != b"13" {
        return Err(UpgradeError::Field("Sec-WebSocket-Version"));
    }
    let key = fields.one("Sec-WebSocket-Key")?;
    if key.len() != 24 || !key.ends_with(b"==") {
        return Err(UpgradeError::Field("Sec-WebSocket-Key"));
    }
    if !fields.holds("Sec-WebSocket-Protocol", subprotocol) {
        return Err(UpgradeError::Subprotocol);
    }
    if !early.is_empty() {
        return Err(UpgradeError::Early);
    }
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n",
        derive_accept_key(key)
    );
    let host = host_of(named);
    let forwarded = fields.elements("X-Forwarded-For").last().and_then(ip_of);
    write_all(wire, answer.as_bytes()).await?;
    Ok(Asked::WebSocket { host, forwarded })
}

fn ip_of(field: &[u8]) -> Option<IpAddr> {
    let text = core::str::from_utf8(field).ok()?;
    text.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// The host of a `Host` field, without its port; an address of IPv6 stands in brackets.
pub(crate) fn host_of(field: &[u8]) -> String {
    let text = String::from_utf8_lossy(field);
    let end = match text.rfind(']') {
        Some(bracket) => bracket + 1,
        None => text.find(':').unwrap_or(text.len()),
    };
    text.get(..end).unwrap_or_default().to_owned()
}

/// Asks for an upgrade. `authority` is the host as the URL has it, with its port. The caller brings the deadline.
///
/// # Errors
/// The rule that the response breaks.
pub async fn request<W: Wire>(wire: &mut W, authority: &str, path: &str) -> Result<(), UpgradeError> {
    request_for(wire, authority, path, SUBPROTOCOL).await
}

/// The same for another subprotocol.
pub(crate) async fn request_for<W: Wire>(
    wire: &mut W,
    authority: &str,
    path: &str,
    subprotocol: &str,
) -> Result<(), UpgradeError> {
    let key = generate_key();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
    );
    write_all(wire, request.as_bytes()).await?;
    let (head, early) = read_head(wire).await?;
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    match response.parse(&head) {
        Ok(httparse::Status::Complete(_)) => {}
        _ => return Err(UpgradeError::NotHttp),
    }
    if response.code != Some(101) || response.version != Some(1) {
        return Err(UpgradeError::NotHttp);
    }
    let fields = Fields(response.headers);
    fields.switching()?;
    if fields.one("Sec-WebSocket-Accept")? != derive_accept_key(key.as_bytes()).as_bytes() {
        return Err(UpgradeError::Field("Sec-WebSocket-Accept"));
    }
    if fields.one("Sec-WebSocket-Protocol") != Ok(subprotocol.as_bytes()) {
        return Err(UpgradeError::Subprotocol);
    }
    if fields.all("Sec-WebSocket-Extensions").next().is_some() {
        return Err(UpgradeError::Field("Sec-WebSocket-Extensions"));
    }
    wire.guard().unread(early);
    Ok(())
}

struct Fields<'a>(&'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// The value of a field that may stand there once only.
    fn one(&self, name: &'static str) -> Result<&'a [u8], UpgradeError> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (Some(value), None) => Ok(value.trim_ascii()),
            _ => Err(UpgradeError::Field(name)),
        }
    }

    /// Whether a list field holds an element, exactly.
    fn holds(&self, name: &'static str, element: &str) -> bool {
        self.elements(name).any(|part| part == element.as_bytes())
    }

    fn elements(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.all(name).flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
    }

    fn switching(&self) -> Result<(), UpgradeError> {
        if !self.one("Upgrade")?.eq_ignore_ascii_case(b"websocket") {
            return Err(UpgradeError::Field("Upgrade"));
        }
        if !self.elements("Connection").any(|part| part.eq_ignore_ascii_case(b"upgrade")) {
            return Err(UpgradeError::Field("Connection"));
        }
        Ok(())
    }
}

/// Reads up to the empty line: the head with it, and what came after it.
pub(crate) async fn read_head<W: Wire>(wire: &mut W) -> Result<(Bytes, Bytes), UpgradeError> {
    let mut buf = BytesMut::zeroed(FIRST_BUFFER);
    let mut have = 0;
    loop {
        if have == buf.len() {
            if have == MAX_HEADER {
                return Err(UpgradeError::TooLong);
            }
            buf.resize((have * 2).min(MAX_HEADER), 0);
        }
        let read = poll_fn(|cx| wire.poll_read(cx, buf.get_mut(have..).unwrap_or_default())).await?;
        if read == 0 {
            return Err(UpgradeError::Lost);
        }
        // The empty line may have begun in an earlier read.
        let from = have.saturating_sub(3);
        have += read;
        let fresh = buf.get(from..have).unwrap_or_default();
        if let Some(at) = fresh.windows(4).position(|four| four == b"\r\n\r\n") {
            buf.truncate(have);
            let head = buf.split_to(from + at + 4).freeze();
            return Ok((head, buf.freeze()));
        }
    }
}

pub(crate) async fn write_all<W: Wire>(wire: &mut W, mut bytes: &[u8]) -> Result<(), UpgradeError> {
    while !bytes.is_empty() {
        let written = poll_fn(|cx| wire.poll_write(cx, bytes)).await?;
        if written == 0 {
            return Err(UpgradeError::Lost);
        }
        bytes = bytes.get(written..).unwrap_or_default();
    }
    poll_fn(|cx| wire.poll_flush(cx)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll};

    use futures_util::FutureExt as _;

    use super::*;
    use crate::guard::Guard;

    /// What the other end says, `step` bytes a read, and what we said.
    struct Script {
        says: Vec<u8>,
        step: usize,
        heard: Vec<u8>,
        guard: Guard,
    }

    impl Wire for Script {
        fn poll_read(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
            let n = self.step.min(buf.len()).min(self.says.len());
            buf[..n].copy_from_slice(&self.says[..n]);
            self.says.drain(..n);
            Poll::Ready(Ok(n))
        }
        fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.heard.extend_from_slice(buf);
            Poll::Ready(Ok(buf.len()))
        }
        fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn guard(&mut self) -> &mut Guard {
            &mut self.guard
        }
    }

    const GOOD: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: other, lama.1\r\n\r\n";

    fn try_accept(says: &str, step: usize) -> (Result<(), UpgradeError>, String) {
        let mut wire = Script { says: says.into(), step, heard: Vec::new(), guard: Guard::default() };
        let result = accept(&mut wire).now_or_never().expect("never pending");
        (result, String::from_utf8(wire.heard).unwrap())
    }

    #[test]
    fn a_right_request_is_answered_however_it_is_cut() {
        for step in [1, 2, 3, 7, 100, 10_000] {
            let (result, heard) = try_accept(GOOD, step);
            assert_eq!(result, Ok(()));
            // The example of RFC 6455, 1.3.
            assert!(heard.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{heard}");
            assert!(heard.contains("Sec-WebSocket-Protocol: lama.1\r\n"));
        }
    }

    #[test]
    fn a_wrong_request_is_dropped_without_a_word() {
        let long = GOOD.replace("Host:", &format!("X: {}\r\nHost:", "a".repeat(MAX_HEADER)));
        let many = GOOD.replace("Host:", &format!("{}Host:", "X: y\r\n".repeat(MAX_FIELDS)));
        for (says, error) in [
            (GOOD.replace("GET / ", "GET /x "), UpgradeError::Path),
            (GOOD.replace("GET / ", "GET /?a "), UpgradeError::Path),
            (GOOD.replace("GET", "POST"), UpgradeError::NotHttp),
            (GOOD.replace("HTTP/1.1", "HTTP/1.0"), UpgradeError::NotHttp),
            (GOOD.replace("other, lama.1", "lama.2"), UpgradeError::Subprotocol),
            (GOOD.replace("other, lama.1", "lama.10"), UpgradeError::Subprotocol),
            (GOOD.replace("Sec-WebSocket-Protocol: other, lama.1\r\n", ""), UpgradeError::Subprotocol),
            (GOOD.replace("Upgrade: websocket", "Upgrade: h2c"), UpgradeError::Field("Upgrade")),
            (GOOD.replace("keep-alive, Upgrade", "keep-alive"), UpgradeError::Field("Connection")),
            (GOOD.replace("Version: 13", "Version: 12"), UpgradeError::Field("Sec-WebSocket-Version")),
            (GOOD.replace("dGhl", ""), UpgradeError::Field("Sec-WebSocket-Key")),
            (
                GOOD.replace("\r\nHost", "\r\nSec-WebSocket-Key: x\r\nHost"),
                UpgradeError::Field("Sec-WebSocket-Key"),
            ),
            (format!("{GOOD}early"), UpgradeError::Early),
            (long, UpgradeError::TooLong),
            (many, UpgradeError::NotHttp),
            ("GET / HTTP/1.1\r\n".into(), UpgradeError::Lost),
            ("\r\n\r\n".into(), UpgradeError::NotHttp),
        ] {
            let (result, heard) = try_accept(&says, 10_000);
            assert_eq!(result, Err(error), "{says}");
            assert_eq!(heard, "");
        }
    }

    #[test]
    fn a_proxy_names_its_client_last() {
        for (fields, expected) in [
            ("", None),
            ("X-Forwarded-For: 192.0.2.1\r\n", Some("192.0.2.1")),
            ("X-Forwarded-For: 192.0.2.1, 192.0.2.2\r\n", Some("192.0.2.2")),
            ("X-Forwarded-For: 192.0.2.1\r\nx-forwarded-for: [2001:db8::1]\r\n", Some("2001:db8::1")),
            ("X-Forwarded-For: 192.0.2.1, unknown\r\n", None),
        ] {
            let says = GOOD.replace("Upgrade: websocket", &format!("{fields}Upgrade: websocket"));
            let mut wire = Script { says: says.into(), step: 50, heard: Vec::new(), guard: Guard::default() };
            let counter = Open { subprotocol: SUBPROTOCOL, pages: &[] };
            let Ok(Asked::WebSocket { forwarded, .. }) =
                receive(&mut wire, &counter).now_or_never().expect("never pending")
            else {
                panic!("refused");
            };
            assert_eq!(forwarded.map(|ip| ip.to_string()).as_deref(), expected);
        }
    }

    #[test]
    fn a_wrong_response_is_refused() {
        let answer = |says: &str| {
            let mut wire = Script { says: says.into(), step: 9, heard: Vec::new(), guard: Guard::default() };
            request(&mut wire, "localhost:1", PATH).now_or_never().expect("never pending")
        };
        assert_eq!(answer("HTTP/1.1 200 OK\r\n\r\n"), Err(UpgradeError::NotHttp));
        assert_eq!(answer("SSH-2.0-x\r\n\r\n"), Err(UpgradeError::NotHttp));
        assert_eq!(answer("HTTP/1.1 101 x\r\n\r\n"), Err(UpgradeError::Field("Upgrade")));
        assert_eq!(
            answer(
                "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
            ),
            Err(UpgradeError::Field("Sec-WebSocket-Accept"))
        );
    }
}
