//! One link: a handshake, and the session that comes of it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use lama_core::{Instant, Now, Seed};
use lama_handshake::{
    Access, AuthFailed, AwaitAuth, AwaitMessage3, AwaitReady, BootId, CheckCode, CloseCode, Config,
    Deadlines, Dial, Established, Expect, Group, HandshakeError, Initiator, InitiatorVerified, Introduction,
    Message1, Mode, Mux, PinnedPerson, Proved, Receipt, Received, RejectCode, ResponderVerified, STREAMS,
    Signer, StreamId, Via,
};
use lama_identity::{LocalIdentity, NoisePublic, Signature};
use lama_invite::Invitation;

use super::step::{KnownPeer, SessionStep};
use crate::Problem;

/// This side, as all its links need it.
pub(super) struct Own {
    pub(super) identity: LocalIdentity,
    pub(super) boot_id: BootId,
    pub(super) url: String,
    pub(super) config: Config,
}

impl Own {
    /// What this side says of itself. The person signs where its key is; elsewhere the instance, which pairing does not accept.
    fn introduction(&self, group: Group) -> Result<Introduction, Problem> {
        let public = self.identity.public();
        let endpoint = public.endpoint(&self.url)?;
        let signer = if self.identity.person().is_ok() { Signer::Person } else { Signer::Instance };
        Ok(Introduction { signer, ..Introduction::new(public.clone(), endpoint, group, self.boot_id) })
    }

    fn sign(&self, input: &[u8]) -> Signature {
        match self.identity.person() {
            Ok(person) => person.sign.sign_input(input),
            Err(_) => self.identity.sign().sign_input(input),
        }
    }
}

/// Where a handshake stands.
enum State {
    /// Message 1 is out.
    Dialled(Box<Initiator>, Group),
    AwaitAuth(Box<AwaitAuth>, Expect),
    InitiatorVerified(Box<InitiatorVerified>),
    /// Nothing has come.
    Listening(Seed),
    Asked(Message1, Seed),
    AwaitMessage3(Box<AwaitMessage3>),
    /// Who may it be? And Auth, which is in the same flight, if it has come.
    Proved(Box<Proved>, Option<BytesMut>),
    Expecting(Box<Proved>, Expect),
    ResponderVerified(Box<ResponderVerified>),
    AwaitReady(Box<AwaitReady>),
    Open(Box<Open>),
    Ended,
}

/// A session.
struct Open {
    mux: Mux,
    check_code: Option<CheckCode>,
    queues: [VecDeque<Bytes>; STREAMS],
    queued: usize,
    /// Of messages that the host has not taken.
    receipts: VecDeque<Receipt>,
}

pub(super) struct Link {
    number: u32,
    state: State,
    frames: VecDeque<Bytes>,
    deadlines: Deadlines,
}

type Step = Result<Option<SessionStep>, Problem>;

impl From<HandshakeError> for Problem {
    fn from(error: HandshakeError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

fn misuse() -> Problem {
    Problem::new(
        "binding.misuse",
        "this link has asked nothing that this answers; answer each step once, by the call that its description names",
    )
}

impl Link {
    fn new(number: u32, state: State, own: &Own, now: Now) -> Self {
        let deadlines = Deadlines::start(&own.config, now.mono);
        Self { number, state, frames: VecDeque::new(), deadlines }
    }

    fn begin(
        number: u32,
        own: &Own,
        dial: &Dial<'_>,
        group: Group,
        seed: Seed,
        now: Now,
    ) -> Result<Self, Problem> {
        let mut out = BytesMut::new();
        let state = State::Dialled(Box::new(Initiator::dial(dial, seed, &mut out)?), group);
        let mut link = Self::new(number, state, own, now);
        link.frames.push_back(out.freeze());
        Ok(link)
    }

    pub(super) fn join(
        number: u32,
        own: &Own,
        invitation: &Invitation,
        seed: Seed,
        now: Now,
    ) -> Result<Self, Problem> {
        let psk = invitation.psk();
        let dial = Dial {
            instance: *invitation.r_static(),
            person: PinnedPerson { id: invitation.r_person_id(), pin: invitation.r_person_pin() },
            access: Access::Pairing { locator: invitation.locator(), psk: &psk },
            via: Via::Direct,
        };
        Self::begin(number, own, &dial, Group::Pairing, seed, now)
    }

    pub(super) fn dial(
        number: u32,
        own: &Own,
        peer: &KnownPeer,
        seed: Seed,
        now: Now,
    ) -> Result<Self, Problem> {
        let dial =
            Dial { instance: peer.noise()?, person: peer.pinned()?, access: Access::Known, via: Via::Direct };
        Self::begin(number, own, &dial, Group::Chum, seed, now)
    }

    pub(super) fn accept(number: u32, own: &Own, seed: Seed, now: Now) -> Self {
        Self::new(number, State::Listening(seed), own, now)
    }

    /// A frame: at most one thing happens. What is wrong ends the link.
    pub(super) fn frame(&mut self, own: &Own, frame: &[u8], now: Now) -> Option<SessionStep> {
        if !matches!(self.state, State::Open(_) | State::Ended) {
            self.deadlines.step(now.mono);
        }
        let read = self.read(own, BytesMut::from(frame), now);
        read.unwrap_or_else(|problem| self.fail(problem))
    }

    fn read(&mut self, own: &Own, frame: BytesMut, now: Now) -> Step {
        let number = self.number;
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Dialled(initiator, group) => {
                let mut out = BytesMut::new();
                let keyed = initiator.read_message2(&frame, own.identity.noise(), &mut out)?;
                self.frames.push_back(out.split().freeze());
                let signing = keyed.introduce(&own.introduction(group)?)?;
                let signature = own.sign(signing.to_sign());
                let wait = signing.signed(signature, &mut out)?;
                self.frames.push_back(out.freeze());
                let expect = Expect { wall: now.wall, ..Expect::default() };
                self.state = State::AwaitAuth(Box::new(wait), expect);
            }
            State::AwaitAuth(wait, expect) => {
                let verified = wait.read_auth(frame, &expect).map_err(|failed| self.rejecting(failed))?;
                let (peer, pairing) = (KnownPeer::of(verified.peer()), verified.check_code().is_some());
                self.state = State::InitiatorVerified(Box::new(verified));
                return Ok(Some(SessionStep::Verified { link: number, peer, pairing }));
            }
            State::Listening(seed) => {
                let message = Message1::read(&frame, Via::Direct)?;
                let locator = message.tag().to_string();
                self.state = State::Asked(message, seed);
                return Ok(Some(SessionStep::Asked { link: number, locator }));
            }
            State::AwaitMessage3(wait) => {
                let proved = Box::new(wait.read_message3(&frame)?);
                if proved.mode() == Mode::Pairing {
                    self.state = State::Expecting(proved, Expect { wall: now.wall, ..Expect::default() });
                    return Ok(None);
                }
                let key = data_encoding::HEXLOWER.encode(proved.peer_static().as_bytes());
                self.state = State::Proved(proved, None);
                return Ok(Some(SessionStep::Proved { link: number, key }));
            }
            State::Proved(proved, None) => self.state = State::Proved(proved, Some(frame)),
            State::Expecting(proved, expect) => return self.read_auth(own, *proved, &expect, frame),
            State::AwaitReady(wait) => {
                let mut established = wait.read_ready(frame, &own.config, now)?;
                established.mux.acknowledge()?;
                return Ok(self.open(established, true));
            }
            State::Open(open) => {
                self.state = State::Open(open);
                return self.received(frame, now);
            }
            State::Ended => {}
            State::InitiatorVerified(_)
            | State::Asked(..)
            | State::Proved(_, Some(_))
            | State::ResponderVerified(_) => {
                return Err(Problem::new(
                    "session.out-of-turn",
                    "the other side went on although it was not its turn; update the older side",
                ));
            }
        }
        Ok(None)
    }

    fn read_auth(&mut self, own: &Own, proved: Proved, expect: &Expect, record: BytesMut) -> Step {
        let pairing = proved.mode() == Mode::Pairing;
        let read = proved.read_auth(record, own.identity.public(), expect);
        let verified = read.map_err(|failed| self.rejecting(failed))?;
        let peer = KnownPeer::of(verified.peer());
        self.state = State::ResponderVerified(Box::new(verified));
        Ok(Some(SessionStep::Verified { link: self.number, peer, pairing }))
    }

    /// The other side may learn why, if it has proved itself.
    fn rejecting(&mut self, failed: AuthFailed) -> Problem {
        let mut out = BytesMut::new();
        let error = failed.reject(&mut out);
        if !out.is_empty() {
            self.frames.push_back(out.freeze());
        }
        error.into()
    }

    fn fail(&mut self, problem: Problem) -> Option<SessionStep> {
        self.state = State::Ended;
        Some(SessionStep::Failed { link: self.number, code: problem.code, message: problem.message })
    }

    /// An answer of the host's, taken only by the state that asked.
    pub(super) fn answer(&mut self, own: &Own, invitation: Option<&Invitation>, now: Now) -> Step {
        let State::Asked(message, _) = &self.state else { return Err(misuse()) };
        if let Some(invitation) = invitation {
            if invitation.locator() != message.tag() {
                return Err(Problem::argument("the invitation", "it is not the one that was asked for"));
            }
            invitation.check(now.wall, None, lama_invite::DialRules { lan: true, ..Default::default() })?;
        }
        let State::Asked(message, seed) = std::mem::replace(&mut self.state, State::Ended) else {
            return Err(misuse());
        };
        let (psk, mut out) = (invitation.map(Invitation::psk), BytesMut::new());
        Ok(match message.answer(own.identity.noise(), psk.as_ref(), seed, &mut out) {
            Ok(wait) => {
                self.frames.push_back(out.freeze());
                self.state = State::AwaitMessage3(Box::new(wait));
                None
            }
            Err(error) => self.fail(error.into()),
        })
    }

    pub(super) fn expect(&mut self, own: &Own, peer: Option<(NoisePublic, Expect)>) -> Step {
        let State::Proved(proved, _) = &self.state else { return Err(misuse()) };
        if peer.as_ref().is_some_and(|(key, _)| key != proved.peer_static()) {
            return Err(Problem::argument("the peer", "it has another key than the one that was proved"));
        }
        let State::Proved(proved, auth) = std::mem::replace(&mut self.state, State::Ended) else {
            return Err(misuse());
        };
        let Some((_, expect)) = peer else {
            let text = "somebody whom this side does not know dialled; if that is wrong, pair again";
            return Ok(self.fail(Problem::new("session.unknown-peer", text)));
        };
        match auth {
            None => {
                self.state = State::Expecting(proved, expect);
                Ok(None)
            }
            Some(auth) => {
                let read = self.read_auth(own, *proved, &expect, auth);
                Ok(read.unwrap_or_else(|problem| self.fail(problem)))
            }
        }
    }

    pub(super) fn proceed(&mut self, own: &Own, now: Now) -> Step {
        let mut out = BytesMut::new();
        let went = match std::mem::replace(&mut self.state, State::Ended) {
            State::InitiatorVerified(verified) => {
                verified.ready(&own.config, now, &mut out).map_err(Problem::from).map(|established| {
                    // Whoever joins is told by the acknowledgement that the other side has stored it, too.
                    let told = established.mode == Mode::Known;
                    self.open(established, told)
                })
            }
            State::ResponderVerified(verified) => self.introduce(own, *verified, &mut out).map(|wait| {
                self.state = State::AwaitReady(Box::new(wait));
                None
            }),
            other => {
                self.state = other;
                return Err(misuse());
            }
        };
        if !out.is_empty() {
            self.frames.push_back(out.freeze());
        }
        Ok(went.unwrap_or_else(|problem| self.fail(problem)))
    }

    fn introduce(
        &self,
        own: &Own,
        verified: ResponderVerified,
        out: &mut BytesMut,
    ) -> Result<AwaitReady, Problem> {
        let introduction = own.introduction(verified.peer().group)?;
        let signing = verified.introduce(&introduction)?;
        let signature = own.sign(signing.to_sign());
        Ok(signing.signed(signature, out)?)
    }

    pub(super) fn refuse(&mut self, code: RejectCode) -> Step {
        let mut out = BytesMut::new();
        match std::mem::replace(&mut self.state, State::Ended) {
            State::InitiatorVerified(verified) => verified.reject(code, &mut out),
            State::ResponderVerified(verified) => verified.reject(code, &mut out),
            other => {
                self.state = other;
                return Err(misuse());
            }
        }
        self.frames.push_back(out.freeze());
        Ok(self.fail(Problem::new("session.refused", "this side has refused the other; nothing was kept")))
    }

    /// The handshake is done; `told`: as far as this side knows at both ends.
    fn open(&mut self, established: Established, told: bool) -> Option<SessionStep> {
        let Established { mux, check_code, .. } = established;
        let open = Open {
            mux,
            check_code,
            queues: std::array::from_fn(|_| VecDeque::new()),
            queued: 0,
            receipts: VecDeque::new(),
        };
        self.state = State::Open(Box::new(open));
        told.then(|| self.opened(check_code))
    }

    fn opened(&self, check_code: Option<CheckCode>) -> SessionStep {
        SessionStep::Open { link: self.number, check_code: check_code.map(|code| code.to_string()) }
    }

    fn received(&mut self, record: BytesMut, now: Now) -> Step {
        let (number, State::Open(open)) = (self.number, &mut self.state) else { return Ok(None) };
        Ok(match open.mux.open(now, record)? {
            Received::Nothing => None,
            Received::Ready => {
                // In a session between two that know each other nobody waits for it.
                let code = open.check_code;
                code.is_some().then(|| self.opened(code))
            }
            Received::Message { stream, message, receipt } => {
                open.receipts.push_back(receipt);
                Some(SessionStep::Message { link: number, stream: stream.number(), message })
            }
            Received::Closed(code) => Some(closed(number, code)),
        })
    }

    pub(super) fn send(&mut self, config: &Config, stream: StreamId, message: Bytes) -> Result<(), Problem> {
        let at = usize::from(stream.number());
        let limit = config.max_message.get(at).copied().unwrap_or_default();
        if message.len() > limit as usize {
            let text =
                format!("a message of stream {at} has at most {limit} bytes, this one has {}", message.len());
            return Err(Problem::new("session.too-long", text));
        }
        match &mut self.state {
            State::Open(open) if !open.mux.is_close_sent() && open.mux.error().is_none() => {
                open.queued += message.len();
                open.queues.get_mut(at).into_iter().for_each(|queue| queue.push_back(message.clone()));
                Ok(())
            }
            _ => {
                Err(Problem::new("session.closed", "this link has no session, or none any more; dial again"))
            }
        }
    }

    pub(super) fn queued(&self) -> usize {
        if let State::Open(open) = &self.state { open.queued } else { 0 }
    }

    pub(super) fn poll_frame(&mut self) -> Option<Bytes> {
        if let Some(frame) = self.frames.pop_front() {
            return Some(frame);
        }
        let State::Open(open) = &mut self.state else { return None };
        let Open { mux, queues, queued, .. } = &mut **open;
        let mut next = |stream: StreamId, _: usize, out: &mut BytesMut| {
            let message = queues.get_mut(usize::from(stream.number())).and_then(VecDeque::pop_front);
            let Some(message) = message else { return false };
            *queued -= message.len();
            out.extend_from_slice(&message);
            true
        };
        let mut out = BytesMut::new();
        mux.poll_frame(&mut next, &mut out).then(|| out.freeze())
    }

    /// The host has taken the oldest message.
    pub(super) fn taken(&mut self) {
        if let State::Open(open) = &mut self.state
            && let Some(receipt) = open.receipts.pop_front()
        {
            open.mux.release(receipt);
        }
    }

    pub(super) fn close(&mut self, code: CloseCode) {
        match &mut self.state {
            State::Open(open) => open.mux.close(code),
            state => *state = State::Ended,
        }
    }

    /// The link is gone: whether that is news.
    pub(super) fn down(self) -> Option<SessionStep> {
        let error = match &self.state {
            State::Ended => return None,
            State::Open(open) => open.mux.link_closed().err()?,
            _ => HandshakeError::Truncated,
        };
        Some(SessionStep::Failed {
            link: self.number,
            code: error.code().to_owned(),
            message: error.to_string(),
        })
    }

    pub(super) fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Ended => None,
            State::Open(open) => open.mux.poll_timeout(),
            _ => Some(self.deadlines.due()),
        }
    }

    pub(super) fn timeout(&mut self, now: Now) -> Option<SessionStep> {
        let late = match &mut self.state {
            State::Ended => Ok(()),
            State::Open(open) => open.mux.handle_timeout(now),
            _ => self.deadlines.check(now.mono),
        };
        if let Err(error) = late {
            return self.fail(error.into());
        }
        let State::Open(open) = &mut self.state else { return None };
        if !open.mux.is_renewal_due() || open.mux.is_close_sent() {
            return None;
        }
        open.mux.close(CloseCode::Renew);
        Some(closed(self.number, CloseCode::Renew))
    }
}

fn closed(link: u32, code: CloseCode) -> SessionStep {
    let name = match code {
        CloseCode::Done => "done",
        CloseCode::Shutdown => "shutdown",
        CloseCode::Duplicate => "duplicate",
        CloseCode::Renew => "renew",
        CloseCode::Removed => "removed",
        CloseCode::Denied => "denied",
        CloseCode::Protocol => "protocol",
        CloseCode::Limit => "limit",
        _ => "internal",
    };
    SessionStep::Closed { link, code: name, message: code.to_string() }
}
