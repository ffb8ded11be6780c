//! What an operator looks at: status while it changes, and signs of life.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use lama_host::{Disk, HostError, files};
use serde_json::{Value, json};

use crate::api::{self, Request};
use crate::args::{Block, DebugBundle, DebugCommand, Global, Ping, RouteCommand, StatusArgs};
use crate::backend::Backend;
use crate::failure::Failure;
use crate::output::Output;
use crate::render;
use crate::start::Network;
use crate::text::{escape, time};

/// Between two questions of `lama ping`.
const PAUSE: Duration = Duration::from_secs(1);

/// How things stand, once or whenever that changes.
pub(super) fn status(global: &Global, args: &StatusArgs, output: Output) -> Result<(), Failure> {
    let network = if args.watch { Network::Usual(None) } else { Network::Offline };
    let mut backend = Backend::open(global, network)?;
    let running = matches!(backend, Backend::Remote(_));
    let shown = if args.watch {
        let mut screen = Screen::default();
        let watched = backend.ask(&Request::Watch, &mut |event| screen.event(event, output));
        watched.map(|_: api::Done| ())
    } else {
        backend.ask(&Request::Status, &mut |_| {}).map(|mut status: api::Status| {
            status.running = running;
            output.answer(&status, render::status);
        })
    };
    let closed = backend.close();
    shown.and(closed)
}

/// What is on the terminal, or what was said last of each peer.
#[derive(Debug, Default)]
struct Screen {
    said: BTreeMap<String, String>,
    urls: Option<String>,
}

impl Screen {
    fn event(&mut self, event: &Value, output: Output) {
        if event.get("type").and_then(Value::as_str) != Some("status") {
            return;
        }
        if output.is_json() {
            return output.json_line(event);
        }
        let Ok(status) = serde_json::from_value::<api::Status>(event.clone()) else { return };
        if std::io::stdout().is_terminal() {
            // To the upper left, the table, and nothing of the old one behind or below it.
            let table = render::status(&status).replace('\n', "\x1b[K\n");
            let mut out = std::io::stdout().lock();
            let _ = write!(out, "\x1b[H{table}{} UTC; Ctrl-C ends\x1b[K\n\x1b[J", time(crate::wall().0));
            let _ = out.flush();
        } else {
            self.lines(&status, output);
        }
    }

    /// A line for what is new since the last one.
    fn lines(&mut self, status: &api::Status, output: Output) {
        let now = time(crate::wall().0);
        let urls = if status.urls.is_empty() { "not listening".to_owned() } else { status.urls.join(", ") };
        if self.urls.as_ref() != Some(&urls) {
            output.text(&format!("{now}  {urls}\n"));
            self.urls = Some(urls);
        }
        for peer in &status.peers {
            let line = render::peer_line(peer);
            if self.said.get(&peer.instance) != Some(&line) {
                output.text(&format!("{now}  {line}\n"));
                self.said.insert(peer.instance.clone(), line);
            }
        }
    }
}

/// Asks for signs of life.
pub(super) fn ping(global: &Global, args: &Ping, output: Output) -> Result<(), Failure> {
    let mut backend = Backend::open(global, Network::Usual(None))?;
    let request = Request::Ping { peer: args.peer.clone() };
    let mut asked = Ok(());
    for turn in 0..args.number {
        if turn > 0 {
            std::thread::sleep(PAUSE);
        }
        let answer: Result<api::Pongs, Failure> = backend.ask(&request, &mut |_| {});
        match answer {
            Ok(pongs) => output.answer(&pongs, |pongs| pongs.pongs.iter().map(pong).collect()),
            Err(failure) => {
                asked = Err(failure);
                break;
            }
        }
    }
    let closed = backend.close();
    asked.and(closed)
}

fn pong(pong: &api::Pong) -> String {
    let by = pong.url.as_ref().map_or_else(|| "it dialled".to_owned(), |url| escape(url));
    format!(
        "{} ({}): {:.3} ms, {} ({by})\n",
        escape(&pong.email),
        escape(&pong.name),
        pong.round_trip,
        pong.path
    )
}

/// Blocks somebody, or lists who is.
pub(super) fn block(global: &Global, who: &Block, output: Output) -> Result<(), Failure> {
    let mut backend = Backend::open(global, Network::Offline)?;
    let asked = match &who.person {
        Some(person) => super::done(&mut backend, &Request::Block { person: person.clone() }, output),
        None => backend.ask(&Request::Blocked, &mut |_| {}).map(|list: api::BlockedList| {
            output.answer(&list, |list| {
                list.blocked.iter().map(|row| format!("{}\n", escape(name(row)))).collect()
            });
        }),
    };
    let closed = backend.close();
    asked.and(closed)
}

/// Lists who may ask how this side sees a session, or changes that.
pub(super) fn debug(global: &Global, command: &DebugCommand, output: Output) -> Result<(), Failure> {
    let request = match command {
        DebugCommand::List => Request::DebugAllowed,
        DebugCommand::Allow(who) => Request::AllowDebug { person: who.person.clone(), allow: true },
        DebugCommand::Deny(who) => Request::AllowDebug { person: who.person.clone(), allow: false },
    };
    let mut backend = Backend::open(global, Network::Offline)?;
    let asked = backend.ask(&request, &mut |_| {}).map(|list: api::AllowedList| {
        output.answer(&list, |list| match list.allowed.as_slice() {
            [] => "nobody may ask how this side sees a session\n".to_owned(),
            rows => rows.iter().map(|row| format!("{}\n", escape(name(row)))).collect(),
        });
    });
    let closed = backend.close();
    asked.and(closed)
}

fn name(row: &api::BlockedPerson) -> &str {
    row.email.as_ref().unwrap_or(&row.person)
}

/// Lists routes, or switches some.
pub(super) fn route(global: &Global, command: &RouteCommand, output: Output) -> Result<(), Failure> {
    let request = match command {
        RouteCommand::List => Request::Routes,
        RouteCommand::Enable(which) => Request::SetRoute { which: which.which.clone(), on: true },
        RouteCommand::Disable(which) => Request::SetRoute { which: which.which.clone(), on: false },
    };
    let mut backend = Backend::open(global, Network::Offline)?;
    let asked = backend.ask(&request, &mut |_| {});
    let asked = asked.map(|list: api::Routes| output.answer(&list, render::routes));
    let closed = backend.close();
    asked.and(closed)
}

/// Writes what helps to find a fault.
pub(super) fn bundle(global: &Global, args: &DebugBundle, output: Output) -> Result<(), Failure> {
    if args.file.exists() {
        return Err(HostError::FileExists(args.file.clone()).into());
    }
    let mut backend = Backend::open(global, Network::Offline)?;
    let asked: Result<Value, Failure> = backend.ask(&Request::Bundle, &mut |_| {});
    let closed = backend.close();
    let text = serde_json::to_string_pretty(&asked?).unwrap_or_default();
    closed?;
    files::replace(&mut Disk, &args.file, format!("{text}\n").as_bytes())?;
    let file = args.file.display().to_string();
    output.answer(&json!({ "file": file, "bytes": text.len() + 1 }), |_| {
        format!(
            "{file} is written; read it before you give it away: names, keys and texts are left out or replaced, what is \
             left says how this instance does\n"
        )
    });
    Ok(())
}
