//! Trust certificates: a person's own signed note that another person's key is that person's.

use lama_core::WallTime;
use serde::{Deserialize, Serialize};

use crate::object::{Object, TypeName, TypeTag};
use crate::signed::{Author, Signable};
use crate::{IdentityError, PersonId, PersonKeys, PersonPin, Reference, Signature, cbor};

/// How trust came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrustOrigin {
    /// An invitation's token was proved.
    Token,
    /// The token, and both persons compared the check code.
    TokenAndCode,
}

/// `{"$type$": "TrustKeysCertificate", ...}`: "I, the issuer, hold these keys for that person's". Kept local;
/// publishing one is a separate, explicit act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustKeysCertificate {
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// How it came about.
    pub how: TrustOrigin,
    /// The SHA-256 of the signing key that is trusted.
    pub pin: PersonPin,
    /// The issuer's signature; `None` only while it is being made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sig: Option<Signature>,
    /// The `Keys` object that is trusted.
    pub keys: Reference,
    /// `TrustKeysCertificate`.
    #[serde(rename = "$type$")]
    pub type_tag: TypeTag<Self>,
    /// Whose trust this is; his own person key signs.
    pub issuer: PersonId,
    /// The SHA-256 of the issuer's signing key.
    #[serde(rename = "signer")]
    pub issuer_pin: PersonPin,
    /// Who is trusted to be who he says.
    pub subject: PersonId,
}

impl TypeName for TrustKeysCertificate {
    const TYPE: &'static str = "TrustKeysCertificate";
}

impl Object for TrustKeysCertificate {
    const LIMIT: usize = cbor::MAX_IDENTITY;

    fn validate(&self) -> Result<(), IdentityError> {
        if self.issuer == self.subject {
            return Err(IdentityError::Field {
                field: "subject",
                rule: "must be another person than the issuer",
            });
        }
        Ok(())
    }
}

impl TrustKeysCertificate {
    /// The note that `issuer` trusts `subject`'s keys.
    ///
    /// # Errors
    /// [`IdentityError::Field`] if both are the same person.
    pub fn new(
        issuer: &PersonKeys,
        subject: &PersonKeys,
        how: TrustOrigin,
        at: WallTime,
    ) -> Result<Self, IdentityError> {
        let certificate = Self {
            at: at.0,
            how,
            pin: subject.pin(),
            sig: None,
            keys: subject.cid()?.into(),
            type_tag: TypeTag::default(),
            issuer: issuer.owner,
            issuer_pin: issuer.pin(),
            subject: subject.owner,
        };
        certificate.validate()?;
        Ok(certificate)
    }
}

impl Signable for TrustKeysCertificate {
    const LABEL: &'static str = "LAMA/trust/1";

    fn author(&self) -> Author {
        Author { person: self.issuer, instance: None }
    }

    fn signature(&self) -> Option<&Signature> {
        self.sig.as_ref()
    }

    fn set_signature(&mut self, signature: Option<Signature>) {
        self.sig = signature;
    }
}
