//! Sharing files and folders, and going on with what is added.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use lama_host::folder::{Folder, LeftOut, Limits};
use lama_host::objects::{self, Made, Piece, Tree};
use lama_identity::{Cid, PersonId};
use lama_node::{Command, ContactStanding, Reply};
use serde_json::{Value, json};

use super::work::{contact, contacts, unexpected};
use super::{Live, getting, keeping};
use crate::api;
use crate::failure::{Exit, Failure};
use crate::text::count;

/// How long between two looks at a watched folder.
const LOOK: Duration = Duration::from_millis(1000);

/// Shares what lies at `path`; with `watch` goes on until nobody listens to `emit` or the instance stops.
pub(super) fn share(
    live: &Live,
    path: &Path,
    with: &[String],
    watch: bool,
    keep: bool,
    emit: &mut dyn FnMut(Value) -> bool,
) -> Result<api::Shared, Failure> {
    let with = persons(live, with)?;
    if path.is_file() {
        let made = objects::file(path, &mut |pieces| put(live, pieces))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        grant(live, made.root, &name, &with, Some(&format!("shared {name}")))?;
        return answer(live, path, made, &with, &LeftOut::default(), false);
    }
    let mut tree = tree(live, path)?;
    let mut last = None;
    loop {
        if let Some((made, changes)) = tree.look(&mut |pieces| put(live, pieces))? {
            let note = match last {
                None => format!("shared folder {} with {}", tree.name(), count(made.files, "file")),
                Some(_) => summary(tree.name(), &changes.written, changes.removed.len()),
            };
            let new = grant(live, made.root, tree.name(), &with, Some(&note))?;
            last = Some(made);
            let event = json!({
                "type": "folder", "id": made.root.to_string(), "files": made.files, "bytes": made.bytes,
                "written": changes.written.len(), "removed": changes.removed.len(), "new": new,
                "left_out": tree.left_out().count,
            });
            if watch && !emit(event) {
                break;
            }
        }
        // An empty event finds out whether anybody still listens.
        if !watch || live.stop.wait(LOOK) || !emit(json!({ "type": "tick" })) {
            break;
        }
    }
    let made = last.ok_or_else(|| {
        let text =
            format!("there is no file to share in {}; add one, or choose another folder", path.display());
        Failure::new(Exit::RefusedHere, "empty", text)
    })?;
    if keep {
        keeping::keep(live, path, &with)?;
    }
    answer(live, path, made, &with, &tree.left_out(), keep)
}

/// The folder at `path`, not looked at yet, with what was shared of it before.
pub(super) fn tree(live: &Live, path: &Path) -> Result<Tree, Failure> {
    let folder = Folder::new(path, std::slice::from_ref(&live.data), Limits::default())?;
    let mut tree = Tree::new(folder)?;
    tree.keep_shared(shared_before(live, tree.name())?);
    Ok(tree)
}

fn summary(name: &str, written: &[String], removed: usize) -> String {
    match written {
        [one] if removed == 0 => format!("{name}: {one} is new or changed"),
        _ => format!("{name}: {} new or changed, {removed} gone", written.len()),
    }
}

fn answer(
    live: &Live,
    path: &Path,
    made: Made,
    with: &[PersonId],
    left_out: &LeftOut,
    kept: bool,
) -> Result<api::Shared, Failure> {
    let known = contacts(live)?;
    let email = |who: &PersonId| {
        known.iter().find(|c| c.person == *who).map_or_else(|| who.full(), |c| c.email.clone())
    };
    Ok(api::Shared {
        id: made.root.to_string(),
        path: path.display().to_string(),
        files: made.files,
        bytes: made.bytes,
        with: with.iter().map(email).collect(),
        left_out: left_out.count,
        left_out_first: left_out.first.clone(),
        kept,
    })
}

/// The contacts named, or all of them.
fn persons(live: &Live, with: &[String]) -> Result<Vec<PersonId>, Failure> {
    if !with.is_empty() {
        return with.iter().map(|text| contact(live, text).map(|contact| contact.person)).collect();
    }
    let active = contacts(live)?.into_iter().filter(|contact| contact.standing == ContactStanding::Active);
    let all: Vec<PersonId> = active.map(|contact| contact.person).collect();
    if all.is_empty() {
        return Err(Failure::from(lama_node::NodeError::NobodyNamed));
    }
    Ok(all)
}

pub(super) fn put(live: &Live, objects: Vec<Piece>) -> Result<(), Failure> {
    if live.stop.is_set() {
        return Err(Failure::interrupted());
    }
    live.call(Command::Put { objects }).map(|_| ())
}

pub(super) fn fetch(live: &Live, id: Cid) -> Result<Option<Bytes>, Failure> {
    match live.call(Command::Object { id })? {
        Reply::Object(object) => Ok(object),
        other => Err(unexpected(&other)),
    }
}

/// Lets `with` see `root` as the newest version of what is called `name`, unless they do already; says whether that was
/// new.
pub(super) fn grant(
    live: &Live,
    root: Cid,
    name: &str,
    with: &[PersonId],
    note: Option<&str>,
) -> Result<bool, Failure> {
    let shared = shared_by_us(live)?;
    // What is as it was before an earlier change is shared anew: else that change would stay the newest.
    let is_newest = getting::own(live, name)? == Some(root);
    let missing: Vec<PersonId> = with
        .iter()
        .filter(|who| !is_newest || !shared.iter().any(|info| info.root == root && info.with.contains(who)))
        .copied()
        .collect();
    if missing.is_empty() {
        return Ok(false);
    }
    match live.call(Command::Share { root, with: missing, note: note.map(str::to_owned) })? {
        Reply::Shared { withheld } if withheld.is_empty() => Ok(true),
        Reply::Shared { withheld } => Err(Failure::new(
            Exit::RefusedByRule,
            "withheld",
            format!(
                "{} may not be shared with them, for they are not yours to give; ask their authors",
                count(withheld.len() as u64, "object")
            ),
        )),
        other => Err(unexpected(&other)),
    }
}

pub(super) fn shared_by_us(live: &Live) -> Result<Vec<lama_node::SharedInfo>, Failure> {
    match live.call(Command::Shared { with: None })? {
        Reply::SharedList(list) => {
            Ok(list.into_iter().filter(|info| info.by.full() == live.id.person).collect())
        }
        other => Err(unexpected(&other)),
    }
}

/// The files of the folder of this name when it was last shared.
fn shared_before(live: &Live, name: &str) -> Result<Vec<String>, Failure> {
    for info in shared_by_us(live)?.iter().rev().filter(|info| info.type_name.as_deref() == Some("Folder")) {
        let object = fetch(live, info.root)?;
        let folder = object.and_then(|object| lama_chum::blob::Folder::read(&object).ok());
        if folder.is_some_and(|folder| folder.name == name) {
            return objects::paths(info.root, &mut |id| fetch(live, id));
        }
    }
    Ok(Vec::new())
}
