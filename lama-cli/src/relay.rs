//! Relays: running one, and the keys of an instance that stands behind some.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use lama_host::{HostError, data_dir, entropy};
use lama_identity::SignSecret;
use lama_invite::RouteUrl;
use lama_net::{RelayHandle, RelayHome, RelayParts, Runtime};
use lama_node::NodeError;
use lama_relay::RelayAddress;
use lama_store::{Engine, Read, Reply, Store, Write};
use zeroize::Zeroizing;

use crate::api::RelayAt;
use crate::args::{Global, RelayRun, RuntimeName};
use crate::commands::stop_with_stdin;
use crate::failure::{Exit, Failure};
use crate::identity::hex;
use crate::output::Output;
use crate::signal::Stop;

/// With what the name of a route key's setting begins; the relay's pin follows.
const ROUTE_KEYS: &str = "relay/";
/// How often it is seen whether the relay still runs.
const LOOK: Duration = Duration::from_millis(200);

/// The list, each with the key of this instance there: drawn when a relay is named for the first time and kept (sealed, as
/// all settings), so that what contacts know and open invitations name goes on leading here.
pub(crate) fn homes<E: Engine>(
    store: &mut Store<E>,
    relays: &[RelayAddress],
) -> Result<Vec<RelayHome>, Failure> {
    let mut homes: Vec<RelayHome> = Vec::new();
    for address in relays {
        // It has one key there: two registrations would take each other for a copy of this instance.
        if homes.iter().any(|home| home.address.pin == address.pin) {
            return Err(Failure::usage(format!("{address} is named twice; name each relay once")));
        }
        homes.push(RelayHome { address: address.clone(), key: route_key(store, address)? });
    }
    Ok(homes)
}

fn route_key<E: Engine>(store: &mut Store<E>, address: &RelayAddress) -> Result<SignSecret, Failure> {
    let name = format!("{ROUTE_KEYS}{}", hex(&address.pin));
    if let Reply::Setting(Some(kept)) = store.ask(Read::Setting(name.clone())).map_err(NodeError::from)? {
        let bytes: &[u8; 32] = kept.as_ref().try_into().map_err(|_| {
            Failure::new(Exit::Damaged, "relay-route-key", format!("the key for {address} is damaged"))
        })?;
        return Ok(SignSecret::danger_from_bytes(bytes));
    }
    let key = SignSecret::from_seed(entropy::seed()?);
    let value = Some(Bytes::copy_from_slice(key.danger_expose().as_slice()));
    // Durable before it is used.
    store.commit(vec![Write::Setting { key: name, value }]).map_err(NodeError::from)?;
    Ok(key)
}

/// Runs a relay until it is asked to stop; calls under way may end then.
pub(crate) fn run(global: &Global, args: &RelayRun, output: Output) -> Result<(), Failure> {
    let stop = Stop::on_signals();
    let socket = bind(args)?;
    let listen = socket.local_addr().map_err(|error| not_bound(args, &error))?.to_string();
    let key = match &args.key {
        Some(path) => kept_key(path)?,
        None => SignSecret::from_seed(entropy::seed()?),
    };
    let url = match &args.url {
        Some(url) => url.clone(),
        None => RouteUrl::parse(&format!("ws://{listen}")).map_err(|problem| {
            Failure::usage(format!("clients cannot use ws://{listen}: {problem}; give the URL with --url"))
        })?,
    };
    let address = RelayAddress::new(url, key.public());
    let parts = RelayParts::new(key, vec![address.signed_host()], vec![socket]);
    let (drain, thread) = match global.runtime {
        RuntimeName::Tokio => at_work(lama_net_tokio::start_relay(parts)?),
        RuntimeName::Smol => at_work(lama_net_smol::start_relay(parts)?),
    };
    if args.while_stdin {
        stop_with_stdin(stop.clone());
    }
    let at =
        RelayAt { running: true, option: format!("--relay={address}"), address: address.to_string(), listen };
    output.answer(&at, |at| format!("lama run --relay '{}'\n", at.address));
    output.note(&format!(
        "the relay runs on {}, with /health and /metrics at {}; Ctrl-C stops",
        global.runtime.as_str(),
        at.listen
    ));
    while !thread.is_finished() && !stop.wait(LOOK) {}
    drain();
    thread
        .join()
        .map_err(|_| Failure::new(Exit::Failed, "internal", "the relay ended by a fault of this program"))
}

/// What asks it to end, and what ends then.
type AtWork = (Box<dyn Fn()>, JoinHandle<()>);

fn at_work<R: Runtime>((handle, thread): (RelayHandle<R>, JoinHandle<()>)) -> AtWork {
    (Box::new(move || handle.drain()), thread)
}

fn bind(args: &RelayRun) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(args.listen).and_then(|socket| {
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    bound.map_err(|error| not_bound(args, &error))
}

fn not_bound(args: &RelayRun, error: &std::io::Error) -> Failure {
    let message = format!("{} cannot be listened on: {error}; give another one with --listen", args.listen);
    Failure::new(Exit::Failed, "relay-listen", message)
}

/// The relay's key from its file, which is made with a new one if there is none.
fn kept_key(path: &Path) -> Result<SignSecret, Failure> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let key = SignSecret::from_seed(entropy::seed()?);
            let written = file.write_all(key.danger_expose().as_slice()).and_then(|()| file.sync_all());
            written.map_err(|error| HostError::io("write", path, &error))?;
            return Ok(key);
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => data_dir::private(path)?,
        Err(error) => return Err(HostError::io("make", path, &error).into()),
    }
    let bytes = Zeroizing::new(fs::read(path).map_err(|error| HostError::io("read", path, &error))?);
    let bytes: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| {
        let message = format!("{} is no key of a relay; name another file, or none yet", path.display());
        Failure::new(Exit::RefusedHere, "relay-key", message)
    })?;
    Ok(SignSecret::danger_from_bytes(bytes))
}
