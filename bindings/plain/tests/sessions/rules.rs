//! What must not happen, whoever wants it.

use bytes::BytesMut;
use lama_bindings::{Keys, KnownPeer, SessionStep, Sessions};
use lama_core::{Now, Seed, WallTime};
use lama_handshake::{
    Access, BootId, Config, Dial, Expect, Group, Initiator, Introduction, PinnedPerson, StreamId, Via,
};
use lama_identity::{LocalIdentity, keyfile};
use lama_invite::Invitation;

use crate::host::{Host, LINK, again, at, paired, run};

#[test]
fn who_is_dialled_and_shows_an_older_log_or_another_one_is_refused() {
    let changes: [fn(&mut KnownPeer); 2] = [|ann| ann.head.seq += 5, |ann| ann.head.hash = "ab".repeat(32)];
    for change in changes {
        let (mut ann, mut ben) = paired();
        change(ben.contact.as_mut().unwrap());
        again(&mut ann, &mut ben);
        assert!(matches!(ben.steps.as_slice(), [SessionStep::Failed { .. }]), "{:?}", ben.steps);
        assert!(!ann.codes().contains(&"open"));
    }
}

#[test]
fn of_two_who_come_at_once_with_one_invitation_one_gets_in() {
    let mut ann = Host::new("ann@lama.local", 1);
    let link = ann.invites();
    let mut joiners = [Host::new("ben@lama.local", 3), Host::new("eve@lama.local", 5)];
    let mut steps = Vec::new();
    for (n, joiner) in (0..).zip(&mut joiners) {
        ann.sessions.accept(n, [20 + n as u8; 32], at(0)).unwrap();
        joiner.sessions.join(n, &link, false, [30 + n as u8; 32], at(0)).unwrap();
    }
    for _ in 0..6 {
        for (n, joiner) in (0..).zip(&mut joiners) {
            while let Some(frame) = joiner.sessions.poll_frame(n, at(0)) {
                ann.sessions.frame(n, &frame, at(0));
            }
        }
        // Both come so far before she goes on with either.
        let told: Vec<SessionStep> = std::iter::from_fn(|| ann.sessions.poll()).collect();
        for step in &told {
            match step {
                SessionStep::Asked { link: number, .. } => {
                    ann.sessions.answer(*number, Some(&link), None, at(0)).unwrap();
                }
                SessionStep::Verified { link: number, .. } => ann.sessions.proceed(*number, at(0)).unwrap(),
                _ => {}
            }
        }
        steps.extend(told);
        for (n, joiner) in (0..).zip(&mut joiners) {
            while let Some(frame) = ann.sessions.poll_frame(n, at(0)) {
                joiner.sessions.frame(n, &frame, at(0));
            }
            joiner.live();
        }
    }
    ann.steps = steps;
    let codes = ann.codes();
    assert_eq!(codes.iter().filter(|code| **code == "open").count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == "session.spent").count(), 1, "{codes:?}");
    // Who is refused is none whom she would write down as the one who has spent it.
    assert_eq!(codes.iter().filter(|code| **code == "verified").count(), 1, "{codes:?}");
    assert_eq!((joiners[0].codes(), joiners[1].codes()), (vec!["verified", "open"], vec!["rejected"]));
}

#[test]
fn who_is_refused_does_not_spend_the_invitation() {
    let (mut ann, mut ben) = (Host::new("ann@lama.local", 1), Host::new("ben@lama.local", 3));
    let link = ann.invites();
    for (wants, joiner) in [(false, &mut ben), (true, &mut Host::new("cat@lama.local", 5))] {
        ann.wants = wants;
        ann.sessions.accept(LINK, [5; 32], at(0)).unwrap();
        joiner.sessions.join(LINK, &link, false, [6; 32], at(0)).unwrap();
        run(joiner, &mut ann);
        assert_eq!(ann.codes().contains(&"open"), wants, "{:?}", ann.steps);
        ann.sessions.link_down(LINK);
        ann.live();
    }
}

#[test]
fn who_was_cut_off_after_he_was_stored_comes_again_by_the_same_invitation() {
    let (mut ann, mut ben) = (Host::new("ann@lama.local", 1), Host::new("ben@lama.local", 3));
    let link = ann.invites();
    ann.sessions.accept(LINK, [5; 32], at(0)).unwrap();
    ben.sessions.join(LINK, &link, false, [6; 32], at(0)).unwrap();
    while !ann.codes().contains(&"verified") {
        while let Some(frame) = ben.sessions.poll_frame(LINK, at(0)) {
            ann.sessions.frame(LINK, &frame, at(0));
            ann.live();
        }
        while let Some(frame) = ann.sessions.poll_frame(LINK, at(0)) {
            // Her Auth does not arrive.
            if !ann.codes().contains(&"verified") {
                ben.sessions.frame(LINK, &frame, at(0));
            }
        }
    }
    for host in [&mut ann, &mut ben] {
        host.sessions.link_down(LINK);
        host.live();
        host.steps.clear();
    }
    assert!(ann.spent.is_some());
    ann.sessions.accept(LINK, [7; 32], at(0)).unwrap();
    ben.sessions.join(LINK, &link, false, [8; 32], at(0)).unwrap();
    run(&mut ben, &mut ann);
    assert_eq!((ann.codes(), ben.codes()), (vec!["asked", "verified", "open"], vec!["verified", "open"]));
}

#[test]
fn what_was_sent_before_the_goodbye_arrives_and_nothing_is_taken_after_it() {
    let (mut ann, mut ben) = paired();
    for stream in 0..4 {
        ann.sessions.send(LINK, stream, vec![stream; 250_000]).unwrap();
    }
    assert!(ann.sessions.queued(LINK) > 1_000_000);
    ann.sessions.close(LINK, at(0));
    assert_eq!(ann.sessions.send(LINK, 1, Vec::new()).unwrap_err().code, "session.closed");
    run(&mut ann, &mut ben);
    assert_eq!(ben.messages().len(), 4);
    assert_eq!((ann.codes().last(), ben.codes().last()), (Some(&"done"), Some(&"done")));
    assert_eq!(ben.sessions.send(LINK, 1, Vec::new()).unwrap_err().code, "session.closed");
    // Each end is told once.
    for host in [&mut ann, &mut ben] {
        host.steps.clear();
        host.sessions.close(LINK, at(0));
        host.sessions.link_down(LINK);
        host.live();
        assert_eq!((host.codes(), host.sessions.queued(LINK)), (vec![], 0));
    }
}

#[test]
fn who_wanted_to_end_it_and_had_nothing_to_send_misses_nothing() {
    let (mut ann, mut ben) = paired();
    ann.steps.clear();
    ann.sessions.close(LINK, at(0));
    ann.sessions.link_down(LINK);
    ann.live();
    assert_eq!(ann.codes(), Vec::<&str>::new());
    ben.sessions.send(LINK, 1, vec![1]).unwrap();
    ben.sessions.close(LINK, at(0));
    ben.sessions.link_down(LINK);
    ben.live();
    assert_eq!(ben.codes().last(), Some(&"truncated"), "what was queued is lost");
}

#[test]
fn messages_without_a_byte_wait_too() {
    let (mut ann, _) = paired();
    for _ in 0..1000 {
        ann.sessions.send(LINK, 1, Vec::new()).unwrap();
    }
    assert!(ann.sessions.queued(LINK) >= 1000);
}

#[test]
fn a_number_is_taken_again_when_all_of_the_old_link_is_polled() {
    let (mut ann, mut ben) = paired();
    let taken = |host: &mut Host| host.sessions.accept(LINK, [77; 32], at(0)).map_err(|problem| problem.code);
    assert_eq!(taken(&mut ann), Err("session.link-in-use".to_owned()));
    ben.sessions.send(LINK, 1, b"from ben".to_vec()).unwrap();
    let frame = ben.sessions.poll_frame(LINK, at(0)).unwrap();
    ann.sessions.frame(LINK, &frame, at(0));
    ann.sessions.link_down(LINK);
    assert_eq!(taken(&mut ann), Err("session.link-in-use".to_owned()));
    ann.live();
    assert_eq!(ann.codes()[3..], ["message", "truncated"]);
    assert_eq!(taken(&mut ann), Ok(()));
}

#[test]
fn questions_end_with_their_link() {
    let (mut ann, mut ben) = (Host::new("ann@lama.local", 1), Host::new("ben@lama.local", 3));
    let link = ann.invites();
    ann.sessions.accept(LINK, [5; 32], at(0)).unwrap();
    ben.sessions.join(LINK, &link, false, [6; 32], at(0)).unwrap();
    // A first message with garbage behind it, read at once.
    let frame = ben.sessions.poll_frame(LINK, at(0)).unwrap();
    ann.sessions.frame(LINK, &frame, at(0));
    ann.sessions.frame(LINK, b"garbage", at(0));
    ann.live();
    assert_eq!(ann.codes(), ["session.out-of-turn"]);
    assert_eq!(ann.sessions.answer(LINK, None, None, at(0)).unwrap_err().code, "session.closed");

    let mut cat = Host::new("cat@lama.local", 5);
    cat.sessions.accept(LINK, [5; 32], at(0)).unwrap();
    cat.sessions.frame(LINK, &frame, at(0));
    cat.sessions.close(LINK, at(0));
    cat.live();
    assert_eq!(cat.sessions.poll_frame(LINK, at(0)), None);
    assert_eq!(cat.codes(), ["done"]);
}

#[test]
fn whoever_joins_has_the_code_before_the_other_side_is_asked() {
    let (_, ben) = paired();
    let code = |step: &SessionStep| match step {
        SessionStep::Verified { check_code, .. } | SessionStep::Open { check_code, .. } => check_code.clone(),
        other => panic!("{other:?}"),
    };
    assert!(code(&ben.steps[0]).is_some());
    assert_eq!(code(&ben.steps[0]), code(&ben.steps[1]));
}

#[test]
fn an_address_that_cannot_be_announced_is_refused() {
    let mut ann = Host::new("ann@lama.local", 1);
    assert!(ann.sessions.listening(&format!("ws://localhost/{}", "a".repeat(600))).is_err());
    ann.sessions.listening("ws://localhost:8765").unwrap();
}

/// Sessions of a device that has the instance's keys alone.
fn without_person(email: &str, n: u8) -> Sessions {
    let keys = LocalIdentity::create(email.parse().unwrap(), "desk", Seed::danger_fixed([n; 32]), wall());
    let (public, noise, sign, _) = keys.unwrap().into_parts();
    let device = LocalIdentity::from_parts(public, noise, sign, None).unwrap();
    let secrets = [
        ("identity".to_owned(), device.danger_export().unwrap()),
        ("storage".to_owned(), vec![1_u8; 32].into()),
    ];
    let (owner, seed) = (*device.person_id().as_bytes(), Seed::danger_fixed([n; 32]));
    let file = keyfile::seal(&owner, None, keyfile::Cost::default(), &secrets, &seed).unwrap();
    Sessions::new(Keys::open(&file, None).unwrap(), [n; 32])
}

const fn wall() -> WallTime {
    WallTime(at(0).wall_ms)
}

#[test]
fn a_device_without_its_persons_key_says_so_before_it_pairs() {
    let mut device = without_person("ann@lama.local", 40);
    let link = Host::new("ben@lama.local", 3).invites();
    let invites = device.invite(&["ws://localhost:8765".to_owned()], None, [9; 32], at(0));
    let joins = device.join(LINK, &link, false, [6; 32], at(0));
    for problem in [invites.map(drop).unwrap_err(), joins.map(drop).unwrap_err()] {
        assert_eq!(problem.code, "session.no-person-key");
    }
}

/// The other end is the machines themselves, as a whole instance drives them.
#[test]
fn whoever_joins_may_speak_behind_his_ready() {
    let mut ann = Host::new("ann@lama.local", 1);
    let invitation: Invitation = lama_invite::parse_unchecked(&ann.invites()).unwrap();
    let ben =
        LocalIdentity::create("ben@lama.local".parse().unwrap(), "desk", Seed::danger_fixed([4; 32]), wall());
    let (ben, psk, mut out) = (ben.unwrap(), invitation.psk(), BytesMut::new());
    let dial = Dial {
        instance: *invitation.r_static(),
        person: PinnedPerson { id: invitation.r_person_id(), pin: invitation.r_person_pin() },
        access: Access::Pairing { locator: invitation.locator(), psk: &psk },
        via: Via::Direct,
    };
    let tell = |ann: &mut Host, out: &mut BytesMut| {
        ann.sessions.frame(LINK, &out.split(), at(0));
        ann.live();
    };
    let said = |ann: &mut Host| BytesMut::from(ann.sessions.poll_frame(LINK, at(0)).unwrap().as_slice());
    ann.sessions.accept(LINK, [5; 32], at(0)).unwrap();
    let dialled = Initiator::dial(&dial, Seed::danger_fixed([6; 32]), &mut out).unwrap();
    tell(&mut ann, &mut out);
    let keyed = dialled.read_message2(&said(&mut ann), ben.noise(), &mut out).unwrap();
    tell(&mut ann, &mut out);
    let endpoint = ben.public().endpoint("").unwrap();
    let introduction = Introduction::new(ben.public().clone(), endpoint, Group::Pairing, BootId([0; 16]));
    let signing = keyed.introduce(&introduction).unwrap();
    let signature = ben.person().unwrap().sign.sign_input(signing.to_sign());
    let wait = signing.signed(signature, &mut out).unwrap();
    tell(&mut ann, &mut out);
    let verified = wait.read_auth(said(&mut ann), &Expect { wall: wall(), ..Expect::default() }).unwrap();
    let now = Now { wall: wall(), ..Now::default() };
    let mut open = verified.ready(&Config::default(), now, &mut out).unwrap();
    let ready = out.split();
    open.mux.allow_early();
    let mut hello = Some(b"HELLO");
    open.mux.poll_frame(
        &mut |stream, _, out| {
            let now = hello.take_if(|_| stream == StreamId::OBJECTS);
            now.map(|hello| out.extend_from_slice(hello)).is_some()
        },
        &mut out,
    );
    // Both arrive in one flight.
    ann.sessions.frame(LINK, &ready, at(0));
    tell(&mut ann, &mut out);
    assert_eq!(ann.codes(), ["asked", "verified", "open", "message"]);
}
