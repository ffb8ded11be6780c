//! `lama doctor`: what is wrong here, and what to do about it.
//!
//! What needs no key is looked at first, so that a directory that cannot even be opened gets an answer. The rest comes from
//! the instance, the running one if there is one: only that can say whether its listener and its relays answer.

use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use lama_host::keyfile::{self, Protection};
use lama_host::{DataDir, Disk, HostError, data_dir, machine};
use lama_node::{HealthItem as Item, Severity};

use crate::api::{Health, HealthItem, Id, PeerView, PeerViews, Request};
use crate::args::{Doctor, Global};
use crate::backend::Backend;
use crate::failure::{Exit, Failure};
use crate::identity;
use crate::output::Output;
use crate::start::Network;
use crate::text::{bytes, escape};

/// How far a file's time may lie ahead of the clock.
const CLOCK_SLACK: u64 = 60;
/// Less room than this is none.
const NO_ROOM: u64 = 50_000_000;
/// Less room than this is soon none.
const LITTLE_ROOM: u64 = 500_000_000;

/// Looks at everything and says what was found; the exit code is the worst severity.
pub(crate) fn run(global: &Global, doctor: &Doctor, output: Output) -> Result<(), Failure> {
    let path = identity::data_path(global)?;
    let mut items = files(&path)?;
    if items.iter().all(|item| item.severity < Severity::Error) {
        let dir = DataDir::open(&path)?;
        items.extend(machine_items(&dir));
        let id: Id = identity::id(&dir)?;
        items.push(clock(&dir, &id));
    }
    let mut rows: Vec<HealthItem> = items.iter().map(row).collect();
    if items.iter().all(|item| item.code != "files.exposed") {
        match of_instance(global) {
            Ok(found) => rows.extend(found),
            Err(failure) => rows.push(row(&not_opened(&failure))),
        }
    }
    let peers = match &doctor.peer {
        Some(peer) => of_peer(global, peer)?,
        None => Vec::new(),
    };
    rows.sort_by_key(|row| std::cmp::Reverse(rank(&row.severity)));
    let all = rows.iter().chain(peers.iter().flat_map(|peer| &peer.items));
    let severity = all.map(|row| row.severity.clone()).max_by_key(|severity| rank(severity));
    let severity = severity.unwrap_or_else(|| "good".to_owned());
    let worst = rank(&severity);
    output.answer(&Health { severity, items: rows, peers }, text);
    match worst {
        0 => Ok(()),
        1 => Err(Failure::said(Exit::Warned)),
        _ => Err(Failure::said(Exit::Faulty)),
    }
}

const fn rank_of(severity: Severity) -> u8 {
    match severity {
        Severity::Good => 0,
        Severity::Warning => 1,
        Severity::Error => 2,
    }
}

fn rank(name: &str) -> u8 {
    let known = [Severity::Good, Severity::Warning, Severity::Error];
    known.into_iter().find(|severity| severity.name() == name).map_or(2, rank_of)
}

/// As the API shows it.
pub(crate) fn row(item: &Item) -> HealthItem {
    HealthItem {
        code: item.code.to_owned(),
        title: item.title.clone(),
        text: item.text.clone(),
        severity: item.severity.name().to_owned(),
        remedy: item.remedy.clone(),
        person: item.person.map(|person| person.full()),
    }
}

/// Who may read the directory and what is in it.
fn files(path: &Path) -> Result<Vec<Item>, Failure> {
    if !path.join("keys.lama").exists() {
        return Err(HostError::NoDataDir(path.to_path_buf()).into());
    }
    let mut items = Vec::new();
    let inside = fs::read_dir(path).map_err(|error| HostError::io("read", path, &error))?;
    let inside = inside.flatten().map(|entry| entry.path());
    for file in std::iter::once(path.to_path_buf()).chain(inside) {
        if let Err(refused) = data_dir::private(&file) {
            let said = refused.to_string();
            let (text, remedy) = said.split_once("; ").unwrap_or((&said, "let only its owner read it"));
            items.push(Item::new(
                Severity::Error,
                "files.exposed",
                "others can read what must be private",
                text.to_owned(),
                remedy,
            ));
        }
    }
    if items.is_empty() {
        items.push(Item::good("files.private", "nobody else can read the data", path.display().to_string()));
    }
    Ok(items)
}

/// Room, keys, and how the last process ended.
fn machine_items(dir: &DataDir) -> Vec<Item> {
    let size = fs::metadata(dir.store()).map_or(0, |about| about.len());
    let room = match machine::free_space(dir.path()) {
        Err(error) => Item::new(
            Severity::Warning,
            "disk.unknown",
            "the room on the disk is unknown",
            error.to_string(),
            "look at it with `df`",
        ),
        Ok(free) if free < NO_ROOM => Item::new(
            Severity::Error,
            "disk.full",
            "the disk is full",
            format!("{} are left", bytes(free)),
            "make room: nothing more can be kept safely",
        ),
        Ok(free) if free < LITTLE_ROOM.max(size) => Item::new(
            Severity::Warning,
            "disk.little",
            "there is little room on the disk",
            format!("{} are left, and `lama store compact` needs {} for its copy", bytes(free), bytes(size)),
            "make room",
        ),
        Ok(free) => Item::good("disk.room", "there is room on the disk", format!("{} free", bytes(free))),
    };
    let keys = match keyfile::protection(&mut Disk, &dir.keys()) {
        Ok(Protection::Passphrase) => Item::good("keys.sealed", "a passphrase seals the keys", String::new()),
        Ok(Protection::None) => Item::good(
            "keys.plain",
            "file permissions alone protect the keys",
            "as chosen; `lama passphrase` seals them".to_owned(),
        ),
        Err(error) => Item::new(
            Severity::Error,
            "keys.unreadable",
            "the key file cannot be read",
            error.to_string(),
            "restore it from a backup (`lama store import`)",
        ),
    };
    vec![room, keys]
}

/// A clock that is behind the time of its own files was set back, or starts wrong.
fn clock(dir: &DataDir, id: &Id) -> Item {
    let now = crate::wall().unix_seconds();
    let time = |path: &Path| {
        let written = fs::metadata(path).and_then(|about| about.modified()).ok()?;
        Some(written.duration_since(UNIX_EPOCH).ok()?.as_secs())
    };
    let files = [dir.store(), dir.keys(), dir.instance()];
    let newest = files.iter().filter_map(|path| time(path)).chain([id.created / 1000]).max().unwrap_or(0);
    let behind = newest.saturating_sub(now);
    if behind <= CLOCK_SLACK {
        return Item::good("clock.files", "the clock is not behind what was written here", String::new());
    }
    Item::new(
        Severity::Error,
        "clock.before-files",
        "the clock is behind what was written here",
        format!("a file of this instance is {behind} s younger than the clock says it can be"),
        "set the clock of this machine; certificates and invitations are not valid before they were made",
    )
}

/// What the instance knows, and whether it runs.
fn of_instance(global: &Global) -> Result<Vec<HealthItem>, Failure> {
    let mut backend = Backend::open(global, Network::Offline)?;
    let running = matches!(backend, Backend::Remote(_));
    let found = backend.ask(&Request::Health, &mut |_| {});
    let closed = backend.close();
    let mut found: Health = found?;
    closed?;
    if !running {
        found.items.push(row(&Item::new(
            Severity::Warning,
            "instance.stopped",
            "the instance does not run",
            "nothing is synchronised, nobody is answered; listener, relays and contacts were not tried"
                .to_owned(),
            "`lama run`",
        )));
    }
    Ok(found.items)
}

/// What the other side of a session says.
fn of_peer(global: &Global, peer: &str) -> Result<Vec<PeerView>, Failure> {
    let mut backend = Backend::open(global, Network::Offline)?;
    if matches!(backend, Backend::Local(_)) {
        backend.close()?;
        return Err(Failure::new(
            Exit::Unreached,
            "not-running",
            "the instance does not run, so there is no session on which the other side could be asked; start it with \
             `lama run`",
        ));
    }
    let request = Request::PeerHealth { peer: peer.to_owned() };
    let found: PeerViews = backend.ask(&request, &mut |_| {})?;
    Ok(found.peers)
}

fn not_opened(failure: &Failure) -> Item {
    let (code, title, remedy) = match failure.exit {
        Exit::Locked => {
            ("keys.locked", "the keys are locked", "give the passphrase (LAMA_PASSPHRASE, --passphrase-fd)")
        }
        Exit::Damaged => (
            "store.damaged",
            "the store is damaged",
            "`lama store check --repair`, else restore a backup (`lama store import`)",
        ),
        Exit::RefusedHere => ("instance.refused", "the instance cannot be opened", "do what the text says"),
        _ => ("instance.failed", "the instance cannot be opened", "see LAMA_LOG=debug, and report it"),
    };
    Item::new(Severity::Error, code, title, failure.message.clone(), remedy)
}

fn text(health: &Health) -> String {
    let mut out = items_text(&health.items);
    for peer in &health.peers {
        out.push_str(&format!("\nthere: {} ({})\n", escape(&peer.email), escape(&peer.name)));
        out.push_str(&items_text(&peer.items));
    }
    out
}

fn items_text(items: &[HealthItem]) -> String {
    let mut out = String::new();
    for item in items {
        let text = if item.text.is_empty() { String::new() } else { format!(": {}", escape(&item.text)) };
        out.push_str(&format!("{:<8} {:<22} {}{text}\n", item.severity, item.code, escape(&item.title)));
        if !item.remedy.is_empty() {
            out.push_str(&format!("{:<8} {:<22} do: {}\n", "", "", escape(&item.remedy)));
        }
    }
    out
}
