//! Records of the longest kind, sealed and opened with nothing around them.

use bytes::BytesMut;
use lama_handshake::noise::CipherState;
use lama_handshake::record::{MAX_BODY, Opener, Sealer};
use lama_handshake::{HandshakeError, RecordType, RekeyLimits};

/// So many sealed records, and both ends of the channel they are of.
#[derive(Debug)]
pub struct Records {
    sealer: Sealer,
    opener: Opener,
    body: Vec<u8>,
    out: BytesMut,
    sealed: Vec<BytesMut>,
}

impl Records {
    /// Seals them, to be opened later.
    ///
    /// # Errors
    /// None in practice.
    pub fn new(count: u32) -> Result<Self, HandshakeError> {
        let channel = || CipherState::new(&[7; 32]);
        let (mut sealer, body) = (Sealer::new(channel(), RekeyLimits::default()), vec![0x5a; MAX_BODY]);
        let mut seal = |_| {
            let mut record = BytesMut::new();
            sealer.seal(RecordType::Data, &body, &mut record).map(|()| record)
        };
        let sealed = (0..count).map(&mut seal).collect::<Result<_, _>>()?;
        let opener = Opener::new(channel(), RekeyLimits::default());
        Ok(Self { sealer, opener, body, out: BytesMut::new(), sealed })
    }

    /// Seals as many again, each in the place of the one before; bytes of their bodies.
    ///
    /// # Errors
    /// None in practice.
    pub fn seal(&mut self) -> Result<u64, HandshakeError> {
        for _ in &self.sealed {
            self.out.clear();
            self.sealer.seal(RecordType::Data, &self.body, &mut self.out)?;
        }
        Ok((self.sealed.len() * self.body.len()) as u64)
    }

    /// Opens those that wait for it, once; bytes of their bodies.
    ///
    /// # Errors
    /// None in practice.
    pub fn open(&mut self) -> Result<u64, HandshakeError> {
        let mut bytes = 0;
        for mut record in self.sealed.drain(..) {
            self.opener.open(&mut record)?;
            bytes += record.len() as u64;
        }
        Ok(bytes)
    }
}
