//! Connections of groups: what is agreed to, in which order it travels, and every rule that a peer can break.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use lama_core::Ticket;
use lama_handshake::Role;
use lama_handshake::groups::{
    ConnectionLimits, Connections, Frame, GroupError, GroupName, Happened, MAX_CONNECTIONS, MAX_CREDIT,
    MAX_GROUP_MESSAGE, MESSAGE_COST, MIN_CREDIT, RefuseCode, SendError,
};
use proptest::prelude::*;

fn name(text: &str) -> GroupName {
    GroupName::new(text).unwrap()
}

fn sides() -> [Connections; 2] {
    [Role::Initiator, Role::Responder].map(|role| Connections::new(role, ConnectionLimits::default()))
}

fn poll(side: &mut Connections) -> Option<Bytes> {
    let mut out = BytesMut::new();
    side.poll_frame(&mut out).map(|_| out.freeze())
}

/// Everything that `from` has to say, to `to`; what happened there.
fn pass(from: &mut Connections, to: &mut Connections) -> Vec<Happened> {
    let mut seen = Vec::new();
    while let Some(frame) = poll(from) {
        seen.push(to.receive(frame).unwrap());
    }
    seen
}

fn bytes(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    frame.write(&mut out);
    out.freeze()
}

/// Two sides with one open connection of the first one's.
fn connected() -> ([Connections; 2], u32) {
    let [mut a, mut b] = sides();
    let number = a.open(name("chess")).unwrap();
    assert_eq!(pass(&mut a, &mut b), [Happened::Asked { number, group: name("chess") }]);
    b.accept(number);
    assert_eq!(pass(&mut b, &mut a), [Happened::Accepted { number }]);
    ([a, b], number)
}

#[test]
fn names_are_short_and_plain() {
    for good in ["a", "chess", "org.example.chess-2", &"a".repeat(32)] {
        assert_eq!(name(good).as_str(), good);
    }
    for bad in ["", "Chess", "2chess", ".a", "a b", "a/b", "ä", &"a".repeat(33)] {
        assert_eq!(GroupName::new(bad), None, "{bad}");
    }
}

#[test]
fn frames_are_read_as_they_are_written_and_nothing_else_is_one() {
    let message = Bytes::from(vec![7; MAX_GROUP_MESSAGE]);
    let frames = [
        Frame::Open { number: 2, credit: MIN_CREDIT, group: name("chess") },
        Frame::Accept { number: 3, credit: MAX_CREDIT },
        Frame::Refuse { number: 4, code: RefuseCode::NotServed },
        Frame::Refuse { number: 4, code: RefuseCode::Other(9) },
        Frame::Message { number: u32::MAX, message },
        Frame::Message { number: 0, message: Bytes::new() },
        Frame::Credit { number: 5, credit: 1 },
        Frame::Close { number: 6 },
    ];
    for frame in frames {
        let written = bytes(&frame);
        assert_eq!(Frame::read(written.clone()), Ok(frame.clone()));
        if !matches!(frame, Frame::Message { .. } | Frame::Open { .. }) {
            for len in 0..written.len() {
                assert_eq!(Frame::read(written.slice(..len)), Err(GroupError::Malformed));
            }
            assert_eq!(Frame::read([&written[..], &[0]].concat().into()), Err(GroupError::Malformed));
        }
    }
    let wrong: [&[u8]; 5] =
        [b"", b"\x04\0\0\0", b"\x00\0\0\0\0", b"\x07\0\0\0\0", b"\x01\0\0\0\0\0\x01\0\x3cChess"];
    for frame in wrong {
        assert_eq!(Frame::read(Bytes::copy_from_slice(frame)), Err(GroupError::Malformed), "{frame:?}");
    }
    let long = [&[4, 0, 0, 0, 0][..], &vec![0; MAX_GROUP_MESSAGE + 1]].concat();
    assert_eq!(Frame::read(long.into()), Err(GroupError::Malformed));
}

#[test]
fn a_connection_opens_carries_messages_both_ways_and_ends_once_for_both() {
    let ([mut a, mut b], number) = connected();
    a.send(number, Some(Ticket(1)), Bytes::from_static(b"e4")).unwrap();
    b.send(number, Some(Ticket(2)), Bytes::from_static(b"e5")).unwrap();
    let mut out = BytesMut::new();
    assert_eq!(a.poll_frame(&mut out).unwrap().sent, Some(Ticket(1)), "who waits is told when it leaves");
    let cost = 2 + MESSAGE_COST;
    let heard = |message| Happened::Message { number, message, cost };
    assert_eq!(b.receive(out.freeze()), Ok(heard(Bytes::from_static(b"e4"))));
    assert_eq!(pass(&mut b, &mut a), [heard(Bytes::from_static(b"e5"))]);
    // What waits leaves before the farewell; what comes behind the own farewell is dropped.
    a.send(number, None, Bytes::from_static(b"last")).unwrap();
    a.close(number);
    assert_eq!(a.send(number, None, Bytes::new()), Err(SendError::NotOpen));
    b.send(number, Some(Ticket(3)), Bytes::from_static(b"unread")).unwrap();
    let frame = poll(&mut b).unwrap();
    assert_eq!(a.receive(frame), Ok(Happened::Nothing));
    b.send(number, Some(Ticket(4)), Bytes::from_static(b"never sent")).unwrap();
    let seen = pass(&mut a, &mut b);
    assert!(matches!(&seen[0], Happened::Message { message, .. } if message == "last"));
    assert_eq!(seen[1], Happened::Closed { number, dropped: vec![Ticket(4)] });
    assert_eq!(pass(&mut b, &mut a), [Happened::Nothing]);
    // The number is spent on both sides.
    let close = bytes(&Frame::Close { number });
    assert_eq!(a.receive(close.clone()), Err(GroupError::Number));
    assert_eq!(b.receive(close), Err(GroupError::Number));
}

#[test]
fn a_refusal_says_why_and_spends_the_number() {
    let [mut a, mut b] = sides();
    let number = b.open(name("chess")).unwrap();
    pass(&mut b, &mut a);
    a.refuse(number, RefuseCode::NotServed);
    assert_eq!(pass(&mut a, &mut b), [Happened::Refused { number, code: RefuseCode::NotServed }]);
    assert_eq!(b.open(name("chess")), Some(number + 2));
}

#[test]
fn whoever_is_not_read_waits_and_the_others_do_not() {
    let ([mut a, mut b], slow) = connected();
    let fast = a.open(name("talk")).unwrap();
    pass(&mut a, &mut b);
    b.accept(fast);
    pass(&mut b, &mut a);
    let long = Bytes::from(vec![1; MAX_GROUP_MESSAGE]);
    let mut taken = 0;
    while a.send(slow, None, long.clone()).is_ok() {
        taken += 1;
    }
    assert_eq!(a.send(slow, None, long.clone()), Err(SendError::Full));
    assert_eq!(a.send(slow, None, vec![1; MAX_GROUP_MESSAGE + 1].into()), Err(SendError::TooLong));
    assert_eq!(pass(&mut a, &mut b).len(), taken);
    // Its credit is used up; the other connection goes on.
    a.send(slow, Some(Ticket(9)), long.clone()).unwrap();
    a.send(fast, None, Bytes::from_static(b"hi")).unwrap();
    let seen = pass(&mut a, &mut b);
    assert!(matches!(&seen[..], [Happened::Message { number, .. }] if *number == fast), "{seen:?}");
    // One that is read makes room for one.
    b.taken(slow, MAX_GROUP_MESSAGE as u32 + MESSAGE_COST);
    assert_eq!(pass(&mut b, &mut a), [Happened::Nothing]);
    let mut out = BytesMut::new();
    assert_eq!(a.poll_frame(&mut out).unwrap().sent, Some(Ticket(9)));
    // More credit than was used does not arise.
    b.taken(fast, u32::MAX);
    assert!(pass(&mut b, &mut a).len() <= 1);
    // And at the end those who wait are named.
    a.send(slow, Some(Ticket(10)), long).unwrap();
    assert_eq!(a.end(), [Ticket(10)]);
}

/// What `side` says to frames that come one after the other: the last answer.
fn last(side: &mut Connections, frames: &[Frame]) -> Result<Happened, GroupError> {
    let mut answer = Ok(Happened::Nothing);
    for frame in frames {
        assert!(answer.is_ok(), "{answer:?}");
        answer = side.receive(bytes(frame));
    }
    answer
}

#[test]
fn group_number() {
    let open = |number| Frame::Open { number, credit: MIN_CREDIT, group: name("chess") };
    for wrong in [vec![open(1)], vec![open(2)], vec![open(0), open(4)], vec![open(0), open(0)]] {
        let [_, mut b] = sides();
        assert_eq!(last(&mut b, &wrong), Err(GroupError::Number), "{wrong:?}");
    }
    for frame in [
        Frame::Accept { number: 1, credit: MIN_CREDIT },
        Frame::Refuse { number: 1, code: RefuseCode::Busy },
        Frame::Message { number: 0, message: Bytes::new() },
        Frame::Credit { number: 0, credit: 1 },
        Frame::Close { number: 0 },
    ] {
        let [_, mut b] = sides();
        assert_eq!(last(&mut b, &[frame]), Err(GroupError::Number));
    }
}

#[test]
fn group_unexpected() {
    let number = 0;
    let open = Frame::Open { number, credit: MIN_CREDIT, group: name("chess") };
    let early = [
        Frame::Message { number, message: Bytes::new() },
        Frame::Credit { number, credit: 1 },
        Frame::Close { number },
        Frame::Accept { number, credit: MIN_CREDIT },
    ];
    for frame in early {
        let [_, mut b] = sides();
        last(&mut b, std::slice::from_ref(&open)).unwrap();
        b.accept(number);
        // The answer has not left.
        assert_eq!(last(&mut b, &[frame]), Err(GroupError::Unexpected));
    }
    // Answers to what was not asked yet, and twice.
    let accept = Frame::Accept { number, credit: MIN_CREDIT };
    let [mut a, _] = sides();
    a.open(name("chess")).unwrap();
    assert_eq!(a.receive(bytes(&accept)), Err(GroupError::Unexpected));
    let ([mut a, _], _) = connected();
    assert_eq!(a.receive(bytes(&accept)), Err(GroupError::Unexpected));
    // After the farewell.
    let ([_, mut b], _) = connected();
    let close = Frame::Close { number };
    assert_eq!(last(&mut b, &[close.clone(), close]), Err(GroupError::Unexpected));
}

#[test]
fn group_too_many() {
    let [mut a, mut b] = sides();
    for _ in 0..MAX_CONNECTIONS {
        a.open(name("chess")).unwrap();
    }
    assert_eq!(a.open(name("chess")), None);
    assert_eq!(pass(&mut a, &mut b).len(), MAX_CONNECTIONS);
    let number = 2 * MAX_CONNECTIONS as u32;
    let open = Frame::Open { number, credit: MIN_CREDIT, group: name("chess") };
    assert_eq!(b.receive(bytes(&open)), Err(GroupError::TooMany));
}

#[test]
fn group_credit_exceeded() {
    let ([_, mut b], number) = connected();
    let message = Frame::Message { number, message: vec![0; MAX_GROUP_MESSAGE].into() };
    let fits = (256 << 10) / (MAX_GROUP_MESSAGE + MESSAGE_COST as usize);
    for _ in 0..fits {
        b.receive(bytes(&message)).unwrap();
    }
    assert_eq!(b.receive(bytes(&message)), Err(GroupError::CreditExceeded));
    // Empty messages are not free.
    let ([_, mut b], number) = connected();
    let empty = bytes(&Frame::Message { number, message: Bytes::new() });
    for _ in 0..(256 << 10) / MESSAGE_COST {
        b.receive(empty.clone()).unwrap();
    }
    assert_eq!(b.receive(empty), Err(GroupError::CreditExceeded));
}

#[test]
fn group_credit_range() {
    for credit in [0, MIN_CREDIT - 1, MAX_CREDIT + 1, u32::MAX] {
        let [_, mut b] = sides();
        let open = Frame::Open { number: 0, credit, group: name("chess") };
        assert_eq!(last(&mut b, &[open]), Err(GroupError::CreditRange));
        let [mut a, mut b] = sides();
        a.open(name("chess")).unwrap();
        pass(&mut a, &mut b);
        assert_eq!(last(&mut a, &[Frame::Accept { number: 0, credit }]), Err(GroupError::CreditRange));
    }
    for credit in [0, MAX_CREDIT, u32::MAX] {
        let ([_, mut b], number) = connected();
        assert_eq!(last(&mut b, &[Frame::Credit { number, credit }]), Err(GroupError::CreditRange));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Two honest sides under any schedule: every message arrives once and in order, nobody breaks a rule, and nothing
    /// stands still once all is read.
    #[test]
    fn any_schedule(steps in proptest::collection::vec((any::<u8>(), 0..4_u32, any::<u16>()), 1..400)) {
        let mut sides = sides();
        let mut wires: [VecDeque<Bytes>; 2] = Default::default();
        let mut sent: BTreeMap<(usize, u32), Vec<u16>> = BTreeMap::new();
        let mut heard: BTreeMap<(usize, u32), Vec<u16>> = BTreeMap::new();
        let mut unread: Vec<(usize, u32, u32)> = Vec::new();
        let rest = (0..6_000_u32).map(|step| ([40, 41, 80, 81, 250][step as usize % 5], 0, 0));
        for (what, which, len) in steps.into_iter().chain(rest) {
            let at = usize::from(what & 1);
            match what {
                0..40 if sent.len() < 8 => {
                    if let Some(number) = sides[at].open(name("chess")) {
                        sent.entry((at, number)).or_default();
                    }
                }
                40..80 => wires[1 - at].extend(poll(&mut sides[at])),
                80..160 => {
                    let Some(frame) = wires[at].pop_front() else { continue };
                    match sides[at].receive(frame).unwrap() {
                        Happened::Asked { number, .. } => sides[at].accept(number),
                        Happened::Message { number, message, cost } => {
                            let tag = u16::from_be_bytes([message[0], message[1]]);
                            heard.entry((1 - at, number)).or_default().push(tag);
                            unread.push((at, number, cost));
                        }
                        Happened::Refused { .. } | Happened::Closed { .. } => panic!("nobody does that"),
                        Happened::Nothing | Happened::Accepted { .. } => {}
                    }
                }
                160..240 => {
                    let number = which;
                    let tag = sent.get(&(at, number)).map_or(0, |list| list.len() as u16);
                    let mut message = tag.to_be_bytes().to_vec();
                    message.resize(2 + usize::from(len) % (MAX_GROUP_MESSAGE - 1), 0);
                    if sides[at].send(number, None, message.into()).is_ok() {
                        sent.entry((at, number)).or_default().push(tag);
                    }
                }
                _ => {
                    for (at, number, cost) in unread.drain(..) {
                        sides[at].taken(number, cost);
                    }
                }
            }
        }
        sent.retain(|_, list| !list.is_empty());
        prop_assert_eq!(sent, heard);
    }
}
