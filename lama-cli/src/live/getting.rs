//! What is shared, by name, and writing it down.

use std::collections::BTreeMap;
use std::path::Path;

use data_encoding::BASE64;
use lama_chum::blob::{self, File, Folder, Item, Items};
use lama_host::folder::Limits;
use lama_host::get;
use lama_identity::{Access, Cid, Hlc, Object as _, PersonId, Versioned};
use lama_node::{Command, Reply};
use serde_json::{Value, json};

use super::folders::fetch;
use super::work::{contact, contacts, unexpected};
use super::{Live, keeping};
use crate::api;
use crate::failure::{Exit, Failure};

/// What is to be written.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) what: String,
    pub(super) from: Option<String>,
    pub(super) file: Option<String>,
}

/// A version of something that is shared.
#[derive(Debug, Clone)]
struct Found {
    root: Cid,
    kind: &'static str,
    bytes: u64,
    /// Of the rule that shares it: the newest version has the greatest.
    clock: Hlc,
}

/// The newest version of everything that is shared, by name and person.
fn newest(live: &Live) -> Result<BTreeMap<(String, PersonId), Found>, Failure> {
    let rules = match live.call(Command::Shared { with: None })? {
        Reply::SharedList(list) => list,
        other => return Err(unexpected(&other)),
    };
    let mut newest: BTreeMap<(String, PersonId), Found> = BTreeMap::new();
    for info in rules {
        let Some(object) = fetch(live, info.root)? else { continue };
        let (name, kind, bytes) = if let Ok(file) = File::read(&object) {
            (file.name, "file", file.size)
        } else if let Ok(folder) = Folder::read(&object) {
            let bytes = folder.size();
            (folder.name, "folder", bytes)
        } else {
            continue;
        };
        let rule = fetch(live, info.rule)?.and_then(|rule| Versioned::<Access>::from_bytes(&rule).ok());
        let clock = rule.map(|rule| rule.clock).unwrap_or_default();
        let found = Found { root: info.root, kind, bytes, clock };
        match newest.get(&(name.clone(), info.by)) {
            Some(known) if (known.clock, known.root) >= (clock, found.root) => {}
            _ => drop(newest.insert((name, info.by), found)),
        }
    }
    Ok(newest)
}

/// The newest version of what this person shares under a name.
pub(super) fn own(live: &Live, name: &str) -> Result<Option<Cid>, Failure> {
    let all = newest(live)?;
    let mut own = all.iter().filter(|((shared, by), _)| shared == name && by.full() == live.id.person);
    Ok(own.next().map(|(_, found)| found.root))
}

fn email(live: &Live, who: &PersonId) -> Result<String, Failure> {
    if who.full() == live.id.person {
        return Ok(live.id.email.clone());
    }
    let known = contacts(live)?;
    Ok(known.iter().find(|c| c.person == *who).map_or_else(|| who.full(), |c| c.email.clone()))
}

pub(super) fn list(live: &Live) -> Result<api::SharedList, Failure> {
    let mut items = Vec::new();
    for ((name, by), found) in newest(live)? {
        items.push(api::SharedItem {
            name,
            kind: found.kind.to_owned(),
            bytes: found.bytes,
            by: email(live, &by)?,
            time: found.clock.ms,
            id: found.root.to_string(),
        });
    }
    let kept = keeping::load(live)?.into_iter().map(|kept| kept.path).collect();
    Ok(api::SharedList { items, kept })
}

/// The object that is meant by a name or an id.
fn resolve(live: &Live, wanted: &Wanted) -> Result<Cid, Failure> {
    if let Ok(id) = wanted.what.parse::<Cid>() {
        return Ok(id);
    }
    let from = match &wanted.from {
        None => None,
        Some(who) if *who == live.id.email => Some(live.id.person.clone()),
        Some(who) => Some(contact(live, who)?.person.full()),
    };
    let all = newest(live)?;
    let is_meant = |(name, by): &&(String, PersonId)| {
        *name == wanted.what && from.as_ref().is_none_or(|from| by.full() == *from)
    };
    let meant: Vec<_> = all.keys().filter(is_meant).collect();
    match meant.as_slice() {
        [one] => all.get(*one).map(|found| found.root).ok_or_else(|| Failure::usage("nothing is shared")),
        [] => Err(Failure::new(
            Exit::RefusedByRule,
            "unknown_share",
            format!("nothing that is here is called {}; `lama shared` lists what is", wanted.what),
        )),
        several => {
            let by: Vec<String> = several.iter().filter_map(|(_, by)| email(live, by).ok()).collect();
            let text = format!("{} is shared by {}; say whose with --from", wanted.what, by.join(" and "));
            Err(Failure::new(Exit::RefusedByRule, "ambiguous_share", text))
        }
    }
}

/// The files that are meant.
fn items(live: &Live, wanted: &Wanted) -> Result<Items, Failure> {
    let root = resolve(live, wanted)?;
    let mut items = blob::items(root, Limits::default().files, &mut |id| fetch(live, id))?;
    if let Some(file) = wanted.file.as_deref().map(|file| file.trim_end_matches('/')) {
        let below = format!("{file}/");
        items.files.retain(|item| item.path == file || item.path.starts_with(&below));
        if items.files.is_empty() {
            let text =
                format!("there is no {file} in {}; `lama get {}` writes all of it", items.name, items.name);
            return Err(Failure::new(Exit::RefusedByRule, "unknown_file", text));
        }
    }
    Ok(items)
}

pub(super) fn get(
    live: &Live,
    wanted: &Wanted,
    into: &Path,
    named: bool,
    force: bool,
) -> Result<api::Saved, Failure> {
    let items = items(live, wanted)?;
    if named && items.is_folder {
        get::not_reserved(&items.name)?;
    }
    let into = if named && items.is_folder { into.join(&items.name) } else { into.to_path_buf() };
    let got = get::get(&items.files, &into, force, &mut |id| {
        if live.stop.is_set() { Err(Failure::interrupted()) } else { fetch(live, id) }
    })?;
    Ok(api::Saved { into: into.display().to_string(), files: got.files, bytes: got.bytes, kept: got.kept })
}

/// Hands out one file, one chunk at a time.
pub(super) fn read(
    live: &Live,
    wanted: &Wanted,
    start: u64,
    end: Option<u64>,
    emit: &mut dyn FnMut(Value) -> bool,
) -> Result<api::Saved, Failure> {
    let items = items(live, wanted)?;
    let [Item { blob, .. }] = items.files.as_slice() else {
        let text = format!("{} has {} files; choose one with --file", items.name, items.files.len());
        return Err(Failure::new(Exit::Usage, "several_files", text));
    };
    let bytes = blob::range(*blob, start, end, &mut |id| fetch(live, id), &mut |bytes| {
        Ok::<_, Failure>(emit(json!({ "data": BASE64.encode(bytes) })))
    })?;
    Ok(api::Saved { into: "-".to_owned(), files: 1, bytes, kept: 0 })
}
