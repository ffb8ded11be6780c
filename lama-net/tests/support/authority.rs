//! A certificate authority of a test's own.

use lama_net::{TlsClient, TlsServer};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// In PEM.
pub struct Files {
    pub certificate: String,
    pub key: String,
}

impl Files {
    pub fn server(&self) -> TlsServer {
        TlsServer::from_pem(self.certificate.as_bytes(), self.key.as_bytes()).unwrap()
    }
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for this name.
    pub fn issue(&self, name: &str) -> Files {
        self.issue_for(name, 2020, 2090)
    }

    /// One that is valid from the beginning of one year to the beginning of another.
    pub fn issue_for(&self, name: &str, from: i32, until: i32) -> Files {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        Files { certificate, key: key.serialize_pem() }
    }

    /// Who trusts it, and nobody else.
    pub fn client(&self) -> TlsClient {
        TlsClient::with_roots(self.0.pem().as_bytes()).unwrap()
    }
}
