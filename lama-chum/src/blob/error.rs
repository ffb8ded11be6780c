//! Why large data could not be cut, put together or named.

use core::fmt;

use lama_identity::{Cid, IdentityError};

use super::NameError;

/// Why large data could not be cut, put together or named.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobError {
    // What came from elsewhere is wrong.
    /// An object that is no blob, file or folder, or not a canonical one.
    Object(IdentityError),
    /// A manifest whose size, chunk size and links do not fit together.
    Manifest,
    /// An object other than the one that is wanted.
    WrongObject {
        /// The one that is wanted.
        wanted: Cid,
    },
    /// A chunk or a part of a manifest that is not as long as the manifest says.
    WrongSize {
        /// The length it should have, in bytes of the blob.
        expected: u64,
    },
    /// A folder whose entries are out of order, or doubled.
    EntryOrder,
    /// An entry's name that is refused.
    Name(NameError),

    // The caller misused the module.
    /// A chunk size of 0 or above 1 MiB.
    ChunkSize,
    /// An object was given though none is wanted.
    NothingWanted,
    /// One path twice in a folder, or a path inside a path that is a file.
    Twice,

    // A limit was reached.
    /// More bytes than a blob may have.
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// More entries in one folder than fit into an object.
    TooManyEntries,
    /// More files than the caller takes.
    TooManyFiles {
        /// The limit.
        limit: u64,
    },

    // It may come yet.
    /// A part is not here.
    Missing {
        /// Which.
        id: Cid,
    },
}

impl BlobError {
    /// A stable name, for logs, bindings and tables.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Object(_) => "blob-object",
            Self::Manifest => "blob-manifest",
            Self::WrongObject { .. } => "blob-wrong-object",
            Self::WrongSize { .. } => "blob-wrong-size",
            Self::EntryOrder => "blob-entry-order",
            Self::Name(_) => "blob-name",
            Self::ChunkSize => "blob-chunk-size",
            Self::NothingWanted => "blob-nothing-wanted",
            Self::Twice => "blob-twice",
            Self::TooLarge { .. } => "blob-too-large",
            Self::TooManyEntries => "blob-too-many-entries",
            Self::TooManyFiles { .. } => "blob-too-many-files",
            Self::Missing { .. } => "blob-missing",
        }
    }
}

impl fmt::Display for BlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(cause) => {
                write!(f, "this is no blob, file or folder: {cause}; it cannot be read here")
            }
            Self::Manifest => {
                f.write_str("the manifest contradicts itself; ask its author to share the file again")
            }
            Self::WrongObject { wanted } => {
                write!(f, "another object than {wanted} was given; give that one")
            }
            Self::WrongSize { expected } => {
                write!(
                    f,
                    "a part is not {expected} bytes long as its manifest says; ask its author to share again"
                )
            }
            Self::EntryOrder => f.write_str(
                "the folder's entries are out of order or doubled; ask its author to share it again",
            ),
            Self::Name(cause) => cause.fmt(f),
            Self::ChunkSize => f.write_str("a chunk must have 1 byte to 1 MiB; choose another chunk size"),
            Self::NothingWanted => f.write_str("the blob is complete: nothing more is wanted"),
            Self::Twice => f.write_str("a path is there twice, or lies inside a file; rename one of the two"),
            Self::TooLarge { limit } => write!(f, "the data has more than {limit} bytes; share it in parts"),
            Self::TooManyEntries => f.write_str("a folder has too many entries for one object; divide it up"),
            Self::TooManyFiles { limit } => {
                write!(f, "files in the folder: more than {limit}; share a smaller part")
            }
            Self::Missing { id } => {
                write!(f, "the object {id} is not here; wait until the two are in sync, and try again")
            }
        }
    }
}

impl core::error::Error for BlobError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Object(cause) => Some(cause),
            Self::Name(cause) => Some(cause),
            _ => None,
        }
    }
}

impl From<IdentityError> for BlobError {
    fn from(cause: IdentityError) -> Self {
        Self::Object(cause)
    }
}

impl From<NameError> for BlobError {
    fn from(cause: NameError) -> Self {
        Self::Name(cause)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::string::ToString as _;
    use core::error::Error as _;

    use super::*;

    #[test]
    fn every_error_has_a_name_of_its_own_says_what_to_do_and_gives_its_cause() {
        let cause = IdentityError::Encoding(lama_identity::EncodingError::Trailing);
        let all = [
            BlobError::Object(cause),
            BlobError::Manifest,
            BlobError::WrongObject { wanted: Cid::of_chunk(b"x") },
            BlobError::WrongSize { expected: 7 },
            BlobError::EntryOrder,
            BlobError::Name(NameError::Dots),
            BlobError::ChunkSize,
            BlobError::NothingWanted,
            BlobError::Twice,
            BlobError::TooLarge { limit: 9 },
            BlobError::TooManyEntries,
            BlobError::TooManyFiles { limit: 9 },
            BlobError::Missing { id: Cid::of_chunk(b"x") },
        ];
        let names: BTreeSet<&str> = all.iter().map(BlobError::code).collect();
        assert_eq!(names.len(), all.len());
        for error in &all {
            assert!(error.code().starts_with("blob-") && error.to_string().len() > 30, "{error}");
            let has_cause = matches!(error, BlobError::Object(_) | BlobError::Name(_));
            assert_eq!(error.source().is_some(), has_cause);
        }
        let names = [
            NameError::Empty,
            NameError::TooLong,
            NameError::Dots,
            NameError::Absolute,
            NameError::Separator,
            NameError::Control,
            NameError::TooDeep,
        ];
        let codes: BTreeSet<&str> = names.iter().map(NameError::code).collect();
        assert_eq!(codes.len(), names.len());
        for name in names {
            assert!(name.code().starts_with("name-") && name.to_string().contains("; "), "{name}");
        }
    }
}
