//! Two instances as a host of any language drives them: pair, talk, share a file and a folder, close and come back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::VecDeque;

use lama_bindings::{
    At, Blocked, Command, DialCause, Enrolling, Event, FileEntry, Instance, Keys, Limits, LinkCause,
    LinkOrigin, Output, PeerStatus, QuotaLimits, Reply,
};
use lama_store::Memory;

type Side = Instance<Memory>;

/// Two instances and the one WebSocket between them, in virtual time.
struct Pair {
    sides: [Side; 2],
    at: At,
    ticket: u64,
    link: u64,
    /// What each side named the link.
    up: Option<[u64; 2]>,
    wires: [VecDeque<Vec<u8>>; 2],
    events: [Vec<Event>; 2],
    replies: [Vec<(u64, Result<Reply, String>)>; 2],
    ended: [bool; 2],
    entropy: u8,
}

fn keys(email: &str, seed: u8) -> Keys {
    Keys::create(email, "desk", [seed; 32], 1_800_000_000_000).unwrap()
}

fn open(keys: Keys, seed: u8, at: At) -> Side {
    Instance::open(keys, Memory::default(), &Limits::default(), [seed; 32], at).unwrap()
}

impl Pair {
    fn new() -> Self {
        let at = At { mono_ms: 0, wall_ms: 1_800_000_000_000 };
        let sides = [open(keys("ada@lama.local", 1), 3, at), open(keys("bob@lama.local", 2), 4, at)];
        Self {
            sides,
            at,
            ticket: 0,
            link: 0,
            up: None,
            wires: Default::default(),
            events: Default::default(),
            replies: Default::default(),
            ended: [false; 2],
            entropy: 10,
        }
    }

    fn draw(&mut self) -> [u8; 32] {
        self.entropy = self.entropy.wrapping_add(1);
        [self.entropy; 32]
    }

    fn ask(&mut self, side: usize, command: Command) -> Result<Reply, String> {
        self.ticket += 1;
        let (ticket, entropy) = (self.ticket, self.draw());
        self.sides[side].command(ticket, command, entropy, self.at).map_err(|problem| problem.code)?;
        self.settle(|pair| pair.replies[side].iter().any(|(of, _)| *of == ticket));
        let at = self.replies[side].iter().position(|(of, _)| *of == ticket).unwrap();
        self.replies[side].remove(at).1
    }

    fn settle(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..20_000 {
            if done(self) {
                return;
            }
            if !self.step() {
                let due = self.sides.iter().filter_map(Side::poll_timeout).min();
                self.at.mono_ms = due.expect("nothing will ever happen").max(self.at.mono_ms + 1);
                self.at.wall_ms = 1_800_000_000_000 + self.at.mono_ms;
                for side in &mut self.sides {
                    side.handle_timeout(self.at);
                }
            }
        }
        panic!("it does not settle: {:?}", self.events);
    }

    /// Whether anything happened.
    fn step(&mut self) -> bool {
        let mut busy = false;
        for side in 0..2 {
            while let Some(output) = self.sides[side].poll(self.at) {
                busy = true;
                self.heed(side, output);
            }
            while let Some(link) = self.sides[side].next_ready_link() {
                while let Some(frame) = self.sides[side].poll_frame(link) {
                    busy = true;
                    self.wires[1 - side].push_back(frame);
                }
            }
        }
        for side in 0..2 {
            while let Some(frame) = self.wires[side].pop_front() {
                let Some(up) = self.up else { break };
                assert!(frame.len() <= self.sides[side].frame_limit(up[side]) || frame.is_empty());
                self.sides[side].frame(up[side], &frame, self.at);
                busy = true;
            }
        }
        busy
    }

    fn heed(&mut self, side: usize, output: Output) {
        match output {
            Output::Dial { dial, url, subprotocol, loopback, .. } => {
                assert!(loopback && subprotocol == "lama.1" && url == "ws://localhost:1");
                if side == 0 || self.up.is_some() {
                    return self.sides[side].dial_failed(dial, DialCause::Refused, self.at);
                }
                self.link += 1;
                self.up = Some([self.link; 2]);
                self.wires = Default::default();
                let (ours, theirs) = (self.draw(), self.draw());
                self.sides[1].link_up(self.link, &LinkOrigin::dialled(dial, None), ours, self.at);
                self.sides[0].link_up(self.link, &LinkOrigin::Accepted("127.0.0.1".into()), theirs, self.at);
            }
            Output::Close { link } => {
                while let Some(frame) = self.sides[side].poll_frame(link) {
                    self.wires[1 - side].push_back(frame);
                }
                while let Some(frame) = self.wires[1 - side].pop_front() {
                    self.sides[1 - side].frame(link, &frame, self.at);
                }
                self.up = None;
                self.sides[side].link_down(link, LinkCause::Local, self.at);
                self.sides[1 - side].link_down(link, LinkCause::Closed, self.at);
            }
            Output::Reply { ticket, reply } => self.replies[side].push((ticket, Ok(reply))),
            Output::Failed { ticket, problem } => self.replies[side].push((ticket, Err(problem.code))),
            Output::Event { event } => self.events[side].push(event),
            Output::Ended { problem } => {
                assert_eq!(problem, None);
                self.ended[side] = true;
            }
            _ => {}
        }
    }

    /// Where things stand with the only instance that this side knows.
    fn peer(&mut self, side: usize) -> PeerStatus {
        let Ok(Reply::Status { status }) = self.ask(side, Command::Status) else { panic!() };
        let [peer] = <[PeerStatus; 1]>::try_from(status.peers).unwrap();
        peer
    }

    /// Ada invites, Bob joins.
    fn pair(&mut self) -> [String; 2] {
        self.sides[0].listening(vec!["ws://localhost:1".into()], self.at);
        let invite = Command::Invite { confirm: false, lifetime: None, label: String::new(), base: None };
        let Ok(Reply::Invited { link, .. }) = self.ask(0, invite) else { panic!() };
        let joined = self.ask(1, Command::Join { link, lan: false, opened: false });
        let Ok(Reply::Contact { contact }) = joined else { panic!("{joined:?}") };
        assert_eq!((contact.state, contact.email.as_str()), ("active", "ada@lama.local"));
        self.settle(|pair| pair.events[0].iter().any(|event| matches!(event, Event::Paired { .. })));
        let Ok(Reply::Contacts { contacts }) = self.ask(0, Command::Contacts) else { panic!() };
        assert_eq!(contacts[0].check_code, contact.check_code);
        [contacts[0].person.clone(), contact.person]
    }
}

#[test]
fn two_instances_pair_and_talk() {
    let mut pair = Pair::new();
    let [bob, ada] = pair.pair();
    let send = |to: &str, text: &str| Command::Send { to: to.into(), text: text.into(), channel: None };
    let Ok(Reply::Sent { id, .. }) = pair.ask(0, send(&bob, "hello")) else { panic!() };
    pair.settle(|pair| pair.events[1].iter().any(|event| matches!(event, Event::Message { .. })));
    let log = |with: &str| Command::Log {
        channel: None,
        with: Some(with.into()),
        before: None,
        after: None,
        unread: false,
        limit: 10,
    };
    let Ok(Reply::Messages { messages }) = pair.ask(1, log(&ada)) else { panic!() };
    assert_eq!((messages[0].text.as_str(), messages[0].unread), ("hello", true));
    let Ok(Reply::Sent { .. }) = pair.ask(0, Command::Edit { message: id, text: "hi".into() }) else {
        panic!()
    };
    pair.settle(|pair| pair.events[1].iter().any(|event| matches!(event, Event::MessageChanged { .. })));
    let Ok(Reply::Channels { channels }) = pair.ask(1, Command::Channels) else { panic!() };
    let read = Command::MarkRead { channel: channels[0].channel.clone(), upto: channels[0].arrived };
    assert_eq!(pair.ask(1, read), Ok(Reply::Done));
    let Ok(Reply::Messages { messages }) = pair.ask(1, log(&ada)) else { panic!() };
    assert_eq!((messages[0].text.as_str(), messages[0].unread), ("hi", false));
    assert_eq!(pair.ask(1, send("nobody", "x")).unwrap_err(), "binding.argument");
}

#[test]
fn a_file_and_a_folder_go_across_in_pieces() {
    let mut pair = Pair::new();
    let [bob, ada] = pair.pair();
    let data: Vec<u8> = (0..6_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let number = pair.sides[0].begin_blob().unwrap();
    for piece in data.chunks(333_333) {
        pair.sides[0].push_blob(number, piece).unwrap();
    }
    let blob = pair.sides[0].finish_blob(number).unwrap();
    assert_eq!(pair.sides[0].push_blob(number, &[1]).unwrap_err().code, "binding.no-such-file");
    let made = pair.sides[0].make_file("beach.jpg", &blob, false).unwrap();
    let entry =
        FileEntry { path: "a/b.bin".into(), blob: blob.blob.clone(), size: blob.size, executable: true };
    let folder = pair.sides[0].make_folder("holiday", &[entry]).unwrap();
    for root in [&made.root, &folder.root] {
        let share = Command::Share { root: root.clone(), with: vec![bob.clone()], note: None };
        assert_eq!(pair.ask(0, share), Ok(Reply::Shared { withheld: 0 }));
    }
    pair.settle(|pair| {
        pair.events[1].iter().filter(|event| matches!(event, Event::Shared { .. })).count() == 2
    });
    let Ok(Reply::SharedList { items }) = pair.ask(1, Command::Shared) else { panic!() };
    let names: Vec<_> = items.iter().map(|item| (item.name.as_str(), item.kind, item.by == ada)).collect();
    assert_eq!(names, [("beach.jpg", "file", true), ("holiday", "folder", true)]);
    let tree = pair.sides[1].tree(&folder.root).unwrap();
    assert_eq!((tree.files[0].path.as_str(), tree.files[0].executable), ("a/b.bin", true));
    let read = |pair: &mut Pair, start, length| pair.sides[1].read(&blob.blob, start, length).unwrap();
    assert_eq!(read(&mut pair, 0, u64::MAX), data);
    assert_eq!(read(&mut pair, 262_100, 100), data[262_100..262_200]);
    assert_eq!(read(&mut pair, 5_999_990, 100), data[5_999_990..]);
    assert_eq!(read(&mut pair, 6_000_000, 1), Vec::<u8>::new());
    let explain = Command::Explain { object: made.root, person: bob };
    let Ok(Reply::Explanation { explanation }) = pair.ask(0, explain) else { panic!() };
    assert_eq!(explanation.standing, "acknowledged");
}

#[test]
fn what_was_shared_is_taken_back_and_a_contact_has_a_quota() {
    let mut pair = Pair::new();
    let [bob, ada] = pair.pair();
    let number = pair.sides[0].begin_blob().unwrap();
    pair.sides[0].push_blob(number, b"see you at eight").unwrap();
    let blob = pair.sides[0].finish_blob(number).unwrap();
    let root = pair.sides[0].make_file("notes.txt", &blob, false).unwrap().root;
    let with = vec![bob.clone()];
    let share = Command::Share { root: root.clone(), with: with.clone(), note: None };
    assert_eq!(pair.ask(0, share), Ok(Reply::Shared { withheld: 0 }));
    pair.settle(|pair| pair.events[1].iter().any(|event| matches!(event, Event::Shared { .. })));
    let taken = pair.ask(0, Command::Unshare { root, with });
    assert!(matches!(taken, Ok(Reply::Unshared { stays: 1.., .. })), "{taken:?}");
    let Ok(Reply::SharedList { items }) = pair.ask(0, Command::Shared) else { panic!() };
    assert!(items.iter().all(|item| item.with.is_empty()), "{items:?}");

    let limits = QuotaLimits { objects: Some(7), days: Some(30), ..QuotaLimits::default() };
    let set = pair.ask(1, Command::Quota { person: ada.clone(), set: Some(limits) });
    let Ok(Reply::Quota { quota }) = set else { panic!("{set:?}") };
    assert_eq!((quota.max_objects, quota.days), (Some(7), Some(30)));
    let Ok(Reply::Quota { quota }) = pair.ask(1, Command::Quota { person: ada, set: None }) else { panic!() };
    assert_eq!((quota.max_objects, quota.days), (Some(7), Some(30)));
}

#[test]
fn who_is_blocked_loses_the_session_and_gets_none_until_unblocked() {
    let mut pair = Pair::new();
    let [bob, _] = pair.pair();
    let started =
        |pair: &Pair| pair.events[0].iter().any(|event| matches!(event, Event::SessionStarted { .. }));
    let ended = |pair: &Pair| pair.events[0].iter().any(|event| matches!(event, Event::SessionEnded { .. }));
    assert!(started(&pair) && !ended(&pair));
    assert_eq!(pair.ask(0, Command::Block { person: bob.clone() }), Ok(Reply::Done));
    pair.settle(ended);
    let Ok(Reply::Blocked { people }) = pair.ask(0, Command::Blocked) else { panic!() };
    let email = Some("bob@lama.local".to_owned());
    assert_eq!(people, [Blocked { person: bob.clone(), email }]);
    assert_eq!(pair.peer(0).state, "blocked");
    pair.events[0].clear();
    // Bob comes again and is refused, as often as he likes.
    pair.settle(|pair| pair.events[0].iter().any(|event| matches!(event, Event::LinkRefused { .. })));
    assert!(!started(&pair));
    assert_eq!(pair.ask(0, Command::Unblock { person: bob }), Ok(Reply::Done));
    pair.settle(started);
    assert_eq!(pair.ask(0, Command::Blocked), Ok(Reply::Blocked { people: Vec::new() }));
}

#[test]
fn routes_are_switched_off_and_on_by_person_by_instance_and_alone() {
    let mut pair = Pair::new();
    let [_, ada] = pair.pair();
    let routes = |pair: &mut Pair| match pair.ask(1, Command::Routes) {
        Ok(Reply::Routes { routes }) => routes,
        other => panic!("{other:?}"),
    };
    let [one] = &routes(&mut pair)[..] else { panic!() };
    assert_eq!(
        (one.route.as_str(), one.relayed, one.off_by, one.in_use),
        ("ws://localhost:1", false, None, true)
    );
    assert_eq!(one.peer.person, ada);
    let set = |person, instance, route, on| Command::SetRoute { person, instance, route, on };
    let (instance, route) = (one.peer.instance.clone(), one.route.clone());
    for (by, [person, instance, route]) in [
        ("person", [Some(ada.clone()), None, None]),
        ("instance", [None, Some(instance), None]),
        ("route", [None, None, Some(route)]),
    ] {
        let off = set(person.clone(), instance.clone(), route.clone(), false);
        assert_eq!(pair.ask(1, off), Ok(Reply::Done));
        let [one] = &routes(&mut pair)[..] else { panic!() };
        assert_eq!((one.off_by, one.in_use), (Some(by), false));
        assert_eq!(pair.peer(1).state, "off");
        pair.events[1].clear();
        assert_eq!(pair.ask(1, set(person, instance, route, true)), Ok(Reply::Done));
        pair.settle(|pair| pair.events[1].iter().any(|event| matches!(event, Event::SessionStarted { .. })));
        let [one] = &routes(&mut pair)[..] else { panic!() };
        assert_eq!((one.off_by, one.in_use), (None, true));
    }
    for (person, route) in [(None, None), (Some(ada), Some("ws://localhost:1".to_owned()))] {
        assert_eq!(pair.ask(1, set(person, None, route, false)).unwrap_err(), "binding.argument");
    }
}

#[test]
fn a_further_instance_is_enrolled_by_three_texts_and_revoked() {
    let mut pair = Pair::new();
    pair.pair();
    let Ok(Reply::File { file: offer }) = pair.ask(0, Command::OfferInstance) else { panic!() };
    let new = Enrolling::new(&offer, "phone", [21; 32], 1_800_000_000_000).unwrap();
    // Between the request and its answer the device may be switched off.
    let sealed = new.seal(Some("open sesame"), [22; 32]).unwrap();
    assert_eq!(Enrolling::open(&sealed, Some("wrong")).unwrap_err().code, "locked");
    let again = Enrolling::open(&sealed, Some("open sesame")).unwrap();
    let request = again.request().unwrap();
    assert_eq!(request, new.request().unwrap());
    let certify = Command::CertifyInstance { request, replace: false };
    let Ok(Reply::File { file: certificate }) = pair.ask(0, certify) else { panic!() };
    assert_eq!(again.accept(&offer, [23; 32]).unwrap_err().code, "wrong-type");
    let keys = again.accept(&certificate, [23; 32]).unwrap();
    assert_eq!((keys.public().email.as_str(), keys.public().name.as_str()), ("ada@lama.local", "phone"));
    let file = keys.seal(None, [24; 32]).unwrap();
    let mut phone = open(Keys::open(&file, None).unwrap(), 25, pair.at);
    // It knows its person's contacts from the certificate.
    phone.command(1, Command::Contacts, [26; 32], pair.at).unwrap();
    let replied = std::iter::from_fn(|| phone.poll(pair.at)).find_map(|output| match output {
        Output::Reply { reply: Reply::Contacts { contacts }, .. } => Some(contacts),
        _ => None,
    });
    assert_eq!(replied.unwrap()[0].email, "bob@lama.local");

    let Ok(Reply::Instances { instances }) = pair.ask(0, Command::Instances) else { panic!() };
    let other = instances.iter().find(|one| !one.is_this).unwrap();
    let revoke = Command::RevokeInstance { key: other.key.clone(), reason: "lost".into() };
    assert_eq!(pair.ask(0, revoke), Ok(Reply::Done));
    let Ok(Reply::Instances { instances }) = pair.ask(0, Command::Instances) else { panic!() };
    assert_eq!(instances.iter().filter(|one| one.revoked).count(), 1);
}

#[test]
fn an_instance_that_was_shut_down_says_so_and_its_keys_open_again() {
    let mut pair = Pair::new();
    pair.pair();
    assert_eq!(pair.ask(0, Command::Shutdown), Ok(Reply::Done));
    pair.settle(|pair| pair.ended[0]);
    assert_eq!(pair.ask(0, Command::Status).unwrap_err(), "node.stopped");
    assert_eq!(
        pair.sides[0].begin_blob().and_then(|n| pair.sides[0].finish_blob(n)).unwrap_err().code,
        "node.stopped"
    );

    let keys = keys("ada@lama.local", 1);
    let file = keys.seal(None, [5; 32]).unwrap();
    assert!(!Keys::needs_passphrase(&file).unwrap());
    assert_eq!(Keys::open(&file, None).unwrap().public(), keys.public());
    let file = keys.seal(Some("open sesame"), [5; 32]).unwrap();
    assert_eq!(Keys::open(&file, None).unwrap_err().code, "passphrase_needed");
    assert_eq!(Keys::open(&file, Some("close sesame")).unwrap_err().code, "locked");
    assert_eq!(Keys::open(&file, Some("open sesame")).unwrap().public(), keys.public());
}
