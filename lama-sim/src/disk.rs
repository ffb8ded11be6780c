//! What survives a crash: an engine in memory that outlives the store that uses it.

use std::cell::RefCell;
use std::rc::Rc;

use lama_store::engine::{Batch, Direction, Table, Visit};
use lama_store::{Engine, Memory, StoreError};

/// A disk. Clones are the same disk: a crashed process loses its store, not this.
#[derive(Debug, Clone, Default)]
pub struct Disk(Rc<RefCell<Memory>>);

impl Disk {
    /// An own disk with the same content, as a backup would be.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        Self(Rc::new(RefCell::new(self.0.borrow().clone())))
    }
}

impl Engine for Disk {
    fn read(&self, table: Table, key: &[u8], with: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        self.0.borrow().read(table, key, with)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.0.borrow().scan(table, from, to, direction, visit)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.0.borrow_mut().commit(batch)
    }
}
