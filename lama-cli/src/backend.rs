//! Who answers a command: the instance that runs already, or one that is started for as long as the command takes.

use std::sync::Arc;
use std::time::Duration;

use lama_host::control::{Client, Line};
use lama_host::{DataDir, HostError, Lock};
use lama_net::Site;
use lama_relay::RelayAddress;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::{Id, Request};
use crate::args::Global;
use crate::failure::{Exit, Failure};
use crate::identity;
use crate::live::Live;
use crate::signal::Stop;
use crate::start::{Network, Reach, Running, Start};

/// How often and how far apart a held lock is tried again: five seconds in all.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// The instance that is asked.
pub(crate) enum Backend {
    /// It runs in another process.
    Remote(Client),
    /// It runs here.
    Local(Running),
}

impl Backend {
    /// Finds the instance of the data directory, or starts it in the way that `network` says.
    pub(crate) fn open(global: &Global, network: Network) -> Result<Self, Failure> {
        Self::open_with(global, network, &|dir, lock| identity::Keys::open(dir, lock, global.passphrase_fd))
    }

    /// The same, where the keys are opened in another way.
    pub(crate) fn open_with(
        global: &Global,
        network: Network,
        keys: &dyn Fn(&DataDir, &Lock) -> Result<identity::Keys, Failure>,
    ) -> Result<Self, Failure> {
        let dir = DataDir::open(&identity::data_path(global)?)?;
        for _ in 0..LOCK_TRIES {
            if let Some(client) = Client::connect(&dir) {
                return Ok(Self::Remote(client));
            }
            match dir.lock() {
                // Another command is at work, or an instance that does not serve yet.
                Err(HostError::InUse(_)) => std::thread::sleep(LOCK_PAUSE),
                lock => {
                    let lock = lock?;
                    let keys = keys(&dir, &lock)?;
                    let (site, stop) = (Site::default(), Stop::on_signals());
                    return Ok(Self::Local(start(keys, global, &dir, lock, network, None, site, stop)?));
                }
            }
        }
        Err(HostError::InUse(dir.path().to_path_buf()).into())
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

/// Takes the lock of a directory; waits while a command that ends soon holds it, not while an instance runs there.
pub(crate) fn lock(dir: &DataDir) -> Result<Lock, Failure> {
    for _ in 0..LOCK_TRIES {
        match dir.lock() {
            Err(HostError::InUse(_)) if Client::connect(dir).is_none() => std::thread::sleep(LOCK_PAUSE),
            lock => return Ok(lock?),
        }
    }
    Ok(dir.lock()?)
}

/// Starts the instance of `dir` in this process, with keys that are open.
#[allow(clippy::too_many_arguments)] // What a start needs, each of a type of its own.
pub(crate) fn start(
    keys: identity::Keys,
    global: &Global,
    dir: &DataDir,
    lock: Lock,
    reach: impl Into<Reach>,
    relays: Option<&[RelayAddress]>,
    site: Site,
    stop: Stop,
) -> Result<Running, Failure> {
    let id: Id = keys.describe(dir)?;
    let (identity, storage_key) = (keys.identity()?, keys.storage()?);
    let (dir, enrolment, former) = (dir.clone(), keys.enrolment()?, keys.former()?);
    let (runtime, relays) = (global.runtime, relays.map(<[RelayAddress]>::to_vec));
    Start {
        dir,
        lock,
        id,
        identity,
        former,
        storage_key,
        enrolment,
        runtime,
        reach: reach.into(),
        relays,
        site,
        stop,
    }
    .run()
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
