//! The bodies of the fuzz targets, apart from the fuzzer: `tests/replay.rs` runs the committed corpus through them on
//! the stable compiler (here, and as a test of `lama-sim`), and `fuzz_targets/` hands them to the fuzzer.
//!
//! To add a target `x`: write its body in a module here, name it in [`TARGETS`], add `fuzz_targets/x.rs` (copy one) and its
//! `[[bin]]` in `Cargo.toml`, give it seeds in [`seeds`], and run `cargo run --example seeds`. Then
//! `cargo +nightly fuzz run x -- -max_total_time=600` from the root, and commit what is new in `corpus/x` after
//! `cargo +nightly fuzz cmin x`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod chum;
#[path = "../../lama-chum/tests/common/mod.rs"]
mod chum_common;
pub mod groups;
pub mod handshake;
#[path = "../../lama-handshake/tests/support/mod.rs"]
mod handshake_support;
pub mod invite;
pub mod lan;
pub mod object;
pub mod recon;
pub mod relay;
#[path = "../../lama-relay/tests/support/mod.rs"]
mod relay_support;
pub mod seeds;

/// The directory of this crate: the corpus lies in it.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What is run on an input. It panics where a promise is broken.
pub type Body = fn(&[u8]);

/// Every target: its name, which is that of its corpus too, and its body.
pub const TARGETS: &[(&str, Body)] = &[
    ("chum_frames", chum::frames),
    ("chum_pair", chum::pair),
    ("chum_round", recon::round),
    ("chum_sets", recon::sets),
    ("chum_wire", recon::wire),
    ("folder", chum::folder),
    ("recon_decoder", recon::decoder),
    ("recon_list", recon::list),
    ("invite_body", invite::body),
    ("invite_link", invite::link),
    ("invite_route", invite::route),
    ("lan_packets", lan::packets),
    ("handshake_message1", handshake::message1),
    ("handshake_message2", handshake::message2),
    ("handshake_message3", handshake::message3),
    ("auth_record", handshake::auth),
    ("ready_record", handshake::ready),
    ("group_frame", groups::frame),
    ("group_peer", groups::peer),
    ("debug_view", groups::debug),
    ("record", handshake::record),
    ("session", handshake::session),
    ("object_decode", object::decode),
    ("object_typed", object::typed),
    ("relay_frames", relay::frames),
    ("relay_server", relay::server),
];
