//! Groups: who is in them, as their owner and the admins that he signed say.

use alloc::vec::Vec;

use bytes::Bytes;
use lama_core::SortedSet;
use lama_identity::{Cid, Group, GroupId, GroupMembers, PersonId, Profile, Versioned};

use super::{Lacks, typed_object};
use crate::api::{Committed, Effect, GroupRow};
use crate::codec::{Reader, Writer};
use crate::engine::Engine;
use crate::layout::{kind, meta};
use crate::{Store, StoreError};

fn row_bytes(row: &GroupRow) -> Vec<u8> {
    let out = Writer::default().raw(&row.owner.0).num(row.admins.len() as u64);
    let out = row.admins.iter().fold(out, |out, admin| out.raw(&admin.0)).num(row.members.len() as u64);
    row.members.iter().fold(out, |out, member| out.raw(&member.0)).0
}

fn read_row(group: &GroupId, value: &[u8]) -> Result<GroupRow, StoreError> {
    let mut reader = Reader(value);
    let owner = PersonId(reader.array()?);
    let mut list = || (0..reader.num()?).map(|_| reader.array().map(PersonId)).collect::<Result<Vec<_>, _>>();
    let (admins, members) = (list()?, list()?);
    reader.end()?;
    Ok(GroupRow { group: *group, owner, admins, members })
}

impl<E: Engine> Store<E> {
    /// A group became known: what was said of its members can be judged.
    pub(super) fn take_group(
        &mut self,
        bytes: &Bytes,
        report: &mut Committed,
    ) -> Result<Result<(), Lacks>, StoreError> {
        let Ok(group) = typed_object::<Group>(bytes) else { return Ok(Err(Lacks::Validity)) };
        let id = group.id();
        if self.group_row(&id)?.is_none() {
            let row = GroupRow { group: id, owner: group.owner, admins: Vec::new(), members: Vec::new() };
            self.meta_put(meta(kind::GROUP, &[&id.0]), row_bytes(&row));
            self.label_known(&id.0, report)?;
        }
        Ok(Ok(()))
    }

    /// Somebody says who is in a group.
    pub(super) fn take_members(
        &mut self,
        id: &Cid,
        bytes: &Bytes,
        source: u32,
        report: &mut Committed,
    ) -> Result<Result<(), Lacks>, StoreError> {
        let signed = match self.verified::<Versioned<GroupMembers>>(bytes, source) {
            Ok(signed) => signed,
            Err(lacks) => return Ok(Err(lacks)),
        };
        let version = signed.value();
        let group = GroupId(*version.of.0.digest());
        let Some(old) = self.group_row(&group)? else { return Ok(Err(Lacks::Label(group.0))) };
        self.note_version(&version.of.0, &version.author, id);
        let merged = self.merged_versions::<GroupMembers>(&old.owner, &version.of.0, None)?;
        let Some(GroupMembers { admins, members }) = merged else { return Ok(Err(Lacks::Validity)) };
        let new = GroupRow { admins, members, ..old.clone() };
        if new == old {
            return Ok(Ok(()));
        }
        self.meta_put(meta(kind::GROUP, &[&group.0]), row_bytes(&new));
        let gone: SortedSet<PersonId> =
            old.members.iter().copied().filter(|member| !new.members.contains(member)).collect();
        if new.members != old.members {
            self.group_changed(&group, &gone, report)?;
        }
        report.effects.push(Effect::Group(new));
        Ok(Ok(()))
    }

    /// A version of a profile arrived: it belongs to its person.
    pub(super) fn take_profile(
        &mut self,
        id: &Cid,
        bytes: &Bytes,
        source: u32,
    ) -> Result<Result<(), Lacks>, StoreError> {
        Ok(self.verified::<Versioned<Profile>>(bytes, source).map(|signed| {
            let version = signed.value();
            self.note_version(&version.of.0, &version.author, id);
        }))
    }

    /// What is known of a group.
    pub(crate) fn group_row(&self, group: &GroupId) -> Result<Option<GroupRow>, StoreError> {
        self.meta_get(&meta(kind::GROUP, &[&group.0]))?.map(|row| read_row(group, &row)).transpose()
    }
}
