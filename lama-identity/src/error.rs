//! Why an object, a key or a signature was refused.

use core::fmt;

/// Why bytes are not the canonical encoding of an object (DAG-CBOR as `security.md` section 7 narrows it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodingError {
    /// The bytes end inside an item.
    Truncated,
    /// Bytes follow the one item.
    Trailing,
    /// A number or a length is not in its shortest form.
    NotShortest,
    /// An indefinite length, or one of CBOR's reserved values.
    Indefinite,
    /// A tag other than 42.
    Tag,
    /// Tag 42 without a link inside: not `0x00` and a `CIDv1` of dag-cbor or raw with SHA-256.
    Link,
    /// A map key that is not text.
    KeyNotText,
    /// Map keys out of order: shorter first, then by bytes.
    KeyOrder,
    /// One key twice in a map.
    KeyTwice,
    /// Text that is not UTF-8.
    Text,
    /// A float of 16 or 32 bits.
    ShortFloat,
    /// A float that is not a number, or infinite.
    FloatValue,
    /// A simple value other than false, true and null.
    Simple,
    /// Nested deeper than [`crate::cbor::MAX_DEPTH`].
    Depth,
    /// Larger than the limit that applies, in bytes.
    Size {
        /// What was allowed.
        limit: usize,
    },
    /// Canonical, but not the shape of the type it was read as.
    Shape,
    /// Canonical, and readable as the type, but the type does not write it like this: an unknown or a doubled
    /// way to say something.
    NotFaithful,
    /// A value that has no encoding: serialisation failed.
    Unencodable,
}

impl EncodingError {
    /// A stable name, for logs, bindings and tables.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Truncated => "encoding-truncated",
            Self::Trailing => "encoding-trailing",
            Self::NotShortest => "encoding-not-shortest",
            Self::Indefinite => "encoding-indefinite",
            Self::Tag => "encoding-tag",
            Self::Link => "encoding-link",
            Self::KeyNotText => "encoding-key-not-text",
            Self::KeyOrder => "encoding-key-order",
            Self::KeyTwice => "encoding-key-twice",
            Self::Text => "encoding-text",
            Self::ShortFloat => "encoding-short-float",
            Self::FloatValue => "encoding-float-value",
            Self::Simple => "encoding-simple",
            Self::Depth => "encoding-depth",
            Self::Size { .. } => "encoding-size",
            Self::Shape => "encoding-shape",
            Self::NotFaithful => "encoding-not-faithful",
            Self::Unencodable => "encoding-unencodable",
        }
    }
}

impl fmt::Display for EncodingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Truncated => "the bytes end inside an item",
            Self::Trailing => "bytes follow the object",
            Self::NotShortest => "a number or length is not in its shortest form",
            Self::Indefinite => "a length is indefinite or reserved",
            Self::Tag => "a tag other than 42 (link) is used",
            Self::Link => "a link does not hold a CIDv1 of dag-cbor or raw with SHA-256",
            Self::KeyNotText => "a map key is not text",
            Self::KeyOrder => "map keys are not in canonical order",
            Self::KeyTwice => "a map holds one key twice",
            Self::Text => "text is not UTF-8",
            Self::ShortFloat => "a float is not 64 bits wide",
            Self::FloatValue => "a float is not a finite number",
            Self::Simple => "a simple value other than false, true and null is used",
            Self::Depth => "the object is nested too deeply",
            Self::Size { limit } => return write!(f, "the object is larger than {limit} bytes"),
            Self::Shape => "the object does not have the fields of its type",
            Self::NotFaithful => "the object says more than, or otherwise than, its type writes",
            Self::Unencodable => "the value has no canonical encoding",
        };
        f.write_str(text)
    }
}

impl core::error::Error for EncodingError {}

/// Why this crate refused something. No variant carries a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityError {
    // The peer misbehaved, or the data is damaged.
    /// Not a canonical object, or not of the expected shape.
    Encoding(EncodingError),
    /// A canonical object of another type.
    WrongType {
        /// The `$type$` that was expected.
        expected: &'static str,
    },
    /// A text that is no identifier in base32, or of the wrong length.
    BadText,
    /// An identifier whose bytes are no `CIDv1` of dag-cbor or raw with SHA-256.
    BadCid,
    /// A key that is not 32 bytes long.
    KeyLength,
    /// A key that is not written in the one canonical way: bit 255 set, or not reduced.
    KeyNotCanonical,
    /// A key of small order: every exchange with it gives a known result.
    KeySmallOrder,
    /// A signing key outside the prime-order group: one key could be written in eight ways.
    KeyMixedOrder,
    /// Bytes that are no point of the curve.
    KeyNotOnCurve,
    /// A key exchange gave all zeros (the same silent failure as a bad tag, seen from outside).
    ZeroExchange,
    /// A signature that does not verify.
    BadSignature,
    /// An object that should be signed carries no signature.
    NotSigned,
    /// A sealed message that does not open with this key and context.
    CannotOpen,
    /// A certificate, endpoint or key object that does not belong to the person or instance it is shown with.
    Mismatch {
        /// Which field disagrees.
        field: &'static str,
    },
    /// A certificate that is not valid yet.
    NotYetValid,
    /// A certificate that is not valid any more.
    NoLongerValid,
    /// A log entry that does not continue the log: a gap.
    LogGap {
        /// The sequence number that would come next.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// A log entry that continues another history than the one known. **An alarm**, never an update.
    LogFork {
        /// Where the histories part.
        seq: u64,
    },
    /// A log that is shorter than the one known. **An alarm**, never an update.
    LogLower {
        /// The highest sequence number known.
        known: u64,
        /// The one shown.
        shown: u64,
    },
    /// The key was revoked.
    Revoked,
    /// The log does not certify this key.
    NotCertified,
    /// A clock further ahead than allowed.
    ClockAhead,
    /// A version by somebody who may not write it: neither the owner nor one whom he lets.
    NotAuthorised,
    /// A field breaks a rule of its type.
    Field {
        /// Which field.
        field: &'static str,
        /// The rule.
        rule: &'static str,
    },

    // The caller misused the crate.
    /// The e-mail address breaks the written rule (see [`crate::Email`]).
    Email {
        /// The part of the rule.
        rule: &'static str,
    },
    /// The person's signing key is not on this device.
    PersonKeyAbsent,
    /// A key file that this version cannot read.
    KeyFile,

    // Limits.
    /// Longer than allowed.
    TooLong {
        /// What is too long.
        field: &'static str,
        /// The limit in bytes or elements.
        limit: usize,
    },
}

impl IdentityError {
    /// A stable name, for logs, bindings and tables.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Encoding(error) => error.code(),
            Self::WrongType { .. } => "wrong-type",
            Self::BadText => "bad-text",
            Self::BadCid => "bad-cid",
            Self::KeyLength => "key-length",
            Self::KeyNotCanonical => "key-not-canonical",
            Self::KeySmallOrder => "key-small-order",
            Self::KeyMixedOrder => "key-mixed-order",
            Self::KeyNotOnCurve => "key-not-on-curve",
            Self::ZeroExchange => "zero-exchange",
            Self::BadSignature => "bad-signature",
            Self::NotSigned => "not-signed",
            Self::CannotOpen => "cannot-open",
            Self::Mismatch { .. } => "mismatch",
            Self::NotYetValid => "not-yet-valid",
            Self::NoLongerValid => "no-longer-valid",
            Self::LogGap { .. } => "log-gap",
            Self::LogFork { .. } => "log-fork",
            Self::LogLower { .. } => "log-lower",
            Self::Revoked => "revoked",
            Self::NotCertified => "not-certified",
            Self::ClockAhead => "clock-ahead",
            Self::NotAuthorised => "not-authorised",
            Self::Field { .. } => "field",
            Self::Email { .. } => "email",
            Self::PersonKeyAbsent => "person-key-absent",
            Self::KeyFile => "key-file",
            Self::TooLong { .. } => "too-long",
        }
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Encoding(error) => return write!(f, "not a canonical object: {error}"),
            Self::WrongType { expected } => return write!(f, "the object is not of the type {expected}"),
            Self::BadText => "not an identifier: it is damaged or cut short; copy it again in full",
            Self::BadCid => "not the id of an object or chunk",
            Self::KeyLength => "a public key must be 32 bytes long",
            Self::KeyNotCanonical => "the public key is not written in its canonical form",
            Self::KeySmallOrder => "the public key has small order and protects nothing",
            Self::KeyMixedOrder => "the signing key lies outside the prime-order group",
            Self::KeyNotOnCurve => "the bytes are no point of the curve",
            Self::ZeroExchange => "the key exchange gave no secret",
            Self::BadSignature => {
                "the signature does not verify: the object was altered or signed by another key"
            }
            Self::NotSigned => "the object must be signed and is not",
            Self::CannotOpen => "the sealed message does not open: it was altered or sealed to another key",
            Self::Mismatch { field } => {
                return write!(f, "{field} does not belong to the identity it is shown with");
            }
            Self::NotYetValid => "the certificate is not valid yet: compare the clocks of both devices",
            Self::NoLongerValid => "the certificate has run out: let its person certify the instance again",
            Self::LogGap { expected, found } => {
                return write!(f, "the log entry {found} came where {expected} was expected");
            }
            Self::LogFork { seq } => {
                return write!(
                    f,
                    "ALARM: two histories of one person's log part at entry {seq}; trust neither \
                                  before asking the person by another way"
                );
            }
            Self::LogLower { known, shown } => {
                return write!(
                    f,
                    "ALARM: the person's log ends at entry {shown}, but entry {known} is known; \
                                  something was withheld or restored from an old copy"
                );
            }
            Self::Revoked => "the key was revoked by its person",
            Self::NotCertified => "the person's log does not certify this key",
            Self::ClockAhead => "the object's clock is too far ahead: compare the clocks of both devices",
            Self::NotAuthorised => {
                "its author may not write this; ask its owner to do it, or to name the author an admin"
            }
            Self::Field { field, rule } => return write!(f, "{field} {rule}"),
            Self::Email { rule } => return write!(f, "the e-mail address cannot be used: {rule}"),
            Self::PersonKeyAbsent => {
                "the person's signing key is not on this device; do this on the device that has it"
            }
            Self::KeyFile => "the key file is damaged, or written by a newer version",
            Self::TooLong { field, limit } => return write!(f, "{field} is longer than the {limit} allowed"),
        };
        f.write_str(text)
    }
}

impl core::error::Error for IdentityError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Encoding(error) => Some(error),
            _ => None,
        }
    }
}

impl From<EncodingError> for IdentityError {
    fn from(error: EncodingError) -> Self {
        Self::Encoding(error)
    }
}
