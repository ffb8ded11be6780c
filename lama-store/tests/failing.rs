//! The engine fails (a full disk): the caller is told, nothing is half done, and the store goes on when there is
//! room again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{Cast, open};
use lama_store::engine::{Batch, Direction, Table, Visit};
use lama_store::{Engine, Memory, Reply, Request, StoreError};

/// Memory with a number of commits that still fit.
#[derive(Debug, Clone)]
struct Small {
    memory: Memory,
    room: Rc<Cell<u32>>,
}

impl Engine for Small {
    fn read(&self, table: Table, key: &[u8], with: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        self.memory.read(table, key, with)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.memory.scan(table, from, to, direction, visit)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let room = self.room.get().checked_sub(1).ok_or(StoreError::Full)?;
        self.room.set(room);
        self.memory.commit(batch)
    }
}

#[test]
fn a_full_disk_loses_nothing_and_is_no_end() {
    let room = Rc::new(Cell::new(100));
    let cast = Cast::new();
    let mut store = open(Small { memory: Memory::default(), room: Rc::clone(&room) }, 1);
    let (mut number, mut failures) = (0, 0);
    for round in 0..30_u32 {
        room.set(if round % 3 == 0 { 0 } else { round % 4 });
        let requests: Vec<_> = (1..=4).map(|next| Request::Commit(cast.writes(number + next))).collect();
        let replies = store.execute(&requests);
        let done = replies.iter().take_while(|reply| matches!(reply, Ok(Reply::Committed(_)))).count();
        failures += replies.len() - done;
        // After the first that failed for want of room the others fail too: they start from what was not stored.
        assert!(replies[done..].iter().all(Result::is_err), "{replies:?}");
        number += done as u64;
        assert_eq!(cast.verify(&mut store), number);
    }
    assert!(failures > 0 && number > 10, "{failures} failures, {number} done");
    room.set(1);
    let engine = store.close().unwrap();
    room.set(100);
    assert_eq!(cast.verify(&mut open(engine, 2)), number);
}
