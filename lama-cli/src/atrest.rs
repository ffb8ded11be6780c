//! The store at rest: opening, checking and compacting it, without an instance at work.

use std::path::Path;

use lama_host::{DataDir, entropy};
use lama_node::NodeError;
use lama_store::{Checked, Opening, Redb, RedbOptions, StorageKey, Store};

use crate::api;
use crate::args::{Compact, Global};
use crate::backend;
use crate::failure::Failure;
use crate::identity::{Keys, data_path};

/// The store in a file.
pub(crate) fn open_store(path: &Path, key: &StorageKey, opening: Opening) -> Result<Store<Redb>, Failure> {
    let (options, config) = (RedbOptions::default(), lama_store::Config::default());
    let store = Store::open_file(path, options, config, key, entropy::seed()?, opening);
    Ok(store.map_err(NodeError::from)?)
}

/// Copies the store into a new file, so that what it no longer says is gone and its room is given back.
pub(crate) fn compact(global: &Global, how: &Compact) -> Result<api::Compacted, Failure> {
    let dir = DataDir::open(&data_path(global)?)?;
    let lock = backend::lock(&dir)?;
    let keys = Keys::open(&dir, &lock, global.passphrase_fd)?;
    // Opened once, so that a store of an older format is brought up to date and a wrong key is told.
    let mut store = open_store(&dir.store(), &keys.storage()?, Opening::Normal)?;
    let mut done = api::Compacted::default();
    if how.collect {
        let found = store.collect(&[], how.dry_run).map_err(NodeError::from)?;
        (done.collected, done.collected_bytes) = (found.objects, found.bytes);
    }
    if how.dry_run {
        drop(store.close().map_err(NodeError::from)?);
        return Ok(done);
    }
    let (sizes, left_out) =
        store.compact_file(&dir.store(), RedbOptions::default()).map_err(NodeError::from)?;
    (done.before, done.after) = (sizes.before, sizes.after);
    (done.dropped, done.dropped_bytes) = (left_out.dropped, left_out.bytes);
    Ok(done)
}

/// Mends the store, and checks it again.
pub(crate) fn repair(global: &Global) -> Result<api::Mended, Failure> {
    let dir = DataDir::open(&data_path(global)?)?;
    let lock = backend::lock(&dir)?;
    let keys = Keys::open(&dir, &lock, global.passphrase_fd)?;
    let mut store = open_store(&dir.store(), &keys.storage()?, Opening::Normal)?;
    let done = store.repair(entropy::seed()?).map_err(NodeError::from)?;
    store.check().map_err(NodeError::from)?;
    drop(store.close().map_err(NodeError::from)?);
    Ok(api::Mended {
        sound: true,
        index: done.index,
        views: done.views,
        counts: done.counts,
        channels: done.channels,
        damaged: done.damaged,
        lost: done.lost,
    })
}

/// What an integrity walk found nothing wrong with.
pub(crate) fn row(checked: &Checked) -> api::Checked {
    api::Checked {
        sound: true,
        records: checked.records,
        objects: checked.objects,
        bytes: checked.bytes,
        entries: checked.entries,
    }
}
