//! Access rules: what their author authored becomes visible to the persons he names, if they are contacts here.

use alloc::vec::Vec;

use bytes::Bytes;
use lama_identity::{Access, Cid, PersonId, Versioned};

use super::Lacks;
use crate::api::{AccessRow, Committed, Effect};
use crate::codec::{Reader, Writer};
use crate::engine::Engine;
use crate::layout::{Slot, id_at_end, id_bytes, kind, meta, read_id};
use crate::{Store, StoreError};

fn row_bytes(row: &AccessRow, own: bool) -> Vec<u8> {
    let out = Writer::default().u8(row.in_effect.into()).u8(own.into()).raw(&row.author.0);
    let out = out.num(row.persons.len() as u64);
    row.persons.iter().fold(out, |out, person| out.raw(&person.0)).0
}

/// Reads a row, and whether its rule was put here.
fn read_row(object: &Cid, rule: &Cid, value: &[u8]) -> Result<(AccessRow, bool), StoreError> {
    let mut reader = Reader(value);
    let (in_effect, own) = (reader.u8()? == 1, reader.u8()? == 1);
    let author = PersonId(reader.array()?);
    let persons = (0..reader.num()?).map(|_| reader.array().map(PersonId)).collect::<Result<_, _>>()?;
    reader.end()?;
    Ok((AccessRow { rule: *rule, author, object: *object, persons, in_effect }, own))
}

impl<E: Engine> Store<E> {
    /// A rule arrived.
    pub(super) fn take_rule(
        &mut self,
        id: &Cid,
        bytes: &Bytes,
        source: u32,
        report: &mut Committed,
    ) -> Result<Result<(), Lacks>, StoreError> {
        let signed = match self.verified::<Versioned<Access>>(bytes, source) {
            Ok(signed) => signed,
            Err(lacks) => return Ok(Err(lacks)),
        };
        let version = signed.value();
        for object in &version.data.objects {
            let persons = version.data.persons.clone();
            let row =
                AccessRow { rule: *id, author: version.author, object: object.0, persons, in_effect: false };
            self.hot.counts.rules += 1;
            self.hot.dirty_counts = true;
            self.apply_rule(row, source == 0, report)?;
        }
        Ok(Ok(()))
    }

    /// An object is here: rules that speak of it may take effect.
    pub(super) fn apply_rules_for(&mut self, id: &Cid, report: &mut Committed) -> Result<(), StoreError> {
        for (row, own) in self.rules(id)? {
            if !row.in_effect {
                self.apply_rule(row, own, report)?;
            }
        }
        Ok(())
    }

    fn apply_rule(
        &mut self,
        mut row: AccessRow,
        own: bool,
        report: &mut Committed,
    ) -> Result<(), StoreError> {
        let key = meta(kind::ACCESS, &[&id_bytes(&row.object), &id_bytes(&row.rule)]);
        let here = self.object(&row.object)?.is_some_and(Slot::is_visible);
        // A rule of ours speaks of what was put here, one of a contact's of what he answers for.
        let author = if here { self.author_of(&row.object)? } else { None };
        row.in_effect = here
            && if own {
                author.is_none_or(|author| author == row.author)
            } else {
                author == Some(row.author)
            };
        self.meta_put(key, row_bytes(&row, own));
        if !row.in_effect {
            return Ok(());
        }
        let known: Vec<PersonId> =
            row.persons.iter().copied().filter(|person| self.hot.contacts.contains_key(person)).collect();
        self.share(&[row.object], &known, report)?;
        report.effects.push(Effect::Access(row));
        Ok(())
    }

    fn rules(&self, object: &Cid) -> Result<Vec<(AccessRow, bool)>, StoreError> {
        let mut rows = Vec::new();
        self.each_meta(&meta(kind::ACCESS, &[&id_bytes(object)]), &mut |key, value| {
            rows.push(read_row(object, &id_at_end(key)?, value)?);
            Ok(true)
        })?;
        Ok(rows)
    }

    /// The rules that speak of an object.
    pub(crate) fn access_rules(&self, object: &Cid) -> Result<Vec<AccessRow>, StoreError> {
        Ok(self.rules(object)?.into_iter().map(|(row, _)| row).collect())
    }

    /// All rules, in the order of the objects that they speak of.
    pub(crate) fn all_access_rules(&self) -> Result<Vec<AccessRow>, StoreError> {
        let mut rows = Vec::new();
        self.each_meta(&meta(kind::ACCESS, &[]), &mut |key, value| {
            let object = read_id(&mut Reader(key))?;
            rows.push(read_row(&object, &id_at_end(key)?, value)?.0);
            Ok(true)
        })?;
        Ok(rows)
    }
}
