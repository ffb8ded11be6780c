//! Instances on a local network in virtual time: who finds whom, what a listener learns, what hostile packets do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use bytes::Bytes;
use lama_core::{Instant, Now, Seed, WallTime};
use lama_identity::InstanceId;
use lama_lan::wire::{self, Packet};
use lama_lan::{Interface, Lan, LanInput, LanKey, LanOutput, LanPeer, PORT, SLOT, Tag};

/// In the middle of a slot.
const WALL: u64 = 1_710_000_450_000;

struct Host {
    lan: Lan,
    address: Ipv4Addr,
    /// How far its wall clock is ahead, in milliseconds.
    ahead: i64,
    found: Vec<(InstanceId, SocketAddrV4)>,
}

struct Net {
    now: Duration,
    hosts: Vec<Host>,
    /// Everything that was sent: when, by whom, what.
    heard: Vec<(Duration, usize, Bytes)>,
}

fn id(n: u8) -> InstanceId {
    InstanceId([n; 32])
}

/// The secret of two, as both of them have it.
fn key(a: u8, b: u8) -> LanKey {
    LanKey::of(&[a ^ b ^ 0x5a; 32])
}

fn peer(me: u8, other: u8, sought: bool) -> LanPeer {
    LanPeer { instance: id(other), key: key(me, other), sought }
}

fn interface(n: u8) -> Interface {
    Interface { address: Ipv4Addr::new(192, 168, 1, n), mask: Ipv4Addr::new(255, 255, 255, 0) }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

impl Net {
    fn new(count: u8) -> Self {
        let mut net = Self { now: Duration::ZERO, hosts: Vec::new(), heard: Vec::new() };
        for n in 1..=count {
            let now = net.at(0);
            let lan = Lan::new(id(n), PORT, Seed::danger_fixed([n; 32]), now);
            let address = interface(n).address;
            net.hosts.push(Host { lan, address, ahead: 0, found: Vec::new() });
            net.tell(n, LanInput::Interfaces(vec![interface(n)]));
            net.tell(n, LanInput::Listening(Some(8000 + u16::from(n))));
        }
        net
    }

    fn at(&self, ahead: i64) -> Now {
        let wall = WALL + u64::try_from(self.now.as_millis()).unwrap();
        Now { mono: Instant::from_origin(self.now), wall: WallTime(wall.checked_add_signed(ahead).unwrap()) }
    }

    fn tell(&mut self, host: u8, input: LanInput<'_>) {
        let at = usize::from(host - 1);
        let now = self.at(self.hosts[at].ahead);
        self.hosts[at].lan.handle(now, input);
    }

    fn know(&mut self, host: u8, peers: Vec<LanPeer>) {
        self.tell(host, LanInput::Peers(peers));
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let due = self.hosts.iter().filter_map(|host| host.lan.poll_timeout()).min();
            let Some(due) = due.map(Instant::since_origin).filter(|due| *due <= end) else { break };
            self.now = self.now.max(due);
            for at in 0..self.hosts.len() {
                let now = self.at(self.hosts[at].ahead);
                self.hosts[at].lan.handle_timeout(now);
                while let Some(output) = self.hosts[at].lan.poll() {
                    match output {
                        LanOutput::Found { instance, address } => {
                            self.hosts[at].found.push((instance, address))
                        }
                        LanOutput::Send { interface, packet } => {
                            assert_eq!(interface, self.hosts[at].address);
                            assert!(packet.len() < 1300, "it fits into one frame");
                            self.heard.push((self.now, at, packet.clone()));
                            self.spread(SocketAddrV4::new(interface, PORT), &packet);
                        }
                    }
                }
            }
        }
        self.now = end;
    }

    /// Everybody hears it, the sender too.
    fn spread(&mut self, from: SocketAddrV4, packet: &[u8]) {
        for at in 0..self.hosts.len() {
            let now = self.at(self.hosts[at].ahead);
            let interface = self.hosts[at].address;
            self.hosts[at].lan.handle(now, LanInput::Packet { interface, from, bytes: packet });
        }
    }

    fn found(&self, host: u8) -> Vec<(InstanceId, SocketAddrV4)> {
        self.hosts[usize::from(host - 1)].found.clone()
    }

    fn questions(&self, host: usize) -> Vec<(Duration, Vec<Tag>)> {
        let of = |(at, who, packet): &(Duration, usize, Bytes)| match wire::read(packet) {
            Some(Packet::Questions(tags)) if *who == host => Some((*at, tags)),
            _ => None,
        };
        self.heard.iter().filter_map(of).collect()
    }

    fn answers(&self, host: usize) -> usize {
        let is = |packet: &Bytes| matches!(wire::read(packet), Some(Packet::Answers(_)));
        self.heard.iter().filter(|(_, who, packet)| *who == host && is(packet)).count()
    }
}

fn place(n: u8) -> SocketAddrV4 {
    SocketAddrV4::new(interface(n).address, 8000 + u16::from(n))
}

/// 1 and 2 know each other, 3 and 4 do.
fn two_pairs() -> Net {
    let mut net = Net::new(4);
    for (me, other) in [(1, 2), (2, 1), (3, 4), (4, 3)] {
        net.know(me, vec![peer(me, other, true)]);
    }
    net
}

#[test]
fn those_who_know_each_other_find_each_other_and_nobody_else() {
    let mut net = two_pairs();
    net.pass(secs(2));
    for (me, other) in [(1, 2), (2, 1), (3, 4), (4, 3)] {
        assert_eq!(net.found(me), [(id(other), place(other))], "{me}");
    }
}

#[test]
fn nobody_says_anything_unless_he_looks_for_somebody_or_is_asked_by_whom_he_knows() {
    let mut net = Net::new(3);
    net.know(1, vec![peer(1, 2, false)]);
    net.know(2, vec![peer(2, 1, false)]);
    net.know(3, vec![peer(3, 9, true)]);
    net.pass(secs(3600));
    assert!(net.heard.iter().all(|(_, who, _)| *who == 2), "3 looks for somebody who is not there");
    // Connected to 2 as far as 1 believes; 2 looks all the same, and is answered.
    net.know(2, vec![peer(2, 1, true)]);
    net.pass(secs(2));
    assert_eq!(net.found(2), [(id(1), place(1))]);
    assert!(net.found(1).is_empty());
}

#[test]
fn whoever_comes_later_or_moves_is_found_at_once_though_others_ask_rarely() {
    let mut net = Net::new(2);
    net.know(1, vec![peer(1, 2, true)]);
    net.pass(secs(3600));
    assert!(net.found(1).is_empty());
    net.know(2, vec![peer(2, 1, true)]);
    net.pass(secs(1));
    assert_eq!(net.found(2), [(id(1), place(1))]);
    // He moves to another address, and both look for each other again.
    net.pass(secs(10));
    let moved = Interface { address: Ipv4Addr::new(192, 168, 1, 77), ..interface(2) };
    net.hosts[1].address = moved.address;
    net.tell(2, LanInput::Interfaces(vec![moved]));
    net.pass(secs(2));
    assert_eq!(net.found(2).len(), 2);
    net.tell(1, LanInput::Changed);
    net.pass(secs(2));
    let at = SocketAddrV4::new(moved.address, 8002);
    assert_eq!(net.found(1).last(), Some(&(id(2), at)));
}

#[test]
fn clocks_that_are_less_than_a_slot_apart_understand_each_other() {
    let slot = i64::try_from(SLOT.as_millis()).unwrap();
    for (ahead, finds) in [(slot - 1000, true), (1000 - slot, true), (2 * slot, false), (-2 * slot, false)] {
        let mut net = two_pairs();
        net.hosts[1].ahead = ahead;
        net.tell(2, LanInput::Changed);
        net.pass(secs(3));
        assert_eq!(!net.found(1).is_empty(), finds, "{ahead} ms");
        assert_eq!(!net.found(2).is_empty(), finds, "{ahead} ms");
    }
}

#[test]
fn who_listens_nowhere_asks_and_does_not_answer() {
    let mut net = two_pairs();
    net.tell(1, LanInput::Listening(None));
    net.pass(secs(60));
    assert_eq!(net.found(1).first(), Some(&(id(2), place(2))));
    assert!(net.found(2).is_empty());
}

/// What is left of packets without names, proofs, addresses and ports.
fn frames(packets: &[Bytes]) -> BTreeSet<Vec<u8>> {
    let frame = |packet: &Bytes| {
        let mut left = packet.to_vec();
        let mut blank = |what: &[u8]| {
            let at = left.windows(what.len()).position(|stretch| stretch == what).unwrap();
            left[at..at + what.len()].fill(0);
        };
        let hex = |tag: Tag| data_encoding::HEXLOWER.encode(&tag.0);
        match wire::read(packet).unwrap() {
            Packet::Questions(tags) => tags.iter().for_each(|tag| blank(hex(*tag).as_bytes())),
            Packet::Answers(answers) => {
                for answer in answers {
                    blank(hex(answer.tag).as_bytes());
                    blank(&[answer.at.ip().octets().as_slice(), &answer.at.port().to_be_bytes()].concat());
                    blank(&answer.proof.0);
                }
            }
        }
        left
    };
    packets.iter().map(frame).collect()
}

/// All stretches of four bytes of what is in the frames: names and proofs.
fn contents(packets: &[Bytes]) -> BTreeSet<[u8; 4]> {
    let of = |packet: &Bytes| match wire::read(packet).unwrap() {
        Packet::Questions(tags) => tags.iter().map(|tag| tag.0).collect::<Vec<_>>(),
        Packet::Answers(answers) => {
            answers.iter().flat_map(|answer| [answer.tag.0, answer.proof.0]).collect()
        }
    };
    let four = |stretch: &[u8]| stretch.try_into().unwrap();
    packets.iter().flat_map(of).flat_map(|one| one.windows(4).map(four).collect::<Vec<_>>()).collect()
}

/// A listener on two networks, on two days: nothing of what an instance sends shows that it is the same one.
#[test]
fn nothing_in_two_slots_shows_that_it_is_the_same_instance() {
    let mut net = two_pairs();
    net.pass(secs(60));
    let first: Vec<Bytes> =
        net.heard.drain(..).filter(|(_, who, _)| *who < 2).map(|(.., packet)| packet).collect();
    // Another day, another network; only who they are is the same.
    net.pass(SLOT * 96);
    net.heard.clear();
    for (n, host) in [(1_u8, 0), (2, 1)] {
        let moved =
            Interface { address: Ipv4Addr::new(10, 9, 8, 100 + n), mask: Ipv4Addr::new(255, 0, 0, 0) };
        net.hosts[host].address = moved.address;
        net.tell(n, LanInput::Interfaces(vec![moved]));
        net.tell(n, LanInput::Listening(Some(40_000 + u16::from(n) * 1_111)));
    }
    net.tell(3, LanInput::Changed);
    net.tell(4, LanInput::Changed);
    net.pass(secs(60));
    let (theirs, others): (Vec<_>, Vec<_>) = net.heard.drain(..).partition(|(_, who, _)| *who < 2);
    let packets =
        |list: Vec<(Duration, usize, Bytes)>| list.into_iter().map(|(.., packet)| packet).collect::<Vec<_>>();
    let (second, others) = (packets(theirs), packets(others));
    assert!(first.len() > 5 && second.len() > 5 && !others.is_empty());
    // The frames are those of everybody, and what is in them never comes again.
    let everybodys = frames(&others);
    assert!(frames(&first).is_subset(&everybodys) && frames(&second).is_subset(&everybodys));
    assert!(contents(&first).len() > 200 && contents(&first).is_disjoint(&contents(&second)));
    // And nothing that follows from who they are without the secret.
    let hex = |n: u8| data_encoding::HEXLOWER.encode(&[n; 32]);
    for packet in first.iter().chain(&second) {
        for n in [1_u8, 2] {
            assert!(!packet.windows(8).any(|stretch| stretch == [n; 8]));
            assert!(!packet.windows(16).any(|stretch| hex(n).as_bytes().starts_with(stretch)));
        }
    }
}

#[test]
fn how_many_are_sought_shows_in_steps_of_eight_only() {
    let mut counts = Vec::new();
    for sought in [1, 5, 8, 9] {
        let mut net = Net::new(1);
        net.know(1, (0..sought).map(|n| peer(1, 100 + n, true)).collect());
        net.pass(secs(10));
        let rounds = net.questions(0);
        assert!(
            rounds.windows(2).all(|pair| pair[0].1 == pair[1].1),
            "the same names in one slot, false ones too"
        );
        assert!(rounds[0].1.is_sorted(), "their order says nothing");
        counts.push(rounds[0].1.len());
    }
    assert_eq!(counts, [8, 8, 8, 16]);
}

#[test]
fn rounds_become_rare_and_never_follow_each_other_within_a_second() {
    let mut net = Net::new(1);
    net.know(1, vec![peer(1, 2, true)]);
    for _ in 0..50 {
        net.tell(1, LanInput::Changed);
        net.pass(Duration::from_millis(100));
    }
    net.pass(secs(24 * 3600));
    let rounds = net.questions(0);
    assert!(rounds.windows(2).all(|pair| pair[1].0 - pair[0].0 >= secs(1)));
    assert!((200..400).contains(&rounds.len()), "{} rounds in a day", rounds.len());
}

#[test]
fn of_very_many_all_have_their_turn() {
    let mut net = Net::new(1);
    let many: Vec<LanPeer> = (0..1000_u16)
        .map(|n| {
            let [high, low] = n.to_be_bytes();
            let mut instance = [0xee; 32];
            instance[..2].copy_from_slice(&[high, low]);
            LanPeer { instance: InstanceId(instance), key: LanKey::of(&instance), sought: true }
        })
        .collect();
    net.know(1, many);
    net.pass(secs(800));
    let mut names = BTreeSet::new();
    for (_, tags) in net.questions(0) {
        names.extend(tags);
    }
    assert!(names.len() >= 1000, "{}", names.len());
}

#[test]
fn hostile_packets_do_nothing() {
    let mut net = two_pairs();
    net.pass(secs(60));
    let seen: Vec<Bytes> = net.heard.iter().map(|(.., packet)| packet.clone()).collect();
    let theirs = |(_, who, packet): &&(Duration, usize, Bytes)| {
        *who == 1 && matches!(wire::read(packet), Some(Packet::Answers(_)))
    };
    let answer = net.heard.iter().find(theirs).unwrap().2.clone();
    // What 1 finds by a packet, as if it had found nobody before.
    let mut finds = |from: SocketAddrV4, packet: &[u8]| {
        for host in 1..=4_u8 {
            net.know(host, Vec::new());
        }
        net.know(1, vec![peer(1, 2, true)]);
        net.hosts[0].found.clear();
        net.spread(from, packet);
        net.pass(Duration::ZERO);
        net.found(1)
    };
    let (ben, mallory) = (SocketAddrV4::new(interface(2).address, PORT), interface(200).address);
    assert_eq!(finds(ben, &answer), [(id(2), place(2))], "as it was");
    assert_eq!(finds(SocketAddrV4::new(mallory, PORT), &answer), [], "from elsewhere");
    let (name, said) = (13..45, answer.len() - 22..answer.len());
    for at in 12..answer.len() {
        let mut changed = answer.to_vec();
        changed[at] ^= 1;
        assert_eq!(finds(SocketAddrV4::new(mallory, PORT), &changed), [], "byte {at}, from elsewhere");
        let found = finds(ben, &changed);
        // The rest of it, such as how long it may be kept, says nothing of where he is.
        let matters = name.contains(&at) || said.contains(&at);
        assert!(found.is_empty() || (!matters && found == [(id(2), place(2))]), "byte {at}: {found:?}");
    }
    // His own address in it, as long as he has no proof for that.
    let mut changed = answer.to_vec();
    changed[said.start..said.start + 4].copy_from_slice(&mallory.octets());
    assert_eq!(finds(SocketAddrV4::new(mallory, PORT), &changed), []);
    // From beyond the network, or from a port where nobody speaks this; and as it should be.
    let question =
        seen.iter().find(|packet| matches!(wire::read(packet), Some(Packet::Questions(_)))).unwrap();
    let beyond = SocketAddrV4::new([192, 168, 2, 9].into(), PORT);
    let port = SocketAddrV4::new(interface(9).address, 4000);
    let right = SocketAddrV4::new(interface(9).address, PORT);
    for (from, answers) in [(beyond, 0), (port, 0), (right, 1)] {
        let mut net = two_pairs();
        for (me, other) in [(1, 2), (2, 1), (3, 4), (4, 3)] {
            net.know(me, vec![peer(me, other, false)]);
        }
        net.spread(from, question);
        net.pass(secs(1));
        assert_eq!((0..4).map(|host| net.answers(host)).sum::<usize>(), answers, "{from}");
    }
}

#[test]
fn a_question_that_is_repeated_without_end_is_answered_once_a_second() {
    let mut net = two_pairs();
    net.pass(secs(200));
    let question = net.questions(0).last().unwrap().1.clone();
    let packet = net
        .heard
        .iter()
        .rev()
        .find(|(.., packet)| wire::read(packet) == Some(Packet::Questions(question.clone())));
    let packet = packet.unwrap().2.clone();
    net.heard.clear();
    let mallory = SocketAddrV4::new(interface(200).address, PORT);
    for _ in 0..1_000 {
        net.spread(mallory, &packet);
        net.pass(Duration::from_millis(10));
    }
    assert!((5..=10).contains(&net.answers(1)), "{} answers in 10 s", net.answers(1));
}

proptest::proptest! {
    /// Any bytes, and true packets with any stretch put in another place: nobody is found, and who listens nowhere says nothing.
    #[test]
    fn any_bytes_find_nobody(bytes: Vec<u8>, from in 0..400_usize, to in 0..400_usize, len in 0..40_usize) {
        let mut net = two_pairs();
        net.pass(secs(2));
        let mut packets: Vec<Vec<u8>> = net.heard.drain(..).map(|(.., packet)| packet.to_vec()).collect();
        for packet in &mut packets {
            let (from, to) = (from.min(packet.len()), to.min(packet.len()));
            let len = len.min(packet.len() - from.max(to));
            packet.copy_within(from..from + len, to);
        }
        packets.push(bytes);
        let mut net = two_pairs();
        for (me, other) in [(1, 2), (2, 1), (3, 4), (4, 3)] {
            net.tell(me, LanInput::Listening(None));
            net.know(me, vec![peer(me, other, true)]);
        }
        for packet in &packets {
            net.spread(SocketAddrV4::new(interface(200).address, PORT), packet);
        }
        net.pass(secs(1));
        for host in 1..=4 {
            proptest::prop_assert!(net.found(host).is_empty());
            proptest::prop_assert_eq!(net.answers(usize::from(host) - 1), 0);
        }
    }
}

#[test]
fn the_same_inputs_give_the_same_packets() {
    let run = || {
        let mut net = two_pairs();
        net.pass(secs(300));
        net.heard
    };
    assert_eq!(run(), run());
}
