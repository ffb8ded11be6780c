//! Both sides, side by side.

use std::path::Path;

use serde_json::json;

use super::{ME, NODE, Other};
use crate::api::{Channel, Contacts, Message, Messages, Peer, Request, Status};
use crate::commands::ask_live;
use crate::failure::Failure;
use crate::live::Live;
use crate::output::Output;
use crate::render::short;
use crate::text::{bytes, escape, table};

/// The most messages that are shown.
const LAST: usize = 6;

/// What one side knows.
struct Side {
    contacts: Contacts,
    messages: Messages,
    status: Status,
}

/// Whether both are in sync and say the same of what they hold.
pub(super) fn equal(mine: &Status, theirs: &Status) -> bool {
    match (mine.peers.as_slice(), theirs.peers.as_slice()) {
        ([a], [b]) => {
            a.state == "in_sync"
                && b.state == "in_sync"
                && a.fingerprint.is_some()
                && (a.count, &a.fingerprint) == (b.count, &b.fingerprint)
        }
        _ => false,
    }
}

/// Shows contacts, channel, counts, fingerprints and costs of both sides.
pub(super) fn show(output: Output, live: &Live, node: &mut Other, dirs: [&Path; 2]) -> Result<(), Failure> {
    let theirs = Side {
        contacts: node.ask(&Request::Contacts)?,
        messages: node.ask(&super::log())?,
        status: node.ask(&Request::Status)?,
    };
    let mine = Side {
        contacts: ask_live(live, Request::Contacts)?,
        messages: ask_live(live, super::log())?,
        status: ask_live(live, Request::Status)?,
    };
    let equal = equal(&mine.status, &theirs.status);
    if output.is_json() {
        let side = |side: &Side| json!({ "contacts": side.contacts, "messages": side.messages, "status": side.status });
        output.json_line(&json!({ "equal": equal, NODE: side(&theirs), ME: side(&mine) }));
        return Ok(());
    }
    let mut text = String::from("\n");
    text.push_str(&table(&["", NODE, ME], &rows(&theirs, &mine)));
    text.push_str(if equal { "\nboth sides hold the same\n" } else { "\nTHE TWO SIDES DIFFER\n" });
    text.push_str("\nthe channel, as both show it:\n");
    let last: Vec<String> = channel(&mine).map(line).collect();
    for line in last.iter().skip(last.len().saturating_sub(LAST)) {
        text.push_str(&format!("  {line}\n"));
    }
    text.push_str("\nlook further, also while this runs:\n");
    let program = std::env::args().next().unwrap_or_else(|| "lama".to_owned());
    for dir in dirs {
        text.push_str(&format!("  {program} --data {} log\n", dir.display()));
    }
    text.push_str("  (or contacts, status, pending, id, send EMAIL TEXT, get NAME DIR)\n");
    output.text(&text);
    Ok(())
}

fn channel(side: &Side) -> impl Iterator<Item = &Message> {
    side.messages.channels.iter().flat_map(|channel: &Channel| channel.messages.iter())
}

fn line(message: &Message) -> String {
    format!("{}: {}", escape(&message.email), escape(&message.text))
}

fn rows(theirs: &Side, mine: &Side) -> Vec<Vec<String>> {
    let row = |name: &str, of: &dyn Fn(&Side) -> String| vec![name.to_owned(), of(theirs), of(mine)];
    let peer =
        |of: fn(&Peer) -> String| move |side: &Side| side.status.peers.first().map(of).unwrap_or_default();
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    vec![
        row("runtime", &|side| side.status.runtime.clone()),
        row("contacts", &|side| {
            let all: Vec<String> =
                side.contacts.contacts.iter().map(|c| format!("{} ({})", c.email, c.state)).collect();
            escape(&all.join(", "))
        }),
        row("contact's key", &|side| {
            let all: Vec<&str> = side.contacts.contacts.iter().map(|c| short(&c.fingerprint)).collect();
            all.join(", ")
        }),
        row("messages", &|side| channel(side).count().to_string()),
        row(
            "common objects",
            &peer(|peer| peer.count.map_or_else(|| "-".to_owned(), |count| count.to_string())),
        ),
        row("fingerprint", &peer(|peer| peer.fingerprint.clone().unwrap_or_else(|| "-".to_owned()))),
        row("stored", &|side| format!("{} objects, {}", side.status.objects, bytes(side.status.bytes))),
        row("sent", &peer(|peer| format!("{} in {} frames", bytes(peer.bytes_sent), peer.frames_sent))),
        row(
            "received",
            &peer(|peer| format!("{} in {} frames", bytes(peer.bytes_received), peer.frames_received)),
        ),
        row("round trips until authenticated", &move |side: &Side| {
            let first = side.status.peers.first();
            or_dash(first.and_then(|peer| peer.round_trips_to_authenticated).map(|trips| trips.to_string()))
        }),
        row("round trips until the first object", &move |side: &Side| {
            let first = side.status.peers.first();
            or_dash(first.and_then(|peer| peer.round_trips_to_first_object).map(|trips| trips.to_string()))
        }),
    ]
}
