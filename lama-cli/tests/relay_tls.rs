//! A relay with a certificate, as real processes: instances take the word of what the system trusts, and of nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use common::{Instance, Place, ROOTS, free_port, json, until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use serde_json::Value;

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// An authority that the instances of this place trust.
struct Authority<'a>(&'a Place, CertifiedIssuer<'static, KeyPair>);

impl<'a> Authority<'a> {
    fn new(place: &'a Place) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(place.path().join(ROOTS), issuer.pem()).unwrap();
        Self(place, issuer)
    }

    fn issue(&self, name: &str, until: i32) -> Files {
        let at = |what: &str| self.0.path().join(format!("{name}-{until}.{what}.pem"));
        let files = Files { certificate: at("certificate"), key: at("key") };
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        fs::write(&files.certificate, params.signed_by(&key, &self.1).unwrap().pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }
}

fn routes(instance: &Instance) -> usize {
    instance.json(&["status"])["urls"].as_array().unwrap().len()
}

fn pair_through_tls(runtime_a: &'static str, runtime_b: &'static str) {
    let place = Place::new();
    let authority = Authority::new(&place);
    let files = authority.issue("localhost", 2090);
    let keeper = Instance { runtime: runtime_b, ..place.instance("none") };
    let port = free_port();
    let (listen, url) = (format!("127.0.0.1:{port}"), format!("wss://localhost:{port}"));
    let (certificate, key) = (files.certificate.to_str().unwrap(), files.key.to_str().unwrap());
    let relay = keeper.start_relay(&[
        "--dev",
        "--listen",
        &listen,
        "--url",
        &url,
        "--tls-cert",
        certificate,
        "--tls-key",
        key,
    ]);
    let option = relay.status["option"].as_str().unwrap();
    let (a, b) = (place.person("a@lama.test", runtime_a), place.person("b@lama.test", runtime_b));
    let running_a = a.start_with(&["--no-listen", option]);
    let running_b = b.start_with(&["--no-listen"]);
    until("it is registered", || routes(&a) == 1);
    let link = a.json(&["invite"])["link"].as_str().unwrap().to_owned();
    let contact = json(b.command(&["join"]).env("LAMA_INVITATION", &link));
    assert_eq!(contact["state"], "active", "{contact}");
    assert_eq!(b.json(&["status"])["peers"][0]["path"], "relay");
    // With the next certificate of the same name, from an authority that nobody trusts yet: those who are here stay, and
    // who comes anew is told why he cannot.
    let other_place = Place::new();
    let other = Authority::new(&other_place).issue("localhost", 2090);
    fs::copy(&other.certificate, &files.certificate).unwrap();
    fs::copy(&other.key, &files.key).unwrap();
    assert!(Command::new("kill").args(["-HUP", &relay.id().to_string()]).status().unwrap().success());
    let c = place.person("c@lama.test", runtime_a);
    until("the certificate is read again", || {
        let running = c.start_with(&["--no-listen", option]);
        std::thread::sleep(Duration::from_millis(700));
        let none = routes(&c) == 0;
        running.stop();
        none
    });
    assert_eq!(b.json(&["status"])["peers"][0]["path"], "relay");
    running_a.stop();
    running_b.stop();
    relay.stop();
}

#[test]
fn on_tokio_and_smol() {
    pair_through_tls("tokio", "smol");
}

#[test]
fn on_smol_and_tokio() {
    pair_through_tls("smol", "tokio");
}

/// What the check says: exit code, and the codes of the faults, each of which has a remedy.
fn check(args: &[&str]) -> (i32, Vec<String>) {
    let place = Place::new();
    let out = place.instance("none").run(&[&["--json", "relay", "check"], args].concat());
    let lines = String::from_utf8(out.stdout).unwrap();
    let report: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    let faults = report["faults"].as_array().unwrap();
    assert!(faults.iter().all(|fault| fault["remedy"].as_str().unwrap().len() > 5), "{report}");
    assert_eq!(report["sound"], faults.is_empty());
    let codes = faults.iter().map(|fault| fault["code"].as_str().unwrap().to_owned()).collect();
    (out.status.code().unwrap(), codes)
}

#[test]
fn a_check_says_each_fault() {
    let place = Place::new();
    let authority = Authority::new(&place);
    let (good, old) = (authority.issue("1.1.1.1", 2090), authority.issue("1.1.1.1", 2021));
    let named = authority.issue("localhost", 2090);
    let key = place.path().join("relay.key");
    let key = key.to_str().unwrap();
    let port = free_port();
    let listen = format!("0.0.0.0:{port}");
    let url = format!("wss://1.1.1.1:{port}");
    // As many sockets as any system gives.
    let few = ["--max-connections", "100", "--max-routes", "50", "--max-calls", "25"];
    let with = |changed: &[&str]| {
        let usual = ["--listen", &listen, "--url", &url, "--key", key];
        let kept = usual.chunks(2).filter(|pair| !changed.contains(&pair[0])).flatten().copied();
        let kept: Vec<&str> =
            kept.chain(few.chunks(2).filter(|pair| !changed.contains(&pair[0])).flatten().copied()).collect();
        check(&[&kept[..], changed].concat())
    };
    let path = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let tls = |files: &Files| [path(&files.certificate), path(&files.key)];
    let [cert, tls_key] = tls(&good);
    let ok = ["--tls-cert", &cert, "--tls-key", &tls_key];
    assert_eq!(with(&ok), (0, vec![]));
    assert!(!PathBuf::from(key).exists(), "a check makes nothing");
    let more = |more: &[&str]| with(&[&ok[..], more].concat());
    let [old_cert, old_key] = tls(&old);
    let [named_cert, named_key] = tls(&named);
    let error = |code: &str| (12, vec![code.to_owned()]);
    let warning = |code: &str| (11, vec![code.to_owned()]);
    assert_eq!(with(&["--tls-cert", &old_cert, "--tls-key", &old_key]), error("relay-tls-expired"));
    assert_eq!(with(&["--tls-cert", &named_cert, "--tls-key", &named_key]), error("relay-tls-name"));
    assert_eq!(with(&["--tls-cert", &cert, "--tls-key", &old_key]), error("relay-tls"));
    assert_eq!(with(&["--tls-cert", "/nowhere", "--tls-key", &tls_key]), error("relay-tls-file"));
    assert_eq!(with(&[]), error("relay-tls-missing"));
    assert_eq!(with(&["--behind-proxy"]), (0, vec![]));
    assert_eq!(more(&["--url", &url.replace("wss", "ws")]), error("relay-tls-url"));
    assert_eq!(more(&["--url", "wss://1.1.1.1:1"]), warning("relay-port"));
    assert_eq!(more(&["--listen", &format!("127.0.0.1:{port}")]), error("relay-listen-local"));
    assert_eq!(with(&["--url", &format!("ws://localhost:{port}")]).1, ["relay-address", "relay-plain"]);
    assert_eq!(more(&["--max-calls", "26"]), warning("relay-limits"));
    assert_eq!(more(&["--max-calls", "0"]), error("relay-limit-zero"));
    assert_eq!(more(&["--max-connections", "4000000000"]), warning("relay-files"));
    let taken = std::net::TcpListener::bind(&listen).unwrap();
    assert_eq!(more(&[]), error("relay-listen"));
    drop(taken);
    fs::write(key, "no key").unwrap();
    let codes = more(&[]);
    assert_eq!((codes.0, codes.1.last().map(String::as_str)), (12, Some("relay-key")));
    assert_eq!(check(&["--dev"]), (11, vec!["relay-address".into(), "relay-dev".into()]));
}
