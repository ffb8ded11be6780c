//! Asking for those who are sought, and hearing where they are.

use alloc::format;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;

use lama_identity::InstanceId;

use super::{Lan, LanOutput, Timer, side};
use crate::wire::{self, Answer, QUESTIONS, Tag};

/// Instances that are asked for in one round; of more, others in the next.
const SOUGHT: usize = 128;
/// The number of names in a packet is a multiple of this, so that it says little of how many are sought.
const STEP: usize = 8;
/// Between two rounds, at least (RFC 6762, 5.2).
const PAUSE: Duration = Duration::from_secs(1);
/// Pauses grow threefold up to this.
const LONGEST: Duration = Duration::from_secs(300);
/// An instance that was found at a place is not said to be there again before that.
const QUIET: Duration = Duration::from_secs(5);

impl Lan {
    /// There is reason to ask soon.
    pub(super) fn ask_anew(&mut self) {
        self.round = 0;
        let now = self.clock.latest().mono;
        let earliest = self.last_round.map_or(now, |last| now.max(last + PAUSE));
        let at = earliest + self.soon();
        self.timers.set(Timer::Ask, Some(at));
    }

    /// A round of questions, and when the next one is due.
    pub(super) fn ask(&mut self) {
        let names = self.names();
        if names.is_empty() {
            return;
        }
        let now = self.clock.latest().mono;
        self.last_round = Some(now);
        for chunk in names.chunks(QUESTIONS) {
            let packet = wire::questions(chunk);
            for interface in &self.interfaces {
                let (interface, packet) = (interface.address, packet.clone());
                self.out.push_back(LanOutput::Send { interface, packet });
            }
        }
        let factor = 3_u32.checked_pow(self.round).unwrap_or(u32::MAX);
        let pause = PAUSE.saturating_mul(factor).min(LONGEST);
        self.round = self.round.saturating_add(1);
        let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let late = Duration::from_millis(self.below(millis / 5 + 1));
        self.timers.set(Timer::Ask, Some(now + pause + late));
    }

    /// What is asked for now, with names of nobody among them, in an order that says nothing.
    fn names(&mut self) -> Vec<Tag> {
        self.keep_up();
        let all: Vec<InstanceId> =
            self.peers.iter().filter(|(_, known)| known.sought).map(|(instance, _)| *instance).collect();
        let turn = self.turn.checked_rem(all.len()).unwrap_or(0);
        self.turn = if all.len() > SOUGHT { turn + SOUGHT } else { 0 };
        let chosen = all.iter().cycle().skip(turn).take(all.len().min(SOUGHT));
        let name = |instance: &InstanceId| {
            Some(self.peers.get(instance)?.key.question(side(&self.me, instance), self.slot))
        };
        let mut names: Vec<Tag> = chosen.filter_map(name).collect();
        for n in names.len()..names.len().next_multiple_of(STEP) {
            let nobody = self.seed.derive(&format!("lan/nobody/{}/{n}", self.slot));
            names.extend(nobody.first_chunk().map(|tag| Tag(*tag)));
        }
        names.sort_unstable();
        names
    }

    /// Somebody answers.
    pub(super) fn told(&mut self, from: Ipv4Addr, answer: &Answer) {
        let Some((instance, slot)) = self.asked.get(&answer.tag).copied() else { return };
        let now = self.clock.latest().mono;
        let theirs = side(&self.me, &instance).other();
        let Some(known) = self.peers.get_mut(&instance).filter(|known| known.sought) else { return };
        let proved = known.key.proof(theirs, slot, answer.at) == answer.proof;
        // Nobody answers for another machine, which a packet that was sent on would.
        if !proved || *answer.at.ip() != from || answer.at.port() == 0 {
            return;
        }
        let again = |(at, address): (_, SocketAddrV4)| address == answer.at && now.since(at) < QUIET;
        if known.found.is_some_and(again) {
            return;
        }
        known.found = Some((now, answer.at));
        self.out.push_back(LanOutput::Found { instance, address: answer.at });
    }
}
