//! Writes the test vectors of the local network: `cargo run -p lama-lan --example lama-lan-vectors -- DIR` makes
//! `DIR/lan/*.json`. The same bytes every time. `docs/protocol/lan.md` explains the fields.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use data_encoding::HEXLOWER;
use lama_core::{Instant, Now, Seed, WallTime};
use lama_identity::InstanceId;
use lama_lan::wire::{Packet, read};
use lama_lan::{Interface, Lan, LanInput, LanKey, LanOutput, LanPeer, PORT};
use serde_json::{Value, json};

/// The first second of slot 1,900,000.
const BEGIN: u64 = 1_710_000_000;

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// 00 01 .. 1f.
fn pair_key() -> [u8; 32] {
    std::array::from_fn(|at| u8::try_from(at).expect("below 32"))
}

/// One of the two: its machine, where it is, and what its clocks say.
struct Host {
    lan: Lan,
    id: InstanceId,
    address: Ipv4Addr,
    start: u64,
    millis: u64,
}

impl Host {
    fn new(me: u8, other: u8, start: u64) -> Self {
        let (id, address) = (InstanceId([me; 32]), Ipv4Addr::new(192, 0, 2, me));
        let (seed, begin) =
            (Seed::danger_fixed([me; 32]), Now { mono: Instant::ORIGIN, wall: WallTime(start * 1000) });
        let mut host = Self { lan: Lan::new(id, PORT, seed, begin), id, address, start, millis: 0 };
        let here = Interface { address, mask: Ipv4Addr::new(255, 255, 255, 0) };
        let peer = LanPeer { instance: InstanceId([other; 32]), key: LanKey::of(&pair_key()), sought: true };
        host.lan.handle(begin, LanInput::Interfaces(vec![here]));
        host.lan.handle(begin, LanInput::Listening(Some(8765)));
        host.lan.handle(begin, LanInput::Peers(vec![peer]));
        host
    }

    fn now(&self) -> Now {
        let mono = Instant::from_origin(Duration::from_millis(self.millis));
        Now { mono, wall: WallTime(self.start * 1000 + self.millis) }
    }

    /// The packet that it sends next.
    fn sends(&mut self) -> Vec<u8> {
        loop {
            self.lan.handle_timeout(self.now());
            if let Some(LanOutput::Send { packet, .. }) = self.lan.poll() {
                return packet.to_vec();
            }
            self.millis += 1;
        }
    }

    fn hears(&mut self, from: &Self, bytes: &[u8]) {
        let from = SocketAddrV4::new(from.address, PORT);
        self.lan.handle(self.now(), LanInput::Packet { interface: self.address, from, bytes });
    }
}

/// One asks, the other answers, and the first believes it.
fn found(asks: u8, answers: u8, start: u64) -> Value {
    let (mut asker, mut answerer) = (Host::new(asks, answers, start), Host::new(answers, asks, start));
    // It has asked, too, and is not about to.
    answerer.sends();
    let question = asker.sends();
    answerer.hears(&asker, &question);
    let answer = answerer.sends();
    asker.hears(&answerer, &answer);
    let (Some(Packet::Questions(tags)), Some(Packet::Answers(told))) = (read(&question), read(&answer))
    else {
        panic!("not a question and an answer")
    };
    let [told] = told.as_slice() else { panic!("not one answer") };
    assert!(tags.contains(&told.tag));
    assert_eq!(asker.lan.poll(), Some(LanOutput::Found { instance: answerer.id, address: told.at }));
    json!({
        "pair_key": hex(&pair_key()), "unix_seconds": start,
        "asker": hex(&asker.id.0), "answerer": hex(&answerer.id.0),
        "question": hex(&told.tag.0), "at": told.at.to_string(), "proof": hex(&told.proof.0),
        "question_packet": hex(&question), "answer_packet": hex(&answer),
    })
}

/// Every file below `vectors/`, without its ending.
pub(crate) fn files() -> Vec<(&'static str, Value)> {
    let found =
        json!([found(2, 1, BEGIN), found(1, 2, BEGIN), found(2, 1, BEGIN + 899), found(2, 1, BEGIN + 900)]);
    vec![("lan/found", found)]
}

/// Writes them; in another program's tests they are only compared.
#[allow(dead_code)]
fn main() {
    let dir = PathBuf::from(std::env::args().nth(1).expect("usage: vectors DIR"));
    for (name, value) in files() {
        let text = serde_json::to_string_pretty(&value).expect("plain data") + "\n";
        let path = dir.join(name).with_extension("json");
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the directory can be made");
        std::fs::write(path, text).expect("the file can be written");
    }
}
