//! What has to happen in time.

use lama_bindings::SessionStep;

use crate::host::{Host, LINK, at, paired};

const DAY: u64 = 24 * 60 * 60 * 1000;

#[test]
fn the_time_of_a_handshake_begins_with_the_open_link() {
    let mut ben = Host::new("ben@lama.local", 3);
    let link = Host::new("ann@lama.local", 1).invites();
    ben.sessions.join(LINK, &link, false, [6; 32], at(0)).unwrap();
    // The host looks the name up, and the first address does not answer.
    assert_eq!(ben.sessions.poll_timeout(), None);
    ben.sessions.handle_timeout(at(60_000));
    assert_eq!(ben.sessions.poll(), None);
    ben.sessions.poll_frame(LINK, at(60_000)).unwrap();
    assert_eq!(ben.sessions.poll_timeout(), Some(65_000));
}

#[test]
fn nothing_goes_on_after_its_time() {
    let (mut ann, mut ben) = (Host::new("ann@lama.local", 1), Host::new("ben@lama.local", 3));
    let link = ann.invites();
    ann.sessions.accept(LINK, [5; 32], at(0)).unwrap();
    ben.sessions.join(LINK, &link, false, [6; 32], at(0)).unwrap();
    let frame = ben.sessions.poll_frame(LINK, at(0)).unwrap();
    ann.sessions.frame(LINK, &frame, at(3_600_000));
    ann.live();
    assert_eq!(ann.codes(), ["handshake-timeout"]);

    // Whoever was asked and thought about it for too long is not wrong, only late.
    let mut cat = Host::new("cat@lama.local", 5);
    cat.sessions.accept(LINK, [5; 32], at(0)).unwrap();
    cat.sessions.frame(LINK, &frame, at(0));
    assert!(matches!(cat.sessions.poll(), Some(SessionStep::Asked { .. })));
    cat.sessions.answer(LINK, None, None, at(3_600_000)).unwrap();
    cat.live();
    assert_eq!(cat.codes(), ["handshake-timeout"]);
}

#[test]
fn whoever_joins_does_not_wait_for_ever_for_the_other_side_to_store_it() {
    let (mut ann, mut ben) = (Host::new("ann@lama.local", 1), Host::new("ben@lama.local", 3));
    let link = ann.invites();
    ann.sessions.accept(LINK, [5; 32], at(0)).unwrap();
    ben.sessions.join(LINK, &link, false, [6; 32], at(0)).unwrap();
    while !ben.codes().contains(&"verified") {
        while let Some(frame) = ben.sessions.poll_frame(LINK, at(0)) {
            ann.sessions.frame(LINK, &frame, at(0));
            ann.live();
        }
        while let Some(frame) = ann.sessions.poll_frame(LINK, at(0)) {
            ben.sessions.frame(LINK, &frame, at(0));
            ben.live();
        }
    }
    // He has gone on, and what he says arrives nowhere.
    let due = ben.sessions.poll_timeout().unwrap();
    assert_eq!(due, 5_000);
    ben.sessions.handle_timeout(at(due));
    ben.live();
    assert_eq!(ben.codes(), ["verified", "handshake-timeout"]);
}

#[test]
fn a_goodbye_does_not_wait_for_ever_for_what_is_queued() {
    let (mut ann, mut ben) = paired();
    for _ in 0..20 {
        ann.sessions.send(LINK, 3, vec![7; 1_000_000]).unwrap();
    }
    ann.sessions.close(LINK, at(0));
    // The other side takes nothing, so its credit runs out.
    while ann.sessions.poll_frame(LINK, at(0)).is_some() {}
    assert!(ann.sessions.queued(LINK) > 0);
    let due = ann.sessions.poll_timeout().unwrap();
    assert_eq!(due, 10_000);
    ann.sessions.handle_timeout(at(due));
    assert!(ann.sessions.poll_frame(LINK, at(due)).is_some());
    ann.live();
    assert_eq!((ann.codes().last(), ann.sessions.queued(LINK)), (Some(&"done"), 0));
    assert_eq!(ann.sessions.poll_timeout(), None);
    ben.live();
}

/// Passes frames at that time; what they say is told by `live`.
fn pass(ann: &mut Host, ben: &mut Host, now: u64) {
    for _ in 0..3 {
        while let Some(frame) = ann.sessions.poll_frame(LINK, at(now)) {
            ben.sessions.frame(LINK, &frame, at(now));
        }
        while let Some(frame) = ben.sessions.poll_frame(LINK, at(now)) {
            ann.sessions.frame(LINK, &frame, at(now));
        }
    }
}

#[test]
fn after_a_day_a_session_ends_once_and_no_timer_spins() {
    let (mut ann, mut ben) = paired();
    let mut last = 0;
    while let Some(due) = ann.sessions.poll_timeout().into_iter().chain(ben.sessions.poll_timeout()).min() {
        assert!(due > last, "{due} after {last}");
        last = due;
        if due >= DAY {
            // What was said at the last moment is not lost.
            ann.sessions.send(LINK, 1, b"good night".to_vec()).unwrap();
        }
        ann.sessions.handle_timeout(at(due));
        ben.sessions.handle_timeout(at(due));
        pass(&mut ann, &mut ben, due);
        assert!(last <= DAY);
    }
    assert_eq!(last, DAY);
    for host in [&mut ann, &mut ben] {
        host.steps.clear();
        host.live();
        let ends = host.codes().iter().filter(|code| **code == "renew").count();
        assert_eq!(ends, 1, "{:?}", host.steps);
        host.sessions.link_down(LINK);
        host.live();
        assert_eq!(host.codes().last(), Some(&"renew"));
    }
    assert_eq!(ben.messages(), [(1, b"good night".as_slice())]);
}
