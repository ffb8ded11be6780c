//! What is wrong with the instance at work: what the node says, and whether it is reached where it says it is.

use lama_host::machine;
use lama_node::{Command, HealthItem, NodeError, Reply, Severity};

use super::Live;
use super::rows::millis;
use super::work::unexpected;
use crate::api;
use crate::doctor::row;
use crate::failure::Failure;
use crate::text::bytes;

/// What means nothing while nothing is dialled.
const ONLINE: [&str; 3] = ["listener.none", "contact.not-connected", "contact.routes-off"];

/// Everything that the instance can say.
pub(super) fn health(live: &Live) -> Result<api::Health, Failure> {
    let mut items = match live.call(Command::Health)? {
        Reply::Health(items) => items,
        other => return Err(unexpected(&other)),
    };
    let status = match live.call(Command::Status)? {
        Reply::Status(status) => status,
        other => return Err(unexpected(&other)),
    };
    items.push(HealthItem::good(
        "store.opens",
        "the store opens",
        format!("{} objects, {}", status.store.objects, bytes(status.store.bytes)),
    ));
    items.push(last_end(live));
    if live.online {
        for route in &status.listening {
            items.push(answers(live, route)?);
        }
        for relay in live.relays().iter().filter(|relay| !is_listed(&status.listening, relay)) {
            items.push(not_registered(relay));
        }
        if status.offline {
            items.push(HealthItem::new(
                Severity::Error,
                "network.offline",
                "this machine has no network",
                "there is no way to any host that was dialled".to_owned(),
                "connect it; everybody is dialled again by itself",
            ));
        }
    } else {
        items.retain(|item| !ONLINE.contains(&item.code));
        items.extend(live.last_port.map(port));
    }
    items.sort_by_key(|item| std::cmp::Reverse(item.severity));
    let severity = items.first().map_or(Severity::Good, |item| item.severity);
    Ok(api::Health {
        severity: severity.name().to_owned(),
        items: items.iter().map(row).collect(),
        peers: Vec::new(),
    })
}

fn is_listed(routes: &[String], relay: &str) -> bool {
    let (url, _) = relay.split_once('#').unwrap_or((relay, ""));
    routes.iter().any(|route| route.contains('#') && route.starts_with(url))
}

fn last_end(live: &Live) -> HealthItem {
    if live.unclean {
        return HealthItem::new(
            Severity::Warning,
            "store.last-close",
            "the last process did not end in good order",
            "it was killed, or the machine lost its power; what was acknowledged is kept".to_owned(),
            "`lama store check` makes sure that all is sound",
        );
    }
    HealthItem::good("store.closed", "the last process ended in good order", String::new())
}

/// Whether this very instance answers where it says that it is reached: a WebSocket opens, and its key is proved.
fn answers(live: &Live, route: &str) -> Result<HealthItem, Failure> {
    let relayed = route.contains('#');
    let shown = route.split('#').next().unwrap_or_default();
    match live.port.call(Command::Probe { instance: None, route: route.to_owned() }) {
        Ok(Reply::Probed { open_after, round_trip }) => {
            let text = format!(
                "{shown}: the WebSocket opened after {} ms, and this instance has proved itself after {} ms more",
                millis(open_after),
                millis(round_trip)
            );
            let (code, title) = if relayed {
                ("relay.answers", "the relay passes calls on to this instance")
            } else {
                ("listener.answers", "the listener answers, and it is this instance")
            };
            Ok(HealthItem::good(code, title, text))
        }
        Ok(other) => Err(unexpected(&other)),
        Err(NodeError::NoAnswer { why, .. }) if relayed => Ok(HealthItem::new(
            Severity::Error,
            "relay.silent",
            "calls through the relay do not arrive",
            format!("{shown}: {} ({})", why.text, why.code),
            "see that the relay runs and is reached from here; registering is repeated by itself",
        )),
        Err(NodeError::NoAnswer { why, .. }) => Ok(HealthItem::new(
            Severity::Error,
            "listener.silent",
            "this instance does not answer at its own address",
            format!("{shown}: {} ({})", why.text, why.code),
            "another program may have the address: end it, or run this one at another port (`lama run --port`)",
        )),
        Err(error) => Err(error.into()),
    }
}

fn not_registered(relay: &str) -> HealthItem {
    let shown = relay.split('#').next().unwrap_or_default();
    HealthItem::new(
        Severity::Error,
        "relay.not-registered",
        "a relay does not know this instance",
        format!("{shown} was named with `lama run --relay`, and registering there has not succeeded"),
        "see that the relay runs, is reached from here, and has the key that its address names",
    )
}

/// Whether the port of the last time could be had now.
fn port(port: u16) -> HealthItem {
    match std::net::TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => HealthItem::good("port.free", "the port of the last time is free", port.to_string()),
        Err(error) => {
            let by = machine::listeners(port);
            let by = if by.is_empty() { error.to_string() } else { format!("by {}", by.join(", ")) };
            HealthItem::new(
                Severity::Warning,
                "port.taken",
                "the port of the last time is taken",
                format!("{port}, {by}"),
                "end that program, or give another port (`lama run --port`); contacts that only dial look for this one",
            )
        }
    }
}
