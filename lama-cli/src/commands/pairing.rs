//! `lama invite` and `lama join`.

use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::time::Duration;

use lama_host::HostError;
use lama_invite::qr::{Qr, Style};
use lama_invite::{Damage, DialRules, InviteError, parse};
use lama_node::{Event, NodeError};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::listening;
use crate::api::{Contact, Invited, Request};
use crate::args::{Global, Invite, Join, PolicyName};
use crate::backend::Backend;
use crate::failure::Failure;
use crate::live::Live;
use crate::output::Output;
use crate::start::Network;
use crate::{identity, render, text};

/// The environment variable with an invitation.
const VARIABLE: &str = "LAMA_INVITATION";

/// How long a command stays after a pairing, so that both sides have what the other one shares.
const FIRST_SYNC: Duration = Duration::from_secs(10);

/// Longest line that is read as an invitation.
const MAX_LINK: u64 = 16 * 1024;

/// Makes an invitation, shows it, and waits for it unless an instance runs that does.
pub(super) fn invite(global: &Global, invite: &Invite, output: Output) -> Result<(), Failure> {
    let mut backend = Backend::open(global, listening(&invite.listen))?;
    let local = backend.local();
    let request = Request::Invite {
        confirm: invite.policy == PolicyName::Confirm,
        lifetime: invite.lifetime.as_secs(),
        label: invite.label.clone(),
    };
    let outcome = backend.ask(&request, &mut |_| {}).and_then(|invited: Invited| {
        show(&invited, output);
        let Some(live) = local.filter(|_| !invite.no_wait) else {
            if invite.no_wait && !matches!(backend, Backend::Remote(_)) {
                output.note("`lama run` serves it from now on");
            }
            return Ok(());
        };
        output.note("waiting for it to be taken; Ctrl-C stops, `lama run` serves it later");
        let synced = live.events.subscribe();
        let contact: Contact =
            backend.ask(&Request::Await { locator: invited.locator }, &mut |event| tell(event, output))?;
        output.answer(&contact, render::paired);
        first_sync(&live, &synced, &contact);
        Ok(())
    });
    let closed = backend.close();
    outcome.and(closed)
}

/// The link goes to standard output, alone on its line, so that it can be piped; what to do with it to standard error.
fn show(invited: &Invited, output: Output) {
    output.answer(invited, |invited| {
        let code = Qr::of(&invited.link).ok().filter(|code| output.fits_qr(code.columns()));
        let code = code.map(|code| code.to_terminal(Style::Ansi)).unwrap_or_default();
        format!("{code}{}\n", invited.link)
    });
    let until = text::time(invited.expires.saturating_mul(1000));
    output.note(&format!(
        "this link is a secret and pairs one instance, until {until} UTC. On the other side, with the link in place of LINK:\n  \
         {VARIABLE}='LINK' lama join\nor run `lama join` there and paste it"
    ));
}

/// Takes an invitation.
pub(super) fn join(global: &Global, join: &Join, output: Output) -> Result<(), Failure> {
    if join.link.is_some() {
        return Err(Failure::usage(format!(
            "an invitation is a secret, and other users of this machine can read arguments; give it as {VARIABLE}='LINK' \
             lama join, or run `lama join` and paste it (and take this one back with `lama revoke` if others could see it)"
        )));
    }
    let link = link()?;
    let dir = lama_host::DataDir::open(&identity::data_path(global)?)?;
    let me = identity::id(&dir)?.person.parse()?;
    // Everything that can be said about it without the network is said before anything is started.
    let rules = DialRules { lan: join.lan, ..DialRules::default() };
    parse(&link, crate::wall(), Some(me), rules).map_err(NodeError::from)?;
    let mut backend = Backend::open(global, Network::Usual(None))?;
    let local = backend.local();
    let synced = local.as_ref().map(|live| live.events.subscribe());
    let request = Request::Join { link: link.to_string(), lan: join.lan, timeout: join.timeout.as_secs() };
    let outcome = backend.ask(&request, &mut |event| tell(event, output)).map(|contact: Contact| {
        output.answer(&contact, render::paired);
        if let (Some(live), Some(synced)) = (&local, &synced) {
            first_sync(live, synced, &contact);
        }
    });
    let closed = backend.close();
    outcome.and(closed)
}

/// From the environment, or standard input.
fn link() -> Result<Zeroizing<String>, Failure> {
    if let Ok(link) = std::env::var(VARIABLE) {
        let link = Zeroizing::new(link);
        return Ok(bare(&link));
    }
    let input = std::io::stdin();
    let asks = input.is_terminal();
    if asks {
        eprintln!("Paste the invitation and press Enter:");
    }
    read_link(&mut std::io::Read::take(input.lock(), MAX_LINK), || {
        if asks {
            eprintln!("The link is not whole: paste its other lines, or press Enter to end:");
        }
    })
}

/// Reads lines until they make a whole link. Whoever sends it may keep the pipe open, and a mail program may have
/// broken it in several lines. An empty line after the beginning ends it.
fn read_link(input: &mut dyn BufRead, mut incomplete: impl FnMut()) -> Result<Zeroizing<String>, Failure> {
    let mut link = Zeroizing::new(String::new());
    loop {
        let mut line = Zeroizing::new(String::new());
        let read = input.read_line(&mut line);
        let read = read.map_err(|error| HostError::io("read", Path::new("standard input"), &error))?;
        if read == 0 || (line.trim().is_empty() && !link.is_empty()) {
            return Ok(link);
        }
        let whole = Zeroizing::new([link.as_str(), line.as_str()].concat());
        link = bare(&whole);
        match lama_invite::parse_unchecked(&link) {
            Err(InviteError::Damaged(Damage::Truncated | Damage::Checksum) | InviteError::NoFragment) => {
                incomplete();
            }
            Err(InviteError::NoLink) => {}
            _ => return Ok(link),
        }
    }
}

/// The link without what mail programs, shells and people put around and into it. A link has no spaces.
fn bare(text: &str) -> Zeroizing<String> {
    let text: Zeroizing<String> = Zeroizing::new(text.split_whitespace().collect());
    let marks = ['"', '\'', '`', '<', '>', '(', ')', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}'];
    Zeroizing::new(text.trim_matches(marks).to_owned())
}

/// What a waiting person wants to know.
fn tell(event: &Value, output: Output) {
    if output.is_json() {
        output.json_line(&json!({ "event": event }));
    } else if event.get("type").and_then(Value::as_str) == Some("paired") {
        // The answer says so.
    } else if let Some(line) = render::event(event) {
        output.note(&line);
    }
}

/// Stays until both ends hold the same, so that a command that ends at once does not leave a contact without data.
fn first_sync(live: &Live, events: &std::sync::mpsc::Receiver<Event>, contact: &Contact) {
    for _ in 0..FIRST_SYNC.as_millis() / 100 {
        let in_sync =
            |event| matches!(event, Event::InSync { peer, .. } if peer.person.full() == contact.person);
        if events.try_iter().any(in_sync) || live.stop.wait(Duration::from_millis(100)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "lama://join#qWF2AWNleHA";

    #[test]
    fn what_mail_and_shells_put_around_a_link_is_taken_off() {
        for text in [
            LINK.to_owned(),
            format!("  {LINK}\r\n"),
            format!("\"{LINK}\""),
            format!("'{LINK}'"),
            format!("<{LINK}>"),
            format!("\u{201c}{LINK}\u{201d}"),
            LINK.replace("qWF2", "qW\n  F2"),
        ] {
            assert_eq!(bare(&text).as_str(), LINK, "{text:?}");
        }
        assert_eq!(bare(" \n").as_str(), "");
    }

    #[test]
    fn a_link_is_read_until_it_is_whole_and_no_further() {
        // A whole link of another build's making is not needed: what is not damaged ends the reading.
        let mut asked = 0;
        let mut read = |text: &str| {
            let mut input = text.as_bytes();
            let link = read_link(&mut input, || asked += 1).unwrap().to_string();
            (link, input.len())
        };
        assert_eq!(read("\n\nhttp://x\nmore"), ("http://x".to_owned(), 4));
        assert_eq!(read("lama://join#qWF2\nAWNleHA\n\nmore"), (LINK.to_owned(), 4));
        assert_eq!(read("lama://join#qWF2"), ("lama://join#qWF2".to_owned(), 0));
        assert_eq!(read(""), (String::new(), 0));
        assert!(asked > 0);
    }
}
