//! `lama invite` and `lama join`.

use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::time::Duration;

use lama_host::HostError;
use lama_invite::qr::{Qr, Style};
use lama_invite::{DialRules, parse};
use lama_net::Listen;
use lama_node::{Event, NodeError};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::prefer;
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
    let mut backend = Backend::open(global, Network::Online(prefer(invite.listen.port)))?;
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
    let mut backend = Backend::open(global, Network::Online(Listen::Nowhere))?;
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

/// From the environment, or the first line of standard input.
fn link() -> Result<Zeroizing<String>, Failure> {
    if let Ok(link) = std::env::var(VARIABLE) {
        return Ok(Zeroizing::new(link));
    }
    let input = std::io::stdin();
    if input.is_terminal() {
        eprintln!("Paste the invitation and press Enter:");
    }
    let mut line = Zeroizing::new(String::new());
    let mut input = std::io::Read::take(input.lock(), MAX_LINK);
    input.read_line(&mut line).map_err(|error| HostError::io("read", Path::new("standard input"), &error))?;
    Ok(line)
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
