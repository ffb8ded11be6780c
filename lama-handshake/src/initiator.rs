//! The dialling side, as typestates: [`Initiator`] (message 1 is out), [`InitiatorKeyed`] (message 3 is out),
//! [`InitiatorSigning`] (waits for the signature), [`AwaitAuth`] (Auth is out), [`InitiatorVerified`] (the peer is
//! known: store it durably now), then [`Established`].

use bytes::{Bytes, BytesMut};
use lama_core::{Now, Seed};
use lama_identity::{NoisePublic, NoiseSecret, PersonPin, Signature};
use lama_invite::{Locator, Psk};
use zeroize::Zeroizing;

use crate::auth::{Expected, Sas, Unsigned, seal_padded, verify};
use crate::check_code::{self, CheckCode};
use crate::established::{Channel, Established};
use crate::noise::{HandshakeState, Pattern, Setup};
use crate::wire::{Binding, MAGIC, MESSAGE2_LEN, prologue};
use crate::{
    Config, Expect, Group, HandshakeError, Introduction, Mode, PairKey, Peer, PinnedPerson, RecordType,
    RejectCode, Role, Via,
};

/// How the dialled side will recognise this one.
#[derive(Debug, Clone, Copy)]
pub enum Access<'a> {
    /// By the secret of its invitation.
    Pairing {
        /// [`lama_invite::Invitation::locator`].
        locator: Locator,
        /// [`lama_invite::Invitation::psk`].
        psk: &'a Psk,
    },
    /// By this instance's static key.
    Known,
}

/// Whom to dial.
#[derive(Debug, Clone, Copy)]
pub struct Dial<'a> {
    /// The instance's key, from the invitation or the contact store.
    pub instance: NoisePublic,
    /// The person expected there, from the same.
    pub person: PinnedPerson,
    /// How this side will be recognised.
    pub access: Access<'a>,
    /// Over what.
    pub via: Via,
}

/// Message 1 is out; message 2 is awaited.
#[derive(Debug)]
pub struct Initiator {
    noise: HandshakeState,
    mode: Mode,
    person: PinnedPerson,
    named: PersonPin,
    n_i: Zeroizing<[u8; 32]>,
    jitter: u64,
}

impl Initiator {
    /// Begins a handshake: appends message 1 (68 bytes) to `out`. The seed is for this handshake alone.
    ///
    /// # Errors
    /// [`HandshakeError::KeyRefused`]; never with a key that its type has admitted.
    pub fn dial(dial: &Dial<'_>, seed: Seed, out: &mut BytesMut) -> Result<Self, HandshakeError> {
        let (tag, mode, pattern, psk) = match dial.access {
            Access::Pairing { locator, psk } => {
                (locator, Mode::Pairing, Pattern::XK_PSK3, Some(psk.expose()))
            }
            Access::Known => {
                let tag = seed.derive("tag");
                let (tag, _) = tag.split_first_chunk().ok_or(HandshakeError::Misuse)?;
                (Locator::new(*tag), Mode::Known, Pattern::XK, None)
            }
        };
        let mut noise = HandshakeState::new(&Setup {
            pattern,
            initiator: true,
            prologue: &prologue(&tag, dial.via),
            local_static: None,
            remote_static: Some(&dial.instance),
            psks: psk.as_slice(),
        })?;
        noise.set_ephemeral(NoiseSecret::from_seed(seed.child("ephemeral")));
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(tag.as_bytes());
        noise.write(None, &[], out)?;
        let (person, named) = (dial.person, dial.person.pin);
        Ok(Self { noise, mode, person, named, n_i: seed.derive("sas"), jitter: jitter(&seed) })
    }

    /// Names the person by another key than the present one: by that which the dialled instance has shown last, since it
    /// may not have heard of a rotation.
    #[must_use]
    pub const fn naming(mut self, pin: PersonPin) -> Self {
        self.named = pin;
        self
    }

    /// Reads message 2 and appends message 3 (64 bytes) to `out`. From here on the peer's *instance* is proved.
    ///
    /// # Errors
    /// [`HandshakeError::Message2Length`], [`HandshakeError::Message2Unauthentic`], [`HandshakeError::KeyRefused`].
    pub fn read_message2(
        mut self,
        message: &[u8],
        local: &NoiseSecret,
        out: &mut BytesMut,
    ) -> Result<InitiatorKeyed, HandshakeError> {
        if message.len() != MESSAGE2_LEN {
            return Err(HandshakeError::Message2Length);
        }
        self.noise.read(Some(local), message).map_err(|error| match error {
            HandshakeError::Unauthentic => HandshakeError::Message2Unauthentic,
            other => other,
        })?;
        self.noise.write(Some(local), &[], out)?;
        let channel =
            Channel::new(self.noise.split()?, Role::Initiator, self.mode, *local.public(), self.jitter)?;
        Ok(InitiatorKeyed { channel, person: self.person, named: self.named, n_i: self.n_i })
    }
}

/// Numbers for the jitter of timers: not secret.
pub(crate) fn jitter(seed: &Seed) -> u64 {
    seed.derive("jitter").first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Message 3 is out; Auth goes in the same flight.
#[derive(Debug)]
pub struct InitiatorKeyed {
    channel: Channel,
    person: PinnedPerson,
    named: PersonPin,
    n_i: Zeroizing<[u8; 32]>,
}

impl InitiatorKeyed {
    /// The transcript hash.
    #[must_use]
    pub const fn handshake_hash(&self) -> &[u8; 32] {
        &self.channel.h
    }

    /// Puts this side's Auth together; it waits for its signature.
    ///
    /// # Errors
    /// [`HandshakeError::LocalInvalid`], [`HandshakeError::LocalTooLong`], [`HandshakeError::SamePerson`].
    pub fn introduce(self, introduction: &Introduction) -> Result<InitiatorSigning, HandshakeError> {
        let Self { channel, person, named, n_i } = self;
        let own = introduction.person();
        introduction.check(channel.mode)?;
        if own.id == person.id {
            return Err(HandshakeError::SamePerson(own.id));
        }
        let pairing = channel.mode == Mode::Pairing;
        let binding = Binding {
            role: Role::Initiator,
            h: channel.h,
            own_noise: channel.own_noise,
            peer_noise: channel.peer_noise,
            own_pin: own.pin,
            peer_pin: named,
        };
        let sas = pairing.then(|| Sas(check_code::commitment(&n_i)));
        let unsigned = Unsigned::new(introduction, sas, &binding)?;
        let group = introduction.group;
        let wait = AwaitAuth { channel, person, n_i, own, group, pair_key: introduction.pair_key };
        Ok(InitiatorSigning { unsigned, wait })
    }
}

/// Auth lacks its signature.
#[derive(Debug)]
pub struct InitiatorSigning {
    unsigned: Unsigned,
    wait: AwaitAuth,
}

impl InitiatorSigning {
    /// What the key named by [`Introduction::signer`] has to sign: the whole input, label included
    /// ([`lama_identity::SignSecret::sign_input`]).
    #[must_use]
    pub const fn to_sign(&self) -> &Bytes {
        self.unsigned.to_sign()
    }

    /// Takes the signature and appends the sealed Auth (4,112 bytes) to `out`.
    ///
    /// # Errors
    /// [`HandshakeError::LocalTooLong`]; not after [`InitiatorKeyed::introduce`].
    pub fn signed(self, signature: Signature, out: &mut BytesMut) -> Result<AwaitAuth, HandshakeError> {
        let Self { unsigned, mut wait } = self;
        let body = unsigned.sign(signature)?;
        seal_padded(&mut wait.channel.sealer, RecordType::Auth, &body, out)?;
        Ok(wait)
    }
}

/// This side's Auth is out; the responder's is awaited.
#[derive(Debug)]
pub struct AwaitAuth {
    channel: Channel,
    person: PinnedPerson,
    n_i: Zeroizing<[u8; 32]>,
    own: PinnedPerson,
    group: Group,
    pair_key: Option<crate::PairKeyId>,
}

impl AwaitAuth {
    /// Reads the responder's Auth. `expect.person` is not asked: it is the one that was dialled.
    ///
    /// # Errors
    /// [`HandshakeError::Rejected`], any rule of records and of Auth. The peer has proved its instance, so it may
    /// be told: see [`AuthFailed::reject`].
    pub fn read_auth(
        mut self,
        mut record: BytesMut,
        expect: &Expect,
    ) -> Result<InitiatorVerified, AuthFailed> {
        match self.channel.open_auth(&mut record) {
            Err(error) => Err(AuthFailed { error, channel: None }),
            Ok(()) => {
                let expect = Expect { person: Some(self.person), ..expect.clone() };
                let expected = Expected {
                    own_role: Role::Initiator,
                    mode: self.channel.mode,
                    group: Some(self.group),
                    h: self.channel.h,
                    own: self.own,
                    own_noise: self.channel.own_noise,
                    peer_noise: self.channel.peer_noise,
                    expect: &expect,
                };
                match verify(&record, &expected) {
                    Err(error) => Err(AuthFailed { error, channel: Some(self.channel.into()) }),
                    Ok((peer, n_r)) => {
                        let check_code = n_r.map(|n_r| CheckCode::new(&self.channel.h, &self.n_i, &n_r.0));
                        let pair_key_agreed = self.pair_key.is_some() && self.pair_key == peer.pair_key;
                        Ok(InitiatorVerified {
                            channel: self.channel,
                            n_i: self.n_i,
                            peer,
                            check_code,
                            pair_key_agreed,
                        })
                    }
                }
            }
        }
    }
}

/// Why a peer's Auth was not accepted, and the means to tell a peer that has proved itself.
#[derive(Debug)]
pub struct AuthFailed {
    error: HandshakeError,
    pub(crate) channel: Option<alloc::boxed::Box<Channel>>,
}

impl AuthFailed {
    pub(crate) const fn silent(error: HandshakeError) -> Self {
        Self { error, channel: None }
    }

    pub(crate) fn told(error: HandshakeError, channel: Channel) -> Self {
        Self { error, channel: Some(channel.into()) }
    }

    /// The reason, for this side's own events.
    #[must_use]
    pub const fn error(&self) -> &HandshakeError {
        &self.error
    }

    /// Appends an encrypted REJECT (4,112 bytes, as Auth would be) to `out` if the peer has proved itself and the
    /// reason is one that it may know; then close the link. Returns the reason.
    pub fn reject(self, out: &mut BytesMut) -> HandshakeError {
        if let (Some(channel), Some(code)) = (self.channel, self.error.reject_code()) {
            channel.reject(code, out);
        }
        self.error
    }
}

/// The responder is verified. **Store the pending contact and the trust record durably before
/// [`InitiatorVerified::ready`].**
#[derive(Debug)]
pub struct InitiatorVerified {
    channel: Channel,
    n_i: Zeroizing<[u8; 32]>,
    peer: Peer,
    check_code: Option<CheckCode>,
    pair_key_agreed: bool,
}

impl InitiatorVerified {
    /// Who answered.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The transcript hash.
    #[must_use]
    pub const fn handshake_hash(&self) -> &[u8; 32] {
        &self.channel.h
    }

    /// The code to compare, when pairing.
    #[must_use]
    pub const fn check_code(&self) -> Option<CheckCode> {
        self.check_code
    }

    /// The pair key of this session: to be stored unless [`InitiatorVerified::pair_key_agreed`].
    #[must_use]
    pub const fn pair_key(&self) -> &PairKey {
        &self.channel.pair_key
    }

    /// Whether both sides still have the same stored pair key. If not, both take this session's.
    #[must_use]
    pub const fn pair_key_agreed(&self) -> bool {
        self.pair_key_agreed
    }

    /// Refuses the peer after all: appends REJECT to `out`; then close the link.
    pub fn reject(self, code: RejectCode, out: &mut BytesMut) {
        self.channel.reject(code, out);
    }

    /// Appends READY to `out`: what had to be stored is stored. In [`Mode::Known`] data may follow at once; in
    /// [`Mode::Pairing`] after the responder's acknowledgement ([`crate::Received::Ready`]).
    ///
    /// # Errors
    /// [`HandshakeError::NonceExhausted`]; not at the start of a session.
    pub fn ready(
        mut self,
        config: &Config,
        now: Now,
        out: &mut BytesMut,
    ) -> Result<Established, HandshakeError> {
        let body: &[u8] = if self.channel.mode == Mode::Pairing { self.n_i.as_slice() } else { &[] };
        self.channel.sealer.seal(RecordType::Ready, body, out)?;
        Ok(self.channel.establish(self.peer, self.check_code, self.pair_key_agreed, config, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jitter_follows_from_the_seed() {
        let of = |n: u8| jitter(&Seed::danger_fixed([n; 32]));
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
