//! Making, locking and unlocking the instance of a data directory.

use std::path::PathBuf;

use lama_core::WallTime;
use lama_host::error::LockedCause;
use lama_host::keyfile::{self, Cost, Protection, Secret};
use lama_host::passphrase::{self, Passphrase};
use lama_host::{DataDir, Disk, HostError, Lock, data_dir, entropy, files};
use lama_identity::{
    Email, Enrolment, InstanceOffer, InstanceRequest, LocalIdentity, NoiseSecret, Object as _, SignSecret,
};
use lama_store::StorageKey;
use zeroize::Zeroizing;

use crate::api::Id;
use crate::args::{Global, Init, NewPassphrase};
use crate::failure::{Exit, Failure};

/// Under which name the identity's secrets stand in the key file.
pub(crate) const SECRET: &str = "identity";
/// Under which name the key of the store stands there.
const STORAGE: &str = "storage";

/// The key file of an instance that is not certified yet.
const PENDING: &str = "request.lama";

/// Where the new passphrase may come from, beside a descriptor and the prompt.
const NEW_VARIABLE: &str = "LAMA_NEW_PASSPHRASE";

const MISSING_NEW: HostError = HostError::NoPassphrase {
    of: "the change",
    variable: NEW_VARIABLE,
    option: "--new-passphrase-fd (or --no-passphrase)",
};

/// The data directory that the caller means.
pub(crate) fn data_path(global: &Global) -> Result<PathBuf, Failure> {
    let path = global.data.clone().or_else(data_dir::default_path).ok_or_else(|| {
        Failure::usage(
            "there is no place for data: neither HOME nor XDG_DATA_HOME is set; give one with --data DIR",
        )
    })?;
    std::path::absolute(&path).map_err(|error| HostError::io("find", &path, &error).into())
}

/// Makes an instance in a new data directory.
pub(crate) fn init(global: &Global, init: &Init, now: WallTime) -> Result<Id, Failure> {
    let email: Email = init.email.parse()?;
    let path = data_path(global)?;
    let dir = DataDir::create(&path)?;
    let lock = dir.lock()?;
    if dir.is_initialised() {
        return Err(HostError::AlreadyInitialised(path).into());
    }
    let passphrase = new_passphrase(init.no_passphrase, global.passphrase_fd, || {
        passphrase::obtain(global.passphrase_fd, "Passphrase for the keys: ", true)
    })?;
    let id = create(
        &dir,
        &lock,
        email,
        &init.name.clone().unwrap_or_else(machine_name),
        passphrase.as_ref(),
        now,
    )?;
    Ok(id)
}

/// Makes an instance in `dir`, which holds none yet.
pub(crate) fn create(
    dir: &DataDir,
    _lock: &Lock,
    email: Email,
    name: &str,
    passphrase: Option<&Passphrase>,
    now: WallTime,
) -> Result<Id, Failure> {
    let identity = LocalIdentity::create(email, name, entropy::seed()?, now)?;
    let secrets: [Secret; 2] = [(SECRET.to_owned(), identity.danger_export()?), new_storage_key()?];
    let id = describe(dir, &identity, now, passphrase.is_some());
    // The description first: the key file is what makes the directory hold an instance.
    write_id(dir, &id)?;
    let owner = *identity.person_id().as_bytes();
    keyfile::store(&mut Disk, &dir.keys(), &owner, passphrase, Cost::default(), &secrets)?;
    Ok(id)
}

/// What is known without unlocking.
pub(crate) fn id(dir: &DataDir) -> Result<Id, Failure> {
    let path = dir.instance();
    let text = std::fs::read(&path).map_err(|error| HostError::io("read", &path, &error))?;
    let mut id: Id = serde_json::from_slice(&text).map_err(|error| {
        Failure::new(
            Exit::Failed,
            "damaged",
            format!("{} is damaged: {error}; restore it from a backup", path.display()),
        )
    })?;
    id.data = dir.path().display().to_string();
    id.passphrase = keyfile::protection(&mut Disk, &dir.keys())? == Protection::Passphrase;
    Ok(id)
}

/// What a key file holds.
#[derive(Default)]
pub(crate) struct Keys {
    pub(crate) owner: [u8; 32],
    pub(crate) secrets: Vec<Secret>,
    /// What it is sealed by.
    passphrase: Option<Passphrase>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// The passphrase of a data directory from wherever the caller put it, if it needs one.
pub(crate) fn unlocking(dir: &DataDir, fd: Option<u32>) -> Result<Option<Passphrase>, Failure> {
    Ok(match keyfile::protection(&mut Disk, &dir.keys())? {
        Protection::None => None,
        Protection::Passphrase => Some(passphrase::obtain(fd, "Passphrase: ", false)?),
    })
}

impl Keys {
    /// Opens the keys, with whatever passphrase they need.
    pub(crate) fn open(dir: &DataDir, _lock: &Lock, passphrase_fd: Option<u32>) -> Result<Self, Failure> {
        Self::unlock(dir, unlocking(dir, passphrase_fd)?)
    }

    /// Opens the keys with this passphrase, for whoever holds the lock.
    pub(crate) fn unlock(dir: &DataDir, passphrase: Option<Passphrase>) -> Result<Self, Failure> {
        let (owner, secrets) = keyfile::open(&mut Disk, &dir.keys(), passphrase.as_ref())?;
        let mut keys = Self { owner, secrets, passphrase };
        if keys.find(STORAGE).is_none() {
            // A key file from before the store was sealed. The key is durable before anything is sealed under it.
            keys.secrets.push(new_storage_key()?);
            keys.write(dir)?;
        }
        if keys.has_next() {
            keys.settle(dir)?;
        }
        Ok(keys)
    }

    /// Puts the key file in the place of the one that is there, durably.
    pub(crate) fn write(&self, dir: &DataDir) -> Result<(), Failure> {
        let passphrase = self.passphrase.as_ref();
        keyfile::store(&mut Disk, &dir.keys(), &self.owner, passphrase, Cost::default(), &self.secrets)?;
        Ok(())
    }

    /// Lets the description of the directory name the keys that are in use.
    pub(crate) fn describe(&self, dir: &DataDir) -> Result<Id, Failure> {
        let mut id = id(dir)?;
        let identity = self.identity()?;
        let public = identity.public();
        let (key, pin) = (hex(public.noise().as_bytes()), public.pin().full().to_string());
        if (&id.instance_key, &id.fingerprint) != (&key, &pin) {
            (id.instance_key, id.fingerprint) = (key, pin);
            write_id(dir, &id)?;
        }
        Ok(id)
    }

    /// The person and the instance.
    pub(crate) fn identity(&self) -> Result<LocalIdentity, Failure> {
        let secret = self.find(SECRET).ok_or_else(damaged)?;
        let identity = LocalIdentity::danger_import(secret).map_err(|_| damaged())?;
        if identity.person_id().as_bytes() != &self.owner {
            return Err(HostError::Locked(LockedCause::OtherOwner).into());
        }
        Ok(identity)
    }

    /// What came with the certificate of an instance that was enrolled by file.
    pub(crate) fn enrolment(&self) -> Result<Option<Enrolment>, Failure> {
        let found = self.find(ENROLMENT).map(|bytes| Enrolment::from_bytes(bytes).map_err(|_| damaged()));
        Ok(found.transpose()?)
    }

    /// What the store is sealed under.
    pub(crate) fn storage(&self) -> Result<StorageKey, Failure> {
        let bytes: &[u8; 32] =
            self.find(STORAGE).and_then(|key| key.as_slice().try_into().ok()).ok_or_else(damaged)?;
        Ok(StorageKey::new(Zeroizing::new(*bytes)))
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Zeroizing<Vec<u8>>> {
        self.secrets.iter().find(|(id, _)| id == name).map(|(_, secret)| secret)
    }
}

pub(crate) fn damaged() -> HostError {
    HostError::Locked(LockedCause::Corrupt)
}

fn new_storage_key() -> Result<Secret, Failure> {
    let key = StorageKey::from_seed(entropy::seed()?);
    Ok((STORAGE.to_owned(), Zeroizing::new(key.danger_expose().to_vec())))
}

/// Changes or takes away the passphrase.
pub(crate) fn change(global: &Global, change: &NewPassphrase) -> Result<(), Failure> {
    let dir = DataDir::open(&data_path(global)?)?;
    let _lock = dir.lock()?;
    let old = match keyfile::protection(&mut Disk, &dir.keys())? {
        Protection::None => None,
        Protection::Passphrase => Some(passphrase::obtain(global.passphrase_fd, "Old passphrase: ", false)?),
    };
    keyfile::open(&mut Disk, &dir.keys(), old.as_ref())?;
    let fd = change.new_passphrase_fd;
    let new = new_passphrase(change.no_passphrase, fd, || match std::env::var(NEW_VARIABLE) {
        Ok(text) if fd.is_none() => Passphrase::new(text),
        _ => passphrase::ask_or_read(fd, "New passphrase: ", true, MISSING_NEW),
    })?;
    Ok(keyfile::change(&mut Disk, &dir.keys(), old.as_ref(), new.as_ref(), Cost::default())?)
}

pub(crate) fn new_passphrase(
    none: bool,
    fd: Option<u32>,
    obtain: impl FnOnce() -> Result<Passphrase, HostError>,
) -> Result<Option<Passphrase>, Failure> {
    if none && fd.is_some() {
        return Err(Failure::usage("--no-passphrase and a passphrase exclude each other; give one of them"));
    }
    if none { Ok(None) } else { Ok(Some(obtain()?)) }
}

fn describe(dir: &DataDir, identity: &LocalIdentity, now: WallTime, passphrase: bool) -> Id {
    let public = identity.public();
    Id {
        email: public.person.email.to_string(),
        person: public.person_id().full().to_string(),
        name: public.instance.name.clone(),
        instance: public.instance_id().full().to_string(),
        fingerprint: public.pin().full().to_string(),
        instance_key: hex(public.noise().as_bytes()),
        created: now.0,
        passphrase,
        data: dir.path().display().to_string(),
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write_id(dir: &DataDir, id: &Id) -> Result<(), Failure> {
    let text = serde_json::to_vec_pretty(id)
        .map_err(|error| Failure::new(Exit::Failed, "internal", error.to_string()))?;
    Ok(files::replace(&mut Disk, &dir.instance(), &text)?)
}

/// What this machine calls itself; only a name for people.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "this-machine".to_owned() } else { name.to_owned() }
}

/// Under which names the secrets of an instance that is not certified yet stand in its key file.
const REQUEST: [&str; 4] = ["request.noise", "request.sign", "request.offer", "request.request"];
/// Under which name what an enrolled instance was given stands in the key file.
const ENROLMENT: &str = "enrolment";

/// Makes the keys of a further instance in a new data directory; the request that goes to the person's first device.
pub(crate) fn request_instance(
    global: &Global,
    offer: &[u8],
    name: &str,
    no_passphrase: bool,
    now: WallTime,
) -> Result<Vec<u8>, Failure> {
    let parsed = InstanceOffer::from_bytes(offer)?;
    let path = data_path(global)?;
    let dir = DataDir::create(&path)?;
    let _lock = dir.lock()?;
    if dir.is_initialised() {
        return Err(HostError::AlreadyInitialised(path).into());
    }
    let passphrase = new_passphrase(no_passphrase, global.passphrase_fd, || {
        passphrase::obtain(global.passphrase_fd, "Passphrase for the keys: ", true)
    })?;
    let (noise, sign) = (NoiseSecret::from_seed(entropy::seed()?), SignSecret::from_seed(entropy::seed()?));
    let request = InstanceRequest::new(&parsed, name, &noise, &sign, now)?;
    let bytes = request.to_bytes()?.to_vec();
    let parts = [
        Zeroizing::new(noise.danger_expose().to_vec()),
        Zeroizing::new(sign.danger_expose().to_vec()),
        Zeroizing::new(offer.to_vec()),
        Zeroizing::new(bytes.clone()),
    ];
    let secrets: Vec<Secret> = REQUEST.iter().map(|name| (*name).to_owned()).zip(parts).collect();
    let owner = *parsed.person_keys.owner.as_bytes();
    let file = dir.path().join(PENDING);
    keyfile::store(&mut Disk, &file, &owner, passphrase.as_ref(), Cost::default(), &secrets)?;
    Ok(bytes)
}

/// The certificate has come: the directory holds an instance from now on. The new key file is durable before the one of
/// the request goes.
pub(crate) fn accept_instance(global: &Global, enrolment: &Enrolment) -> Result<Id, Failure> {
    let dir = DataDir::create(&data_path(global)?)?;
    let _lock = dir.lock()?;
    if dir.is_initialised() {
        return Err(HostError::AlreadyInitialised(dir.path().to_path_buf()).into());
    }
    let file = dir.path().join(PENDING);
    let passphrase = match keyfile::protection(&mut Disk, &file)? {
        Protection::None => None,
        Protection::Passphrase => Some(passphrase::obtain(global.passphrase_fd, "Passphrase: ", false)?),
    };
    let (owner, secrets) = keyfile::open(&mut Disk, &file, passphrase.as_ref())?;
    let keys = Keys { owner, secrets, passphrase: None };
    let find = |at: usize| REQUEST.get(at).and_then(|name| keys.find(name)).ok_or_else(damaged);
    let secret = |at: usize| -> Result<[u8; 32], Failure> {
        Ok(find(at)?.as_slice().try_into().map_err(|_| damaged())?)
    };
    let offer = InstanceOffer::from_bytes(find(2)?)?;
    let request = InstanceRequest::from_bytes(find(3)?)?;
    let (public, _) = enrolment.accept(&offer, &request)?;
    let noise = NoiseSecret::danger_from_bytes(&Zeroizing::new(secret(0)?));
    let sign = SignSecret::danger_from_bytes(&Zeroizing::new(secret(1)?));
    let identity = LocalIdentity::from_parts(public, noise, sign, None)?;
    let given = Zeroizing::new(enrolment.to_bytes()?.to_vec());
    let secrets: [Secret; 3] =
        [(SECRET.to_owned(), identity.danger_export()?), new_storage_key()?, (ENROLMENT.to_owned(), given)];
    let id = describe(&dir, &identity, crate::wall(), passphrase.is_some());
    write_id(&dir, &id)?;
    keyfile::store(&mut Disk, &dir.keys(), &owner, passphrase.as_ref(), Cost::default(), &secrets)?;
    std::fs::remove_file(&file).map_err(|error| HostError::io("remove", &file, &error))?;
    Ok(id)
}
