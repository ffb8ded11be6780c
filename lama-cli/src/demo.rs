//! `lama demo`: two persons, two instances, two processes, two runtimes. They pair, talk, share a folder and stay in sync.
//!
//! The other process is `lama run` and is asked at its control socket: nothing here can do what a user could not.

mod other;
mod page;
mod summary;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lama_host::control::Server;
use lama_host::{DataDir, data_dir};
use lama_net::{Listen, Site};
use serde_json::Value;

use crate::api::{self, Request};
use crate::args::{Demo, Global, RuntimeName};
use crate::backend;
use crate::commands::ask_live;
use crate::failure::{Exit, Failure};
use crate::identity;
use crate::live::{Live, Served, event_row};
use crate::output::Output;
use crate::progress::Progress;
use crate::signal::Stop;
use crate::start::{Network, Running};
use crate::text::{bytes, count};
use other::Other;

/// The two persons of the seed.
const NODE: &str = "node-demo@lama.local";
const ME: &str = "demo@lama.local";
const PORT: u16 = 8765;

/// How long nothing may happen before the demo says that something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// Runs the demo until it is done (`--once`) or stopped.
pub(crate) fn run(global: &Global, args: &Demo, output: Output) -> Result<(), Failure> {
    if args.web {
        return page::run(global, args, output);
    }
    let stop = Stop::on_signals();
    let base = base(global)?;
    let folder = folder(args)?;
    let (node_dir, my_dir) = (base.join("node-demo"), base.join("demo"));
    if args.fresh {
        forget(&[&node_dir, &my_dir])?;
    }
    let resumed = prepare(&node_dir, NODE, "node")? & prepare(&my_dir, ME, "desk")?;
    let say = |line: &str| output.note(line);
    say(if resumed {
        "going on with the two instances of the last run"
    } else {
        "made two instances, without a passphrase"
    });
    let mut node = Other::spawn(&node_dir, RuntimeName::Smol, PORT)?;
    if !node.urls.iter().any(|url| url.ends_with(&format!(":{PORT}"))) {
        say(&format!("port {PORT} is taken by another program; another one was chosen"));
    }
    say(&format!("{NODE} listens on {} (smol, process {})", node.urls.join(", "), node.process_id()));
    let dir = DataDir::open(&my_dir)?;
    let mine = Global { runtime: RuntimeName::Tokio, ..global.clone() };
    let lock = backend::lock(&dir)?;
    let running = backend::start(
        identity::Keys::open(&dir, &lock, mine.passphrase_fd)?,
        &mine,
        &dir,
        lock,
        Network::Online(Listen::Nowhere),
        None,
        Site::default(),
        stop.clone(),
    )?;
    say(&format!("{ME} runs (tokio, process {})", std::process::id()));
    let server = Server::start(&dir, Arc::new(Served(Arc::clone(&running.live))))?;
    let stage = Stage { live: Arc::clone(&running.live), stop, output, folder };
    let outcome = stage.play(&mut node, args.once, [&node_dir, &my_dir]);
    end(running, server, node, outcome)
}

/// Ends both, whatever came of it; the first failure counts.
fn end(running: Running, server: Server, node: Other, outcome: Result<(), Failure>) -> Result<(), Failure> {
    drop(server);
    let closed = running.shut_down();
    node.end();
    outcome.and(closed)
}

/// Where both instances' data lie.
fn base(global: &Global) -> Result<PathBuf, Failure> {
    let path = match &global.data {
        Some(path) => path.clone(),
        None => match data_dir::default_path() {
            Some(path) => path.with_file_name("lama-demo"),
            None => identity::data_path(global)?,
        },
    };
    std::path::absolute(&path).map_err(|error| lama_host::HostError::io("find", &path, &error).into())
}

/// The folder to share: the one given, or the repository around this directory, or this directory.
fn folder(args: &Demo) -> Result<PathBuf, Failure> {
    if let Some(folder) = &args.folder {
        return Ok(folder.clone());
    }
    let here =
        std::env::current_dir().map_err(|error| lama_host::HostError::io("find", Path::new("."), &error))?;
    Ok(here.ancestors().find(|dir| dir.join(".git").exists()).unwrap_or(&here).to_path_buf())
}

/// Removes what earlier runs of the demo left: only directories that hold an instance and nobody works with.
fn forget(dirs: &[&Path]) -> Result<(), Failure> {
    for dir in dirs.iter().filter(|dir| dir.exists()) {
        let lock = DataDir::open(dir)?.lock()?;
        std::fs::remove_dir_all(dir).map_err(|error| lama_host::HostError::io("remove", dir, &error))?;
        drop(lock);
    }
    Ok(())
}

/// Makes an instance if there is none; says whether there was one.
fn prepare(path: &Path, email: &str, name: &str) -> Result<bool, Failure> {
    let dir = DataDir::create(path)?;
    if dir.is_initialised() {
        return Ok(true);
    }
    let lock = dir.lock()?;
    identity::create(&dir, &lock, email.parse()?, name, None, crate::wall())?;
    Ok(false)
}

#[allow(clippy::disallowed_methods)] // What a person waits for is measured by the clock.
fn clock() -> Instant {
    Instant::now()
}

/// Both instances while they run.
struct Stage {
    live: Arc<Live>,
    stop: Stop,
    output: Output,
    folder: PathBuf,
}

impl Stage {
    fn play(&self, node: &mut Other, once: bool, dirs: [&Path; 2]) -> Result<(), Failure> {
        self.pair(node)?;
        self.talk(node)?;
        let begin = clock();
        let (changes, sharing) = self.share();
        let outcome = self.follow(node, once, dirs, &changes, begin);
        self.stop.set();
        let _ = sharing.join();
        outcome
    }

    /// What becomes of the folder: shared, in sync, shown; and then, unless it is for once, all that changes.
    fn follow(
        &self,
        node: &mut Other,
        once: bool,
        dirs: [&Path; 2],
        changes: &Receiver<Result<Value, Failure>>,
        begin: Instant,
    ) -> Result<(), Failure> {
        let root = self.first_share(changes)?;
        self.until_synced(node, &root)?;
        self.output.note(&format!("shared and in sync after {:.0} ms", begin.elapsed().as_secs_f64() * 1e3));
        summary::show(self.output, &self.live, node, dirs)?;
        if once {
            return Ok(());
        }
        let folder = self.folder.display();
        self.output.note(&format!(
            "\nadd or change a file in {folder} and it is synced; Ctrl-C stops, the next run goes on"
        ));
        while !self.stop.wait(LOOK) {
            match changes.try_recv() {
                Ok(Ok(event)) => {
                    let Some(id) = self.told(&event) else { continue };
                    self.until_synced(node, &id)?;
                    let peer = self.peer(&self.status()?)?;
                    self.output.note(&format!(
                        "{NODE} has it: {} objects on both sides, fingerprint {}",
                        peer.count.unwrap_or_default(),
                        peer.fingerprint.unwrap_or_default()
                    ));
                }
                Ok(Err(failure)) => return Err(failure),
                Err(_) => node.is_alive()?,
            }
        }
        Ok(())
    }

    /// Makes both contacts of each other, unless they are.
    fn pair(&self, node: &mut Other) -> Result<(), Failure> {
        let known: api::Contacts = ask_live(&self.live, Request::Contacts)?;
        let contact =
            known.contacts.iter().find(|contact| contact.email == NODE && contact.state == "active");
        if let Some(contact) = contact {
            let mut urls = contact.instances.iter().filter_map(|instance| instance.url.as_ref());
            if urls.any(|url| node.urls.contains(url)) {
                self.output.note("they are contacts already: no invitation is needed");
                return Ok(());
            }
            // This side does not listen, so nobody but an invitation can tell it.
            self.output
                .note("they are contacts already, but the port is another one: an invitation says which");
        }
        let invite = Request::Invite { confirm: false, lifetime: 900, label: "demo".to_owned() };
        let invited: api::Invited = node.ask(&invite)?;
        self.output.note(&format!("{NODE} invites {ME} (one use, 15 minutes; the token is never sent)"));
        let begin = clock();
        let join = Request::Join { link: invited.link, lan: false, timeout: PATIENCE.as_secs() };
        let contact: api::Contact = ask_live(&self.live, join)?;
        let code = contact.check_code.map(|code| format!(", check code {code}")).unwrap_or_default();
        self.output.note(&format!("paired in {:.0} ms{code}", begin.elapsed().as_secs_f64() * 1e3));
        self.until("both are contacts", || {
            let theirs: api::Contacts = node.ask(&Request::Contacts)?;
            Ok(theirs.contacts.iter().any(|contact| contact.email == ME && contact.state == "active"))
        })
    }

    /// A message each way.
    fn talk(&self, node: &mut Other) -> Result<(), Failure> {
        let before = self.messages(node)?;
        let number = before.len() / 2 + 1;
        let send = |to: &str, text: String| Request::Send { to: to.to_owned(), text };
        let _: api::Sent = ask_live(&self.live, send(NODE, format!("hello node, this is run {number}")))?;
        let _: api::Sent = node.ask(&send(ME, format!("hello desk, welcome to run {number}")))?;
        self.until("both messages have arrived", || {
            let mine: api::Messages = ask_live(&self.live, log())?;
            let theirs = self.messages(node)?;
            let mine: Vec<api::Message> =
                mine.channels.into_iter().flat_map(|channel| channel.messages).collect();
            Ok(mine.len() == theirs.len() && theirs.len() >= before.len() + 2)
        })
    }

    fn messages(&self, node: &mut Other) -> Result<Vec<api::Message>, Failure> {
        let list: api::Messages = node.ask(&log())?;
        Ok(list.channels.into_iter().flat_map(|channel| channel.messages).collect())
    }

    /// Shares the folder from now on, on a thread of its own.
    fn share(&self) -> (Receiver<Result<Value, Failure>>, JoinHandle<()>) {
        let (to, from) = channel();
        let request = Request::Share {
            path: self.folder.display().to_string(),
            with: vec![NODE.to_owned()],
            watch: true,
            keep: false,
        };
        let live = Arc::clone(&self.live);
        let sharing = std::thread::spawn(move || {
            let events = to.clone();
            if let Err(failure) = live.ask(request, &mut |event| events.send(Ok(event)).is_ok()) {
                let _ = to.send(Err(failure));
            }
        });
        (from, sharing)
    }

    fn first_share(&self, changes: &Receiver<Result<Value, Failure>>) -> Result<String, Failure> {
        self.output.note(&format!("sharing {}", self.folder.display()));
        loop {
            match changes.try_recv() {
                Ok(Ok(event)) => {
                    if let Some(id) = self.told(&event) {
                        return Ok(id);
                    }
                }
                Ok(Err(failure)) => return Err(failure),
                Err(_) if self.stop.wait(LOOK) => return Err(Failure::interrupted()),
                Err(_) => {}
            }
        }
    }

    /// Says what a look at the folder found: the folder's new id.
    fn told(&self, event: &Value) -> Option<String> {
        let number = |key: &str| event.get(key).and_then(Value::as_u64).unwrap_or_default();
        let id = event.get("id")?.as_str()?.to_owned();
        let size = format!("{}, {}", count(number("files"), "file"), bytes(number("bytes")));
        let (written, removed) = (number("written"), number("removed"));
        let first = written == number("files") && removed == 0;
        let since = if first {
            String::new()
        } else {
            format!("; {written} new or changed, {removed} gone since the last look")
        };
        self.output.note(&format!("folder: {size}{since}"));
        Some(id)
    }

    /// Waits until the other side has `root` and both hold the same.
    fn until_synced(&self, node: &mut Other, root: &str) -> Result<(), Failure> {
        let mut progress = Progress::new(self.output);
        let events = self.live.events.subscribe();
        let done = self.until("both sides hold the same", || {
            for row in events.try_iter().filter_map(|event| event_row(&event)) {
                progress.event(&row);
            }
            let arrived =
                self.messages(node)?.iter().any(|message| message.attachment.as_deref() == Some(root));
            Ok(arrived && summary::equal(&self.status()?, &node.ask(&Request::Status)?))
        });
        progress.finish();
        done
    }

    fn status(&self) -> Result<api::Status, Failure> {
        ask_live(&self.live, Request::Status)
    }

    fn peer(&self, status: &api::Status) -> Result<api::Peer, Failure> {
        let peer = status.peers.first().cloned();
        peer.ok_or_else(|| Failure::new(Exit::Failed, "internal", "the other instance is not in the status"))
    }

    /// Asks again and again until `done`, or until patience or the user ends it. Progress renews the patience.
    fn until(&self, what: &str, mut done: impl FnMut() -> Result<bool, Failure>) -> Result<(), Failure> {
        let mut since = clock();
        let mut moved = 0;
        while !done()? {
            if self.stop.wait(LOOK) {
                return Err(Failure::interrupted());
            }
            let now = self.status()?.peers.iter().map(|peer| peer.bytes_sent + peer.bytes_received).sum();
            if now != moved {
                (moved, since) = (now, clock());
            }
            if since.elapsed() > PATIENCE {
                let text = format!(
                    "waited {} s in vain until {what}; see `lama status` of both",
                    PATIENCE.as_secs()
                );
                return Err(Failure::new(Exit::TimedOut, "timed_out", text));
            }
        }
        Ok(())
    }
}

const fn log() -> Request {
    Request::Log { with: None, limit: usize::MAX, unread: false, before: None, mark_read: false }
}
