//! What can go wrong around a node.

use std::io;

use lama_node::NodeError;

/// Why the loop did not start, or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetError {
    /// The port is taken by another program.
    PortTaken {
        /// Which.
        port: u16,
    },
    /// The port cannot be listened on.
    Bind {
        /// Which.
        port: u16,
        /// What the operating system said.
        kind: io::ErrorKind,
    },
    /// The operating system gave no entropy.
    NoEntropy,
    /// The operating system gave no thread, or the runtime could not be started.
    Thread {
        /// What it said.
        kind: io::ErrorKind,
    },
    /// The store's thread has died.
    StoreGone,
    /// The node ended.
    Node(NodeError),
}

impl NetError {
    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::PortTaken { .. } => "port-taken",
            Self::Bind { .. } => "bind",
            Self::NoEntropy => "no-entropy",
            Self::Thread { .. } => "thread",
            Self::StoreGone => "store-gone",
            Self::Node(error) => error.code(),
        }
    }
}

impl core::fmt::Display for NetError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::PortTaken { port } => {
                write!(f, "port {port} is taken by another program; stop that one, or choose another port")
            }
            Self::Bind { port, kind } => {
                write!(f, "port {port} cannot be listened on ({kind}); choose another one")
            }
            Self::NoEntropy => f.write_str("the operating system gives no random numbers; try again later"),
            Self::Thread { kind } => {
                write!(f, "the operating system gives no thread or socket ({kind}); close other programs")
            }
            Self::StoreGone => f.write_str("the store has stopped unexpectedly; start again"),
            Self::Node(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for NetError {}

impl From<NodeError> for NetError {
    fn from(error: NodeError) -> Self {
        Self::Node(error)
    }
}
