//! The page that `--web` serves: an instance of its own in the browser, at the port of the listener.
//!
//! The page is made by `cargo xtask web` and put into the program when that is built; a program without it says so. The
//! page gets its invitation once, in the fragment of the URL that is printed: a browser sends that to nobody.

use std::fmt::Write as _;

use lama_net::{Site, SiteFile};

use crate::api::{Invited, Request};
use crate::args::Web;
use crate::commands::ask_live;
use crate::failure::{Exit, Failure};
use crate::live::Live;

/// How long the page may wait to be opened.
const LIFETIME: u64 = 900;

/// What the page may do: run what comes from here and speak to instances and relays. It stands in no frame, sends no address
/// of itself anywhere, and shares its process with no other site.
const HEADERS: &str = "Content-Security-Policy: default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; \
    worker-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self' ws: wss:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
    X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
    Cross-Origin-Opener-Policy: same-origin\r\nCross-Origin-Embedder-Policy: require-corp\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n";

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/page.rs"));
}

/// What browsers find at the listener, as the command line says.
///
/// # Errors
/// The page is wanted, and this program has none.
pub(crate) fn site(web: &Web) -> Result<Site, Failure> {
    let origins = web.web_origin.iter().cloned().collect();
    if !web.web {
        return Ok(Site { origins, ..Site::default() });
    }
    if embedded::FILES.is_empty() {
        return Err(Failure::new(
            Exit::Failed,
            "no-page",
            "this program was built without the page; run `cargo xtask web` in the sources, build it again, and start that",
        ));
    }
    let files = embedded::FILES.iter().map(|(name, bytes)| SiteFile {
        path: if *name == "index.html" { "/".to_owned() } else { format!("/{name}") },
        content_type: content_type(name),
        body: bytes::Bytes::from_static(bytes),
    });
    Ok(Site { files: files.collect(), headers: HEADERS, origins })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json" | "webmanifest") => "application/json",
        _ => "application/octet-stream",
    }
}

/// Where the page is, with a new invitation for it; `email`: who it is to be, if not the person in front of it says.
///
/// # Errors
/// The invitation could not be made, or nothing listens here.
pub(crate) fn url(live: &Live, email: Option<&str>) -> Result<String, Failure> {
    let request = Request::Invite { confirm: false, lifetime: LIFETIME, label: "page".to_owned() };
    let invited: Invited = ask_live(live, request)?;
    let at = invited.urls.iter().find_map(|url| url.strip_prefix("ws://localhost:"));
    let (Some(port), Some((_, secret))) = (at, invited.link.split_once('#')) else {
        return Err(Failure::new(
            Exit::Failed,
            "not-listening",
            "the page is served at the listener, and this instance listens nowhere; leave out --no-listen",
        ));
    };
    let mut url = format!("http://localhost:{port}/#invitation={secret}");
    if let Some(email) = email {
        let _ = write!(url, "&email={email}");
    }
    Ok(url)
}

/// An origin as browsers write it: a scheme and an authority, and nothing after it.
pub(crate) fn origin(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match name {
        Some(name) if !name.is_empty() && !name.contains(['/', '?', '#', '@', ' ']) => {
            Ok(text.to_ascii_lowercase())
        }
        _ => Err("an origin is http:// or https:// and a host, with its port if that is unusual, such as \
            https://lama.example; no path"
            .to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        assert_eq!(origin("https://Lama.example:444"), Ok("https://lama.example:444".to_owned()));
        for text in
            ["", "lama.example", "ws://lama.example", "https://", "https://lama.example/", "http://a@b"]
        {
            assert!(origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_program_without_the_page_says_how_to_get_it() {
        let site = site(&Web { web: true, web_origin: Vec::new() });
        match site {
            Ok(site) => assert!(site.files.iter().any(|file| file.path == "/")),
            Err(failure) => assert!(failure.message.contains("cargo xtask web"), "{}", failure.message),
        }
    }
}
