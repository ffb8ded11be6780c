//! What the two sides have in common: the keyed channel after message 3, and the finished handshake.

use bytes::BytesMut;
use lama_core::Now;
use lama_identity::NoisePublic;

use crate::auth::seal_padded;
use crate::check_code::CheckCode;
use crate::noise::Split;
use crate::record::{AUTH_RECORD_LEN, Opener, Sealer};
use crate::{Config, HandshakeError, Mode, Mux, PairKey, Peer, RecordType, RejectCode, RekeyLimits, Role};

/// The keys of a session in which the persons are not authenticated yet.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
    pub(crate) role: Role,
    pub(crate) mode: Mode,
    pub(crate) h: [u8; 32],
    pub(crate) own_noise: NoisePublic,
    pub(crate) peer_noise: NoisePublic,
    pub(crate) pair_key: PairKey,
    jitter: u64,
}

impl Channel {
    pub(crate) fn new(
        split: Split,
        role: Role,
        mode: Mode,
        own_noise: NoisePublic,
        jitter: u64,
    ) -> Result<Self, HandshakeError> {
        let peer_noise = split.remote_static.ok_or(HandshakeError::Misuse)?;
        if peer_noise == own_noise {
            return Err(HandshakeError::OwnKey);
        }
        // Auth and READY are far below any limit; the mux takes the limits of its configuration.
        let limits = RekeyLimits::default();
        Ok(Self {
            sealer: Sealer::new(split.sealing, limits),
            opener: Opener::new(split.opening, limits),
            role,
            mode,
            h: split.handshake_hash,
            own_noise,
            peer_noise,
            pair_key: PairKey::from_third(&split.third),
            jitter,
        })
    }

    /// Opens the record in which Auth is expected; `record` becomes its body.
    pub(crate) fn open_auth(&mut self, record: &mut BytesMut) -> Result<(), HandshakeError> {
        if record.len() != AUTH_RECORD_LEN {
            return Err(HandshakeError::RecordLength);
        }
        match self.opener.open(record)? {
            RecordType::Auth => Ok(()),
            RecordType::Reject => Err(rejected(record)),
            other => Err(HandshakeError::RecordUnexpected(other)),
        }
    }

    /// Appends a REJECT of the size of an Auth record.
    pub(crate) fn reject(mut self, code: RejectCode, out: &mut BytesMut) {
        // The first or second record of a direction: the counter is not exhausted.
        let _ = seal_padded(&mut self.sealer, RecordType::Reject, &[code.number()], out);
    }

    pub(crate) fn establish(
        self,
        peer: Peer,
        check_code: Option<CheckCode>,
        pair_key_agreed: bool,
        config: &Config,
        now: Now,
    ) -> Established {
        let Self { sealer, opener, role, mode, h, pair_key, jitter, .. } = self;
        let mux = Mux::new(sealer, opener, role, mode, config, jitter, now);
        Established { mux, peer, role, mode, handshake_hash: h, pair_key, pair_key_agreed, check_code }
    }
}

/// The error that a REJECT's body means.
pub(crate) fn rejected(body: &[u8]) -> HandshakeError {
    match *body {
        [code] => RejectCode::from_number(code).map_or(HandshakeError::RecordBody, HandshakeError::Rejected),
        _ => HandshakeError::RecordBody,
    }
}

/// A finished handshake: both persons are authenticated.
#[derive(Debug)]
pub struct Established {
    /// The session's streams.
    pub mux: Mux,
    /// Who is at the other end.
    pub peer: Peer,
    /// Which side this one is.
    pub role: Role,
    /// Which handshake it was.
    pub mode: Mode,
    /// The transcript hash: unique to this session, the same at both ends.
    pub handshake_hash: [u8; 32],
    /// This session's pair key: to be stored unless the stored one is still agreed on.
    pub pair_key: PairKey,
    /// Whether both sides named the same stored pair key. If not, both take this session's.
    pub pair_key_agreed: bool,
    /// The code to compare, when pairing.
    pub check_code: Option<CheckCode>,
}
