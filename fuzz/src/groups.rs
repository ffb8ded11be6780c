//! Connections of groups: frames, one side against whatever a peer may send, and what `debug` asks and tells.

use bytes::{Bytes, BytesMut};
use lama_handshake::Role;
use lama_handshake::groups::{
    ConnectionLimits, Connections, Frame, GroupName, Happened, MAX_GROUP_MESSAGE, MIN_CREDIT, RefuseCode,
};
use lama_node::debug::{Ask, View};

/// What is read as a frame is written as the same bytes.
pub fn frame(data: &[u8]) {
    if let Ok(frame) = Frame::read(Bytes::copy_from_slice(data)) {
        assert_eq!(written(&frame), data);
    }
}

fn written(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    frame.write(&mut out);
    out.freeze()
}

/// A side with connections of its own, an application that reads now and then, and a peer that sends what it likes: the peer
/// never gets more in than it has credit for, and every frame that leaves is one.
pub fn peer(data: &[u8]) {
    let Some((&first, mut data)) = data.split_first() else { return };
    let role = if first & 1 == 0 { Role::Initiator } else { Role::Responder };
    let limits = ConnectionLimits::default();
    let mut side = Connections::new(role, limits);
    let mut unread: std::collections::BTreeMap<u32, u32> = std::collections::BTreeMap::new();
    while let Some((&step, rest)) = data.split_first() {
        data = rest;
        match step {
            0..128 => {
                let (frame, rest) = data.split_at(usize::from(step).min(data.len()));
                data = rest;
                match side.receive(Bytes::copy_from_slice(frame)) {
                    Ok(Happened::Asked { number, .. }) if step & 1 == 0 => side.accept(number),
                    Ok(Happened::Asked { number, .. }) => side.refuse(number, RefuseCode::NotServed),
                    Ok(Happened::Message { number, message, cost }) => {
                        assert!(message.len() <= MAX_GROUP_MESSAGE);
                        let held = unread.entry(number).or_default();
                        *held += cost;
                        assert!(*held <= limits.credit, "more than there was credit for");
                    }
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
            128..192 => {
                let mut out = BytesMut::new();
                let polled = side.poll_frame(&mut out);
                assert_eq!(polled.is_some(), Frame::read(out.freeze()).is_ok());
            }
            192..208 => drop(side.open(GroupName::new("chess").unwrap())),
            208..224 => drop(side.send(u32::from(step) - 208, None, Bytes::from_static(b"message"))),
            224..240 => side.close(u32::from(step) - 224),
            _ => {
                let number = u32::from(step) - 240;
                if let Some(cost) = unread.remove(&number) {
                    side.taken(number, cost);
                }
            }
        }
    }
}

/// What is read as a question or an answer of `debug` is written as the same bytes, and its texts are plain.
pub fn debug(data: &[u8]) {
    if let Ok(ask) = Ask::from_bytes(data) {
        assert_eq!(ask.to_bytes().unwrap(), data);
    }
    if let Ok(view) = View::from_bytes(data) {
        assert_eq!(view.to_bytes().unwrap(), data);
        let texts = view.items.iter().map(|(code, _)| code).chain([&view.program]);
        texts.for_each(|text| assert!(text.len() <= 48 && text.bytes().all(|byte| byte.is_ascii_graphic())));
    }
}

/// One of each frame.
pub fn frame_seeds() -> Vec<(&'static str, Bytes)> {
    let group = GroupName::new("org.example.chess").unwrap();
    vec![
        ("open", written(&Frame::Open { number: 0, credit: MIN_CREDIT, group })),
        ("accept", written(&Frame::Accept { number: 1, credit: MIN_CREDIT })),
        ("refuse", written(&Frame::Refuse { number: 1, code: RefuseCode::Busy })),
        ("message", written(&Frame::Message { number: 0, message: Bytes::from_static(b"e4") })),
        ("credit", written(&Frame::Credit { number: 0, credit: 9 })),
        ("close", written(&Frame::Close { number: 0 })),
    ]
}

/// Conversations for the corpus of [`peer`].
pub fn peer_seeds() -> Vec<(&'static str, Bytes)> {
    let says = |frame: &Frame| {
        let bytes = written(frame);
        let step = u8::try_from(bytes.len()).unwrap();
        [&[step][..], &bytes].concat()
    };
    let group = || GroupName::new("chess2").unwrap();
    let open = says(&Frame::Open { number: 0, credit: MIN_CREDIT, group: group() });
    let refused =
        says(&Frame::Open { number: 0, credit: MIN_CREDIT, group: GroupName::new("chess").unwrap() });
    let message = says(&Frame::Message { number: 0, message: Bytes::from_static(b"hello") });
    let accept = says(&Frame::Accept { number: 0, credit: MIN_CREDIT });
    let (credit, close) =
        (says(&Frame::Credit { number: 0, credit: 100 }), says(&Frame::Close { number: 0 }));
    let run = |steps: &[&[u8]]| Bytes::from(steps.concat());
    vec![
        ("theirs", run(&[&[1], &refused, &[128], &open])),
        ("refused", run(&[&[1], &open, &[128, 128]])),
        ("ours", run(&[&[0, 192, 128], &accept, &message, &[208, 128, 240, 128], &credit, &close, &[128]])),
        ("closed-here", run(&[&[0, 192, 128], &accept, &[224, 128], &message, &close])),
    ]
}

/// A question and two answers.
pub fn debug_seeds() -> Vec<(&'static str, Bytes)> {
    let mut view = View::new(1, (1, 1));
    let least = view.to_bytes().unwrap();
    view.items = vec![("clock.forward".into(), 0), ("store.failed".into(), 2)];
    (view.program, view.round_trip) = ("0.1.0".into(), Some(5));
    vec![("ask", Ask::default().to_bytes().unwrap()), ("least", least), ("view", view.to_bytes().unwrap())]
}
