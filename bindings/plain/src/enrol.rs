//! A further instance of a person, by three texts that are not secret: what the `lama` program writes into files and reads.

use std::fmt;

use data_encoding::BASE64;
use lama_core::{Seed, WallTime};
use lama_identity::keyfile::{self, Cost, KeyFileError, Secret};
use lama_identity::{
    Enrolment, InstanceOffer, InstanceRequest, LocalIdentity, NoiseSecret, Object as _, SignSecret,
};
use lama_store::StorageKey;
use zeroize::Zeroizing;

use crate::{Keys, Problem};

/// Under which names its secrets stand in a key file until it is certified.
const NAMES: [&str; 4] = ["request.noise", "request.sign", "request.offer", "request.request"];

/// The keys of an instance that asks to be certified, on the new device: made from the offer of the first one
/// (`offerInstance`), kept sealed while the request is away (`certifyInstance`), and made [`Keys`] by what comes back.
pub struct Enrolling {
    noise: NoiseSecret,
    sign: SignSecret,
    offer: InstanceOffer,
    request: InstanceRequest,
}

impl Enrolling {
    /// Makes the keys of a further instance of the person who offers. `entropy` is drawn for this alone.
    ///
    /// # Errors
    /// `binding.argument` for what is no offer; what is wrong with the name.
    pub fn new(offer: &str, name: &str, mut entropy: [u8; 32], wall_ms: u64) -> Result<Self, Problem> {
        let seed = Seed::take(&mut entropy);
        let offer = InstanceOffer::from_bytes(&read("the offer", offer)?)?;
        let noise = NoiseSecret::from_seed(seed.child("LAMA/noise"));
        let sign = SignSecret::from_seed(seed.child("LAMA/sign"));
        let request = InstanceRequest::new(&offer, name, &noise, &sign, WallTime(wall_ms))?;
        Ok(Self { noise, sign, offer, request })
    }

    /// What goes to a device with the person's key.
    ///
    /// # Errors
    /// None in practice.
    pub fn request(&self) -> Result<String, Problem> {
        Ok(write(&self.request.to_bytes()?))
    }

    /// The bytes of a key file that is no instance's yet; see [`Keys::seal`].
    ///
    /// # Errors
    /// None in practice.
    pub fn seal(&self, passphrase: Option<&str>, mut entropy: [u8; 32]) -> Result<Vec<u8>, Problem> {
        let parts = [
            Zeroizing::new(self.noise.danger_expose().to_vec()),
            Zeroizing::new(self.sign.danger_expose().to_vec()),
            Zeroizing::new(self.offer.to_bytes()?.to_vec()),
            Zeroizing::new(self.request.to_bytes()?.to_vec()),
        ];
        let secrets: Vec<Secret> = NAMES.iter().map(|name| (*name).to_owned()).zip(parts).collect();
        let (owner, seed) = (*self.offer.person_keys.owner.as_bytes(), Seed::take(&mut entropy));
        Ok(keyfile::seal(&owner, passphrase.map(str::as_bytes), Cost::default(), &secrets, &seed)?)
    }

    /// Opens what [`Enrolling::seal`] gave.
    ///
    /// # Errors
    /// `passphrase_needed`, `locked`, `newer_version`.
    pub fn open(file: &[u8], passphrase: Option<&str>) -> Result<Self, Problem> {
        let (_, secrets) = keyfile::open(file, passphrase.map(str::as_bytes))?;
        let damaged = || Problem::from(KeyFileError::Corrupt);
        let [noise, sign, offer, request] = NAMES.map(|name| secrets.iter().find(|(id, _)| id == name));
        let bytes = |found: Option<&Secret>| found.map(|(_, bytes)| bytes.clone()).ok_or_else(damaged);
        let key = |found: Option<&Secret>| -> Result<Zeroizing<[u8; 32]>, Problem> {
            Ok(Zeroizing::new(bytes(found)?.as_slice().try_into().map_err(|_| damaged())?))
        };
        Ok(Self {
            noise: NoiseSecret::danger_from_bytes(&*key(noise)?),
            sign: SignSecret::danger_from_bytes(&*key(sign)?),
            offer: InstanceOffer::from_bytes(&bytes(offer)?).map_err(|_| damaged())?,
            request: InstanceRequest::from_bytes(&bytes(request)?).map_err(|_| damaged())?,
        })
    }

    /// The keys of the instance, by the certificate that came back. `entropy` is drawn for this alone.
    ///
    /// # Errors
    /// `binding.argument` for what is no certificate; what is wrong with it: another person's, another request's, revoked.
    pub fn accept(&self, certificate: &str, mut entropy: [u8; 32]) -> Result<Keys, Problem> {
        let enrolment = Enrolment::from_bytes(&read("the certificate", certificate)?)?;
        let (public, _) = enrolment.accept(&self.offer, &self.request)?;
        let noise = NoiseSecret::danger_from_bytes(&self.noise.danger_expose());
        let sign = SignSecret::danger_from_bytes(&self.sign.danger_expose());
        let identity = LocalIdentity::from_parts(public, noise, sign, None)?;
        let storage = StorageKey::from_seed(Seed::take(&mut entropy));
        Ok(Keys::of(identity, storage, Some(enrolment)))
    }
}

impl fmt::Debug for Enrolling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Enrolling({}, ..)", self.request.instance().name)
    }
}

/// Bytes as the text of such a file.
pub(crate) fn write(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

pub(crate) fn read(what: &str, text: &str) -> Result<Vec<u8>, Problem> {
    let words = "it is no such file, or was damaged on the way";
    BASE64.decode(text.trim().as_bytes()).map_err(|_| Problem::argument(what, words))
}
