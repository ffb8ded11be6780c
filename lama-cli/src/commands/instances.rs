//! `lama instance`: further instances of this person, by file, and taking one back.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use data_encoding::BASE64;
use lama_host::{DataDir, Disk, HostError, Passphrase, files};
use lama_identity::Object as _;

use crate::api::{Hidden, InstanceFile, Instances, Request, Rotated};
use crate::args::{Global, InstanceCommand, PersonCommand};
use crate::backend::Backend;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::start::Network;
use crate::{identity, render};

/// The longest file that is read.
const MAX_FILE: u64 = 2 << 20;

pub(super) fn run(global: &Global, command: &InstanceCommand, output: Output) -> Result<(), Failure> {
    match command {
        InstanceCommand::List => {
            let list: Instances = ask(global, &Request::Instances)?;
            output.answer(&list, render::instances);
        }
        InstanceCommand::Offer { file } => {
            let offer: InstanceFile = ask(global, &Request::OfferInstance)?;
            write(file, &offer.file)?;
            told(output, file, "bring it to the new device: lama instance request FILE REQUEST --name NAME");
        }
        InstanceCommand::Request { offer, file, name, no_passphrase } => {
            let offer = read(offer)?;
            let request = identity::request_instance(global, &offer, name, *no_passphrase, crate::wall())?;
            write(file, &BASE64.encode(&request))?;
            told(output, file, "bring it to the first device: lama instance certify REQUEST CERTIFICATE");
        }
        InstanceCommand::Certify { request, file } => {
            let request = BASE64.encode(&read(request)?);
            let enrolment: InstanceFile = ask(global, &Request::CertifyInstance { request })?;
            write(file, &enrolment.file)?;
            told(output, file, "bring it to the new device: lama instance accept CERTIFICATE");
        }
        InstanceCommand::Accept { certificate } => {
            let enrolment = lama_identity::Enrolment::from_bytes(&read(certificate)?)?;
            let id = identity::accept_instance(global, &enrolment)?;
            output.answer(&id, |id| format!("{} is ready in {}\nnext: `lama run`\n", id.name, id.data));
        }
        InstanceCommand::Rotate => {
            rotate(global, &|passphrase| Request::RotateInstance { passphrase }, output)?;
        }
        InstanceCommand::Revoke { instance, reason } => {
            let (which, reason) = (instance.clone(), reason.clone());
            let list: Instances = ask(global, &Request::RevokeInstance { which, reason })?;
            output.answer(&list, render::instances);
        }
    }
    Ok(())
}

/// `lama person`: the person's own key.
pub(super) fn person(global: &Global, command: &PersonCommand, output: Output) -> Result<(), Failure> {
    match command {
        PersonCommand::Rotate => rotate(global, &|passphrase| Request::RotatePerson { passphrase }, output),
    }
}

/// How long the instance may take to be there again, in tenths of a second.
const PATIENCE: u32 = 600;

/// New keys; the answer is how things stand once they are in use.
fn rotate(
    global: &Global,
    request: &dyn Fn(Option<Hidden>) -> Request,
    output: Output,
) -> Result<(), Failure> {
    let dir = DataDir::open(&identity::data_path(global)?)?;
    let passphrase = identity::unlocking(&dir, global.passphrase_fd)?;
    let again =
        || passphrase.as_ref().map(|text| Passphrase::new(text.danger_expose().to_owned())).transpose();
    let open =
        || Backend::open_with(global, Network::Offline, &|dir, _| identity::Keys::unlock(dir, again()?));
    let text = passphrase.as_ref().map(|text| Hidden(text.danger_expose().to_owned()));
    let mut backend = open()?;
    let asked = backend.ask(&request(text), &mut |_| {});
    let closed = backend.close();
    let rotated: Rotated = asked?;
    closed?;
    // It starts anew, and then revokes the old keys.
    for _ in 0..PATIENCE {
        let mut backend = open()?;
        let list: Result<Instances, Failure> = backend.ask(&Request::Instances, &mut |_| {});
        let in_use = |list: &Instances| {
            let mut rows = list.instances.iter();
            list.fingerprint == rotated.fingerprint
                && rows.clone().any(|row| row.this && row.key == rotated.key)
                && rows.all(|row| !row.replaced || row.revoked.is_some())
        };
        let done = list.as_ref().is_ok_and(in_use);
        if !done {
            std::thread::sleep(Duration::from_millis(100));
        }
        backend.close()?;
        if let (true, Ok(list)) = (done, list) {
            output.answer(&list, |list| format!("{}{NOW}", render::instances(list)));
            return Ok(());
        }
    }
    Err(Failure::new(
        Exit::TimedOut,
        "timed_out",
        "the new keys are certified, and the instance is not back with them; `lama status` shows whether it runs, and \
         `lama run` starts it with them",
    ))
}

/// What else there is to do after new keys.
const NOW: &str = "\nopen invitations have ended: make new ones with `lama invite`\nbackups of before hold the old keys, which \
                   nobody lets in any more: make a new one with `lama store export`\n";

fn ask<T: serde::de::DeserializeOwned>(global: &Global, request: &Request) -> Result<T, Failure> {
    let mut backend = Backend::open(global, Network::Offline)?;
    let answer = backend.ask(request, &mut |_| {});
    let closed = backend.close();
    let answer = answer?;
    closed.map(|()| answer)
}

fn told(output: Output, file: &Path, next: &str) {
    let answer = serde_json::json!({ "file": file.display().to_string() });
    output.answer(&answer, |_| format!("written to {}\nnext: {next}\n", file.display()));
}

/// What stands in a file that another instance made.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: &std::io::Error| Failure::from(HostError::io("read", path, error));
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    file.take(MAX_FILE).read_to_string(&mut text).map_err(|error| failed(&error))?;
    BASE64.decode(text.trim().as_bytes()).map_err(|_| {
        Failure::new(
            Exit::RefusedByRule,
            "instance_file",
            format!("{} is no file of `lama instance`, or damaged on the way; copy it again", path.display()),
        )
    })
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    Ok(files::replace(&mut Disk, path, format!("{text}\n").as_bytes())?)
}
