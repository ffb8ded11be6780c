//! Everything of one engine into another, row by row, in commits of bounded size.

use alloc::vec::Vec;

use super::{Batch, Direction, Engine, Table};
use crate::StoreError;
use crate::layout::{kind, meta};

/// Bytes of keys and values in one commit of a copy.
const COMMIT: usize = 8 << 20;

/// Copies a store into an empty engine. The copy holds what the store says now and nothing of what it said before, so
/// it is also how free room is given back and how old pages end. Memory: one commit of 8 MiB.
///
/// # Errors
/// Of either engine. The target is then no store that may be used.
pub fn copy(from: &impl Engine, to: &mut impl Engine) -> Result<(), StoreError> {
    let stale = meta(kind::STALE, &[]);
    for table in Table::ALL {
        let mut next: Option<Vec<u8>> = Some(Vec::new());
        while let Some(start) = next.take() {
            let (mut batch, mut bytes) = (Batch::default(), 0);
            from.scan(table, &start, None, Direction::Up, &mut |key, value| {
                if bytes > 0 && bytes + key.len() + value.len() > COMMIT {
                    next = Some(key.to_vec());
                    return false;
                }
                bytes += key.len() + value.len();
                if table != Table::Meta || key != stale {
                    batch.put(table, key, value.to_vec());
                }
                true
            })?;
            to.commit(&batch)?;
        }
    }
    Ok(())
}
