//! `lama inspect`: a page for this machine alone that shows what goes on in an instance.
//!
//! It asks the instance over its control socket, as every command does, so it ends with this command and can change
//! nothing. The page stands below a random word in its URL: another user of this machine, who may connect to the port, does
//! not know it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lama_host::entropy;
use serde_json::{Value, json};

use crate::api::{Health, Request, Routes, SharedList, Status};
use crate::args::{Global, Inspect};
use crate::backend::Backend;
use crate::failure::{Exit, Failure};
use crate::identity::hex;
use crate::local::{Local, Pages};
use crate::output::Output;
use crate::signal::Stop;
use crate::start::Network;

const PAGE: &str = include_str!("inspect/page.html");
const STYLE: &str = include_str!("inspect/page.css");
const SCRIPT: &str = include_str!("inspect/page.js");

/// How often it is seen whether it is to end.
const LOOK: Duration = Duration::from_millis(200);

/// Serves the page until Ctrl-C.
pub(crate) fn run(global: &Global, args: &Inspect, output: Output) -> Result<(), Failure> {
    let backend = Backend::open(global, Network::Usual(None))?;
    let stop = Stop::on_signals();
    let word = hex(entropy::seed()?.expose().get(..16).unwrap_or_default());
    let asked = Arc::new(Mutex::new(Some(backend)));
    let (source, prefix) = (Arc::clone(&asked), format!("/{word}/"));
    let pages: Pages = Arc::new(move |path| match path.strip_prefix(&prefix)? {
        "" => Some(("text/html; charset=utf-8", PAGE.to_owned())),
        "page.css" => Some(("text/css; charset=utf-8", STYLE.to_owned())),
        "page.js" => Some(("text/javascript; charset=utf-8", SCRIPT.to_owned())),
        // Looking for what is wrong dials the instance itself, so that is asked for more rarely.
        "state.json" | "health.json" => {
            let mut backend = source.lock().unwrap_or_else(PoisonError::into_inner);
            let answer = backend.as_mut().ok_or_else(Failure::interrupted);
            let answer =
                answer.and_then(
                    |backend| if path.ends_with("state.json") { state(backend) } else { health(backend) },
                );
            let answer = answer.unwrap_or_else(|failure| json!({ "error": failure.message }));
            Some(("application/json", answer.to_string()))
        }
        _ => None,
    });
    let local = Local::start(args.listen, pages)?;
    let url = format!("http://{}/{word}/", local.at());
    output.answer(&json!({ "url": url }), |_| format!("{url}\n"));
    output.note("this page is for this machine alone, and whoever has this URL sees it; Ctrl-C ends it");
    while !stop.wait(LOOK) {}
    drop(local);
    let backend = asked.lock().unwrap_or_else(PoisonError::into_inner).take();
    backend.map_or(Ok(()), Backend::close)
}

/// What the page shows of sessions, routes and what is shared.
fn state(backend: &mut Backend) -> Result<Value, Failure> {
    let status: Status = backend.ask(&Request::Status, &mut |_| {})?;
    let routes: Routes = backend.ask(&Request::Routes, &mut |_| {})?;
    let shared: SharedList = backend.ask(&Request::Shared, &mut |_| {})?;
    Ok(json!({ "status": status, "routes": routes.routes, "shared": shared.items, "time": crate::wall().0 }))
}

/// What it shows of what is wrong.
fn health(backend: &mut Backend) -> Result<Value, Failure> {
    let health: Health = backend.ask(&Request::Health, &mut |_| {})?;
    serde_json::to_value(health).map_err(|error| Failure::new(Exit::Failed, "internal", error.to_string()))
}
