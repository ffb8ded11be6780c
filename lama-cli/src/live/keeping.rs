//! Folders that stay shared whenever the instance runs: which they are, in a file of the data directory, and looking
//! after them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use lama_host::objects::Tree;
use lama_host::{Disk, Files, HostError, files};
use lama_identity::PersonId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Live;
use super::folders::{grant, put, tree};
use crate::failure::{Exit, Failure};

/// How long between two looks.
const LOOK: Duration = Duration::from_millis(1000);

/// The most that the file may have, in bytes.
const MAX_FILE: usize = 1 << 20;

/// The version of the file.
const VERSION: u32 = 1;

/// A folder that stays shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) path: String,
    /// Full ids of the persons with whom.
    pub(crate) with: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    version: u32,
    folders: Vec<Kept>,
}

fn place(live: &Live) -> PathBuf {
    live.data.join("shares.json")
}

/// The folders that stay shared.
pub(super) fn load(live: &Live) -> Result<Vec<Kept>, Failure> {
    let path = place(live);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = Disk.read(&path, MAX_FILE).map_err(|error| HostError::io("read", &path, &error))?;
    let damaged = |what: String| {
        let text =
            format!("{} cannot be read ({what}); move it away, and share the folders again", path.display());
        Failure::new(Exit::Failed, "shares_damaged", text)
    };
    let file: File = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if file.version > VERSION {
        return Err(damaged("a newer program wrote it".to_owned()));
    }
    Ok(file.folders)
}

fn save(live: &Live, folders: Vec<Kept>) -> Result<(), Failure> {
    let bytes = serde_json::to_vec_pretty(&File { version: VERSION, folders })
        .map_err(|error| Failure::new(Exit::Failed, "internal", error.to_string()))?;
    Ok(files::replace(&mut Disk, &place(live), &bytes)?)
}

/// The path without links, or as it was given if nothing is there.
fn name_of(path: &Path) -> String {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf()).display().to_string()
}

/// From now on the folder stays shared with these persons, too.
pub(super) fn keep(live: &Live, path: &Path, with: &[PersonId]) -> Result<(), Failure> {
    let path = name_of(path);
    let mut folders = load(live)?;
    if !folders.iter().any(|kept| kept.path == path) {
        folders.push(Kept { path: path.clone(), with: Vec::new() });
    }
    for kept in folders.iter_mut().filter(|kept| kept.path == path) {
        kept.with.extend(with.iter().map(PersonId::full));
        kept.with.sort();
        kept.with.dedup();
    }
    save(live, folders)
}

/// The folder is not kept shared any longer.
pub(super) fn stop(live: &Live, path: &str) -> Result<(), Failure> {
    let name = name_of(Path::new(path));
    let mut folders = load(live)?;
    let before = folders.len();
    folders.retain(|kept| kept.path != name && kept.path != path);
    if folders.len() == before {
        let text = format!("{path} is not kept shared; `lama shared` lists the folders that are");
        return Err(Failure::new(Exit::RefusedByRule, "not_kept", text));
    }
    save(live, folders)
}

/// Folders of this name are not kept shared with these persons any longer; nobody named: with nobody.
pub(super) fn forget(live: &Live, name: &str, with: &[PersonId]) -> Result<(), Failure> {
    let gone: Vec<String> = with.iter().map(PersonId::full).collect();
    let before = load(live)?;
    let mut folders = before.clone();
    let is_called =
        |kept: &Kept| Path::new(&kept.path).file_name().is_some_and(|last| last.to_string_lossy() == name);
    for kept in folders.iter_mut().filter(|kept| is_called(kept)) {
        kept.with.retain(|person| !gone.is_empty() && !gone.contains(person));
    }
    folders.retain(|kept| !kept.with.is_empty());
    if folders == before { Ok(()) } else { save(live, folders) }
}

/// Looks after the folders until the instance stops. What happens comes through the receiver.
pub(crate) fn start(live: Arc<Live>) -> (Receiver<Value>, JoinHandle<()>) {
    let (to, from) = channel();
    let thread = std::thread::spawn(move || {
        let mut known: BTreeMap<String, Looked> = BTreeMap::new();
        loop {
            for event in look(&live, &mut known) {
                let _ = to.send(event);
            }
            if live.stop.wait(LOOK) {
                return;
            }
        }
    });
    (from, thread)
}

/// What the last look at a folder left behind.
#[derive(Default)]
struct Looked {
    tree: Option<Tree>,
    with: Vec<String>,
    /// Said once, until it is over.
    failed: bool,
}

fn look(live: &Live, known: &mut BTreeMap<String, Looked>) -> Vec<Value> {
    // A damaged file is said by the command that reads it; here the folders of the last look go on.
    let Ok(folders) = load(live) else { return Vec::new() };
    known.retain(|path, _| folders.iter().any(|kept| kept.path == *path));
    let mut events = Vec::new();
    for kept in folders {
        let looked = known.entry(kept.path.clone()).or_default();
        if looked.with != kept.with {
            // Others get what is there now.
            *looked = Looked { with: kept.with.clone(), ..Looked::default() };
        }
        match look_at(live, &kept, looked) {
            Ok(event) => {
                looked.failed = false;
                events.extend(event);
            }
            Err(failure) if !live.stop.is_set() => {
                looked.tree = None;
                if !std::mem::replace(&mut looked.failed, true) {
                    events.push(json!({
                        "type": "folder_failed", "path": kept.path, "code": failure.code, "message": failure.message,
                    }));
                }
            }
            Err(_) => {}
        }
    }
    events
}

fn look_at(live: &Live, kept: &Kept, looked: &mut Looked) -> Result<Option<Value>, Failure> {
    let tree = match &mut looked.tree {
        Some(tree) => tree,
        empty => empty.insert(tree(live, Path::new(&kept.path))?),
    };
    let looked = tree.look(&mut |pieces| {
        if live.stop.is_set() { Err(Failure::interrupted()) } else { put(live, pieces) }
    })?;
    let Some((made, changes)) = looked else { return Ok(None) };
    let with: Vec<PersonId> = kept.with.iter().filter_map(|who| who.parse().ok()).collect();
    let new = grant(live, made.root, tree.name(), &with, None)?;
    Ok(new.then(|| {
        json!({
            "type": "folder", "path": kept.path, "id": made.root.to_string(), "files": made.files,
            "bytes": made.bytes, "written": changes.written.len(), "removed": changes.removed.len(), "new": new,
        })
    }))
}
