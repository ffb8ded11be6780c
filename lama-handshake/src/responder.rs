//! The dialled side, as typestates: [`Message1`] (looked at, nothing computed: find the invitation by its tag),
//! [`AwaitMessage3`] (message 2 is out), [`Proved`] (message 3 proved the pre-shared key or a static key: ask the
//! contact store), [`ResponderVerified`] (the person is known: do the durable step now), [`ResponderSigning`],
//! [`AwaitReady`] (Auth is out), then [`Established`].

use bytes::{Bytes, BytesMut};
use lama_core::{Now, Seed};
use lama_identity::{NoisePublic, NoiseSecret, PublicIdentity, Signature};
use lama_invite::{Locator, Psk};
use zeroize::Zeroizing;

use crate::auth::{Expected, Sas, Unsigned, seal_padded, verify};
use crate::check_code::{self, CheckCode};
use crate::established::{Channel, Established};
use crate::initiator::{AuthFailed, jitter};
use crate::noise::{HandshakeState, Pattern, Setup};
use crate::wire::{Binding, MAGIC, MESSAGE1_LEN, MESSAGE3_LEN, prologue};
use crate::{
    Config, Expect, HandshakeError, Introduction, Mode, PairKey, Peer, PinnedPerson, RecordType, RejectCode,
    Role, Via,
};

/// The first message of a stranger: its length and magic are right, nothing else is known. No key was touched and
/// nothing allocated.
#[derive(Debug, Clone, Copy)]
pub struct Message1 {
    tag: Locator,
    rest: [u8; 48],
    via: Via,
}

impl Message1 {
    /// Looks at a first message that arrived over `via`.
    ///
    /// # Errors
    /// [`HandshakeError::Message1Length`], [`HandshakeError::Message1Magic`].
    pub fn read(message: &[u8], via: Via) -> Result<Self, HandshakeError> {
        let message: &[u8; MESSAGE1_LEN] = message.try_into().map_err(|_| HandshakeError::Message1Length)?;
        let (magic, rest) = message.split_first_chunk::<4>().ok_or(HandshakeError::Message1Length)?;
        if *magic != MAGIC {
            return Err(HandshakeError::Message1Magic);
        }
        let (tag, rest) = rest.split_first_chunk::<16>().ok_or(HandshakeError::Message1Length)?;
        let rest = rest.try_into().map_err(|_| HandshakeError::Message1Length)?;
        Ok(Self { tag: Locator::new(*tag), rest, via })
    }

    /// The tag: the locator of an active invitation (then answer with its key), or random.
    #[must_use]
    pub const fn tag(&self) -> Locator {
        self.tag
    }

    /// Checks the message and appends message 2 (48 bytes) to `out`: `XKpsk3` with the key of the invitation that
    /// the tag found, `XK` without. The seed is for this handshake alone. A failure appends nothing: close the link
    /// without a word.
    ///
    /// # Errors
    /// [`HandshakeError::Message1Unauthentic`], [`HandshakeError::KeyRefused`].
    pub fn answer(
        self,
        local: &NoiseSecret,
        psk: Option<&Psk>,
        seed: Seed,
        out: &mut BytesMut,
    ) -> Result<AwaitMessage3, HandshakeError> {
        let (mode, pattern) = match psk {
            Some(_) => (Mode::Pairing, Pattern::XK_PSK3),
            None => (Mode::Known, Pattern::XK),
        };
        let mut noise = HandshakeState::new(&Setup {
            pattern,
            initiator: false,
            prologue: &prologue(&self.tag, self.via),
            local_static: Some(local.public()),
            remote_static: None,
            psks: psk.map(Psk::expose).as_slice(),
        })?;
        noise.read(Some(local), &self.rest).map_err(|error| match error {
            HandshakeError::Unauthentic => HandshakeError::Message1Unauthentic,
            other => other,
        })?;
        noise.set_ephemeral(NoiseSecret::from_seed(seed.child("ephemeral")));
        noise.write(Some(local), &[], out)?;
        let (n_r, jitter) = (seed.derive("sas"), jitter(&seed));
        Ok(AwaitMessage3 { noise, mode, own_noise: *local.public(), n_r, jitter })
    }
}

/// Message 2 is out; message 3 is awaited.
#[derive(Debug)]
pub struct AwaitMessage3 {
    noise: HandshakeState,
    mode: Mode,
    own_noise: NoisePublic,
    n_r: Zeroizing<[u8; 32]>,
    jitter: u64,
}

impl AwaitMessage3 {
    /// Which handshake it is.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Reads message 3. A failure counts against the invitation and its source; close the link without a word.
    ///
    /// # Errors
    /// [`HandshakeError::Message3Length`], [`HandshakeError::Message3Unauthentic`], [`HandshakeError::KeyRefused`],
    /// [`HandshakeError::OwnKey`].
    pub fn read_message3(mut self, message: &[u8]) -> Result<Proved, HandshakeError> {
        if message.len() != MESSAGE3_LEN {
            return Err(HandshakeError::Message3Length);
        }
        self.noise.read(None, message).map_err(|error| match error {
            HandshakeError::Unauthentic => HandshakeError::Message3Unauthentic,
            other => other,
        })?;
        let channel =
            Channel::new(self.noise.split()?, Role::Responder, self.mode, self.own_noise, self.jitter)?;
        Ok(Proved { channel, n_r: self.n_r })
    }
}

/// Message 3 was right. In [`Mode::Pairing`] the peer has the invitation's secret; in [`Mode::Known`] it has the
/// secret of [`Proved::peer_static`], which may still be anybody's: if it is neither a contact's nor acceptable
/// as a new instance of one, drop this and close the link without a word.
#[derive(Debug)]
pub struct Proved {
    channel: Channel,
    n_r: Zeroizing<[u8; 32]>,
}

impl Proved {
    /// Which handshake it is.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.channel.mode
    }

    /// The static key that the peer has proved.
    #[must_use]
    pub const fn peer_static(&self) -> &NoisePublic {
        &self.channel.peer_noise
    }

    /// The transcript hash.
    #[must_use]
    pub const fn handshake_hash(&self) -> &[u8; 32] {
        &self.channel.h
    }

    /// Refuses a peer that has proved the invitation's secret or a contact's static key: appends an encrypted REJECT
    /// (4,112 bytes) to `out`; then close the link.
    pub fn reject(self, code: RejectCode, out: &mut BytesMut) {
        self.channel.reject(code, out);
    }

    /// Reads the initiator's Auth. `own` is this side's identity, to which the initiator must have bound itself.
    ///
    /// # Errors
    /// Any rule of records and of Auth; see [`AuthFailed::reject`] for whether the peer is told.
    pub fn read_auth(
        mut self,
        mut record: BytesMut,
        own: &PublicIdentity,
        expect: &Expect,
    ) -> Result<ResponderVerified, AuthFailed> {
        self.channel.open_auth(&mut record).map_err(AuthFailed::silent)?;
        let own = PinnedPerson { id: own.person_id(), pin: own.pin() };
        let expected = Expected {
            own_role: Role::Responder,
            mode: self.channel.mode,
            group: None,
            h: self.channel.h,
            own,
            own_noise: self.channel.own_noise,
            peer_noise: self.channel.peer_noise,
            expect,
        };
        match verify(&record, &expected) {
            // An unknown static key that introduces itself badly has proved nothing that matters here.
            Err(error) if self.channel.mode == Mode::Known && expect.person.is_none() => {
                Err(AuthFailed::silent(error))
            }
            Err(error) => Err(AuthFailed::told(error, self.channel)),
            Ok((peer, commitment)) => {
                Ok(ResponderVerified { channel: self.channel, n_r: self.n_r, peer, commitment, own })
            }
        }
    }
}

/// The initiator is verified. **Ask the gate (blocked? known by another key?) and do the one durable step (token
/// consumed, pending contact, trust record) before [`ResponderVerified::introduce`].**
#[derive(Debug)]
pub struct ResponderVerified {
    channel: Channel,
    n_r: Zeroizing<[u8; 32]>,
    peer: Peer,
    commitment: Option<Sas>,
    own: PinnedPerson,
}

impl ResponderVerified {
    /// Who dialled.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Which handshake it is.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.channel.mode
    }

    /// The transcript hash: what the token is consumed by.
    #[must_use]
    pub const fn handshake_hash(&self) -> &[u8; 32] {
        &self.channel.h
    }

    /// The pair key of this session: to be stored unless both sides still have the same
    /// ([`Peer::pair_key`] equals the stored one's id).
    #[must_use]
    pub const fn pair_key(&self) -> &PairKey {
        &self.channel.pair_key
    }

    /// Refuses the peer: appends an encrypted REJECT (4,112 bytes) to `out`; then close the link.
    pub fn reject(self, code: RejectCode, out: &mut BytesMut) {
        self.channel.reject(code, out);
    }

    /// Puts this side's Auth together; it waits for its signature.
    ///
    /// # Errors
    /// [`HandshakeError::LocalInvalid`], also if the introduction is of another person, instance or group than the
    /// initiator was verified for; [`HandshakeError::LocalTooLong`].
    pub fn introduce(self, introduction: &Introduction) -> Result<ResponderSigning, HandshakeError> {
        let Self { channel, n_r, peer, commitment, own } = self;
        introduction.check(channel.mode)?;
        // Somebody who has not heard of a rotation is shown the person by the key that he knows.
        let same = introduction.person() == own
            || (channel.mode == Mode::Known && introduction.person().id == own.id);
        let consistent =
            same && introduction.identity.noise() == &channel.own_noise && introduction.group == peer.group;
        if !consistent {
            return Err(HandshakeError::LocalInvalid);
        }
        let binding = Binding {
            role: Role::Responder,
            h: channel.h,
            own_noise: channel.own_noise,
            peer_noise: channel.peer_noise,
            own_pin: introduction.person().pin,
            peer_pin: peer.person().pin,
        };
        let sas = (channel.mode == Mode::Pairing).then(|| Sas(*n_r));
        let unsigned = Unsigned::new(introduction, sas, &binding)?;
        let pair_key_agreed = introduction.pair_key.is_some() && introduction.pair_key == peer.pair_key;
        Ok(ResponderSigning {
            unsigned,
            wait: AwaitReady { channel, n_r, peer, commitment, pair_key_agreed },
        })
    }
}

/// Auth lacks its signature.
#[derive(Debug)]
pub struct ResponderSigning {
    unsigned: Unsigned,
    wait: AwaitReady,
}

impl ResponderSigning {
    /// What the key named by [`Introduction::signer`] has to sign: the whole input, label included
    /// ([`lama_identity::SignSecret::sign_input`]).
    #[must_use]
    pub const fn to_sign(&self) -> &Bytes {
        self.unsigned.to_sign()
    }

    /// Takes the signature and appends the sealed Auth (4,112 bytes) to `out`.
    ///
    /// # Errors
    /// [`HandshakeError::LocalTooLong`]; not after [`ResponderVerified::introduce`].
    pub fn signed(self, signature: Signature, out: &mut BytesMut) -> Result<AwaitReady, HandshakeError> {
        let Self { unsigned, mut wait } = self;
        let body = unsigned.sign(signature)?;
        seal_padded(&mut wait.channel.sealer, RecordType::Auth, &body, out)?;
        Ok(wait)
    }
}

/// This side's Auth is out; READY is awaited.
#[derive(Debug)]
pub struct AwaitReady {
    channel: Channel,
    n_r: Zeroizing<[u8; 32]>,
    peer: Peer,
    commitment: Option<Sas>,
    pair_key_agreed: bool,
}

impl AwaitReady {
    /// Who dialled.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Reads READY: the initiator has stored its side. **Store this side's (token completed, contact active; or wait
    /// for the user), then call [`crate::Mux::acknowledge`]**: the next record out is the acknowledgement.
    ///
    /// # Errors
    /// [`HandshakeError::Rejected`], [`HandshakeError::SasMismatch`], [`HandshakeError::RecordUnexpected`],
    /// [`HandshakeError::RecordBody`], any rule of records.
    pub fn read_ready(
        mut self,
        mut record: BytesMut,
        config: &Config,
        now: Now,
    ) -> Result<Established, HandshakeError> {
        match self.channel.opener.open(&mut record)? {
            RecordType::Ready => {}
            RecordType::Reject => return Err(crate::established::rejected(&record)),
            other => return Err(HandshakeError::RecordUnexpected(other)),
        }
        let check_code = match (self.commitment, record.first_chunk::<32>()) {
            (Some(commitment), Some(n_i)) if record.len() == 32 => {
                if check_code::commitment(n_i) != commitment.0 {
                    return Err(HandshakeError::SasMismatch);
                }
                Some(CheckCode::new(&self.channel.h, n_i, &self.n_r))
            }
            (None, None) if record.is_empty() => None,
            _ => return Err(HandshakeError::RecordBody),
        };
        Ok(self.channel.establish(self.peer, check_code, self.pair_key_agreed, config, now))
    }
}
