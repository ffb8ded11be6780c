//! In which order jobs are done, and what shares a sync.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt as _;
use lama_chum::Positions;
use lama_identity::{ChannelId, Cid, Hlc, InstanceId, PersonId, PublicIdentity};
use lama_store::{ChannelEntryRow, Committed, Effect, EntryState, Import, Read};

use super::*;

/// What a store was told, and what it waits for.
#[derive(Default)]
struct Seen {
    done: Vec<String>,
}

/// A store that does nothing but say in which order it was asked. It stands until `gate` gives it a word.
struct Fake {
    seen: Arc<Mutex<Seen>>,
    gate: mpsc::Receiver<()>,
    urgent: bool,
}

fn name(requests: &[Request]) -> String {
    match requests {
        [Request::Read(Read::Setting(name))] => name.clone(),
        [Request::Commit(writes)] => match &writes[..] {
            [Write::Setting { key, .. }] => key.clone(),
            [Write::Import(import)] => format!("{} objects", import.objects.len()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

impl Storage for Fake {
    fn execute(&mut self, _: &[Request]) -> Results {
        unreachable!("it is staged")
    }

    fn stage(&mut self, requests: &[Request]) -> Results {
        let name = name(requests);
        let urgent = self.urgent && name.starts_with("said");
        if name == "stop" {
            self.gate.recv().unwrap();
        }
        self.seen.lock().unwrap().done.push(name);
        let mut committed = Committed::default();
        if urgent {
            committed.effects.push(Effect::ChannelEntry(row()));
        }
        vec![Ok(match requests {
            [Request::Read(_)] => Reply::Setting(None),
            _ => Reply::Committed(committed),
        })]
    }

    fn make_durable(&mut self) -> Result<(), StoreError> {
        self.seen.lock().unwrap().done.push("sync".to_owned());
        Ok(())
    }

    fn set_owner(&mut self, _: PublicIdentity) -> Result<(), StoreError> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Something was said in a channel.
fn row() -> ChannelEntryRow {
    ChannelEntryRow {
        channel: ChannelId([1; 32]),
        id: Cid::of_object(b"x"),
        author: PersonId([2; 32]),
        instance: InstanceId([3; 32]),
        clock: Hlc { ms: 1, count: 0 },
        object: Bytes::new(),
        state: EntryState::Original,
        unread: false,
    }
}

fn write(name: &str) -> Vec<Request> {
    vec![Request::Commit(vec![Write::Setting { key: name.to_owned(), value: None }])]
}

fn read(name: &str) -> Vec<Request> {
    vec![Request::Read(Read::Setting(name.to_owned()))]
}

fn import(count: usize) -> Vec<Request> {
    let object = (Cid::of_chunk(b"x"), Bytes::from_static(b"x"));
    vec![Request::Commit(vec![Write::Import(Import {
        person: PersonId([2; 32]),
        instance: InstanceId([3; 32]),
        objects: vec![object; count],
        epoch: [1; 8],
        after: Positions::all(0),
        upto: Positions::all(0),
    })])]
}

/// Asks for all of these while the store stands; in which order they were done, and how they were answered.
fn done(jobs: Vec<(Vec<Request>, Order)>) -> (Vec<String>, Vec<String>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (open, gate) = mpsc::channel();
    let fake = Fake { seen: Arc::clone(&seen), gate, urgent: true };
    let mut thread = StoreThread::start(Box::new(fake)).unwrap();
    let mut tickets = lama_core::Tickets::default();
    let stop = tickets.issue();
    thread.ask(stop, read("stop"), Order::InTurn).unwrap();
    let mut names = std::collections::BTreeMap::new();
    for (requests, order) in jobs {
        let ticket = tickets.issue();
        names.insert(ticket, name(&requests));
        thread.ask(ticket, requests, order).unwrap();
    }
    open.send(()).unwrap();
    thread.close();
    let mut answers = Vec::new();
    while let Some(answer) = smol::block_on(thread.answers.next()) {
        let (ticket, how) = match answer {
            Answer::Staged(ticket, _) => (ticket, " staged"),
            Answer::Done(ticket, _) => (ticket, ""),
        };
        answers.extend(names.get(&ticket).map(|name| format!("{name}{how}")));
    }
    let done = std::mem::take(&mut seen.lock().unwrap().done);
    (done.into_iter().filter(|name| name != "stop").collect(), answers)
}

#[test]
fn what_may_wait_is_overtaken_and_nothing_else_is() {
    let (order, _) = done(vec![
        (import(3), Order::Later),
        (write("a"), Order::InTurn),
        (import(4), Order::Later),
        (read("b"), Order::Live),
        (write("c"), Order::InTurn),
    ]);
    // Whoever waits for a and c does not wait for the bulk either.
    assert_eq!(order, ["a", "b", "c", "sync", "3 objects", "4 objects", "sync"]);
}

#[test]
fn what_may_wait_does_not_wait_for_ever() {
    let mut jobs = vec![(import(3), Order::Later)];
    jobs.extend((0..400).map(|n| (read(&n.to_string()), Order::InTurn)));
    let (order, _) = done(jobs);
    let overtaken = order.iter().position(|name| name == "3 objects").unwrap();
    // The one at which the store stood may count.
    assert!((MAX_OVERTAKEN as usize - 1..=MAX_OVERTAKEN as usize).contains(&overtaken), "{overtaken}");
    // And not before what was asked for before it.
    let mut jobs: Vec<_> = (0..400).map(|n| (read(&n.to_string()), Order::InTurn)).collect();
    jobs.push((import(3), Order::Later));
    jobs.push((read("after"), Order::InTurn));
    let (order, _) = done(jobs);
    assert_eq!(order[400..], ["3 objects", "after", "sync"]);
}

#[test]
fn what_is_said_is_told_before_the_disk_has_it_and_bulk_after() {
    let (order, answers) = done(vec![
        (import(5), Order::Later),
        (write("said"), Order::InTurn),
        (read("page"), Order::Live),
        (read("other"), Order::InTurn),
    ]);
    assert_eq!(order, ["said", "page", "other", "sync", "5 objects", "sync"]);
    assert_eq!(answers, ["said staged", "page", "said", "other", "5 objects"]);
}

#[test]
fn bulk_shares_a_sync_and_less_of_it_while_somebody_waits() {
    let bulk = |count: usize| vec![(import(512), Order::Later); count];
    let syncs = |order: &[String]| -> Vec<usize> {
        let groups = order.split(|name| name == "sync");
        groups.map(|group| group.iter().filter(|name| name.ends_with("objects")).count()).collect()
    };
    let (order, _) = done(bulk(30));
    assert_eq!(syncs(&order), [12, 12, 6, 0]);
    let (order, _) = done([bulk(30), vec![(write("said"), Order::InTurn)]].concat());
    assert_eq!(syncs(&order)[..4], [0, 3, 3, 3]);
}
