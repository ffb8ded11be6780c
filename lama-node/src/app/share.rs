//! Sharing and taking back: a signed access rule, the object with all it is made of, and an entry that points to it.
//!
//! All rules of ours for one object are versions of one policy. Each names those before it as its parents and says anew who
//! may see the object: so a later one that names fewer persons takes back.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use lama_core::Ticket;
use lama_identity::{
    Access, Channel, Cid, Content, PersonId, Reference, Signature, Signer, TypeTag, Unsigned, Versioned,
};
use lama_store::{PolicyRow, Read, Reply as StoreReply, StoreError, Write};

use super::Answer;
use crate::NodeError;
use crate::api::{Reply, WhichKey};
use crate::hub::Effect;
use crate::node::Node;

/// Who is to see an object, or to see it no more.
#[derive(Debug)]
pub(crate) struct Wish {
    root: Cid,
    with: Vec<PersonId>,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// With the text of an entry that points to it, where one is wanted.
    Share {
        note: Option<String>,
    },
    Unshare,
}

impl Node {
    /// [`crate::Command::Share`].
    pub(crate) fn share(
        &mut self,
        reply: Ticket,
        root: Cid,
        with: Vec<PersonId>,
        note: Option<String>,
    ) -> Result<(), NodeError> {
        let len = note.as_ref().map_or(0, String::len);
        if len > self.config.max_text {
            return Err(NodeError::TextTooLong { len, max: self.config.max_text });
        }
        self.wish(reply, root, with, Way::Share { note })
    }

    /// [`crate::Command::Unshare`].
    pub(crate) fn unshare(&mut self, reply: Ticket, root: Cid, with: Vec<PersonId>) -> Result<(), NodeError> {
        self.wish(reply, root, with, Way::Unshare)
    }

    fn wish(&mut self, reply: Ticket, root: Cid, mut with: Vec<PersonId>, way: Way) -> Result<(), NodeError> {
        with.sort_unstable();
        with.dedup();
        if with.is_empty() {
            return Err(NodeError::NobodyNamed);
        }
        for person in &with {
            self.known(person)?;
        }
        let read = Read::Policy { of: root, author: self.me() };
        self.ask(reply, read, Answer::Policy(Box::new(Wish { root, with, way })))
    }

    /// What our rules said so far: the next one is written.
    pub(crate) fn policy_read(
        &mut self,
        reply: Ticket,
        wish: Wish,
        mut results: Vec<Result<StoreReply, StoreError>>,
    ) {
        let said = match results.pop() {
            Some(Ok(StoreReply::Policy(policy))) => self.next_rule(reply, wish, policy),
            Some(Err(error)) => Err(NodeError::Store(error)),
            _ => Err(NodeError::Stopped),
        };
        if let Err(error) = said {
            self.reply(reply, Err(error));
        }
    }

    fn next_rule(&mut self, reply: Ticket, wish: Wish, policy: PolicyRow) -> Result<(), NodeError> {
        let mut data = policy.data;
        match wish.way {
            Way::Share { .. } => data.persons.extend(&wish.with),
            Way::Unshare if policy.heads.is_empty() => return Err(NodeError::NotShared { id: wish.root }),
            Way::Unshare => data.persons.retain(|person| wish.with.binary_search(person).is_err()),
        }
        data.persons.sort_unstable();
        data.persons.dedup();
        // A rule that names nobody speaks of nothing: it does not keep the object from being collected.
        let speaks = !(data.persons.is_empty() && data.groups.is_empty());
        data.objects = speaks.then_some(Reference(wish.root)).into_iter().collect();
        let wall = self.clock.latest().wall;
        let rule = Versioned {
            by: Signer::Instance,
            of: Reference(wish.root),
            sig: None,
            data,
            clock: self.hlc.tick(wall),
            type_tag: TypeTag::default(),
            author: self.me(),
            parents: policy.heads,
            instance: self.identity.public.instance_id(),
        };
        let unsigned = Unsigned::new(rule)?;
        let bytes = unsigned.input()?;
        let effect = Effect::Share { reply, unsigned: Box::new(unsigned), wish: Box::new(wish) };
        self.sign(WhichKey::Instance, bytes, effect);
        Ok(())
    }

    /// The rule is signed: store it and do what it says, in one commit.
    pub(crate) fn share_signed(
        &mut self,
        reply: Ticket,
        unsigned: Unsigned<Versioned<Access>>,
        wish: Box<Wish>,
        signature: Option<Signature>,
    ) {
        let Some(signature) = signature else {
            return self.reply(reply, Err(NodeError::KeyAbsent));
        };
        let signed = match unsigned.attach(signature) {
            Ok(signed) => signed,
            Err(error) => return self.reply(reply, Err(NodeError::Identity(error))),
        };
        let rule = (signed.cid(), signed.bytes().clone());
        let id = rule.0;
        let mut writes = alloc::vec![Write::Put { objects: alloc::vec![rule] }];
        match &wish.way {
            Way::Share { .. } => {
                writes.push(Write::Share { ids: alloc::vec![wish.root, id], persons: wish.with.clone() });
            }
            Way::Unshare => {
                writes.push(Write::Revoke { ids: alloc::vec![wish.root], persons: wish.with.clone() });
                // Those who may still see it learn with whom they share it; the others need not know.
                let persons = signed.value().data.persons.iter();
                let rest: Vec<PersonId> = persons.filter(|who| self.known(who).is_ok()).copied().collect();
                if !rest.is_empty() {
                    writes.push(Write::Share { ids: alloc::vec![id], persons: rest });
                }
            }
        }
        self.commit(writes, Effect::Shared { reply, wish });
    }

    /// It is durable: a word about it, where one is wanted, and the answer.
    pub(crate) fn shared(
        &mut self,
        reply: Ticket,
        wish: Wish,
        result: Option<Result<StoreReply, StoreError>>,
    ) {
        let Wish { root, with, way } = wish;
        let committed = match result {
            Some(Ok(StoreReply::Committed(committed))) => committed,
            Some(Err(error)) => return self.reply(reply, Err(NodeError::Store(error))),
            _ => return self.reply(reply, Err(NodeError::ObjectNotHere { id: root })),
        };
        self.committed(&committed, None);
        let Way::Share { note } = way else {
            let sum = |of: fn(&lama_store::Revoked) -> u64| committed.revoked.iter().map(of).sum();
            let (taken_back, stays) = (sum(|row| row.taken_back), sum(|row| row.stays));
            return self.reply(reply, Ok(Reply::Unshared { taken_back, stays }));
        };
        if committed.withheld.iter().any(|left| left.id == root) {
            return self.reply(reply, Err(NodeError::ObjectNotHere { id: root }));
        }
        if let Some(text) = note {
            for person in with {
                // It points to the object and is not what grants it: that is the rule, which can be taken back.
                let content = Content { about: alloc::vec![Reference(root)], ..Content::text(text.clone()) };
                self.post(Channel::direct(self.me(), person), None, content);
            }
        }
        self.reply(reply, Ok(Reply::Shared { withheld: committed.withheld }));
    }
}
