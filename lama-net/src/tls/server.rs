//! The side of a relay: its certificate and the key to it.

use std::sync::{Arc, Mutex, PoisonError};

use lama_node::TlsFault;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{Connection, ServerConfig, ServerConnection};

use super::client::provider;
use super::{ALPN, handshake};
use crate::runtime::Wire;

/// What is wrong with files of certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsFilesError {
    /// No certificate, or one that cannot be read.
    Certificate,
    /// No private key, or one that cannot be read or used.
    Key,
    /// The key does not belong to the certificate.
    Mismatch,
}

impl core::fmt::Display for TlsFilesError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Certificate => {
                "there is no certificate that can be read; it has to be in PEM, the relay's own first, those that it rests \
                 on behind it"
            }
            Self::Key => {
                "there is no private key that can be used; it has to be in PEM without a passphrase: ECDSA (P-256, P-384), \
                 Ed25519, or RSA"
            }
            Self::Mismatch => "the private key does not belong to the certificate; name the two that were made together",
        })
    }
}

impl core::error::Error for TlsFilesError {}

/// A certificate with its key. Cheap to clone; the copies are one, so that a new certificate takes effect everywhere.
#[derive(Debug, Clone)]
pub struct TlsServer {
    config: Arc<Mutex<Arc<ServerConfig>>>,
}

impl TlsServer {
    /// From PEM: the certificate with those that it rests on, and the key.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsFilesError> {
        Ok(Self { config: Arc::new(Mutex::new(config(certificates, key)?)) })
    }

    /// Takes others for connections that come from now on. Those that are open go on.
    ///
    /// # Errors
    /// What is wrong with them; the ones before stay then.
    pub fn renew(&self, certificates: &[u8], key: &[u8]) -> Result<(), TlsFilesError> {
        let new = config(certificates, key)?;
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// Shakes hands with a client over a bare connection; all that follows goes through TLS. The caller brings the deadline.
    ///
    /// # Errors
    /// Why there is no TLS.
    pub async fn accept<W: Wire>(&self, wire: &mut W) -> Result<(), TlsFault> {
        let config = Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner));
        let connection = ServerConnection::new(config).map_err(|_| TlsFault::Refused)?;
        handshake(wire, Connection::Server(connection)).await
    }
}

/// Certificates and key, read and held against each other.
fn config(certificates: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsFilesError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsFilesError::Certificate)?;
    if chain.is_empty() {
        return Err(TlsFilesError::Certificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsFilesError::Key)?;
    // Registrations are bound to the connection, which version 1.2 does not do safely.
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| TlsFilesError::Key)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsFilesError::Mismatch,
            rustls::Error::InvalidCertificate(_) => TlsFilesError::Certificate,
            _ => TlsFilesError::Key,
        })?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
