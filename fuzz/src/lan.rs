//! Packets on the local network, as anybody can send them.

use std::net::{Ipv4Addr, SocketAddrV4};

use lama_core::{Instant, Now, Seed, WallTime};
use lama_identity::InstanceId;
use lama_lan::{Interface, Lan, LanInput, LanKey, LanOutput, LanPeer, PORT};

const HERE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
const OTHER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 168, 1, 2), PORT);

fn at(seconds: u64) -> Now {
    let wall = WallTime::from_unix_seconds(1_710_000_000 + seconds);
    Now { mono: Instant::from_origin(std::time::Duration::from_secs(seconds)), wall }
}

/// One who looks for another one, and is heard of by nobody else.
fn lan(me: u8, other: u8) -> Lan {
    let mut lan = Lan::new(InstanceId([me; 32]), PORT, Seed::danger_fixed([me; 32]), at(0));
    let mask = Ipv4Addr::new(255, 255, 255, 0);
    let address = Ipv4Addr::new(192, 168, 1, me);
    lan.handle(at(0), LanInput::Interfaces(vec![Interface { address, mask }]));
    lan.handle(at(0), LanInput::Listening(Some(8765)));
    let (instance, key) = (InstanceId([other; 32]), LanKey::of(&[9; 32]));
    lan.handle(at(0), LanInput::Peers(vec![LanPeer { instance, key, sought: true }]));
    lan
}

/// Nobody is found by a packet that was made without the secret, no packet is answered by more than one, and the bytes
/// of one packet mean the same whenever they are read.
pub fn packets(data: &[u8]) {
    assert_eq!(lama_lan::wire::read(data), lama_lan::wire::read(data));
    let mut lan = lan(1, 2);
    lan.handle_timeout(at(1));
    while lan.poll().is_some() {}
    lan.handle(at(1), LanInput::Packet { interface: HERE, from: OTHER, bytes: data });
    lan.handle_timeout(at(2));
    let mut answers = 0;
    while let Some(output) = lan.poll() {
        match output {
            LanOutput::Found { .. } => {
                assert!(data == answer().as_slice() || proved(data), "found by {data:?}")
            }
            LanOutput::Send { packet, .. } => {
                answers += usize::from(packet.get(2).is_some_and(|byte| byte & 0x80 != 0))
            }
        }
    }
    assert!(answers <= 1);
}

/// Whether all that matters of the true answer is in it: a packet may say more beside that.
fn proved(data: &[u8]) -> bool {
    let true_answer = answer();
    let proof = true_answer.get(true_answer.len().saturating_sub(16)..).unwrap_or_default();
    data.windows(16).any(|stretch| stretch == proof)
}

/// What the two would send to each other: a question of 1, and the answer of 2.
fn exchange() -> Vec<Vec<u8>> {
    let (mut asks, mut answers) = (lan(1, 2), lan(2, 1));
    asks.handle_timeout(at(1));
    let mut all = Vec::new();
    while let Some(output) = asks.poll() {
        let LanOutput::Send { packet, .. } = output else { continue };
        let (interface, from) = (*OTHER.ip(), SocketAddrV4::new(HERE, PORT));
        answers.handle(at(1), LanInput::Packet { interface, from, bytes: &packet });
        all.push(packet.to_vec());
    }
    answers.handle_timeout(at(2));
    while let Some(output) = answers.poll() {
        if let LanOutput::Send { packet, .. } = output {
            all.push(packet.to_vec());
        }
    }
    all
}

/// The last of them that is an answer.
fn answer() -> Vec<u8> {
    let is = |packet: &Vec<u8>| packet.get(2).is_some_and(|byte| byte & 0x80 != 0);
    exchange().into_iter().rfind(is).unwrap_or_default()
}

/// The packets of two who find each other, and of other programs.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let question = exchange().into_iter().next().unwrap_or_default();
    // A browser for printers, as the RFC has it: a question for PTR, with the answer that it knows.
    let mut printers = vec![0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0];
    printers.extend(b"\x04_ipp\x04_tcp\x05local\0\x00\x0c\x00\x01");
    printers.extend(b"\xc0\x0c\x00\x0c\x00\x01\x00\x00\x00\x78\x00\x05\x02pr\xc0\x0c");
    vec![("question", question), ("answer", answer()), ("printers", printers)]
}
