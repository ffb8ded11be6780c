//! Errors as they cross the border of a language.

use std::fmt;

use lama_chum::blob::BlobError;
use lama_identity::IdentityError;
use lama_identity::keyfile::KeyFileError;
use lama_invite::InviteError;
use lama_node::NodeError;
use lama_store::StoreError;
use serde::Serialize;

/// Why something did not work: a stable name for programs, and words for people that say what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// A stable name, the same in every language and in the logs of the program.
    pub code: String,
    /// What happened, why, and what to do.
    pub message: String,
}

impl Problem {
    /// A problem of the binding's own.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }

    /// Text that is not what it should be.
    pub(crate) fn argument(what: &str, cause: impl fmt::Display) -> Self {
        Self::new("binding.argument", format!("{what}: {cause}; give another one"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Problem {}

macro_rules! coded {
    ($($error:ty),*) => {$(
        impl From<$error> for Problem {
            fn from(error: $error) -> Self {
                Self::new(error.code(), error.to_string())
            }
        }
    )*};
}

coded!(NodeError, InviteError, IdentityError, BlobError, KeyFileError);

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        NodeError::from(error).into()
    }
}
