//! A session whose CHUM a test speaks: sealed and padded as any other, and free to break every rule behind that.

use std::collections::VecDeque;
use std::vec::Vec;

use bytes::{Bytes, BytesMut};
use lama_handshake::{Received, StreamId};

use super::World;
use crate::LinkId;

/// What a puppet is to say, and what it heard.
pub(super) struct Puppet {
    actor: usize,
    pub(super) says: VecDeque<(StreamId, Bytes)>,
    pub(super) heard: Vec<Bytes>,
}

impl World {
    /// Takes an actor's session with another one over. What it was about to say is lost.
    pub(super) fn possess(&mut self, actor: usize, with: usize) -> LinkId {
        let with = self.person(with);
        let mut links = self.actors[actor].node.links.iter_mut();
        let link = links.find_map(|(id, link)| {
            let live = link.live_mut().filter(|live| live.person() == with)?;
            live.chum.take().map(|_| *id)
        });
        let link = link.expect("a session");
        self.puppets.insert(link, Puppet { actor, says: VecDeque::new(), heard: Vec::new() });
        link
    }

    /// Says a message on a possessed session as soon as there is credit for it.
    pub(super) fn say_raw(&mut self, link: LinkId, message: impl Into<Bytes>) {
        self.say_on(link, StreamId::OBJECTS, message);
    }

    /// The same on another stream.
    pub(super) fn say_on(&mut self, link: LinkId, stream: StreamId, message: impl Into<Bytes>) {
        self.puppets.get_mut(&link).unwrap().says.push_back((stream, message.into()));
    }

    pub(super) fn puppet_hears(&mut self, actor: usize, link: LinkId, frame: BytesMut) {
        let now = self.clock();
        let Some(live) = self.actors[actor].node.links.get_mut(&link).and_then(|link| link.live_mut()) else {
            return;
        };
        if let Ok(Received::Message { message, receipt, .. }) = live.mux.open(now, frame) {
            live.mux.release(receipt);
            self.puppets.get_mut(&link).unwrap().heard.push(message);
        }
    }

    /// Sends what the puppets of an actor have to say; whether there was anything.
    pub(super) fn puppet_says(&mut self, actor: usize) -> bool {
        let mut frames = Vec::new();
        for (link, puppet) in self.puppets.iter_mut().filter(|(_, puppet)| puppet.actor == actor) {
            let links = &mut self.actors[actor].node.links;
            let Some(live) = links.get_mut(link).and_then(|link| link.live_mut()) else { continue };
            let mut say = |stream: StreamId, _: usize, out: &mut BytesMut| {
                let message = puppet.says.pop_front_if(|(on, _)| *on == stream);
                message.is_some_and(|(_, message)| {
                    out.extend_from_slice(&message);
                    true
                })
            };
            let mut frame = BytesMut::new();
            while live.mux.poll_frame(&mut say, &mut frame) {
                frames.push((*link, frame.split()));
            }
        }
        let any = !frames.is_empty();
        frames.into_iter().for_each(|(link, frame)| self.deliver(link, frame));
        any
    }
}
