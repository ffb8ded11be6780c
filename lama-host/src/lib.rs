//! What a real process needs around a LAMA node: a private data directory, keys at rest, passphrases, folders, and a
//! control socket.
//!
//! This crate decides where files lie, who may read them, how they are replaced without ever being lost, and which
//! files of a folder are shared. It refuses to know any rule of the protocol, and any runtime: it blocks, and
//! programs put it on a thread.
//!
//! ```
//! use lama_host::{DataDir, Disk, keyfile};
//! use zeroize::Zeroizing;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let temp = tempfile::tempdir()?;
//! let dir = DataDir::create(&temp.path().join("data"))?; // 0700, or refused
//! let _lock = dir.lock()?; // one process at a time
//! let secret = ("instance".to_owned(), Zeroizing::new(vec![1, 2, 3]));
//! keyfile::store(&mut Disk, &dir.keys(), &[0; 32], None, keyfile::Cost::default(), &[secret.clone()])?;
//! let (_owner, secrets) = keyfile::open(&mut Disk, &dir.keys(), None)?;
//! assert_eq!(secrets, vec![secret]);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

pub mod backup;
pub mod control;
pub mod data_dir;
pub mod entropy;
pub mod error;
pub mod files;
pub mod folder;
pub mod get;
pub mod keyfile;
pub mod machine;
pub mod objects;
pub mod passphrase;
pub mod process;
pub mod service;

pub use data_dir::{DataDir, Lock};
pub use error::HostError;
pub use files::{Disk, Files};
pub use passphrase::Passphrase;
