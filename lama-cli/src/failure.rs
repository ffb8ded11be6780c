//! How a command fails: a stable code, one line with the cause and the next step, and an exit code.

use lama_host::HostError;
use serde::{Deserialize, Serialize};

use crate::text::escape;

/// What the shell sees. Documented in `docs/cli.md`; numbers never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Exit {
    Failed,
    Usage,
    NoInstance,
    RefusedHere,
    Locked,
    RefusedByRule,
    Unreached,
    TimedOut,
    Damaged,
    Lost,
    Warned,
    Faulty,
    Interrupted,
}

impl Exit {
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NoInstance => 3,
            Self::RefusedHere => 4,
            Self::Locked => 5,
            Self::RefusedByRule => 6,
            Self::Unreached => 7,
            Self::TimedOut => 8,
            Self::Damaged => 9,
            Self::Lost => 10,
            Self::Warned => 11,
            Self::Faulty => 12,
            Self::Interrupted => 130,
        }
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// Stable, for scripts.
    pub(crate) code: String,
    /// What happened, why, and what to do.
    pub(crate) message: String,
    /// What the shell sees.
    pub(crate) exit: Exit,
}

impl Failure {
    pub(crate) fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), exit }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    /// Everything is said already; only the exit code is missing.
    pub(crate) fn said(exit: Exit) -> Self {
        Self::new(exit, "", "")
    }

    pub(crate) fn interrupted() -> Self {
        Self::new(
            Exit::Interrupted,
            "interrupted",
            "stopped by Ctrl-C; what was done is kept, run it again to go on",
        )
    }

    /// `error[code]: message`, one line.
    pub(crate) fn line(&self) -> String {
        format!("error[{}]: {}", self.code, escape(&self.message))
    }
}

impl From<lama_chum::blob::BlobError> for Failure {
    fn from(error: lama_chum::blob::BlobError) -> Self {
        HostError::from(error).into()
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        // People are told less than logs: a wrong passphrase and a damaged file look the same to them.
        tracing::debug!(?error, "refused");
        let exit = match &error {
            HostError::NoDataDir(_) => Exit::NoInstance,
            HostError::Locked(_)
            | HostError::BackupLocked
            | HostError::PassphraseNeeded
            | HostError::NoPassphrase { .. }
            | HostError::PassphraseUnfit(_) => Exit::Locked,
            HostError::AlreadyInitialised(_)
            | HostError::Exposed { .. }
            | HostError::NotOurs(_)
            | HostError::InUse(_)
            | HostError::NotABackup(_)
            | HostError::FileExists(_)
            | HostError::NewerVersion { .. }
            | HostError::Blob(_)
            | HostError::HoldsKeys(_)
            | HostError::Exists { .. }
            | HostError::Unsafe(_)
            | HostError::Reserved(_)
            | HostError::TooMuch { .. } => Exit::RefusedHere,
            _ => Exit::Failed,
        };
        Self::new(exit, error.code(), error.to_string())
    }
}

impl From<lama_identity::IdentityError> for Failure {
    fn from(error: lama_identity::IdentityError) -> Self {
        Self::new(Exit::RefusedByRule, error.code(), error.to_string())
    }
}
