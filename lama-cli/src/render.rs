//! Answers as text for people.

use std::fmt::Write;

use serde_json::Value;

use crate::api::{self, Contact, Contacts, Id, Messages, Peer, PendingList, Status};
use crate::args::Compact;
use crate::text::{bytes, count, escape, message_name, table, time};

/// How much of an id people see; enough to name somebody, and to compare by voice.
const SHORT: usize = 16;

pub(crate) fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

pub(crate) fn id(id: &Id) -> String {
    format!(
        "person       {}  {}\ninstance     {}  {}\nfingerprint  {}\nkeys         {}\nmade         {} UTC\ndata         {}\n",
        short(&id.person),
        escape(&id.email),
        short(&id.instance),
        escape(&id.name),
        id.fingerprint,
        if id.passphrase { "behind a passphrase" } else { "protected by file permissions alone" },
        time(id.created),
        id.data,
    )
}

pub(crate) fn checked(checked: &api::Checked) -> String {
    format!(
        "sound: {} with {}, {}, {} of views\n",
        count(checked.objects, "object"),
        bytes(checked.bytes),
        count(checked.records, "record"),
        match checked.entries {
            1 => "1 entry".to_owned(),
            entries => format!("{entries} entries"),
        },
    )
}

pub(crate) fn compacted(done: &api::Compacted, how: &Compact) -> String {
    let held = |objects, size| format!("{} ({})", count(objects, "object"), bytes(size));
    if how.dry_run {
        return format!("nobody holds {}; nothing was deleted\n", held(done.collected, done.collected_bytes));
    }
    let mut out = String::new();
    if how.collect {
        out += &format!("nobody held {}\n", held(done.collected, done.collected_bytes));
    }
    if done.dropped > 0 {
        out +=
            &format!("{} that were deleted have lost their bytes\n", held(done.dropped, done.dropped_bytes));
    }
    out + &format!("{} before, {} now\n", bytes(done.before), bytes(done.after))
}

pub(crate) fn mended(mended: &api::Mended) -> String {
    if *mended == (api::Mended { sound: true, ..api::Mended::default() }) {
        return "sound: there was nothing to mend\n".to_owned();
    }
    format!(
        "sound now; written anew: {} of the index, {}, {}{}; left out: {}\n",
        match mended.index {
            1 => "1 entry".to_owned(),
            entries => format!("{entries} entries"),
        },
        count(mended.views, "view"),
        count(mended.channels, "channel"),
        if mended.counts { ", the counts" } else { "" },
        count(mended.damaged, "damaged record"),
    )
}

pub(crate) fn imported(imported: &api::Imported) -> String {
    let open = match imported.revoked {
        0 => String::new(),
        revoked => format!("{} that was open is taken back\n", count(revoked, "invitation")),
    };
    format!(
        "{} is restored in {}\n{open}start it here alone: the instance it was made from must not run again\n",
        escape(&imported.id.email),
        imported.id.data
    )
}

pub(crate) fn contacts(list: &Contacts) -> String {
    if list.contacts.is_empty() {
        return "no contacts yet; `lama invite` on one side, `lama join` on the other\n".to_owned();
    }
    let mut rows = Vec::new();
    for contact in &list.contacts {
        for (number, instance) in contact.instances.iter().enumerate() {
            let first = number == 0;
            rows.push(vec![
                if first { escape(&contact.email) } else { String::new() },
                if first { short(&contact.person).to_owned() } else { String::new() },
                if first { contact.state.clone() } else { String::new() },
                escape(&instance.name),
                instance.url.as_deref().map_or_else(|| "it dials".to_owned(), escape),
                if instance.connected { "connected" } else { "-" }.to_owned(),
            ]);
        }
        if contact.instances.is_empty() {
            rows.push(vec![escape(&contact.email), short(&contact.person).to_owned(), contact.state.clone()]);
        }
    }
    table(&["CONTACT", "PERSON", "STATE", "INSTANCE", "REACHED AT", "NOW"], &rows)
}

/// Own instances, then whom the log has not reached.
pub(crate) fn instances(list: &api::Instances) -> String {
    let rows: Vec<Vec<String>> = list
        .instances
        .iter()
        .map(|row| {
            let name = row.name.as_deref().map_or_else(|| "-".to_owned(), escape);
            let state = match (row.revoked, row.arrived, row.of) {
                (Some(_), Some(arrived), Some(of)) => {
                    let how = if row.replaced { "replaced" } else { "revoked" };
                    format!("{how}, arrived at {arrived} of {of}")
                }
                (Some(_), ..) => "revoked".to_owned(),
                _ if row.this => "this one".to_owned(),
                _ => "certified".to_owned(),
            };
            vec![name, short(&row.key).to_owned(), state]
        })
        .collect();
    let mut out = table(&["INSTANCE", "KEY", "STATE"], &rows);
    let behind = list.reached.iter().filter(|row| row.entries < list.entries);
    let rows: Vec<Vec<String>> = behind
        .map(|row| {
            let seen = row.last_seen.map_or_else(|| "never".to_owned(), time);
            vec![escape(&row.email), escape(&row.instance), seen]
        })
        .collect();
    if !rows.is_empty() {
        out.push_str("\nnot reached yet; they hear of it before anything else when they connect:\n");
        out.push_str(&table(&["CONTACT", "INSTANCE", "LAST SEEN (UTC)"], &rows));
    }
    out
}

pub(crate) fn paired(contact: &Contact) -> String {
    let code = contact.check_code.as_ref().map(|code| format!(", check code {code}")).unwrap_or_default();
    format!(
        "{} is a contact now (fingerprint {}{code})\n",
        escape(&contact.email),
        short(&contact.fingerprint)
    )
}

/// Why an object does not reach somebody, and what to do.
pub(crate) fn explanation(told: &api::Explanation) -> String {
    let who = if told.email.is_empty() { short(&told.person).to_owned() } else { escape(&told.email) };
    let rule = told.rule.as_deref().unwrap_or_default();
    let mut out = match told.standing.as_str() {
        "not_a_contact" => format!("{who} is no established contact: nothing is sent; pair first\n"),
        "not_here" => {
            "the object is not here, so it cannot be sent; share the file or folder again\n".to_owned()
        }
        "set_aside" => {
            "the object waits for a part that has not come, and is shown to nobody until then\n".to_owned()
        }
        "tombstone" => format!("the object was deleted or withdrawn; {who} is told that it is gone\n"),
        "not_shared" => format!("not shared with {who}; `lama share` shares it\n"),
        "pending" => format!("shared, and waits to be sent; it goes out when {who} is connected\n"),
        "sent" => format!("sent, or on its way; {who} has not acknowledged it yet\n"),
        "over_quota" => {
            format!("{who} refused it: over the quota there; once there is room, share it again\n")
        }
        "refused" => format!("{who} refused it (rule: {rule}); sharing it again offers it again\n"),
        "acknowledged" => format!("{who} has it durably\n"),
        "from_them" => format!("{who} has it: it came from there\n"),
        other => format!("{other}\n"),
    };
    for rule in &told.rules {
        let effect = match (rule.in_effect, rule.names) {
            (true, true) => "in effect",
            (true, false) => "in effect, for others",
            (false, _) => "without effect: its author did not author the object",
        };
        let _ = writeln!(out, "rule {} by {}: {effect}", short(&rule.id), short(&rule.author));
    }
    for instance in told.instances.iter().filter(|_| told.instances.len() > 1) {
        let _ = writeln!(out, "instance {}: {}", short(&instance.instance), instance.standing);
    }
    out
}

/// How much of a contact is kept.
pub(crate) fn quota(row: &api::Quota) -> String {
    let limit = |limit: Option<u64>| limit.map_or_else(|| "-".to_owned(), |limit| limit.to_string());
    let rows = vec![
        vec!["objects".to_owned(), row.objects.to_string(), limit(row.max_objects)],
        vec!["bytes".to_owned(), row.bytes.to_string(), limit(row.max_bytes)],
        vec!["bytes an hour".to_owned(), "-".to_owned(), limit(row.max_bytes_per_hour)],
        vec!["days".to_owned(), "-".to_owned(), limit(row.days)],
        vec!["refused".to_owned(), row.refused.to_string(), "-".to_owned()],
    ];
    table(&["OF THIS CONTACT", "KEPT", "AT MOST"], &rows)
}

pub(crate) fn pending(list: &PendingList) -> String {
    let mut out = String::new();
    if list.pairings.is_empty() && list.invitations.is_empty() {
        return "nothing is pending\n".to_owned();
    }
    if !list.pairings.is_empty() {
        let rows: Vec<Vec<String>> = list
            .pairings
            .iter()
            .map(|pairing| {
                vec![
                    if pairing.email.is_empty() {
                        "(not reached yet)".to_owned()
                    } else {
                        escape(&pairing.email)
                    },
                    short(&pairing.person).to_owned(),
                    short(&pairing.fingerprint).to_owned(),
                    pairing.check_code.clone().unwrap_or_else(|| "-".to_owned()),
                    match pairing.waits_for.as_str() {
                        "our_approval" => "you: lama approve, or lama deny".to_owned(),
                        "their_approval" => "their approval".to_owned(),
                        _ => "a connection".to_owned(),
                    },
                ]
            })
            .collect();
        out.push_str(&table(&["PAIRING WITH", "PERSON", "FINGERPRINT", "CODE", "WAITS FOR"], &rows));
    }
    if !list.invitations.is_empty() {
        if !out.is_empty() {
            out.push('\n');
        }
        let rows: Vec<Vec<String>> = list
            .invitations
            .iter()
            .map(|invitation| {
                vec![
                    short(&invitation.locator).to_owned(),
                    invitation.state.clone(),
                    if invitation.confirm { "confirm" } else { "auto" }.to_owned(),
                    time(invitation.expires.saturating_mul(1000)),
                    escape(&invitation.label),
                ]
            })
            .collect();
        out.push_str(&table(&["INVITATION", "STATE", "POLICY", "ENDS (UTC)", "LABEL"], &rows));
    }
    out
}

pub(crate) fn messages(list: &Messages) -> String {
    let mut out = String::new();
    for channel in &list.channels {
        let with: Vec<String> = channel.with.iter().map(|email| escape(email)).collect();
        let unread = if channel.unread > 0 { format!(", {} unread", channel.unread) } else { String::new() };
        let _ = writeln!(out, "{} with {}{unread}", escape(&channel.channel), with.join(", "));
        for message in &channel.messages {
            let author = if message.email.is_empty() { short(&message.author) } else { &message.email };
            let mark = if message.unread { '*' } else { ' ' };
            let name = message_name(&message.id);
            let _ = write!(out, "{mark} {name}  {}  {}: ", time(message.time), escape(author));
            match (message.deleted, message.edited) {
                (Some(_), _) => out.push_str("(deleted)"),
                (None, Some(_)) => {
                    let _ = write!(out, "{} (edited)", escape(&message.text));
                }
                (None, None) => out.push_str(&escape(&message.text)),
            }
            if let Some(id) = &message.attachment {
                let _ = write!(out, "  [{id}]");
            }
            out.push('\n');
        }
    }
    if out.is_empty() { "no messages yet\n".to_owned() } else { out }
}

pub(crate) fn shared(shared: &api::Shared) -> String {
    let with: Vec<String> = shared.with.iter().map(|email| escape(email)).collect();
    let mut out = format!(
        "{} ({}) {} shared with {}\nid {}\n",
        count(shared.files, "file"),
        bytes(shared.bytes),
        if shared.files == 1 { "is" } else { "are" },
        with.join(", "),
        shared.id
    );
    if shared.left_out > 0 {
        let names: Vec<String> = shared.left_out_first.iter().take(5).map(|name| escape(name)).collect();
        let more = if shared.left_out > names.len() as u64 { ", ..." } else { "" };
        let _ = writeln!(
            out,
            "left out {}, unreadable or named as no other system can store it: {}{more}; rename them to share them",
            count(shared.left_out, "file"),
            names.join(", ")
        );
    }
    if shared.kept {
        out.push_str("it stays shared, with what changes in it, while `lama run` runs\n");
    }
    out
}

pub(crate) fn shared_list(list: &api::SharedList) -> String {
    if list.items.is_empty() && list.kept.is_empty() {
        return "nothing is shared yet; `lama share PATH` shares a file or folder\n".to_owned();
    }
    let row = |item: &api::SharedItem| {
        vec![
            escape(&item.name),
            item.kind.clone(),
            bytes(item.bytes),
            escape(&item.by),
            time(item.time),
            item.id.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = list.items.iter().map(row).collect();
    let mut out = table(&["NAME", "KIND", "SIZE", "BY", "SINCE (UTC)", "ID"], &rows);
    for path in &list.kept {
        let _ = writeln!(out, "kept shared while `lama run` runs: {}", escape(path));
    }
    out
}

pub(crate) fn withdrawn(done: &api::Withdrawn) -> String {
    let with: Vec<String> = done.with.iter().map(|email| escape(email)).collect();
    let mut out = format!("taken back from {} ({})\n", with.join(", "), count(done.versions, "version"));
    if done.stays > 0 {
        let _ = writeln!(out, "{} had been sent already and may be kept there", count(done.stays, "object"));
    }
    out
}

pub(crate) fn status(status: &Status) -> String {
    let mut out = format!(
        "{} on {}; {} ({}) here\n",
        if status.offline {
            "offline".to_owned()
        } else if status.urls.is_empty() {
            "not listening".to_owned()
        } else {
            status.urls.join(", ")
        },
        status.runtime,
        count(status.objects, "object"),
        bytes(status.bytes),
    );
    let number = |value: Option<u64>| value.map_or_else(|| "?".to_owned(), |value| value.to_string());
    let rows: Vec<Vec<String>> = status
        .peers
        .iter()
        .map(|peer| {
            vec![
                short(&peer.instance).to_owned(),
                escape(&peer.email),
                peer.path.clone(),
                peer.last_seen.map_or_else(|| "never".to_owned(), time),
                number(peer.to_send),
                number(peer.to_receive),
                peer.state.replace('_', " "),
                peer.count.map_or_else(|| "-".to_owned(), |count| count.to_string()),
                peer.fingerprint.clone().unwrap_or_else(|| "-".to_owned()),
                why(peer),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let head = [
            "PEER",
            "PERSON",
            "PATH",
            "LAST SEEN (UTC)",
            "TO SEND",
            "TO GET",
            "STATE",
            "OBJECTS",
            "FINGERPRINT",
            "WHY NOT",
        ];
        out.push_str(&table(&head, &rows));
    }
    out
}

/// Routes to instances of contacts.
pub(crate) fn routes(list: &api::Routes) -> String {
    let row = |route: &api::Route| {
        let on = match (&route.off_by, route.in_use) {
            (Some(by), _) => format!("off ({by})"),
            (None, true) => "in use".to_owned(),
            (None, false) => "on".to_owned(),
        };
        vec![
            short(&route.instance).to_owned(),
            escape(&route.email),
            escape(&route.name),
            route.path.clone(),
            on,
            escape(&route.route),
        ]
    };
    let rows: Vec<Vec<String>> = list.routes.iter().map(row).collect();
    if rows.is_empty() {
        return "no contact says where it is reached\n".to_owned();
    }
    table(&["PEER", "PERSON", "INSTANCE", "PATH", "DIALLED", "ROUTE"], &rows)
}

/// Why a peer is not connected, and when it is dialled again.
fn why(peer: &Peer) -> String {
    let Some(problem) = peer.problem.as_ref().filter(|_| peer.path == "none") else { return String::new() };
    let again = match peer.again {
        Some(pause) => format!("; again in {} s", pause.div_ceil(1000)),
        None => String::new(),
    };
    format!("{}{again}", escape(&problem.message))
}

/// A peer as one line, for where there is no table; nothing in it moves by itself.
pub(crate) fn peer_line(peer: &Peer) -> String {
    let number = |value: Option<u64>| value.map_or_else(|| "?".to_owned(), |value| value.to_string());
    let problem = peer.problem.as_ref().filter(|_| peer.path == "none");
    let why = problem.map(|problem| format!(", {}", escape(&problem.message))).unwrap_or_default();
    format!(
        "{} {}: {}, {}, {} to send, {} to get{why}",
        short(&peer.instance),
        escape(&peer.email),
        peer.path,
        peer.state.replace('_', " "),
        number(peer.to_send),
        number(peer.to_receive),
    )
}

/// An event of a running instance as a line; `None` for what people see elsewhere (progress) or not at all.
pub(crate) fn event(event: &Value) -> Option<String> {
    let text = |key: &str| escape(event.get(key).and_then(Value::as_str).unwrap_or_default());
    let inner = |key: &str, field: &str| {
        escape(event.get(key).and_then(|value| value.get(field)).and_then(Value::as_str).unwrap_or_default())
    };
    Some(match event.get("type").and_then(Value::as_str)? {
        "listening" => {
            let urls: Vec<&str> = event
                .get("urls")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            if urls.is_empty() { return None } else { format!("listening on {}", urls.join(", ")) }
        }
        "session_started" => format!("connected with {}", text("email")),
        "session_ended" => format!("the connection with {} ended: {}", text("email"), text("message")),
        "link_refused" => format!("a connection was refused: {}", text("message")),
        // Once: it goes on trying for as long as the other side is away.
        "dial_failed" if event.get("failures").and_then(Value::as_u64) > Some(1) => return None,
        "dial_failed" => format!("{} was not reached: {}; trying again", text("url"), text("cause")),
        "pairing_pending" => {
            let code = inner("pairing", "check_code");
            let code = if code.is_empty() { String::new() } else { format!("; check code {code}") };
            format!(
                "{} wants to pair (fingerprint {}){code}",
                inner("pairing", "email"),
                short(&inner("pairing", "fingerprint"))
            )
        }
        "paired" => format!("{} is a contact now", inner("contact", "email")),
        "pairing_failed" => format!("a pairing failed: {}", text("message")),
        "contact_removed" => format!("contact {} was removed", short(&text("person"))),
        "key_changed" => format!(
            "ALARM: {} was shown with another key ({}); nothing was accepted",
            short(&text("person")),
            short(&text("shown"))
        ),
        "invitation_expired" => format!("invitation {} ran out", short(&text("locator"))),
        "endpoint_changed" => format!("{} is reached at {} now", text("email"), text("url")),
        "message" => format!("{}: {}", inner("message", "email"), inner("message", "text")),
        "message_changed" => {
            let deleted =
                event.get("message").is_some_and(|message| message.get("deleted").is_some_and(Value::is_u64));
            let name = message_name(&inner("message", "id")).to_owned();
            if deleted {
                format!("{} deleted {name}", inner("message", "email"))
            } else {
                format!("{} edited {name}: {}", inner("message", "email"), inner("message", "text"))
            }
        }
        "shared" => format!("{} was shared with you", text("id")),
        "in_sync" => format!(
            "in sync with {}: {} objects, fingerprint {}",
            text("email"),
            event.get("count").and_then(Value::as_u64).unwrap_or_default(),
            text("fingerprint")
        ),
        "out_of_sync" => format!("{} and this instance hold different sets; they try again", text("email")),
        "store_failed" => format!("the store could not {}: {}", text("doing"), text("cause")),
        _ => return None,
    })
}

/// An event of `lama share --watch`.
pub(crate) fn share_event(event: &Value) -> Option<String> {
    let number = |key: &str| event.get(key).and_then(Value::as_u64).unwrap_or_default();
    let text = |key: &str| escape(event.get(key).and_then(Value::as_str).unwrap_or_default());
    if event.get("type").and_then(Value::as_str) == Some("folder_failed") {
        return Some(format!("{} could not be looked at: {}; trying again", text("path"), text("message")));
    }
    (event.get("type").and_then(Value::as_str)? == "folder").then(|| {
        let (written, removed) = (number("written"), number("removed"));
        format!(
            "{} new or changed, {removed} gone: shared as {}",
            count(written, "file"),
            event.get("id").and_then(Value::as_str).unwrap_or_default()
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_came_from_elsewhere_is_escaped() {
        let message =
            json!({ "type": "message", "message": { "email": "a@b.c", "text": "x\u{1b}]0;y\u{7}" } });
        assert_eq!(event(&message).unwrap(), "a@b.c: x\\u{1b}]0;y\\u{7}");
        assert_eq!(event(&json!({ "type": "progress" })), None);
    }

    #[test]
    fn empty_lists_say_what_to_do() {
        assert!(contacts(&Contacts::default()).contains("lama invite"));
        assert_eq!(pending(&PendingList::default()), "nothing is pending\n");
        assert_eq!(messages(&Messages::default()), "no messages yet\n");
    }
}
