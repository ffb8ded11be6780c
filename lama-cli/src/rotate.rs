//! New keys for the instance of a data directory, so that a crash at any point leaves one that works.
//!
//! | on the disk | after a crash the next start |
//! |---|---|
//! | key file: the keys, and new ones set aside (`next.*`) | finds them in no log and forgets them |
//! | log in the store: the new keys are certified | puts them in the place of the old ones |
//! | key file: the new keys, the old ones kept beside (`former.*`) | works with the new ones |
//! | log: the old keys are revoked | the same |
//!
//! Former keys open nothing any more: contacts that were away dial by them and are told of the new ones.

use bytes::Bytes;
use lama_core::WallTime;
use lama_host::keyfile::Secret;
use lama_host::{DataDir, entropy};
use lama_identity::{
    Enrolment, InstanceOffer, InstanceRequest, LocalIdentity, LogChain, NoiseSecret, Object as _, SignSecret,
};
use lama_node::{FormerKeys, MAX_FORMER, NodeError};
use lama_store::Opening;
use zeroize::Zeroizing;

use crate::atrest;
use crate::failure::Failure;
use crate::identity::{Keys, SECRET, damaged};

/// Under which names keys that are not certified yet stand in the key file.
const NEXT: [&str; 4] = ["next.noise", "next.sign", "next.offer", "next.request"];
/// Under which name a signing key of the person stands that is in no log yet.
const NEXT_PERSON: &str = "next.person";
/// Under which names keys stand that were replaced; the entry of their certificate follows, in ten digits.
const FORMER: &str = "former.";

impl Keys {
    /// Makes new keys for the instance and sets them aside: what is to be certified, on an offer of its own.
    pub(crate) fn set_aside(&mut self, offer: &[u8], now: WallTime) -> Result<Vec<u8>, Failure> {
        let parsed = InstanceOffer::from_bytes(offer)?;
        let name = self.identity()?.public().instance.name.clone();
        let (noise, sign) =
            (NoiseSecret::from_seed(entropy::seed()?), SignSecret::from_seed(entropy::seed()?));
        let request = InstanceRequest::new(&parsed, &name, &noise, &sign, now)?.to_bytes()?.to_vec();
        let parts = [
            Zeroizing::new(noise.danger_expose().to_vec()),
            Zeroizing::new(sign.danger_expose().to_vec()),
            Zeroizing::new(offer.to_vec()),
            Zeroizing::new(request.clone()),
        ];
        self.drop_next();
        self.secrets.extend(NEXT.iter().map(|name| (*name).to_owned()).zip(parts));
        Ok(request)
    }

    /// Makes another signing key of the person and sets it aside: the entries that are to go into the log, on an offer of
    /// its own.
    pub(crate) fn set_person_aside(&mut self, offer: &[u8], now: WallTime) -> Result<Vec<Bytes>, Failure> {
        let head = InstanceOffer::from_bytes(offer)?.head;
        let new = SignSecret::from_seed(entropy::seed()?);
        let entries = lama_identity::rotate_person(&self.identity()?, head, &new, now)?;
        self.drop_next();
        self.put(NEXT_PERSON, Zeroizing::new(new.danger_expose().to_vec()));
        Ok(entries)
    }

    /// Whether keys are set aside.
    pub(crate) fn has_next(&self) -> bool {
        self.find(NEXT[0]).is_some() || self.find(NEXT_PERSON).is_some()
    }

    /// Forgets the keys that were set aside.
    pub(crate) fn drop_next(&mut self) {
        self.secrets.retain(|(name, _)| !NEXT.contains(&name.as_str()) && name != NEXT_PERSON);
    }

    fn next_person(&self) -> Result<SignSecret, Failure> {
        let bytes = self.find(NEXT_PERSON).ok_or_else(damaged)?.as_slice();
        let bytes = Zeroizing::new(bytes.try_into().map_err(|_| damaged())?);
        Ok(SignSecret::danger_from_bytes(&bytes))
    }

    /// Puts the person's key that was set aside, and that is in the log now, in the place of the present one, which is
    /// forgotten.
    pub(crate) fn take_person_up(&mut self, log: &LogChain) -> Result<(), Failure> {
        let new = self.identity()?.with_person_key(log, self.next_person()?)?;
        self.drop_next();
        self.put(SECRET, new.danger_export()?);
        Ok(())
    }

    /// Puts the keys that were set aside, and that are certified now, in the place of the present ones.
    pub(crate) fn take_up(&mut self, enrolment: &Enrolment) -> Result<(), Failure> {
        let find = |at: usize| NEXT.get(at).and_then(|name| self.find(name)).ok_or_else(damaged);
        let secret = |at: usize| -> Result<Zeroizing<[u8; 32]>, Failure> {
            Ok(Zeroizing::new(find(at)?.as_slice().try_into().map_err(|_| damaged())?))
        };
        let (offer, request) = (InstanceOffer::from_bytes(find(2)?)?, InstanceRequest::from_bytes(find(3)?)?);
        let (public, _) = enrolment.accept(&offer, &request)?;
        let noise = NoiseSecret::danger_from_bytes(&*secret(0)?);
        let sign = SignSecret::danger_from_bytes(&*secret(1)?);
        let (old, old_noise, old_sign, person) = self.identity()?.into_parts();
        let new = LocalIdentity::from_parts(public, noise, sign, person)?;
        let former = format!("{FORMER}{:010}", old.cert.body().seq);
        let old = LocalIdentity::from_parts(old, old_noise, old_sign, None)?;
        self.drop_next();
        self.put(SECRET, new.danger_export()?);
        self.put(&former, old.danger_export()?);
        let mut names: Vec<String> = self
            .secrets
            .iter()
            .map(|(name, _)| name.clone())
            .filter(|name| name.starts_with(FORMER))
            .collect();
        names.sort_unstable();
        let too_old = names.len().saturating_sub(MAX_FORMER);
        names.truncate(too_old);
        self.secrets.retain(|(name, _)| !names.contains(name));
        Ok(())
    }

    /// Keys that were replaced, newest last.
    pub(crate) fn former(&self) -> Result<Vec<(FormerKeys, SignSecret)>, Failure> {
        let mut found: Vec<&Secret> =
            self.secrets.iter().filter(|(name, _)| name.starts_with(FORMER)).collect();
        found.sort_unstable_by_key(|(name, _)| name.clone());
        let keys = found.into_iter().map(|(_, secret)| {
            let (public, noise, sign, _) =
                LocalIdentity::danger_import(secret).map_err(|_| damaged())?.into_parts();
            Ok((FormerKeys { public, noise }, sign))
        });
        keys.collect()
    }

    fn put(&mut self, name: &str, secret: Zeroizing<Vec<u8>>) {
        self.secrets.retain(|(id, _)| id != name);
        self.secrets.push((name.to_owned(), secret));
    }

    /// A rotation was interrupted: the log says whether the keys that were set aside count.
    pub(crate) fn settle(&mut self, dir: &DataDir) -> Result<(), Failure> {
        let mut store = atrest::open_store(&dir.store(), &self.storage()?, Opening::Normal)?;
        let me = self.identity()?;
        let log = lama_node::kept_log(&mut store, &me.person_id()).map_err(NodeError::from)?;
        drop(store.close().map_err(NodeError::from)?);
        let certified = |log: &LogChain| {
            let request = self.find(NEXT[3]).and_then(|bytes| InstanceRequest::from_bytes(bytes).ok());
            request.is_some_and(|request| log.log().check_instance(&request.keys().encryption_key).is_ok())
        };
        let is_key =
            |log: &LogChain| self.next_person().is_ok_and(|new| log.log().key() == Some(new.public()));
        match log {
            Some(log) if is_key(&log) => self.take_person_up(&log)?,
            Some(log) if certified(&log) => self.take_up(&Enrolment::new(me.public(), &log, Vec::new()))?,
            _ => self.drop_next(),
        }
        self.write(dir)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use lama_host::Lock;
    use lama_net::Site;
    use lama_node::{Command, OwnInstances, Reply};

    use super::*;
    use crate::api::Id;
    use crate::args::{Cli, Global};
    use crate::backend;
    use crate::signal::Stop;
    use crate::start::{Network, Running};

    /// A new instance of Ada's, which does not run. Its directory goes with it.
    struct Fresh {
        dir: DataDir,
        global: Global,
        id: Id,
        _temp: tempfile::TempDir,
    }

    impl Fresh {
        fn new() -> Self {
            let temp = tempfile::tempdir().unwrap();
            let dir = DataDir::create(&temp.path().join("data")).unwrap();
            let text = dir.path().display().to_string();
            let global = Cli::try_parse_from(["lama", "--data", &text, "id"]).unwrap().global;
            let email = "ada@lama.local".parse().unwrap();
            let lock = dir.lock().unwrap();
            let id = crate::identity::create(&dir, &lock, email, "desk", None, crate::wall()).unwrap();
            Self { dir, global, id, _temp: temp }
        }
    }

    fn start(dir: &DataDir, global: &Global, lock: Lock) -> Running {
        let keys = Keys::unlock(dir, None).unwrap();
        let (site, stop) = (Site::default(), Stop::default());
        backend::start(keys, global, dir, lock, Network::Offline, None, site, stop).unwrap()
    }

    fn instances(running: &Running) -> OwnInstances {
        match running.live.call(Command::Instances).unwrap() {
            Reply::Instances(list) => *list,
            other => panic!("{other:?}"),
        }
    }

    fn file(running: &Running, command: Command) -> Vec<u8> {
        match running.live.call(command).unwrap() {
            Reply::File(bytes) => bytes.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    /// What stands on the disk after each step is what the next start works with.
    #[test]
    fn an_instance_works_whatever_step_of_a_rotation_was_the_last() {
        for steps in 1..=3 {
            let Fresh { dir, global, id: old, _temp } = Fresh::new();
            let running = start(&dir, &global, dir.lock().unwrap());
            let mut keys = Keys::unlock(&dir, None).unwrap();
            let request = keys.set_aside(&file(&running, Command::OfferInstance), crate::wall()).unwrap();
            keys.write(&dir).unwrap();
            if steps > 1 {
                let request = request.clone().into();
                let enrolment = file(&running, Command::RotateInstance { request });
                if steps > 2 {
                    keys.take_up(&Enrolment::from_bytes(&enrolment).unwrap()).unwrap();
                    keys.write(&dir).unwrap();
                }
            }
            running.shut_down().unwrap();

            let running = start(&dir, &global, dir.lock().unwrap());
            let keys = Keys::unlock(&dir, None).unwrap();
            let now = crate::identity::id(&dir).unwrap();
            let asked = InstanceRequest::from_bytes(&request).unwrap();
            let new = crate::identity::hex(asked.keys().encryption_key.as_bytes());
            let expected = if steps > 1 { &new } else { &old.instance_key };
            assert_eq!(&now.instance_key, expected, "after {steps} steps");
            assert_eq!((keys.has_next(), keys.former().unwrap().len()), (false, usize::from(steps > 1)));
            let living = |list: &OwnInstances| {
                let living = list.instances.iter().filter(|row| row.revoked.is_none());
                living
                    .map(|row| (crate::identity::hex(row.noise.as_bytes()), row.is_this))
                    .collect::<Vec<_>>()
            };
            // The old key is revoked by itself.
            while living(&instances(&running)).len() > 1 {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            assert_eq!(living(&instances(&running)), [(expected.clone(), true)]);
            running.shut_down().unwrap();
        }
    }

    /// The same for the person's key.
    #[test]
    fn a_person_has_the_key_that_the_log_names_whatever_step_was_the_last() {
        for steps in 1..=3 {
            let Fresh { dir, global, id: old, _temp } = Fresh::new();
            let running = start(&dir, &global, dir.lock().unwrap());
            let mut keys = Keys::unlock(&dir, None).unwrap();
            let offer = file(&running, Command::OfferInstance);
            let entries = keys.set_person_aside(&offer, crate::wall()).unwrap();
            keys.write(&dir).unwrap();
            let new = keys.next_person().unwrap().public().pin().full().to_string();
            if steps > 1 {
                let enrolment = file(&running, Command::RotatePerson { entries });
                if steps > 2 {
                    let log = Enrolment::from_bytes(&enrolment).unwrap().log().unwrap();
                    keys.take_person_up(&log).unwrap();
                    keys.write(&dir).unwrap();
                }
            }
            running.shut_down().unwrap();

            let running = start(&dir, &global, dir.lock().unwrap());
            let now = crate::identity::id(&dir).unwrap();
            let expected = if steps > 1 { &new } else { &old.fingerprint };
            assert_eq!(
                (&now.fingerprint, &now.instance_key),
                (expected, &old.instance_key),
                "after {steps} steps"
            );
            assert!(!Keys::unlock(&dir, None).unwrap().has_next());
            let list = instances(&running);
            assert_eq!((list.head.seq, list.instances.len()), (if steps > 1 { 3 } else { 1 }, 1));
            running.shut_down().unwrap();
        }
    }

    #[test]
    fn no_more_former_keys_are_kept_than_are_answered_to() {
        let Fresh { dir, global, _temp, .. } = Fresh::new();
        let mut last = Vec::new();
        for _ in 0..MAX_FORMER + 2 {
            let running = start(&dir, &global, dir.lock().unwrap());
            // The keys of before are being revoked.
            while instances(&running).instances.iter().filter(|row| row.revoked.is_none()).count() > 1 {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            let mut keys = Keys::unlock(&dir, None).unwrap();
            last.push(*keys.identity().unwrap().public().noise());
            let request = keys.set_aside(&file(&running, Command::OfferInstance), crate::wall()).unwrap();
            let enrolment = file(&running, Command::RotateInstance { request: request.into() });
            keys.take_up(&Enrolment::from_bytes(&enrolment).unwrap()).unwrap();
            keys.write(&dir).unwrap();
            running.shut_down().unwrap();
        }
        let former = Keys::unlock(&dir, None).unwrap().former().unwrap();
        let kept: Vec<_> = former.iter().map(|(keys, _)| *keys.public.noise()).collect();
        assert_eq!(kept, last[last.len() - MAX_FORMER..]);
    }
}
