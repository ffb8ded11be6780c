//! The acceptance of the seed document, one test for each sentence: over real sockets, on both runtimes and mixed.
//!
//! `A` is the runtime of the one who invites and listens, `B` of the one who joins and dials.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use lama_identity::{Cid, PersonId};
use lama_invite::{DialRules, Draft, Invitation, LAMA_BASE, Policy};
use lama_net::{Listen, Options};
use lama_node::{
    ChannelRef, Command, ContactInfo, ContactStanding, EndReason, Event, InvitationState, NodeError,
    PageFrom, RefuseReason, Reply,
};
use support::{Disk, Host, Proxy, Running, Who, port_of, seed};
use zeroize::Zeroizing;

const ALICE: &str = "alice@lama.test";
const BOB: &str = "bob@lama.test";
const CAROL: &str = "carol@lama.test";

fn listening() -> Options {
    Options { listen: Listen::Free, ..Options::default() }
}

fn dialling() -> Options {
    Options::default()
}

fn invite<H: Host>(node: &Running<H>) -> (Invitation, String) {
    invite_for(node, None)
}

fn invite_for<H: Host>(node: &Running<H>, lifetime: Option<Duration>) -> (Invitation, String) {
    let command = Command::Invite { policy: Policy::Auto, lifetime, label: "test".into(), seed: seed() };
    let Reply::Invitation { invitation, .. } = node.ask(command) else { panic!("no invitation") };
    let link = invitation.to_link(LAMA_BASE).unwrap().to_string();
    (*invitation, link)
}

fn join(link: &str) -> Command {
    Command::Join { link: Zeroizing::new(link.to_owned()), rules: DialRules::default() }
}

fn contacts<H: Host>(node: &Running<H>) -> Vec<ContactInfo> {
    let Reply::Contacts(contacts) = node.ask(Command::Contacts) else { panic!("no contacts") };
    contacts
}

fn is_contact<H: Host>(node: &Running<H>, person: PersonId) -> bool {
    contacts(node)
        .iter()
        .any(|contact| contact.person == person && contact.standing == ContactStanding::Active)
}

/// Pairs by a new invitation and waits until both sides say so.
fn pair<A: Host, B: Host>(a: &Running<A>, b: &Running<B>) {
    let (_, link) = invite(a);
    let Reply::Contact(contact) = b.ask(join(&link)) else { panic!("no contact") };
    assert_eq!((contact.person, contact.standing), (a.person, ContactStanding::Active));
    a.eventually("the contact at the inviter", |a| is_contact(a, b.person).then_some(()));
}

fn in_sync<H: Host>(node: &Running<H>, with: PersonId) {
    node.eventually("both ends to be in sync", |node| {
        let Reply::Status(status) = node.ask(Command::Status) else { panic!("no status") };
        let peers = status.peers.iter().filter(|peer| peer.peer.person == with);
        peers.into_iter().any(|peer| peer.state == lama_node::PeerState::InSync).then_some(())
    });
}

fn send<H: Host>(node: &Running<H>, to: PersonId, text: &str) {
    node.ask(Command::Send { to, channel: None, text: text.into() });
}

fn log<H: Host>(node: &Running<H>, with: PersonId) -> Vec<(PersonId, String)> {
    let channel = ChannelRef::With { person: with, name: None };
    match node.try_ask(Command::Log { channel, from: PageFrom::First, limit: 1000 }) {
        Ok(Reply::Log(entries)) => entries.into_iter().map(|entry| (entry.author, entry.text)).collect(),
        _ => Vec::new(),
    }
}

fn receives<H: Host>(node: &Running<H>, from: PersonId, text: &str) {
    node.eventually(text, |node| log(node, from).contains(&(from, text.to_owned())).then_some(()));
}

/// An application's object.
fn object(text: &str) -> (Cid, Bytes) {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Note {
        #[serde(rename = "$type$")]
        type_name: String,
        text: String,
    }
    let bytes = lama_identity::cbor::encode(&Note { type_name: "Note".into(), text: text.into() }).unwrap();
    (Cid::of_object(&bytes), bytes)
}

// ---------------------------------------------------------------------------------------------------------------

fn an_invitation_carries_the_key_of_the_instance_and_not_of_the_person<A: Host, B: Host>() {
    let who = Who::new(ALICE, "desk");
    let a = Running::<A>::start(&who, &Disk::Memory, listening());
    let (invitation, link) = invite(&a);
    let identity = who.identity();
    assert_eq!(invitation.r_static(), identity.noise().public());
    let bytes = invitation.to_bytes().unwrap();
    let holds = |key: &[u8]| bytes.windows(key.len()).any(|window| window == key);
    let person = identity.person().unwrap();
    assert!(holds(identity.noise().public().as_bytes()));
    assert!(!holds(person.sign.public().as_bytes()), "the person's signing key is in the invitation");
    assert!(!holds(person.seal.public().as_bytes()), "the person's sealing key is in the invitation");
    assert!(!holds(identity.sign().public().as_bytes()));
    // The secret stands in the fragment, which no browser sends to a server.
    let (before, _secret) = link.split_once('#').unwrap();
    assert!(before.len() < 64, "{before}");
    let b = Running::<B>::new(BOB, dialling());
    b.ask(join(&link));
}

fn without_an_invitation_there_is_no_pairing_and_the_reason_is_said<A: Host, B: Host>() {
    let a = Running::<A>::new(ALICE, listening());
    let b = Running::<B>::new(BOB, dialling());
    for link in ["", "lama://join", "ws://localhost:8765", "lama://join#AAAA"] {
        let error = b.try_ask(join(link)).unwrap_err();
        assert!(matches!(error, NodeError::Invite(_)), "{link}: {error:?}");
        assert!(error.to_string().len() > 20, "{error}");
    }
    let error = b.try_ask(Command::Connect { person: a.person }).unwrap_err();
    assert_eq!(error, NodeError::NotAContact { person: a.person });
    assert!(error.to_string().contains("lama invite"), "says what to do: {error}");
    assert_eq!((contacts(&a).len(), contacts(&b).len()), (0, 0));
}

fn contacts_stand_on_both_sides_after_pairing<A: Host, B: Host>() {
    let a = Running::<A>::new(ALICE, listening());
    let b = Running::<B>::new(BOB, dialling());
    pair(&a, &b);
    let (of_a, of_b) = (contacts(&a), contacts(&b));
    assert_eq!((of_a.len(), of_b.len()), (1, 1));
    assert_eq!((of_a[0].person, of_a[0].email.as_str()), (b.person, BOB));
    assert_eq!((of_b[0].person, of_b[0].email.as_str()), (a.person, ALICE));
    assert_eq!(of_a[0].instances[0].instance, b.instance);
    assert_eq!(of_b[0].instances[0].instance, a.instance);
    // Both persons can compare the same six digits.
    assert_eq!(of_a[0].check_code, of_b[0].check_code);
    let digits = |code: &String| code.chars().filter(char::is_ascii_digit).count();
    assert_eq!(of_a[0].check_code.as_ref().map(digits), Some(6));
    // The pairing went on as CHUM on the same connection: nobody dialled a second time.
    in_sync(&a, b.person);
    in_sync(&b, a.person);
    let started = |event: &Event| matches!(event, Event::SessionStarted { .. });
    assert_eq!(b.drain(Duration::from_millis(200)).iter().filter(|event| started(event)).count(), 1);
    assert_eq!(a.drain(Duration::from_millis(200)).iter().filter(|event| started(event)).count(), 1);
}

/// The token is wrong: the same invitation otherwise.
fn contacts_stand_on_neither_side_after_a_failed_pairing<A: Host, B: Host>() {
    let a = Running::<A>::new(ALICE, listening());
    let b = Running::<B>::new(BOB, dialling());
    let (invitation, _) = invite(&a);
    let draft = Draft {
        r_static: *invitation.r_static(),
        r_person_id: invitation.r_person_id(),
        r_person_pin: invitation.r_person_pin(),
        routes: invitation.routes().to_vec(),
        policy: invitation.policy(),
        lifetime: None,
    };
    let wall = lama_net::Runtime::now(&A::runtime()).wall;
    let wrong = Invitation::create(draft, &lama_invite::Config::default(), wall, seed()).unwrap();
    let error = b.try_ask(join(&wrong.to_link(LAMA_BASE).unwrap())).unwrap_err();
    assert_eq!(error, NodeError::InvitationRefused);
    assert_eq!((contacts(&a), contacts(&b)), (vec![], vec![]));
    assert!(pending(&a) == 0 && pending(&b) == 0, "nothing is left half done");
    // The inviter's own log knows the cause that the joiner is not told.
    a.until("the refusal", |event| matches!(event, Event::LinkRefused { .. }).then_some(()));
    // The true one was not consumed by the attempt.
    b.ask(join(&invitation.to_link(LAMA_BASE).unwrap()));
}

fn pending<H: Host>(node: &Running<H>) -> usize {
    let Reply::Pending(pending) = node.ask(Command::Pending) else { panic!("no list") };
    pending.len()
}

fn endpoints_of_contacts_are_discoverable_and_of_strangers_not<A: Host, B: Host>() {
    let a = Running::<A>::new(ALICE, listening());
    let b = Running::<B>::new(BOB, dialling());
    let carol = Running::<A>::new(CAROL, listening());
    assert_eq!(
        b.try_ask(Command::Endpoints { person: a.person }).unwrap_err(),
        NodeError::NotAContact { person: a.person }
    );
    pair(&a, &b);
    let Reply::Endpoints(endpoints) = b.ask(Command::Endpoints { person: a.person }) else { panic!() };
    assert_eq!(endpoints.len(), 1);
    assert_eq!((endpoints[0].person, endpoints[0].instance), (a.person, a.instance));
    assert_eq!(endpoints[0].noise.as_bytes(), &a.noise);
    assert_eq!(endpoints[0].url, format!("ws://localhost:{}", a.port()));
    let Reply::Endpoints(endpoints) = a.ask(Command::Endpoints { person: b.person }) else { panic!() };
    assert_eq!((endpoints[0].instance, endpoints[0].url.as_str()), (b.instance, ""));
    for stranger in [carol.person, PersonId([7; 32])] {
        let error = b.try_ask(Command::Endpoints { person: stranger }).unwrap_err();
        assert_eq!(error, NodeError::NotAContact { person: stranger });
    }
}

fn a_spent_token_is_refused<A: Host, B: Host>() {
    let a = Running::<A>::new(ALICE, listening());
    let b = Running::<B>::new(BOB, dialling());
    let carol = Running::<B>::new(CAROL, dialling());
    let (invitation, link) = invite(&a);
    b.ask(join(&link));
    assert_eq!(carol.try_ask(join(&link)).unwrap_err(), NodeError::InvitationRefused);
    assert_eq!(contacts(&carol), vec![]);
    assert!(!contacts(&a).iter().any(|contact| contact.person == carol.person));
    let state = a.eventually("the token to be completed", |a| {
        let state = state_of(a, &invitation);
        matches!(state, InvitationState::Completed { .. }).then_some(state)
    });
    assert_eq!(state, InvitationState::Completed { by: b.person });
}

fn state_of<H: Host>(node: &Running<H>, invitation: &Invitation) -> InvitationState {
    let Reply::Invitations(list) = node.ask(Command::Invitations) else { panic!("no list") };
    list.iter().find(|one| one.locator == invitation.locator()).unwrap().state
}

fn a_revoked_token_is_refused<A: Host, B: Host>() {
    let a = Running::<A>::new(ALICE, listening());
    let b = Running::<B>::new(BOB, dialling());
    let (invitation, link) = invite(&a);
    a.ask(Command::RevokeInvitation { locator: invitation.locator() });
    assert_eq!(b.try_ask(join(&link)).unwrap_err(), NodeError::InvitationRefused);
    assert_eq!((contacts(&a), contacts(&b)), (vec![], vec![]));
    assert_eq!(state_of(&a, &invitation), InvitationState::Revoked);
}

fn an_expired_token_is_refused<A: Host, B: Host>() {
    let a = Running::<A>::new(ALICE, listening());
    let b = Running::<B>::new(BOB, dialling());
    let (invitation, link) = invite_for(&a, Some(Duration::from_secs(1)));
    let expired = |event: &Event| matches!(event, Event::InvitationExpired { .. }).then_some(());
    a.until("the invitation to expire", expired);
    b.eventually("the joiner's own clock to see it", |b| match b.try_ask(join(&link)) {
        Err(NodeError::Invite(error)) => {
            assert!(matches!(error, lama_invite::InviteError::Expired { .. }), "{error:?}");
            Some(())
        }
        Err(NodeError::InvitationRefused) => None,
        other => panic!("{other:?}"),
    });
    assert_eq!((contacts(&a), contacts(&b)), (vec![], vec![]));
    assert_eq!(state_of(&a, &invitation), InvitationState::Expired);
}

/// The contact learns of the new place while it is connected, and finds it after a restart of its own.
fn a_peer_that_moves_is_found_again<A: Host, B: Host>() {
    let dir = tempfile::tempdir().unwrap();
    let (bob, disk) = (Who::new(BOB, "desk"), Disk::file(dir.path(), "bob"));
    let a = Running::<A>::new(ALICE, listening());
    let b = Running::<B>::start(&bob, &disk, dialling());
    pair(&a, &b);
    in_sync(&b, a.person);
    let urls = a.wait(a.handle.listen(Listen::Free)).unwrap();
    assert_ne!(port_of(&urls), a.port());
    b.eventually("the new place", |b| {
        let Reply::Endpoints(known) = b.ask(Command::Endpoints { person: a.person }) else { panic!() };
        (known[0].url == urls[0]).then_some(())
    });
    b.shutdown();
    let b = Running::<B>::start(&bob, &disk, dialling());
    let url = b.until("a session at the new place", |event| match event {
        Event::SessionStarted { url, dialled: true, .. } => url.clone(),
        _ => None,
    });
    assert_eq!(url, urls[0]);
    send(&a, b.person, "found you");
    receives(&b, a.person, "found you");
}

fn two_instances_of_one_contact_stand_side_by_side<A: Host, B: Host>() {
    let desk = Who::new(BOB, "desk");
    let phone = desk.second_instance("phone");
    let a = Running::<A>::new(ALICE, listening());
    let b1 = Running::<B>::start(&desk, &Disk::Memory, dialling());
    let b2 = Running::<A>::start(&phone, &Disk::Memory, dialling());
    assert_eq!(b1.person, b2.person);
    pair(&a, &b1);
    let (_, link) = invite(&a);
    b2.ask(join(&link));
    // One contact with two instances, both connected.
    let contact = a.eventually("both instances", |a| {
        let contact = contacts(a).into_iter().find(|contact| contact.person == b1.person)?;
        (contact.instances.iter().filter(|instance| instance.connected).count() == 2).then_some(contact)
    });
    assert_eq!(contacts(&a).len(), 1);
    let mut names: Vec<&str> = contact.instances.iter().map(|instance| instance.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["desk", "phone"]);
    send(&a, b1.person, "to both");
    receives(&b1, a.person, "to both");
    receives(&b2, a.person, "to both");
    // What one of them writes reaches the contact whichever it is.
    send(&b2, a.person, "from the phone");
    receives(&a, b1.person, "from the phone");
}

fn of_two_joiners_with_one_token_exactly_one_wins<A: Host, B: Host>() {
    let a = Running::<A>::new(ALICE, listening());
    for round in 0..3 {
        let b = Running::<B>::new(&format!("bob{round}@lama.test"), dialling());
        let c = Running::<A>::new(&format!("carol{round}@lama.test"), dialling());
        let (_, link) = invite(&a);
        let (of_b, of_c) = std::thread::scope(|scope| {
            let joiner = |handle: lama_net::Handle| {
                let link = &link;
                scope.spawn(move || smol::block_on(handle.command(join(link))).is_ok())
            };
            let (of_b, of_c) = (joiner(b.handle.clone()), joiner(c.handle.clone()));
            (of_b.join().unwrap(), of_c.join().unwrap())
        });
        assert!(of_b ^ of_c, "one and only one: {of_b} {of_c}");
        let winner = if of_b { b.person } else { c.person };
        let loser = if of_b { c.person } else { b.person };
        a.eventually("the winner", |a| is_contact(a, winner).then_some(()));
        assert!(!contacts(&a).iter().any(|contact| contact.person == loser));
        assert_eq!(contacts(&b).len() + contacts(&c).len(), 1);
    }
}

fn messages_contacts_and_access_rights_arrive_both_ways<A: Host, B: Host>() {
    let a = Running::<A>::new(ALICE, listening());
    let b = Running::<B>::new(BOB, dialling());
    pair(&a, &b);
    // Messages.
    send(&a, b.person, "hello Bob");
    send(&b, a.person, "hello Alice");
    receives(&b, a.person, "hello Bob");
    receives(&a, b.person, "hello Alice");
    a.eventually("one and the same order", |a| (log(a, b.person) == log(&b, a.person)).then_some(()));
    // Contacts: who the other is came as signed objects.
    for (node, other, email) in [(contacts(&a), b.person, BOB), (contacts(&b), a.person, ALICE)] {
        assert_eq!((node[0].person, node[0].email.as_str()), (other, email));
    }
    // Access rights, with what they are about.
    let (from_a, from_b) = (object("from Alice"), object("from Bob"));
    share(&a, &from_a, b.person);
    share(&b, &from_b, a.person);
    has_been_shared(&b, &from_a, a.person, b.person);
    has_been_shared(&a, &from_b, b.person, a.person);
    // What was not shared does not arrive.
    let private = object("private");
    a.ask(Command::Put { objects: vec![private.clone()] });
    send(&a, b.person, "last");
    receives(&b, a.person, "last");
    assert_eq!(b.ask(Command::Object { id: private.0 }), Reply::Object(None));
    in_sync(&a, b.person);
    in_sync(&b, a.person);
}

fn share<H: Host>(node: &Running<H>, object: &(Cid, Bytes), with: PersonId) {
    node.ask(Command::Put { objects: vec![object.clone()] });
    let shared = node.ask(Command::Share { root: object.0, with: vec![with], note: None });
    assert_eq!(shared, Reply::Shared { withheld: vec![] });
}

fn has_been_shared<H: Host>(node: &Running<H>, object: &(Cid, Bytes), by: PersonId, with: PersonId) {
    node.eventually("the object", |node| {
        (node.ask(Command::Object { id: object.0 }) == Reply::Object(Some(object.1.clone()))).then_some(())
    });
    let shared = node.eventually("the access right", |node| {
        let Reply::SharedList(list) = node.ask(Command::Shared { with: Some(by) }) else { panic!("no list") };
        list.into_iter().find(|shared| shared.root == object.0 && shared.by == by)
    });
    assert!(shared.with.contains(&with), "{shared:?}");
    assert_eq!(shared.type_name.as_deref(), Some("Note"));
}

fn both_reconnect_after_a_restart_without_a_new_invitation<A: Host, B: Host>() {
    let dir = tempfile::tempdir().unwrap();
    let (alice, bob) = (Who::new(ALICE, "desk"), Who::new(BOB, "desk"));
    let (disk_a, disk_b) = (Disk::file(dir.path(), "alice"), Disk::file(dir.path(), "bob"));
    let a = Running::<A>::start(&alice, &disk_a, listening());
    let b = Running::<B>::start(&bob, &disk_b, dialling());
    pair(&a, &b);
    in_sync(&a, b.person);
    let port = a.port();
    b.shutdown();
    send(&a, bob.identity().person_id(), "written while you were away");
    a.shutdown();
    // Everything is on disk, nothing else is left; both start in another order and on the other's runtime.
    let b = Running::<A>::start(&bob, &disk_b, dialling());
    send(&b, alice.identity().person_id(), "written before you came back");
    let a =
        Running::<B>::start(&alice, &disk_a, Options { listen: Listen::Port(port), ..Options::default() });
    receives(&b, a.person, "written while you were away");
    receives(&a, b.person, "written before you came back");
    assert!(is_contact(&a, b.person) && is_contact(&b, a.person));
    let Reply::Invitations(list) = a.ask(Command::Invitations) else { panic!() };
    assert!(list.iter().all(|one| !matches!(one.state, InvitationState::Open)));
    in_sync(&a, b.person);
    in_sync(&b, a.person);
}

/// Alice's disk is replaced by a backup that is older than her last message: Bob brings it back, and it is hers.
fn what_one_wrote_after_the_backup_comes_back_from_the_contact<A: Host, B: Host>() {
    let dir = tempfile::tempdir().unwrap();
    let alice = Who::new(ALICE, "desk");
    let disk = dir.path().join("alice");
    let a = Running::<A>::start(&alice, &Disk::File(disk.clone()), listening());
    let b = Running::<B>::start(&Who::new(BOB, "desk"), &Disk::file(dir.path(), "bob"), dialling());
    pair(&a, &b);
    send(&a, b.person, "in the backup");
    receives(&b, a.person, "in the backup");
    in_sync(&a, b.person);
    let port = a.port();
    a.shutdown();
    let backup = std::fs::read(&disk).unwrap();
    let again = || Options { listen: Listen::Port(port), ..Options::default() };
    let a = Running::<A>::start(&alice, &Disk::File(disk.clone()), again());
    send(&a, b.person, "after the backup");
    receives(&b, a.person, "after the backup");
    a.shutdown();
    std::fs::write(&disk, backup).unwrap();
    let a = Running::<A>::start(&alice, &Disk::Restored(disk), again());
    assert_eq!(log(&a, b.person), [(a.person, "in the backup".to_owned())]);
    a.eventually("what the backup did not have", |a| {
        log(a, b.person).contains(&(a.person, "after the backup".to_owned())).then_some(())
    });
    send(&a, b.person, "life goes on");
    receives(&b, a.person, "life goes on");
    assert_eq!(log(&a, b.person), log(&b, a.person));
}

/// Not "the connection broke": the end of a session is proved, too.
fn a_shutdown_is_told_to_the_other_side<A: Host, B: Host>() {
    let a = Running::<A>::new(ALICE, listening());
    let b = Running::<B>::new(BOB, dialling());
    pair(&a, &b);
    in_sync(&a, b.person);
    b.shutdown();
    let reason = a.until("the end of the session", |event| match event {
        Event::SessionEnded { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason, EndReason::ClosedByPeer);
}

/// Bob knows Alice's key and place, as somebody might who found them; to her he is a stranger. All that reaches him
/// is counted: the second message of the handshake, which her key answers to anybody who knows it, and a close
/// without a word.
fn a_stranger_who_asks_for_chum_is_refused_without_learning_anything<A: Host, B: Host>() {
    let dir = tempfile::tempdir().unwrap();
    let (alice, bob) = (Who::new(ALICE, "desk"), Who::new(BOB, "desk"));
    let disk = Disk::file(dir.path(), "bob");
    let a = Running::<A>::start(&alice, &Disk::Memory, listening());
    let b = Running::<B>::start(&bob, &disk, dialling());
    pair(&a, &b);
    in_sync(&b, a.person);
    let port = a.port();
    b.shutdown();
    a.shutdown();
    // Alice with the same keys, and no memory of Bob; what she writes goes through a wire that counts.
    let a = Running::<A>::start(&alice, &Disk::Memory, listening());
    let carol = Running::<A>::new(CAROL, dialling());
    pair(&a, &carol);
    let wire = Proxy::start(port, a.port());
    let b = Running::<B>::start(&bob, &disk, dialling());
    let reason = a.until("the refusal", |event| match event {
        Event::LinkRefused { reason: reason @ RefuseReason::UnknownInstance { .. }, .. } => {
            Some(reason.clone())
        }
        _ => None,
    });
    assert!(matches!(reason, RefuseReason::UnknownInstance { .. }));
    b.until("Bob to see the end", |event| {
        matches!(event, Event::LinkRefused { .. } | Event::DialFailed { .. }).then_some(())
    });
    let first = wire.first_answer();
    let head = first.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let frames = &first[head..];
    // A binary frame of 48 bytes, then a close frame without code or text, or nothing.
    assert_eq!(&frames[..2], &[0x82, 48]);
    assert!(matches!(&frames[50..], [] | [0x88, 0] | [0x88, 2, 3, 0xe8]), "{:?}", &frames[50..]);
    assert!(
        b.drain(Duration::from_millis(100))
            .iter()
            .all(|event| !matches!(event, Event::SessionStarted { .. }))
    );
    assert!(!contacts(&a).iter().any(|contact| contact.person == b.person));
}

fn the_same_person_on_both_sides_is_refused_with_both_names<A: Host, B: Host>() {
    let desk = Who::new(ALICE, "desk");
    let phone = desk.second_instance("phone");
    let a = Running::<A>::start(&desk, &Disk::Memory, listening());
    let b = Running::<B>::start(&phone, &Disk::Memory, dialling());
    let (_, link) = invite(&a);
    let error = b.try_ask(join(&link)).unwrap_err();
    let NodeError::SamePerson { person, ours, theirs } = &error else { panic!("{error:?}") };
    assert_eq!((*person, ours.as_str()), (a.person, "phone"));
    assert!(!theirs.is_empty());
    assert!(error.to_string().contains("init"), "says what to do: {error}");
    assert_eq!((contacts(&a), contacts(&b)), (vec![], vec![]));
}

/// Measured in time, over a wire of 400 ms there and back: what only passes on the way costs no round trip.
fn both_are_authenticated_after_two_round_trips_and_data_comes_in_the_third<A: Host, B: Host>() {
    const ONE_WAY: Duration = Duration::from_millis(200);
    let round_trips = |n: u32| ONE_WAY * 2 * n + ONE_WAY;
    let dir = tempfile::tempdir().unwrap();
    let (alice, bob) = (Who::new(ALICE, "desk"), Who::new(BOB, "desk"));
    let (disk_a, disk_b) = (Disk::file(dir.path(), "alice"), Disk::file(dir.path(), "bob"));
    let a = Running::<A>::start(&alice, &disk_a, listening());
    let b = Running::<B>::start(&bob, &disk_b, dialling());
    pair(&a, &b);
    in_sync(&a, b.person);
    in_sync(&b, a.person);
    let port = a.port();
    b.shutdown();
    send(&a, bob.identity().person_id(), "the first object");
    a.shutdown();
    let a = Running::<A>::start(&alice, &disk_a, listening());
    let wire = Proxy::far_away(port, a.port(), ONE_WAY);
    let b = Running::<B>::start(&bob, &disk_b, dialling());
    b.until("the session", |event| matches!(event, Event::SessionStarted { .. }).then_some(()));
    let authenticated = wire.opened().elapsed();
    b.until("the message", |event| matches!(event, Event::Message(_)).then_some(()));
    let first_object = wire.opened().elapsed();
    assert!(authenticated < round_trips(2), "authenticated after {authenticated:?}");
    assert!(first_object < round_trips(3), "first object after {first_object:?}");
}

on_both_and_mixed!(
    an_invitation_carries_the_key_of_the_instance_and_not_of_the_person,
    without_an_invitation_there_is_no_pairing_and_the_reason_is_said,
    contacts_stand_on_both_sides_after_pairing,
    contacts_stand_on_neither_side_after_a_failed_pairing,
    endpoints_of_contacts_are_discoverable_and_of_strangers_not,
    a_spent_token_is_refused,
    a_revoked_token_is_refused,
    an_expired_token_is_refused,
    a_peer_that_moves_is_found_again,
    two_instances_of_one_contact_stand_side_by_side,
    of_two_joiners_with_one_token_exactly_one_wins,
    messages_contacts_and_access_rights_arrive_both_ways,
    both_reconnect_after_a_restart_without_a_new_invitation,
    what_one_wrote_after_the_backup_comes_back_from_the_contact,
    a_shutdown_is_told_to_the_other_side,
    a_stranger_who_asks_for_chum_is_refused_without_learning_anything,
    the_same_person_on_both_sides_is_refused_with_both_names,
    both_are_authenticated_after_two_round_trips_and_data_comes_in_the_third,
);
