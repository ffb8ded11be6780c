//! What is shared, by name: of everything the newest version.

use bytes::Bytes;
use lama_chum::blob::{File, Folder};
use lama_core::SortedMap;
use lama_identity::{Access, Cid, Hlc, Object as _, PersonId, Versioned};
use lama_node::SharedInfo;
use lama_store::{Engine, Read, Reply};

use crate::record::SharedItem;
use crate::{Instance, Problem};

impl<E: Engine> Instance<E> {
    /// The newest version of everything that is shared, by person and name.
    pub(crate) fn shared(&mut self, rules: Vec<SharedInfo>) -> Result<Vec<SharedItem>, Problem> {
        let mut newest: SortedMap<(String, PersonId), (Hlc, Cid, SharedItem)> = SortedMap::new();
        for info in rules {
            let Some(object) = self.fetch(info.root)? else { continue };
            let (name, kind, bytes) = if let Ok(file) = File::read(&object) {
                (file.name, "file", file.size)
            } else if let Ok(folder) = Folder::read(&object) {
                let bytes = folder.size();
                (folder.name, "folder", bytes)
            } else {
                continue;
            };
            let rule = self.fetch(info.rule)?.and_then(|rule| Versioned::<Access>::from_bytes(&rule).ok());
            let clock = rule.map(|rule| rule.clock).unwrap_or_default();
            let item = SharedItem {
                name: name.clone(),
                kind,
                bytes,
                by: info.by.full(),
                with: info.with.iter().map(PersonId::full).collect(),
                time: clock.ms,
                root: info.root.to_string(),
            };
            let key = (name, info.by);
            if newest.get(&key).is_none_or(|(known, root, _)| (*known, *root) < (clock, info.root)) {
                newest.insert(key, (clock, info.root, item));
            }
        }
        Ok(newest.into_values().map(|(_, _, item)| item).collect())
    }

    /// The bytes of an object; `None`: it is not here.
    pub(crate) fn fetch(&mut self, id: Cid) -> Result<Option<Bytes>, Problem> {
        let store = self.store.as_mut().ok_or(lama_node::NodeError::Stopped)?;
        match store.ask(Read::Object(id))? {
            Reply::Object(object) => Ok(object),
            _ => Ok(None),
        }
    }
}
