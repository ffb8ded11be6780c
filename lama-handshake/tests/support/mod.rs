//! Two identities, an invitation, whole handshakes, and a peer that writes its records by hand and so can misbehave.
#![allow(dead_code, unreachable_pub, clippy::missing_panics_doc, missing_docs)]

use bytes::BytesMut;
use lama_core::{Instant, Now, Seed, WallTime};
use lama_handshake::noise::{CipherState, HandshakeState, Pattern, Setup};
use lama_handshake::record::{Opener, Sealer};
use lama_handshake::*;
use lama_identity::{
    CertBody, InstanceCert, LocalIdentity, NoisePublic, NoiseSecret, OneInstanceEndpoint, PublicIdentity,
    Signature, cbor,
};
use lama_invite::{Draft, Invitation, Policy, Psk, Route};
use serde::Serialize;
use sha2::{Digest, Sha256};

pub const WALL: WallTime = WallTime::from_unix_seconds(1_800_000_000);

pub fn now() -> Now {
    at(1_000)
}

pub fn at(millis: u64) -> Now {
    Now { mono: Instant::from_origin(core::time::Duration::from_millis(millis)), wall: WALL }
}

pub fn seed(n: u8) -> Seed {
    Seed::danger_fixed([n; 32])
}

pub fn identity(name: &str, n: u8) -> LocalIdentity {
    LocalIdentity::create(format!("{name}@lama.local").parse().unwrap(), "desk", seed(n), WALL).unwrap()
}

/// The initiator.
pub fn alice() -> LocalIdentity {
    identity("alice", 1)
}

/// The responder.
pub fn bob() -> LocalIdentity {
    identity("bob", 2)
}

/// Another instance of the same person, certified by it.
pub fn second_instance(of: LocalIdentity, name: &str, n: u8) -> LocalIdentity {
    let email = of.public().person.email.clone();
    let (mut public, noise, sign, _) =
        LocalIdentity::create(email, name, seed(n), WALL).unwrap().into_parts();
    public.person_keys = of.public().person_keys;
    let head = of.public().log_head;
    let body = CertBody::new(&public.person_keys, &public.instance_keys, head, WALL.unix_seconds());
    let person = of.into_parts().3.unwrap();
    let signature = person.sign.sign_input(&body.person_input().unwrap());
    let back = sign.sign_input(&body.instance_input().unwrap());
    public.cert = InstanceCert::assemble(body, signature, back).unwrap();
    public.log_head = public.cert.log_head();
    LocalIdentity::from_parts(public, noise, sign, Some(person)).unwrap()
}

pub fn pinned(who: &LocalIdentity) -> PinnedPerson {
    PinnedPerson { id: who.person_id(), pin: who.public().pin() }
}

pub fn expect() -> Expect {
    Expect { wall: WALL, ..Expect::default() }
}

pub fn expect_person(who: &LocalIdentity) -> Expect {
    Expect { person: Some(pinned(who)), ..expect() }
}

pub fn introduction(who: &LocalIdentity, group: Group) -> Introduction {
    let endpoint = who.public().endpoint("ws://localhost:8765").unwrap();
    Introduction::new(who.public().clone(), endpoint, group, BootId([7; 16]))
}

pub fn invitation(by: &LocalIdentity) -> Invitation {
    let draft = Draft {
        r_static: *by.noise().public(),
        r_person_id: by.person_id(),
        r_person_pin: by.public().pin(),
        routes: vec![Route::direct("ws://localhost:8765").unwrap()],
        policy: Policy::Auto,
        lifetime: None,
    };
    Invitation::create(draft, &lama_invite::Config::default(), WALL, seed(90)).unwrap()
}

pub fn group(mode: Mode) -> Group {
    match mode {
        Mode::Pairing => Group::Pairing,
        Mode::Known => Group::Chum,
    }
}

pub fn psk(mode: Mode, of: &LocalIdentity) -> Option<Psk> {
    (mode == Mode::Pairing).then(|| invitation(of).psk())
}

/// Dials `to`; gives the state and message 1.
pub fn dial(to: &LocalIdentity, mode: Mode) -> (Initiator, BytesMut) {
    dial_as(to, mode, Via::Direct, 10)
}

pub fn dial_as(to: &LocalIdentity, mode: Mode, via: Via, n: u8) -> (Initiator, BytesMut) {
    let psk = invitation(to).psk();
    let access = match mode {
        Mode::Pairing => Access::Pairing { locator: invitation(to).locator(), psk: &psk },
        Mode::Known => Access::Known,
    };
    let dial = Dial { instance: *to.noise().public(), person: pinned(to), access, via };
    let mut out = BytesMut::new();
    (Initiator::dial(&dial, seed(n), &mut out).unwrap(), out)
}

pub fn answer(by: &LocalIdentity, mode: Mode, message1: &[u8]) -> (AwaitMessage3, BytesMut) {
    let mut out = BytesMut::new();
    let message1 = Message1::read(message1, Via::Direct).unwrap();
    let state = message1.answer(by.noise(), psk(mode, by).as_ref(), seed(20), &mut out).unwrap();
    (state, out)
}

pub fn sign(who: &LocalIdentity, signer: Signer, input: &[u8]) -> Signature {
    match signer {
        Signer::Person => who.person().unwrap().sign.sign_input(input),
        Signer::Instance => who.sign().sign_input(input),
    }
}

/// Every frame of a handshake, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Frames {
    pub message1: BytesMut,
    pub message2: BytesMut,
    pub message3: BytesMut,
    pub auth_i: BytesMut,
    pub auth_r: BytesMut,
    pub ready: BytesMut,
}

/// A whole handshake between honest sides: alice dials bob.
pub fn handshake(mode: Mode) -> (Established, Established, Frames) {
    handshake_with(mode, &Config::default(), |_, _| {})
}

pub fn handshake_with(
    mode: Mode,
    config: &Config,
    adjust: impl Fn(Role, &mut Introduction),
) -> (Established, Established, Frames) {
    let (alice, bob) = (alice(), bob());
    let mut frames = Frames::default();
    let (initiator, message1) = dial(&bob, mode);
    frames.message1 = message1;
    let (responder, message2) = answer(&bob, mode, &frames.message1);
    frames.message2 = message2;
    let keyed = initiator.read_message2(&frames.message2, alice.noise(), &mut frames.message3).unwrap();
    let mut mine = introduction(&alice, group(mode));
    adjust(Role::Initiator, &mut mine);
    let signing = keyed.introduce(&mine).unwrap();
    let signature = sign(&alice, mine.signer, signing.to_sign());
    let wait_auth = signing.signed(signature, &mut frames.auth_i).unwrap();
    let proved = responder.read_message3(&frames.message3).unwrap();
    assert_eq!(proved.peer_static(), alice.noise().public());
    let expect_alice = if mode == Mode::Known { expect_person(&alice) } else { expect() };
    let verified = proved.read_auth(frames.auth_i.clone(), bob.public(), &expect_alice).unwrap();
    assert_eq!(verified.peer().person(), pinned(&alice));
    let mut mine = introduction(&bob, group(mode));
    adjust(Role::Responder, &mut mine);
    let signing = verified.introduce(&mine).unwrap();
    let signature = sign(&bob, mine.signer, signing.to_sign());
    let wait_ready = signing.signed(signature, &mut frames.auth_r).unwrap();
    let verified = wait_auth.read_auth(frames.auth_r.clone(), &expect()).unwrap();
    assert_eq!(verified.peer().person(), pinned(&bob));
    let known = (verified.check_code(), verified.pair_key_agreed());
    let initiator = verified.ready(config, now(), &mut frames.ready).unwrap();
    assert_eq!(known, (initiator.check_code, initiator.pair_key_agreed));
    let responder = wait_ready.read_ready(frames.ready.clone(), config, now()).unwrap();
    (initiator, responder, frames)
}

/// Both sides after the responder's acknowledgement.
pub fn session(mode: Mode, config: &Config) -> (Mux, Mux) {
    let (initiator, responder, _) = handshake_with(mode, config, |_, _| {});
    let (mut initiator, mut responder) = (initiator.mux, responder.mux);
    responder.acknowledge().unwrap();
    let frame = poll(&mut responder).unwrap();
    assert_eq!(initiator.open(now(), frame).unwrap(), Received::Ready);
    (initiator, responder)
}

/// The next frame that needs no message: there is one exactly if the mux says so.
pub fn poll(mux: &mut Mux) -> Option<BytesMut> {
    let mut out = BytesMut::new();
    let pending = mux.is_pending();
    let polled = mux.poll_frame(&mut |_, _, _| false, &mut out).then_some(out);
    assert!(pending == polled.is_some() || mux.error().is_some(), "{pending}, {polled:?}");
    polled
}

/// The next frame, of one message at most.
pub fn poll_message(mux: &mut Mux, stream: StreamId, message: &[u8]) -> Option<BytesMut> {
    let mut out = BytesMut::new();
    let mut given = false;
    let mut source = |id: StreamId, _: usize, out: &mut BytesMut| {
        let give = id == stream && !given;
        if give {
            out.extend_from_slice(message);
            given = true;
        }
        give
    };
    mux.poll_frame(&mut source, &mut out).then_some(out)
}

/// A peer that follows no rule but those of Noise: it has real keys and writes whatever it likes.
pub struct Forger {
    pub h: [u8; 32],
    pub sealer: Sealer,
    pub opener: Opener,
    pub own: NoisePublic,
    pub peer: NoisePublic,
    pub role: Role,
}

impl Forger {
    fn new(state: HandshakeState, own: &NoiseSecret, role: Role) -> Self {
        let split = state.split().unwrap();
        Self {
            h: split.handshake_hash,
            sealer: Sealer::new(split.sealing, RekeyLimits::default()),
            opener: Opener::new(split.opening, RekeyLimits::default()),
            own: *own.public(),
            peer: split.remote_static.unwrap(),
            role,
        }
    }

    /// Dials an honest responder with these keys; both are keyed afterwards.
    pub fn dial(own: &NoiseSecret, to: &LocalIdentity, mode: Mode) -> (Self, Proved) {
        let tag =
            if mode == Mode::Pairing { invitation(to).locator() } else { lama_invite::Locator::new([4; 16]) };
        let mut prologue = b"LAMA/noise/1\x01".to_vec();
        prologue.extend_from_slice(tag.as_bytes());
        prologue.push(0);
        let psk = psk(mode, to);
        let mut state = HandshakeState::new(&Setup {
            pattern: if psk.is_some() { Pattern::XK_PSK3 } else { Pattern::XK },
            initiator: true,
            prologue: &prologue,
            local_static: None,
            remote_static: Some(to.noise().public()),
            psks: psk.as_ref().map(Psk::expose).as_slice(),
        })
        .unwrap();
        state.set_ephemeral(NoiseSecret::from_seed(seed(30)));
        let mut message = BytesMut::from(&b"LAM1"[..]);
        message.extend_from_slice(tag.as_bytes());
        state.write(None, &[], &mut message).unwrap();
        let (responder, message2) = answer(to, mode, &message);
        state.read(Some(own), &message2).unwrap();
        let mut message3 = BytesMut::new();
        state.write(Some(own), &[], &mut message3).unwrap();
        let proved = responder.read_message3(&message3).unwrap();
        (Self::new(state, own, Role::Initiator), proved)
    }

    /// Answers an honest initiator that dials `own`; both are keyed afterwards.
    pub fn answer(own: &LocalIdentity, by: &LocalIdentity, mode: Mode) -> (Self, InitiatorKeyed) {
        let (initiator, message1) = dial(own, mode);
        let mut prologue = b"LAMA/noise/1\x01".to_vec();
        prologue.extend_from_slice(&message1[4..20]);
        prologue.push(0);
        let psk = psk(mode, own);
        let mut state = HandshakeState::new(&Setup {
            pattern: if psk.is_some() { Pattern::XK_PSK3 } else { Pattern::XK },
            initiator: false,
            prologue: &prologue,
            local_static: Some(own.noise().public()),
            remote_static: None,
            psks: psk.as_ref().map(Psk::expose).as_slice(),
        })
        .unwrap();
        state.set_ephemeral(NoiseSecret::from_seed(seed(31)));
        state.read(Some(own.noise()), &message1[20..]).unwrap();
        let mut message2 = BytesMut::new();
        state.write(Some(own.noise()), &[], &mut message2).unwrap();
        let mut message3 = BytesMut::new();
        let keyed = initiator.read_message2(&message2, by.noise(), &mut message3).unwrap();
        state.read(Some(own.noise()), &message3).unwrap();
        (Self::new(state, own.noise(), Role::Responder), keyed)
    }

    /// Seals any body in a record of at least `at_least` bytes of plaintext.
    pub fn seal(&mut self, kind: RecordType, body: &[u8], at_least: usize) -> BytesMut {
        let mut out = BytesMut::new();
        let start = Sealer::begin(&mut out, body.len());
        out.extend_from_slice(body);
        self.sealer.finish(kind, start, at_least, &mut out).unwrap();
        out
    }

    /// An Auth record of these fields, signed over this session by `person`.
    pub fn auth(&mut self, person: &LocalIdentity, peer: &LocalIdentity, fields: Auth) -> BytesMut {
        let body = self.auth_body(person, peer, fields);
        self.seal(RecordType::Auth, &body, 4_096)
    }

    /// The body of that record.
    pub fn auth_body(&self, person: &LocalIdentity, peer: &LocalIdentity, fields: Auth) -> Vec<u8> {
        let signed_as = SignedAs {
            role: self.role as u8,
            h: self.h,
            own_noise: self.own,
            peer_noise: self.peer,
            own_pin: *person.public().pin().as_bytes(),
            peer_pin: *peer.public().pin().as_bytes(),
        };
        fields.sign(person, &signed_as)
    }

    pub fn auth_as(&mut self, person: &LocalIdentity, signed_as: &SignedAs, fields: Auth) -> BytesMut {
        let body = fields.sign(person, signed_as);
        self.seal(RecordType::Auth, &body, 4_096)
    }
}

/// What a signature binds, for one that binds something else.
#[derive(Clone, Copy)]
pub struct SignedAs {
    pub role: u8,
    pub h: [u8; 32],
    pub own_noise: NoisePublic,
    pub peer_noise: NoisePublic,
    pub own_pin: [u8; 32],
    pub peer_pin: [u8; 32],
}

/// Auth, written from the specification alone.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    #[serde(with = "serde_bytes")]
    pub sas: Option<[u8; 32]>,
    #[serde(with = "serde_bytes", skip_serializing_if = "Option::is_none")]
    pub sig: Option<[u8; 64]>,
    pub caps: u64,
    pub role: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<&'static str>,
    #[serde(with = "serde_bytes")]
    pub boot_id: [u8; 16],
    pub signer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<OneInstanceEndpoint>,
    pub identity: PublicIdentity,
    pub versions: (u16, u16),
    #[serde(with = "serde_bytes")]
    pub pair_key_id: Option<[u8; 8]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surprise: Option<u8>,
}

impl Auth {
    pub fn new(who: &LocalIdentity, role: Role, mode: Mode) -> Self {
        Self {
            sas: (mode == Mode::Pairing).then_some([3; 32]),
            sig: None,
            caps: 0,
            role: role as u8,
            group: Some(if mode == Mode::Pairing { "pairing" } else { "chum" }),
            boot_id: [9; 16],
            signer: "person",
            endpoint: Some(who.public().endpoint("ws://localhost:1").unwrap()),
            identity: who.public().clone(),
            versions: (1, 1),
            pair_key_id: None,
            surprise: None,
        }
    }

    fn sign(mut self, person: &LocalIdentity, signed_as: &SignedAs) -> Vec<u8> {
        let hash = |bytes: &[u8]| <[u8; 32]>::from(Sha256::digest(bytes));
        let (group, endpoint) = (self.group.take(), self.endpoint.take());
        let mut input = b"LAMA/auth/1\0".to_vec();
        input.push(signed_as.role);
        for part in [
            &signed_as.h,
            signed_as.own_noise.as_bytes(),
            signed_as.peer_noise.as_bytes(),
            &signed_as.own_pin,
            &signed_as.peer_pin,
            &hash(group.unwrap_or_default().as_bytes()),
            &hash(&cbor::encode(&endpoint).unwrap()),
            &hash(&cbor::encode(&self).unwrap()),
        ] {
            input.extend_from_slice(part);
        }
        let signer = if self.signer == "instance" { Signer::Instance } else { Signer::Person };
        self.sig = Some(*sign(person, signer, &input).as_bytes());
        (self.group, self.endpoint) = (group, endpoint);
        cbor::encode(&self).unwrap().to_vec()
    }
}

/// An honest responder that has read READY, and an initiator that writes its records by hand.
pub fn forged(mode: Mode, config: &Config, acknowledged: bool) -> (Forger, Mux) {
    let (alice, bob) = (alice(), bob());
    let (mut forger, proved) = Forger::dial(alice.noise(), &bob, mode);
    let mut fields = Auth::new(&alice, Role::Initiator, mode);
    let n_i = [6; 32];
    fields.sas = fields.sas.map(|_| commitment(&n_i));
    let auth = forger.auth(&alice, &bob, fields);
    let verified = proved.read_auth(auth, bob.public(), &expect_person(&alice)).unwrap();
    let signing = verified.introduce(&introduction(&bob, group(mode))).unwrap();
    let signature = sign(&bob, Signer::Person, signing.to_sign());
    let mut out = BytesMut::new();
    let wait = signing.signed(signature, &mut out).unwrap();
    assert_eq!(forger.opener.open(&mut out), Ok(RecordType::Auth));
    let ready = forger.seal(RecordType::Ready, if mode == Mode::Pairing { &n_i } else { &[] }, 0);
    // Both ends take the limits of their configuration with the mux.
    forger.sealer.set_limits(config.rekey);
    forger.opener.set_limits(config.rekey);
    let mut mux = wait.read_ready(ready, config, now()).unwrap().mux;
    if acknowledged {
        mux.acknowledge().unwrap();
        let mut frame = poll(&mut mux).unwrap();
        assert_eq!(forger.opener.open(&mut frame), Ok(RecordType::Ready));
    }
    (forger, mux)
}

/// An honest initiator that has sent READY, and a responder that writes its records by hand.
pub fn forged_responder(mode: Mode) -> (Forger, Mux) {
    let (alice, bob) = (alice(), bob());
    let (mut forger, keyed) = Forger::answer(&bob, &alice, mode);
    let signing = keyed.introduce(&introduction(&alice, group(mode))).unwrap();
    let signature = sign(&alice, Signer::Person, signing.to_sign());
    let wait = signing.signed(signature, &mut BytesMut::new()).unwrap();
    let record = forger.auth(&bob, &alice, Auth::new(&bob, Role::Responder, mode));
    let verified = wait.read_auth(record, &expect()).unwrap();
    (forger, verified.ready(&Config::default(), now(), &mut BytesMut::new()).unwrap().mux)
}

/// What the initiator's Auth carries when pairing.
pub fn commitment(n_i: &[u8; 32]) -> [u8; 32] {
    Sha256::new_with_prefix(b"LAMA/sas-commit\0").chain_update(n_i).finalize().into()
}

/// A cipher for records that no handshake made.
pub fn pair_of_halves(limits: RekeyLimits) -> (Sealer, Opener) {
    (Sealer::new(CipherState::new(&[5; 32]), limits), Opener::new(CipherState::new(&[5; 32]), limits))
}
