//! Sharing: a signed access rule, the object with all it is made of, and an entry that points to it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use lama_core::Ticket;
use lama_identity::{
    Access, Channel, Cid, Content, PersonId, Reference, Signature, Signer, TypeTag, Unsigned, Versioned,
};
use lama_store::{Reply as StoreReply, StoreError, Write};

use crate::NodeError;
use crate::api::{Reply, WhichKey};
use crate::hub::Effect;
use crate::node::Node;

impl Node {
    /// [`crate::Command::Share`].
    pub(crate) fn share(
        &mut self,
        reply: Ticket,
        root: Cid,
        mut with: Vec<PersonId>,
        note: Option<String>,
    ) -> Result<(), NodeError> {
        with.sort_unstable();
        with.dedup();
        if with.is_empty() {
            return Err(NodeError::NobodyNamed);
        }
        for person in &with {
            self.known(person)?;
        }
        let len = note.as_ref().map_or(0, String::len);
        if len > self.config.max_text {
            return Err(NodeError::TextTooLong { len, max: self.config.max_text });
        }
        let wall = self.clock.latest().wall;
        let rule = Versioned {
            by: Signer::Instance,
            of: Reference(root),
            sig: None,
            data: Access { objects: alloc::vec![Reference(root)], persons: with, ..Access::default() },
            clock: self.hlc.tick(wall),
            type_tag: TypeTag::default(),
            author: self.me(),
            parents: Vec::new(),
            instance: self.identity.public.instance_id(),
        };
        let unsigned = Unsigned::new(rule)?;
        let bytes = unsigned.input()?;
        self.sign(WhichKey::Instance, bytes, Effect::Share { reply, unsigned: Box::new(unsigned), note });
        Ok(())
    }

    /// The rule is signed: store and share, in one commit.
    pub(crate) fn share_signed(
        &mut self,
        reply: Ticket,
        unsigned: Unsigned<Versioned<Access>>,
        note: Option<String>,
        signature: Option<Signature>,
    ) {
        let Some(signature) = signature else {
            return self.reply(reply, Err(NodeError::KeyAbsent));
        };
        match unsigned.attach(signature) {
            Ok(signed) => {
                let rule = (signed.cid(), signed.bytes().clone());
                let (root, with) = (signed.value().of.0, signed.value().data.persons.clone());
                let ids = alloc::vec![root, rule.0];
                let writes = alloc::vec![
                    Write::Put { objects: alloc::vec![rule] },
                    Write::Share { ids, persons: with.clone() },
                ];
                self.commit(writes, Effect::Shared { reply, note, root, with });
            }
            Err(error) => self.reply(reply, Err(NodeError::Identity(error))),
        }
    }

    /// It is durable: a word about it, where one is wanted, and the answer.
    pub(crate) fn shared(
        &mut self,
        reply: Ticket,
        note: Option<String>,
        root: Cid,
        with: Vec<PersonId>,
        result: Option<Result<StoreReply, StoreError>>,
    ) {
        match result {
            Some(Ok(StoreReply::Committed(committed))) => {
                let whole = !committed.withheld.iter().any(|left| left.id == root);
                self.committed(&committed, None);
                if !whole {
                    return self.reply(reply, Err(NodeError::ObjectNotHere { id: root }));
                }
                if let Some(text) = note {
                    for person in with {
                        let content = Content { links: alloc::vec![root], ..Content::text(text.clone()) };
                        self.post(Channel::direct(self.me(), person), None, content);
                    }
                }
                self.reply(reply, Ok(Reply::Shared { withheld: committed.withheld }));
            }
            Some(Err(error)) => self.reply(reply, Err(NodeError::Store(error))),
            _ => self.reply(reply, Err(NodeError::ObjectNotHere { id: root })),
        }
    }
}
