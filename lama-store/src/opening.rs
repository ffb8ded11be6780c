//! Opening: which format, which key, which life; and bringing an older store up to date.

use alloc::vec::Vec;

use bytes::Bytes;
use lama_chum::{Epoch, NO_EPOCH};
use lama_core::Seed;

use crate::codec::{Reader, Writer};
use crate::engine::{Batch, Direction, Engine, Table};
use crate::index::older;
use crate::layout::{FORMAT, MAGIC, after_prefix, kind, meta};
use crate::seal::{Sealer, is_sealed};
use crate::{Config, StoreError};

/// Which life of a store begins with opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Opening {
    /// The one that was closed, or that crashed.
    #[default]
    Normal,
    /// A copy was put back: whatever others know of its log may be wrong, so it takes a new epoch.
    Restored,
}

/// Format 1 had tokens, peers and settings in clear.
const FIRST_SEALED: u32 = 2;

/// Up to format 3 the index was a row of the tree for each key.
const LAST_WITH_TREE: u32 = 3;

/// Looks at format and key, makes a new store or brings an older one up to date, and begins a life. Gives the one before.
pub(crate) fn begin(
    engine: &mut impl Engine,
    config: &Config,
    sealer: &Sealer,
    seed: &Seed,
    opening: Opening,
) -> Result<Epoch, StoreError> {
    let format = read_format(engine)?;
    let read_only = engine.is_read_only();
    match format {
        None if read_only => return Err(StoreError::NotAStore),
        Some(FIRST_SEALED..) => check_key(engine, sealer)?,
        _ => {}
    }
    // It must be written to be brought up to date.
    if read_only && (format != Some(FORMAT) || older::is_there(engine)?) {
        return Err(StoreError::ReadOnly);
    }
    if read_only {
        return Ok(NO_EPOCH);
    }
    let mut batch = Batch::default();
    if format != Some(FORMAT) {
        put_format(&mut batch, sealer)?;
    }
    if format.is_none() {
        batch.put(Table::Meta, meta(kind::LINKS_KNOWN, &[]), Vec::new());
    }
    if format.is_some_and(|format| format <= LAST_WITH_TREE) {
        batch.put(Table::Meta, meta(kind::OLD_INDEX, &[]), Vec::new());
    }
    // Format 2 knew no lanes: all that it wrote can be read as it is.
    if let Some(old) = format.filter(|format| *format < FIRST_SEALED) {
        seal_all(engine, sealer, &mut batch)?;
        batch.put(Table::Meta, meta(kind::STALE, &[]), Writer::default().num(old.into()).0);
    }
    let (old, clean) = read_epoch(engine)?;
    let keep = clean || !config.new_epoch_after_crash;
    let epoch =
        if keep && opening == Opening::Normal && old != NO_EPOCH { old } else { draw_epoch(seed, old) };
    put_epoch(&mut batch, epoch, false);
    engine.commit(&batch)?;
    Ok(old)
}

/// The format of what the engine holds; `None`: it is empty.
pub(crate) fn read_format(engine: &impl Engine) -> Result<Option<u32>, StoreError> {
    let Some(found) = row(engine, kind::FORMAT)? else {
        let mut empty = true;
        for table in Table::ALL {
            engine.scan(table, &[], None, Direction::Up, &mut |_, _| {
                empty = false;
                false
            })?;
        }
        return if empty { Ok(None) } else { Err(StoreError::NotAStore) };
    };
    let mut reader = Reader(&found);
    if reader.raw(MAGIC.len()).ok() != Some(MAGIC) {
        return Err(StoreError::NotAStore);
    }
    match reader.num32()? {
        0 => Err(StoreError::NotAStore),
        found if found > FORMAT => Err(StoreError::NewerFormat { found, supported: FORMAT }),
        found => Ok(Some(found)),
    }
}

/// Whether pages of the file may still hold what was sealed or removed when the store was brought up to date.
pub(crate) fn is_stale(engine: &impl Engine) -> Result<bool, StoreError> {
    Ok(row(engine, kind::STALE)?.is_some())
}

fn put_format(batch: &mut Batch, sealer: &Sealer) -> Result<(), StoreError> {
    let row = Writer::default().raw(MAGIC).num(FORMAT.into()).0;
    batch.put(Table::Meta, meta(kind::FORMAT, &[]), row);
    batch.put(Table::Meta, meta(kind::KEY, &[]), sealer.check_row()?);
    Ok(())
}

fn check_key(engine: &impl Engine, sealer: &Sealer) -> Result<(), StoreError> {
    let row = row(engine, kind::KEY)?
        .ok_or(StoreError::Corrupt("the row that tells the storage key is missing"))?;
    sealer.open(&meta(kind::KEY, &[]), &row).map(|_| ()).ok_or(StoreError::WrongKey)
}

/// Seals what stands in clear.
fn seal_all(engine: &impl Engine, sealer: &Sealer, batch: &mut Batch) -> Result<(), StoreError> {
    for kind in [kind::TOKEN, kind::PEER, kind::SETTING].into_iter().filter(|kind| is_sealed(*kind)) {
        let mut outcome = Ok(());
        let (from, to) = ([kind], after_prefix(&[kind]));
        engine.scan(Table::Meta, &from, to.as_deref(), Direction::Up, &mut |key, value| {
            outcome = sealer.seal(key, value).map(|row| batch.put(Table::Meta, key, row));
            outcome.is_ok()
        })?;
        outcome?;
    }
    Ok(())
}

fn row(engine: &impl Engine, kind: u8) -> Result<Option<Bytes>, StoreError> {
    let mut found = None;
    engine.read(Table::Meta, &meta(kind, &[]), &mut |value| found = Some(Bytes::copy_from_slice(value)))?;
    Ok(found)
}

fn read_epoch(engine: &impl Engine) -> Result<(Epoch, bool), StoreError> {
    let Some(row) = row(engine, kind::EPOCH)? else { return Ok((NO_EPOCH, false)) };
    let mut reader = Reader(&row);
    Ok((reader.array()?, reader.u8()? == 1))
}

pub(crate) fn put_epoch(batch: &mut Batch, epoch: Epoch, clean: bool) {
    let row: Vec<u8> = Writer::default().raw(&epoch).u8(clean.into()).0;
    batch.put(Table::Meta, meta(kind::EPOCH, &[]), row);
}

/// A new epoch: neither "none" nor the old one.
pub(crate) fn draw_epoch(seed: &Seed, old: Epoch) -> Epoch {
    let bytes = seed.derive("LAMA/store epoch");
    bytes
        .chunks_exact(8)
        .filter_map(|chunk| chunk.try_into().ok())
        .find(|epoch| *epoch != NO_EPOCH && *epoch != old)
        .unwrap_or([1; 8])
}
