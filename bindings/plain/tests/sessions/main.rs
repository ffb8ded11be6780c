//! Sessions without a node.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod host;
mod rules;
mod time;

use host::{Host, LINK, again, at, paired, run};
use lama_bindings::SessionStep;

#[test]
fn two_pair_and_know_each_other_afterwards() {
    let (mut ann, mut ben) = paired();
    assert_eq!((ann.codes(), ben.codes()), (vec!["asked", "verified", "open"], vec!["verified", "open"]));
    let code = |host: &Host| match host.steps.last() {
        Some(SessionStep::Open { check_code, .. }) => check_code.clone().unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(code(&ann), code(&ben));
    assert_eq!(ann.contact.as_ref().unwrap().email, "ben@lama.local");

    again(&mut ann, &mut ben);
    assert_eq!(
        (ann.codes(), ben.codes()),
        (vec!["asked", "proved", "verified", "open"], vec!["verified", "open"])
    );
    let long: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    ann.sessions.send(LINK, 2, long.clone()).unwrap();
    ann.sessions.send(LINK, 0, b"urgent".to_vec()).unwrap();
    ben.sessions.send(LINK, 3, Vec::new()).unwrap();
    assert!(ann.sessions.queued(LINK) >= 1_000_006);
    run(&mut ben, &mut ann);
    assert_eq!(ben.messages(), [(0, b"urgent".as_slice()), (2, &long)]);
    assert_eq!(ann.messages(), [(3, b"".as_slice())]);
    assert_eq!(ann.sessions.queued(LINK), 0);

    ben.sessions.close(LINK, at(0));
    run(&mut ben, &mut ann);
    assert_eq!(ann.codes().last(), Some(&"done"));
    ann.steps.clear();
    ann.sessions.link_down(LINK);
    ann.live();
    assert_eq!(ann.codes(), Vec::<&str>::new(), "a goodbye is no failure");
}

#[test]
fn more_than_the_credit_of_a_stream_passes_as_messages_are_taken() {
    let (mut ann, mut ben) = paired();
    for n in 0..40_u8 {
        ann.sessions.send(LINK, 3, vec![n; 1_000_000]).unwrap();
    }
    run(&mut ben, &mut ann);
    assert_eq!(ben.messages().len(), 40);
}

#[test]
fn an_invitation_is_good_once_and_a_stranger_learns_nothing() {
    let (mut ann, ben) = paired();
    let link = Host::new("ann@lama.local", 1).invites();
    ann.sessions.link_down(LINK);
    ann.live();
    ann.steps.clear();
    let mut eve = Host::new("eve@lama.local", 5);
    ann.sessions.accept(LINK, [5; 32], at(0)).unwrap();
    eve.sessions.join(LINK, &link, false, [6; 32], at(0)).unwrap();
    run(&mut eve, &mut ann);
    assert_eq!(ann.codes(), ["asked", "session.spent"]);
    assert_eq!(eve.codes(), ["rejected"]);

    // Whoever knows where she is, and is not known, proves his key and no more.
    let known = ben.contact.clone().unwrap();
    for host in [&mut ann, &mut eve] {
        host.sessions.link_down(LINK);
        host.live();
        host.steps.clear();
    }
    ann.sessions.accept(LINK, [7; 32], at(0)).unwrap();
    eve.sessions.dial(LINK, &known, [8; 32]).unwrap();
    run(&mut eve, &mut ann);
    assert_eq!(ann.codes(), ["asked", "proved", "session.unknown-peer"]);
    eve.sessions.link_down(LINK);
    eve.live();
    assert_eq!(eve.codes(), ["truncated"]);
}

#[test]
fn who_is_not_wanted_is_told() {
    let (mut ann, mut ben) = (Host::new("ann@lama.local", 1), Host::new("ben@lama.local", 3));
    let link = ann.invites();
    ann.wants = false;
    ann.sessions.accept(LINK, [5; 32], at(0)).unwrap();
    ben.sessions.join(LINK, &link, false, [6; 32], at(0)).unwrap();
    run(&mut ben, &mut ann);
    assert_eq!(ann.codes(), ["asked", "verified", "session.refused"]);
    assert!(matches!(ben.steps.as_slice(), [SessionStep::Failed { .. }]), "{:?}", ben.steps);
    assert_eq!(ann.spent, None);
}

#[test]
fn one_person_on_both_sides_is_told_what_to_do() {
    let (mut ann, mut other) = (Host::new("ann@lama.local", 1), Host::new("ann@lama.local", 3));
    let link = ann.invites();
    let problem = other.sessions.join(LINK, &link, false, [6; 32], at(0)).unwrap_err();
    assert!(problem.message.contains("person"), "{problem}");
}

#[test]
fn questions_are_answered_once_and_by_what_was_asked_for() {
    let (mut ann, mut ben) = (Host::new("ann@lama.local", 1), Host::new("ben@lama.local", 3));
    let (link, other) = (ann.invites(), Host::new("cat@lama.local", 5).invites());
    ann.sessions.accept(LINK, [5; 32], at(0)).unwrap();
    ben.sessions.join(LINK, &link, false, [6; 32], at(0)).unwrap();
    assert_eq!(ann.sessions.proceed(LINK, at(0)).unwrap_err().code, "binding.misuse");
    let frame = ben.sessions.poll_frame(LINK, at(0)).unwrap();
    ann.sessions.frame(LINK, &frame, at(0));
    assert_eq!(ann.sessions.answer(LINK, Some(&other), None, at(0)).unwrap_err().code, "binding.argument");
    // Nothing is lost by it.
    ann.live();
    assert_eq!(ann.sessions.answer(LINK, None, None, at(0)).unwrap_err().code, "binding.misuse");
    assert_eq!(ann.sessions.send(LINK, 0, Vec::new()).unwrap_err().code, "session.closed");
    run(&mut ben, &mut ann);
    assert_eq!(ben.codes(), ["verified", "open"]);
    assert_eq!(ann.sessions.send(LINK, 4, Vec::new()).unwrap_err().code, "session.no-stream");
    assert_eq!(ann.sessions.send(LINK, 0, vec![0; 262_145]).unwrap_err().code, "session.too-long");
}

#[test]
fn who_says_nothing_is_given_up() {
    let mut ann = Host::new("ann@lama.local", 1);
    ann.sessions.accept(LINK, [5; 32], at(0)).unwrap();
    let due = ann.sessions.poll_timeout().unwrap();
    ann.sessions.handle_timeout(at(due - 1));
    ann.live();
    assert_eq!(ann.codes(), Vec::<&str>::new());
    ann.sessions.handle_timeout(at(due));
    ann.live();
    assert!(matches!(ann.steps.as_slice(), [SessionStep::Failed { .. }]));
    assert_eq!(ann.sessions.poll_timeout(), None);

    // In a session both ends ask each other whether they are there.
    let (mut ann, _) = paired();
    ann.steps.clear();
    for _ in 0..10 {
        let Some(due) = ann.sessions.poll_timeout() else { break };
        ann.sessions.handle_timeout(at(due));
        while ann.sessions.poll_frame(LINK, at(due)).is_some() {}
        ann.live();
    }
    assert!(matches!(ann.steps.as_slice(), [SessionStep::Failed { .. }]), "{:?}", ann.steps);
}
