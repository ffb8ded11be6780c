//! `HandshakeState` (Noise section 5.3) for any [`Pattern`].

use alloc::vec::Vec;

use bytes::BytesMut;
use lama_identity::{NoisePublic, NoiseSecret};
use zeroize::Zeroizing;

use super::{CipherState, MAX_MESSAGE, Pattern, SymmetricState, Token};
use crate::HandshakeError;

/// What a handshake begins with.
#[derive(Debug)]
pub struct Setup<'a> {
    /// Which messages.
    pub pattern: Pattern,
    /// Whether this side sends the first one.
    pub initiator: bool,
    /// Bound into the transcript; both sides must have the same.
    pub prologue: &'a [u8],
    /// This side's static key, where the pattern says the peer knows it.
    pub local_static: Option<&'a NoisePublic>,
    /// The peer's static key, where the pattern says it is known.
    pub remote_static: Option<&'a NoisePublic>,
    /// The pre-shared keys, in the order in which the pattern uses them.
    pub psks: &'a [&'a [u8; 32]],
}

/// One side of a Noise handshake. It keeps no static secret: a step that needs it borrows it.
#[derive(Debug)]
pub struct HandshakeState {
    symmetric: SymmetricState,
    pattern: Pattern,
    initiator: bool,
    e: Option<NoiseSecret>,
    rs: Option<NoisePublic>,
    re: Option<NoisePublic>,
    /// Those not used yet, the next one last.
    psks: Vec<Zeroizing<[u8; 32]>>,
    message: usize,
}

/// What a finished handshake leaves.
#[derive(Debug)]
pub struct Split {
    /// Seals what this side sends.
    pub sealing: CipherState,
    /// Opens what the peer sends.
    pub opening: CipherState,
    /// The third output of the last HKDF (see [`SymmetricState::split`]).
    pub third: Zeroizing<[u8; 32]>,
    /// The transcript hash: unique to this session, and known to whoever saw it.
    pub handshake_hash: [u8; 32],
    /// The peer's static key, if there is one.
    pub remote_static: Option<NoisePublic>,
}

impl HandshakeState {
    /// `Initialize`.
    ///
    /// # Errors
    /// [`HandshakeError::Misuse`] if keys that the pattern wants are not given, or others are.
    pub fn new(setup: &Setup<'_>) -> Result<Self, HandshakeError> {
        let Setup { pattern, initiator, .. } = *setup;
        let [local_known, remote_known] = if initiator {
            [pattern.initiator_known(), pattern.responder_known()]
        } else {
            [pattern.responder_known(), pattern.initiator_known()]
        };
        let fits = setup.psks.len() == pattern.psk_count()
            && local_known == setup.local_static.is_some()
            && remote_known == setup.remote_static.is_some();
        if !fits {
            return Err(HandshakeError::Misuse);
        }
        let mut name = alloc::string::String::from("Noise_");
        name.push_str(&pattern.name());
        name.push_str("_25519_ChaChaPoly_SHA256");
        let mut symmetric = SymmetricState::new(name.as_bytes());
        symmetric.mix_hash(setup.prologue);
        let (first, second) = if initiator {
            (setup.local_static, setup.remote_static)
        } else {
            (setup.remote_static, setup.local_static)
        };
        for key in [first, second].into_iter().flatten() {
            symmetric.mix_hash(key.as_bytes());
        }
        let psks = setup.psks.iter().rev().map(|psk| Zeroizing::new(**psk)).collect();
        let rs = setup.remote_static.copied();
        Ok(Self { symmetric, pattern, initiator, e: None, rs, re: None, psks, message: 0 })
    }

    /// Gives the ephemeral key for the message this side writes next. Making one costs a scalar multiplication, so
    /// a responder does it only after the first message has proved something.
    pub fn set_ephemeral(&mut self, ephemeral: NoiseSecret) {
        self.e = Some(ephemeral);
    }

    /// `WriteMessage`; appends to `out`. After an error the state must not be used again.
    ///
    /// # Errors
    /// [`HandshakeError::Misuse`] out of turn or without a key that the message needs;
    /// [`HandshakeError::KeyRefused`] if a DH gives zero.
    pub fn write(
        &mut self,
        local: Option<&NoiseSecret>,
        payload: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), HandshakeError> {
        for token in self.turn(self.initiator)? {
            match token {
                Token::E => {
                    let e = *self.e.as_ref().ok_or(HandshakeError::Misuse)?.public();
                    out.extend_from_slice(e.as_bytes());
                    self.mix_ephemeral(&e);
                }
                Token::S => {
                    let s = local.ok_or(HandshakeError::Misuse)?.public();
                    self.symmetric.encrypt_and_hash(s.as_bytes(), out)?;
                }
                token => self.mix(token, local)?,
            }
        }
        self.symmetric.encrypt_and_hash(payload, out)
    }

    /// `ReadMessage`; gives the payload. After an error the state must not be used again.
    ///
    /// # Errors
    /// [`HandshakeError::Unauthentic`], also for a message too short or too long; [`HandshakeError::KeyRefused`] for
    /// a key that is none; [`HandshakeError::Misuse`] as in [`HandshakeState::write`].
    pub fn read(&mut self, local: Option<&NoiseSecret>, message: &[u8]) -> Result<BytesMut, HandshakeError> {
        if message.len() > MAX_MESSAGE {
            return Err(HandshakeError::Unauthentic);
        }
        let mut rest = message;
        for token in self.turn(!self.initiator)? {
            match token {
                Token::E => {
                    let (e, after) = rest.split_first_chunk::<32>().ok_or(HandshakeError::Unauthentic)?;
                    rest = after;
                    let e = NoisePublic::try_from(*e).map_err(|_| HandshakeError::KeyRefused)?;
                    self.mix_ephemeral(&e);
                    self.re = Some(e);
                }
                Token::S => {
                    let len = 32 + self.symmetric.overhead();
                    let (s, after) = rest.split_at_checked(len).ok_or(HandshakeError::Unauthentic)?;
                    rest = after;
                    let s = self.symmetric.decrypt_and_hash(s)?;
                    self.rs = Some(NoisePublic::try_from(&s[..]).map_err(|_| HandshakeError::KeyRefused)?);
                }
                token => self.mix(token, local)?,
            }
        }
        self.symmetric.decrypt_and_hash(rest)
    }

    /// Whether all messages have passed.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.message >= self.pattern.message_count()
    }

    /// `Split()`.
    ///
    /// # Errors
    /// [`HandshakeError::Misuse`] before the last message.
    pub fn split(self) -> Result<Split, HandshakeError> {
        if !self.is_finished() {
            return Err(HandshakeError::Misuse);
        }
        let handshake_hash = *self.symmetric.handshake_hash();
        let (first, second, third) = self.symmetric.split();
        let (sealing, opening) = if self.initiator { (first, second) } else { (second, first) };
        Ok(Split { sealing, opening, third, handshake_hash, remote_static: self.rs })
    }

    /// The tokens of the next message, if it is the turn of whoever `by_initiator` says.
    fn turn(&mut self, by_initiator: bool) -> Result<impl Iterator<Item = Token> + use<>, HandshakeError> {
        if self.message.is_multiple_of(2) != by_initiator {
            return Err(HandshakeError::Misuse);
        }
        let tokens = self.pattern.tokens(self.message).ok_or(HandshakeError::Misuse)?;
        self.message += 1;
        Ok(tokens)
    }

    fn mix_ephemeral(&mut self, e: &NoisePublic) {
        self.symmetric.mix_hash(e.as_bytes());
        if self.pattern.uses_psk() {
            self.symmetric.mix_key(e.as_bytes());
        }
    }

    /// The tokens that take in a shared secret.
    fn mix(&mut self, token: Token, local: Option<&NoiseSecret>) -> Result<(), HandshakeError> {
        // Whether each side takes part with its static key: (initiator, responder).
        let (initiator_static, responder_static) = match token {
            Token::Ee => (false, false),
            Token::Es => (false, true),
            Token::Se => (true, false),
            Token::Ss => (true, true),
            Token::Psk => {
                let psk = self.psks.pop().ok_or(HandshakeError::Misuse)?;
                self.symmetric.mix_key_and_hash(psk.as_slice());
                return Ok(());
            }
            Token::E | Token::S => return Err(HandshakeError::Misuse),
        };
        let (ours, theirs) = if self.initiator {
            (initiator_static, responder_static)
        } else {
            (responder_static, initiator_static)
        };
        let secret = if ours { local } else { self.e.as_ref() }.ok_or(HandshakeError::Misuse)?;
        let public =
            if theirs { self.rs.as_ref() } else { self.re.as_ref() }.ok_or(HandshakeError::Misuse)?;
        let shared = secret.dh(public).map_err(|_| HandshakeError::KeyRefused)?;
        self.symmetric.mix_key(shared.as_slice());
        Ok(())
    }
}
