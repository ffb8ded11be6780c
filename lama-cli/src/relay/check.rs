//! `lama relay check`: what is wrong with the options of a relay, and what mends it, before anybody depends on it.

use std::io::ErrorKind;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::Path;

use lama_host::{data_dir, process};
use lama_invite::{HostClass, RouteUrl, classify_ip};
use lama_net::{CertificateFault, inspect_certificate};
use serde::Serialize;

use super::serve::{OTHER_FILES, bind, read};
use crate::args::RelaySetup;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::text::time;

/// What a call may hold in memory (`docs/protocol/relay.md` 5).
const CALL_BYTES: usize = 512 * 1024;
/// Above this the buffers of all calls are worth a word.
const MUCH: usize = 4 << 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Severity {
    Warning,
    Error,
}

/// One thing that is wrong.
#[derive(Debug, Serialize)]
struct Fault {
    /// Stable, for scripts.
    code: &'static str,
    severity: Severity,
    /// What is wrong.
    text: String,
    /// What mends it.
    remedy: String,
}

#[derive(Debug, Serialize)]
struct Report {
    sound: bool,
    faults: Vec<Fault>,
}

/// Collects them.
#[derive(Debug, Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn error(&mut self, code: &'static str, text: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Fault { code, severity: Severity::Error, text: text.into(), remedy: remedy.into() });
    }

    fn warning(&mut self, code: &'static str, text: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Fault { code, severity: Severity::Warning, text: text.into(), remedy: remedy.into() });
    }
}

/// Looks at everything, changes nothing, and ends with the worst that it found.
pub(super) fn run(setup: &RelaySetup, output: Output) -> Result<(), Failure> {
    let mut faults = Faults::default();
    if let Some(path) = &setup.key {
        key(path, &mut faults);
    }
    port(setup, &mut faults);
    address(setup, &mut faults);
    transport(setup, &mut faults);
    if let Some((certificate_file, key_file)) = setup.tls_cert.as_deref().zip(setup.tls_key.as_deref()) {
        certificate(setup, certificate_file, key_file, &mut faults);
    }
    limits(setup, &mut faults);
    let worst = faults.0.iter().map(|fault| fault.severity).max();
    let report = Report { sound: faults.0.is_empty(), faults: faults.0 };
    output.answer(&report, text);
    let (exit, found) = match worst {
        None => return Ok(()),
        Some(Severity::Warning) => (Exit::Warned, "clients may have trouble with this relay"),
        Some(Severity::Error) => (Exit::Faulty, "this relay would not serve its clients"),
    };
    Err(Failure::new(exit, "relay-check", format!("{found}; what to do stands above")))
}

fn text(report: &Report) -> String {
    if report.sound {
        return "nothing is wrong with these options\n".to_owned();
    }
    let line = |fault: &Fault| {
        let severity = if fault.severity == Severity::Error { "error" } else { "warning" };
        format!("{severity}[{}]: {}; {}\n", fault.code, crate::text::escape(&fault.text), fault.remedy)
    };
    report.faults.iter().map(line).collect()
}

/// The file with the relay's own key. That it is not there yet is no fault.
fn key(path: &Path, faults: &mut Faults) {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            if folder.is_some_and(|folder| !folder.is_dir()) {
                let text = format!("the key cannot be made: there is no folder for {}", path.display());
                faults.error("relay-key-folder", text, "make the folder, or name another file with --key");
            }
        }
        Err(error) => {
            let text = format!("{} cannot be looked at: {error}", path.display());
            faults.error("relay-key-file", text, "mend that, or name another file with --key");
        }
        Ok(about) => {
            if let Err(error) = data_dir::private(path) {
                faults.error("relay-key-exposed", error.to_string(), "only its owner may read the key");
            }
            if about.len() != 32 {
                let text = format!("{} is no key of a relay", path.display());
                faults.error("relay-key", text, "name another file with --key, or none that is there yet");
            }
        }
    }
}

fn port(setup: &RelaySetup, faults: &mut Faults) {
    let Err(error) = bind(setup.listen) else { return };
    let text = format!("{} cannot be listened on: {error}", setup.listen);
    let remedy = match error.kind() {
        ErrorKind::AddrInUse => {
            "stop what listens there (perhaps the relay runs already), or give another port"
        }
        ErrorKind::PermissionDenied => {
            "ports below 1024 need a permission: give a higher one and let a proxy forward to it, or give the program \
             CAP_NET_BIND_SERVICE"
        }
        ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; 0.0.0.0 and [::] stand for all of its own"
        }
        _ => "give another one with --listen",
    };
    faults.error("relay-listen", text, remedy);
}

/// Whether clients elsewhere find it.
fn address(setup: &RelaySetup, faults: &mut Faults) {
    let proxied = setup.behind_proxy;
    let Some(url) = &setup.url else {
        let ip = setup.listen.ip();
        if ip.is_unspecified() || setup.tls_cert.is_some() || proxied {
            let remedy = "give the URL under which clients reach it with --url, such as wss://relay.example";
            faults.error(
                "relay-url-missing",
                "nothing says under which name clients reach this relay",
                remedy,
            );
        } else {
            reach(ip, &setup.listen.to_string(), faults);
        }
        return;
    };
    let host = url.host().trim_start_matches('[').trim_end_matches(']');
    match (host, url.port()).to_socket_addrs() {
        Err(error) => {
            let text = format!("the name {host} has no address here: {error}");
            faults.error("relay-name", text, "enter it in the DNS, or correct --url");
        }
        Ok(addresses) => {
            // One address that can be reached is enough for clients.
            let mut addresses: Vec<IpAddr> = addresses.map(|address| address.ip()).collect();
            addresses.sort_by_key(|ip| classify_ip(*ip) != HostClass::Public);
            if let Some(ip) = addresses.first() {
                reach(*ip, host, faults);
                if setup.listen.ip().is_loopback() && !ip.is_loopback() && !proxied {
                    let text =
                        format!("it listens on {}, where nobody comes who looks for {host}", setup.listen);
                    let remedy = "listen on 0.0.0.0 or [::], or put a proxy before it and say --behind-proxy";
                    faults.error("relay-listen-local", text, remedy);
                }
            }
        }
    }
    if !proxied && setup.listen.port() != 0 && url.port() != setup.listen.port() {
        let text =
            format!("clients come to port {}, and it listens on port {}", url.port(), setup.listen.port());
        let remedy =
            "let something forward the one to the other, or make them the same in --listen and --url";
        faults.warning("relay-port", text, remedy);
    }
}

fn reach(ip: IpAddr, name: &str, faults: &mut Faults) {
    match classify_ip(ip) {
        HostClass::Public => {}
        HostClass::Unreachable => {
            let text = format!("{name} is {ip}, which nobody can reach");
            faults.error("relay-address", text, "correct --url, or what the DNS says");
        }
        class => {
            let text = format!("{name} is {ip}: only {class} reaches it");
            faults.warning("relay-address", text, "for others give a public name with --url");
        }
    }
}

/// Whether what clients speak is what is understood here.
fn transport(setup: &RelaySetup, faults: &mut Faults) {
    let tls = setup.url.as_ref().is_some_and(RouteUrl::is_tls);
    let here = setup.tls_cert.is_some();
    if tls && !here && !setup.behind_proxy {
        let remedy =
            "give --tls-cert and --tls-key, or put a proxy that speaks TLS before it and say --behind-proxy";
        faults.error("relay-tls-missing", "clients speak TLS by this URL, and nothing here does", remedy);
    } else if here && setup.url.is_some() && !tls {
        let remedy = "let --url begin with wss://";
        faults.error(
            "relay-tls-url",
            "clients do not speak TLS by this URL, and this relay speaks nothing else",
            remedy,
        );
    } else if setup.url.is_some() && !tls {
        let text =
            "clients come without TLS: the network sees that they speak to a relay, though not what is said";
        faults.warning("relay-plain", text, "give a wss:// URL, with --tls-cert and --tls-key or a proxy");
    }
    if setup.dev {
        let text = "its key, and with it its address, is another one with every run";
        faults.warning("relay-dev", text, "give a file with --key");
    }
}

fn certificate(setup: &RelaySetup, certificate: &Path, key: &Path, faults: &mut Faults) {
    let files = read(certificate).and_then(|certificate| Ok((certificate, read(key)?)));
    let (certificate, key) = match files {
        Ok(files) => files,
        Err(failure) => {
            let remedy = "correct --tls-cert or --tls-key, or let the user who runs the relay read it";
            return faults.error("relay-tls-file", failure.message, remedy);
        }
    };
    let Some(url) = &setup.url else { return };
    let host = url.host().trim_start_matches('[').trim_end_matches(']');
    let now = i64::try_from(crate::wall().0 / 1000).unwrap_or(i64::MAX);
    let day = |seconds: i64| time(u64::try_from(seconds).unwrap_or_default().saturating_mul(1000));
    for fault in inspect_certificate(&certificate, &key, host, now) {
        match fault {
            CertificateFault::Files(error) => {
                faults.error("relay-tls", "TLS cannot be spoken with these files", error.to_string());
            }
            CertificateFault::Expired { until } => {
                let text = format!("the certificate was valid until {}", day(until));
                faults.error("relay-tls-expired", text, "renew it");
            }
            CertificateFault::NotYetValid { from } => {
                let text = format!("the certificate is valid from {} on", day(from));
                faults.error("relay-tls-early", text, "check the clock of this machine, or get another one");
            }
            CertificateFault::ExpiresSoon { until } => {
                let text = format!("the certificate is valid until {}", day(until));
                faults.warning("relay-tls-soon", text, "renew it, and send the relay SIGHUP");
            }
            CertificateFault::WrongName => {
                let text = format!("the certificate is not for {host}");
                faults.error("relay-tls-name", text, "get one for that name, or correct --url");
            }
            CertificateFault::SelfSigned => {
                let text = "nobody but its owner has signed the certificate";
                let remedy = "get one from an authority that systems trust, or let every client's system trust this one";
                faults.warning("relay-tls-self-signed", text, remedy);
            }
            other => faults.warning("relay-tls", format!("{other:?}"), "get another certificate"),
        }
    }
}

fn limits(setup: &RelaySetup, faults: &mut Faults) {
    let wanted = u64::try_from(setup.max_connections).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    if let Some(files) = process::open_files(wanted)
        && files < wanted
    {
        let text = format!(
            "the system gives {files} open files, and {} connections are wanted",
            setup.max_connections
        );
        faults.warning(
            "relay-files",
            text,
            "raise the limit (ulimit -n, LimitNOFILE), or lower --max-connections",
        );
    }
    if setup.max_connections == 0 || setup.max_routes == 0 || setup.max_calls == 0 {
        let text = "with a limit of none it serves nobody";
        faults.error(
            "relay-limit-zero",
            text,
            "raise --max-connections, --max-routes and --max-calls above 0",
        );
        return;
    }
    // A route that can be called holds a connection, and a call takes one more.
    let needed = setup.max_routes.saturating_add(setup.max_calls.saturating_mul(2));
    if setup.max_connections < needed {
        let text = format!(
            "{} routes and {} calls need {needed} connections, and {} are allowed",
            setup.max_routes, setup.max_calls, setup.max_connections
        );
        faults.warning("relay-limits", text, "raise --max-connections, or lower the others");
    }
    if setup.max_calls.saturating_mul(CALL_BYTES) > MUCH {
        let text = format!("{} calls may hold {} MiB", setup.max_calls, setup.max_calls / 4);
        faults.warning("relay-memory", text, "lower --max-calls, unless the machine has that much to spare");
    }
}
