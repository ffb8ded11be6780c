//! `lama relay run`.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use lama_host::{HostError, data_dir, entropy, process};
use lama_identity::SignSecret;
use lama_invite::RouteUrl;
use lama_net::{RelayHandle, RelayParts, Runtime, TlsServer};
use lama_relay::RelayAddress;
use signal_hook::consts::SIGHUP;
use signal_hook::iterator::Signals;
use zeroize::Zeroizing;

use crate::api::RelayAt;
use crate::args::{Global, RelayRun, RelaySetup, RuntimeName};
use crate::commands::stop_with_stdin;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::signal::Stop;

/// How often it is seen whether the relay still runs.
const LOOK: Duration = Duration::from_millis(200);
/// Files and sockets besides those of clients.
pub(super) const OTHER_FILES: u64 = 64;

/// Runs a relay until it is asked to stop; calls under way may end then.
pub(crate) fn run(global: &Global, args: &RelayRun, output: Output) -> Result<(), Failure> {
    let stop = Stop::on_signals();
    let setup = &args.setup;
    let tls = setup.tls_cert.as_deref().zip(setup.tls_key.as_deref());
    let server = tls.map(|(certificate, key)| tls_server(certificate, key)).transpose()?;
    let socket = bind(setup.listen).map_err(|error| not_bound(setup.listen, &error))?;
    let listen = socket.local_addr().map_err(|error| not_bound(setup.listen, &error))?.to_string();
    let key = match &setup.key {
        Some(path) => kept_key(path)?,
        None => SignSecret::from_seed(entropy::seed()?),
    };
    let url = public_url(setup, &listen)?;
    let address = RelayAddress::new(url, key.public());
    let mut parts = RelayParts::new(key, vec![address.signed_host()], vec![socket]);
    limit(&mut parts, setup, output);
    parts.tls.clone_from(&server);
    parts.behind_proxy = setup.behind_proxy;
    let (drain, thread) = match global.runtime {
        RuntimeName::Tokio => at_work(lama_net_tokio::start_relay(parts)?),
        RuntimeName::Smol => at_work(lama_net_smol::start_relay(parts)?),
    };
    if let (Some(server), Some((certificate, key))) = (server, tls) {
        renew_on_hangup(server, certificate.to_owned(), key.to_owned(), output);
    }
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

/// Where clients reach it.
fn public_url(setup: &RelaySetup, listen: &str) -> Result<RouteUrl, Failure> {
    match &setup.url {
        Some(url) => Ok(url.clone()),
        None if setup.tls_cert.is_some() || setup.behind_proxy => Err(Failure::usage(
            "give the URL under which clients reach it with --url, such as wss://relay.example",
        )),
        None => RouteUrl::parse(&format!("ws://{listen}")).map_err(|problem| {
            Failure::usage(format!("clients cannot use ws://{listen}: {problem}; give the URL with --url"))
        }),
    }
}

/// The limits of the options, as far as the system gives sockets for them.
fn limit(parts: &mut RelayParts, setup: &RelaySetup, output: Output) {
    let wanted = u64::try_from(setup.max_connections).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    if let Some(files) = process::open_files(wanted)
        && files < wanted
    {
        output.note(&format!(
            "the system gives this process {files} sockets, so it takes fewer than {} connections; raise the limit of open \
             files (ulimit -n, LimitNOFILE) or lower --max-connections",
            setup.max_connections
        ));
    }
    parts.config.links = setup.max_connections;
    parts.config.routes = setup.max_routes;
    parts.config.splices = setup.max_calls;
}

/// The certificate and its key from their files.
fn tls_server(certificate: &Path, key: &Path) -> Result<TlsServer, Failure> {
    let (certificate, key) = (read(certificate)?, read(key)?);
    TlsServer::from_pem(&certificate, &key).map_err(|error| bad_files(&error))
}

fn bad_files(error: &lama_net::TlsFilesError) -> Failure {
    Failure::new(Exit::RefusedHere, "relay-tls", format!("TLS cannot be spoken with these files: {error}"))
}

/// A file that may hold a key.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    fs::read(path).map(Zeroizing::new).map_err(|error| HostError::io("read", path, &error).into())
}

/// Certificates end after some weeks: whoever renews one sends SIGHUP, and no call is cut.
fn renew_on_hangup(server: TlsServer, certificate: PathBuf, key: PathBuf, output: Output) {
    let Ok(mut signals) = Signals::new([SIGHUP]) else { return };
    std::thread::spawn(move || {
        for _ in signals.forever() {
            let files = read(&certificate).and_then(|certificate| Ok((certificate, read(&key)?)));
            let renewed = files.and_then(|(certificate, key)| {
                server.renew(&certificate, &key).map_err(|error| bad_files(&error))
            });
            match renewed {
                Ok(()) => output.note("the TLS certificate was read again"),
                Err(failure) => output.note(&format!("the old TLS certificate stays: {}", failure.message)),
            }
        }
    });
}

/// A listener that does not block.
pub(super) fn bind(listen: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpListener::bind(listen)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn not_bound(listen: SocketAddr, error: &std::io::Error) -> Failure {
    let message = format!("{listen} cannot be listened on: {error}; give another one with --listen");
    Failure::new(Exit::Failed, "relay-listen", message)
}

/// The relay's key from its file, which is made with a new one if there is none.
pub(super) fn kept_key(path: &Path) -> Result<SignSecret, Failure> {
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
