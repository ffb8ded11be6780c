//! Pages for this machine alone: plain HTTP on a loopback address.
//!
//! A page of a foreign site in a browser of this machine could ask here under a name of its own that it lets lead to
//! 127.0.0.1; so the name that was asked for is checked, too. Nothing is answered but GET, one request a connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::failure::{Exit, Failure};

/// The longest head of a request.
const MAX_HEAD: usize = 8 * 1024;
/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most clients at a time.
const CLIENTS: usize = 8;

/// What is at a path: its type and its text; `None`: nothing.
pub(crate) type Pages = Arc<dyn Fn(&str) -> Option<(&'static str, String)> + Send + Sync>;

/// A listener; it ends when dropped.
pub(crate) struct Local {
    at: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Local {
    /// Listens at a loopback address; port 0 is any free one.
    pub(crate) fn start(at: SocketAddr, pages: Pages) -> Result<Self, Failure> {
        let fail = |error: std::io::Error| {
            let text = format!("{at} cannot be listened on: {error}; give another port");
            Failure::new(Exit::Failed, "local-listen", text)
        };
        let listener = TcpListener::bind(at).map_err(fail)?;
        let at = listener.local_addr().map_err(fail)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || accept(&listener, at, &pages, &stopped));
        Ok(Self { at, stop })
    }

    /// Where it is.
    pub(crate) const fn at(&self) -> SocketAddr {
        self.at
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.at); // wakes the accepting thread
    }
}

fn accept(listener: &TcpListener, at: SocketAddr, pages: &Pages, stop: &AtomicBool) {
    let clients = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        if clients.load(Ordering::SeqCst) >= CLIENTS {
            continue; // refused: the other side sees the end
        }
        clients.fetch_add(1, Ordering::SeqCst);
        let (pages, count) = (Arc::clone(pages), Arc::clone(&clients));
        std::thread::spawn(move || {
            let _ = serve(stream, at, &pages);
            count.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

fn serve(mut stream: TcpStream, at: SocketAddr, pages: &Pages) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = Vec::new();
    let mut some = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut some)?;
        head.extend_from_slice(some.get(..read).unwrap_or_default());
        if read == 0 || head.len() > MAX_HEAD {
            return Ok(());
        }
    }
    let (status, kind, body) = answer(&String::from_utf8_lossy(&head), at, pages);
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nContent-Security-Policy: default-src 'none'; \
         script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

fn answer(head: &str, at: SocketAddr, pages: &Pages) -> (&'static str, &'static str, String) {
    const TEXT: &str = "text/plain; charset=utf-8";
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let hosts: Vec<&str> = lines
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.eq_ignore_ascii_case("host"))
        .map(|(_, value)| value.trim())
        .collect();
    let own = [at.to_string(), format!("localhost:{}", at.port())];
    let is_own = matches!(hosts.as_slice(), [one] if own.iter().any(|own| own.eq_ignore_ascii_case(one)));
    if !is_own {
        return ("403 Forbidden", TEXT, "ask for it by its address on this machine\n".to_owned());
    }
    if method != "GET" {
        return ("405 Method Not Allowed", TEXT, "GET only\n".to_owned());
    }
    match pages(path) {
        Some((kind, body)) => ("200 OK", kind, body),
        None => ("404 Not Found", TEXT, "nothing is here\n".to_owned()),
    }
}

/// `PORT` or `ADDRESS:PORT` of this machine alone.
pub(crate) fn loopback(text: &str) -> Result<SocketAddr, String> {
    let at = match text.parse::<u16>() {
        Ok(port) => SocketAddr::from(([127, 0, 0, 1], port)),
        Err(_) => text
            .parse()
            .map_err(|_| "give a port, or an address with one, such as 127.0.0.1:9100".to_owned())?,
    };
    if at.ip().is_loopback() {
        return Ok(at);
    }
    Err("only addresses of this machine alone (127.0.0.1 or [::1]); put a proxy with access control before it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback() {
        assert_eq!(loopback("9100"), Ok("127.0.0.1:9100".parse().unwrap()));
        assert_eq!(loopback("[::1]:1"), Ok("[::1]:1".parse().unwrap()));
        for text in ["0.0.0.0:9100", "192.168.1.1:9100", "[::]:9100", "example.org:9100", "", "99999"] {
            assert!(loopback(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_foreign_name_is_refused_whatever_it_leads_to() {
        let at = "127.0.0.1:9100".parse().unwrap();
        let pages: Pages = Arc::new(|path| (path == "/metrics").then(|| ("text/plain", "x 1\n".to_owned())));
        let ask = |head: &str| answer(head, at, &pages).0;
        assert_eq!(ask("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9100\r\n\r\n"), "200 OK");
        assert_eq!(ask("GET /metrics HTTP/1.1\r\nhost:  LOCALHOST:9100\r\n\r\n"), "200 OK");
        assert_eq!(ask("GET /other HTTP/1.1\r\nHost: localhost:9100\r\n\r\n"), "404 Not Found");
        assert_eq!(ask("POST /metrics HTTP/1.1\r\nHost: localhost:9100\r\n\r\n"), "405 Method Not Allowed");
        for host in ["evil.example", "evil.example:9100", "localhost", "localhost:9100\r\nHost: evil.example"]
        {
            assert_eq!(
                ask(&format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n")),
                "403 Forbidden",
                "{host}"
            );
        }
        assert_eq!(ask("GET /metrics HTTP/1.0\r\n\r\n"), "403 Forbidden");
    }
}
