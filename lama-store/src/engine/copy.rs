//! Everything of one engine into another, row by row, in commits of bounded size.

use alloc::vec::Vec;

use super::{Batch, Direction, Engine, Table};
use crate::StoreError;
use crate::layout::{kind, meta};

/// Bytes of keys and values in one commit of a copy.
pub(crate) const COMMIT: usize = 8 << 20;

/// What becomes of a row; `None`: it is left out.
pub(crate) type Change<'a> = dyn FnMut(&[u8], &[u8]) -> Result<Option<Vec<u8>>, StoreError> + 'a;

/// Copies a store into an empty engine. The copy holds what the store says now and nothing of what it said before, so
/// it is also how old pages end. Memory: one commit of 8 MiB. What gives back the room of deleted objects, too, is
/// [`Store::compact_into`](crate::Store::compact_into).
///
/// # Errors
/// Of either engine. The target is then no store that may be used.
pub fn copy(from: &impl Engine, to: &mut impl Engine) -> Result<(), StoreError> {
    let stale = meta(kind::STALE, &[]);
    for table in Table::ALL {
        copy_table(from, to, table, &mut |key, value| {
            Ok((table != Table::Meta || key != stale).then(|| value.to_vec()))
        })?;
    }
    Ok(())
}

/// Copies one table, with what `change` makes of its rows.
pub(crate) fn copy_table(
    from: &impl Engine,
    to: &mut impl Engine,
    table: Table,
    change: &mut Change<'_>,
) -> Result<(), StoreError> {
    let mut next: Option<Vec<u8>> = Some(Vec::new());
    while let Some(start) = next.take() {
        let (mut batch, mut bytes) = (Batch::default(), 0);
        let mut outcome = Ok(());
        from.scan(table, &start, None, Direction::Up, &mut |key, value| {
            if bytes > 0 && bytes + key.len() + value.len() > COMMIT {
                next = Some(key.to_vec());
                return false;
            }
            bytes += key.len() + value.len();
            match change(key, value) {
                Ok(Some(value)) => batch.put(table, key, value),
                Ok(None) => {}
                Err(error) => outcome = Err(error),
            }
            outcome.is_ok()
        })?;
        outcome?;
        to.commit(&batch)?;
    }
    Ok(())
}
