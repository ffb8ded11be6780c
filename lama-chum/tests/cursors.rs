//! What the store is told of places in the peer's log, and the host of how far both are.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use bytes::BytesMut;
use common::victim::message;
use common::view::View;
use common::{object, objects, pair_key};
use lama_chum::wire::{self, Hello, Label, LogNews, ObjectsWriter};
use lama_chum::{
    Chum, ChumError, Config, Cursor, Event, Fingerprint, Flow, ImportOutcome, Input, Output, Past, Positions,
    StoreFailure, ViewHead,
};
use lama_core::{Instant, Machine, Now, Ticket, WallTime};
use lama_identity::Codec;

const NOW: Now = Now { mono: Instant::ORIGIN, wall: WallTime(0) };

/// A log with `seq` entries that make so many ids; `set` names the set.
fn head(epoch: u8, seq: u64, count: u64, set: u8) -> ViewHead {
    ViewHead { epoch: [epoch; 8], seq, count, fingerprint: Fingerprint([set; 16]) }
}

/// A machine that has said HELLO and heard the other's.
fn met(ours: ViewHead, cursor: Cursor, theirs: Hello) -> Chum {
    let mut chum = Chum::new(Config::default(), ours, cursor, pair_key());
    chum.handle(NOW, Input::Message(message(|out| theirs.write(out)))).unwrap();
    assert!(chum.poll_frame(&mut BytesMut::new()));
    chum
}

fn hello(head: ViewHead, cursor: Cursor, news: LogNews) -> Hello {
    Hello { head, cursor, news }
}

fn outputs(chum: &mut Chum) -> Vec<Output> {
    std::iter::from_fn(|| chum.poll()).collect()
}

/// The cursors that the store was told.
fn cursors(outputs: &[Output]) -> Vec<Cursor> {
    let of = |output: &Output| if let Output::Cursor(cursor) = output { Some(*cursor) } else { None };
    outputs.iter().filter_map(of).collect()
}

/// The places that imports set, and those that they follow on; the ticket of the last one.
fn imports(outputs: &[Output]) -> (Vec<(Cursor, Positions)>, Ticket) {
    let mut last = Ticket(0);
    let places = outputs.iter().filter_map(|output| match output {
        Output::Import { ticket, epoch, after, upto, .. } => {
            last = *ticket;
            Some((Cursor { epoch: *epoch, upto: *upto }, *after))
        }
        _ => None,
    });
    (places.collect(), last)
}

fn one(upto: u64, head: u64) -> Input {
    Input::Message(message(|out| {
        let mut writer = ObjectsWriter::begin(out);
        writer.push(Codec::DagCbor, &object("peer", upto, 50).1);
        writer.finish(Label::default(), upto, head);
    }))
}

fn imported(chum: &mut Chum, ticket: Ticket, outcome: ImportOutcome) -> Vec<Output> {
    chum.handle(NOW, Input::Imported { ticket, outcome }).unwrap();
    outputs(chum)
}

#[test]
fn a_place_in_a_log_that_is_sent_once_more_does_not_count() {
    let none = Cursor::default();
    // Ours is empty, so all of theirs comes, from 0 on.
    let after = |ours: ViewHead, cursor: Cursor| {
        cursors(&outputs(&mut met(ours, cursor, hello(head(2, 100, 100, 2), none, LogNews::None))))
    };
    assert_eq!(after(head(1, 9, 0, 0), Cursor::all([2; 8], 50)), [none], "it was reached before");
    assert!(after(head(1, 9, 0, 0), Cursor::all([3; 8], 50)).is_empty(), "of another life");
    assert!(after(head(1, 9, 0, 0), Cursor::all([2; 8], 0)).is_empty(), "it says nothing");
    assert!(after(head(1, 9, 9, 1), Cursor::all([2; 8], 50)).is_empty(), "a round decides what comes");
}

/// Sets are equal, and what comes is chosen from all of the log: no place in between is one to go on from.
#[test]
fn news_of_a_log_that_is_not_known_move_the_cursor_at_their_end() {
    let none = Cursor::default();
    let theirs = hello(head(2, 100, 9, 1), none, LogNews::Open);
    let gone = |upto| {
        Input::Message(message(|out| {
            wire::write_gone(Label::default(), upto, 100, [object("gone", upto, 50).0].into_iter(), out);
        }))
    };
    let mut chum = met(head(1, 9, 9, 1), Cursor::all([3; 8], 50), theirs);
    assert_eq!(cursors(&outputs(&mut chum)), [none]);
    chum.handle(NOW, gone(40)).unwrap();
    let (places, ticket) = imports(&outputs(&mut chum));
    assert_eq!(places, [(none, Positions::all(0))]);
    let outcome = ImportOutcome { before: 9, head: head(1, 10, 9, 1), ..ImportOutcome::default() };
    assert!(cursors(&imported(&mut chum, ticket, outcome)).is_empty());
    chum.handle(NOW, gone(100)).unwrap();
    assert_eq!(imports(&outputs(&mut chum)).0, [(Cursor::all([2; 8], 100), Positions::all(0))]);
    // Of a log that is known, each place is one.
    let mut chum = met(head(1, 9, 9, 1), Cursor::all([2; 8], 30), theirs);
    assert!(cursors(&outputs(&mut chum)).is_empty());
    chum.handle(NOW, gone(40)).unwrap();
    assert_eq!(imports(&outputs(&mut chum)).0, [(Cursor::all([2; 8], 40), Positions::all(30))]);
}

#[test]
fn an_import_follows_on_what_the_store_has_of_the_same_life() {
    for (cursor, expected) in
        [(Cursor::all([2; 8], 7), 7), (Cursor::all([3; 8], 7), 0), (Cursor::default(), 0)]
    {
        // Theirs counts, where ours does.
        let theirs = hello(head(2, 100, 100, 2), Cursor::all([1; 8], 5), LogNews::None);
        let ours = if expected == 0 { head(1, 5, 0, 0) } else { head(1, 5, 5, 1) };
        let mut chum = met(ours, cursor, theirs);
        outputs(&mut chum);
        chum.handle(NOW, one(40, 100)).unwrap();
        let (places, ticket) = imports(&outputs(&mut chum));
        assert_eq!(places, [(Cursor::all([2; 8], 40), Positions::all(expected))]);
        let outcome =
            ImportOutcome { before: 5, head: ViewHead { seq: 6, ..ours }, ..ImportOutcome::default() };
        imported(&mut chum, ticket, outcome);
        chum.handle(NOW, one(50, 100)).unwrap();
        assert_eq!(imports(&outputs(&mut chum)).0, [(Cursor::all([2; 8], 50), Positions::all(40))]);
    }
}

#[test]
fn progress_counts_from_where_the_session_began_and_waits_in_one_event() {
    let theirs = hello(head(2, 100, 100, 2), Cursor::all([1; 8], 20), LogNews::None);
    let mut chum = met(head(1, 50, 50, 1), Cursor::all([2; 8], 30), theirs);
    let begun = chum.progress();
    assert_eq!(begun.received, Flow { done: 0, total: Some(70), ..Flow::default() });
    assert_eq!(begun.sent, Flow { done: 0, total: Some(30), ..Flow::default() });
    outputs(&mut chum);
    // Heads grow while nobody fetches what is reported.
    for seq in 51..60 {
        chum.handle(NOW, Input::Grown(head(1, seq, seq, 3))).unwrap();
    }
    let told: Vec<_> =
        outputs(&mut chum)
            .into_iter()
            .filter_map(|output| {
                if let Output::Event(Event::Progress(progress)) = output { Some(progress) } else { None }
            })
            .collect();
    assert_eq!(told, [chum.progress()]);
    assert_eq!(chum.progress().sent.total, Some(39));
}

#[test]
fn what_is_set_aside_is_said_and_nothing_is_said_of_nothing() {
    let said = |outcome: ImportOutcome| {
        let theirs = hello(head(2, 100, 100, 2), Cursor::all([1; 8], 5), LogNews::None);
        let mut chum = met(head(1, 5, 5, 1), Cursor::all([2; 8], 7), theirs);
        chum.handle(NOW, one(40, 100)).unwrap();
        let ticket = imports(&outputs(&mut chum)).1;
        let outputs =
            imported(&mut chum, ticket, ImportOutcome { before: 5, head: head(1, 6, 6, 3), ..outcome });
        let of = |output: Output| match output {
            Output::Event(event @ (Event::SetAside { .. } | Event::RefusedHere { .. })) => Some(event),
            _ => None,
        };
        outputs.into_iter().filter_map(of).collect::<Vec<_>>()
    };
    let ids = vec![object("peer", 40, 50).0];
    assert_eq!(said(ImportOutcome::default()), []);
    assert_eq!(
        said(ImportOutcome { aside: ids.clone(), ..ImportOutcome::default() }),
        [Event::SetAside { ids }]
    );
}

/// Whatever the store was asked for: that it failed ends the session with its reason, and an answer to something else with
/// another.
#[test]
fn every_job_of_the_store_may_fail() {
    let none = Cursor::default();
    let failure = StoreFailure::Full;
    let fails = |begin: &dyn Fn() -> Chum, job: fn(&Output) -> Option<Ticket>| {
        let mut chum = begin();
        let ticket = outputs(&mut chum).iter().find_map(job).unwrap();
        assert_eq!(chum.handle(NOW, Input::Failed { ticket, failure }), Err(ChumError::Store(failure)));
        let (mut chum, ticket) = (begin(), Ticket(ticket.0 + 77));
        outputs(&mut chum);
        let unknown = ChumError::UnknownTicket(ticket);
        assert_eq!(chum.handle(NOW, Input::Failed { ticket, failure }), Err(unknown));
    };
    let known = || {
        let theirs = hello(head(2, 100, 100, 2), Cursor::all([1; 8], 4), LogNews::None);
        met(head(1, 5, 5, 1), Cursor::all([2; 8], 7), theirs)
    };
    fails(&known, |job| if let Output::Scan { ticket, .. } = job { Some(*ticket) } else { None });
    let importing = || {
        let mut chum = known();
        chum.handle(NOW, one(40, 100)).unwrap();
        chum
    };
    fails(&importing, |job| if let Output::Import { ticket, .. } = job { Some(*ticket) } else { None });
    let round = || met(head(1, 5, 5, 1), none, hello(head(2, 100, 100, 2), none, LogNews::None));
    fails(&round, |job| if let Output::Ids { ticket, .. } = job { Some(*ticket) } else { None });
    // Equal sets, and news of ours.
    let told = || {
        let past = Past { news: 3, last_news: 3, ..Past::default() };
        let mut chum = Chum::new(Config::default(), head(1, 5, 5, 1), none, pair_key()).with_past(&past);
        let equal = hello(head(2, 100, 5, 1), none, LogNews::None);
        chum.handle(NOW, Input::Message(message(|out| equal.write(out)))).unwrap();
        chum
    };
    fails(&told, |job| if let Output::News { ticket, .. } = job { Some(*ticket) } else { None });
    // A small difference, which the cells that go out with HELLO tell.
    let told = || {
        let [mut a, mut b] = [1, 2].map(View::new);
        a.share(objects("shared", 100, 50));
        b.share(objects("shared", 100, 50));
        a.share(objects("a", 2, 50));
        b.share(objects("b", 2, 50));
        let mut cells = BytesMut::new();
        let mut chums = [a, b]
            .map(|view| Chum::new(Config::default(), view.head, none, pair_key()).with_past(&view.past()));
        let mut said = chums.each_mut().map(|chum| {
            let mut said = Vec::new();
            while chum.poll_frame(&mut cells) {
                said.push(cells.split().freeze());
            }
            said
        });
        let [mut chum, _] = chums;
        said[1].drain(..).for_each(|message| chum.handle(NOW, Input::Message(message)).unwrap());
        chum
    };
    fails(&told, |job| if let Output::Find { ticket, .. } = job { Some(*ticket) } else { None });
}
