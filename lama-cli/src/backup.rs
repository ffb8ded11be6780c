//! Backups: all that an instance is, in one file under a passphrase of its own, and back.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use lama_core::WallTime;
use lama_host::backup::{Item, Reader, Writer};
use lama_host::keyfile::{self, Cost, Secret};
use lama_host::passphrase::{self, Passphrase};
use lama_host::{DataDir, Disk, HostError, Lock, files};
use lama_invite::{RevokeReason, StateTag, TokenState};
use lama_node::NodeError;
use lama_store::engine::{Batch, Direction, Table};
use lama_store::{Engine as _, Opening, Read, Redb, RedbOptions, Reply, Store, Write};

use crate::api;
use crate::args::{Export, Global, Import};
use crate::atrest::open_store;
use crate::failure::{Exit, Failure};
use crate::identity;

/// Where the passphrase of a backup may come from, beside a descriptor and the prompt.
const VARIABLE: &str = "LAMA_BACKUP_PASSPHRASE";

const MISSING: HostError =
    HostError::NoPassphrase { of: "the backup", variable: VARIABLE, option: "--backup-passphrase-fd" };

/// What the items of a backup are. Numbers never change their meaning.
mod tag {
    /// A secret of the key file, under its name.
    pub(super) const SECRET: u8 = 1;
    /// The owner's person id.
    pub(super) const OWNER: u8 = 2;
    /// What `lama id` shows.
    pub(super) const DESCRIPTION: u8 = 3;
    /// A row of the store; its table is the tag minus this.
    pub(super) const ROWS: u8 = 16;
}

/// The longest that a batch of rows grows before it is written.
const BATCH: usize = 8 << 20;

/// Writes a backup of the instance, which must not be running.
pub(crate) fn export(global: &Global, args: &Export) -> Result<api::Exported, Failure> {
    let dir = DataDir::open(&identity::data_path(global)?)?;
    let lock = crate::backend::lock(&dir)?;
    let target =
        std::path::absolute(&args.file).map_err(|error| HostError::io("find", &args.file, &error))?;
    if target.exists() {
        return Err(HostError::FileExists(target).into());
    }
    let keys = identity::Keys::open(&dir, &lock, global.passphrase_fd)?;
    let passphrase = backup_passphrase(args.backup_passphrase_fd, true)?;
    let store = open_store(&dir.store(), &keys.storage()?, Opening::Normal)?;
    let engine = store.close().map_err(NodeError::from)?;
    // Under another name until it is whole: what has the name of a backup is one.
    let mut partial = target.clone().into_os_string();
    partial.push(".part");
    let partial = PathBuf::from(partial);
    let written = write(&partial, &target, &dir, &keys, &engine, &passphrase);
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}

fn write(
    partial: &Path,
    target: &Path,
    dir: &DataDir,
    keys: &identity::Keys,
    engine: &Redb,
    passphrase: &Passphrase,
) -> Result<api::Exported, Failure> {
    let io = |error: std::io::Error| HostError::io("write", partial, &error);
    let file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(partial).map_err(io)?;
    let mut writer = Writer::new(BufWriter::new(file), passphrase, Cost::default())?;
    writer.item(tag::OWNER, &[], &keys.owner)?;
    for (name, secret) in &keys.secrets {
        writer.item(tag::SECRET, name.as_bytes(), secret)?;
    }
    let description = dir.instance();
    let text = fs::read(&description).map_err(|error| HostError::io("read", &description, &error))?;
    writer.item(tag::DESCRIPTION, &[], &text)?;
    let mut rows = 0;
    for table in Table::ALL {
        let mut outcome = Ok(());
        let kind = tag::ROWS + table as u8;
        engine
            .scan(table, &[], None, Direction::Up, &mut |key, value| {
                rows += 1;
                outcome = writer.item(kind, key, value);
                outcome.is_ok()
            })
            .map_err(NodeError::from)?;
        outcome?;
    }
    let (file, bytes) = writer.finish()?;
    let file = file.into_inner().map_err(|error| io(error.into_error()))?;
    file.sync_all().map_err(io)?;
    // A link fails where a rename would overwrite what came there meanwhile.
    fs::hard_link(partial, target).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => HostError::FileExists(target.to_path_buf()),
        _ => HostError::io("make", target, &error),
    })?;
    fs::remove_file(partial).map_err(io)?;
    if let Some(parent) = target.parent() {
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(io)?;
    }
    Ok(api::Exported { file: target.display().to_string(), bytes, rows })
}

/// Makes an instance from a backup, in a data directory that holds none.
pub(crate) fn import(global: &Global, args: &Import, now: WallTime) -> Result<api::Imported, Failure> {
    let path = identity::data_path(global)?;
    let file = File::open(&args.file).map_err(|error| HostError::io("read", &args.file, &error))?;
    let dir = DataDir::create(&path)?;
    let lock = dir.lock()?;
    if dir.is_initialised() {
        return Err(HostError::AlreadyInitialised(path).into());
    }
    if dir.store().exists() {
        return Err(HostError::FileExists(dir.store()).into());
    }
    let passphrase = backup_passphrase(args.backup_passphrase_fd, false)?;
    let reader = Reader::new(BufReader::new(file), &args.file, &passphrase)?;
    let new = identity::new_passphrase(args.no_passphrase, global.passphrase_fd, || {
        passphrase::obtain(global.passphrase_fd, "Passphrase for the keys: ", true)
    })?;
    let fresh = dir.store().with_extension("new");
    remove_if_there(&fresh)?;
    let done = take(&dir, &lock, &fresh, reader, new.as_ref(), now);
    if done.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    done
}

fn take<R: std::io::Read>(
    dir: &DataDir,
    _lock: &Lock,
    fresh: &Path,
    mut reader: Reader<R>,
    passphrase: Option<&Passphrase>,
    now: WallTime,
) -> Result<api::Imported, Failure> {
    let mut keys = identity::Keys::default();
    let mut description = None;
    let mut rows = Rows::new(fresh)?;
    while let Some(Item { tag, name, value }) = reader.next_item()? {
        match tag {
            tag::OWNER => keys.owner = value.as_slice().try_into().map_err(|_| HostError::BackupDamaged)?,
            tag::SECRET => {
                let name = String::from_utf8(name).map_err(|_| HostError::BackupDamaged)?;
                keys.secrets.push((name, value) as Secret);
            }
            tag::DESCRIPTION => description = Some(value),
            other => rows.put(other, name, value.to_vec())?,
        }
    }
    let count = rows.finish()?;
    let description = description.ok_or(HostError::BackupDamaged)?;
    let identity = keys.identity()?;
    // A new epoch, and no invitation of before: nobody knows what was spent since.
    let mut store = open_store(fresh, &keys.storage()?, Opening::Restored)?;
    store.set_owner(identity.public().clone()).map_err(NodeError::from)?;
    let revoked = revoke_issued(&mut store, now)?;
    drop(store.close().map_err(NodeError::from)?);
    fs::rename(fresh, dir.store()).map_err(|error| HostError::io("make", &dir.store(), &error))?;
    files::replace(&mut Disk, &dir.instance(), &description)?;
    // The key file is what makes the directory hold an instance.
    keyfile::store(&mut Disk, &dir.keys(), &keys.owner, passphrase, Cost::default(), &keys.secrets)?;
    let id = identity::id(dir)?;
    Ok(api::Imported { id, rows: count, revoked })
}

fn revoke_issued(store: &mut Store<Redb>, now: WallTime) -> Result<u64, Failure> {
    let Reply::Tokens(tokens) = store.ask(Read::Tokens).map_err(NodeError::from)? else { return Ok(0) };
    let mut revoked = 0;
    for mut record in tokens.into_iter().filter(|record| record.state.tag() == StateTag::Issued) {
        record.psk = None;
        record.state = TokenState::Revoked { reason: RevokeReason::Restored, t: now.0 };
        let write = Write::Token { record, expect: Some(StateTag::Issued) };
        store.commit(vec![write]).map_err(NodeError::from)?;
        revoked += 1;
    }
    Ok(revoked)
}

/// Rows on their way into a new store.
struct Rows {
    engine: Redb,
    batch: Batch,
    bytes: usize,
    count: u64,
}

impl Rows {
    fn new(path: &Path) -> Result<Self, Failure> {
        let engine = Redb::open(path, RedbOptions::default()).map_err(NodeError::from)?;
        Ok(Self { engine, batch: Batch::default(), bytes: 0, count: 0 })
    }

    fn put(&mut self, tag: u8, key: Vec<u8>, value: Vec<u8>) -> Result<(), Failure> {
        let table = Table::ALL.into_iter().find(|table| tag::ROWS + *table as u8 == tag);
        let Some(table) = table else {
            // A backup of a newer program: what it means is not known, so it is not half taken.
            return Err(Failure::new(
                Exit::RefusedHere,
                "newer_version",
                "the backup holds what this program does not know; use the newer program that wrote it",
            ));
        };
        self.bytes += key.len() + value.len();
        self.count += 1;
        self.batch.put(table, key, value);
        if self.bytes > BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.bytes = 0;
        Ok(self.engine.commit(&std::mem::take(&mut self.batch)).map_err(NodeError::from)?)
    }

    fn finish(mut self) -> Result<u64, Failure> {
        self.flush()?;
        Ok(self.count)
    }
}

fn remove_if_there(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(HostError::io("remove", path, &error).into())
        }
        _ => Ok(()),
    }
}

fn backup_passphrase(fd: Option<u32>, twice: bool) -> Result<Passphrase, Failure> {
    Ok(match std::env::var(VARIABLE) {
        Ok(text) if fd.is_none() => Passphrase::new(text)?,
        _ => passphrase::ask_or_read(fd, "Passphrase of the backup: ", twice, MISSING)?,
    })
}
