//! Every command: what it asks of the instance, and what it shows.

mod getting;
mod instances;
mod pairing;
mod running;
mod seeing;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread::JoinHandle;
use std::time::Duration;

use lama_host::control::Server;
use lama_host::{DataDir, HostError, service};
use lama_net::Listen;
use serde_json::json;

use crate::api::{self, Request};
use crate::args::{Check, Cli, Command, Global, Run, Send, Share, StoreCommand};
use crate::backend::{self, Backend};
use crate::failure::{Exit, Failure};
use crate::live::{Served, event_row, keeping};
use crate::output::Output;
use crate::progress::Progress;
use crate::signal::Stop;
use crate::start::{Network, Reach, Running};
use crate::{args, atrest, backup, demo, doctor, identity, inspect, page, relay, render, text};

/// What it means to have no passphrase.
const UNPROTECTED: &str =
    "no passphrase: whoever can read this directory has the keys, and with them what the store seals\n";
/// Where an instance listens the first time.
const PORT: u16 = 8765;

/// The longest message that is read from standard input.
const MAX_MESSAGE: u64 = 64 * 1024;

/// Runs the command of the command line.
pub(crate) fn dispatch(cli: &Cli, output: Output) -> Result<(), Failure> {
    let global = &cli.global;
    match &cli.command {
        Command::Init(init) => {
            let id = identity::init(global, init, crate::wall())?;
            output.answer(&id, |id| {
                let plain = if id.passphrase { "" } else { UNPROTECTED };
                format!(
                    "{} is ready in {}\n{plain}next: `lama invite` here, or `lama join` with an invitation\n",
                    text::escape(&id.email),
                    id.data
                )
            });
            Ok(())
        }
        Command::Id => {
            let dir = DataDir::open(&identity::data_path(global)?)?;
            output.answer(&identity::id(&dir)?, render::id);
            Ok(())
        }
        Command::Passphrase(change) => {
            identity::change(global, change)?;
            let plain = if change.no_passphrase { UNPROTECTED } else { "" };
            output.answer(&api::Done { done: true }, |_| format!("the keys are sealed anew\n{plain}"));
            Ok(())
        }
        Command::Invite(invite) => pairing::invite(global, invite, output),
        Command::Join(join) => pairing::join(global, join, output),
        Command::Run(run_args) => run(global, run_args, output),
        Command::Relay(command) => relay::run(global, command, output),
        Command::Send(send_args) => send(global, send_args, output),
        Command::Instance(command) => instances::run(global, command, output),
        Command::Person(command) => instances::person(global, command, output),
        Command::Status(status_args) => seeing::status(global, status_args, output),
        Command::Inspect(inspect_args) => inspect::run(global, inspect_args, output),
        Command::DebugBundle(bundle) => seeing::bundle(global, bundle, output),
        Command::Doctor(doctor_args) => doctor::run(global, doctor_args, output),
        Command::Debug(command) => seeing::debug(global, command, output),
        Command::Block(who) => seeing::block(global, who, output),
        Command::Unblock(who) => {
            let mut backend = Backend::open(global, Network::Offline)?;
            let unblocked = done(&mut backend, &Request::Unblock { person: who.person.clone() }, output);
            let closed = backend.close();
            unblocked.and(closed)
        }
        Command::Route(command) => seeing::route(global, command, output),
        Command::Ping(ping_args) => seeing::ping(global, ping_args, output),
        Command::Get(get_args) => getting::get(global, get_args, output),
        Command::Share(share_args) if share_args.stop => {
            let path = absolute(&share_args.path)?;
            let mut backend = Backend::open(global, Network::Offline)?;
            let stopped = done(&mut backend, &Request::Unshare { path }, output);
            let closed = backend.close();
            stopped.and(closed)
        }
        Command::Share(share_args) => share(global, share_args, output),
        Command::Store(command) => store(global, command, output),
        Command::Demo(demo_args) => demo::run(global, demo_args, output),
        simple => ask_and_show(global, simple, output),
    }
}

/// Commands that are one request and one answer.
fn ask_and_show(global: &Global, command: &Command, output: Output) -> Result<(), Failure> {
    let mut backend = Backend::open(global, Network::Offline)?;
    let shown = match command {
        Command::Pending => {
            backend.ask(&Request::Pending, &mut |_| {}).map(|list| output.answer(&list, render::pending))
        }
        Command::Contacts => {
            backend.ask(&Request::Contacts, &mut |_| {}).map(|list| output.answer(&list, render::contacts))
        }
        Command::Log(log) => {
            let request = Request::Log {
                with: log.with.clone(),
                limit: log.limit,
                unread: log.unread,
                before: log.before.clone(),
                mark_read: log.mark_read,
            };
            backend.ask(&request, &mut |_| {}).map(|list| output.answer(&list, render::messages))
        }
        Command::Edit(edit) => read_text(&edit.text).and_then(|text| {
            let request = Request::Edit { message: edit.message.clone(), text };
            let edited = backend.ask(&request, &mut |_| {});
            edited.map(|edited: api::Amended| {
                output.answer(&edited, |_| "edited; whoever has read it has read it\n".to_owned())
            })
        }),
        Command::Delete(delete) => {
            let request = Request::Delete { message: delete.message.clone() };
            let deleted = backend.ask(&request, &mut |_| {});
            deleted.map(|deleted: api::Amended| {
                output.answer(&deleted, |_| "deleted; whoever has read it has read it\n".to_owned())
            })
        }
        Command::Approve(who) => done(&mut backend, &Request::Approve { person: who.person.clone() }, output),
        Command::Deny(who) => done(&mut backend, &Request::Deny { person: who.person.clone() }, output),
        Command::Revoke(which) => {
            done(&mut backend, &Request::Revoke { locator: which.locator.clone() }, output)
        }
        Command::Explain(explain) => {
            let (object, person) = (explain.object.clone(), explain.person.clone());
            backend
                .ask(&Request::Explain { object, person }, &mut |_| {})
                .map(|told| output.answer(&told, render::explanation))
        }
        Command::Quota(quota) => {
            let given = [quota.objects, quota.bytes, quota.hourly, quota.days];
            let request = Request::Quota {
                person: quota.person.clone(),
                set: quota.none || given.iter().any(Option::is_some),
                objects: quota.objects,
                bytes: quota.bytes,
                hourly: quota.hourly,
                days: quota.days,
            };
            backend.ask(&request, &mut |_| {}).map(|row| output.answer(&row, render::quota))
        }
        Command::Unshare(unshare) => {
            let request = Request::Withdraw { what: unshare.what.clone(), with: unshare.with.clone() };
            backend.ask(&request, &mut |_| {}).map(|done| output.answer(&done, render::withdrawn))
        }
        Command::Shared => {
            backend.ask(&Request::Shared, &mut |_| {}).map(|list| output.answer(&list, render::shared_list))
        }
        _ => Ok(()),
    };
    let closed = backend.close();
    shown.and(closed)
}

fn store(global: &Global, command: &StoreCommand, output: Output) -> Result<(), Failure> {
    match command {
        StoreCommand::Check(Check { repair: true }) => {
            let mended = atrest::repair(global)?;
            output.answer(&mended, render::mended);
            if mended.lost == 0 {
                return Ok(());
            }
            Err(Failure::new(
                Exit::Lost,
                "store-lost",
                format!(
                    "{} could not be mended; contacts who have them bring them back when both run, else restore a backup",
                    text::count(mended.lost, "object")
                ),
            ))
        }
        StoreCommand::Check(_) => {
            let mut backend = Backend::open(global, Network::Offline)?;
            let checked = backend.ask(&Request::Check, &mut |_| {});
            let checked = checked.map(|checked| output.answer(&checked, render::checked));
            let closed = backend.close();
            checked.and(closed)
        }
        StoreCommand::Compact(how) => {
            output.answer(&atrest::compact(global, how)?, |done| render::compacted(done, how));
            Ok(())
        }
        StoreCommand::Export(export) => {
            output.answer(&backup::export(global, export)?, |made| {
                let size = text::bytes(made.bytes);
                format!("{size} in {}\nit holds the keys: keep its passphrase apart from it\n", made.file)
            });
            Ok(())
        }
        StoreCommand::Import(import) => {
            output.answer(&backup::import(global, import, crate::wall())?, render::imported);
            Ok(())
        }
    }
}

fn done(backend: &mut Backend, request: &Request, output: Output) -> Result<(), Failure> {
    let done: api::Done = backend.ask(request, &mut |_| {})?;
    output.answer(&done, |_| "done\n".to_owned());
    Ok(())
}

fn absolute(path: &Path) -> Result<String, Failure> {
    let path = std::path::absolute(path).map_err(|error| HostError::io("find", path, &error))?;
    path.into_os_string()
        .into_string()
        .map_err(|_| Failure::usage("this path is not UTF-8, and paths are sent as text; rename it"))
}

/// A text as it was given, or from standard input.
fn read_text(given: &str) -> Result<String, Failure> {
    if given != "-" {
        return Ok(given.to_owned());
    }
    let mut text = String::new();
    let mut input = std::io::stdin().take(MAX_MESSAGE + 1);
    input
        .read_to_string(&mut text)
        .map_err(|error| HostError::io("read", Path::new("standard input"), &error))?;
    Ok(text)
}

fn send(global: &Global, send: &Send, output: Output) -> Result<(), Failure> {
    let text = read_text(&send.text)?;
    let mut backend = Backend::open(global, Network::Offline)?;
    let request = Request::Send { to: send.to.clone(), text };
    let sent = backend.ask(&request, &mut |_| {}).map(|sent: api::Sent| {
        output.answer(&sent, |sent| {
            let to = text::escape(&sent.to);
            if sent.connected {
                format!("sent to {to}\n")
            } else {
                format!("kept for {to}; it goes out as soon as the two are connected (`lama run`)\n")
            }
        });
    });
    let closed = backend.close();
    sent.and(closed)
}

fn share(global: &Global, share: &Share, output: Output) -> Result<(), Failure> {
    let keep = !share.once && !share.watch && share.path.is_dir();
    let (path, with) = (absolute(&share.path)?, share.with.clone());
    let request = Request::Share { path, with, watch: share.watch, keep };
    let network = if share.watch { Network::Usual(None) } else { Network::Offline };
    let mut backend = Backend::open(global, network)?;
    let mut progress = Progress::new(output);
    let shared = backend.ask(&request, &mut |event| {
        progress.event(event);
        let moves = event.get("type").and_then(serde_json::Value::as_str) == Some("progress");
        if output.is_json() && (moves || event.get("id").is_some()) {
            output.json_line(&json!({ "event": progress.with_overall(event.clone()) }));
        }
        if let Some(line) = render::share_event(event) {
            progress.line(&line);
        }
    });
    progress.finish();
    let shared = shared.map(|shared| output.answer(&shared, render::shared));
    let closed = backend.close();
    shared.and(closed)
}

/// Runs the instance until it is asked to stop; anew each time it gets other keys.
fn run(global: &Global, run: &Run, output: Output) -> Result<(), Failure> {
    let dir = DataDir::open(&identity::data_path(global)?)?;
    let stop = Stop::on_signals();
    if run.while_stdin {
        stop_with_stdin(stop.clone());
    }
    let mut sleep = running::Sleep::watch();
    let mut network = if run.no_listen { Network::Online(Listen::Nowhere) } else { listening(&run.listen) };
    let mut lock = backend::lock(&dir)?;
    let mut keys = identity::Keys::open(&dir, &lock, global.passphrase_fd)?;
    let mut named = run.relay.as_slice();
    loop {
        let (site, relays) = (page::site(&run.web)?, Some(named));
        // Each round ends by itself; the signals end all.
        let round = Stop::default();
        let reach = Reach { network, lan: run.lan };
        let running = backend::start(keys, global, &dir, lock, reach, relays, site, round.clone())?;
        let server = Server::start(&dir, Arc::new(Served(Arc::clone(&running.live))))?;
        let served = serve(&running, run, &stop, &mut sleep, output);
        drop(server);
        // The looks end by themselves once the stop is set: they still need the instance.
        round.set();
        let _ = served?.join();
        let renewed = running.live.take_renewed();
        lock = running.end()?;
        match renewed.filter(|_| !stop.is_set()) {
            Some(renewed) => keys = renewed,
            None => return Ok(()),
        }
        // They are kept, unless they were taken out of the list meanwhile.
        named = &[];
        // Where it listened: contacts that only dial look for it there.
        network = if run.no_listen { network } else { Network::Usual(Some(PORT)) };
    }
}

/// What goes on while the instance runs, until it is to end or to start anew; what still looks after folders.
fn serve(
    running: &Running,
    run: &Run,
    stop: &Stop,
    sleep: &mut running::Sleep,
    output: Output,
) -> Result<JoinHandle<()>, Failure> {
    let live = &running.live;
    let events = live.events.subscribe();
    let mut progress = Progress::new(output);
    let status: api::Status = ask_live(live, Request::Status)?;
    announce(&status, run, &live.relays(), output);
    if run.web.web {
        announce_page(live, output)?;
    }
    let metrics = running::metrics(live, run, output)?;
    let (folders, looking) = keeping::start(Arc::clone(live));
    service::notify("READY=1");
    while !stop.is_set() && !live.stop.is_set() && !live.is_renewed() {
        sleep.look(live, output);
        for row in folders.try_iter() {
            show_folder(&row, &mut progress, output);
        }
        let event = match events.recv_timeout(Duration::from_millis(200)) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let Some(row) = event_row(&event) else { continue };
        progress.event(&row);
        if output.is_json() {
            output.json_line(&json!({ "event": progress.with_overall(row) }));
        } else if let Some(line) = render::event(&row) {
            progress.line(&line);
        }
    }
    service::notify(if live.is_renewed() { "RELOADING=1" } else { "STOPPING=1" });
    progress.finish();
    drop(metrics);
    Ok(looking)
}

/// Something about a folder that stays shared.
fn show_folder(row: &serde_json::Value, progress: &mut Progress, output: Output) {
    if output.is_json() {
        output.json_line(&json!({ "event": row }));
    } else if let Some(line) = render::share_event(row) {
        progress.line(&line);
    }
}

fn announce(status: &api::Status, run: &Run, relays: &[String], output: Output) {
    if output.is_json() {
        output.json_line(status);
        return;
    }
    let wanted = run.listen.port.unwrap_or(PORT);
    let (free, suffix) = (run.no_listen || wanted == 0, format!(":{wanted}"));
    if !free && !status.urls.iter().any(|url| url.ends_with(&suffix)) {
        output.note(&match run.listen.port {
            Some(_) => format!("port {wanted} is taken by another program; another one was chosen"),
            None => {
                format!("not on port {wanted}, which is taken, a contact's, or not the one of the last time")
            }
        });
    }
    let urls = if status.urls.is_empty() { "nothing".to_owned() } else { status.urls.join(", ") };
    // Registering takes its time; it is told when that changes where the instance is reached.
    let reached = |relay: &str| status.urls.iter().any(|url| url.starts_with(relay));
    let relays = match relays.iter().filter(|relay| !reached(relay)).count() {
        0 => String::new(),
        n => format!(", registering at {}", text::count(n as u64, "relay")),
    };
    output.note(&format!("running on {}, listening on {urls}{relays}; Ctrl-C stops", status.runtime));
}

/// Says where the page is. The invitation in the URL is good once: whoever opens it first is the page.
fn announce_page(live: &crate::live::Live, output: Output) -> Result<(), Failure> {
    let url = page::url(live, None)?;
    if output.is_json() {
        output.json_line(&json!({ "page": { "url": url } }));
        return Ok(());
    }
    let plain = url.split('#').next().unwrap_or_default();
    output.note(&format!(
        "the page, for one browser of this machine, within 15 minutes: {url}\nlater, in the same browser: {plain}"
    ));
    Ok(())
}

/// 0: any port; a port: this one, or any if it is taken; none: the usual one.
fn listening(listen: &args::Listen) -> Network {
    match listen.port {
        Some(0) => Network::Online(Listen::Free),
        Some(port) => Network::Online(Listen::Prefer(port)),
        None => Network::Usual(Some(PORT)),
    }
}

/// Asks an instance in this process, where nobody looks at events.
pub(crate) fn ask_live<T: serde::de::DeserializeOwned>(
    live: &crate::live::Live,
    request: Request,
) -> Result<T, Failure> {
    let answer = live.ask(request, &mut |_| true)?;
    serde_json::from_value(answer)
        .map_err(|error| Failure::new(crate::failure::Exit::Failed, "internal", error.to_string()))
}

/// Stops when whoever started this program is gone.
pub(crate) fn stop_with_stdin(stop: Stop) {
    std::thread::spawn(move || {
        let mut nothing = [0; 64];
        while std::io::stdin().read(&mut nothing).is_ok_and(|read| read > 0) {}
        stop.set();
    });
}
