//! `lama instance`: further instances of this person, by file, and taking one back.

use std::io::Read;
use std::path::Path;

use data_encoding::BASE64;
use lama_host::{Disk, HostError, files};
use lama_identity::Object as _;

use crate::api::{InstanceFile, Instances, Request};
use crate::args::{Global, InstanceCommand};
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
        InstanceCommand::Revoke { instance, reason } => {
            let (which, reason) = (instance.clone(), reason.clone());
            let list: Instances = ask(global, &Request::RevokeInstance { which, reason })?;
            output.answer(&list, render::instances);
        }
    }
    Ok(())
}

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
