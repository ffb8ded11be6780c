//! Several instances of one person, and what happens to them through time: enrolled by file, given new keys, brought back
//! from a backup, copied, and parted from others.

use lama_core::Now;
use lama_identity::{
    Enrolment, InstanceId, InstanceOffer, InstanceRequest, LocalIdentity, NoisePublic, NoiseSecret,
    Object as _, PersonPin, SignSecret,
};
use lama_node::{Command, NodeError, Reply};

use super::{ActorId, Job, World};
use crate::actor::{Actor, ActorConfig, Given};
use crate::link::EndState;

/// All that an instance is: what a backup holds, and what a thief takes away.
pub struct Backup(Given);

fn file(reply: Result<Reply, NodeError>) -> Result<bytes::Bytes, NodeError> {
    match reply? {
        Reply::File(bytes) => Ok(bytes),
        other => panic!("no file: {other:?}"),
    }
}

impl World {
    /// Adds a further instance of an actor's person, without the person's key, and starts it.
    ///
    /// # Panics
    /// If it is not certified, such as for its name.
    pub fn enrol(&mut self, of: ActorId, config: ActorConfig) -> ActorId {
        let offer = file(self.ask(of, Command::OfferInstance)).expect("an offer");
        let offer = InstanceOffer::from_bytes(&offer).expect("a sound offer");
        let (request, noise, sign) = self.request(&offer, &config.instance);
        let request_bytes = request.to_bytes().expect("it encodes");
        let command = Command::CertifyInstance { request: request_bytes, replace: false };
        let enrolment = file(self.ask(of, command)).expect("a certificate");
        let enrolment = Enrolment::from_bytes(&enrolment).expect("a sound enrolment");
        let (public, chain) = enrolment.accept(&offer, &request).expect("it is for us");
        let identity = LocalIdentity::from_parts(public, noise, sign, None).expect("the keys belong to it");
        let given =
            Given { log: chain.entries().to_vec(), contacts: enrolment.contacts, ..Given::of(&identity) };
        self.join_in(config, given)
    }

    /// Gives an actor new keys: certified, taken up with a new life, the old ones revoked by themselves.
    ///
    /// # Errors
    /// What the node says.
    pub fn rotate(&mut self, actor: ActorId) -> Result<(), NodeError> {
        let offer = file(self.ask(actor, Command::OfferInstance))?;
        let offer = InstanceOffer::from_bytes(&offer).expect("a sound offer");
        let name = self.actors[actor.0].given.public.instance.name.clone();
        let (request, noise, sign) = self.request(&offer, &name);
        let command = Command::RotateInstance { request: request.to_bytes().expect("it encodes") };
        let enrolment = file(self.ask(actor, command))?;
        let enrolment = Enrolment::from_bytes(&enrolment).expect("a sound enrolment");
        let (public, _) = enrolment.accept(&offer, &request).expect("it is for us");
        let given = &mut self.actors[actor.0].given;
        let old = LocalIdentity::danger_import(&given.keys).expect("the keys are intact");
        let (.., person) = old.into_parts();
        let new = LocalIdentity::from_parts(public, noise, sign, person).expect("the keys belong to it");
        let new_keys = new.danger_export().expect("an identity can be exported");
        given.former.push(core::mem::replace(&mut given.keys, new_keys));
        given.public = new.public().clone();
        self.crash(actor);
        Ok(())
    }

    /// Gives an actor's person another signing key: into the log, then taken up with a new life.
    ///
    /// # Errors
    /// What the node says.
    pub fn rotate_person(&mut self, actor: ActorId) -> Result<(), NodeError> {
        let offer = file(self.ask(actor, Command::OfferInstance))?;
        let head = InstanceOffer::from_bytes(&offer).expect("a sound offer").head;
        let (new, wall) = (SignSecret::from_seed(self.rng.seed()), self.now.wall);
        let me = LocalIdentity::danger_import(&self.actors[actor.0].given.keys).expect("the keys are intact");
        let entries = lama_identity::rotate_person(&me, head, &new, wall).expect("it has the person's key");
        let enrolment = file(self.ask(actor, Command::RotatePerson { entries }))?;
        let enrolment = Enrolment::from_bytes(&enrolment).expect("a sound enrolment");
        let me = me.with_person_key(&enrolment.log().expect("a sound log"), new).expect("it is certified");
        let given = &mut self.actors[actor.0].given;
        given.keys = me.danger_export().expect("an identity can be exported");
        given.public = me.public().clone();
        self.crash(actor);
        Ok(())
    }

    fn request(&mut self, offer: &InstanceOffer, name: &str) -> (InstanceRequest, NoiseSecret, SignSecret) {
        let (noise, sign) = (NoiseSecret::from_seed(self.rng.seed()), SignSecret::from_seed(self.rng.seed()));
        let request = InstanceRequest::new(offer, name, &noise, &sign, self.now.wall).expect("a valid name");
        (request, noise, sign)
    }

    fn join_in(&mut self, config: ActorConfig, given: Given) -> ActorId {
        self.actors.push(Actor::from_given(config, given));
        let index = self.actors.len() - 1;
        self.start(index);
        ActorId(index)
    }

    /// All that an actor is now.
    #[must_use]
    pub fn backup(&self, actor: ActorId) -> Backup {
        Backup(self.actors[actor.0].given.copied())
    }

    /// The actor dies and comes back, after the usual time, as the backup has it.
    pub fn restore(&mut self, actor: ActorId, backup: &Backup) {
        self.kill(actor.0);
        self.actors[actor.0].given = Given { restored: true, ..backup.0.copied() };
        let at = self.now.mono + self.config.restart_after;
        self.job(at, Job::Start { actor: actor.0 });
    }

    /// Somebody else starts what is in a backup, beside the instance that it was made of.
    pub fn copy(&mut self, backup: &Backup, config: ActorConfig) -> ActorId {
        self.join_in(config, backup.0.copied())
    }

    /// Puts an actor on one side of a parted network; all are on side 0 at first. Links between sides fall silent, and
    /// nobody is told.
    pub fn set_side(&mut self, actor: ActorId, side: u64) {
        self.actors[actor.0].side = side;
        let sides: Vec<u64> = self.actors.iter().map(|actor| actor.side).collect();
        for link in &mut self.links {
            if sides[link.ends[0].actor] != sides[link.ends[1].actor] {
                for end in &mut link.ends {
                    end.incoming.clear();
                    end.state = EndState::Gone;
                }
            }
        }
    }

    /// The Noise key by which an actor is dialled.
    #[must_use]
    pub fn noise(&self, actor: ActorId) -> NoisePublic {
        *self.actors[actor.0].given.public.noise()
    }

    /// The fingerprint of the actor's person, as the actor shows it.
    #[must_use]
    pub fn pin(&self, actor: ActorId) -> PersonPin {
        self.actors[actor.0].given.public.pin()
    }

    /// The actor's instance.
    #[must_use]
    pub fn instance(&self, actor: ActorId) -> InstanceId {
        self.actors[actor.0].given.public.instance_id()
    }

    /// Whether the actor's process lives.
    #[must_use]
    pub fn is_running(&self, actor: ActorId) -> bool {
        self.actors[actor.0].running.is_some()
    }

    /// When something happened, in seconds of virtual time since the beginning.
    #[must_use]
    pub fn seconds(now: Now) -> f64 {
        now.mono.since_origin().as_secs_f64()
    }
}
