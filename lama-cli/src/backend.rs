//! Who answers a command: the instance that runs already, or one that is started for as long as the command takes.

use std::sync::Arc;

use lama_host::control::{Client, Line};
use lama_host::{DataDir, HostError};
use lama_net::Listen;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::{Id, Request};
use crate::args::Global;
use crate::failure::{Exit, Failure};
use crate::identity;
use crate::live::Live;
use crate::signal::Stop;
use crate::start::{Running, Start};

/// The instance that is asked.
pub(crate) enum Backend {
    /// It runs in another process.
    Remote(Client),
    /// It runs here.
    Local(Running),
}

impl Backend {
    /// Finds the instance of the data directory, or starts it; `listen` says where, if it is started here.
    pub(crate) fn open(global: &Global, listen: Listen) -> Result<Self, Failure> {
        let dir = DataDir::open(&identity::data_path(global)?)?;
        if let Some(client) = Client::connect(&dir) {
            return Ok(Self::Remote(client));
        }
        Ok(Self::Local(start(global, &dir, listen, Stop::on_signals())?))
    }

    /// Asks, and hands on events while it waits.
    pub(crate) fn ask<T: DeserializeOwned>(
        &mut self,
        request: &Request,
        on_event: &mut dyn FnMut(&Value),
    ) -> Result<T, Failure> {
        let answer = match self {
            Self::Remote(client) => remote(client, request, on_event)?,
            Self::Local(running) => running.live.ask(request.clone(), &mut |event| {
                on_event(&event);
                true
            })?,
        };
        serde_json::from_value(answer).map_err(|error| {
            Failure::new(
                Exit::Failed,
                "control",
                format!("the running instance is of another version ({error}); restart it with this program"),
            )
        })
    }

    /// The instance, if it runs in this process.
    pub(crate) fn local(&self) -> Option<Arc<Live>> {
        match self {
            Self::Remote(_) => None,
            Self::Local(running) => Some(Arc::clone(&running.live)),
        }
    }

    /// Ends what was started for this command.
    pub(crate) fn close(self) -> Result<(), Failure> {
        match self {
            Self::Remote(_) => Ok(()),
            Self::Local(running) => running.shut_down(),
        }
    }
}

/// Starts the instance of `dir` in this process.
pub(crate) fn start(global: &Global, dir: &DataDir, listen: Listen, stop: Stop) -> Result<Running, Failure> {
    let lock = dir.lock()?;
    let id: Id = identity::id(dir)?;
    let identity = identity::unlock(dir, global.passphrase_fd)?;
    Start { dir: dir.clone(), lock, id, identity, runtime: global.runtime, listen, stop }.run()
}

fn remote(
    client: &mut Client,
    request: &Request,
    on_event: &mut dyn FnMut(&Value),
) -> Result<Value, Failure> {
    let request = serde_json::to_value(request).map_err(|error| HostError::Control(error.to_string()))?;
    client.send(&request)?;
    loop {
        match client.next_line()? {
            Line::Event(event) => on_event(&event),
            Line::Ok(value) => return Ok(value),
            Line::Error(value) => {
                let failure = serde_json::from_value(value);
                return Err(failure.unwrap_or_else(|error| HostError::Control(error.to_string()).into()));
            }
        }
    }
}
