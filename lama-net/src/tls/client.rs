//! The dialling side: whose certificates count.

use std::sync::{Arc, OnceLock};

use lama_node::TlsFault;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, Connection, Error, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::ALPN;
use super::server::TlsFilesError;

/// Whose certificates count where a URL says `wss`. Cheap to clone; by default those that the operating system trusts.
#[derive(Debug, Clone, Default)]
pub struct TlsClient {
    /// `None`: the platform decides.
    roots: Option<Arc<RootCertStore>>,
    /// Made when it is needed for the first time: an instance without such routes does not read what the platform trusts.
    config: Arc<OnceLock<Result<Arc<ClientConfig>, TlsFault>>>,
}

impl TlsClient {
    /// Trusts these certificate authorities and no others.
    ///
    /// # Errors
    /// There is no certificate in it, or one that cannot be read.
    pub fn with_roots(pem: &[u8]) -> Result<Self, TlsFilesError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| TlsFilesError::Certificate)?;
            roots.add(certificate).map_err(|_| TlsFilesError::Certificate)?;
        }
        if roots.is_empty() {
            return Err(TlsFilesError::Certificate);
        }
        Ok(Self { roots: Some(Arc::new(roots)), config: Arc::default() })
    }

    /// A connection to a host that has not begun yet.
    pub(crate) fn connection(&self, host: &str) -> Result<Connection, TlsFault> {
        let config = self.config.get_or_init(|| self.build()).clone()?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsFault::WrongName)?;
        ClientConnection::new(config, name).map(Connection::Client).map_err(|error| fault(&error))
    }

    fn build(&self) -> Result<Arc<ClientConfig>, TlsFault> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| fault(&error))?;
        let builder = match &self.roots {
            Some(roots) => builder.with_root_certificates(Arc::clone(roots)),
            None => builder.with_platform_verifier().map_err(|error| {
                tracing::warn!(%error, "the certificates that this system trusts cannot be read");
                TlsFault::NoRoots
            })?,
        };
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Every connection stands for itself: a ticket would tell a relay which ones come from the same place.
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// One implementation of the primitives, whatever other crates would like.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// What a user can do something about.
pub(super) fn fault(error: &Error) -> TlsFault {
    let Error::InvalidCertificate(error) = error else {
        return match error {
            Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => TlsFault::NotTls,
            _ => TlsFault::Refused,
        };
    };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsFault::NotYetValid,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFault::WrongName
        }
        // Who takes the name of a trusted issuer does not have its key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsFault::UnknownIssuer,
        CertificateError::Revoked => TlsFault::Revoked,
        _ => TlsFault::BadCertificate,
    }
}
