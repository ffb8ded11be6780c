//! One link: a handshake, and the session that comes of it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use lama_core::{Instant, Now, Seed, WallTime};
use lama_handshake::{
    Access, AuthFailed, AwaitAuth, AwaitMessage3, AwaitReady, BootId, CloseCode, Config, Deadlines, Dial,
    Established, Expect, Group, HandshakeError, Initiator, InitiatorVerified, Introduction, Message1, Mode,
    PinnedPerson, Proved, RejectCode, ResponderVerified, Signer, StreamId, Via,
};
use lama_identity::{LocalIdentity, LogHead, NoisePublic, Signature};
use lama_invite::{DialRules, Invitation, Locator, Policy};

use super::open::{Heard, Open, closed};
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
    Dialled(Box<Initiator>, Group, Option<LogHead>),
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

/// By which invitation somebody comes, and whose key has spent it.
struct Invited {
    locator: Locator,
    expires: WallTime,
    spent_by: Option<NoisePublic>,
}

pub(super) struct Link {
    number: u32,
    state: State,
    frames: VecDeque<Bytes>,
    /// Of the handshake, from its first frame on: before that the link is not open.
    deadlines: Option<Deadlines>,
    /// How long the other side may take to store a pairing.
    patience: Duration,
    invited: Option<Invited>,
    /// The end was told.
    over: bool,
}

/// Until the person at the other end has approved a pairing (docs/protocol/pairing.md).
const APPROVAL: Duration = Duration::from_secs(5 * 60);

type Step = Result<Option<SessionStep>, Problem>;

impl From<HandshakeError> for Problem {
    fn from(error: HandshakeError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl Link {
    fn new(number: u32, state: State, patience: Duration) -> Self {
        let (frames, deadlines, invited) = (VecDeque::new(), None, None);
        Self { number, state, frames, deadlines, patience, invited, over: false }
    }

    fn begin(
        number: u32,
        own: &Own,
        dial: &Dial<'_>,
        head: Option<LogHead>,
        seed: Seed,
    ) -> Result<Self, Problem> {
        let group = if head.is_some() { Group::Chum } else { Group::Pairing };
        let mut out = BytesMut::new();
        let state = State::Dialled(Box::new(Initiator::dial(dial, seed, &mut out)?), group, head);
        let mut link = Self::new(number, state, own.config.step_timeout);
        link.frames.push_back(out.freeze());
        Ok(link)
    }

    pub(super) fn join(number: u32, own: &Own, invitation: &Invitation, seed: Seed) -> Result<Self, Problem> {
        let psk = invitation.psk();
        let dial = Dial {
            instance: *invitation.r_static(),
            person: PinnedPerson { id: invitation.r_person_id(), pin: invitation.r_person_pin() },
            access: Access::Pairing { locator: invitation.locator(), psk: &psk },
            via: Via::Direct,
        };
        let mut link = Self::begin(number, own, &dial, None, seed)?;
        if invitation.policy() == Policy::Confirm {
            link.patience += APPROVAL;
        }
        Ok(link)
    }

    pub(super) fn dial(number: u32, own: &Own, peer: &KnownPeer, seed: Seed) -> Result<Self, Problem> {
        let dial =
            Dial { instance: peer.noise()?, person: peer.pinned()?, access: Access::Known, via: Via::Direct };
        Self::begin(number, own, &dial, Some(peer.log_head()?), seed)
    }

    pub(super) fn accept(number: u32, own: &Own, seed: Seed, now: Now) -> Self {
        let mut link = Self::new(number, State::Listening(seed), own.config.step_timeout);
        link.deadlines = Some(Deadlines::start(&own.config, now.mono));
        link
    }

    /// Whether there is time left for the handshake.
    fn in_time(&self, now: Now) -> Result<(), HandshakeError> {
        let begun = self.deadlines.filter(|_| !matches!(self.state, State::Open(_) | State::Ended));
        begun.map_or(Ok(()), |deadlines| deadlines.check(now.mono))
    }

    /// A frame: at most one thing happens. What is wrong ends the link.
    pub(super) fn frame(&mut self, own: &Own, frame: &[u8], now: Now) -> Option<SessionStep> {
        let read = self.in_time(now).map_err(Problem::from).and_then(|()| {
            self.deadlines.iter_mut().for_each(|deadlines| deadlines.step(now.mono));
            self.read(own, BytesMut::from(frame), now)
        });
        read.unwrap_or_else(|problem| self.fail(problem))
    }

    fn read(&mut self, own: &Own, frame: BytesMut, now: Now) -> Step {
        let number = self.number;
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Dialled(initiator, group, head) => {
                let wait = self.read_message2(own, *initiator, group, &frame)?;
                let expect = Expect { wall: now.wall, log_head: head, ..Expect::default() };
                self.state = State::AwaitAuth(Box::new(wait), expect);
            }
            State::AwaitAuth(wait, expect) => {
                let verified = wait.read_auth(frame, &expect).map_err(|failed| self.rejecting(failed))?;
                let (peer, check_code) = (Box::new(KnownPeer::of(verified.peer())), verified.check_code());
                self.state = State::InitiatorVerified(Box::new(verified));
                let (pairing, check_code) = (check_code.is_some(), check_code.map(|code| code.to_string()));
                return Ok(Some(SessionStep::Verified {
                    link: number,
                    peer,
                    pairing,
                    locator: None,
                    check_code,
                }));
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
                // Invitations made here ask nobody, so whoever joins may speak behind his READY.
                established.mux.allow_early();
                return Ok(self.open(established, None));
            }
            State::Open(open) => {
                self.state = State::Open(open);
                return self.heard(frame, now);
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

    fn read_message2(
        &mut self,
        own: &Own,
        initiator: Initiator,
        group: Group,
        frame: &[u8],
    ) -> Result<AwaitAuth, Problem> {
        let mut out = BytesMut::new();
        let keyed = initiator.read_message2(frame, own.identity.noise(), &mut out)?;
        self.frames.push_back(out.split().freeze());
        let signing = keyed.introduce(&own.introduction(group)?)?;
        let signature = own.sign(signing.to_sign());
        let wait = signing.signed(signature, &mut out)?;
        self.frames.push_back(out.freeze());
        Ok(wait)
    }

    fn read_auth(&mut self, own: &Own, proved: Proved, expect: &Expect, record: BytesMut) -> Step {
        let pairing = proved.mode() == Mode::Pairing;
        let read = proved.read_auth(record, own.identity.public(), expect);
        let verified = read.map_err(|failed| self.rejecting(failed))?;
        let invited = self.invited.as_ref().filter(|_| pairing);
        if invited.is_some_and(|invited| invited.spent_by.is_some_and(|key| key != *verified.peer().noise()))
        {
            let mut out = BytesMut::new();
            verified.reject(RejectCode::Token, &mut out);
            self.frames.push_back(out.freeze());
            return Err(spent());
        }
        let locator = invited.map(|invited| invited.locator.to_string());
        let peer = Box::new(KnownPeer::of(verified.peer()));
        self.state = State::ResponderVerified(Box::new(verified));
        Ok(Some(SessionStep::Verified { link: self.number, peer, pairing, locator, check_code: None }))
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
        let Problem { code, message } = problem;
        self.end(SessionStep::Failed { link: self.number, code, message })
    }

    /// The end is told once.
    fn end(&mut self, step: SessionStep) -> Option<SessionStep> {
        let told = std::mem::replace(&mut self.over, true);
        (!told).then_some(step)
    }

    /// What somebody gets who answers what was not asked.
    fn misuse(&self) -> Problem {
        if matches!(self.state, State::Ended) { closed() } else { misuse() }
    }

    /// The answer to [`SessionStep::Asked`], taken only where that was asked.
    pub(super) fn answer(
        &mut self,
        own: &Own,
        invitation: Option<&Invitation>,
        spent_by: Option<NoisePublic>,
        now: Now,
    ) -> Step {
        let State::Asked(message, _) = &self.state else { return Err(self.misuse()) };
        if let Some(invitation) = invitation {
            if invitation.locator() != message.tag() {
                return Err(Problem::argument("the invitation", "it is not the one that was asked for"));
            }
            invitation.check(now.wall, None, DialRules { lan: true, ..DialRules::default() })?;
        }
        let in_time = self.in_time(now);
        let State::Asked(message, seed) = std::mem::replace(&mut self.state, State::Ended) else {
            return Err(misuse());
        };
        self.invited = invitation.map(|it| Invited { locator: it.locator(), expires: it.exp(), spent_by });
        let (psk, mut out) = (invitation.map(Invitation::psk), BytesMut::new());
        let answered =
            in_time.and_then(|()| message.answer(own.identity.noise(), psk.as_ref(), seed, &mut out));
        Ok(match answered {
            Ok(wait) => {
                self.frames.push_back(out.freeze());
                self.state = State::AwaitMessage3(Box::new(wait));
                None
            }
            Err(error) => self.fail(error.into()),
        })
    }

    pub(super) fn expect(&mut self, own: &Own, peer: Option<(NoisePublic, Expect)>) -> Step {
        let State::Proved(proved, _) = &self.state else { return Err(self.misuse()) };
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

    /// The invitation that going on would spend, its end, and by which key.
    pub(super) fn spends(&self) -> Option<(Locator, WallTime, NoisePublic)> {
        let (State::ResponderVerified(verified), Some(invited)) = (&self.state, &self.invited) else {
            return None;
        };
        Some((invited.locator, invited.expires, *verified.peer().noise()))
    }

    pub(super) fn proceed(&mut self, own: &Own, now: Now) -> Step {
        let in_time = self.in_time(now);
        let mut out = BytesMut::new();
        let went = match std::mem::replace(&mut self.state, State::Ended) {
            _ if in_time.is_err() => Err(HandshakeError::HandshakeTimeout.into()),
            State::InitiatorVerified(verified) => {
                verified.ready(&own.config, now, &mut out).map_err(Problem::from).map(|established| {
                    // Whoever joins is told by the acknowledgement that the other side has stored it, too.
                    let pairing = established.mode == Mode::Pairing;
                    self.open(established, pairing.then(|| now.mono + self.patience))
                })
            }
            State::ResponderVerified(verified) => self.introduce(own, *verified, &mut out).map(|wait| {
                self.state = State::AwaitReady(Box::new(wait));
                None
            }),
            other => {
                self.state = other;
                return Err(self.misuse());
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
                return Err(self.misuse());
            }
        }
        self.frames.push_back(out.freeze());
        let why = if code == RejectCode::Token { spent() } else { refused() };
        Ok(self.fail(why))
    }

    /// The handshake is done; until when the other side has to have stored it, if that is not known.
    fn open(&mut self, established: Established, ready_by: Option<Instant>) -> Option<SessionStep> {
        let open = Open::new(established, ready_by);
        let step = ready_by.is_none().then(|| self.opened(&open));
        self.state = State::Open(Box::new(open));
        step
    }

    fn opened(&self, open: &Open) -> SessionStep {
        SessionStep::Open { link: self.number, check_code: open.check_code.map(|code| code.to_string()) }
    }

    fn heard(&mut self, record: BytesMut, now: Now) -> Step {
        let State::Open(open) = &mut self.state else { return Ok(None) };
        let heard = open.heard(record, now)?;
        let (link, State::Open(open)) = (self.number, &self.state) else { return Ok(None) };
        Ok(match heard {
            None => None,
            Some(Heard::Ready) => Some(self.opened(open)),
            Some(Heard::Message(stream, message)) => {
                Some(SessionStep::Message { link, stream: stream.number(), message })
            }
            Some(Heard::Closed(code)) => self.end(said(link, code)),
        })
    }

    pub(super) fn send(&mut self, config: &Config, stream: StreamId, message: Bytes) -> Result<(), Problem> {
        if let State::Open(open) = &mut self.state {
            open.send(config, stream, message)
        } else {
            Err(closed())
        }
    }

    pub(super) fn queued(&self) -> usize {
        if let State::Open(open) = &self.state { open.queued() } else { 0 }
    }

    /// The next frame, and what is to be told once it is sent.
    pub(super) fn poll_frame(&mut self, own: &Own, now: Now) -> Option<(Bytes, Option<SessionStep>)> {
        if let Some(frame) = self.frames.pop_front() {
            self.deadlines.get_or_insert_with(|| Deadlines::start(&own.config, now.mono));
            return Some((frame, None));
        }
        let State::Open(open) = &mut self.state else { return None };
        let (frame, goodbye) = open.poll_frame()?;
        let step = goodbye.and_then(|code| self.end(said(self.number, code)));
        Some((frame, step))
    }

    /// The host has taken the oldest message.
    pub(super) fn taken(&mut self) {
        if let State::Open(open) = &mut self.state {
            open.taken();
        }
    }

    /// This side wants no more: at once in a handshake, after what is queued in a session.
    pub(super) fn close(&mut self, now: Now) -> Option<SessionStep> {
        match &mut self.state {
            State::Open(open) => {
                open.close(CloseCode::Done, now.mono);
                None
            }
            State::Ended => None,
            _ => {
                self.state = State::Ended;
                self.frames.clear();
                self.end(said(self.number, CloseCode::Done))
            }
        }
    }

    /// The link is gone: whether that is news.
    pub(super) fn down(mut self) -> Option<SessionStep> {
        let error = match &self.state {
            State::Ended => return None,
            State::Open(open) => open.down()?,
            _ => HandshakeError::Truncated,
        };
        let message = "the connection broke before either side had said goodbye; dial again".to_owned();
        let truncated = error == HandshakeError::Truncated;
        self.fail(if truncated { Problem { code: error.code().to_owned(), message } } else { error.into() })
    }

    pub(super) fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Ended => None,
            State::Open(open) => open.due(),
            _ => Some(self.deadlines?.due()),
        }
    }

    pub(super) fn timeout(&mut self, now: Now) -> Option<SessionStep> {
        let late = match &mut self.state {
            State::Open(open) => open.timeout(now),
            _ => self.in_time(now),
        };
        late.err().and_then(|error| self.fail(error.into()))
    }
}

fn misuse() -> Problem {
    Problem::new(
        "binding.misuse",
        "this link has asked nothing that this answers; answer each step once, by the call that its description names",
    )
}

fn spent() -> Problem {
    Problem::new("session.spent", "somebody else has spent this invitation; make another one")
}

fn refused() -> Problem {
    Problem::new("session.refused", "this side has refused the other; nothing was kept")
}

fn said(link: u32, code: CloseCode) -> SessionStep {
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
