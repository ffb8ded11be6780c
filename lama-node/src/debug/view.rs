//! What is asked and told, as bytes: canonical DAG-CBOR maps.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_identity::{EncodingError, LogHead, cbor};
use serde::{Deserialize, Serialize};

/// The version of question and answer.
const VERSION: u8 = 1;

/// The question: how do you see our session?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    v: u8,
}

impl Default for Ask {
    fn default() -> Self {
        Self { v: VERSION }
    }
}

impl Ask {
    /// Reads a question.
    ///
    /// # Errors
    /// [`EncodingError`]: not canonical, another shape, or another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EncodingError> {
        let ask: Self = cbor::decode(bytes)?;
        if ask.v == VERSION { Ok(ask) } else { Err(EncodingError::Shape) }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// None in practice: its parts are bounded.
    pub fn to_bytes(&self) -> Result<Bytes, EncodingError> {
        cbor::encode(self)
    }
}

/// The answer: how an instance sees its session with whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct View {
    v: u8,
    /// Its clock, in milliseconds since the Unix epoch.
    pub at: u64,
    /// How long the session has been up, in milliseconds.
    pub age: u64,
    /// The end of the asking person's log as it has it; seq 0: nothing of it.
    pub head: LogHead,
    /// What it found wrong or right with itself: stable codes, each with 0 good, 1 warning, 2 error.
    pub items: Vec<(String, u8)>,
    /// The version of its program.
    pub program: String,
    /// Whether both sides hold the same, as it sees it.
    pub in_sync: bool,
    /// Whether it dialled.
    pub dialled: bool,
    /// Whether the session goes through a relay.
    pub relayed: bool,
    /// The lowest and the highest version of the protocol that it speaks.
    pub versions: (u16, u16),
    /// The last round trip that it has measured, in microseconds.
    pub round_trip: Option<u64>,
}

impl View {
    /// The longest answer in bytes.
    pub const MAX_BYTES: usize = 8 << 10;
    /// The most items.
    pub const MAX_ITEMS: usize = 64;
    const MAX_TEXT: usize = 48;

    /// A view of a session that says nothing yet.
    #[must_use]
    pub fn new(at: u64, versions: (u16, u16)) -> Self {
        Self {
            v: VERSION,
            at,
            age: 0,
            head: LogHead::default(),
            items: Vec::new(),
            program: String::new(),
            in_sync: false,
            dialled: false,
            relayed: false,
            versions,
            round_trip: None,
        }
    }

    /// Reads an answer. Its texts are short and of plain characters: they may reach a terminal as they are.
    ///
    /// # Errors
    /// [`EncodingError`]: not canonical, another shape or version, or beyond a limit.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EncodingError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(EncodingError::Size { limit: Self::MAX_BYTES });
        }
        let view: Self = cbor::decode(bytes)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'+');
        let is_text = |text: &str| text.len() <= Self::MAX_TEXT && text.bytes().all(is_plain);
        let items = view.items.len() <= Self::MAX_ITEMS
            && view.items.iter().all(|(code, severity)| !code.is_empty() && is_text(code) && *severity <= 2);
        let holds =
            view.v == VERSION && items && is_text(&view.program) && view.versions.0 <= view.versions.1;
        if holds { Ok(view) } else { Err(EncodingError::Shape) }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// None in practice: its parts are bounded.
    pub fn to_bytes(&self) -> Result<Bytes, EncodingError> {
        cbor::encode(self)
    }
}
