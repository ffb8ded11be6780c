//! Answering those who know whom they ask for.

use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;

use super::{Lan, LanOutput, Timer, side};
use crate::wire::{self, ANSWERS, Answer, Tag};

/// A question is answered this often at most, whoever asks (RFC 6762, 6).
const PAUSE: Duration = Duration::from_secs(1);

impl Lan {
    /// Somebody asks. What is not a name of ours is not told from one that does not exist.
    pub(super) fn asked_for(&mut self, interface: Ipv4Addr, tags: &[Tag]) {
        if self.listening.is_none() {
            return;
        }
        let now = self.clock.latest().mono;
        self.answered.retain(|_, at| now.since(*at) < PAUSE);
        let ours = |tag: &&Tag| {
            self.answerable.contains_key(tag) && !self.answered.contains_key(&(interface, **tag))
        };
        let ours: Vec<Tag> = tags.iter().filter(ours).copied().collect();
        if ours.is_empty() {
            return;
        }
        let owed = self.owed.entry(interface).or_default();
        let first = owed.is_empty();
        owed.extend(ours);
        if first {
            let at = now + self.soon();
            self.timers.set(Timer::Answer(interface), Some(at));
        }
    }

    /// The time has come to say what is owed.
    pub(super) fn answer(&mut self, interface: Ipv4Addr) {
        let now = self.clock.latest().mono;
        let (Some(owed), Some(port)) = (self.owed.remove(&interface), self.listening) else { return };
        let at = SocketAddrV4::new(interface, port);
        let answer = |tag: &Tag| {
            let (instance, slot) = self.answerable.get(tag)?;
            let proof = self.peers.get(instance)?.key.proof(side(&self.me, instance), *slot, at);
            Some(Answer { tag: *tag, at, proof })
        };
        let answers: Vec<Answer> = owed.iter().filter_map(answer).collect();
        for chunk in answers.chunks(ANSWERS) {
            self.out.push_back(LanOutput::Send { interface, packet: wire::answers(chunk) });
        }
        self.answered.extend(owed.into_iter().map(|tag| ((interface, tag), now)));
    }
}
