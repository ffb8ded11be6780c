//! Health as data.

use alloc::borrow::ToOwned as _;
use alloc::string::String;

use lama_identity::PersonId;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It is as it should be.
    Good,
    /// It works, and somebody may miss something.
    Warning,
    /// Something does not work, or must not be as it is.
    Error,
}

impl Severity {
    /// A stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthItem {
    /// Stable, for programs.
    pub code: &'static str,
    /// In a few words. Escape it before it reaches a terminal.
    pub title: String,
    /// What exactly was found; may be empty.
    pub text: String,
    /// How bad it is.
    pub severity: Severity,
    /// What to do; empty where nothing has to be done.
    pub remedy: String,
    /// Whom it is about, if it is about a contact.
    pub person: Option<PersonId>,
}

impl HealthItem {
    /// Something that is not as it should be.
    #[must_use]
    pub fn new(severity: Severity, code: &'static str, title: &str, text: String, remedy: &str) -> Self {
        Self { code, title: title.to_owned(), text, severity, remedy: remedy.to_owned(), person: None }
    }

    /// The same, about a contact.
    #[must_use]
    pub fn about(
        person: PersonId,
        severity: Severity,
        code: &'static str,
        title: String,
        text: String,
        remedy: &str,
    ) -> Self {
        Self { code, title, text, severity, remedy: remedy.to_owned(), person: Some(person) }
    }

    /// Something that is as it should be.
    #[must_use]
    pub fn good(code: &'static str, title: &str, text: String) -> Self {
        Self::new(Severity::Good, code, title, text, "")
    }
}
