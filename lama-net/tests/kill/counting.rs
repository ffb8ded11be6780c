//! A store that writes down what is read from it to be sent and what arrives: with one `write` each, so that it is
//! there after SIGKILL.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::iter::Sum;
use std::path::Path;

use lama_identity::PublicIdentity;
use lama_net::Storage;
use lama_store::{Reply, Request, StoreError, Write};

/// Bytes of objects.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Count {
    /// Read to be sent.
    pub(crate) given: u64,
    /// In batches that became durable.
    pub(crate) taken: u64,
}

impl Sum for Count {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, next| Self {
            given: sum.given + next.given,
            taken: sum.taken + next.taken,
        })
    }
}

/// Adds up what all lives of a process have written down.
pub(crate) fn read(dir: &Path) -> Count {
    let mut rows = Vec::new();
    File::open(dir.join("count")).unwrap().read_to_end(&mut rows).unwrap();
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    rows.chunks_exact(16).map(|row| Count { given: number(&row[..8]), taken: number(&row[8..]) }).sum()
}

/// The store around which is counted.
pub(crate) struct Counting<S> {
    store: S,
    file: File,
}

impl<S: Storage> Counting<S> {
    pub(crate) fn new(store: S, dir: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(dir.join("count")).unwrap();
        Self { store, file }
    }
}

impl<S: Storage> Storage for Counting<S> {
    fn execute(&mut self, requests: &[Request]) -> Vec<Result<Reply, StoreError>> {
        let replies = self.store.execute(requests);
        let mut count = Count::default();
        for (request, reply) in requests.iter().zip(&replies) {
            match (request, reply) {
                (_, Ok(Reply::Page(page))) => {
                    count.given += page.entries.iter().map(|entry| entry.object.len() as u64).sum::<u64>();
                }
                (Request::Commit(writes), Ok(Reply::Committed(_))) => {
                    for write in writes {
                        if let Write::Import(import) = write {
                            let bytes = import.objects.iter().map(|(_, object)| object.len() as u64);
                            count.taken += bytes.sum::<u64>();
                        }
                    }
                }
                _ => {}
            }
        }
        if count.given + count.taken > 0 {
            let row = [count.given.to_le_bytes(), count.taken.to_le_bytes()].concat();
            self.file.write_all(&row).unwrap();
        }
        replies
    }

    fn set_owner(&mut self, owner: PublicIdentity) -> Result<(), StoreError> {
        self.store.set_owner(owner)
    }

    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Box::new(self.store).close()
    }
}
