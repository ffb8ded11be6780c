//! One connection to a relay, from HELLO to the call that uses it up.

use alloc::boxed::Box;

use lama_core::{Seed, Ticket};
use lama_identity::{SignPublic, Signature};

use super::{Client, ClientOutput, Timer};
use crate::address::pin_of;
use crate::wire::{FromRelay, Hello, Register};
use crate::{Binding, LinkId, RelayError, confirm_input, register_input};

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// HELLO is awaited.
    Hello,
    /// Our proof is being signed, or is out: CONFIRM is awaited.
    Confirm,
    /// Registered and free.
    Idle,
    /// The same, but the network has changed since the relay was last heard on it: others are to take its place.
    Doubted,
    /// Somebody rings: ACCEPT leaves next.
    Rung,
    /// Nothing more is read.
    Closing,
}

/// A connection that is not part of a call.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) home: usize,
    pub(super) step: Step,
    /// Which one it is of those opened at this relay.
    nonce: [u8; 32],
    /// Of its TLS connection, as far as the host knows it; zeros where TLS does not end at the relay.
    exporter: Option<[u8; 32]>,
    /// Until CONFIRM.
    proof: Option<Box<(Hello, Register)>>,
    /// REGISTER, until it has left.
    pub(super) register: Option<Box<Register>>,
    pub(super) pong: Option<u64>,
}

impl Client {
    pub(super) fn link_up(
        &mut self,
        ticket: Ticket,
        link: LinkId,
        exporter: Option<[u8; 32]>,
        seed: &Seed,
    ) -> Result<(), RelayError> {
        if self.links.contains_key(&link) {
            return Err(RelayError::LinkTwice);
        }
        // Too late: the dial was given up.
        let Some(home) = self.dials.remove(&ticket) else {
            self.out.push_back(ClientOutput::Close { link });
            return Ok(());
        };
        self.timers.set(Timer::Dial(ticket), None);
        let spare = Spare {
            home,
            step: Step::Hello,
            nonce: *seed.derive("relay/register"),
            exporter,
            proof: None,
            register: None,
            pong: None,
        };
        self.links.insert(link, spare);
        self.step_due(link);
        Ok(())
    }

    /// A frame of the relay.
    pub(super) fn heard(&mut self, id: LinkId, frame: FromRelay) -> Result<(), RelayError> {
        self.believe(id);
        let Some(spare) = self.links.get_mut(&id) else { return Ok(()) };
        match (frame, spare.step) {
            (_, Step::Closing) => Ok(()),
            (FromRelay::Hello(hello), Step::Hello) => self.greeted(id, hello),
            (FromRelay::Confirm(signature), Step::Confirm) => self.confirmed(id, &signature),
            (FromRelay::Unavailable, Step::Confirm) => Err(RelayError::Unavailable),
            (FromRelay::Terms(terms), Step::Idle) => {
                let home = spare.home;
                self.terms(home, terms);
                self.idle_due(id);
                if terms.draining { Err(RelayError::Draining) } else { Ok(()) }
            }
            (FromRelay::Ping(number), Step::Idle) => {
                spare.pong = Some(number);
                self.ready.insert(id);
                self.idle_due(id);
                Ok(())
            }
            (FromRelay::Incoming, Step::Idle) => {
                spare.step = Step::Rung;
                self.ready.insert(id);
                self.step_due(id);
                Ok(())
            }
            // They were on their way when the call came.
            (FromRelay::Terms(_) | FromRelay::Ping(_), Step::Rung) => Ok(()),
            (frame, _) => Err(RelayError::OutOfTurn { kind: frame.kind() }),
        }
    }

    /// HELLO: the relay must be the one that the address pins; then our proof for it is signed.
    fn greeted(&mut self, id: LinkId, hello: Hello) -> Result<(), RelayError> {
        let exp = self.clock.latest().wall.unix_seconds().saturating_add(self.config.proof.as_secs());
        let Some(spare) = self.links.get_mut(&id) else { return Ok(()) };
        let Some(place) = self.places.get(spare.home) else { return Ok(()) };
        if pin_of(&hello.relay_key) != place.address.pin {
            return Err(RelayError::RelayKeyMismatch);
        }
        let exporter = if hello.tls { spare.exporter.ok_or(RelayError::NoExporter)? } else { [0; 32] };
        spare.exporter = Some(exporter);
        let (route_key, nonce) = (*place.key.as_bytes(), spare.nonce);
        let host = place.address.signed_host();
        let binding = Binding { hello: &hello, host: &host, exporter: &exporter };
        let bytes = register_input(&binding, &route_key, &nonce, exp);
        let register = Register { route_key, nonce, exp, signature: Signature([0; 64]) };
        spare.proof = Some(Box::new((hello, register)));
        spare.step = Step::Confirm;
        let home = spare.home;
        let ticket = self.tickets.issue();
        self.signing.insert(ticket, id);
        self.out.push_back(ClientOutput::Sign { ticket, home, bytes });
        self.step_due(id);
        Ok(())
    }

    pub(super) fn signed(&mut self, id: LinkId, signature: Option<Signature>) {
        let Some(spare) = self.links.get_mut(&id).filter(|spare| spare.step == Step::Confirm) else { return };
        let Some(signature) = signature else { return self.fail(id, Some(RelayError::NoSignature)) };
        if let Some((_, register)) = spare.proof.as_deref_mut() {
            register.signature = signature;
            spare.register = Some(Box::new(*register));
            self.ready.insert(id);
        }
    }

    /// CONFIRM: the relay has proved its key for this very connection.
    fn confirmed(&mut self, id: LinkId, signature: &Signature) -> Result<(), RelayError> {
        let Some(spare) = self.links.get_mut(&id) else { return Ok(()) };
        let Some(place) = self.places.get(spare.home) else { return Ok(()) };
        // A relay that confirms what it was not sent knows nothing to sign.
        let (Some(proof), None) = (spare.proof.take(), &spare.register) else {
            return Err(RelayError::ConfirmSignature);
        };
        let (hello, register) = &*proof;
        let key = SignPublic::try_from(hello.relay_key).map_err(|_| RelayError::BadKey)?;
        let (host, exporter) = (place.address.signed_host(), spare.exporter.unwrap_or_default());
        let binding = Binding { hello, host: &host, exporter: &exporter };
        key.verify_input(&confirm_input(&binding, register), signature)
            .map_err(|_| RelayError::ConfirmSignature)?;
        spare.step = Step::Idle;
        let home = spare.home;
        self.idle_due(id);
        self.registered(home);
        self.replace_doubted(home);
        Ok(())
    }

    /// The network has changed: what was registered may lead nowhere now.
    pub(super) fn doubt(&mut self) {
        for spare in self.links.values_mut().filter(|spare| spare.step == Step::Idle) {
            spare.step = Step::Doubted;
        }
    }

    /// Something was heard: the connection lives.
    fn believe(&mut self, id: LinkId) {
        let Some(spare) = self.links.get_mut(&id).filter(|spare| spare.step == Step::Doubted) else { return };
        spare.step = Step::Idle;
        let home = spare.home;
        self.registered(home);
    }

    /// A fresh connection is registered: those in doubt are not needed any more.
    fn replace_doubted(&mut self, home: usize) {
        let doubted = |spare: &Spare| spare.home == home && spare.step == Step::Doubted;
        let doubted: alloc::vec::Vec<LinkId> =
            self.links.iter().filter(|(_, spare)| doubted(spare)).map(|(id, _)| *id).collect();
        for link in doubted {
            self.remember(home);
            self.close(link);
        }
    }

    fn step_due(&mut self, id: LinkId) {
        let at = self.clock.latest().mono + self.config.step;
        self.timers.set(Timer::Link(id), Some(at));
    }

    fn idle_due(&mut self, id: LinkId) {
        let idle =
            self.links.get(&id).and_then(|spare| self.places.get(spare.home)).and_then(|place| place.idle);
        let at = self.clock.latest().mono + idle.unwrap_or(self.config.idle);
        self.timers.set(Timer::Link(id), Some(at));
    }

    /// Ends a link for a reason that counts against its relay.
    pub(super) fn fail(&mut self, id: LinkId, why: Option<RelayError>) {
        let Some(spare) = self.links.get(&id).filter(|spare| spare.step != Step::Closing) else { return };
        let (home, was) = (spare.home, spare.step);
        self.close(id);
        self.gone(home, was, why);
    }

    /// Says goodbye to a link.
    pub(super) fn close(&mut self, id: LinkId) {
        let Some(spare) = self.links.get_mut(&id).filter(|spare| spare.step != Step::Closing) else { return };
        spare.step = Step::Closing;
        spare.register = None;
        spare.pong = None;
        self.timers.set(Timer::Link(id), None);
        self.out.push_back(ClientOutput::Close { link: id });
    }

    pub(super) fn link_down(&mut self, id: LinkId) {
        let Some(spare) = self.links.remove(&id) else { return };
        self.timers.set(Timer::Link(id), None);
        self.ready.remove(&id);
        if spare.step != Step::Closing {
            self.gone(spare.home, spare.step, None);
        }
    }
}
