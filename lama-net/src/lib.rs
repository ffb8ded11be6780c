//! One event loop around one [`Node`](lama_node::Node), generic over runtime and transport.
//!
//! This crate decides how bytes, time, entropy, signatures and storage reach a node: WebSockets bounded from the
//! first byte, a store on a thread of its own with one commit for all that waits, and a [`Handle`] for
//! applications. It refuses to know any rule of the protocol, and any runtime: `lama-net-tokio` and `lama-net-smol`
//! implement [`Runtime`] in some 200 lines each. TLS for `wss` is here, once for both.
//!
//! One pass of the loop: local outputs, due timers, finished jobs, new links, calls of applications; then each link
//! on which something happened has a turn: frames out while it has room, frames in while the node wants them, a
//! flush when nothing is left to send. Writing never waits for reading, nor reading for writing. What a pass costs
//! depends on what happened, not on how many links there are. Every turn and every pass has a budget; then the
//! runtime gets control.
//!
//! ```no_run
//! use lama_net::{Options, Parts, Runtime};
//! use lama_node::{Command, Event};
//!
//! async fn until_stopped<R: Runtime>(runtime: R, parts: Parts) -> Result<(), Box<dyn std::error::Error>> {
//!     let (handle, mut events, event_loop) = lama_net::prepare(runtime.clone(), parts, Options::default())?;
//!     runtime.spawn(async { drop(event_loop.await) });
//!     println!("{:?}", handle.command(Command::Contacts).await?);
//!     while let Some(Ok(event)) = events.next().await {
//!         println!("{event:?}");
//!     }
//!     Ok(handle.ended().await?)
//! }
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod addresses;
mod behind;
mod config;
mod connection;
mod dial;
mod error;
mod event_loop;
mod gate;
mod guard;
mod handle;
mod lan;
mod link;
mod listen;
mod metrics;
mod peer;
mod proxy;
mod relay;
mod runtime;
mod site;
mod storage;
mod tls;
mod trace;
pub mod upgrade;
mod wake;

pub use addresses::local_addresses;
pub use config::{Options, Parts, RelayHome, Signer};
pub use connection::{Connection, Incoming};
pub use dial::{Dialer, dial, dial_route};
pub use error::NetError;
pub use event_loop::{EventLoop, prepare};
pub use gate::GateConfig;
pub use guard::{FrameRefused, Guard};
pub use handle::{Events, Handle, Lagged};
pub use lan::LanOptions;
pub use link::{Link, MAX_MESSAGE};
pub use listen::Listen;
pub use metrics::Counters;
pub use proxy::Proxies;
pub use relay::{RelayHandle, RelayLoop, RelayParts, prepare_relay};
pub use runtime::{Alarm, Datagrams, Runtime, Wire};
pub use site::{Site, SiteFile};
pub use storage::Storage;
pub use tls::{CertificateFault, TlsClient, TlsFilesError, TlsServer, inspect_certificate};
