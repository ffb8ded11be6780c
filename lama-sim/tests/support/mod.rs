//! Two persons who want to pair, and what it means that both ends agree.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use lama_invite::Policy;
use lama_node::{Command, ContactStanding, InvitationState, Reply};
use lama_sim::{ActorConfig, ActorId, World, WorldConfig};
use lama_store::Read;
use zeroize::Zeroizing;

pub(crate) const INVITER_URL: &str = "ws://localhost:8765";

/// An inviter who listens, a joiner who does not, and a link.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) inviter: ActorId,
    pub(crate) joiner: ActorId,
    pub(crate) link: Zeroizing<String>,
}

impl Scene {
    pub(crate) fn new(seed: u64, policy: Policy) -> Self {
        let mut world = World::new(WorldConfig::default(), seed);
        let inviter = world.add(ActorConfig::new("node-demo@lama.local", Some(INVITER_URL)));
        let joiner = world.add(ActorConfig::new("demo@lama.local", None));
        world.run_for(Duration::from_secs(1));
        let seed = world.seed();
        let invite = Command::Invite { policy, lifetime: None, label: String::new(), seed };
        let link = match world.ask(inviter, invite) {
            Ok(Reply::Invitation { invitation, .. }) => {
                invitation.to_link(lama_invite::LAMA_BASE).expect("an invitation has a link")
            }
            other => panic!("no invitation: {other:?}"),
        };
        Self { world, inviter, joiner, link }
    }

    /// The joiner's user opens the link.
    pub(crate) fn join(&mut self) -> lama_core::Ticket {
        let rules = lama_invite::DialRules::default();
        self.world.command(self.joiner, Command::Join { link: self.link.clone(), rules })
    }

    pub(crate) fn standing(&mut self, actor: ActorId) -> Vec<ContactStanding> {
        match self.world.ask(actor, Command::Contacts) {
            Ok(Reply::Contacts(list)) => list.into_iter().map(|contact| contact.standing).collect(),
            other => panic!("no contacts: {other:?}"),
        }
    }

    pub(crate) fn trusts(&mut self, actor: ActorId) -> usize {
        match self.world.inspect(actor, Read::Trust(None)) {
            lama_store::Reply::Trust(list) => list.len(),
            other => panic!("no trust records: {other:?}"),
        }
    }

    pub(crate) fn token(&mut self) -> InvitationState {
        match self.world.ask(self.inviter, Command::Invitations) {
            Ok(Reply::Invitations(list)) => list.first().expect("the invitation is remembered").state,
            other => panic!("no invitations: {other:?}"),
        }
    }

    /// Runs until both have one active contact or `time` is over; a joiner whose process was killed before it
    /// wrote anything down has forgotten the link, so its user opens it once more.
    pub(crate) fn settle(&mut self, time: Duration) {
        let both = |scene: &mut Self| {
            [scene.inviter, scene.joiner].map(|actor| scene.standing(actor))
                == [vec![ContactStanding::Active], vec![ContactStanding::Active]]
        };
        let slices = time.as_secs().max(1);
        for slice in 0..slices {
            self.world.run_for(Duration::from_secs(1));
            if both(self) {
                // What follows an active contact on one side is the acknowledgement to the other: let it arrive.
                self.world.run_for(Duration::from_secs(1));
                return;
            }
            if slice % 5 == 4 && self.standing(self.joiner).is_empty() {
                self.join();
            }
        }
    }

    /// Contact, trust and token agree at both ends, and the pairing is complete.
    pub(crate) fn assert_paired(&mut self, context: &str) {
        assert_eq!(self.standing(self.inviter), [ContactStanding::Active], "inviter's contact, {context}");
        assert_eq!(self.standing(self.joiner), [ContactStanding::Active], "joiner's contact, {context}");
        assert_eq!(self.trusts(self.inviter), 1, "inviter's trust, {context}");
        assert_eq!(self.trusts(self.joiner), 1, "joiner's trust, {context}");
        assert!(matches!(self.token(), InvitationState::Completed { .. }), "token, {context}");
    }
}

/// Makes two actors contacts: `a` invites, `b` joins.
pub(crate) fn pair(world: &mut World, a: ActorId, b: ActorId) {
    let seed = world.seed();
    let invite = Command::Invite { policy: Policy::Auto, lifetime: None, label: String::new(), seed };
    let link = match world.ask(a, invite) {
        Ok(Reply::Invitation { invitation, .. }) => {
            invitation.to_link(lama_invite::LAMA_BASE).expect("an invitation has a link")
        }
        other => panic!("no invitation: {other:?}"),
    };
    let rules = lama_invite::DialRules::default();
    match world.ask(b, Command::Join { link, rules }) {
        Ok(Reply::Contact(_)) => {}
        other => panic!("not paired: {other:?}"),
    }
}
