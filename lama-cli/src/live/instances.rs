//! The instances of this person, as commands to the node.

use std::sync::PoisonError;

use data_encoding::BASE64;
use lama_host::{DataDir, Passphrase};
use lama_identity::{Enrolment, NoisePublic, Object as _};
use lama_node::{Command, NodeError, OwnInstance, OwnInstances, Reply};

use super::{Live, work::unexpected};
use crate::api;
use crate::failure::{Exit, Failure};
use crate::identity::{Keys, hex};

/// The fewest characters that name a key.
const SHORTEST: usize = 4;

fn fetch(live: &Live) -> Result<OwnInstances, Failure> {
    match live.call(Command::Instances)? {
        Reply::Instances(list) => Ok(*list),
        other => Err(unexpected(&other)),
    }
}

/// Every key, and how far the log has come.
pub(super) fn list(live: &Live) -> Result<api::Instances, Failure> {
    let found = fetch(live)?;
    let rows = found.reached.iter();
    let reached: Vec<api::Reached> = rows
        .map(|row| api::Reached {
            person: row.peer.person.full().to_string(),
            email: row.peer.email.clone(),
            instance: row.peer.instance_name.clone(),
            entries: row.has,
            connected: row.connected,
            last_seen: row.seen.map(|at| at.0),
        })
        .collect();
    let instances = found.instances.iter().map(|row| own(row, &found)).collect();
    let fingerprint = live.id.fingerprint.clone();
    Ok(api::Instances { entries: found.head.seq, fingerprint, instances, reached })
}

fn own(row: &OwnInstance, list: &OwnInstances) -> api::OwnInstance {
    let arrived = |seq: u64| list.reached.iter().filter(|row| row.has >= seq).count() as u64;
    api::OwnInstance {
        name: row.name.clone(),
        key: hex(row.noise.as_bytes()),
        this: row.is_this,
        certified: row.certified,
        revoked: row.revoked,
        replaced: list.instances.iter().any(|other| {
            other.instance == row.instance
                && other.noise != row.noise
                && other.certified > row.certified
                && other.revoked.is_none()
        }),
        arrived: row.revoked.map(arrived),
        of: row.revoked.map(|_| list.reached.len() as u64),
    }
}

/// A file that goes to another instance of this person.
pub(super) fn file(live: &Live, command: Command) -> Result<api::InstanceFile, Failure> {
    match live.call(command)? {
        Reply::File(bytes) => Ok(api::InstanceFile { file: BASE64.encode(&bytes) }),
        other => Err(unexpected(&other)),
    }
}

/// Certifies what asks by file.
pub(super) fn certify(live: &Live, request: &str) -> Result<api::InstanceFile, Failure> {
    let bytes = BASE64.decode(request.as_bytes()).map_err(|_| {
        Failure::usage("this is no request of an instance; make one with `lama instance request`")
    })?;
    file(live, Command::CertifyInstance { request: bytes.into(), replace: false })
}

/// Revokes the living key that a name, or the beginning of the key, means.
pub(super) fn revoke(live: &Live, which: &str, reason: &str) -> Result<api::Instances, Failure> {
    let found = fetch(live)?;
    let noise = find(&found.instances, which)?;
    live.call(Command::RevokeInstance { noise, reason: reason.to_owned() })?;
    list(live)
}

/// Whose keys are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rotate {
    Instance,
    Person,
}

/// New keys: set aside, put into the log, put in the place of the old ones; the instance starts anew with them.
pub(super) fn rotate(
    live: &Live,
    passphrase: Option<api::Hidden>,
    what: Rotate,
) -> Result<api::Rotated, Failure> {
    let mut renewed = live.renewed.lock().unwrap_or_else(PoisonError::into_inner);
    if renewed.is_some() {
        return Err(NodeError::KeysReplaced.into());
    }
    let dir = DataDir::open(&live.data)?;
    let passphrase = passphrase.map(|text| Passphrase::new(text.0.clone())).transpose()?;
    let mut keys = Keys::unlock(&dir, passphrase)?;
    let Reply::File(offer) = live.call(Command::OfferInstance)? else {
        return Err(Failure::usage("the instance made no offer"));
    };
    let command = match what {
        Rotate::Instance => {
            Command::RotateInstance { request: keys.set_aside(&offer, crate::wall())?.into() }
        }
        Rotate::Person => Command::RotatePerson { entries: keys.set_person_aside(&offer, crate::wall())? },
    };
    keys.write(&dir)?;
    let enrolment = match live.port.call(command) {
        Ok(Reply::File(enrolment)) => Enrolment::from_bytes(&enrolment)?,
        Ok(other) => return Err(unexpected(&other)),
        // Perhaps it is in the log: the next start finds out.
        Err(error @ NodeError::Store(_)) => return Err(error.into()),
        Err(error) => {
            keys.drop_next();
            keys.write(&dir)?;
            return Err(error.into());
        }
    };
    match what {
        Rotate::Instance => keys.take_up(&enrolment)?,
        Rotate::Person => keys.take_person_up(&enrolment.log()?)?,
    }
    keys.write(&dir)?;
    let id = keys.describe(&dir)?;
    *renewed = Some(keys);
    Ok(api::Rotated { key: id.instance_key, fingerprint: id.fingerprint })
}

fn find(instances: &[OwnInstance], which: &str) -> Result<NoisePublic, Failure> {
    let start = which.to_ascii_lowercase();
    let is_meant = |row: &&OwnInstance| {
        row.name.as_deref() == Some(which)
            || (start.len() >= SHORTEST && hex(row.noise.as_bytes()).starts_with(&start))
    };
    let living = instances.iter().filter(|row| row.revoked.is_none());
    let meant: Vec<NoisePublic> = living.filter(is_meant).map(|row| row.noise).collect();
    match meant.as_slice() {
        [one] => Ok(*one),
        [] => Err(Failure::new(
            Exit::RefusedByRule,
            "unknown_instance",
            format!("no living instance of this person is called {which}; `lama instance list` shows them"),
        )),
        _ => Err(Failure::new(
            Exit::RefusedByRule,
            "ambiguous_instance",
            format!("{which} means several instances; give the beginning of the key instead"),
        )),
    }
}
