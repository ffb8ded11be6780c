//! `lama demo --web`: the scene of the seed. This process is `node-demo@lama.local`; the other instance is the page, in a browser.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lama_host::DataDir;
use lama_host::control::Server;
use lama_net::Listen;
use serde_json::{Value, json};

use super::{ME, NODE, PORT, base, folder, forget, prepare};
use crate::api::{self, Request};
use crate::args::{Demo, Global, Web};
use crate::backend;
use crate::commands::ask_live;
use crate::failure::Failure;
use crate::identity;
use crate::live::{Live, Served, event_row};
use crate::output::Output;
use crate::page;
use crate::progress::Progress;
use crate::render;
use crate::signal::Stop;
use crate::start::{Network, Running};

const LOOK: Duration = Duration::from_millis(200);

/// Runs the instance that serves the page until it is stopped, or, with `--once`, until the page holds the same.
pub(super) fn run(global: &Global, args: &Demo, output: Output) -> Result<(), Failure> {
    let stop = Stop::on_signals();
    // Not the instances of the demo without a page: the page makes its own keys, for a person that those know with others.
    let dir = base(global)?.join("web");
    if args.fresh {
        forget(&[&dir])?;
    }
    let site = page::site(&Web { web: true, web_origin: Vec::new() })?;
    let shared = folder(args)?;
    let resumed = prepare(&dir, NODE, "node")?;
    output.note(if resumed {
        "going on with the instance of the last run"
    } else {
        "made an instance, without a passphrase"
    });
    let dir = DataDir::open(&dir)?;
    let network = Network::Online(Listen::Prefer(PORT));
    let lock = backend::lock(&dir)?;
    let keys = identity::Keys::open(&dir, &lock, global.passphrase_fd)?;
    let running = backend::start(keys, global, &dir, lock, network, None, site, stop.clone())?;
    let server = Server::start(&dir, Arc::new(Served(Arc::clone(&running.live))))?;
    let outcome = Scene { running: &running, stop, output }.play(args.once, &shared);
    drop(server);
    outcome.and(running.shut_down())
}

struct Scene<'a> {
    running: &'a Running,
    stop: Stop,
    output: Output,
}

impl Scene<'_> {
    fn live(&self) -> &Arc<Live> {
        &self.running.live
    }

    fn play(&self, once: bool, folder: &Path) -> Result<(), Failure> {
        let events = self.live().events.subscribe();
        self.announce()?;
        let mut progress = Progress::new(self.output);
        let mut greeted = false;
        while !self.stop.is_set() {
            if !greeted && self.knows_the_page()? {
                greeted = true;
                self.greet(folder)?;
            }
            for event in events.try_iter() {
                let Some(row) = event_row(&event) else { continue };
                progress.event(&row);
                self.show(&row, &mut progress);
            }
            if once && greeted && self.in_sync()? {
                break;
            }
            self.stop.wait(LOOK);
        }
        progress.finish();
        Ok(())
    }

    fn announce(&self) -> Result<(), Failure> {
        let url = page::url(self.live(), Some(ME))?;
        if self.output.is_json() {
            self.output.json_line(&json!({ "page": { "url": url } }));
            return Ok(());
        }
        self.output.note(&format!(
            "{NODE} runs ({}, process {})\nopen this in a browser, within 15 minutes; the page becomes {ME}:\n\n  {url}\n\n\
             later, in the same browser: {}\nCtrl-C stops, the next run goes on",
            self.live().runtime,
            std::process::id(),
            url.split('#').next().unwrap_or_default()
        ));
        Ok(())
    }

    fn show(&self, row: &Value, progress: &mut Progress) {
        if self.output.is_json() {
            self.output.json_line(&json!({ "event": row }));
        } else if let Some(line) = render::event(row) {
            progress.line(&line);
        }
    }

    fn knows_the_page(&self) -> Result<bool, Failure> {
        let known: api::Contacts = ask_live(self.live(), Request::Contacts)?;
        Ok(known.contacts.iter().any(|contact| contact.email == ME && contact.state == "active"))
    }

    /// A message and a folder, so that there is something to see.
    fn greet(&self, folder: &Path) -> Result<(), Failure> {
        let text = "hello page, this is the process".to_owned();
        let _: api::Sent = ask_live(self.live(), Request::Send { to: ME.to_owned(), text })?;
        let (path, with) = (folder.display().to_string(), vec![ME.to_owned()]);
        let share = Request::Share { path, with, watch: false, keep: false };
        let shared: api::Shared = ask_live(self.live(), share)?;
        self.output.note(&format!("sharing {} with the page ({} files)", shared.path, shared.files));
        Ok(())
    }

    fn in_sync(&self) -> Result<bool, Failure> {
        let status: api::Status = ask_live(self.live(), Request::Status)?;
        Ok(status.peers.iter().any(|peer| peer.state == "in_sync"))
    }
}
